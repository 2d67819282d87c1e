"""`TemperatureLab` as a live widget: every change of a control runs JAX in the kernel of the notebook."""

from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from softq.lab.chains import WALLS

if TYPE_CHECKING:
    from softq.lab.lab import TemperatureLab


def widget(lab: "TemperatureLab", png: bytes) -> ipywidgets.VBox:
    """A widget of the controls and the picture, which is `png` until a control changes."""
    wide = {
        "style": {"description_width": "9em"},
        "layout": {"width": "30em"},
        "continuous_update": False,
    }
    low, high = np.log10(lab.range)
    temperature = ipywidgets.FloatLogSlider(
        lab.temperature, min=low, max=high, step=(high - low) / 120, description="temperature λ", **wide
    )
    step = ipywidgets.FloatLogSlider(
        lab.step_at(lab.temperature), min=-4, max=0, step=1 / 30, description="step size δ", **wide
    )
    steps = ipywidgets.BoundedIntText(lab.steps, min=1, max=5000, description="steps")
    particles = ipywidgets.BoundedIntText(lab.particles, min=1, max=5000, description="particles")
    seed = ipywidgets.BoundedIntText(lab.seed, min=0, max=2**31 - 1, description="seed")
    boundary = ipywidgets.Dropdown(options=WALLS, value=lab.boundary, description="at the walls")
    options = [(name, index) for index, name in enumerate(lab.names)]
    state = ipywidgets.Dropdown(options=options, value=0, description="state")
    size = {"width": "640px" if lab.dim == 1 else "480px", "max_width": "100%", "object_fit": "contain"}
    image = ipywidgets.Image(value=png, format="png", layout=size)
    image.add_class("softq-lab-live")

    following = False

    def follow(change: Any) -> None:
        nonlocal following
        following = True  # the change of the step calls `redraw` too, which then does nothing
        step.value = lab.step_at(temperature.value, state.value)
        following = False
        redraw(change)

    def redraw(_: Any) -> None:
        if following:
            return
        image.value = lab.png(
            state=state.value,
            temperature=temperature.value,
            step_size=step.value,
            steps=steps.value,
            boundary=boundary.value,
            particles=particles.value,
            seed=seed.value,
        )

    for control in (temperature, state):
        control.observe(follow, "value")
    for control in (step, steps, particles, seed, boundary):
        control.observe(redraw, "value")
    rows = [temperature, step, ipywidgets.HBox([steps, particles]), ipywidgets.HBox([boundary, seed])]
    if len(lab.landscapes) > 1:
        rows.insert(0, state)
    caption = [ipywidgets.Label(lab.caption)] if lab.caption else []
    return ipywidgets.VBox([image, *rows, *caption])

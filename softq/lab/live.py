"""Any lab as a live widget: every change of a control runs Python again in the kernel of the notebook."""

from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from softq.lab.controls import Choice, Control, Integer, Toggle

if TYPE_CHECKING:
    from softq.lab.base import Lab

WIDE = {"style": {"description_width": "11em"}, "layout": {"width": "34em"}}
NARROW = {"style": {"description_width": "11em"}, "layout": {"width": "21em"}}


def box(control: Control) -> Any:
    """The widget of one control."""
    text = {"description": control.label, "value": control.check(control.value)}
    if isinstance(control, Choice):
        return ipywidgets.Dropdown(options=control.options, **text, **NARROW)
    if isinstance(control, Toggle):
        return ipywidgets.Checkbox(**text, **NARROW)
    if isinstance(control, Integer):
        return ipywidgets.BoundedIntText(min=control.low, max=control.high, **text, **NARROW)
    if control.log and not control.integer:
        low, high = np.log10([control.low, control.high])
        ends = {"min": low, "max": high, "step": (high - low) / 120}
        return ipywidgets.FloatLogSlider(**ends, **text, **WIDE, continuous_update=False)
    make = ipywidgets.IntSlider if control.integer else ipywidgets.FloatSlider
    step = 1 if control.integer else (control.high - control.low) / 200
    ends = {"min": control.low, "max": control.high, "step": step}
    return make(**ends, **text, **WIDE, continuous_update=False)


def widget(lab: "Lab", png: bytes) -> ipywidgets.VBox:
    """A widget of the picture, which is `png` until a control changes, and below it the controls in their order."""
    size = {"width": f"{lab.live_width}px", "max_width": "100%", "object_fit": "contain"}
    image = ipywidgets.Image(value=png, format="png", layout=size)
    image.add_class("softq-lab-live")
    boxes = {control.name: box(control) for control in lab.controls}
    following = False

    def redraw(change: Any) -> None:
        nonlocal following
        if following:
            return
        chosen = {name: box.value for name, box in boxes.items()}
        changed = next(name for name, box in boxes.items() if box is change["owner"])
        following = True  # a control that follows calls this function too, which then does nothing
        for name, value in lab.follow(changed, chosen).items():
            boxes[name].value = value
        following = False
        image.value = lab.png(**{name: box.value for name, box in boxes.items()})

    for control in boxes.values():
        control.observe(redraw, "value")
    caption = [ipywidgets.Label(lab.caption)] if lab.caption else []
    return ipywidgets.VBox([image, *boxes.values(), *caption])

"""`softq video`: the policy of a run at work, at several temperatures side by side, as a GIF or mp4 file.

All panels start from the same seed and draw with the same keys, so that they differ by the temperature alone. When an
episode ends, its panel starts the next one.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import jax
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from softq.algorithms.common.critic_policy import acting
from softq.envs import JAX_ENVS, is_jax
from softq.envs.adapter import Adapter
from softq.envs.making import close_all, make_all, quiet
from softq.envs.rendering import NO_RENDERER, choose_renderer
from softq.policies.frames import (
    FASTEST_GIF,
    film_file,
    labelled,
    side_by_side,
    write_film,
)
from softq.policies.options import add_options, chosen
from softq.policies.policy import Policy
from softq.training import TrainConfig
from softq.training.normalise import bare
from softq.utils.checks import positive
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError

USUAL_FPS = 30  # of an environment that does not say how many of its steps make a second


class Panel:
    """One environment in which `policy` plays at one temperature, and what its label says."""

    def __init__(
        self, policy: Policy, env: Adapter, temperature: float | None, sampler: str | None, budget: int
    ):
        self.policy, self.env = policy, env
        # without another temperature or a sampler, the action whose return is reported
        _, method = acting(policy.algo, None, temperature, sampler, budget)
        self.given: dict[str, Any] = {"temperature": temperature, "sampler": sampler, "budget": budget}
        self.given["deterministic"] = method == "exploit"
        at = "" if temperature is None else f" at temperature {temperature:g}"
        self.title = f"{type(bare(policy.algo)).__name__}{f', {sampler}' if sampler else ''}{at}"
        self.episode, self.ended = 0, True
        self.obs: Any = None

    def step(self, seed: int, key: jax.Array) -> None:
        """Play one step; an episode that has ended is followed by the next one, the first starts from `seed`."""
        if self.ended:
            first = self.episode == 0
            self.obs, _ = self.env.call("reset()", self.env.env.reset, seed=seed if first else None)
            self.episode, self.steps, self.total, self.ended = self.episode + 1, 0, 0.0, False
        action = self.policy(self.obs, key=key, **self.given)
        self.obs, reward, *ends, _ = self.env.call("step()", self.env.env.step, action)
        self.steps, self.total, self.ended = self.steps + 1, self.total + float(reward), any(ends)

    def picture(self, width: int) -> Image.Image:
        """The present state below its label. Raises `SoftqError` when the environment draws no picture."""
        pixels = self.env.call("render()", self.env.env.render)
        if not (isinstance(pixels, np.ndarray) and pixels.ndim == 3 and pixels.shape[-1] == 3):
            raise SoftqError(f"{self.env.env_id} cannot be filmed: its render() returns no picture.")
        lines = (self.title, f"episode {self.episode}, step {self.steps}, return {self.total:,.1f}")
        return labelled(pixels.astype(np.uint8), lines, width)


def film(
    policy: Policy,
    out: Path | str,
    temperatures: Sequence[float] = (),
    sampler: str | None = None,
    budget: int = 100,
    steps: int = 200,
    seed: int = 0,
    fps: float = 30,
    width: int = 320,
    progress: bool = True,
) -> tuple[int, float]:
    """Film `steps` steps of `policy` in the file `out`, .gif or .mp4: a panel of `width` pixels for each temperature.

    Without temperatures there is one panel, at the temperature in force. The film runs as fast as the environment says
    that it runs; where that is more than `fps` frames a second, every second, third or later step is drawn. Returns
    the number of frames, and how many of them make a second.

    Raises `SoftqError` for a temperature at which the policy cannot act, an unknown sampler, an environment that draws
    no pictures, and a system that cannot draw them.
    """
    for name, value in (("steps", steps), ("fps", fps), ("width", width)):
        positive(name, value)
    path = film_file(out)
    can_draw = choose_renderer()
    for temperature in temperatures:
        acting(policy.algo, None, temperature, sampler, budget)
    envs = drawn(policy.config, max(1, len(temperatures)), width)
    try:
        panels = [
            Panel(policy, env, temperature, sampler, budget)
            for env, temperature in zip(envs, temperatures or [None], strict=True)
        ]
        speed = envs[0].env.metadata.get("render_fps") or USUAL_FPS
        limit = min(fps, FASTEST_GIF) if path.suffix == ".gif" else fps
        every = math.ceil(speed / limit)  # steps from one frame to the next
        fps = speed / every
        with quiet():
            return write_film(path, frames(panels, steps, every, seed, width, progress), fps), fps
    except SoftqError as error:
        if not can_draw and "render()" in str(error):
            raise SoftqError(NO_RENDERER) from error
        raise
    finally:
        close_all(envs)


def frames(
    panels: list[Panel], steps: int, every: int, seed: int, width: int, progress: bool
) -> Iterator[Image.Image]:
    """Play `steps` steps and yield a picture of all panels after the first one and each `every` steps after it."""
    key = jax.random.key(seed)
    for t in tqdm(range(steps), "film", unit="step", disable=not progress, dynamic_ncols=True):
        for panel in panels:
            panel.step(seed, jax.random.fold_in(key, t))
        if t % every == 0:
            yield side_by_side([panel.picture(width) for panel in panels])


def drawn(config: TrainConfig, num: int, width: int) -> list[Adapter]:
    """`num` environments of a run that draw pictures. Raises `SoftqError` when there are none of that kind."""
    settings = dict(config.env_kwargs) | {"render_mode": "rgb_array"}
    if config.env.startswith("envpool/"):
        raise SoftqError(f"{config.env} cannot be filmed: EnvPool draws no pictures.")
    if not is_jax(config.env):
        return make_all(config.env, num, camera(config.env, width) | settings)
    name = next(name for name in JAX_ENVS if name.lower() == config.env.lower())
    # it cuts its episodes itself
    return make_all(f"softq/{name}-v0", num, settings | {"max_episode_steps": -1})


def camera(env_id: str, width: int) -> dict[str, Any]:
    """Settings by which Gymnasium's MuJoCo tasks draw squares of `width` pixels; empty for other environments.

    The camera "track" of a task's model follows what runs; in a model without it, Gymnasium takes its usual one.
    """
    with contextlib.suppress(gym.error.Error, ModuleNotFoundError):
        if "gymnasium.envs.mujoco" in str(gym.spec(env_id).entry_point):
            return {"width": width, "height": width, "camera_name": "track"}
    return {}


def command(argv: list[str]) -> int:
    """Run `softq video` and return its exit code. Raises `SoftqError` for bad input."""
    parser = Parser(
        prog="softq video",
        description="Film the policy of a run, at several temperatures side by side; no display is needed.",
    )
    add_options(parser)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="file for the film, which ends in .gif or .mp4"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        nargs="+",
        default=[],
        metavar="X",
        help="a panel for each of these temperatures, in the algorithm's own unit [the one in force]",
    )
    whole = {
        "seed": (0, "seed of the episodes and of the policy"),
        "steps": (200, "number of steps of the environment to film"),
        "width": (320, "width of a panel in pixels"),
    }
    for name, (default, words) in whole.items():
        parser.add_argument(
            f"--{name}", type=int_option, default=default, metavar="N", help=f"{words} [{default}]"
        )
    parser.add_argument(
        "--fps", type=float, default=30, metavar="X", help="frames a second, at most [30]; the speed stays"
    )
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    options = parser.parse(argv)
    film_file(options.out)
    count, fps = film(
        chosen(options),
        options.out,
        options.temperature,
        options.sampler,
        options.budget,
        options.steps,
        options.seed,
        options.fps,
        options.width,
        not options.no_progress,
    )
    size = Path(options.out).stat().st_size
    print(f"{options.out}: {count} frames, {fps:.3g} a second, {size / 1e6:.1f} MB")
    return 0

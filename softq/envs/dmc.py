"""The tasks of the DeepMind Control Suite (Tassa et al. 2018) as Gymnasium environments: dmc/walker-run and so on.

Importing this module needs the extra `dmc`, and registers every task of the suite as dmc/DOMAIN-TASK. DQS compares on
cheetah-run, finger-spin, fish-swim, reacher-hard, walker-run and three tasks that its figure shows (Section 5.2).

A task of the suite ends after a number of seconds with a discount of 1, which is a time limit: the episode is truncated
there, and its last state keeps its value. A discount of 0 is a true end.
"""

from typing import Any

import gymnasium as gym
import numpy as np

from softq.envs.rendering import choose_renderer

choose_renderer()
from dm_control import suite  # noqa: E402 - it looks at the choice now

STEPS = 1000  # in an episode of the suite, whatever the duration of a step


class ControlTask(gym.Env):
    """One task; the observation is the vector of all that it observes, in its own order, and is not bounded.

    `options` are settings of the task, such as `time_limit`, in seconds. What a task draws when it is made is the same
    in every copy; what it draws at a reset comes from the seed that `reset` was given last. Pictures are those of the
    task's first camera.
    """

    def __init__(self, domain: str, task: str, render_mode: str | None = None, **options: Any):
        self.env: Any = suite.load(domain, task, task_kwargs={"random": 0} | options)
        spec = self.env.action_spec()
        size = sum(int(np.prod(part.shape)) for part in self.env.observation_spec().values())
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (size,), np.float64)
        low, high = (np.broadcast_to(x, spec.shape).astype(np.float64) for x in (spec.minimum, spec.maximum))
        self.action_space = gym.spaces.Box(low, high, dtype=np.float64)
        if render_mode is not None:
            self.render_mode = render_mode
            self.metadata = {"render_modes": ["rgb_array"], "render_fps": 1 / self.env.control_timestep()}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        if seed is not None:
            self.env.task.random.seed(seed)
        return self.flat(self.env.reset()), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        now = self.env.step(action)
        ended = bool(now.last() and now.discount == 0)
        return self.flat(now), float(now.reward), ended, bool(now.last() and not ended), {}

    def render(self) -> np.ndarray:
        """A picture of the present state, `(480, 480, 3)`, uint8."""
        return self.env.physics.render(480, 480, camera_id=0)

    def flat(self, now: Any) -> np.ndarray:
        """The observation of the time step `now` as one vector `(obs_dim,)`."""
        return np.concatenate([np.ravel(part) for part in now.observation.values()])

    def close(self) -> None:
        self.env.close()


for domain, task in suite.ALL_TASKS:
    gym.register(
        f"dmc/{domain}-{task}",
        entry_point=f"{__name__}:ControlTask",
        kwargs={"domain": domain, "task": task},
        max_episode_steps=None if domain == "lqr" else STEPS,  # the regulator goes on until its state is 0
    )

"""Gymnasium environments as one vector: actions in [-1, 1], float32 observations, true successors.

Autoreset is disabled and finished environments are reset by mask. It is the only mode of Gymnasium in which
`next_obs` is always the true successor and no row has to be thrown away.
"""

import contextlib
import importlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np

from softq.envs import snapshot
from softq.envs.registered import REGISTERED
from softq.errors import SoftqError, suggest

# how an id begins, the extra of softq that brings it, the module whose import registers it
EXTRAS = [("dm_control/", "dmc", "shimmy"), ("envpool/", "envpool", "envpool")]
EXTRAS += [
    (name, "robotics", "gymnasium_robotics") for name in ("PointMaze", "AntMaze", "Fetch", "Hand", "Adroit")
]
EXTRAS += [("FrankaKitchen", "robotics", "gymnasium_robotics"), ("Maze", "robotics", "gymnasium_robotics")]


def one_line(error: BaseException) -> str:
    """The message of `error` without line breaks or a final stop."""
    return " ".join(str(error).split()).rstrip(".")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the advice that Gymnasium and MuJoCo's compiler print for the authors of an environment."""
    printer = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mujoco.set_mju_user_warning(printer)


def register_extra(env_id: str) -> None:
    """Import the package that registers `env_id`; `SoftqError` names the extra when it is not installed."""
    for start, extra, module in EXTRAS:
        if env_id.startswith(start) and env_id not in gym.registry:
            try:
                gym.register_envs(importlib.import_module(module))
            except ImportError as error:
                raise SoftqError(
                    f'{env_id} needs an extra that is not installed; pip install "softq[{extra}]" '
                    f"({one_line(error)})."
                ) from None
            return


def make_vector(env_id: str, num_envs: int) -> gym.vector.VectorEnv:
    """`num_envs` copies of `env_id` without autoreset. Every failure is one line (`SoftqError`)."""
    register_extra(env_id)
    mode = {"autoreset_mode": gym.vector.AutoresetMode.DISABLED}
    settings: dict[str, Any] = {
        "vectorization_mode": "sync",
        "vector_kwargs": mode,
        "disable_env_checker": True,
    }
    try:
        with quiet():
            return gym.make_vec(env_id, num_envs=num_envs, **settings)
    except gym.error.UnregisteredEnv:
        known = [*gym.registry, *REGISTERED]
        raise SoftqError(
            f"unknown environment {env_id!r}.{suggest(env_id, known)} See `softq list`."
        ) from None
    except gym.error.DependencyNotInstalled as error:
        raise SoftqError(f"{env_id} needs a package that is not installed: {one_line(error)}.") from None
    except (
        gym.error.Error,
        ImportError,
        AttributeError,
        TypeError,
        ValueError,
        RuntimeError,
        OSError,
    ) as error:
        hint = suggest(env_id, [name for name in gym.registry if name != env_id])
        hint = hint if "mean" in hint else " See `softq list`."
        raise SoftqError(f"{env_id} cannot be made: {one_line(error)}.{hint}") from None


def check_spaces(env_id: str, observation: gym.Space, action: gym.Space) -> None:
    """`SoftqError` unless both spaces are real-valued boxes and the actions are bounded."""
    if not isinstance(action, gym.spaces.Box) or not np.issubdtype(action.dtype, np.floating):
        raise SoftqError(
            f"{env_id} has the action space {action}; softq needs real actions in a bounded Box. "
            "Choose a continuous task such as InvertedPendulum-v5."
        )
    if not (np.isfinite(action.low).all() and np.isfinite(action.high).all()):
        raise SoftqError(
            f"{env_id} has an unbounded action space ({one_line(ValueError(action))}); softq needs finite "
            "bounds. "
            "Wrap it with gymnasium.wrappers.RescaleAction or ClipAction under your own id."
        )
    if not isinstance(observation, gym.spaces.Box):
        raise SoftqError(
            f"{env_id} has {type(observation).__name__} observations; softq needs a Box of numbers. "
            "Wrap it with gymnasium.wrappers.FlattenObservation under your own id."
        )


class GymVector:
    """`len(seeds) * num_envs` environments of one id, stepped one after another on the host.

    Attributes: `env_id`, `num_envs` (N, all of them), `obs_dim`, `obs_dtype` (of the environment; here they are
    float32), `action_dim`, `max_steps` (None without a limit).
    """

    def __init__(self, env_id: str, num_envs: int = 1, seed: int | Sequence[int] = 0):
        """`num_envs` environments for each training seed in `seed`, each with a seed of its own."""
        seeds = [seed] if isinstance(seed, int) else list(seed)
        self.vector = make_vector(env_id, num_envs * len(seeds))
        self.num_envs = num_envs * len(seeds)
        # an id without its version means the newest; the version belongs to any result
        self.env_id = env_id if ":" in env_id else self.vector.envs[0].spec.id
        action, observation = self.vector.single_action_space, self.vector.single_observation_space
        check_spaces(env_id, observation, action)
        self.obs_dim, self.obs_dtype = int(np.prod(observation.shape)), observation.dtype
        self.action_dim = int(np.prod(action.shape))
        self.max_steps = self.vector.envs[0].spec.max_episode_steps
        self.low, self.high = action.low.astype(np.float64), action.high.astype(np.float64)
        self.dtype, self.action_shape = action.dtype, action.shape
        self.seeds = [
            int(np.random.SeedSequence([one, i]).generate_state(1)[0])
            for one in seeds
            for i in range(num_envs)
        ]
        self.fields = snapshot.physics_fields(self.vector.envs[0])

    def reset(self, done: np.ndarray | None = None) -> np.ndarray:
        """Start all episodes from the seeds, or only those where `done` `(N,)`. Returns all obs `(N,
        obs_dim)`.
        """
        # Gymnasium pops the mask out of the dict that it is given, hence a new dict each time
        options = None if done is None else {"reset_mask": np.array(done, bool)}
        obs, _ = self.vector.reset(seed=self.seeds if done is None else None, options=options)
        return self.flat(obs)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`(next_obs, reward, terminated, truncated)` for actions `(N, action_dim)` in [-1, 1].

        `next_obs` is the true successor; where an episode ended, `reset` it before the next step.
        """
        obs, reward, terminated, truncated, _ = self.vector.step(self.rescale(action))
        return self.flat(obs), np.array(reward, np.float32), terminated.copy(), truncated.copy()

    def rescale(self, action: np.ndarray) -> np.ndarray:
        """[-1, 1] -> the environment's box, affinely, without clipping."""
        unit = np.asarray(action, np.float64).reshape(-1, *self.action_shape)
        return (self.low + (unit + 1) / 2 * (self.high - self.low)).astype(self.dtype)

    def flat(self, obs: np.ndarray) -> np.ndarray:
        return np.array(obs, np.float32).reshape(self.num_envs, self.obs_dim)

    def get_state(self) -> dict[str, Any]:
        """The exact state: `text`, one JSON string per environment, and `physics` `(N, bytes)` uint8."""
        states = [snapshot.snapshot(env, self.fields) for env in self.vector.envs]
        return {"text": [text for text, _ in states], "physics": np.stack([data for _, data in states])}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, bit for bit."""
        self.reset()
        for env, text, physics in zip(self.vector.envs, state["text"], state["physics"], strict=True):
            snapshot.restore(env, self.fields, text, physics)

    def close(self) -> None:
        self.vector.close()

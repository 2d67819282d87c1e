"""A trial of whether the state of an environment can be saved: a copy that is put into it must go on as the original.

The trial finds state that no attribute of the environment reaches, in a library, a class or a global random generator.
"""

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from softq.envs import make
from softq.envs.adapter import Fault
from softq.envs.vector import HostVector
from softq.utils.errors import SoftqError

STEPS = 16  # random steps before the state is saved, and after


@contextlib.contextmanager
def own_randomness() -> Iterator[list[str]]:
    """Put the global generators of `random` and `numpy.random` back when the context ends.

    Yields a list that then names the generators from which something was drawn within the context.
    """
    # the generator of np.random.rand() and the other functions of its module
    shared = np.random.mtrand._rand
    before = shared.get_state(), random.getstate()
    drawn: list[str] = []
    try:
        yield drawn
    finally:
        after = shared.get_state(), random.getstate()
        drawn += ["numpy.random"] if repr(after[0]) != repr(before[0]) else []
        drawn += ["random"] if after[1] != before[1] else []
        shared.set_state(before[0])
        random.setstate(before[1])


def play(env: HostVector, rng: np.random.Generator, num: int) -> list[bytes]:
    """The bytes of all observations, rewards and flags of `num` random steps; an episode that ended is reset."""
    seen = []
    for _ in range(num):
        shown = env.step(rng.uniform(-1, 1, (1, env.action_dim)))
        done = shown[2] | shown[3]
        seen += [x.tobytes() for x in shown] + ([env.reset(done).tobytes()] if done.any() else [])
    return seen


def copy_of(env_id: str, seed: int, env_kwargs: Mapping[str, Any] | None) -> HostVector:
    """A vector of one copy of the environment `env_id`, which is none of softq's in JAX."""
    vector: Any = make(env_id, 1, seed, env_kwargs)
    return vector


def cannot_be_saved(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> str | None:
    """The reason why the state of the environment `env_id` cannot be saved exactly, or None when it can.

    The trial makes two copies of the environment and closes them again. An environment that fails in the trial counts
    as one that can be saved, since the training itself will report the failure.
    """
    with contextlib.ExitStack() as stack:
        drawn = stack.enter_context(own_randomness())
        try:
            first, second = (
                stack.enter_context(contextlib.closing(copy_of(env_id, seed, env_kwargs))) for seed in (1, 2)
            )
            for env in (first, second):
                env.reset()
                play(env, np.random.default_rng(env.seeds[0]), STEPS if env is first else 3)
            saved = first.get_state()
            original, restored = ([], [])
            for env, seen in ((first, original), (second, restored)):
                if env is second:
                    env.set_state(saved)
                rng = np.random.default_rng(3)
                seen += play(env, rng, STEPS)
                seen.append(env.reset(np.ones(1, bool)).tobytes())
                seen += play(env, rng, 4)
        except Fault:
            return None
        except SoftqError as error:
            return str(error)
    if drawn:
        return (
            f"it draws from the global generator of {' and of '.join(drawn)}; let it draw from self.np_random"
        )
    return None if original == restored else "a copy with the saved state did not go on as the original did"

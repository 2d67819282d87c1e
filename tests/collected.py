"""What a real training has stored, and whether some row of it leads from one episode into another."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from small import made

from softq.algorithms.base import Transition
from softq.training import TrainConfig
from softq.training.trainer import Trainer


def collected(env_id: str, steps: int = 40, num_envs: int = 3, **env_kwargs: Any) -> Transition:
    """The replay of a training with DDPG, uniform in half of its `steps`, in float64 `(steps, num_envs, ...)`."""
    config = TrainConfig(
        env=env_id,
        algorithm="ddpg",
        num_envs=num_envs,
        warmup=steps // 2 * num_envs,
        iterations=steps - steps // 2,
        batch_size=4,
        buffer_size=steps * num_envs,
        env_kwargs=env_kwargs,
    )
    trainer = Trainer(made("ddpg"), config)
    try:
        loop = trainer.start()
        for num, uniform in ((steps // 2, True), (steps - steps // 2, False)):
            loop = trainer.loop.run(trainer.algo, loop, trainer.keys, num, uniform)
    finally:
        trainer.close()
    assert int(loop.replay.added[0]) == steps * num_envs
    return jax.tree.map(
        lambda x: np.asarray(x[0], float).reshape(steps, num_envs, *x.shape[2:]), loop.replay.data
    )


def check_rows(
    rows: Transition,
    ends: np.ndarray,
    terminal: np.ndarray,
    after: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    starts: Callable[[np.ndarray], np.ndarray] | None = None,
    atol: float = 1e-5,
) -> None:
    """Assert that no row crosses a reset.

    `ends` and `terminal` `(steps, num_envs)` say after which steps an episode should end, and end truly; they are known
    from elsewhere. `after(obs, action)` is the true successor of one row, by another program or by hand; `starts(obs)`
    is whether an episode can start there, which few other observations satisfy.
    """
    np.testing.assert_array_equal(
        rows.discount == 0, terminal, "true ends, and only these, have a discount of 0"
    )
    goes_on = (rows.obs[1:] == rows.next_obs[:-1]).all(-1)
    np.testing.assert_array_equal(
        goes_on, ~ends[:-1], "a row begins where the last one ended, but for new episodes"
    )
    assert 0 < ends[:-1].sum() < ends[:-1].size / 2
    if after is not None:
        successors = applied(after, rows)
        np.testing.assert_allclose(rows.next_obs, successors, atol=atol, err_msg="successors of the actions")
    if starts is not None:
        first = np.concatenate([np.ones_like(ends[:1]), ends[:-1]])
        assert starts(rows.obs[first]).all() and starts(rows.obs[~first]).mean() < 0.1


def applied(after: Callable[[np.ndarray, np.ndarray], np.ndarray], rows: Transition) -> np.ndarray:
    """`after(obs, action)` of each row, `(steps, num_envs, obs_dim)`."""
    flat = [x.reshape(-1, x.shape[-1]) for x in (rows.obs, rows.action)]
    return np.array([after(*row) for row in zip(*flat, strict=True)]).reshape(rows.obs.shape)


def limited(terminal: np.ndarray, length: int) -> np.ndarray:
    """Where episodes end that end where `terminal` `(steps, num_envs)` says, or else after `length` steps."""
    ends, lasted = np.zeros_like(terminal), np.zeros(terminal.shape[1], int)
    for row, true_end in zip(ends, terminal, strict=True):
        lasted += 1
        row[:] = true_end | (lasted == length)
        lasted[row] = 0
    return ends


def pendulum(obs: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Gymnasium's Pendulum-v1 after one step, from its documentation: gravity 10, mass and length 1, torque to 2."""
    cosine, sine, speed = obs
    speed = np.clip(speed + 0.05 * (15 * sine + 3 * 2 * action[0]), -8, 8)
    angle = np.arctan2(sine, cosine) + 0.05 * speed
    return np.array([np.cos(angle), np.sin(angle), speed])

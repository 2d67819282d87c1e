"""What products in bfloat16 do to samplers: their laws on a critic whose softmax in single precision is known.

`python -m softq.experiments.precision results/precision.csv` fits a critic to the landscape "bandit" and writes a row
for each temperature, sampler and precision: the total variation between the actions of the sampler and the exact
softmax of the critic in single precision, over BINS^2 cells. "floor" is what as many exact draws have; "q_error" is the
largest error of Q over the centres of the cells, in units of the temperature: by that much a log-density is wrong. A
sampler that has no time to find the softmax is far from it in any precision; what the precision does is the difference.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax import Array

from softq import landscapes
from softq.algorithms.common.learner import Learner
from softq.exact.boltzmann import Boltzmann
from softq.experiments.script import run, write_table
from softq.networks import Critic
from softq.networks.precision import Precision, matmul_precision
from softq.samplers import registry

SAMPLERS = ("snis", "langevin", "mala", "qglg")
TEMPERATURES = (1.0, 0.1, 0.03, 0.01)  # Q has about the range 1
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
BUDGET, NUM, BINS = 100, 20_000, 20  # evaluations for an action; actions; cells along each axis
AT_ONCE = 500  # actions whose chains are in memory together
OBS = jnp.zeros(1)  # the critic's only state


def fitted(steps: int = 3000, batch: int = 256, hidden_sizes: tuple[int, ...] = (64, 64)) -> Critic:
    """A single critic that has learnt the landscape "bandit" in single precision, by Adam."""
    q, optimiser = landscapes.get("bandit"), optax.adam(optax.cosine_decay_schedule(2e-3, steps))

    def step(learner: Learner, key: Array) -> tuple[Learner, Array]:
        actions = jax.random.uniform(key, (batch, 2), minval=-1.0)
        values = jax.vmap(q)(actions)
        loss = lambda critic: (jnp.mean((jax.vmap(critic.at(OBS))(actions) - values) ** 2), None)
        learner, error, _ = learner.step(optimiser, loss)
        return learner, error

    key = jax.random.key(0)
    critic = Critic.create(key, OBS, jnp.zeros(2), hidden_sizes, num=1)
    learner = Learner.create(critic, optimiser)
    return jax.jit(lambda x: jax.lax.scan(step, x, jax.random.split(key, steps))[0])(learner).network


def centres(bins: int = BINS) -> np.ndarray:
    """The centres `(bins^2, 2)` of the cells."""
    line = (np.arange(bins) + 0.5) * 2 / bins - 1
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)


def draws(name: str, critic: Critic, keys: Array, temperature: Array) -> Array:
    """An action for each key by the sampler called `name`."""
    sampler: Any = registry.get(name).at_budget(BUDGET, 2)
    draw = lambda key: sampler(key, critic.at(OBS), 2, temperature).action
    return jax.lax.map(draw, keys, batch_size=AT_ONCE)


def table(critic: Critic, num: int = NUM, samplers: tuple[str, ...] = SAMPLERS) -> pd.DataFrame:
    """The laws of `samplers` on the critic by `num` draws, as described above."""
    values = {}
    for precision in PRECISIONS:
        with matmul_precision(precision):
            values[precision] = np.asarray(jax.jit(lambda c, a: jax.vmap(c.at(OBS))(a))(critic, centres()))
    wrong = np.abs(values["bfloat16"] - values["float32"]).max()
    rows = []
    with matmul_precision("float32"):
        laws = {temperature: Boltzmann(critic.at(OBS), temperature, dim=2) for temperature in TEMPERATURES}
    keys = jax.random.split(jax.random.key(1), num)
    for name in samplers:
        drawn = jax.jit(partial(draws, name))
        for temperature, exact in laws.items():
            for precision in PRECISIONS:
                with matmul_precision(precision):
                    actions = np.asarray(drawn(critic, keys, temperature))
                error = wrong / temperature if precision == "bfloat16" else 0.0
                floor = exact.tv_floor(num, BINS)
                rows.append((temperature, name, precision, num, exact.tv(actions, BINS), floor, error))
    columns = ["temperature", "sampler", "precision", "n", "tv", "floor", "q_error"]
    return pd.DataFrame(rows, columns=columns)


def command(argv: list[str]) -> None:
    """Write the table to the CSV file that `argv` names. Raises `SoftqError` for bad input."""
    write_table(argv, "precision", __doc__ or "", lambda: table(fitted()), digits=4)


if __name__ == "__main__":
    run(command)

"""A critic that acts through any sampler: the right landscape, the right temperature, and one line for bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from softq import landscapes
from softq.algorithms import DDSQ
from softq.algorithms.common.critic_policy import CriticPolicy
from softq.algorithms.common.learner import Learner
from softq.cli import main
from softq.exact.boltzmann import Boltzmann
from softq.exact.laws import softmax_law
from softq.exact.values import evaluate
from softq.samplers import SAMPLERS, StableStep, uniform_std
from softq.samplers.start import absolute_step
from softq.training import evaluate_run, train
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static


@pytree
class Known:
    """A critic whose landscape is known, in every state: six times a named one, and shifted by the observation."""

    name: str = static()
    action_dim: int = static(default=1)

    def at(self, obs):
        q = landscapes.get(self.name)
        return lambda action: 6 * q(action) + obs[0]


@pytree
class State:
    critic: Learner


def knowing(name):
    """A state whose critic is a landscape by name."""
    return State(Learner(Known(name), ()))


@jax.jit
def many_actions(through, keys):
    """Compiled once for each sampler, whatever its temperature."""
    return jax.vmap(partial(through.policy, knowing("twomode1"), jnp.array([7.0])))(keys)


def acts(through):
    return np.asarray(many_actions(through, jax.random.split(jax.random.key(1), 4000)), float)


# those that should come close to the softmax in one dimension
EXACT = ("isir", "langevin", "mala", "tempering")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_acts_in_the_box_and_the_good_ones_are_close(sampler):
    actions = acts(CriticPolicy(sampler, 1.2, 200))
    assert actions.shape == (4000, 1) and np.abs(actions).max() <= 1
    law = Boltzmann(landscapes.get("twomode1"), 0.2)
    distance, floor = law.tv(actions, 30), law.tv_floor(4000, 30)
    if sampler in EXACT:
        assert distance < floor + 0.03, distance
    if sampler in ("uniform", "greedy", "annealed"):
        assert distance > 0.3, "no softmax, and it shows"


def test_a_relative_temperature_is_that_share_of_the_spread():
    line = np.linspace(-1, 1, 4001, dtype=np.float32)[:, None]
    scale = float(jax.jit(lambda line: uniform_std(6 * jax.vmap(landscapes.get("twomode1"))(line)))(line))
    relative, absolute = (
        acts(CriticPolicy("isir", t, 200, a)) for t, a in ((0.5, DDSQ()), (0.5 * scale, None))
    )
    law = Boltzmann(landscapes.get("twomode1"), 0.5 * scale / 6)
    for actions in (relative, absolute):
        assert law.tv(actions, 30) < law.tv_floor(4000, 30) + 0.03
    assert law.tv(acts(CriticPolicy("isir", 0.5, 200)), 30) > 0.1, "an absolute 0.5 is another temperature"


def test_another_temperature_compiles_nothing():
    state, key, traces = knowing("quad1"), jax.random.key(0), []

    @jax.jit
    def act(through):
        traces.append(1)
        return through.policy(state, jnp.zeros(1), key)

    act(CriticPolicy("snis", 0.1)), act(replace(CriticPolicy("snis", 0.1), temperature=0.7))
    assert len(traces) == 1


def test_the_step_follows_temperature_and_curvature():
    quad, key = landscapes.get("quad1"), jax.random.key(0)  # its curvature is 2 everywhere
    step = jax.jit(lambda temperature: absolute_step(StableStep(), key, quad, 1, temperature))
    assert float(step(0.01)) == pytest.approx(0.25 * 4 * 0.01 / 2)
    assert float(step(10.0)) == pytest.approx(0.1), "never longer than that"


KNOTS, HEIGHTS = np.float32([[-1.0, -0.6, -0.2, 0.1, 0.5, 1.0], [0.0, 0.8, 0.1, 0.6, 1.0, 0.2]])
HIDDEN = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
KINKED = {  # without a second derivative; the last is a network of 32 ReLU units, in the units of the others
    "zigzag": lambda a: jnp.interp(a[0], KNOTS, HEIGHTS),
    "into a wall": lambda a: a[0],
    "relu": lambda a: jax.nn.relu(2 * HIDDEN[0] * a[0] + HIDDEN[1]) @ HIDDEN[2] / 5,
}


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("sampler", ["langevin", "mala", "tempering"])
def test_chains_sample_the_softmax_of_a_kinked_critic(sampler, name):
    """Total variation in 40 bins to quadrature, at two temperatures, far below that of uniform actions.

    Sampling alone puts it below sqrt(40 / 4000) / 2 = 0.05 on average, and above that by 0.042 with probability below
    1e-6 (McDiarmid); a Langevin chain of steps this short may be off by 0.03.
    """
    keys, bins, q = jax.random.split(jax.random.key(1), 4000), 40, KINKED[name]
    chosen = SAMPLERS[sampler].at_budget(200, 1)
    act = jax.jit(lambda t: jax.vmap(lambda k: chosen(k, q, 1, t).action)(keys))
    values = lambda x: evaluate(q, x.reshape(-1, 1)).reshape(x.shape)
    for temperature in (0.1, 0.03):
        exact = softmax_law(values, temperature, bins).probabilities
        found = np.histogram(act(temperature), bins, (-1, 1))[0] / len(keys)
        assert np.abs(found - exact).sum() / 2 < 0.05 + 0.042 + 0.03
        assert np.abs(1 / bins - exact).sum() / 2 > 0.35


def test_bad_input_is_one_line():
    with pytest.raises(SoftqError, match="Did you mean 'mala'"):
        CriticPolicy("mal")
    with pytest.raises(SoftqError, match="temperature must be positive"):
        CriticPolicy("mala", -1.0)
    with pytest.raises(SoftqError, match="budget must be positive"):
        CriticPolicy("mala", 0.1, 0)
    with pytest.raises(SoftqError, match="a budget of 5 is too small for isir; give more"):
        CriticPolicy("isir", 0.1, 5).policy(knowing("quad1"), jnp.zeros(1), jax.random.key(0))
    with pytest.raises(SoftqError, match="holds no critic"):
        CriticPolicy("mala").policy(Known("quad1"), jnp.zeros(1), jax.random.key(0))


def test_evaluate_a_run_through_a_sampler(tmp_path, capsys):
    tiny = DDSQ(hidden_sizes=(8,), num_candidates=4, num_schedules=2, num_steps=2)
    settings = {"num_envs": 2, "warmup": 20, "iterations": 4, "batch_size": 8, "eval_episodes": 2}
    run = train(tiny, "MultiGoal", out=tmp_path / "run", progress=False, **settings)
    table = evaluate_run(run.folder, 3, temperature=0.5, sampler="snis", budget=16)
    assert list(table["policy"]) == ["snis"] * 2 and set(table["temperature"]) == {0.5}
    again = evaluate_run(run.folder, 3, temperature=0.5, sampler="snis", budget=16)
    assert table.equals(again)
    folder = str(run.folder)
    assert main(["evaluate", folder, "--sampler", "mala", "--episodes", "1", "--budget", "4"]) == 0
    assert "mala" in capsys.readouterr().out
    out = tmp_path / "table.csv"
    assert main(["evaluate", folder, "--episodes", "2", "--temperature", "0.5", "--out", str(out)]) == 0
    rows = pd.read_csv(out)
    assert list(rows["seed"]) == ["0", "all"] and set(rows["temperature"]) == {0.5}
    assert set(rows["algorithm"]) == {"ddsq"} and set(rows["updates"]) == {4}
    assert rows["versions"].str.contains("jax=").all() and list(tmp_path.glob(".*")) == []
    for extra, message in (
        (["--out", str(tmp_path)], "name a file that ends in .csv"),
        (["--sampler", "mall"], "Did you mean 'mala'"),
        (["--sampler", "mala", "--policy", "exploit"], "leave --policy out"),
    ):
        assert main(["evaluate", folder, *extra]) == 2
        assert message in capsys.readouterr().err

"""The temperature means one thing: where it is learned, asked for on evaluation, handed to a sampler and logged."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import known_draws
from small import made as small

from softq.algorithms.common.critic_policy import CriticPolicy
from softq.cli import main
from softq.envs import Bandit
from softq.landscapes import get as landscape
from softq.samplers import SAMPLERS, Sample, Uniform
from softq.testing.probe import random_batch
from softq.training import evaluate, evaluate_run
from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig
from softq.training.run_directory import RunDirectory
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

OBS, DIM = jnp.ones(1), Bandit().action_dim
SEEDS, EPISODES = 2, 5
LEARNED = np.log([3.0, 0.5])  # of the temperature's factor, one for each seed
CYCLE = {"temperature_rule": "ddsq", "temperature_learning_rate": 0.1, "temperature_every": 1}
FREE = {"unit_slope": False}  # LQL and NC-LQL: slopes as they are, so that the temperature divides Q
SAC_RULE, FIXED_RULE = {"temperature_rule": "sac"}, {"temperature_rule": "fixed"}
STEP = {"step_size": 0.05}  # LQL: so that its few steps go far enough to tell two temperatures apart
SEVERAL = {"temperature_spread": 2.0}  # DQS: an actor that was trained at several temperatures
ADJUSTABLE = {
    "DDSQ": ("ddsq", {}),
    "DDSQ tuned": ("ddsq", CYCLE),
    "DDSQ in the unit of Q, tuned": ("ddsq", {"relative": False} | CYCLE),
    "LQL": ("lql", STEP),
    "LQL on Q": ("lql", FREE | STEP),
    "LQL on the sum of the twins": ("lql", FREE | STEP | {"twins": "sum"}),
    "NC-LQL": ("nclql", {}),
    "NC-LQL on Q, tuned": ("nclql", FREE | CYCLE),
    "NC-LQL on the sum of the twins, tuned": ("nclql", FREE | CYCLE | {"twins": "sum"}),
    "MALA-Q": ("malaq", FIXED_RULE),
    "MALA-Q tuned": ("malaq", {}),
    "MALA-Q normalised, tuned": ("malaq", {"relative": True}),
    "DQS of several temperatures": ("dqs", SEVERAL),
    "DQS of several temperatures, tuned": ("dqs", SEVERAL | SAC_RULE),
}
FIXED = {
    "DQS": ("dqs", {}),
    "DQS tuned": ("dqs", SAC_RULE),
    "MaxEntDP": ("maxentdp", {}),
    "MaxEntDP tuned": ("maxentdp", SAC_RULE),
    "SQL": ("sql", {}),
    "SAC": ("sac", FIXED_RULE),
    "SAC tuned": ("sac", {}),
}
NONE = {"DDPG": ("ddpg", {})}
ALL = ADJUSTABLE | FIXED | NONE
TUNED = [name for name in ALL if "tuned" in name]


def made(name):
    method, options = ALL[name]
    return small(method, **options)


@cache
def initial(method):
    """Fresh states of two seeds; of the options above only the rule changes them, by the temperature's own state."""
    algo = small(method)
    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    states = jax.jit(jax.vmap(lambda key: algo.init(key, OBS, jnp.zeros(DIM))))(keys)
    return jax.tree.map(np.asarray, states)


def learned(name, algo):
    """States of two seeds whose temperature has been learned, where it is, and that temperature `(2,)`."""
    states = initial(ALL[name][0])
    if algo.temperature is None:
        return states, np.full(SEEDS, np.nan)
    own = jax.tree.map(lambda x: np.stack([x] * SEEDS), algo.temperature.init(DIM))
    factor = LEARNED if algo.temperature.rule != "fixed" else np.zeros(SEEDS)
    own = replace(own, log_scale=np.float32(factor))
    return replace(states, temperature=own), algo.temperature.value * np.exp(factor)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Callable:
    """By name, made once: algorithm, states, temperature, and a run directory that ends there, as `train` writes it."""

    @cache
    def ended(name):
        algo, folder = made(name), tmp_path_factory.mktemp("ended") / "run"
        states, temperature = learned(name, algo)
        run = RunDirectory(folder)
        config = TrainConfig(algorithm=ALL[name][0], env="Bandit", seeds=SEEDS)
        run.create(algo, config, {"obs_dim": 1, "action_dim": DIM})
        Checkpoints(folder / "checkpoints").save(1, {}, learner=states, rest={"step": np.ones(1)})
        run.close()
        return algo, states, temperature, folder

    return ended


# plays the episodes of an evaluation by known draws, so that those of a seed are all the same
PLAY = jax.jit(evaluate._play.__wrapped__, static_argnames=("env", "episodes", "max_steps", "method"))


@jax.jit
def by_hand(algo, states, temperatures):
    """Reward of each seed in the bandit, whose reward is its landscape at `algo.policy`'s action, by known draws."""
    actions = jax.vmap(algo.policy, (0, None, None, 0))(states, OBS, jax.random.key(0), temperatures)
    return jax.vmap(landscape("bandit"))(actions)


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_evaluation_acts_at_the_temperature_that_is_asked_for(name, trained, monkeypatch):
    """Also after tuning, whose learned factor the question replaces; without a question the learned one acts."""
    (algo, states, own, run), means = trained(name), {}
    monkeypatch.setattr(evaluate, "_play", PLAY)
    for asked in (0.05, 5.0, None):
        played = np.full(SEEDS, asked) if asked else own
        with known_draws():
            table = evaluate_run(run, EPISODES, None if asked else "policy", asked)
            expected = by_hand(algo, states, np.float32(played))
        assert set(table["policy"]) == {"policy"}, "also where no policy is named, since a temperature is"
        means[asked] = table["return"].to_numpy()[:SEEDS]
        np.testing.assert_allclose(means[asked], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(table["temperature"], [*played, played.mean()], rtol=1e-5)
        assert set(table["unit"]) == {algo.temperature_unit}
    assert np.abs(means[0.05] - means[5.0]).max() > 5e-4, "ten times the tolerance, in one seed or both"
    with pytest.raises(
        SoftqError, match=r"^exploit acts at the temperature in force and takes no other; .*\.$"
    ):
        evaluate_run(run, 1, "exploit", 0.8)


@pytest.mark.parametrize("name", FIXED | NONE)
def test_a_policy_of_one_temperature_refuses_another_and_names_the_remedy(name, trained, capsys):
    algo, states, own, run = trained(name)
    state = jax.tree.map(lambda x: x[0], states)
    with pytest.raises(SoftqError, match="leave the temperature out, or sample its critic"):
        algo.policy(state, OBS, jax.random.key(0), 0.3)
    assert main(["evaluate", str(run), "--temperature", "0.3"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and type(algo).__name__ in message
    assert ("has no temperature" if name in NONE else "trained at one temperature") in message
    assert "--sampler mala --temperature X" in message
    remedy = ["--sampler", "snis", "--temperature", "0.3", "--episodes", "1", "--budget", "4"]
    assert main(["evaluate", str(run), *remedy]) == 0
    assert "0.3" in capsys.readouterr().out
    used = evaluate_run(run, 1, "policy")["temperature"][:SEEDS]
    if name in FIXED:
        np.testing.assert_allclose(used.tolist(), own, rtol=1e-5)


@jax.jit
def values(critic, actions):
    return jax.vmap(critic.at(OBS))(actions)


def divisor(algo, state, temperature):
    """What divides Q where the temperature is this, by the definitions of the methods; None where nothing does."""
    if algo.temperature_unit == "std of Q":  # over the fixed candidates of MALA-Q, over the box for DDSQ
        actions = np.random.default_rng(0).uniform(-1, 1, (20_000, DIM)).astype(np.float32)
        critic = state.critic.network
        pool = algo.pool(critic.at(OBS)) if hasattr(algo, "pool") else actions
        return temperature * np.asarray(values(critic, pool), float).std()
    if type(algo).__name__ in ("LQL", "NCLQL"):
        if algo.unit_slope:
            return None
        return temperature / 2 if algo.twins == "sum" else temperature
    return None if np.isnan(temperature) else temperature


@pytest.mark.parametrize("name", ALL)
def test_a_sampler_samples_at_the_temperature_in_force(name, trained, monkeypatch):
    """In the unit of Q; where no temperature divides Q, one must be given, and divides Q."""
    seen = []

    class Spy(Uniform):
        def __call__(self, key, q, dim, temperature):
            jax.debug.callback(lambda t: seen.append(float(t)), temperature)
            return Sample(jnp.zeros(dim), {})

    def heard(**how):
        seen.clear()
        table = evaluate_run(run, 1, sampler=f"spy on {name}", **how)
        jax.effects_barrier()
        return sorted(set(seen)), table

    monkeypatch.setitem(SAMPLERS, f"spy on {name}", Spy)  # a program of its own
    algo, states, own, run = trained(name)
    each = [jax.tree.map(lambda x, i=i: x[i], states) for i in range(SEEDS)]
    right = [divisor(algo, state, t) for state, t in zip(each, own, strict=True)]
    close = {"rtol": 0.1 if name.startswith("DDSQ") else 1e-4}  # DDSQ: a spread of 1000 actions
    if right[0] is None:
        with pytest.raises(SoftqError, match=r"no temperature divides Q in .*; give one in the unit of Q"):
            heard()
        temperatures, table = heard(temperature=0.3)
        np.testing.assert_allclose(temperatures, 0.3, **close)
        assert set(table["unit"]) == {"Q"} and set(table["temperature"]) == {0.3}
    else:
        temperatures, table = heard()
        np.testing.assert_allclose(temperatures, sorted(set(right)), **close)
        np.testing.assert_allclose(table["temperature"][:SEEDS].tolist(), own, rtol=1e-5)
        given = sorted({divisor(algo, state, 0.3) for state in each})
        np.testing.assert_allclose(heard(temperature=0.3)[0], given, **close)


def test_a_bare_critic_must_be_told_a_temperature():
    state = jax.tree.map(lambda x: x[0], initial("ddsq"))
    with pytest.raises(SoftqError, match="no temperature divides Q in a bare critic; give one"):
        jax.jit(CriticPolicy("snis").policy)(state, OBS, jax.random.key(0))


def test_the_sum_of_the_twins_at_a_temperature_is_their_mean_at_half_of_it():
    """The same chain, action for action: so half of the temperature is what divides Q."""
    total, mean = (small("lql", unit_slope=False, twins=twins, step_size=0.01) for twins in ("sum", "mean"))
    state = jax.jit(total.init)(jax.random.key(0), OBS, jnp.zeros(DIM))
    keys = jax.random.split(jax.random.key(1), 20)
    act = jax.jit(lambda algo, t: jax.vmap(lambda key: algo.policy(state, OBS, key, t))(keys))
    half = total.temperature_of(state, OBS, 0.3)
    np.testing.assert_allclose(act(total, 0.3), act(mean, half), atol=1e-5)
    assert np.abs(act(total, 0.3) - act(mean, 0.3)).max() > 1e-3


@pytest.mark.parametrize("name", TUNED)
def test_the_logged_temperature_is_the_one_in_force_before_the_step(name, trained):
    algo, states, own, _ = trained(name)
    state, key = jax.tree.map(lambda x: x[0], states), jax.random.key(0)
    batch = random_batch(key, 8, 1, DIM)

    @jax.jit  # what neither of the two needs is not compiled
    def logged_and_moved(algo, state, batch, key):
        after, metrics = algo.update(state, batch, key)
        return metrics["temperature"], algo.current_temperature(after)

    logged, moved = logged_and_moved(algo, state, batch, key)
    np.testing.assert_allclose(logged, own[0], rtol=1e-5)
    assert float(moved) != pytest.approx(own[0], rel=1e-5), "and the step has moved it"

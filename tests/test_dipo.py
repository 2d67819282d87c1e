"""DIPO: updates against NumPy by hand, the replay that keeps climbed actions, also across a resume; its settings."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from by_hand import (
    ACT,
    KEYS,
    OBS,
    Adam,
    ScoreByHand,
    action_gradient,
    apart,
    differences,
    float64,
    known_draws,
    mish,
    normals,
    polyak,
    reduced,
    regression,
    smaller,
    some_batch,
    three_updates,
    twins_of,
    uniforms,
)
from small import with_preset

from softq.algorithms import DIPO
from softq.algorithms.base import Transition
from softq.diffusion import CosineVP, DiffusionPolicy, ancestral
from softq.training import Replay, resume, train
from softq.training.loop import learn, seen
from softq.utils.flat_settings import flat
from softq.utils.pytree import pytree, replace

BATCH, SCHEDULE = 8, CosineVP()
SMALL = {
    "hidden_sizes": (6, 5),
    "learning_rate": 0.01,
    "actor_learning_rate": 0.02,
    "gradient_norm": 0.5,
    "polyak": 0.1,
    "discount": 0.9,
    "num_steps": 4,
    "num_ascents": 4,
    "ascent_rate": 0.1,
}
TINY = {"num_steps": 2, "num_ascents": 2, "hidden_sizes": (4,)}


@pytree
class Known(DiffusionPolicy):
    """A known action, by which networks can be told apart."""

    def sample(self, obs, key, condition=()):
        return jnp.tanh(obs[:ACT] + self.network.params["out"]["bias"])


@pytree
class Stubbed(DIPO):
    def diffusion(self, network):
        return Known(**vars(super().diffusion(network)))


ALGO = Stubbed(**SMALL)


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(ALGO.init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, actor=0.1, actor_target=1.0)


def learned(state):
    critics = twins_of(state.critic.network), twins_of(state.critic.target)
    actors = float64(dict(state.actor.network.params)), float64(dict(state.actor.target.params))
    return [*critics, *actors]


# Updates, by hand


def clipped(gradients, norm):
    size = np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(gradients)))
    return jax.tree.map(lambda x: x * min(1, norm / size), gradients)


def climbed(twins, obs, action, steps=SMALL["num_ascents"], rate=SMALL["ascent_rate"]):
    """The actions `(B, d)` after steps of an Adam of their own up the smaller twin, each step clipped to the box."""
    m = v = np.zeros_like(action)
    for t in range(1, steps + 1):
        _, slope = reduced([action_gradient(layers, obs, action, mish) for layers in twins])
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        move = rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-5)
        action = np.clip(action + move, -1, 1)
    return action


class ByHand:
    """One update of critic, replayed actions and actor in float64. `fault` makes one mistake on purpose."""

    def __init__(self, fault=""):
        self.fault = fault
        self.critic, self.target, _, self.slow = learned(fresh())
        self.actor = ScoreByHand(fresh().actor.network)
        self.critic_adam = Adam(self.critic, ALGO.learning_rate)
        self.actor_adam = Adam(self.actor.params, ALGO.actor_learning_rate)

    def learned(self):
        return [self.critic, self.target, self.actor.params, self.slow]

    def looser(self):
        critics = jax.tree.map(np.ones_like, (self.critic, self.target))
        return [*critics, self.actor_adam.looser, self.actor_adam.looser]

    def update(self, batch):
        norm = np.inf if self.fault == "no clip" else ALGO.gradient_norm
        slow = self.actor.params if self.fault == "online actor" else self.slow
        action = np.tanh(batch.next_obs[:, :ACT] + slow["out"]["bias"])
        value = smaller(
            self.critic if self.fault == "online critic" else self.target, batch.next_obs, action, mish
        )
        y = ALGO.reward_scale * batch.reward + ALGO.discount * batch.discount * value
        before, start = self.critic, batch.action if batch.revised is None else batch.revised
        start = batch.action if self.fault == "executed" else start
        given = climbed(before, batch.obs, start) if self.fault == "critic too" else batch.action
        loss, gradients, q_mean = regression(self.critic, batch.obs, given, y, mish)
        self.critic = self.critic_adam.step(self.critic, clipped(gradients, norm))
        self.target = polyak(self.critic, self.target, ALGO.polyak)
        by = {"old critic": before, "target critic": self.target}.get(self.fault, self.critic)
        self.climbed = start if self.fault == "no climb" else climbed(by, batch.obs, start)
        nodes = np.linspace(SCHEDULE.t_max, SCHEDULE.t_min, 5)
        t = np.float32(nodes[int(4 * uniforms()) + (self.fault == "level")])
        signal, noise = float(SCHEDULE.signal(t)), float(SCHEDULE.noise(t))
        noisy = signal * self.climbed + noise * normals(ACT)
        log_snr = np.full((BATCH, 1), 2 * (np.log(signal) - np.log(noise)))
        error = self.actor.outputs(batch.obs, noisy, log_snr) - normals(ACT)
        gradients = self.actor.gradients(2 * error / BATCH)
        self.actor.params = self.actor_adam.step(self.actor.params, clipped(gradients, norm))
        self.slow = polyak(self.actor.params, self.slow, ALGO.polyak)
        actor_loss = np.mean(np.sum(error**2, 1))
        return {"critic_loss": loss, "q_mean": q_mean, "target_mean": y.mean(), "actor_loss": actor_loss}


@cache
def trained():
    return three_updates(ALGO, fresh(), BATCH, learned)


def test_updates_equal_those_by_hand():
    metrics, parameters = differences(trained(), ByHand(), BATCH, floor=1)
    assert metrics < 5e-5
    assert parameters < 5e-5


@pytest.mark.parametrize(
    "fault",
    [
        "online critic",
        "online actor",
        "no clip",
        "critic too",
        "old critic",
        "target critic",
        "no climb",
        "level",
    ],
)
def test_a_mistake_in_the_update_shows(fault):
    """The online networks in the target; gradients of any length; a critic that learns from climbed actions.

    The critic of before the update, or the target's, as the hill; no climb; the next level of the diffusion.
    """
    metrics, parameters = differences(trained(), ByHand(fault), BATCH, floor=1)
    assert metrics > 1e-3
    assert parameters > 1e-3


# What the replay keeps


@cache
def after_one():
    """A batch with revised actions, and what one update makes of it: `(batch, metrics, actions)`."""
    batch = some_batch(KEYS[0], BATCH)
    batch = replace(batch, revised=jnp.tanh(batch.action + 0.7))
    batch = jax.tree.map(lambda x: x.at[3].set(x[5]), batch)  # one row twice
    with known_draws():
        update = jax.jit(lambda *given: ALGO.update_and_revise(*given))
        _, metrics, actions = update(fresh(), batch, KEYS[0])
    return batch, metrics, actions


@pytest.mark.parametrize("fault", ["", "executed"])
def test_a_climb_goes_on_where_the_last_one_ended(fault):
    """And not at the executed action; the critic learns from the latter all the same."""
    batch, metrics, actions = after_one()
    by_hand = ByHand(fault)
    expected = by_hand.update(float64(batch))
    off = np.abs(actions - by_hand.climbed).max(), abs(metrics["actor_loss"] - expected["actor_loss"])
    assert min(off) > 0.01 if fault else max(off) < 1e-5
    assert float(metrics["critic_loss"]) == pytest.approx(expected["critic_loss"], rel=1e-5)


def test_a_row_that_was_drawn_twice_has_one_climbed_action():
    _, _, actions = after_one()
    np.testing.assert_array_equal(actions[3], actions[5])
    assert len(np.unique(np.asarray(actions), axis=0)) == BATCH - 1


def a_step(algo):
    """A replay of seven transitions, and one step of learning from it: `(replay, (state, sums, revision))`."""
    state = algo.init(jax.random.key(0), jnp.zeros(OBS), jnp.zeros(ACT))
    batch = some_batch(KEYS[1], 7)
    rows = seen(algo, batch.obs, batch.action, batch.reward, batch.discount, batch.next_obs, None)
    replay = Replay.create(jax.tree.map(lambda x: x[0], rows), 9).add(rows)
    sums = {name: jnp.zeros(()) for name in ("critic_loss", "q_mean", "target_mean", "actor_loss")}
    return replay, learn(
        algo, state, replay, sums, KEYS[2], jnp.asarray(0), batch_size=4, num_envs=1, n_step=1
    )


def test_climbed_actions_replace_the_stored_ones_and_nothing_else():
    replay, (state, _, (where, actions)) = jax.jit(lambda: a_step(DIPO(**TINY)))()
    after = replay.revise(where, actions)
    twins, rows = twins_of(state.critic.network), float64(replay.data)
    at = np.unique(where)
    assert 0 < len(at) < 7
    expected = rows.revised.copy()
    expected[at] = climbed(twins, rows.obs[at], rows.action[at], TINY["num_ascents"], DIPO().ascent_rate)
    np.testing.assert_allclose(after.data.revised, expected, atol=1e-5)
    assert np.abs(expected[at] - rows.action[at]).max(1).min() > 1e-3
    for name in ("obs", "action", "reward", "discount", "next_obs"):
        np.testing.assert_array_equal(getattr(after.data, name), getattr(replay.data, name))
    assert int(after.added) == 7


def test_the_code_keeps_the_executed_actions():
    replay, (_, _, revision) = jax.eval_shape(lambda: a_step(DIPO(**TINY, revises=False)))
    assert replay.data.revised is None and revision is None


SETTINGS = {"num_envs": 2, "seeds": 2, "warmup": 8, "batch_size": 4, "log_every": 10, "eval_every": 20}
SETTINGS |= {"checkpoint_every": 10, "eval_episodes": 1, "progress": False, "buffer_size": 50}


def stored(folder, step):
    """All arrays of the checkpoint but those of the learner, by path."""
    with ocp.CheckpointManager((folder / "checkpoints").absolute()) as manager:
        items = {"rest": ocp.args.StandardRestore(), "meta": ocp.args.JsonRestore()}
        found = manager.restore(step, args=ocp.args.Composite(**items))
    names = [path for path, *_ in found.meta["names"]["rest"]]
    return {names[int(number)]: np.asarray(value) for number, value in found.rest.items()}


@pytest.mark.parametrize("env", ["MultiGoal", "InvertedPendulum-v5"])
def test_a_run_that_is_resumed_goes_on_with_the_climbed_actions(env, tmp_path):
    """In a replay that is full, so that new rows and climbed ones meet; on the device and on the host."""
    algo = DIPO(**TINY)
    whole = train(algo, env, out=tmp_path / "whole", iterations=40, **SETTINGS)
    train(algo, env, out=tmp_path / "part", iterations=25, **SETTINGS)
    resumed = resume(tmp_path / "part", progress=False, iterations=40)
    for a, b in zip(jax.tree.leaves(resumed.states), jax.tree.leaves(whole.states), strict=True):
        np.testing.assert_array_equal(a, b)
    one, other = (stored(tmp_path / name, 44) for name in ("part", "whole"))
    assert one.keys() == other.keys()
    for path, value in one.items():
        np.testing.assert_array_equal(value, other[path], err_msg=path)
    revised, action = (
        next(one[p] for p in one if p.endswith(f".replay.data.{n}")) for n in ("revised", "action")
    )
    moved = (revised != action).any(-1)
    assert moved.any(1).all() and not moved.all(1).any()  # old rows have climbed, new ones have not


# The policy


def test_the_policy_is_the_chain_of_the_target_actor(key):
    """The ancestral one with the variance of the posterior; the actor itself gathers data and is reported."""
    algo, state = DIPO(**SMALL), fresh()
    obs, keys = jnp.array([0.3, -0.5, 1.0]), jax.random.split(key, 16)

    def chain(network, variance="posterior"):
        noise = lambda a, t: network(obs, a, jnp.atleast_1d(SCHEDULE.log_snr(t)))
        return jax.jit(jax.vmap(lambda key: ancestral(key, noise, ACT, SCHEDULE, 4, variance)))(keys)

    acted = lambda how: jax.jit(jax.vmap(lambda key: how(state, obs, key)))(keys)
    online, target = state.actor.network, state.actor.target
    np.testing.assert_allclose(acted(algo.policy), chain(target), atol=1e-5)
    np.testing.assert_allclose(acted(algo.explore), chain(online), atol=1e-5)
    assert DIPO.exploit is DIPO.explore
    assert np.abs(chain(target) - chain(online)).max() > 0.01
    assert np.abs(chain(online) - chain(online, "beta")).max() > 0.01


# Settings


def test_defaults_are_those_of_the_paper():
    """Typed from the two tables of hyper-parameters of Yang et al. (2023)."""
    expected = {
        "discount": 0.99,
        "learning_rate": 3e-4,
        "actor_learning_rate": 3e-4,
        "gradient_norm": 2.0,
        "polyak": 0.005,
        "reward_scale": 1.0,
        "num_ascents": 20,
        "ascent_rate": 0.03,
        "revises": True,
        "num_steps": 100,
        "hidden_sizes": (256, 256),
        "activation": "mish",
    }
    assert flat(DIPO()) == expected


def test_the_code_has_its_settings():
    """Typed from the released code, `model.py`; and from `replay_memory.py`, whose `replace` changes nothing."""
    code = flat(with_preset(DIPO, "code"))
    assert code == flat(DIPO()) | {"revises": False, "hidden_sizes": (256, 256, 256)}
    stored, climbed = np.zeros((4, 2)), np.ones((2, 2))
    np.copyto(stored[np.array([1, 3])], climbed)  # as it is written there
    assert not stored.any()


def test_transitions_of_other_methods_are_as_before():
    assert jax.tree.structure(Transition(*range(5))).num_leaves == 5

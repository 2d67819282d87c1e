"""The policy of a run as an object: what it returns, in which form and unit, what it compiles and what it refuses."""

from types import SimpleNamespace

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import made

import softq
from softq.algorithms.common.critic_policy import acting
from softq.exact.boltzmann import Boltzmann
from softq.policies.export import digest, exported, in_units
from softq.policies.observations import rows
from softq.policies.policy import Policy, actions
from softq.training import TrainConfig, load_run, train
from softq.training.normalise import Moments, Normalised
from softq.utils.errors import SoftqError

SETTINGS = {"seeds": 2, "num_envs": 2, "warmup": 8, "iterations": 0, "log_every": 8, "batch_size": 4}
SETTINGS |= {"eval_every": 8, "eval_episodes": 1, "progress": False, "seed": 5}
OBS = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run of LQL, whose policy acts at any temperature."""
    path = tmp_path_factory.mktemp("runs") / "run"
    train(made("lql", unit_slope=False, step_size=0.1, temperature=1.0), "MultiGoal", out=path, **SETTINGS)
    return path


@pytest.fixture
def policy(folder):
    return softq.load(folder)


class Arm(gym.Env):
    """Two angles and one of three modes are observed; the bounds of its actions are not symmetric."""

    observation_space = gym.spaces.Dict(
        {"angle": gym.spaces.Box(-4, 4, (2,)), "mode": gym.spaces.Discrete(3)}
    )
    action_space = gym.spaces.Box(np.float32([0.1, -2.0]), np.float32([0.7, 6.0]))

    def reset(self, seed=None, options=None):
        return self.observation_space.sample(), {}


gym.register("Arm-v0", Arm)


def untrained(name, env="MultiGoal", obs_dim=2, **settings):
    """A policy with fresh networks."""
    algo = made(name, **settings)
    state = algo.init(jax.random.key(3), jnp.zeros(obs_dim), jnp.zeros(2))
    return Policy(algo, state, TrainConfig(env=env, algorithm=name))


def test_load_is_the_newest_learner_of_one_seed(folder):
    second = softq.load(folder, index=1)
    algo, state, config = load_run(folder, 1)
    assert (second.algo, second.config, second.seed) == (algo, config, 6)
    assert digest(second.state) == digest(state) != digest(softq.load(folder).state)
    assert second.temperature == pytest.approx(float(algo.current_temperature(state)))
    assert repr(second) == "<softq policy: lql in MultiGoal, training seed 6>"
    with pytest.raises(SoftqError, match="has 2 seeds"):
        softq.load(folder, index=2)
    with pytest.raises(SoftqError, match="keeps no best learner"):
        softq.load(folder, checkpoint="best")


def test_one_observation_or_a_batch(policy):
    """Each row has its own randomness, and its action does not depend on the rows beside it."""
    batch = policy(OBS, key=4)
    assert batch.shape == (6, 2) and batch.dtype == np.float32 and (np.abs(batch) <= 1).all()
    one = policy(OBS[0], key=4)
    assert one.shape == (2,)
    np.testing.assert_allclose(one, batch[0], atol=1e-5)
    np.testing.assert_allclose(policy(OBS[:3], key=4), batch[:3], atol=1e-5)
    same = policy(np.repeat(OBS[:1], 6, 0), key=4)
    assert len(np.unique(same, axis=0)) == 6
    assert policy(np.zeros((0, 2))).shape == (0, 2)
    assert policy(OBS.tolist(), key=4).tolist() == batch.tolist()


def test_actions_have_the_units_of_the_environment():
    """The bounds are reached and not passed; a Discrete part is one-hot and comes second, in the order of the space."""
    arm = untrained("ddpg", "Arm-v0", obs_dim=5)
    one = {"angle": np.array([0.5, -1.0]), "mode": 2}
    flat = jnp.array([0.5, -1.0, 0.0, 0.0, 1.0])
    unit = np.asarray(jax.jit(arm.algo.exploit)(arm.state, flat, jax.random.key(0)), float)
    expected = [0.4 + 0.3 * unit[0], 2.0 + 4.0 * unit[1]]
    action = arm(one)
    np.testing.assert_allclose(action, expected, atol=1e-6)
    assert arm.action_space.contains(action)
    several = arm({"angle": np.array([[0.5, -1.0], [2.0, 2.0]]), "mode": np.array([2, 0])})
    np.testing.assert_allclose(several[0], expected, atol=1e-6)
    assert several.shape == (2, 2) and abs(several[1] - several[0]).max() > 1e-4
    for wrong, message in [
        ({"angle": np.zeros(2)}, "lacks the key 'mode'"),
        ({"angle": np.zeros(2), "mode": 3}, r"\['mode'\] 3 is not in Discrete\(3\)"),
        ({"angle": np.zeros((2, 2)), "mode": np.array([1])}, "out of bounds"),
        ([0.5, -1.0, 2], "lacks the key 'angle'"),
    ]:
        with pytest.raises(SoftqError, match=f"^Arm-v0 cannot have given this: .*{message}"):
            arm(wrong)


@pytest.mark.parametrize(
    ("space", "one", "flat"),
    [
        (gym.spaces.Discrete(4), 2, [0, 0, 1, 0]),
        (gym.spaces.Discrete(4), np.int64(3), [0, 0, 0, 1]),
        (gym.spaces.MultiBinary(3), np.array([1, 0, 1], np.int8), [1, 0, 1]),
        (gym.spaces.Box(0, 255, (2, 2), np.uint8), np.array([[1, 2], [3, 4]], np.uint8), [1, 2, 3, 4]),
        (gym.spaces.Tuple([gym.spaces.Discrete(2), gym.spaces.Box(-1, 1, (1,))]), (1, [0.5]), [0, 1, 0.5]),
    ],
)
def test_forms_of_observations(space, one, flat):
    found, batch = rows(space, one, "Own-v0")
    assert (found.tolist(), found.dtype, batch) == ([flat], np.float32, False)
    many = (
        tuple(np.stack([np.asarray(x)] * 4) for x in one) if isinstance(one, tuple) else np.stack([one] * 4)
    )
    found, batch = rows(space, many, "Own-v0")
    assert (found.tolist(), batch) == ([flat] * 4, True)


def test_without_a_key_equal_policies_draw_alike(folder):
    """The first call has the key 0, the second the key 1; a call with a key is not counted."""
    one, other = softq.load(folder), softq.load(folder)
    draws = [one(OBS[0]) for _ in range(2)]
    other(OBS[0], key=jax.random.key(8))
    np.testing.assert_array_equal([other(OBS[0]) for _ in range(2)], draws)
    np.testing.assert_array_equal([one(OBS[0], key=i) for i in range(2)], draws)
    assert abs(draws[0] - draws[1]).max() > 1e-4
    for key in (jax.random.key(1), jax.random.PRNGKey(1), np.int64(1)):
        np.testing.assert_array_equal(one(OBS[0], key=key), draws[1])


def test_deterministic_is_the_action_whose_return_is_reported():
    policy = untrained("sac")
    algo, state = policy.algo, policy.state
    reported = jax.vmap(lambda obs: algo.exploit(state, obs, jax.random.key(9)))(OBS)
    np.testing.assert_allclose(policy(OBS, deterministic=True), reported, atol=1e-5)
    np.testing.assert_array_equal(
        policy(OBS, deterministic=True, key=1), policy(OBS, deterministic=True, key=2)
    )


def test_another_temperature_or_key_compiles_nothing(policy):
    policy(OBS, temperature=0.3), policy(OBS, sampler="snis", temperature=1.0)
    before = actions._cache_size()
    for i in range(3):
        policy(OBS[: 5 + i % 2], temperature=0.5 + i, key=i)
        policy(OBS, sampler="snis", temperature=np.float32(0.5 + i), key=jax.random.key(i))
        policy(OBS, temperature=1 + i)
    assert actions._cache_size() == before
    policy(OBS[:4], temperature=0.3)  # the next smaller power of two
    assert actions._cache_size() == before + 1


def test_a_temperature_reaches_the_policy(policy):
    """Cold actions have the largest Q, which tells one temperature from another."""
    q = jax.vmap(policy.landscape(OBS[0]))
    many = np.repeat(OBS[:1], 256, 0)
    cold, hot = (np.asarray(q(policy(many, temperature=t, key=0))) for t in (0.01, 20.0))
    assert cold.mean() > hot.mean() + 0.1 * np.ptp(hot)


def test_the_landscape_is_the_smaller_critic_in_the_unit_of_returns():
    policy = untrained("lql", unit_slope=False, twins="sum")
    assert policy.algo.reward_scale == pytest.approx(0.2)
    action = jnp.array([0.3, -0.8])
    twins = np.asarray(policy.critic(jnp.asarray(OBS[1]), action))
    assert twins.shape == (2,) and twins[0] != twins[1]
    landscape = policy.landscape(OBS[1])
    assert landscape.dim == 2 and float(landscape(action)) == pytest.approx(twins.min() / 0.2, rel=1e-5)
    # this temperature divides the sum of the twins, 2 Q; nothing divides Q where slopes are normalised
    assert policy.divisor(OBS[1], 0.1) == pytest.approx(0.1 / 2 / 0.2)
    assert policy.divisor(OBS[1]) == pytest.approx(policy.temperature / 2 / 0.2)
    assert untrained("lql").divisor(OBS[1], 0.1) is None


def test_a_policy_that_has_learnt_from_normalised_observations_is_given_raw_ones():
    """By hand: less the mean (1, 2), divided by the standard deviations (0.5, 2)."""
    plain = untrained("ddpg")
    zero = jnp.zeros(2)
    moments = Moments(jnp.array(7), jnp.array([1.0, 2.0]), jnp.array([0.25, 4.0]), zero, zero)
    state = softq.algorithms.base.replace(plain.state, observed=moments)
    policy = Policy(Normalised(plain.algo), state, plain.config)
    by_hand = (OBS - np.float32([1, 2])) / np.float32([0.5, 2])
    expected = plain(by_hand, deterministic=True)
    np.testing.assert_allclose(policy(OBS, deterministic=True), expected, atol=1e-5)
    np.testing.assert_allclose(exported(policy)[0].call(OBS, 0), expected, atol=1e-5)
    values = [float(one.landscape(obs)(jnp.ones(2))) for one, obs in ((policy, OBS[0]), (plain, by_hand[0]))]
    assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_a_sampler_follows_the_softmax_of_the_landscape():
    """Means of Q by draws of MALA and by quadrature differ by less than five standard errors; p < 1e-6."""
    policy = untrained("dqs", reward_scale=0.5)
    temperature, num = 0.1, 2048
    law = Boltzmann(policy.landscape(OBS[2]), policy.divisor(OBS[2], temperature))
    assert law.temperature == pytest.approx(0.2)
    drawn = policy(np.repeat(OBS[2:3], num, 0), temperature, sampler="mala", key=1, budget=60)
    values = np.asarray(jax.vmap(policy.landscape(OBS[2]))(drawn), float)
    score = lambda law: abs(values.mean() - law.mean_value) / np.sqrt(law.var_value / num)
    assert score(law) < 5
    assert (
        score(law.at(0.1)) > 5 and score(law.at(0.4)) > 5
    )  # as if the unit were forgotten, or counted twice


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p: p(OBS[:, :1]),
            r"has the shape \(6, 1\); MultiGoal observes \(2,\), and a batch is \(n, 2\)",
        ),
        (lambda p: p(OBS[None]), r"has the shape \(1, 6, 2\); MultiGoal observes"),
        (lambda p: p("north"), "the observation is a str that is no array of numbers"),
        (lambda p: p([[0.0], [0.0, 1.0]]), "the observation is a list that is no array of numbers"),
        (lambda p: p(0.0), r"has the shape \(\); MultiGoal observes"),
        (lambda p: p([0.0, np.inf]), "the observation holds inf at place 1"),
        (lambda p: p([[0.0, 0.0], [np.nan, 1.0]]), "observation 1 holds nan at place 0"),
        (lambda p: p(OBS, temperature=0.0), "temperature must be positive and finite, got 0"),
        (lambda p: p(OBS, temperature=1.0, deterministic=True), "takes no other"),
        (lambda p: p(OBS, sampler="malla"), "unknown sampler 'malla'. Did you mean 'mala'"),
        (lambda p: p(OBS, sampler="mala", deterministic=True), "leave deterministic=True out"),
        (lambda p: p(OBS, key=-1), "key is -1; give a whole number from 0"),
        (lambda p: p(OBS, key=jax.random.split(jax.random.key(0))), "or one key of JAX"),
        (lambda p: p.landscape(OBS), "takes one observation, and not a batch of 6"),
        (lambda p: exported(p, deterministic=True, sampler="mala"), "leave --deterministic out"),
        (lambda p: exported(p, sampler="malla"), "Did you mean 'mala'"),
    ],
)
def test_bad_input_is_one_line(policy, call, message):
    with pytest.raises(SoftqError, match=message) as error:
        call(policy)
    assert "\n" not in str(error.value)


def test_a_temperature_that_a_method_cannot_have():
    policy = untrained("sac")
    with pytest.raises(SoftqError, match=r"SAC acts by an actor .* sampler='mala'"):
        policy(OBS, temperature=1.0)
    with pytest.raises(SoftqError, match="temperature must be positive"):
        acting(policy.algo, sampler="mala", temperature=-1.0)


def test_an_action_that_is_not_finite_is_not_returned():
    policy = untrained("ddpg")
    broken = jax.tree.map(lambda x: x * np.nan, policy.state.actor)
    policy.state = softq.algorithms.base.replace(policy.state, actor=broken)
    with pytest.raises(SoftqError, match="an action of ddpg is not finite"):
        policy(OBS)


@pytest.mark.parametrize("name", ["ddpg", "sac", "lql"])
def test_the_exported_program_returns_what_the_policy_does(name, policy):
    policy = policy if name == "lql" else untrained(name)
    program, names = exported(policy)
    assert program.platforms == ("cpu", "cuda")
    act = jax.jit(program.call)
    adjustable = name == "lql"
    assert names == (("obs", "temperature", "seed") if adjustable else ("obs", "seed"))
    for num, seed in ((6, 3), (3, 4)):
        given = {"temperature": 0.7} if adjustable else {}
        got = np.asarray(act(OBS[:num], *given.values(), seed))
        np.testing.assert_allclose(got, policy(OBS[:num], **given, key=seed), atol=1e-5)


def test_every_kind_of_program_can_be_exported(policy):
    """With its arguments: by a chain, by an actor that is a diffusion, the action that is reported, by a sampler."""
    made = [exported(untrained(name)) for name in ("nclql", "dqs")]
    made += [exported(policy), exported(policy, deterministic=True), exported(policy, sampler="snis")]
    assert [names[1:] for _, names in made] == [
        ("temperature", "seed"),
        ("seed",),
        ("temperature", "seed"),
        ("seed",),
        ("temperature", "seed"),
    ]
    assert all(program.out_avals[0].dtype == np.float32 for program, _ in made)


def test_a_program_scales_as_softq_envs_rescale_does():
    """To the last digit, at the bounds too, which single precision would pass: 0.4 + 0.3 = 0.70000005."""
    space = SimpleNamespace(low=np.float32([0.1, -2.0]), high=np.float32([0.7, 6.0]))
    unit = np.float32([[1, 1], [-1, -1], [0.123, -0.77]])
    got = np.asarray(jax.jit(jax.vmap(lambda x: in_units(x, space.low, space.high)))(unit))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, softq.envs.rescale(unit, gym.spaces.Box(space.low, space.high)))

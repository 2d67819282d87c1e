"""What the algorithms' switches compute, against closed forms and NumPy by hand; what no switch may say."""

import dataclasses
import typing
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import ACT, OBS, ScoreByHand, action_gradient, apart, float64, joined, smaller, twins_of
from by_hand_noise import sinusoids
from softq.utils.field_comments import notes
from test_maxentdp import BATCH, NUM, Stubbed, draws

from softq.algorithms import ALGORITHMS, DQS, NCLQL, MaxEntDP, get
from softq.algorithms.maxentdp import SCHEDULE
from softq.cli import main
from softq.diffusion import ancestral
from softq.testing.probe import random_batch
from softq.training import TrainConfig, start
from softq.training.config import SMALL, check_hyperparameters
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import helps
from softq.utils.pytree import pytree, replace

# DQS: log pi of what tanh made of a sample

VARIANCE, SIGMA_MAX = 0.25, 100.0  # noise so wide that the stated bias of the part beyond it is 1e-9


@pytree
class Normal(DQS):
    """The exact score of N(0, 0.25) in x, in place of the network's."""

    def score(self, state, obs, temperature):
        return lambda x, tau: -x / (VARIANCE + self.schedule().noise(tau) ** 2)

    def unbounded(self, state, obs, key, temperature):
        return obs  # a known sample

    def in_force(self, state):
        return 1.0


def normal(space):
    return Normal(space=space, sigma_min=1e-3, sigma_max=SIGMA_MAX, num_levels=80, num_noises=400)


def exact(x):
    """log pi at tanh(x), in float64."""
    x = np.asarray(x, float)
    log_slope = 2 * (np.log(2) - np.abs(x) - np.log1p(np.exp(-2 * np.abs(x))))
    return np.sum(-0.5 * np.log(2 * np.pi * VARIANCE) - x**2 / (2 * VARIANCE) - log_slope)


@pytest.mark.parametrize("space", ["tanh", "printed"])
@pytest.mark.parametrize("x", [(0.2, -0.7), (2.0, 0.0), (-4.5, 3.9)])  # the last within 1e-3 of the walls
def test_log_pi_of_a_squashed_normal(space, x, key):
    algo, action = normal(space), jnp.tanh(jnp.array(x))
    got = jax.jit(algo.log_prob)(None, None, action, key, 1.0)
    assert float(got) == pytest.approx(exact(x), abs=0.12)  # five standard deviations of the estimate


@pytest.mark.parametrize("space", ["tanh", "printed"])
def test_the_entropy_knows_what_was_squashed(space, key):
    """tanh(9.5) is 1 in float32, or up to 2^-22 less; the sample before it still tells how far out it was."""
    algo, x = normal(space), jnp.array([[9.5], [-0.4]])
    assert float(jnp.tanh(x)[0, 0]) >= 1 - 2**-22  # the exact value is 1 - 1.1e-8
    got = jax.jit(algo.entropy)(None, x, key)
    expected = -np.mean([exact(row) for row in np.asarray(x)])
    assert float(got) == pytest.approx(expected, abs=0.12)
    assert expected > 80


# MaxEntDP: the ablations of Sections 5.2 and 5.3, the variance of the chain

TINY = {
    "hidden_sizes": (6, 5),
    "critic_activation": "relu",
    "temperature": 0.5,
    "discount": 0.9,
    "num_steps": 4,
    "num_samples": NUM,
    "num_noises": 2,
}


@cache
def fresh():
    """A state whose targets and biases differ from the online networks and from zero."""
    state = jax.jit(MaxEntDP(**TINY).init)(jax.random.key(5), jnp.zeros(OBS), jnp.zeros(ACT))
    return apart(state, critic=0.3, target=0.3, actor=0.1)


def scored(critic, obs, action):
    """Values and slopes of the smaller twin, in float64."""
    return joined([action_gradient(layers, obs, action) for layers in twins_of(critic)])


def actor_loss(algo, state, batch, key, fault=""):
    """By hand: the network's noise against -noise * score, the score of Equation 63 or the slope over beta."""
    t, z, eps = draws(key, batch.action, algo.truncate)
    signal, noise, z, eps = float64((SCHEDULE.signal(t)[:, None], SCHEDULE.noise(t)[:, None], z, eps))
    beta, batch = algo.temperature, float64(batch)
    noisy = signal * batch.action + noise * z
    critic = state.critic if (algo.guide == "online") != (fault == "guide") else state.target
    if algo.estimator == "qsm":
        score = scored(critic, batch.obs, noisy)[1] / beta
    else:
        clean = (noisy[:, None] + noise[:, None] * eps) / signal[:, None]
        clean = np.clip(clean, -1, 1) if algo.truncate else clean
        values, slopes = scored(critic, np.repeat(batch.obs, NUM, 0), clean.reshape(-1, ACT))
        weights = np.exp((values - values.max()).reshape(BATCH, NUM, 1) / beta)
        weights /= weights.sum(1, keepdims=True)
        score = np.sum(weights * slopes.reshape(BATCH, NUM, ACT), 1) / beta
        score = score / (1 if fault == "signal" else signal)
    sign = 1 if fault == "sign" else -1
    size = 1 if fault == "size" else noise
    log_snr = 2 * (np.log(signal) - np.log(noise))
    error = ScoreByHand(state.actor).outputs(batch.obs, noisy, log_snr) - sign * size * score
    return np.mean(np.sum(error**2, 1))


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"estimator": "qsm", "guide": "target"}, ("sign", "size", "guide")),
        ({"estimator": "idem"}, ("sign", "size", "signal", "guide")),
        ({"estimator": "idem", "truncate": False}, ("sign", "size", "signal", "guide")),
    ],
)
def test_the_other_estimators_of_the_noise(options, faults, key):
    """In three batches; a mistake shows in one of them at least."""
    algo, state, improve = MaxEntDP(**TINY | options), fresh(), jax.jit(MaxEntDP(**TINY | options).improve)
    off = {fault: 0.0 for fault in ("", *faults)}
    for one in jax.random.split(key, 3):
        batch = random_batch(one, BATCH, OBS, ACT)
        got = float(improve(state, batch.obs, one, batch.action)[1]["actor_loss"])
        for fault in off:
            off[fault] = max(off[fault], abs(actor_loss(algo, state, batch, one, fault) / got - 1))
    assert off.pop("") < 1e-3
    assert min(off.values()) > 0.01, off


@pytest.mark.parametrize("entropy", [True, False])
def test_a_target_with_and_without_the_entropy(entropy, key):
    """The entropy is reported either way."""
    algo, state, batch = Stubbed(**TINY, entropy_backup=entropy), fresh(), random_batch(key, BATCH, OBS, ACT)
    got, reported = jax.jit(algo.targets)(state, batch, key)
    plain = float64(batch)
    action = np.tanh(plain.next_obs[:, :ACT])
    log_prob = plain.next_obs.sum(1) + action[:, 0]
    value = smaller(twins_of(state.target), plain.next_obs, action) - 0.5 * entropy * log_prob
    np.testing.assert_allclose(got, plain.reward + 0.9 * plain.discount * value, atol=1e-4)
    assert float(reported) == pytest.approx(-log_prob.mean(), abs=1e-4)


def test_the_variance_of_the_chain(key):
    """With the posterior's, which is smaller, the other actions come from the same noises."""
    state, obs = fresh(), jnp.array([0.3, -0.5, 1.0])
    keys = jax.random.split(key, 16)  # one action may end in a corner under both
    noise_of = lambda a, t: state.actor(obs, a, SCHEDULE.log_snr(t)[None])
    actions = {}
    for variance in ("beta", "posterior"):
        algo = MaxEntDP(**TINY, variance=variance)
        actions[variance] = jax.jit(jax.vmap(algo.policy, (None, None, 0)))(state, obs, keys)
        options = {"dim": ACT, "schedule": SCHEDULE, "num_steps": 4, "variance": variance}
        chain = jax.jit(jax.vmap(partial(ancestral, noise_of=noise_of, **options)))
        np.testing.assert_allclose(actions[variance], chain(keys), atol=1e-5)
    assert np.abs(actions["beta"] - actions["posterior"]).max() > 1e-3


# NC-LQL


def test_sigmas_are_nearly_one_number_to_the_network():
    """What the comment beside `embed` says: codes of sigmas differ by less than 0.03, those of indices by more."""
    algo = NCLQL()
    far = lambda numbers: np.linalg.norm(np.subtract(*sinusoids([numbers[0], numbers[-1]])))
    assert 0.02 < far(np.asarray(algo.levels())) < 0.03
    assert far(np.arange(2)) > 0.2


# How each paper trained

# Typed from the papers, and from the official code where they are silent:
# num_envs, iterations, warmup, batch_size, buffer_size.
TRAINED = {
    "ddsq": (20, 1_500_000, 200_000, 256, 1_000_000),  # Table 2
    "malaq": (20, 1_500_000, 200_000, 256, 1_000_000),  # ours: as DDSQ
    "lql": (5, 1_000_000, 30_000, 256, 1_000_000),  # Table 5, E.1
    "nclql": (5, 1_000_000, 30_000, 256, 1_000_000),
    "dqs": (1, 250_000, 10_000, 256, 250_000),  # Table 1, Appendix B
    "maxentdp": (1, 1_000_000, 10_000, 256, 1_000_000),  # Table 1, official code
    "sql": (1, 5_000_000, 10_000, 64, 1_000_000),  # D.1
    "sac": (1, 1_500_000, 10_000, 256, 1_000_000),  # Table 1; length as DDSQ
    "ddpg": (1, 1_000_000, 25_000, 256, 1_000_000),  # TD3's repository
}


class Caught(Exception):
    pass


@pytest.fixture
def config_of(monkeypatch):
    """The `TrainConfig` with which a command or a call would start to train."""

    def catch(algo, config):
        raise Caught(config)

    monkeypatch.setattr(start, "Trainer", catch)

    def run(begin):
        with pytest.raises(Caught) as caught:
            begin()
        return caught.value.args[0]

    return run


def trained(config):
    return config.num_envs, config.iterations, config.warmup, config.batch_size, config.buffer_size


@pytest.mark.parametrize("name", ALGORITHMS)
def test_without_settings_a_method_trains_as_its_paper(name, config_of, tmp_path, capsys):
    command = ["train", name, "--env", "MultiGoal", "--no-progress", "--out", str(tmp_path / "run")]
    assert trained(config_of(lambda: main(command))) == TRAINED[name]
    assert trained(config_of(lambda: start.train(name, "MultiGoal"))) == TRAINED[name]
    assert config_of(lambda: main([*command, "--batch-size=7"])).batch_size == 7
    small = get(name).small.get("batch_size", SMALL["batch_size"])
    assert config_of(lambda: main([*command, "--preset", "small"])).batch_size == small
    given = TrainConfig(batch_size=9)
    expected = dataclasses.replace(given, algorithm=name, env="MultiGoal", warmup=4)
    assert config_of(lambda: start.train(name, "MultiGoal", given, warmup=4)) == expected
    assert main(["train", name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for what, value in zip(("iterations", "warmup"), TRAINED[name][1:3], strict=True):
        assert f"[{value}]" in shown, what


def test_presets_name_fields_that_exist():
    settings = {field.name for field in dataclasses.fields(TrainConfig)}
    for cls in ALGORITHMS.values():
        assert cls.paper.keys() <= settings
        assert cls.small.keys() <= settings | {field.name for field in dataclasses.fields(cls)}


def test_one_environment_is_enough():
    """`num_envs` 1, which most papers have."""
    run = start.train(
        get("ddpg")(hidden_sizes=(4,)),
        "MultiGoal",
        iterations=3,
        warmup=2,
        batch_size=2,
        eval_episodes=1,
        progress=False,
    )
    assert run.config.num_envs == 1 and run.finished


# What no switch may say, and what each is for

SWITCHES = [
    (name, field, options)
    for name, cls in ALGORITHMS.items()
    for field, kind in typing.get_type_hints(cls).items()
    if (options := typing.get_args(kind)) and typing.get_origin(kind) is typing.Literal
]


@pytest.mark.parametrize(("name", "field", "options"), SWITCHES)
def test_a_misspelt_switch_is_refused(name, field, options):
    algo, wrong = get(name)(), f"{options[0]}e"
    check_hyperparameters(algo)
    with pytest.raises(SoftqError, match=f"unknown {field} '{wrong}'. Did you mean '{options[0]}'"):
        check_hyperparameters(replace(algo, **{field: wrong}))


def test_a_misspelt_switch_stops_a_training():
    """Also one whose values stand in a named type, `Backup`."""
    assert ("ddsq", "backup", ("boltzmann", "soft", "mellowmax")) in SWITCHES
    for field, wrong, meant in ("sampling", "odee", "ode"), ("guide", "on-line", "online"):
        with pytest.raises(SoftqError, match=f"unknown {field} '{wrong}'. Did you mean '{meant}'"):
            start.train(get("maxentdp")(**{field: wrong}), "MultiGoal")


@dataclasses.dataclass
class Example:
    # A line of its own.
    one: int = 1  # behind, 5 %.
    two: tuple = (
        # not this
        2,  # within
    )
    three: str = "# no comment"  # after "it"
    four: int = 4


def test_help_is_found_on_whichever_line_a_field_ends():
    assert notes(Example) == {"one": "behind, 5 %", "two": "within", "three": 'after "it"'}


@pytest.mark.parametrize("cls", [TrainConfig, *ALGORITHMS.values()])
def test_every_option_says_what_it_is(cls):
    for name, words in helps(cls).items():
        assert words, name

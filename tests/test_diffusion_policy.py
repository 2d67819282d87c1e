"""A diffusion as a policy: its samples, its log pi in each space, and what its network is regressed to, by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import known_draws
from by_hand_diffusion import ExplodingNormalLaw, NormalLaw

from softq.diffusion import (
    CosineVP,
    DiffusionPolicy,
    Likelihood,
    VarianceExploding,
    ancestral,
    policy,
    probability_flow,
    reverse_sde,
)
from softq.utils.pytree import pytree, replace, static

OBS, NOISY, CONDITION = np.array([0.3, -0.5, 1.0]), np.array([0.4, -1.3]), (0.7,)
SPACES = ("tanh", "printed", "reflect", "project")
INTO_THE_BOX = {
    "tanh": np.tanh,
    "printed": np.tanh,
    "reflect": lambda x: np.abs((x - 1) % 4 - 2) - 1,
    "project": lambda x: np.clip(x, -1, 1),
}


@pytree
class Linear:
    """A network that is one matrix `(2, 7)`, of observation, noisy action, noise level and one condition."""

    weights: jax.Array
    action_dim: int = static(default=2)

    def at(self, obs):
        return lambda x, condition: self.weights @ jnp.concatenate([obs, x, condition])

    def __call__(self, obs, x, condition):
        return self.at(obs)(x, condition)


WEIGHTS = np.sin(3 + np.arange(14)).reshape(2, 7) * [0.3, 0.3, 0.3, 0.3, 0.3, 0.1, 0.3]  # any numbers
NETWORK = Linear(jnp.asarray(WEIGHTS, jnp.float32))


def numbers(schedule, t):
    """Signal and noise at time t, in float64."""
    if isinstance(schedule, VarianceExploding):
        return 1.0, schedule.sigma_min * (schedule.sigma_max / schedule.sigma_min) ** t
    angle = lambda t: np.pi / 2 * (t + 0.008) / 1.008
    signal = np.cos(angle(t)) / np.cos(angle(0))
    return signal, np.sqrt(1 - signal**2)


# Acting

CHOICES = list(
    itertools.product(("sde", "ancestral", "flow"), ("score", "noise"), ("time", "log_snr"), (None, 0.3))
)


def field_by_hand(schedule, predicts, reads, wanted):
    """The network's score or noise, from its matrix."""

    def field(x, t):
        signal, noise = schedule.signal(t), schedule.noise(t)
        level = t if reads == "time" else 2 * jnp.log(signal / noise)
        told = jnp.concatenate([jnp.float32(OBS), x, jnp.stack([level, CONDITION[0]])])
        output = NETWORK.weights @ told
        if predicts == wanted:
            return output
        return -noise * output if wanted == "noise" else -output / noise

    return field


SCHEDULES = [CosineVP(t_max=0.8), VarianceExploding(0.05, 2.0)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["cosine", "exploding"])
def test_samples_are_those_of_the_process_with_the_networks_field(schedule, key):
    """Called by hand; each process, prediction and reading makes other samples, and so does where sampling ends."""

    def by_policy():
        made = (
            DiffusionPolicy(NETWORK, schedule, t_end, process, predicts, reads, 3, "reflect")
            for process, predicts, reads, t_end in CHOICES
        )
        return jnp.stack([one.sample(jnp.float32(OBS), key, CONDITION) for one in made])

    def by_hand():
        samples = []
        for process, predicts, reads, t_end in CHOICES:
            field = field_by_hand(schedule, predicts, reads, "noise" if process == "ancestral" else "score")
            if process == "ancestral":  # the chain has no other end
                samples.append(ancestral(key, field, 2, schedule, 3))
            else:
                run = reverse_sde if process == "sde" else probability_flow
                samples.append(run(key, field, 2, schedule, 3, t_end=t_end))
        return jnp.stack(samples)

    with known_draws():
        made, expected = jax.jit(by_policy)(), np.asarray(jax.jit(by_hand)())
    np.testing.assert_allclose(made, INTO_THE_BOX["reflect"](expected), atol=1e-4)
    different = [expected[i] for i, choice in enumerate(CHOICES) if choice[0] != "ancestral" or choice[3]]
    for one, other in itertools.combinations(different, 2):
        assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("space", SPACES)
def test_a_sample_is_put_into_the_box(space, key):
    made = DiffusionPolicy(NETWORK, VarianceExploding(0.05, 4.0), num_steps=3, space=space)
    both = lambda obs: [f(obs, key, CONDITION) for f in (made.unbounded, made.sample)]
    with known_draws():
        x, action = jax.jit(both)(jnp.float32(OBS))
    assert np.abs(x).max() > 1
    np.testing.assert_allclose(action, INTO_THE_BOX[space](np.asarray(x, float)), atol=1e-5)


# log pi of a network that knows the law of x exactly: a normal one

VARIANCE, MEAN = 0.25, 0.3
EXPLODING = VarianceExploding(1e-3, 100.0, t_max=0.8)  # up to a noise of 10
LAWS = {
    "cosine": (
        DiffusionPolicy(
            NormalLaw(VARIANCE, MEAN), CosineVP(t_min=1e-4), predicts="noise", level_input="log_snr"
        ),
        MEAN,
    ),
    # centred, for the closed form of the noise beyond the last takes the law for one around 0
    "exploding": (DiffusionPolicy(ExplodingNormalLaw(VARIANCE, 0.0, 1e-3, 100.0), EXPLODING), 0.0),
}
RULE = Likelihood(80, 2, "log_snr")


def made(law, space):
    return replace(LAWS[law][0], space=space, likelihood=RULE)


def slope_of_tanh(x):
    """log(1 - tanh(x)^2), with all its digits."""
    return 2 * (np.log(2) - np.abs(x) - np.log1p(np.exp(-2 * np.abs(x))))


def exact(law, space, x):
    """log pi `(n,)` at what x `(n, d)` becomes, in float64."""
    log_p = -0.5 * np.log(2 * np.pi * VARIANCE) - (x - LAWS[law][1]) ** 2 / (2 * VARIANCE)
    return np.sum(log_p - (slope_of_tanh(x) if space in ("tanh", "printed") else 0.0), 1)


@pytest.fixture
def all_noises(monkeypatch):
    """Each normal number is 1, so a pair of noises is 1 and -1: no estimate has an error of its own.

    The squared error of a linear noise network is quadratic in the noise: two noises of variance 1 give its mean.
    """
    ones = lambda key, shape=(), dtype=float: jnp.ones(shape, dtype)
    monkeypatch.setattr(jax.random, "normal", ones)


def log_probs(policy, actions, key):
    found = jax.jit(jax.vmap(lambda a: policy.log_prob(None, a, key)))(jnp.float32(actions))
    return np.asarray(found, np.float64)


# x in the box, and farther out where tanh has room for it
INSIDE = np.array([[0.2, -0.7], [0.95, 0.0], [-0.5, 0.9]])
OUTSIDE = np.array([[2.0, 0.0], [-2.5, 3.0]])


def error_of_log_prob(law, space, key, **changes):
    """The largest over a few actions."""
    x = np.concatenate([INSIDE, OUTSIDE]) if space in ("tanh", "printed") else INSIDE
    found = log_probs(replace(made(law, space), **changes), INTO_THE_BOX[space](x), key)
    return np.abs(found - exact(law, space, x)).max()


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("space", SPACES)
def test_log_prob_is_that_of_the_law(law, space, key, all_noises):
    assert error_of_log_prob(law, space, key) < 2e-3


MUTANTS = {
    "the slope of tanh added": ("log_jacobian", lambda before: lambda space, x: -before(space, x)),
    "no slope of tanh": ("log_jacobian", lambda before: lambda space, x: 0.0),
    "the action for the x before tanh": ("preimage", lambda before: lambda space, action: action),
    "nothing beyond the last noise": ("terminal_term", lambda before: lambda x, largest: 0.0),
    "what is beyond sigma_max": ("terminal_term", lambda before: lambda x, largest: before(x, 100.0)),
    "the noise for the score": ("noise_from_score", lambda before: lambda field, schedule: field),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_log_prob_shows(mutant, key, monkeypatch, all_noises):
    name, change = MUTANTS[mutant]
    monkeypatch.setattr(policy, name, change(getattr(policy, name)))
    assert error_of_log_prob("exploding", "tanh", key) > 5 * 2e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"level_input": "time"},
        {"predicts": "score"},
        {"schedule": CosineVP(t_min=0.05)},
        {"likelihood": Likelihood(80, 2, "left")},
        {"likelihood": Likelihood(4, 2, "log_snr")},
        {"likelihood": Likelihood(80, 2, "log_snr", clip_x0=True)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_choice_matters_to_log_prob(changes, key, all_noises):
    assert error_of_log_prob("cosine", "tanh", key, **changes) > 5 * 2e-3


def test_the_number_of_noises_matters_to_log_prob(key):
    """By the spread of estimates at one action: that of 8 noises is half that of 2."""

    def spread(num):
        of_the_law = replace(made("cosine", "tanh"), likelihood=Likelihood(20, num, "log_snr"))
        one = lambda key: of_the_law.log_prob(None, jnp.array([0.3]), key)
        return float(jnp.std(jax.jit(jax.vmap(one))(jax.random.split(key, 2000))))

    assert spread(2) / spread(8) == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("space", SPACES)
def test_the_density_of_the_action_in_one_dimension(law, space, key, all_noises):
    """Quadrature over the box: the whole law where the way back is tanh, with the entropy of what tanh makes of it.

    "reflect" and "project" give the density of the x in the box, and so have only their share.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    found = log_probs(made(law, space), nodes[:, None], key)
    density = weights * np.exp(found)
    x = LAWS[law][1] + np.sqrt(VARIANCE) * np.linspace(-9, 9, 4001)
    mass = np.exp(-((x - LAWS[law][1]) ** 2) / (2 * VARIANCE))
    mass /= mass.sum()
    if space in ("tanh", "printed"):
        entropy = np.log(2 * np.pi * np.e * VARIANCE) / 2 + mass @ slope_of_tanh(x)
        assert density.sum() == pytest.approx(1.0, abs=2e-3)
        assert -density @ found == pytest.approx(entropy, abs=4e-3)
        assert abs(entropy - np.log(2 * np.pi * np.e * VARIANCE) / 2) > 0.2
    else:
        inside = mass[np.abs(x) < 1].sum()
        assert density.sum() == pytest.approx(inside, abs=4e-3)
        assert inside < 0.96


@pytree
class Fixed(DiffusionPolicy):
    """The process always ends at the same x: the observation."""

    def unbounded(self, obs, key, condition=()):
        return obs


@pytest.mark.parametrize("space", SPACES)
def test_a_sample_and_its_log_prob(space, key, all_noises):
    """Of the x before tanh, though tanh(9.5) is 1 in float32, or up to 2^-22 less; else of the image in the box."""
    fixed, x = Fixed(**vars(made("exploding", space))), np.array([[9.5, -0.4], [1.2, -0.7], [0.3, 0.5]])
    actions, found = jax.jit(jax.vmap(lambda x: fixed.sample_and_log_prob(x, key)))(jnp.float32(x))
    put_back = INTO_THE_BOX[space](x)
    np.testing.assert_allclose(actions, put_back, atol=1e-6)
    squashed = space in ("tanh", "printed")
    expected = exact("exploding", space, x if squashed else put_back)
    # at 9.5 the noise below the first level, 0.001, changes log pi by 0.0015
    np.testing.assert_allclose(found, expected, atol=5e-3, rtol=0)
    if squashed:
        assert abs(expected[0]) > 100 and float(actions[0, 0]) >= 1 - 2**-22
        from_the_action = log_probs(fixed, actions, key)
        assert abs(from_the_action[0] - expected[0]) > 20, "float32 no longer knows x"
        np.testing.assert_allclose(from_the_action[1:], expected[1:], atol=5e-3)


# Learning


@pytest.mark.parametrize("reads", ["time", "log_snr"])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_regression_and_its_gradient(reads, weight):
    """weight |W z - target|^2 for the network W, and 2 weight (W z - target) z^T by its matrix."""
    t, target = 0.4, np.array([0.5, -1.0])
    learner = DiffusionPolicy(NETWORK, CosineVP(), predicts="noise", level_input=reads)
    options = {} if weight == 1.0 else {"weight": weight}

    def loss(network, target):
        obs, x = jnp.float32(OBS), jnp.float32(NOISY)
        learning = replace(learner, network=network)
        return learning.regression_loss(obs, x, jnp.float32(t), target, CONDITION, **options)

    value, (gradient, by_target) = jax.jit(jax.value_and_grad(loss, (0, 1)))(NETWORK, jnp.float32(target))
    signal, noise = numbers(CosineVP(), t)
    level = t if reads == "time" else 2 * np.log(signal / noise)
    z = np.concatenate([OBS, NOISY, [level], CONDITION])
    error = WEIGHTS @ z - target
    assert float(value) == pytest.approx(weight * np.sum(error**2), rel=1e-4)
    np.testing.assert_allclose(gradient.weights, 2 * weight * np.outer(error, z), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(by_target, -2 * weight * error, rtol=1e-3)


@pytest.mark.parametrize("law", LAWS)
def test_the_regression_towards_the_exact_score_is_nought_for_the_network_that_knows_it(law):
    """`scale` makes of a score what the network predicts; the score of N(m, v) with noise is known."""
    learner, mean = LAWS[law]
    for t in (0.2, 0.7):
        signal, noise = numbers(learner.schedule, t)
        score = (signal * mean - NOISY) / (signal**2 * VARIANCE + noise**2)
        x, t = jnp.float32(NOISY), jnp.float32(t)
        loss = lambda target, x=x, t=t: float(learner.regression_loss(None, x, t, jnp.float32(target)))
        size = np.sum(score**2)
        assert loss(np.asarray(learner.output_scale(t)) * score) < 1e-6 * size
        np.testing.assert_allclose(learner.score(None)(x, t), score, rtol=1e-3)
        np.testing.assert_allclose(learner.noise(None)(x, t), -noise * score, rtol=1e-3)
        assert loss(-noise * score if law == "exploding" else score) > 1e-3 * size


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["cosine", "exploding"])
@pytest.mark.parametrize("space", SPACES)
def test_noise_is_added_to_the_action_as_it_lies_in_the_space(space, schedule):
    """Only "tanh" moves it, to arctanh, from at least 0.001 within the walls."""
    learner = DiffusionPolicy(NETWORK, schedule, space=space)
    action, noise, t = np.array([1.0, -0.6]), np.array([0.3, -1.1]), 0.4
    signal, size = numbers(schedule, t)
    clean = np.arctanh([0.999, -0.6]) if space == "tanh" else action
    noisy = learner.add_noise(jnp.float32(action), jnp.float32(t), jnp.float32(noise))
    np.testing.assert_allclose(noisy, signal * clean + size * noise, rtol=1e-4)

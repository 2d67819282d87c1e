"""Backups and small MDPs against independent numbers, and every theorem of the chapter with a mutant that fails it."""

import numpy as np
import pytest
from reference import REFERENCE
from scipy import integrate, optimize

from softq import landscapes
from softq.exact.bellman import (
    BOLTZMANN,
    HARD,
    LOG_MEAN_EXP,
    SOFT,
    Backup,
    fixed_points,
    lipschitz,
    policy_iteration,
    softmax,
    value_iteration,
    worst_lipschitz,
)
from softq.exact.boltzmann import Boltzmann
from softq.exact.mdp import MDP, door, random_mdps, smooth_door
from softq.utils.errors import SoftqError

DOOR = door(0.2, 0.01, 0.9)
TRAP = door(-0.11, 0.99, 0.9)  # one percent of the box is the way out
ALWAYS = np.array([[1.0, 0.0], [1.0, 0.0]])  # always through the door
BACKUPS = (BOLTZMANN, SOFT, LOG_MEAN_EXP, HARD)
CONTRACTIONS = (SOFT, LOG_MEAN_EXP, HARD)


def exact(number, tol=1e-12):
    """The reference is printed to twelve digits, so half a unit of the last one comes on top of its `tol`."""
    return pytest.approx(number, abs=tol, rel=5e-12)


def reference(name):
    return REFERENCE[f"mdp.door.{name}"]["value"]


def test_door_has_three_fixed_points():
    found = fixed_points(DOOR, BOLTZMANN, 0.2)
    assert len(found) == 3
    for point, expected in zip(found, reference("fixed_points"), strict=True):
        assert point.q[0] == exact(expected["Q_stay"])
        assert point.policy[0] == exact(expected["p_stay"])
        assert point.value == exact(expected["V"])
        assert point.slope == exact(expected["slope_of_iteration"])
        assert point.stable == expected["stable"]


def test_door_under_the_other_backups():
    (soft,) = fixed_points(DOOR, SOFT, 0.2)
    expected = reference("maxent")
    assert soft.q[0] == exact(expected["Q_stay"])
    assert soft.policy[0] == exact(expected["p_stay"])
    policy = np.stack([soft.policy, soft.policy])
    assert (soft.policy * DOOR.evaluate(policy)[0]).sum() == exact(expected["return_of_policy"])
    (mellow,) = fixed_points(DOOR, LOG_MEAN_EXP, 0.2)
    assert mellow.q[0] == exact(reference("mellowmax"))
    (hard,) = fixed_points(DOOR, HARD, 0.2)
    assert hard.q[0] == exact(2.0) and hard.slope == exact(0.9)


def test_door_by_iteration():
    expected = reference("softmax_vi")
    low = value_iteration(DOOR, BOLTZMANN, 0.2, 3000)[-1, 0, 0]
    high = value_iteration(DOOR, BOLTZMANN, 0.2, 3000, q=np.array([[2.0, 0.0], [0.0, 0.0]]))[-1, 0, 0]
    assert low == exact(expected["Q0=0"]) and high == exact(expected["Q0=Q*"])
    for name, start in (("uniform", None), ("optimal", ALWAYS)):
        history = policy_iteration(DOOR, 0.2, 3000, start)[:, 0, 0]
        np.testing.assert_allclose(history[:6], reference("bpi")[name]["first"], atol=1e-12, rtol=5e-12)
        assert history[-1] == exact(reference("bpi")[name]["limit"])
    assert history[1] < history[0] - 0.07  # DQS Lemma 1 says that it cannot be


def test_smooth_door():
    """Three fixed points again; the equation is integrated a second time by another rule."""
    found = fixed_points(smooth_door(0.2, 0.01, 0.9), BOLTZMANN, 0.1)
    at_the_peak = [0.2 + 0.9 * point.value for point in found]
    np.testing.assert_allclose(at_the_peak, [0.211549, 0.721561, 1.522286], atol=6e-7)  # computed without JAX
    assert [p.stable for p in found] == [True, False, True]
    for point in found:
        peak = 0.2 + 0.9 * point.value

        def value(a, peak=peak):
            return peak * np.exp(-(a**2) / 2e-4)

        def moment(power, value=value):
            edges = [-0.1, -0.03, 0.03, 0.1]
            f = lambda a: value(a) ** power * np.exp(value(a) / 0.1)
            return integrate.quad(f, -1, 1, points=edges, epsabs=0, epsrel=1e-12, limit=400)[0]

        assert moment(1) / moment(0) == pytest.approx(point.value, abs=1e-9)


def test_quadrature_agrees_with_the_exact_softmax_of_a_landscape():
    law = Boltzmann(landscapes.get("skew1"), 0.1)
    q, weights = law.values, law.weights
    assert BOLTZMANN.value(q, weights, 0.1) == pytest.approx(law.mean_value, abs=1e-12)
    assert SOFT.value(q, weights, 0.1) == pytest.approx(0.1 * law.log_partition, abs=1e-12)
    assert LOG_MEAN_EXP.value(q, weights, 0.1) == pytest.approx(
        0.1 * (law.log_partition - np.log(2)), abs=1e-12
    )
    np.testing.assert_allclose(softmax(q, weights, 0.1), law.probabilities, atol=1e-15)


def test_two_levels():
    entry = REFERENCE["boltzmann_operator.two_level"]
    for width in entry["params"]["w"]:
        expected = entry["value"][str(width)]
        weights = np.array([width, 1 - width])
        steepest = worst_lipschitz(width)
        assert steepest == pytest.approx(expected["lipschitz"], abs=entry["tol"])
        assert steepest > max(1, expected["at_half"])

        def of(drop, function, weights=weights):
            return function(np.array([0.0, -drop]), weights)

        slope = lambda drop: of(drop, lambda q, w: lipschitz(BOLTZMANN, q, w, 1.0))
        gap = lambda drop: of(drop, lambda q, w: -BOLTZMANN.value(q, w, 1.0))
        assert slope(2 * steepest) == pytest.approx(steepest, abs=1e-12)
        drops = np.linspace(0.01, 40, 4000)
        assert max(map(slope, drops)) == pytest.approx(steepest, abs=1e-4)
        assert max(map(slope, drops)) <= steepest + 1e-12
        best = optimize.minimize_scalar(
            lambda drop: -gap(drop), bounds=(0, 40), method="bounded", options={"xatol": 1e-9}
        )
        assert -best.fun == pytest.approx(expected["worst_gap_over_lambda"], abs=entry["tol"])


@pytest.mark.parametrize("backup", BACKUPS, ids=lambda b: b.name)
def test_gradients(backup):
    rng, h = np.random.default_rng(0), 1e-6
    q, weights = rng.normal(size=(3, 7)), rng.uniform(0.1, 1, 7)
    gradient = backup.gradient(q, weights, 0.4)
    for i in range(7):
        step = h * (np.arange(7) == i)
        slope = (backup.value(q + step, weights, 0.4) - backup.value(q - step, weights, 0.4)) / (2 * h)
        np.testing.assert_allclose(gradient[:, i], slope, atol=1e-8)
    np.testing.assert_allclose(gradient.sum(-1), 1, atol=1e-12)


def stretch(backup):
    """Largest ratio of outputs to inputs over random pairs of values on a few regions of very unequal size."""
    rng = np.random.default_rng(1)
    weights = np.array([1e-3, 1e-2, 0.1, 1.0])
    q = rng.normal(size=(20_000, 4)) * rng.uniform(0.1, 8, (20_000, 1))
    other = q + rng.normal(size=q.shape) * rng.uniform(1e-3, 2, (20_000, 1))
    out = np.abs(backup.value(q, weights, 1.0) - backup.value(other, weights, 1.0))
    return (out / np.abs(q - other).max(-1)).max()


def test_what_contracts():
    for backup in CONTRACTIONS:
        assert stretch(backup) <= 1 + 1e-9, backup.name
        assert stretch(backup) > 0.99, (
            backup.name
        )  # a constant shift is passed on whole: no slack in the bound
    assert stretch(BOLTZMANN) > 2
    rng = np.random.default_rng(2)
    mdp = random_mdps(rng, 50)
    q, other = rng.normal(size=(2, 50, 5, 4)) * 5
    distance = np.abs(q - other).max((-1, -2))
    for backup in CONTRACTIONS:
        images = [value_iteration(mdp, backup, 0.3, 1, start)[1] for start in (q, other)]
        assert (np.abs(images[0] - images[1]).max((-1, -2)) <= 0.9 * distance + 1e-12).all()


def test_order_of_the_backups():
    """max - log-volume = log-mean-exp <= Boltzmann <= max, and the soft value differs from it by a constant."""
    rng = np.random.default_rng(3)
    q, weights = rng.normal(size=(500, 6)), rng.uniform(0.01, 1, 6)
    boltzmann, soft, mellow, hard = (b.value(q, weights, 0.3) for b in BACKUPS)
    assert (mellow <= boltzmann + 1e-12).all() and (boltzmann <= hard + 1e-12).all()
    np.testing.assert_allclose(soft - mellow, 0.3 * np.log(weights.sum()), atol=1e-12)
    ratio = weights.sum() / (weights * np.exp((q - hard[:, None]) / 0.3)).sum(-1)
    np.testing.assert_allclose(hard - mellow, 0.3 * np.log(ratio), atol=1e-12)
    p = softmax(q, weights, 0.3)
    relative = (p * np.log(p / (weights / weights.sum()))).sum(-1)
    np.testing.assert_allclose(boltzmann - mellow, 0.3 * relative, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.3, 1.0])
def test_monotonicity_rate(temperature):
    entry = REFERENCE["mdp.monotonicity_rate"]
    expected = entry["value"][str(temperature)]
    mdp = random_mdps(np.random.default_rng(11), 1000)  # our own thousand: `tol` is four standard errors

    def drops(soft):
        history = policy_iteration(mdp, temperature, 15, soft=soft)
        return (history[:-1] - history[1:]).max((0, 2, 3))

    plain, soft = drops(False), drops(True)
    assert (plain > 1e-9).mean() == pytest.approx(expected["boltzmann_of_plain_Q"], abs=entry["tol"])
    assert (plain > 1e-3).mean() == pytest.approx(expected["plain_drop_over_1e_3"], abs=entry["tol"])
    # a median of 1000 skewed values: its standard error is near 6 percent of it, on both sides
    assert np.median(plain) == pytest.approx(expected["plain_median_largest_drop"], rel=0.35)
    assert expected["soft_policy_iteration"] == 0 and soft.max() < 1e-11


def test_the_first_sweep_from_uniform_improves():
    mdp = random_mdps(np.random.default_rng(4), 300)
    for temperature in (0.1, 1.0):
        history = policy_iteration(mdp, temperature, 2)
        assert (history[1] - history[0]).min() > -1e-12
        assert (history[2] - history[1]).min() < -1e-3


def test_the_trap_never_settles():
    """Boltzmann policy iteration ends in a cycle of two policies; soft policy iteration converges."""
    (point,) = fixed_points(TRAP, BOLTZMANN, 0.05)
    assert point.stable  # value iteration returns to it, policy iteration does not
    history = policy_iteration(TRAP, 0.05, 400)[:, 0, 0]
    assert history[-1] == pytest.approx(history[-3], abs=1e-12)
    assert abs(history[-1] - history[-2]) > 0.5
    nearby = softmax(TRAP.lookahead(np.array([point.value + 1e-6, 0.0])), TRAP.weights, 0.05)
    assert abs(np.ptp(policy_iteration(TRAP, 0.05, 400, nearby)[-2:, 0, 0])) > 0.5
    soft = policy_iteration(TRAP, 0.05, 50, soft=True)[:, 0, 0]
    assert (np.diff(soft) > -1e-12).all() and abs(soft[-1] - soft[-2]) < 1e-12
    narrow = door(-1.08, 0.999, 0.9)
    sweep = value_iteration(narrow, BOLTZMANN, 0.2, 2000)[:, 0, 0]
    assert abs(sweep[-1] - sweep[-2]) > 0.5 and sweep[-1] == pytest.approx(sweep[-3], abs=1e-9)


def test_many_starts_at_once():
    starts = np.linspace(0, 2, 9)[:, None, None] * np.array([[1.0, 0.0], [0.0, 0.0]])
    ends = value_iteration(DOOR, BOLTZMANN, 0.2, 3000, starts)[-1, :, 0, 0]
    low, middle, high = (point.q[0] for point in fixed_points(DOOR, BOLTZMANN, 0.2))
    np.testing.assert_allclose(ends, np.where(np.linspace(0, 2, 9) < middle, low, high), atol=1e-9)


def optimum(mdp):
    return value_iteration(mdp, HARD, 1.0, 500)[-1]


def excess_over_bounds(mdp, backup, temperature, factor):
    """Largest violation of -factor*G_up <= Q* - Q <= factor*G_down at the limit Q of value iteration."""
    q = value_iteration(mdp, backup, temperature, 1200)[-1]
    q_star, live = optimum(mdp), ~mdp.terminal
    gap = (q.max(-1) - backup.value(q, mdp.weights, temperature))[..., live].reshape(*q.shape[:-2], -1)
    down, up = np.maximum(gap.max(-1), 0), np.maximum(-gap.min(-1), 0)
    lost = q_star - q
    return max((lost.max((-1, -2)) - factor * down).max(), (-lost.min((-1, -2)) - factor * up).max())


def test_bounds_of_fixed_points():
    mdp = random_mdps(np.random.default_rng(5), 40)
    for backup in (BOLTZMANN, LOG_MEAN_EXP, SOFT):
        for temperature in (0.05, 0.3):
            assert excess_over_bounds(mdp, backup, temperature, 9.0) < 1e-9
            assert excess_over_bounds(DOOR, backup, temperature, 9.0) < 1e-9
    # discount / (1 - discount) is 9, and the door attains it: a smaller factor is wrong
    assert excess_over_bounds(DOOR, BOLTZMANN, 0.2, 9.0) > -1e-9
    assert excess_over_bounds(DOOR, BOLTZMANN, 0.2, 8.9) > 0.01


@pytest.mark.parametrize(
    ("mdp", "temperature"), [(TRAP, 0.05), (DOOR, 0.2), (random_mdps(np.random.default_rng(6), 60), 0.3)]
)
def test_approximate_policy_iteration(mdp, temperature):
    """V* - V_{k+1} <= discount * max(V* - V_k) + G / (1 - discount), sweep by sweep, hence the bound on the limit."""
    history = policy_iteration(mdp, temperature, 200)
    greedy = BOLTZMANN.value(history, mdp.weights, temperature)
    policies = softmax(history[:-1], mdp.weights, temperature)
    values = (policies * history[1:]).sum(-1)  # V of the policies 1, 2, ...
    lost = (optimum(mdp).max(-1) - values).max(-1)
    gap = (history.max(-1) - greedy).max(-1)[1:-1]
    assert (lost[1:] <= 0.9 * lost[:-1] + gap / 0.1 + 1e-10).all()
    assert (lost[-20:].max(0) <= gap.max(0) / 0.01 + 1e-10).all()
    assert lost[-20:].max() > 1e-3  # DQS Theorem 1 says that nothing is lost


def test_plain_improvement_is_an_identity():
    """E_new Q - E_old Q = temperature * (KL(old | new) + H(old) - H(new)); the printed (12) drops all three."""
    rng = np.random.default_rng(7)
    q, weights = rng.normal(size=(400, 5)), rng.uniform(0.1, 1, 5)
    old = rng.dirichlet(np.full(5, 0.3), 400) * 0.999 + 0.001 / 5
    new = softmax(q, weights, 0.5)
    entropy = lambda p: -(p * np.log(p / weights)).sum(-1)
    change = ((new - old) * q).sum(-1)
    kl = (old * np.log(old / new)).sum(-1)
    np.testing.assert_allclose(change, 0.5 * (kl + entropy(old) - entropy(new)), atol=1e-12)
    assert change.min() < -0.1


def test_the_printed_objective_of_sql():
    """App. A adds up the discounted values of all times without discounting time: it prefers B, Eq. 6 prefers A."""
    entry = REFERENCE["sql.objective_gap"]
    rewards = np.array([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]])
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 1] = transitions[0, 1, 2] = transitions[1, :, 1] = transitions[2, :, 2] = 1
    mdp = MDP(rewards, transitions, np.ones(2), entry["params"]["gamma"])
    for index, name in enumerate("AB"):
        policy = np.zeros((3, 2))
        policy[:, index] = 1
        q = mdp.evaluate(policy)
        assert q[0, index] == exact(entry["value"][f"Q_{name}"])
        visits = mdp.state_probabilities(policy, 0, entry["params"]["N"])
        assert (visits * (policy * q).sum(-1)).sum() == exact(entry["value"][f"J_{name}"])
    q = value_iteration(mdp, SOFT, 0.01, 100)[-1]
    assert softmax(q, mdp.weights, 0.01)[0, 0] > 0.99


def test_units_of_the_entropy_bonus():
    for half, expected in REFERENCE["maxent.units"]["value"].items():
        weights = float(half) * np.array([0.5, 1.5])
        mdp = MDP(np.zeros((1, 2)), np.ones((1, 2, 1)), weights, 0.9)
        bonus = 0.1 * mdp.evaluate(mdp.uniform(), temperature=1.0)[0] / 0.9  # Q leaves the first step's out
        np.testing.assert_allclose(bonus, expected["log_volume_per_dim"], atol=1e-12)
        soft = value_iteration(mdp, SOFT, 1.0, 600)[-1, 0, 0]
        assert soft == pytest.approx(9 * expected["log_volume_per_dim"], abs=1e-9)
        assert value_iteration(mdp, LOG_MEAN_EXP, 1.0, 600)[-1, 0, 0] == pytest.approx(0, abs=1e-12)


def test_evaluation_solves_the_bellman_equation_and_a_batch_is_a_loop():
    rng = np.random.default_rng(8)
    batch = random_mdps(rng, 3)
    policy = rng.dirichlet(np.ones(4), (3, 5))
    q = batch.evaluate(policy, temperature=0.2)
    soft = (policy * (q - 0.2 * np.log(policy))).sum(-1)
    np.testing.assert_allclose(q, batch.lookahead(soft), atol=1e-12)
    for i in range(3):
        one = MDP(batch.rewards[i], batch.transitions[i], batch.weights, 0.9)
        np.testing.assert_allclose(one.evaluate(policy[i], 0.2), q[i], atol=1e-12)
        for backup in BACKUPS:
            np.testing.assert_allclose(
                value_iteration(one, backup, 0.2, 9),
                value_iteration(batch, backup, 0.2, 9)[:, i],
                atol=1e-12,
            )
    soft_limit = value_iteration(batch, SOFT, 0.2, 400)[-1]
    np.testing.assert_allclose(policy_iteration(batch, 0.2, 30, soft=True)[-1], soft_limit, atol=1e-9)


def test_terminal_states_are_worth_nothing():
    for backup in BACKUPS:
        history = value_iteration(DOOR, backup, 0.2, 50)
        assert (history[:, 1] == 0).all() and history[-1, 0, 1] == 0
    forgetful = MDP(
        DOOR.rewards, DOOR.transitions, DOOR.weights, 0.9
    )  # the mutant: outside earns entropy for ever
    assert value_iteration(forgetful, SOFT, 0.2, 400)[-1, 0, 1] > 1


REWARDS, STAY = np.zeros((2, 2)), np.full((2, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: MDP(REWARDS, STAY, np.ones(2), 1.0), "discount.*1"),
        (lambda: MDP(REWARDS, STAY, np.ones(2), -0.1), "discount"),
        (lambda: MDP(REWARDS, STAY, np.ones(2), float("nan")), "discount"),
        (lambda: MDP(REWARDS * np.nan, STAY, np.ones(2), 0.9), "rewards.*nan"),
        (lambda: MDP(REWARDS, STAY * 0.9, np.ones(2), 0.9), "transitions.*0.9"),
        (lambda: MDP(REWARDS, STAY * np.nan, np.ones(2), 0.9), "transitions"),
        (lambda: MDP(REWARDS, STAY + np.array([1, -1]), np.ones(2), 0.9), "transitions"),
        (lambda: MDP(REWARDS, STAY, np.array([1.0, 0.0]), 0.9), "weights"),
        (lambda: MDP(REWARDS, STAY, np.ones(3), 0.9), r"rewards.*\(2, 2\).*\(2, 3\)"),
        (lambda: MDP(REWARDS, STAY[:, :, 0], np.ones(2), 0.9), r"transitions.*\(2, 2, 2\)"),
        (lambda: MDP(np.zeros(2), STAY, np.ones(2), 0.9), "states, actions"),
        (lambda: MDP(REWARDS, STAY, np.ones(2), 0.9, [True]), "rewards|terminal"),
        (lambda: DOOR.evaluate(np.ones((2, 2))), "policy"),
        (lambda: DOOR.evaluate(np.ones(2)), "policy"),
        (lambda: door(0.2, 1.0, 0.9), "width"),
        (lambda: smooth_door(0.2, 0.0, 0.9), "width"),
        (lambda: worst_lipschitz(0.0), "width"),
        (lambda: value_iteration(DOOR, BOLTZMANN, 0.0, 3), "temperature"),
        (lambda: value_iteration(DOOR, SOFT, -1.0, 3), "temperature"),
        (lambda: value_iteration(DOOR, SOFT, 1.0, 3, np.zeros(2)), "shape"),
        (lambda: policy_iteration(DOOR, float("nan"), 3), "temperature"),
        (lambda: fixed_points(random_mdps(np.random.default_rng(0), 1), BOLTZMANN, 0.1), "one state"),
    ],
)
def test_bad_input_is_one_clear_line(call, names):
    with pytest.raises(SoftqError, match=names) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_backup_of_your_own():
    """The average of the two ends contracts as well: any weights that are not negative do."""
    middle = Backup(
        "middle", lambda q, w, t: (q.max(-1) + q.min(-1)) / 2, lambda q, w, t: np.full(q.shape, 0.5)
    )
    (point,) = fixed_points(DOOR, middle, 0.2)
    assert point.value == pytest.approx(0.1 / (1 - 0.45), abs=1e-12)

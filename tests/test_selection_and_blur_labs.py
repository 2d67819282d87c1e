"""The labs of selection, thermostat and blurs: their numbers against exact ones, and the pages' against Python's."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import on_a_phone, set_all
from scipy import stats

from softq import landscapes
from softq.exact.boltzmann import Boltzmann
from softq.exact.importance import Importance
from softq.exact.smoothing import smooth_density
from softq.lab import BlurLab, SelectionLab, ThermostatLab, blur, selection, thermostat
from softq.samplers.entropy import snis_entropy
from softq.samplers.langevin import chain, softmax_score
from softq.utils.errors import SoftqError

SELECTION, BLUR, THERMOSTAT = SelectionLab(), BlurLab(), ThermostatLab()


@pytest.mark.parametrize(("name", "growth"), [("quad1", 0.5), ("quad2", 1.0), ("quad6", 3.0), ("abs1", 1.0)])
def test_the_best_of_s_is_the_order_statistic(name: str, growth: float) -> None:
    """At a low temperature the regret is a Gamma variable; the smallest of ten of them is known."""
    x = np.linspace(0, 60, 600_001)
    expected = 0.02 * np.trapezoid(stats.gamma(growth).sf(x) ** 10, x)
    exact = SELECTION.exact(landscape=name, temperature=0.02)
    assert exact["mean of Q, best of S perfect draws"] == pytest.approx(-expected, rel=0.01)
    assert exact["temperature of the best of S perfect draws"] == pytest.approx(expected / growth, rel=0.01)
    if growth == 1.0:  # an exponential regret: exactly a tenth of the temperature
        assert exact["temperature of the best of S perfect draws"] == pytest.approx(0.002, rel=0.01)


def test_perfect_draws_have_these_laws() -> None:
    """The best, one at random, and one by weight, whose mean is that of SNIS with the softmax as its proposal."""
    for rule in ("argmax", "random"):
        numbers = SELECTION.numbers(landscape="twomode1", rule=rule, draws=5000)
        expected = numbers["mean of Q, best of S perfect draws" if rule == "argmax" else "exact mean of Q"]
        assert numbers["mean of Q"] == pytest.approx(expected, abs=0.004 if rule == "random" else 2e-4)
    law = Boltzmann(landscapes.get("quad1"), 0.05)
    half = law.at(0.025)
    log_w = law.values / 0.05 + law.log_partition - half.log_partition
    weighed = Importance(log_w, law.probabilities).ratio(10) * half.probabilities
    assert SELECTION.numbers(rule="weight", draws=5000)["mean of Q"] == pytest.approx(
        weighed @ law.values, rel=0.08
    )
    assert SELECTION.numbers(landscape="quad17", rule="random")["got / asked"] == pytest.approx(1, abs=0.03)


def test_the_chains_are_those_of_softq() -> None:
    q, rng = landscapes.get("twomode1"), np.random.default_rng(1)
    starts, noise = rng.uniform(-1, 1, (3, 1)), rng.normal(size=(3, selection.STEPS, 1))
    plan = selection.schedules("stable", 4, 0.05, selection.SCENES["twomode1"].curvature)
    with jax.enable_x64(True):
        score = softmax_score(q, 0.05)
        one = lambda start, xi: jax.vmap(lambda steps: chain(score, start, steps, xi))(jnp.asarray(plan))
        expected = jax.vmap(one)(jnp.asarray(starts), jnp.asarray(noise))
    np.testing.assert_allclose(selection.chains(q, starts, noise, plan, 0.05), expected, atol=1e-9)


def test_blurs_are_those_of_softq() -> None:
    q, a = landscapes.get("bandit"), np.array([[0.5, 0.15], [-0.3, 0.6]])
    value, slope = blur.blurred(q, a, 0.2)
    with jax.enable_x64(True):
        exact = jax.vmap(jax.value_and_grad(q.blurred(0.2)))(jnp.asarray(a))
    np.testing.assert_allclose(value, exact[0], atol=1e-7)
    np.testing.assert_allclose(slope, exact[1], atol=1e-6)
    numbers = BLUR.exact(landscape="twomode1", sigma=0.2)
    law = Boltzmann(landscapes.get("twomode1"), 0.05)
    share = lambda law: law.mean(lambda a: a[:, 0] > 0)
    assert numbers["better hill, softmax of Q"] == pytest.approx(share(law), abs=1e-4)
    blurred = share(Boltzmann(landscapes.get("twomode1").blurred(0.2), 0.05, dim=1))
    assert numbers["better hill, values blurred"] == pytest.approx(blurred, abs=1e-4)
    spread = law.mean(lambda a: stats.norm.cdf(a[:, 0] / 0.2))
    assert numbers["better hill, density blurred"] == pytest.approx(spread, abs=1e-4)


@pytest.mark.parametrize("kind", ["cube", "million", "rank"])
def test_twins_coincide_only_with_slopes_of_length_one(kind: str) -> None:
    for name in ("twomode2", "bandit"):
        numbers = BLUR.numbers(landscape=name, transform=kind)
        assert numbers["largest distance of the clouds"] < 1e-9
        assert (
            BLUR.numbers(landscape=name, transform=kind, unit=False)["largest distance of the clouds"] > 0.5
        )
        assert abs(numbers["better hill, softmax of Q"] - numbers["better hill, run on Q"]) > 0.2


def test_the_thermostat_settles_where_it_should() -> None:
    law = Boltzmann(landscapes.get("quad1"), 1.0)
    for dim in (1, 4):
        known = thermostat.exact(dim)
        assert dim * law.at(known["right temperature"]).entropy == pytest.approx(-dim, abs=1e-4)
        assert known["log"] == pytest.approx(4 / dim, rel=0.01)
        assert known["linear"] == pytest.approx(4 * known["right temperature"] / dim, rel=0.01)
    values = np.random.default_rng(0).normal(size=50)
    expected = float(snis_entropy(jnp.asarray(values), 2, 0.3))
    assert thermostat.estimate(values, 2, 0.3) == pytest.approx(expected, abs=1e-5)
    numbers = THERMOSTAT.numbers(num_candidates=1000)
    assert numbers["mean of the last 100"] == pytest.approx(numbers["right temperature"], rel=0.05)
    assert (
        THERMOSTAT.numbers(rule="linear", num_candidates=1000)["lowest of the last 100"] == thermostat.LOWEST
    )
    high = THERMOSTAT.numbers(dim=6, num_candidates=1000)  # the floor is above the target: it cools for ever
    assert (
        high["floor of the estimate"] > -6 and high["mean of the last 100"] < 0.1 * high["right temperature"]
    )


@pytest.mark.parametrize("lab", [SELECTION, BLUR, THERMOSTAT], ids=lambda lab: lab.kind)
def test_renderings(lab: SelectionLab | BlurLab | ThermostatLab) -> None:
    assert len(json.dumps(lab.data())) < 40_000
    assert lab.png().startswith(b"\x89PNG")
    with pytest.raises(SoftqError, match="must lie in"):
        lab.numbers(seed=-1)


@pytest.mark.browser
def test_the_pages_compute_the_same(tmp_path: Path) -> None:
    query = "?count=999&draws=500&2.step=-4"  # beyond the controls
    with on_a_phone(tmp_path, SELECTION, BLUR, THERMOSTAT, query=query) as (page, (first, second, third)):
        assert page.evaluate(f"softqLab.report('{first}').settings.count") == 50
        assert page.evaluate(f"softqLab.report('{second}').settings.step") == 0
        check_selection(page, first)
        check_blur(page, second)
        for given in ({}, {"rule": "linear"}, {"rule": "log", "dim": 6, "rate": 0.3}):
            numbers = set_all(page, third, dict(**given, num_candidates=500))["numbers"]
            expected = THERMOSTAT.numbers(**given, num_candidates=500)
            for name in ("right temperature", "rates are stable below", "floor of the estimate"):
                assert numbers[name] == pytest.approx(expected[name], rel=1e-6)
            if not given:
                assert numbers["mean of the last 100"] == pytest.approx(
                    expected["mean of the last 100"], rel=0.05
                )


def check_selection(page, lab: str) -> None:
    """Exact numbers, the mean of what is drawn, and one set of chains with the same noise."""
    for landscape in ("twomode1", "quad17", "quad1"):
        report = set_all(page, lab, dict(landscape=landscape, count=10, temperature=0.05))
        exact = SELECTION.exact(landscape=landscape)
        assert report["exact"]["mean"] == pytest.approx(exact["exact mean of Q"], abs=1e-6)
        assert report["exact"]["best"] == pytest.approx(exact["mean of Q, best of S perfect draws"], abs=1e-6)
        cold = exact["temperature of the best of S perfect draws"]
        assert report["exact"]["temperature"] == pytest.approx(cold, rel=1e-3)
    for rule in ("mala", "isir"):  # which are nearly exact on a parabola
        report = set_all(page, lab, dict(rule=rule, draws=2000))
        assert report["got"]["mean"] == pytest.approx(report["exact"]["mean"], rel=0.15), rule
    for given in ({"ends": "printed"}, {"rule": "weight", "ends": "stable"}):
        report = set_all(page, lab, dict(**{"ends": "perfect", "rule": "argmax"} | given, draws=2000))
        a, chosen = SELECTION.ends(**given)
        q = -(a[np.arange(2000), chosen, 0] ** 2)
        assert abs(report["got"]["mean"] - q.mean()) < 4.9 * np.sqrt(2 / 2000) * q.std(), given
    rng = np.random.default_rng(2)
    start, noise = rng.uniform(-1, 1, 2), rng.normal(size=(selection.STEPS, 2))
    plan = selection.schedules("stable", 3, 0.05, 2.0)  # unstable ones amplify rounding
    ends = page.evaluate(
        "([id, start, noise, t]) => { const lab = softqLab.lab(id), own = softqLab.selection, scene = lab.scenes.quad2;"
        "const plan = own.schedules(lab.data.constants, 'stable', 3, t, scene.curvature);"
        "return Array.from(own.chains(scene.slope, start, noise, plan, t)); }",
        [lab, start.tolist(), noise.ravel().tolist(), 0.05],
    )
    expected = selection.chains(landscapes.get("quad1"), start[None], noise[None], plan, 0.05)
    np.testing.assert_allclose(ends, expected.ravel(), atol=1e-8)


def check_blur(page, lab: str) -> None:
    """Masses, curves and both runs with the same random numbers."""
    for landscape in ("twomode2", "spike1", "bandit"):
        report = set_all(page, lab, dict(landscape=landscape, transform="rank", sigma=0.15))
        exact = BLUR.exact(landscape=landscape, transform="rank", sigma=0.15)
        for name, label in (
            ("softmax", "softmax of Q"),
            ("values", "values blurred"),
            ("density", "density blurred"),
        ):
            assert report["masses"][name] == pytest.approx(exact[f"better hill, {label}"], abs=1e-6), (
                landscape,
                name,
            )
        transformed = exact["better hill, softmax of the transform"]
        assert report["masses"]["transform"] == pytest.approx(transformed, abs=1e-4)
        path = blur.places()[landscape].path
        soft = smooth_density(landscapes.get(landscape), 0.05, 0.15, path).value
        np.testing.assert_allclose(report["curves"][2], soft, atol=2e-3)
    rng = np.random.default_rng(3)
    starts, noise = rng.uniform(-1, 1, (5, 2)), rng.normal(size=(blur.STEPS, 5, 2))
    for unit in (True, False):
        ours = blur.run("twomode2", "cube", unit, 0.05, starts, noise)[-1]
        theirs = page.evaluate(
            "([id, unit, starts, noise]) => { const { data } = softqLab.lab(id);"
            "return Array.from(softqLab.blur.run(data, 'twomode2', 'cube', unit, 0.05, starts, noise)); }",
            [lab, unit, starts.ravel().tolist(), noise.reshape(blur.STEPS, -1).tolist()],
        )
        np.testing.assert_allclose(theirs, ours.ravel(), atol=1e-6)

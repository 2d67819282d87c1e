"""The lab of one critic, sampler and backup: its numbers against exact ones and softq's samplers, and the page's."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import on_a_phone, set_all

from softq.exact import bellman
from softq.lab import CriticLab, critic
from softq.samplers import chain, qglg, softmax_score


def q_of(value: float):
    """The lab's critic for JAX, one action `(1,)` at a time."""
    heights = (critic.HEIGHT, critic.PAY + critic.DISCOUNT * value)
    hills = tuple(zip(heights, critic.CENTRES, critic.WIDTHS, strict=True))
    return lambda a: sum(h * jnp.exp(-(((a[0] - c) / w) ** 2) / 2) for h, c, w in hills)


def test_exact_sweeps_are_those_of_value_iteration() -> None:
    lab, problem = CriticLab(sampler="exact"), critic.problem()
    for name, backup in critic.BACKUPS.items():
        history = bellman.value_iteration(problem, backup, 0.1, 7)
        expected = backup.value(history[:, 0], problem.weights, 0.1)
        # the first guess of the values is a critic without a next state
        found = lab.learned("exact", name, 0.1, float(expected[0]), 6)
        again = expected[0] + 0 * np.array(found)
        for k in range(1, 7):
            again[k] = backup.value(problem.lookahead(np.array([again[k - 1], 0.0]))[0], problem.weights, 0.1)
        assert found == pytest.approx(again, abs=1e-6)


def test_three_fixed_points_and_where_sweeps_end() -> None:
    lab = CriticLab(sampler="exact", temperature=0.1)
    seen = lab.numbers()
    low, repels, high = (seen[f"fixed point {x}"] for x in ("1", "2 (repels)", "3"))
    assert (low, repels, high) == pytest.approx((0.775277, 1.170749, 1.416583), abs=1e-5)
    assert seen["value of the state"] == pytest.approx(low, abs=1e-5)
    assert lab.numbers(start=repels + 0.3)["value of the state"] > repels + 0.2 > low
    assert "fixed point 2 (repels)" not in lab.numbers(temperature=0.05)
    for backup in ("soft", "mellowmax"):
        ends = [lab.numbers(backup=backup, start=start)["value of the state"] for start in (0.0, 2.4)]
        assert ends[0] == pytest.approx(ends[1], abs=0.02)


def test_the_chains_are_those_of_softq() -> None:
    """With the same starts and noise, where a chain is stable; the lab rounds each step to a millionth."""
    start, ends = critic.ends_of(0.5, 0.1, 30, gentle=True)
    steps = critic.stable_step(0.5, 0.1) * critic.GENTLE
    noise = critic.normals(3, 600).reshape(30, 20)
    with jax.enable_x64(True):
        score = softmax_score(q_of(0.5), 0.1)
        run = jax.jit(lambda a, s, z: chain(score, a[None], s, z[:, None])[0])
        for i in range(0, 30, 10):
            for k in (0, 4, 9):
                assert run(start[i], steps[k], noise[i]) == pytest.approx(ends[i, k], abs=1e-4)


def test_the_actions_have_the_law_of_qglg() -> None:
    """Two sets of a thousand independent draws: means of Q and shares differ by a few standard errors at most."""
    schedules = jnp.asarray(critic.STEPS, jnp.float32)
    draw = jax.jit(jax.vmap(lambda key: qglg(key, q_of(0.8), 1, 0.1, schedules)[0]))
    theirs = np.asarray(draw(jax.random.split(jax.random.key(0), 1000)), float)
    ours = critic.actions_of("argmax", 0.8, 0.1, 1000)
    for measure in (lambda a: critic.q(a, 0.8), lambda a: a > critic.CROSSING):
        error = np.hypot(measure(ours).std(), measure(theirs).std()) / np.sqrt(1000)
        assert abs(measure(ours).mean() - measure(theirs).mean()) < 4.5 * error


def test_a_chain_with_slopes_of_length_one_does_not_see_heights() -> None:
    lab = CriticLab(sampler="nclql")
    one, other = (lab.numbers(temperature=t) for t in (0.05, 0.5))
    assert one["right hill, actions"] == other["right hill, actions"]
    assert one["right hill, softmax"] > other["right hill, softmax"] + 0.3
    low, high = (np.mean(critic.annealed(v, 1000) > critic.CROSSING) for v in (0.0, 2.4))
    soft = [critic.softmax(v, 0.1)[critic.GRID > critic.CROSSING].sum() for v in (0.0, 2.4)]
    assert abs(low - high) < 0.25 < 0.9 < soft[1] - soft[0]  # the valley moves a little between the hills


@pytest.mark.browser
def test_the_page_computes_the_same(tmp_path: Path) -> None:
    lab = CriticLab()
    assert len(str(lab.data())) < 150_000
    query = "?temperature=99&action=-3&sampler=none"  # beyond the controls
    with on_a_phone(tmp_path, lab, query=query) as (page, (name,)):
        assert page.evaluate("id => softqLab.report(id).settings", name) == lab.settings | {
            "temperature": 1.0
        }
        for sampler, backup, t in (
            ("exact", "mellowmax", 0.1),
            ("gentle", "boltzmann", 0.05),
            ("argmax", "boltzmann", 0.05),
            ("nclql", "soft", 0.2),
        ):
            chosen = {"sampler": sampler, "backup": backup, "temperature": t}
            report = set_all(page, name, chosen)
            # the unstable chains of the printed steps magnify the last bit of an exponential
            close = 0.02 if sampler == "argmax" else 1e-4
            assert report["numbers"] == pytest.approx(lab.numbers(**chosen), abs=close)
        page.click("text=Another action")
        assert page.evaluate("id => softqLab.report(id).settings.action", name) == 2
        assert "ten ends" not in page.locator("canvas").get_attribute("aria-label")

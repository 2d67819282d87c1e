"""The gallery in a browser: on a page of its own, made here, and in the built book.

Its samplers are fed the random numbers that a sampler of softq has drawn, and must take the same path.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from book_browser import HTML, chromium, pause_after, server, settle, watch, write_page
from by_hand import recorded_draws
from exact import numpy_of
from playwright.sync_api import Browser, Page

from softq import landscapes, samplers
from softq.box import BOUNDARIES
from softq.exact.boltzmann import Boltzmann, nodes_and_weights
from softq.exact.laws import snis_law, softmax_law
from softq.lab import GalleryLab, export
from softq.lab.gallery import law_of
from softq.lab.gallery_samplers import GALLERY_SAMPLERS, LEVELS, RUNGS, SCHEDULE_STEPS, SCHEDULES, SHRINK
from softq.samplers.mala import log_folded_normal
from softq.testing import THRESHOLD, chi_square

pytestmark = pytest.mark.browser
LAB = GalleryLab(caption="Choose a landscape and a sampler, then press Run.")
BOOK_PAGE = "notebooks/10_gallery.html"
TEMPERATURE, STEP, NUM = 0.3, 0.2, 3
GIVEN = {"temperature": TEMPERATURE, "step": STEP, "boundary": "reflect", "candidates": 4}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with nothing but the lab, its style and its scripts."""
    folder = tmp_path_factory.mktemp("gallery")
    write_page(folder, LAB)
    return folder


@pytest.fixture(scope="module")
def still(browser: Browser, folder: Path) -> Iterator[Page]:
    """One page for all tests that only compute."""
    page = browser.new_page()
    complaints = open_page(page, folder.as_uri())
    yield page
    assert complaints == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def open_page(page: Page, base: str, query: str = "", name: str = "index.html") -> list[str]:
    complaints = watch(page, base, mathematics=False)
    page.goto(f"{base}/{name}{query}")
    settle(page, mathematics=False)
    page.wait_for_function("!softqLab.report(softqLab.ids()[0]).running")  # a link that asks for steps
    return complaints


def report_of(page: Page) -> dict:
    return page.evaluate("softqLab.report(softqLab.ids()[0])")


def choose(page: Page, **settings: object) -> None:
    for name, value in settings.items():
        page.evaluate("([name, value]) => softqLab.set(softqLab.ids()[0], name, value)", [name, value])
        page.wait_for_function("!softqLab.report(softqLab.ids()[0]).running")


def trace(page: Page, name: str, sampler: str, n: int, steps: int, numbers: dict, **given: object) -> dict:
    """The page's own sampler outside its lab; `path` comes as `(steps + 1, n, dim)`."""
    q = landscapes.get(name)
    given = GIVEN | {"n": n, "hottest": 4 * TEMPERATURE, "constants": LAB.tables()["constants"]} | given
    numbers = {
        key: value if isinstance(value, bool | int) else list(map(float, value))
        for key, value in numbers.items()
    }
    seen = page.evaluate(
        "given => softqLab.gallery.trace(...given)", [export.landscape(q), sampler, given, steps, numbers]
    )
    seen["path"] = np.reshape(seen["path"], (-1, n, q.dim))
    return seen


# -- the parts


@pytest.mark.parametrize("name", ["quart1", "spike1", "skew1", "abs1", "abs2", "lemniscate", "bandit"])
def test_values_slopes_and_blurred_slopes(still: Page, name: str) -> None:
    q, sigmas = landscapes.get(name), [0.1, 0.01]
    choose(still, landscape=name)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, q.dim))
    seen = still.evaluate("a => softqLab.evaluate(softqLab.ids()[0], a)", actions.tolist())
    soft = still.evaluate(
        """([spec, actions, sigmas]) => {
            const slope = softqLab.gallery.maths.blurredSlope(spec), grad = new Float64Array(spec.dim);
            return sigmas.map((sigma) => actions.map((a) => (slope(a, sigma, grad), Array.from(grad))));
        }""",
        [export.landscape(q), actions.tolist(), sigmas],
    )
    with jax.enable_x64(True):
        both = lambda a: (*jax.value_and_grad(q)(a), [jax.grad(q.blurred(sigma))(a) for sigma in sigmas])
        values, gradients, expected = jax.jit(jax.vmap(both))(jnp.asarray(actions))
    np.testing.assert_allclose(seen["q"], values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(seen["grad"], gradients, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(soft, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("name", ["skew1", "abs2", "lemniscate", "bandit"])
def test_exact_law_and_marginals(still: Page, name: str, temperature: float) -> None:
    """Midpoint sums in the page against Gauss-Legendre quadrature. At a pyramid's edge the former are good to second
    order only: E|a| = temperature comes out too large by h^2 / (12 temperature).
    """
    choose(still, landscape=name, temperature=temperature)
    exact, law = report_of(still)["exact"], law_of(name).at(temperature)
    edge = 2 * (2 / 240) ** 2 / (12 * temperature) if name == "abs2" else 0
    assert exact["mean"] == pytest.approx(law.mean_value, abs=2e-5 + 1.02 * edge)
    assert exact["entropy"] == pytest.approx(law.entropy, abs=2e-4 + 0.51 * edge / temperature)
    for axis, seen in enumerate(exact["marginals"]):
        middle = (2 * np.arange(len(seen)) + 1) / len(seen) - 1
        if law.dim == 1:
            expected = law.density(middle[:, None])
        else:
            across, weights = nodes_and_weights(1, 64)
            points = np.stack(np.meshgrid(middle, across[:, 0], indexing="ij"), -1).reshape(-1, 2)
            expected = law.density(points[:, ::-1] if axis else points).reshape(len(middle), -1) @ weights
        np.testing.assert_allclose(seen, expected, rtol=4e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["skew1", "lemniscate"])
def test_folded_density_and_acceptance(still: Page, name: str) -> None:
    """Folded Gaussians about the means of both ways, near and far; with them the rule of Metropolis and Hastings."""
    q, rng = landscapes.get(name), np.random.default_rng(1)
    here, there = rng.uniform(-1, 1, (2, 20, q.dim))
    steps = rng.uniform(0.01, 1, 20)

    @jax.vmap
    def parts(here, there, step):
        values, slopes = jax.vmap(jax.value_and_grad(q))(jnp.stack([here, there]))
        means = jnp.stack([here, there]) + step / 2 * slopes / TEMPERATURE
        # one term for each coordinate
        forth, back = (
            jnp.sum(log_folded_normal(*pair, step)) for pair in ((there, means[0]), (here, means[1]))
        )
        return values, slopes, means, forth, (values[1] - values[0]) / TEMPERATURE + back - forth

    with jax.enable_x64(True):
        found = [np.asarray(x) for x in jax.jit(parts)(here, there, steps)]
    seen = still.evaluate(
        """([here, there, steps, values, slopes, means, T]) => {
            const { logFoldedNormal, logAcceptance } = softqLab.gallery.maths;
            const at = (a, i, k) => ({ a: a[i], value: values[i][k], slope: slopes[i][k] });
            const forth = steps.map((step, i) => logFoldedNormal(there[i], means[i][0], step));
            return [forth, steps.map((step, i) => logAcceptance(at(here, i, 0), at(there, i, 1), T, step))];
        }""",
        [*(x.tolist() for x in (here, there, steps, *found[:3])), TEMPERATURE],
    )
    np.testing.assert_allclose(seen, found[3:], rtol=1e-7, atol=1e-6)  # softq leaves far images out


def test_swap_rule(still: Page) -> None:
    """The ratio of the two chains' joint density after and before they change places."""
    for cold_value, hot_value, cold, hot in np.random.default_rng(2).uniform(0.1, 2, (10, 4)):
        before, after = cold_value / cold + hot_value / hot, hot_value / cold + cold_value / hot
        given = [cold_value, hot_value, cold, hot]
        seen = still.evaluate("given => softqLab.gallery.maths.logSwap(...given)", given)
        assert seen == pytest.approx(after - before, abs=1e-9)


@pytest.mark.parametrize("n", [2, 7])
def test_stein_direction(still: Page, n: int) -> None:
    q, particles = landscapes.get("bandit"), np.random.default_rng(n).uniform(-1, 1, (n, 2))
    with jax.enable_x64(True):
        a, score = jnp.asarray(particles), samplers.softmax_score(q, TEMPERATURE)
        width = jax.jit(samplers.median_bandwidth)(a)
        direction, scores = jax.jit(lambda a: (samplers.svgd_direction(score, a, width), jax.vmap(score)(a)))(
            a
        )
    flat = particles.ravel().tolist()
    seen = still.evaluate("a => softqLab.gallery.maths.medianBandwidth(a, 2)", flat)
    assert seen == pytest.approx(float(width))
    seen = still.evaluate(
        "given => Array.from(softqLab.gallery.maths.svgdDirection(...given))",
        [flat, scores.ravel().tolist(), 2, float(width)],
    )
    np.testing.assert_allclose(seen, direction.ravel(), atol=1e-9)


# -- each sampler's path from the same random numbers


LAST_STEP = 1e-4  # of the annealed chain
SCORE = lambda q: samplers.softmax_score(q, TEMPERATURE)


def langevin_twin(q, key, starts, boundary="reflect"):
    steps = jnp.full(NUM, STEP)
    return samplers.langevin(key, SCORE(q), starts[0], steps, BOUNDARIES[boundary], trajectory=True)


def tempering_twin(q, key, starts):
    ladder = np.geomspace(TEMPERATURE, 4 * TEMPERATURE, RUNGS)
    return samplers.tempering(key, q, ladder, starts, STEP * ladder / TEMPERATURE, NUM)[0][0]


def snis_mala_twin(q, key, _):
    first, drive = jax.random.split(key)
    start = samplers.snis(first, q, q.dim, TEMPERATURE, GIVEN["candidates"])
    return samplers.mala(drive, q, TEMPERATURE, start, jnp.full(NUM, STEP), trajectory=True)[0]


def annealed_twin(q, key, starts):
    levels = jnp.asarray(LEVELS)
    slope = lambda action, sigma: jax.grad(q.blurred(sigma))(action)
    steps = samplers.level_steps(levels, LAST_STEP)
    return samplers.annealed_langevin(key, slope, starts[0], levels, steps, TEMPERATURE, trajectory=True)


def qglg_twin(select, q, key, starts):
    first, last = STEP * jnp.geomspace(1, SHRINK, SCHEDULES), jnp.full(SCHEDULES, SHRINK * STEP)
    schedules = samplers.linear_schedules(first, last, SCHEDULE_STEPS)
    return samplers.qglg(key, q, q.dim, TEMPERATURE, schedules, GIVEN["candidates"], select=select)


# the sampler of softq for a landscape, a key and starting actions; the number of these
TWINS: dict[str, tuple[Callable, int]] = {
    "snis": (lambda q, key, _: samplers.snis(key, q, q.dim, TEMPERATURE, NUM + 1), 0),
    "isir": (lambda q, k, a: samplers.isir(k, q, q.dim, TEMPERATURE, GIVEN["candidates"], NUM, a[0]), 1),
    "langevin": (langevin_twin, 1),
    "langevin, project": (partial(langevin_twin, boundary="project"), 1),
    "mala": (
        lambda q, k, a: samplers.mala(k, q, TEMPERATURE, a[0], jnp.full(NUM, STEP), trajectory=True)[0],
        1,
    ),
    "snis-mala": (snis_mala_twin, 0),
    "tempering": (tempering_twin, RUNGS),
    "annealed": (annealed_twin, 1),
    "qglg-argmax": (partial(qglg_twin, "argmax"), 0),
    "qglg-random": (partial(qglg_twin, "random"), 0),
    "svgd": (lambda q, _, a: samplers.svgd(SCORE(q), a, jnp.full(NUM, STEP), trajectory=True), 5),
}


def asked_for(sampler: str, drawn: list[np.ndarray]) -> list[np.ndarray]:
    """The uniform numbers that a sampler of softq drew, in the order in which the page asks for them."""
    if sampler in (
        "snis",
        "snis-mala",
        "isir",
        "qglg-argmax",
        "qglg-random",
    ):  # an action, and then its coin, if it is new
        pairs = len(drawn) // 2 * 2
        pools = zip(drawn[:pairs:2], drawn[1:pairs:2], strict=True)
        both = [(coins[: -len(new)], np.column_stack([new, coins[-len(new) :]])) for new, coins in pools]
        return [part for pool in both for part in pool] + drawn[pairs:]
    if sampler == "tempering":  # the coins of a round's steps, and those of the pairs that may swap
        return [
            part for i, (steps, swaps) in enumerate(drawn) for part in (steps, swaps[i % 2 : RUNGS - 1 : 2])
        ]
    return drawn


def flat(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.ravel(part) for part in parts)])


@pytest.mark.parametrize(
    ("twin", "name"),
    [(twin, "lemniscate") for twin in TWINS]
    + [(twin, "skew1") for twin in ("langevin, project", "mala", "annealed", "svgd")],  # a wall with mass
)
def test_the_same_numbers_give_the_same_path(still: Page, twin: str, name: str) -> None:
    """From the same random numbers, all of them used, the page and softq in double precision reach the same actions."""
    q, (sampler, *boundary), (run, count) = landscapes.get(name), twin.split(", "), TWINS[twin]
    given = {"boundary": boundary[0]} if boundary else {}
    given |= {"step": LAST_STEP} if sampler == "annealed" else {}
    n, steps = (5 if sampler == "svgd" else 1), GALLERY_SAMPLERS[sampler].length or NUM
    with jax.enable_x64(True), recorded_draws() as drawn:
        run = jax.jit(partial(run, q))
        for seed in range(4):
            starts = np.random.default_rng(seed).uniform(-1, 1, (count, q.dim))
            expected = np.reshape(run(jax.random.key(seed), starts), (-1, n, q.dim))
            jax.effects_barrier()
            uniforms = flat([(starts + 1) / 2, *asked_for(sampler, drawn["uniform"])])
            numbers = {"uniforms": uniforms, "normals": flat(drawn["normal"])}
            seen = trace(still, name, sampler, n, steps, numbers, **given)
            np.testing.assert_allclose(seen["path"][-len(expected) :], expected, atol=1e-9)
            assert seen["left"] == 0
            for parts in drawn.values():
                parts.clear()


# -- laws


def exact_starts(name: str, temperatures: list[float], n: int) -> np.ndarray:
    """Draws from the softmax at each temperature, `(n, K, dim)`, as numbers in [0, 1]."""
    laws = [Boltzmann(landscapes.get(name), t) for t in temperatures]
    return np.stack([law.sample(np.random.default_rng(i), n) for i, law in enumerate(laws)], 1) / 2 + 0.5


def p_value(page: Page, sampler: str, n: int, rungs: int = 1, **given: object) -> float:
    """Three steps from exact samples on skew1, whose mass leans on a wall, with the page's generator."""
    starts = exact_starts("skew1", np.geomspace(TEMPERATURE, 4 * TEMPERATURE, RUNGS)[:rungs], n)
    numbers = {"uniforms": starts.ravel(), "seed": 1, "last": True}
    actions = trace(page, "skew1", sampler, n, 3, numbers, **given)["path"][-1]
    return chi_square(actions, *softmax_law(numpy_of(landscapes.get("skew1"))[0], TEMPERATURE))


UNFOLDED = "(a, mean, step) => -((a[0] - mean[0]) ** 2) / (2 * step)"
MUTANTS = {
    "mala": (40_000, 1, {"logAcceptance": "() => Infinity", "logFoldedNormal": UNFOLDED}),
    "tempering": (20_000, RUNGS, {"logSwap": "() => 0"}),
    "isir": (40_000, 1, {}),
}


@pytest.mark.parametrize("sampler", MUTANTS)
def test_exactly_invariant(still: Page, sampler: str) -> None:
    """The softmax stays what it is, and would not with a rule of the sampler broken or a wrong temperature."""
    n, rungs, mutants = MUTANTS[sampler]
    assert p_value(still, sampler, n, rungs) > THRESHOLD
    assert p_value(still, sampler, n, rungs, temperature=0.85 * TEMPERATURE) < THRESHOLD
    for part, mutant in mutants.items():
        still.evaluate("part => { window.kept = softqLab.gallery.maths[part]; }", part)
        still.evaluate("([part, text]) => { softqLab.gallery.maths[part] = eval(text); }", [part, mutant])
        try:
            assert p_value(still, sampler, n, rungs) < THRESHOLD, mutant
        finally:
            still.evaluate("part => { softqLab.gallery.maths[part] = window.kept; }", part)


def test_resampling_has_its_own_law(still: Page) -> None:
    """After four steps that of five candidates, not of four."""
    actions = trace(still, "skew1", "snis", 100_000, 4, {"seed": 2, "last": True})["path"][-1]
    law = partial(snis_law, numpy_of(landscapes.get("skew1"))[0], TEMPERATURE)
    assert chi_square(actions, *law(5)) > THRESHOLD > chi_square(actions, *law(4))


# -- the figure


@pytest.mark.parametrize("sampler", GALLERY_SAMPLERS)
def test_step_and_cost_are_those_of_python(still: Page, sampler: str) -> None:
    choose(still, landscape="twomode1", sampler=sampler, temperature=0.2, step=2, particles=20)
    still.evaluate("softqLab.advance(softqLab.ids()[0], 25)")
    report = report_of(still)
    spent = sum(report["costs"].values())
    given = LAB.given(landscape="twomode1", sampler=sampler, temperature=0.2, step=2.0, budget=int(spent))
    assert report["step"] == pytest.approx(given.step, rel=1e-12)
    assert tuple(report["costs"].values()) == GALLERY_SAMPLERS[sampler].cost(given)
    assert report["taken"] == (GALLERY_SAMPLERS[sampler].length or 25) == given.steps
    assert still.evaluate("softqLab.ids().length") == 1
    choose(still, step=1, particles=400)
    still.get_by_role("button", name="Reset").click()


def test_controls_by_keyboard(page: Page, folder: Path) -> None:
    """Every control has a label and answers; what a sampler does not use is hidden; nothing moves uninvited."""
    complaints = open_page(page, folder.as_uri())
    first, canvas = report_of(page), page.locator("canvas")
    assert first["taken"] == 0 and not first["running"]
    assert canvas.get_attribute("role") == "img" and "Langevin on twomode2" in canvas.get_attribute(
        "aria-label"
    )
    for control in page.locator("select, input").all():
        assert page.locator(f"label[for='{control.get_attribute('id')}']").count() == 1
    for label in ("Temperature", "Step size"):
        slider = page.get_by_role("slider", name=label)
        slider.focus()
        said = slider.get_attribute("aria-valuetext")
        page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") != said
    after = report_of(page)
    assert after["exact"]["entropy"] > first["exact"]["entropy"] and after["step"] > first["step"]
    said = [
        page.get_by_role("slider", name=name).get_attribute("aria-valuetext") for name in ("Temp", "Step")
    ]
    assert (
        float(said[0]) == after["settings"]["temperature"]
    )  # computed with what is said, and what a link carries
    assert float(said[1]) == pytest.approx(after["step"], rel=5e-3)

    page.get_by_role("button", name="Run").press("Enter")
    pause_after(page, page.evaluate("softqLab.ids()[0]"), 3)
    paused = report_of(page)
    page.get_by_role("button", name="Step").press("Enter")
    assert report_of(page)["taken"] == paused["taken"] + 1
    page.get_by_role("button", name="Reset").press("Enter")
    assert report_of(page)["taken"] == 0

    page.get_by_role("combobox", name="Sampler").select_option(label="iterated resampling")
    assert page.get_by_label("Candidates").is_visible() and not page.get_by_label("At the walls").is_visible()
    assert "fresh uniform candidates" in page.locator(".softq-lab-note").inner_text()
    page.get_by_role("combobox", name="Landscape").select_option("spike1")
    assert not page.get_by_label("Colour shows").is_visible()
    page.get_by_role("combobox", name="Sampler").select_option(label="annealed Langevin, NC-LQL")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("softqLab.report(softqLab.ids()[0]).taken === 20")
    assert "Complete after step 20" in page.locator(".softq-lab-status").inner_text()
    assert complaints == []


def test_a_change_keeps_the_number_of_steps(page: Page, folder: Path) -> None:
    """So the picture depends on the settings alone, and coming back brings the first one back."""
    open_page(page, folder.as_uri())
    page.evaluate("softqLab.advance(softqLab.ids()[0], 30)")
    first = report_of(page)
    choose(page, temperature=0.4)
    second = report_of(page)
    assert second["taken"] == 30 and second["particles"] != first["particles"]
    choose(page, temperature=0.1)
    assert report_of(page) == first
    choose(page, seed=5)
    assert report_of(page)["particles"] != first["particles"]
    choose(page, sampler="tempering")  # another sampler has as many evaluations, here four at each step
    costs = report_of(page)["costs"].values()
    assert 30 - 4 < sum(costs) <= 30


def test_a_link_brings_the_picture(browser: Browser, page: Page, folder: Path) -> None:
    """Over HTTP every change is in the address; the same address shows the same numbers, also from a folder."""
    chosen = {"landscape": "bandit", "sampler": "qglg-random", "temperature": 0.2, "boundary": "project"}
    chosen |= {"particles": 100, "step": 0.5, "seed": 7, "candidates": 100, "budget": 500, "show": "value"}
    with server(folder) as address:
        complaints = open_page(page, address)
        choose(page, **chosen)
        page.get_by_role("button", name="Run").click()
        page.wait_for_function("softqLab.report(softqLab.ids()[0]).taken === 20")
        report, query = report_of(page), "?" + page.url.split("?")[1]
        assert report["settings"] | chosen == report["settings"] and "at=20" in query
        for base in (address, folder.as_uri()):
            other = browser.new_page()
            complaints += open_page(other, base, query)
            assert report_of(other) == report
            other.close()
        complaints += open_page(
            page, address, "?landscape=none&sampler=&temperature=99&particles=x&seed=-3&at=-1"
        )
        settings = report_of(page)["settings"]
        assert settings == LAB.settings | {"temperature": 3, "show": "density", "state": settings["state"]}
    assert complaints == []


def test_two_samplers_side_by_side(page: Page, folder: Path) -> None:
    """From one seed, at one price; the second one's numbers are those that it has alone."""
    complaints = open_page(page, folder.as_uri(), "?landscape=twomode1&particles=100&budget=100")
    page.get_by_role("combobox", name="Beside it").select_option(label="SVGD")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("(r => r.taken > 0 && !r.running)(softqLab.report(softqLab.ids()[0]))")
    both = report_of(page)
    assert both["taken"] == both["beside"]["cost"] == 100
    assert "Beside" in page.locator("dl").inner_text()
    choose(page, beside="none", sampler="svgd")
    alone = report_of(page)
    assert (alone["particles"]["mean"], alone["taken"]) == (both["beside"]["mean"], both["beside"]["taken"])
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks(browser: Browser, folder: Path, scheme: str) -> None:
    """Fits a phone; the picture is redrawn in the colours of the theme; with reduced motion a run ends at once."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    complaints = open_page(page, folder.as_uri(), "?landscape=lemniscate&sampler=annealed")
    page.evaluate("scheme => (document.documentElement.dataset.theme = scheme)", scheme)
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("softqLab.report(softqLab.ids()[0]).taken === 20")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    corner = page.locator("canvas").evaluate(
        "c => Array.from(c.getContext('2d').getImageData(40, 100, 1, 1).data)"
    )
    assert (sum(corner[:3]) < 200) == (scheme == "dark")  # the lowest density has the colour of the ground
    assert complaints == []
    context.close()


def test_without_scripts_the_picture_stays(browser: Browser, folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{folder.as_uri()}/index.html")
    image = page.locator("img.softq-lab-still")
    assert image.is_visible() and image.get_attribute("alt") == LAB.alt
    context.close()


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_in_the_book(page: Page, scheme: str) -> None:
    """The chapter opens with the gallery, and it runs."""
    assert (HTML / BOOK_PAGE).is_file(), "no built book: run `make notebooks html` first"
    with server() as address:
        complaints = open_page(
            page, address if scheme == "http" else HTML.as_uri(), "?sampler=mala", BOOK_PAGE
        )
        assert report_of(page)["settings"]["sampler"] == "mala"
        page.locator(".softq-lab").first.get_by_role("button", name="Run").click()
        page.wait_for_function("softqLab.report(softqLab.ids()[0]).taken > 3")
        assert complaints == []

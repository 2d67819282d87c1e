"""The lab of the maze: its laws and routes against plain sums, and the page's motions and laws against JAX's."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from book_browser import on_a_phone, set_all

from softq.algorithms import DDPG
from softq.envs import Maze
from softq.envs.maze import ROUTES
from softq.experiments.mode_coverage import networks
from softq.lab import MazeLab
from softq.lab.ball import FORCES, read
from softq.utils.errors import SoftqError

RESULTS = Path(__file__).parents[1] / "results"


@pytest.fixture(scope="module")
def lab() -> MazeLab:
    return MazeLab.stored(RESULTS / "maze-networks.npz")


def by_hand(critic, obs):
    """The smaller of both values of a critic at each force, in NumPy."""
    weights = jax.tree.map(lambda x: np.asarray(x, float), critic.params)

    def mish(x):
        return x * np.tanh(np.log1p(np.exp(x)))

    both = []
    for k in range(2):
        layer = {name: {key: x[k] for key, x in part.items()} for name, part in weights.items()}
        x = obs @ layer["state_part"]["kernel"] + layer["state_part"]["bias"]
        x = mish(x + FORCES @ layer["action_part"]["kernel"])
        x = mish(x @ layer["hidden_0"]["kernel"] + layer["hidden_0"]["bias"])
        both.append(x @ layer["out"]["kernel"][:, 0] + layer["out"]["bias"])
    return np.min(both, axis=0)


@pytest.mark.parametrize("temperature", [0.02, 0.3])
def test_the_law_of_the_first_force_is_the_softmax(lab: MazeLab, temperature: float) -> None:
    values = by_hand(lab.networks["malaq"][1], np.array([0.1, -0.2, 0, 0]) / 2.5)
    weights = np.exp((values - values.max()) / temperature)
    found = lab.law((0.1, -0.2), "malaq-2", temperature)
    np.testing.assert_allclose(found, weights / weights.sum(), atol=2e-4)


def test_the_law_of_a_gaussian_actor_is_that_of_its_draws(lab: MazeLab) -> None:
    law = lab.law((0, 0), "sac")
    obs = Maze().reset_to(jnp.zeros(2))[1]
    draws = jax.vmap(lambda key: lab.networks["sac"][0].at(obs).sample(key)[0])
    actions = np.asarray(draws(jax.random.split(jax.random.key(0), 20_000)))
    nearest = np.round((actions + 1) * 4).astype(int) @ [9, 1]
    shares = np.bincount(nearest, minlength=81) / len(actions)
    assert law.sum() == pytest.approx(1)
    assert np.abs(shares - law).max() < 5 * np.sqrt(law.max() / len(actions))


def test_the_stored_actor_is_that_of_the_counted_training(lab: MazeLab) -> None:
    counts = pd.read_csv(RESULTS / "maze-visits.csv").set_index(["algorithm", "seed", "start"])
    counted = counts.loc[("ddpg", 0, "fixed"), list(ROUTES)].astype(int)
    routes = lab.routes("ddpg", np.zeros((6, 2)))
    assert counted.max() == 200 and {ROUTES[k] for k in routes} == {counted.idxmax()}


def test_a_cold_softmax_has_fewer_routes_than_a_warm_one(lab: MazeLab) -> None:
    cold, warm = (lab.numbers(temperature=t) for t in (0.005, 0.1))
    reached = lambda numbers: sum(numbers[name] > 0 for name in ("A left", "A top", "B right"))
    assert reached(cold) == 1 and reached(warm) == 3


def test_a_lab_needs_a_network() -> None:
    with pytest.raises(SoftqError, match="needs a network"):
        MazeLab({})


def test_networks_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def untrained(task, ablation, seeds, iterations):
        algo = DDPG(hidden_sizes=(64, 64))
        state = algo.init(jax.random.key(0), jnp.zeros(4), jnp.zeros(2))
        return algo, jax.tree.map(lambda x: x[None], state)

    monkeypatch.setattr(networks, "trained", untrained)
    monkeypatch.setattr(networks, "KEPT", {"ddpg": ("actor", 1)})
    networks.command([str(tmp_path / "networks.npz")])
    (actor,) = read(tmp_path / "networks.npz")["ddpg"]
    state = untrained(None, None, 1, None)[1]
    for layer, weights in actor.params.items():
        for name, x in weights.items():
            rounded = np.asarray(state.actor.network.params[layer][name][0], np.float16)
            np.testing.assert_array_equal(x, rounded.astype(np.float32))


@pytest.mark.browser
def test_the_page_computes_the_same(lab: MazeLab, tmp_path: Path) -> None:
    env = Maze()
    rng = np.random.default_rng(0)
    balls = rng.uniform([-2.35, -2.35, -4, -4, -1, -1], [2.35, 2.35, 4, 4, 1, 1], (400, 6))
    inside = np.abs(balls[:, None, :2] - np.asarray(env.walls)).max(-1).min(-1) < 0.65 + 1e-3
    balls = balls[~inside]

    def one(ball):
        state, _ = env.reset_to(jnp.zeros(2))
        state = type(state)(ball[:2], ball[2:4], state.step)
        new, _, reward, *_ = env.step(state, ball[4:])
        return jnp.concatenate([new.position, new.velocity, reward[None]])

    expected = np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(balls, jnp.float32)))
    hit = (np.abs(expected[:, :2] - balls[:, :2] - 0.1 * expected[:, 2:4]) > 1e-4).any(1).sum()
    assert hit > 50  # many of the steps meet a wall
    turns = np.cumsum(rng.normal(0, 0.3, (60, 30, 2)), axis=1).clip(-2.35, 2.35)
    turns[:, -1] = np.asarray(env.goals)[rng.integers(2, size=60)]
    routes = np.asarray(jax.vmap(env.route)(jnp.asarray(turns, jnp.float32)))
    with on_a_phone(tmp_path, lab, query="?temperature=99&x=-7&balls=10", still=True) as (page, (name,)):
        call = lambda body, *given: page.evaluate(f"([lab, x]) => ({body})", [name, *given, None][:2])
        settings = call("softqLab.report(lab).settings")
        assert (settings["temperature"], settings["x"], settings["balls"]) == (1.0, -0.3, 10)  # clamped
        stepped = call("softqLab.lab(lab).stepped(x)", balls.tolist())
        np.testing.assert_allclose(stepped, expected, atol=2e-5)
        assert call("x.map((path) => softqLab.lab(lab).routeOf(path))", turns.tolist()) == routes.tolist()
        for policy, temperature in (("malaq-1", 0.02), ("malaq-3", 0.3), ("sac", 0.1), ("ddpg", 0.1)):
            chosen = {"policy": policy, "temperature": temperature, "x": 0.1, "y": -0.2}
            law = set_all(page, name, chosen)["law"]
            np.testing.assert_allclose(law, lab.law((0.1, -0.2), policy, temperature), atol=2e-4)
        places = rng.uniform(-0.25, 0.25, (6, 2)).round(3)
        for place, expected_route in zip(places, lab.routes("ddpg", places), strict=True):
            call("softqLab.lab(lab).onHandle('start', ...x)", place.tolist())
            assert call("softqLab.lab(lab).played().tally")[expected_route] == 10
        grip = page.locator("[role=slider].softq-lab-grip")
        before = grip.get_attribute("aria-valuetext")
        grip.press("ArrowLeft")
        assert grip.get_attribute("aria-valuetext") != before
        page.get_by_role("button", name="Drop the balls").click()
        page.wait_for_function("(lab) => softqLab.report(lab).tally.reduce((a, b) => a + b) === 10", arg=name)
        assert "10 balls" in page.locator("canvas").get_attribute("aria-label")

"""The defects of released code: two variants that differ, the two that no setting has, and the stored measurement."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from softq.algorithms import SAC
from softq.algorithms.common.temperature import Temperature
from softq.experiments import defects
from softq.experiments.defects import (
    BANDIT,
    COLUMNS,
    DEFECTS,
    REACHER,
    SEEDS,
    TRAINING,
    VARIANTS,
    PunishedSAC,
    command,
    differences,
    limit_ends,
    measure,
)
from softq.experiments.mode_coverage import TASKS
from softq.training import TrainConfig
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import fields_from, flat

RESULTS = Path(__file__).parents[1] / "results" / "defects.csv"


@pytest.mark.parametrize("name", DEFECTS)
def test_both_variants_can_be_made_and_differ(name: str) -> None:
    """In the settings that the defect names and in no other, in the class, or in the environment."""
    defect, algos = DEFECTS[name], []
    for variant in VARIANTS:
        cls, given = defect.algorithm(variant), defect.settings(variant)
        algos.append(cls(**fields_from(given, cls)))
    right, wrong = map(flat, algos)
    differs = {key for key in right if right[key] != wrong[key]}
    named = defect.settings("defect")
    assert differs == {key for key in named if named[key] != right[key]}
    ways = bool(differs), type(algos[0]) is not type(algos[1]), defect.limit_ends
    assert sum(ways) == 1
    assert set(defect.settings("right")) <= set(named)


def test_punished_entropy_has_the_other_sign() -> None:
    """Of one and the same action the two next values are Q - alpha log pi and Q + alpha log pi."""
    right, wrong = (cls(temperature=Temperature(0.3, "sac"), hidden_sizes=(8,)) for cls in (SAC, PunishedSAC))
    obs, key = jnp.array([0.4, -1.0, 0.2]), jax.random.key(5)
    state = right.init(jax.random.key(1), obs, jnp.zeros(2))
    good, bad = (float(algo.next_value(state, obs, key)[0]) for algo in (right, wrong))
    action, log_prob = state.actor.network.at(obs).sample(key)
    q = float(state.critic.target.at(obs)(action))
    assert abs(float(log_prob)) > 0.1
    np.testing.assert_allclose([good, bad], [q - 0.3 * float(log_prob), q + 0.3 * float(log_prob)], rtol=1e-5)


def test_the_time_limit_is_an_end_in_the_wrapped_environment_alone() -> None:
    ends = []
    for env_id in (REACHER, limit_ends(REACHER)):
        env = gym.make(env_id)
        env.reset(seed=0)
        steps = [env.step(env.action_space.sample())[2:4] for _ in range(50)]
        env.close()
        assert not any(map(any, steps[:-1]))
        ends.append(steps[-1])
    assert ends == [(False, True), (True, False)]


class Started(Exception):
    pass


def test_only_the_defect_trains_where_the_limit_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both variants of it in equal trainings, of as many updates and seeds as the table of settings says."""
    started: list[Any] = []

    def train(algo: Any, env_id: str, config: TrainConfig, progress: bool) -> None:
        started.append((env_id, config))
        raise Started

    monkeypatch.setattr(defects, "train", train)
    cls = DEFECTS["time limit as end"].algorithm("right")
    for env_id in (REACHER, limit_ends(REACHER)):
        with pytest.raises(Started):
            defects.on_gym(cls, (), env_id, SEEDS[REACHER], None)
    assert [env_id for env_id, _ in started] == [REACHER, limit_ends(REACHER)]
    assert started[0][1] == started[1][1]
    assert started[0][1].iterations == TRAINING["iterations"] and started[0][1].seeds == SEEDS[REACHER]

    asked = []
    monkeypatch.setattr(
        defects, "on_gym", lambda cls, given, env_id, *size: asked.append(env_id) or pd.DataFrame()
    )
    measure("time limit as end", REACHER)
    assert asked == [REACHER, limit_ends(REACHER)]


def test_the_command_on_the_bandit(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Two seeds and two updates: both variants from the same warm-up, and rows that are there stay as they are."""
    out = tmp_path / "defects.csv"
    words = [
        str(out),
        "--task",
        BANDIT,
        "--only",
        "SAC without Jacobian",
        "--seeds",
        "2",
        "--iterations",
        "2",
    ]
    command(words)
    table = pd.read_csv(out)
    assert list(table.columns) == COLUMNS and len(table) == 4
    assert set(table["variant"]) == set(VARIANTS) and set(table["updates"]) == {2}
    assert set(table["env_steps"]) == {0}  # the critic is the landscape
    assert table["high"].between(0, 1).all() and table["modes"].between(0, 4).all()
    assert table["value"].isna().all()
    by_seed = table.pivot(index="seed", columns="variant", values="return")
    assert (by_seed["right"] != by_seed["defect"]).all()

    before = out.read_text()
    command(words)
    assert out.read_text() == before
    command([str(out), "--task", BANDIT, "--only", "time limit as end"])
    assert out.read_text() == before  # each episode of the bandit ends by itself


@pytest.mark.parametrize("words", (["--only", "SAC"], ["--seeds", "0"], ["--iterations", "-1"]))
def test_bad_options_are_refused(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SoftqError, match=words[1]):
        command([str(tmp_path / "defects.csv"), *words])


def test_the_stored_table_has_every_defect_and_seed() -> None:
    table = pd.read_csv(RESULTS)
    assert list(table.columns) == COLUMNS
    expected = {(name, task) for name, defect in DEFECTS.items() for task in defect.tasks}
    assert set(zip(table["defect"], table["task"], strict=True)) == expected
    at_the_end = {BANDIT: TASKS[BANDIT].iterations, REACHER: TRAINING["iterations"]}
    for (_, task, _), rows in table.groupby(["defect", "task", "variant"]):
        last = rows[rows["updates"] == at_the_end[task]]
        assert list(last["seed"]) == list(range(SEEDS[task]))
    assert table["return"].notna().all()


def test_differences_are_paired_and_of_the_last_rows() -> None:
    """By hand: of gaps 1, 2, 3 the mean is 2, the standard error 1 / sqrt 3, and Student's t of 2 degrees 4.302653."""
    rows = [("x", BANDIT, v, s, 5, 10.0 * s + (s + 1) * (v == "defect")) for v in VARIANTS for s in range(3)]
    rows += [("x", BANDIT, v, s, 2, 99.0 * s) for v in VARIANTS for s in range(3)]
    columns = ["defect", "task", "variant", "seed", "updates", "return"]
    row = differences(pd.DataFrame(rows, columns=columns)).loc[BANDIT, "x"]
    half = 4.302653 / 3**0.5
    np.testing.assert_allclose(row.to_numpy(float), [10, 12, 2, 2 - half, 2 + half, 3], rtol=1e-6)

"""The page on the protocol says what Gymnasium's tasks are, and its sweep has the tasks and settings it speaks of."""

import re
import tomllib
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "protocol.md").read_text()
ROWS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_task_is_as_the_table_says(row):
    task, obs, action, box, limit, early, *_ = row
    env = gym.make(task)
    assert env.observation_space.shape == (int(obs),)
    assert env.action_space.shape == (int(action),)
    bound = np.float32(box.removeprefix("±"))
    assert (env.action_space.high == bound).all() and (env.action_space.low == -bound).all()
    assert env.spec.max_episode_steps == int(limit)
    env.reset(seed=0)
    # a body that is thrown up and turned over is unhealthy where a task knows that
    position = env.unwrapped.data.qpos + np.full(env.unwrapped.model.nq, 1.0)
    env.unwrapped.set_state(position, env.unwrapped.data.qvel)
    terminated = any(env.step(env.action_space.high)[2] for _ in range(3))
    assert terminated == (early == "yes")


def test_the_sweeps_have_the_settings_that_the_page_names():
    book = tomllib.loads((ROOT / "sweeps" / "book.toml").read_text())
    options = book["options"]
    assert book["preset"] == "small"
    assert f"Every {options['eval_every']:,} updates" in PAGE
    assert f"plays {options['eval_episodes']} episodes" in PAGE
    named = set(re.findall(r"sweeps/(\w+)\.toml", PAGE))
    assert named == {path.stem for path in (ROOT / "sweeps").glob("*.toml")}
    tasks = {row[0] for row in ROWS}
    assert {env for run in book["run"] for env in run["env"]} <= tasks

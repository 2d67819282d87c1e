"""The table of methods: costs against hand counts, words against the map of the book, and a row for every method."""

import re
from pathlib import Path

import pandas as pd
import pytest

from softq.algorithms import CLASSES, get
from softq.experiments import methods
from softq.experiments.methods import ACTION_DIM, OBS_DIM, WORDS, costs, table, words_of
from softq.utils.errors import SoftqError

ROOT = Path(__file__).parents[1]
STORED = pd.read_csv(ROOT / "results" / "methods.csv").set_index("method")
COUNTS = ("values", "slopes", "actor_calls")


def of(name, **settings):
    found = costs(get(name)(**settings))
    return {what: tuple(found[f"{what}_{count}"] for count in COUNTS) for what in ("action", "update")}


def test_an_actor_that_climbs_costs_one_slope():
    """A target's action and value, a step of the critic, and a step of the actor through the critic."""
    for name in ("ddpg", "td3", "sac"):
        assert of(name, hidden_sizes=(32, 16)) == {"action": (0, 0, 1), "update": (3, 1, 2)}


def test_ddsq_weighs_candidates_climbs_and_compares_ends():
    """100 candidates, 10 chains of 20 slopes, 10 ends; an update has the target's value and the critic's step too."""
    assert of("ddsq") == {"action": (310, 200, 0), "update": (312, 200, 0)}
    few = {"num_candidates": 7, "num_schedules": 2, "num_steps": 3, "hidden_sizes": (32, 16)}
    assert of("ddsq", **few) == {"action": (15, 6, 0), "update": (17, 6, 0)}


def test_the_work_of_ddpg():
    """Products of its two networks for widths 32 and 16, in multiplications; the state enters the first layer apart."""
    hidden, last = 32 * 16, 16
    actor, critic = OBS_DIM * 32 + hidden + last * ACTION_DIM, (OBS_DIM + ACTION_DIM) * 32 + hidden + last
    # forward, back to the weights of all layers, and back to the inputs of all but the first
    step = lambda forward, inner: 2 * forward + inner
    update = actor + critic + step(critic, hidden + last)  # targets, and the critic's step
    update += critic + (hidden + last + 32 * ACTION_DIM) + step(actor, hidden + last * ACTION_DIM)
    found = costs(get("ddpg")(hidden_sizes=(32, 16)))
    assert found["action_work"] == pytest.approx(actor / critic)
    assert found["update_work"] == pytest.approx(update / critic)


def test_every_method_has_words_and_a_row():
    assert set(WORDS) == set(CLASSES)
    assert list(STORED.index) == list(CLASSES)


def test_a_method_without_words_is_named(monkeypatch):
    monkeypatch.delitem(WORDS, "sac")
    with pytest.raises(SoftqError, match=r"'sac'; add a line to WORDS in .*methods\.py"):
        words_of("sac")


def test_the_words_are_those_of_the_map():
    """The rows of book/taxonomy.md that name a file: method, year, an action is, guidance, reference, file."""
    text = (ROOT / "book" / "taxonomy.md").read_text()
    rows = re.findall(r"\| [^|]+ \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `(\w+)\.py` \|", text)
    assert {file: tuple(cells) for *cells, file in rows} == {x: WORDS[x][1:4] for x in WORDS}


def test_the_stored_table_is_that_of_the_code():
    """Words of all methods, and the whole rows of some: with and without an actor, and with a flow."""
    for name, words in WORDS.items():
        assert tuple(STORED.loc[name, list(words._fields)]) == words
    again = table(("ddpg", "lql", "meow")).set_index("method")
    stored = STORED.loc[again.index]
    numbers = again.select_dtypes("number").columns
    pd.testing.assert_frame_equal(again[numbers], stored[numbers], rtol=1e-5, check_dtype=False)
    assert (again.drop(columns=numbers) == stored.drop(columns=numbers)).all(axis=None)


@pytest.mark.parametrize(("name", "what"), [("sac", "entropy of a draw"), ("sql", "soft value")])
def test_a_critic_of_zeros_shows_what_a_target_adds(name, what):
    assert methods.target_adds(get(name)(hidden_sizes=(4,))) == what == STORED.loc[name, "target_adds"]

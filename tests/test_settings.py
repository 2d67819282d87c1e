"""The tables of settings: what they say is what the classes and their actions do."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.algorithms import ALGORITHMS
from softq.algorithms.common import targets
from softq.experiments.mode_coverage import TASKS
from softq.experiments.settings import (
    LENGTH,
    MEASURED,
    changes,
    in_words,
    learner,
    reported,
    settings_of,
    settings_table,
    title,
    work,
    wrapped,
)
from softq.training import TrainConfig, preset_of, train
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat, with_settings
from softq.utils.pytree import replace


@pytest.mark.parametrize("task", [None, *TASKS])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_changes_turn_the_papers_settings_into_those_of_the_run(name, task):
    """All of them, and nothing else."""
    table = changes([name], task=task)
    here, paper = learner(name, task=task), learner(name, "paper")
    listed = set(table["setting"])
    for new, old in zip(here, paper, strict=True):
        mine, before = flat(new), flat(old)
        differing = {name for name in mine if name not in LENGTH and mine[name] != before[name]}
        assert differing == listed & mine.keys()
    has = flat(here[0])
    assert with_settings(paper[0], {name: has[name] for name in listed if name in has}) == here[0]
    assert (table["paper"] != table["here"]).all() and (table["meaning"].str.len() > 0).all()


def test_a_run_without_a_preset_has_the_papers_settings():
    assert changes(preset="paper").empty


def test_the_small_preset_is_the_one_of_softq_train():
    for name, cls in ALGORITHMS.items():
        algo, config = learner(name)
        has = dataclasses.asdict(config) | flat(algo)
        for setting, value in preset_of(cls, "small").items():
            assert has[setting] == value, setting


def test_the_small_preset_in_python():
    """By name it sets both; an algorithm of one's own keeps its hyper-parameters; what is given goes before it."""
    short = {"iterations": 1, "warmup": 16, "buffer_size": 16, "eval_episodes": 1, "progress": False}
    run = train("lql", "Bandit", preset="small", **short)
    algo, config = learner("lql")
    assert run.algo == algo
    fields = [field.name for field in dataclasses.fields(TrainConfig)]
    differing = {field for field in fields if getattr(run.config, field) != getattr(config, field)}
    assert differing == {"env", "iterations", "warmup", "buffer_size", "eval_episodes"}
    own = replace(algo, step_size=0.5)
    assert train(own, "Bandit", preset="small", **short).algo == own
    with pytest.raises(SoftqError, match=r"unknown preset 'tiny'.*small"):
        train("lql", "Bandit", preset="tiny")


@pytest.fixture
def compared(monkeypatch):
    """A list of the actions `(n, d)`, and of Q at them, of which methods have taken the best since the test began."""
    sets, original = [], targets.best_action

    def best_action(q, actions):
        read = lambda *given: sets.append([np.asarray(x) for x in given])
        jax.debug.callback(read, actions, jax.vmap(q)(actions))
        return original(q, actions)

    for name, module in list(sys.modules.items()):
        if name.startswith("softq.algorithms") and hasattr(module, "best_action"):
            monkeypatch.setattr(module, "best_action", best_action)
    return sets


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_reported_action_is_what_the_table_says(name, compared):
    """On a fresh learner: a greedy action ignores the key, one sample is the policy's, the best of N is one of N."""
    algo, _ = learner(name)
    obs, keys = jnp.array([0.3, -0.2]), jax.random.split(jax.random.key(5), 4)
    kind = reported(algo)
    draw = getattr(algo, "one_draw", algo.policy)  # without noise that is added to what is drawn
    state = jax.jit(lambda: algo.init(jax.random.key(0), obs, jnp.zeros(2)))()
    reports = np.asarray(jax.jit(jax.vmap(lambda key: algo.exploit(state, obs, key)))(keys))
    assert (reports == reports[0]).all() == (kind == "greedy")
    if kind == "one sample":
        samples = jax.jit(jax.vmap(lambda key: draw(state, obs, key)))(keys)
        np.testing.assert_allclose(reports, samples, atol=1e-5)
    elif kind != "greedy":
        jax.effects_barrier()
        best = [actions[np.argmax(values)] for actions, values in compared]
        assert [f"best of {len(actions)} samples" for actions, _ in compared] == [kind] * len(keys)
        assert all(len(np.unique(actions, axis=0)) == len(actions) for actions, _ in compared)
        in_order = lambda actions: sorted(np.asarray(actions).tolist())
        np.testing.assert_allclose(in_order(reports), in_order(best), atol=1e-5)


def test_the_table_has_a_row_for_each_method_and_text_only():
    table = settings_table()
    assert list(table.index[:3]) == ["DDSQ", "LQL", "NC-LQL"] and len(table) == len(MEASURED)
    assert not table.isna().any(axis=None) and table.map(lambda cell: isinstance(cell, str)).all(axis=None)
    ddsq = table.loc["DDSQ"]
    assert (
        ddsq["layers"] == "64, 64" and ddsq["temperature"] == "0.05" and ddsq["normalised by"] == "std of Q"
    )
    assert table.loc["NC-LQL", "normalised by"] == "slope" and table.loc["SAC", "normalised by"] == "–"
    assert table.loc["SAC", "temperature"] == "1, then tuned"
    assert table.loc["MaxEntDP", "reported action"] == "best of 10 samples"


def test_algorithms_that_a_page_has_made_are_described_by_the_same_columns():
    named, made = (
        settings_table(["ddsq"]),
        settings_of({"mine": replace(learner("ddsq")[0], temperature=0.3)}),
    )
    assert list(made.columns) == [name for name in named.columns if name != "batch"]
    assert made.loc["mine", "temperature"] == "0.3"
    same = [name for name in made.columns if name != "temperature"]
    assert (made.loc["mine", same] == named.loc["DDSQ", same]).all()


def test_work_an_action_leaves_out_what_only_learning_uses():
    assert work(learner("ddsq")[0]) == "16 candidates, 3 schedules, 5 steps"
    assert work(learner("dqs")[0]) == "15 steps"  # its levels are of the likelihood
    maxentdp, _ = learner("maxentdp")  # whose steps are the sampler's and its likelihood's
    assert work(maxentdp) == f"{maxentdp.num_steps} steps, {maxentdp.num_actions} actions"
    assert work(learner("ddpg")[0]) == "–"


def test_dqs_is_named_by_its_estimator():
    assert title("dqs, action times 50") == "DQS (QNE), action times 50"
    assert title("dqs", task="maze") == "DQS" and title("dqs", "paper") == "DQS"
    assert title("nclql") == "NC-LQL" and title("maxentdp, relu critic") == "MaxEntDP, relu critic"


def test_tables_for_a_page_break_their_lines():
    page = wrapped(in_words(changes(["sac"]))).to_html()
    assert "white-space: normal" in page and 'class="dataframe"' in page
    assert "learning_rate 0.002 (0.0003)" in page


def test_unknown_names_are_refused():
    with pytest.raises(SoftqError, match="unknown algorithm 'dsq'"):
        settings_table(["dsq"])
    with pytest.raises(SoftqError, match=r"unknown preset 'tiny'.*small"):
        settings_table(preset="tiny")
    with pytest.raises(SoftqError, match=r"unknown task 'maize'.*'maze'"):
        title("ddsq", task="maize")

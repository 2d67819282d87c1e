"""The hook: what is called when, with what; the best learner, the early end, and both over interruptions."""

import itertools
import json
import os
import shutil
import signal
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from softq.algorithms import DDPG
from softq.cli import main
from softq.training import (
    Callback,
    EarlyStop,
    Evaluator,
    KeepBest,
    evaluate_run,
    load_all,
    load_run,
    resume,
    train,
)
from softq.training.run_directory import RunDirectory
from softq.utils.errors import SoftqError, SoftqWarning

# a learning rate at which returns go up and down, so that the best learner is not the last
TINY = DDPG(hidden_sizes=(8,), learning_rate=0.03, actor_learning_rate=0.03, polyak=0.1)
SETTINGS = {"num_envs": 2, "seeds": 2, "warmup": 8, "batch_size": 4, "log_every": 20, "eval_every": 10}
SETTINGS |= {"checkpoint_every": 15, "eval_episodes": 2, "iterations": 60, "progress": False}


class Recorder(Callback):
    """Notes every event, and keeps the states of every evaluation."""

    def __init__(self):
        self.events, self.states = [], {}

    def note(self, event):
        self.events.append((event.kind, event.updates, [row["kind"] for row in event.rows]))

    def on_evaluation(self, event):
        self.note(event)
        self.states[event.updates] = event.states

    on_start = on_log = on_checkpoint = on_end = note


class Sum(Callback):
    """Ends the run when the returns of seed 0 add up to less than `least`."""

    def __init__(self, least):
        self.least, self.total = least, 0.0

    def on_evaluation(self, event):
        self.total += event.rows[0]["return"]
        return "the sum is small" if self.total < self.least else None

    def save(self):
        return {"total": self.total}

    def restore(self, saved):
        self.total = saved["total"]


def rows(folder):
    """The log without wall-clock times."""
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that keeps the best learner, and what a callback has seen of it."""
    recorder, folder = Recorder(), tmp_path_factory.mktemp("whole") / "run"
    return train(TINY, "MultiGoal", out=folder, keep_best=True, callbacks=[recorder], **SETTINGS), recorder


def test_events_come_in_order_with_their_rows(whole):
    """The warm-up ends after 4 steps: a log and a checkpoint there, then each by its period, and all at the end."""
    log, evaluation = ["train", "train"], ["eval", "eval"]
    assert whole[1].events == [
        ("start", 0, []),
        ("log", 0, log),
        ("checkpoint", 0, []),
        ("evaluation", 10, evaluation),
        ("checkpoint", 15, []),
        ("log", 20, log),
        ("evaluation", 20, evaluation),
        ("evaluation", 30, evaluation),
        ("checkpoint", 30, []),
        ("log", 40, log),
        ("evaluation", 40, evaluation),
        ("checkpoint", 45, []),
        ("evaluation", 50, evaluation),
        ("log", 60, log),
        ("evaluation", 60, evaluation),
        ("checkpoint", 60, []),
        ("end", 60, []),
    ]


def test_states_are_copies_of_the_learner_at_the_event(whole):
    run, recorder = whole
    assert_equal(recorder.states[60], run.states)
    weights = [
        np.asarray(jax.tree.leaves(states.critic.network.params)[0]) for states in recorder.states.values()
    ]
    assert all((a != b).any() for a, b in itertools.pairwise(weights))


def test_the_best_learner_of_each_seed_is_kept(whole):
    run, recorder = whole
    table = run.curve[run.curve["kind"] == "eval"].pivot(index="updates", columns="seed", values="return")
    best = [int(table[seed].to_numpy().argmax()) for seed in (0, 1)]
    assert best[0] != best[1], "the case is too easy: choose another learning rate"
    algo, states, config = load_all(run.folder, checkpoint="best")
    assert (algo, config) == (TINY, run.config)
    for seed in (0, 1):
        then = recorder.states[int(table.index[best[seed]])]
        assert_equal(*(jax.tree.map(lambda x, seed=seed: x[seed], tree) for tree in (states, then)))
    assert_equal(load_run(run.folder, 1, "best")[1], jax.tree.map(lambda x: x[1], states))
    played = evaluate_run(run.folder, 2, checkpoint="best")
    np.testing.assert_allclose(played["return"][:2], table.max().to_numpy(), rtol=1e-6)


def test_a_run_without_a_best_learner_says_so(whole, tmp_path, capsys):
    copy = shutil.copytree(whole[0].folder, tmp_path / "copy")
    shutil.rmtree(copy / "best")
    assert main(["evaluate", str(copy), "--checkpoint", "best"]) == 2
    assert "keeps no best learner; a run trained with --keep-best does" in capsys.readouterr().err
    with pytest.raises(SoftqError, match=r"unknown checkpoint 'bset'\. Did you mean 'best'"):
        load_run(copy, checkpoint="bset")


def answers(stop, means):
    """What `stop` says to evaluations with these mean returns, of two seeds 1 apart."""
    seeds = lambda mean: [{"return": mean - 0.5}, {"return": mean + 0.5}]
    return [stop.on_evaluation(SimpleNamespace(rows=seeds(mean))) is not None for mean in means]


@pytest.mark.parametrize(
    ("patience", "min_change", "means", "ends"),
    [
        (2, 0.0, [1, 2, 2, 3, 3, 3], [5]),  # equal is not higher; a rise starts the count anew
        (1, 0.0, [-5, -4, -6], [2]),
        (2, 1.0, [0, 0.9, 1.0, 1.1, 2.1], [2]),  # rises of at most 1 do not count, however many
        (2, 1.0, [0, 0.9, 1.1, 1.5, 2.05], [4]),
        (2, 0.0, [3, 2, 1, 0, 0, 4, 1], [2, 4]),  # went on after its end, it waits as long again
        (2, 0.0, [float("nan"), float("nan"), 1, float("nan")], [1]),
    ],
)
def test_patience_is_counted_in_evaluations(patience, min_change, means, ends):
    stopped = answers(EarlyStop(patience, min_change), means)
    assert [i for i, yes in enumerate(stopped) if yes] == ends
    # the same when it is saved and restored between any two evaluations
    one_by_one, saved = [], EarlyStop(patience, min_change).save()
    for mean in means:
        stop = EarlyStop(patience, min_change)
        stop.restore(json.loads(json.dumps(saved)))
        one_by_one += answers(stop, [mean])
        saved = stop.save()
    assert one_by_one == stopped


def test_a_run_that_no_longer_improves_ends_early_and_can_be_made_to_go_on(whole, tmp_path, capsys):
    """With a rise that no return reaches, two evaluations after the first one."""
    folder = tmp_path / "run"
    run = train(TINY, "MultiGoal", out=folder, patience=2, min_change=1e6, **SETTINGS)
    means = [
        np.mean([row["return"] for row in rows(folder) if row["kind"] == "eval" and row["updates"] == 10])
    ]
    assert run.finished
    assert run.stopped == f"the mean return was at most {1e6 + means[0]:.6g} in 2 evaluations in a row"
    assert rows(folder) == rows(whole[0].folder)[: len(rows(folder))]
    status = json.loads((folder / "status.json").read_text())
    assert status["finished"] and status["updates"] == 30 and status["stopped"] == run.stopped
    before = (folder / "log.jsonl").read_text()
    with pytest.warns(
        SoftqWarning, match="was ended early at update 30 .*; it goes on with a larger --iterations or"
    ):
        assert main(["train", "--resume", str(folder), "--no-progress"]) == 0
    assert f"ended early, {run.stopped}: {folder}" in capsys.readouterr().out
    assert (folder / "log.jsonl").read_text() == before
    with pytest.warns(SoftqWarning, match=r"^patience 2 -> 0 from update 30 on\.$"):
        assert main(["train", "--resume", str(folder), "--patience", "0", "--no-progress"]) == 0
    without = [row for row in rows(folder) if row["kind"] != "change"]
    assert without == rows(whole[0].folder)
    assert not json.loads((folder / "status.json").read_text()).get("stopped")


class Breaks(Callback):
    """Fails at the evaluation after 30 updates."""

    def on_evaluation(self, event):
        if event.updates == 30:
            raise KeyError("no such\nplot")


def test_a_callback_that_fails_ends_the_run_in_a_line_and_the_others_go_on_exactly(whole, tmp_path):
    """The sum falls below its limit at the second-last evaluation, before and after the interruption."""
    returns = [row["return"] for row in rows(whole[0].folder) if row["kind"] == "eval" and row["seed"] == 0]
    least = float(np.mean(np.cumsum(returns)[3:5]))  # reached after 5 of 6 evaluations
    one = train(TINY, "MultiGoal", callbacks=[Sum(least)], **SETTINGS)
    assert one.stopped == "the sum is small" and one.curve["updates"].max() == 50
    folder = tmp_path / "run"
    with pytest.raises(SoftqError) as error:
        train(TINY, "MultiGoal", out=folder, keep_best=True, callbacks=[Sum(least), Breaks()], **SETTINGS)
    assert "the callback Breaks failed in on_evaluation (KeyError: 'no such\\nplot')." in str(error.value)
    assert f"kept up to update 30; continue with: softq train --resume {folder}" in str(error.value)
    with pytest.warns(SoftqWarning, match="trained with the callback Sum, which is not given now"):
        forgotten = resume(shutil.copytree(folder, tmp_path / "copy"), progress=False)
    assert forgotten.finished and not forgotten.stopped
    # the best learner of a later evaluation, of a process that was killed before its checkpoint, does not count
    shutil.rmtree(folder / "best")
    shutil.copytree(whole[0].folder / "best", folder / "best")
    again = resume(folder, progress=False, callbacks=[Sum(least)])
    assert again.stopped == one.stopped and RunDirectory(folder).finished()
    assert_equal(again.states, one.states)
    assert rows(folder) == [row for row in rows(whole[0].folder) if row["updates"] <= 50]


def test_the_last_evaluation_is_told_also_when_it_was_interrupted(whole, tmp_path, monkeypatch):
    """Ctrl-C during that evaluation leaves a checkpoint after all updates, from which nothing but it is left to do."""
    evaluate, folder, recorder = Evaluator.__call__, tmp_path / "run", Recorder()

    def interrupted(self, algo, state, stop):
        if state.step[0] < 60:
            return evaluate(self, algo, state, stop)
        os.kill(os.getpid(), signal.SIGINT)
        return None

    with monkeypatch.context() as patch:
        patch.setattr(Evaluator, "__call__", interrupted)
        assert not train(TINY, "MultiGoal", out=folder, keep_best=True, **SETTINGS).finished
    assert resume(folder, progress=False, callbacks=[recorder]).finished
    assert ("evaluation", 60, ["eval", "eval"]) in recorder.events
    assert rows(folder) == rows(whole[0].folder)
    assert_equal(load_all(folder, "best")[1], load_all(whole[0].folder, "best")[1])


def test_functions_are_callbacks_and_other_things_are_not():
    seen = []

    def third(event):
        seen.append(event.kind)
        return len(seen) == 3

    run = train(TINY, "MultiGoal", callbacks=[third], **SETTINGS)
    assert run.finished and run.stopped == "the callback third asked for it"
    # what is due at the same update is still done; without a directory there are no checkpoints
    assert seen == ["log", "evaluation", "log", "evaluation"]
    for callbacks, message in [
        ([EarlyStop(3), EarlyStop(4)], "two callbacks are called EarlyStop"),
        ([EarlyStop], "is no callback; give an object"),
        (["early"], "'early' is no callback"),
        ([KeepBest()], "KeepBest failed in on_start .the best learner is kept in a run directory"),
    ]:
        with pytest.raises(SoftqError, match=message):
            train(TINY, "MultiGoal", callbacks=callbacks, **SETTINGS)
    with pytest.raises(SoftqError, match="EarlyStop has patience 0"):
        EarlyStop(0)

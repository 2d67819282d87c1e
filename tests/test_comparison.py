"""Statistics of few runs against exact ones, and tables and commands of a comparison against numbers by hand."""

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from softq import plots
from softq.algorithms import ALGORITHMS, SAC
from softq.cli import main
from softq.comparison import (
    bootstrap,
    collect,
    figures,
    improvement,
    interquartile_mean,
    mean,
    median,
    normalised,
    optimality_gap,
    profile,
    reference_scores,
    scores_of,
    time_to_threshold,
)
from softq.comparison.settings import hashed, settings_of_run
from softq.comparison.statistics import by_task, resampled
from softq.comparison.summary import times
from softq.comparison.table import write
from softq.experiments.random_policy import TASKS, returns
from softq.testing.statistics import THRESHOLD, binomial
from softq.training import TrainConfig, export
from softq.training.run_directory import RunDirectory, read_log
from softq.utils.errors import SoftqError, SoftqWarning

RESULTS = Path(__file__).parents[1] / "results"
REACHER = [str(RESULTS / f"{name}-reacher.csv") for name in ("sac", "ddsq")]
# runs of two tasks, so far apart that what mixes the tasks is seen
SCORES = [np.array([0.0, 3.0, 10.0]), np.array([100.0, 101.0, 105.0])]


def row(kind: str, seed: int, updates: int, value: float | None, **more) -> dict:
    """A row of a log, after a second for each ten updates."""
    given = {"kind": kind, "seed": seed, "updates": updates, "env_steps": 10 + 2 * updates, "return": value}
    return given | {"episodes": 2} | more | {"seconds": updates / 10}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The directory of a run of two seeds, whose log is written by hand."""
    made = RunDirectory(tmp_path_factory.mktemp("runs") / "sac")
    config = TrainConfig(
        env="Bandit", algorithm="sac", seeds=2, num_envs=2, warmup=10, iterations=40, batch_size=8
    )
    made.create(SAC(hidden_sizes=(8,)), config, {"obs_dim": 2, "action_dim": 2})
    for updates in (0, 10, 20, 30, 40):
        for seed in (0, 1):
            made.append(row("train", seed, updates, -1.0 if updates else None, critic_loss=0.5))
        for seed in (0, 1) if updates else ():
            made.append(row("eval", seed, updates, updates / 3 + seed, std=0.25, returns=[1.0, 2.0]))
    made.close()
    return made.folder


def changed(run: Path, to: Path, part: str, **settings) -> Path:
    """A copy of the run, in which config.json has other settings."""
    shutil.copytree(run, to)
    content = json.loads((to / "config.json").read_text())
    content[part] |= settings
    (to / "config.json").write_text(json.dumps(content))
    return to


# Statistics


def trimmed(values) -> float:
    """The interquartile mean of a few numbers, with sorted lists."""
    ordered, cut = sorted(values), len(values) // 4
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[1, 2, 6]], 3),  # of three none is left out
        ([[-100, 1, 2, 3, 100]], 2),
        ([[7, 1], [100, 3]], 5),
        ([[1, 2, 3], [50, 60], [-9]], 14),  # 1 of 6 at each end: (1 + 2 + 3 + 50) / 4
    ],
)
def test_the_interquartile_mean_by_hand(scores, expected):
    assert interquartile_mean([np.array(x, float) for x in scores]) == expected
    assert trimmed([*itertools.chain(*scores)]) == expected


def test_the_other_aggregates_by_hand():
    """Of tasks with different numbers of runs each counts the same."""
    scores = [np.array([0.0, 0.5, 2.5]), np.array([4.0]), np.array([-1.0, 0.0])]
    assert mean(scores) == pytest.approx((1 + 4 - 0.5) / 3)
    assert median(scores) == 1
    assert optimality_gap(scores) == pytest.approx(1 - (0.5 + 1 - 0.5) / 3)
    np.testing.assert_allclose(
        profile(scores, np.array([-2.0, 0.0, 0.5])), [1, (2 / 3 + 1) / 3, (1 / 3 + 1) / 3]
    )


def test_numbers_of_the_authors_library():
    """Those in tests/rliable/metrics_test.py of google-research/rliable."""
    x, y = by_task([[1, 2], [2, 2], [1, 1], [2, 1]]), by_task([[1, 1], [2, 2], [3, 3]])
    for statistic in (median, mean, interquartile_mean):
        assert statistic(x) == 1.5 and statistic(y) == 2
    assert improvement(x, y) == pytest.approx(1 / 3)


@pytest.mark.parametrize("sizes", [((4, 3), (4, 3)), ((2, 5), (3, 1))])
def test_improvement_is_the_share_of_pairs(sizes):
    """With ties, which small whole numbers have; Mann and Whitney's U is that of SciPy."""
    generator = np.random.default_rng(3)
    one, other = ([generator.integers(0, 4, n).astype(float) for n in group] for group in sizes)
    shares, by_scipy = [], []
    for x, y in zip(one, other, strict=True):
        wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(x, y)]
        shares.append(sum(wins) / len(wins))
        by_scipy.append(stats.mannwhitneyu(x, y).statistic / len(wins))
    assert improvement(one, other) == pytest.approx(np.mean(shares)) == pytest.approx(np.mean(by_scipy))
    assert improvement(other, one) == pytest.approx(1 - np.mean(shares))


def exact_law(scores, statistic) -> Counter:
    """The probability of each value of `statistic` over all equally likely resamples within the tasks."""
    choices = [list(itertools.product(x, repeat=len(x))) for x in scores]
    values = [round(statistic(sum(picked, ())), 9) for picked in itertools.product(*choices)]
    return Counter({value: count / len(values) for value, count in Counter(values).items()})


def fit(values, law: Counter) -> float:
    """p-value of the hypothesis that `values` have the `law`; 0 for a value that it does not have."""
    counts = Counter(np.round(values, 9).tolist())
    if counts.keys() - law.keys():
        return 0.0
    names = sorted(law, key=lambda name: law[name])
    expected = np.array([law[name] for name in names]) * len(values)
    observed = np.array([counts[name] for name in names])
    rare = expected < 5  # put together
    bins = [np.append(x[~rare], x[rare].sum()) for x in (observed, expected)]
    return stats.chisquare(*(x[bins[1] > 0] for x in bins)).pvalue


def test_the_bootstrap_has_the_law_of_all_resamples():
    """729 resamples of two tasks of three runs. A resample of all runs together fails, and so does another mean."""
    law = exact_law(SCORES, trimmed)
    assert sum(law.values()) == pytest.approx(1)
    drawn = resampled(SCORES, 20_000, np.random.default_rng(1))
    assert fit(interquartile_mean(drawn), law) > THRESHOLD
    pooled = np.random.default_rng(1).choice(np.concatenate(SCORES), (20_000, 6))
    assert fit(interquartile_mean([pooled]), law) < THRESHOLD
    assert fit(mean(drawn), law) < THRESHOLD
    assert fit(mean(drawn), exact_law(SCORES, np.mean)) > THRESHOLD


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_ends_of_an_interval_are_the_exact_percentiles(level):
    law, resamples = exact_law(SCORES, trimmed), 20_000
    ends = bootstrap(interquartile_mean, SCORES, resamples=resamples, level=level)
    for end, tail in zip(ends, ((1 - level) / 2, (1 + level) / 2), strict=True):
        below = sum(p for value, p in law.items() if value < end - 1e-6)
        upto = sum(p for value, p in law.items() if value < end + 1e-6)
        slack = 5 * np.sqrt(tail * (1 - tail) / resamples)
        assert below - slack <= tail <= upto + slack


def test_an_interval_holds_95_of_100_resamples_and_is_the_same_each_time():
    assert bootstrap(mean, SCORES) == bootstrap(mean, SCORES, level=0.95, resamples=2000, seed=0)
    assert bootstrap(mean, SCORES) != bootstrap(mean, SCORES, level=0.9)
    assert bootstrap(mean, SCORES[:1]) == (0, 10)  # the range, as of any three runs


def test_methods_are_resampled_independently():
    """Of two equal methods with two runs each, half of the 4 x 4 resamples have an improvement other than 1/2."""
    scores = [np.array([0.0, 1.0])]
    generator = np.random.default_rng(0)
    drawn = improvement(*(resampled(scores, 20_000, generator) for _ in range(2)))
    law = Counter()
    for x in itertools.product((0, 1), repeat=2):
        for y in itertools.product((0, 1), repeat=2):
            law[round(float(improvement([np.array(x)], [np.array(y)])), 9)] += 1 / 16
    assert fit(drawn, law) > THRESHOLD
    assert bootstrap(improvement, scores, scores) == (0, 1)


def test_intervals_cover_the_mean_of_normal_laws_as_often_as_they_should():
    """Two tasks of ten runs with deviation 1, whose means differ by 100.

    Over resamples the mean is nearly normal with variance s^2 / 20, where s^2 = (s_1^2 + s_2^2) / 2 divides by ten and
    not by nine; hence it covers the truth if |T| < z sqrt(9/10) for Student's T with 18 degrees of freedom. An interval
    from resamples of all runs together spans the distance of the tasks and always covers.
    """
    repeats, generator = 800, np.random.default_rng(5)
    share = 1 - 2 * stats.t.sf(stats.norm.isf(0.025) * np.sqrt(0.9), 18)
    assert share == pytest.approx(0.92, abs=0.01)
    covers = {"stratified": 0, "pooled": 0}
    for i in range(repeats):
        scores = [generator.normal(m, 1, 10) for m in (0.0, 100.0)]
        pooled = [np.concatenate(scores)]
        for name, given in (("stratified", scores), ("pooled", pooled)):
            low, high = bootstrap(mean, given, resamples=300, seed=i)
            covers[name] += low <= 50 <= high
    assert binomial(covers["stratified"], repeats, share) > THRESHOLD
    assert binomial(covers["pooled"], repeats, share) < THRESHOLD


def test_one_run_has_no_interval():
    assert np.isnan(bootstrap(mean, [np.array([1.0])])).all()
    assert np.isnan(bootstrap(mean, [np.array([1.0, 2.0]), np.array([1.0])])).all()
    assert np.isnan(bootstrap(improvement, [np.array([1.0, 2.0])], [np.array([1.0])])).all()
    assert not np.isnan(bootstrap(mean, [np.array([1.0, 2.0])])).any()


@pytest.mark.parametrize(
    ("returns_", "threshold", "window", "expected"),
    [
        ([0, 5, 4, 6, 7], 5, 1, 20),
        ([0, 5, 4, 6, 7], 5, 2, 40),  # (4 + 6) / 2
        ([0, 5, 4, 6, 7], 5, 3, 40),  # (5 + 4 + 6) / 3
        ([9, 0, 0, 0, 0], 5, 3, np.inf),
        ([1000, 1000, 1000, 0, 0], 1000, 3, 30),
        ([9, 9], 5, 3, np.inf),
        ([0, 0], 5, 1, np.inf),
    ],
)
def test_time_to_threshold(returns_, threshold, window, expected):
    when = 10 * np.arange(1, len(returns_) + 1)
    assert time_to_threshold(when, np.array(returns_, float), threshold, window) == expected


@pytest.mark.parametrize(
    ("steps", "reached", "median_steps"), [((10, np.inf, np.inf), 1, np.inf), ((30, 10, np.inf, 20), 3, 25)]
)
def test_a_run_that_never_arrives_is_later_than_all_others(steps, reached, median_steps):
    """Each run returns 1 from its step on, and 0 before."""
    lines = [
        ("mine", "a", seed, x // 10, x, float(x >= step))
        for seed, step in enumerate(steps)
        for x in (10, 20, 30)
    ]
    table = pd.DataFrame(lines, columns=["method", "env", "seed", "updates", "env_steps", "return"])
    found = times(table.assign(seconds=np.nan), {"a": 1.0}, 1).set_index("statistic")
    assert found.loc["reached", ["value", "runs"]].tolist() == [reached, len(steps)]
    assert found.loc["median env_steps to threshold", "value"] == median_steps
    assert np.isnan(found.loc["median seconds to threshold", "value"])


# Tables


def test_results_have_a_row_for_each_evaluation(run, tmp_path, capsys):
    out = tmp_path / "new" / "all.csv"
    assert main(["results", str(run), "--out", str(out)]) == 0
    assert "all.csv: 8 evaluations of 2 runs, 1 methods" in capsys.readouterr().out
    table = pd.read_csv(out)
    logged = pd.DataFrame([row for row in read_log(run) if row["kind"] == "eval"])
    for name in ("seed", "updates", "env_steps", "return", "std", "episodes", "seconds"):
        np.testing.assert_allclose(table[name], logged[name], rtol=1e-5)
    assert set(table["method"]) == set(table["algorithm"]) == {"sac"} and set(table["env"]) == {"Bandit"}
    versions = json.loads((run / "versions.json").read_text())
    assert set(table["device"]) == {versions["device"]}
    assert table["versions"].str.contains(f"jax={versions['jax']}").all()
    assert table["settings"].nunique() == 1 and (table["run"] == str(run)).all()
    pd.testing.assert_frame_equal(collect([out]), collect([run]), rtol=1e-5, check_dtype=False)
    # a folder of runs, and the file of `softq export`, hold the same evaluations
    export([run], tmp_path / "export.csv")
    same = ["method", "seed", "updates", "return"]
    deep = shutil.copytree(run.parent, tmp_path / "sweep" / "sac")
    for path in (run.parent, deep.parent, tmp_path / "export.csv"):
        pd.testing.assert_frame_equal(
            collect([path])[same], collect([out])[same], rtol=1e-5, check_dtype=False
        )


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.csv")), ids=lambda path: path.stem)
def test_every_stored_training_can_be_read(file):
    """All files of `softq results` and `softq export` in results/, also those of softq 0.1.0.

    Other files are refused in one line.
    """
    stored = pd.read_csv(file)
    if file.name == "book.csv":
        table = collect([file])
        assert len(table) == len(stored) > 0 and (table["return"] == stored["return"]).all()
        assert (table["method"] == stored["algorithm"]).all()
    elif "kind" in stored and "algorithm" in stored:
        table = collect([file])
        assert len(table) == (stored["kind"] == "evaluation").sum() > 0
        assert (table["method"] == stored["algorithm"].iloc[0]).all()
    else:
        with pytest.raises(SoftqError, match="has no column"):
            collect([file])


def test_runs_of_different_settings_need_names(run, tmp_path):
    other = changed(run, tmp_path / "other", "algorithm", discount=0.5)
    with pytest.raises(
        SoftqError, match=r"sac in Bandit has runs of different settings, discount 0.99 and 0.5"
    ):
        collect([run, other])
    table = collect([run], {str(other): "half"})
    assert list(table["method"].unique()) == ["sac", "half"]
    assert (
        table.groupby("method")["settings"].nunique().tolist() == [1, 1] and table["settings"].nunique() == 2
    )
    # of stored tables only the hashes are known
    for path in (run, other):
        main(["results", str(path), "--out", str(tmp_path / f"{path.name}.csv")])
    with pytest.raises(SoftqError, match=r"settings, \w{10} and \w{10}, in .*--label NAME=.*other.csv"):
        collect([tmp_path / "sac.csv", tmp_path / "other.csv"])


def test_settings_tell_the_runs_of_a_sweep_apart(run, tmp_path, capsys):
    other = changed(run, tmp_path / "other", "algorithm", discount=0.5)
    names = collect([run, other], by=["discount", "learning_rate"])["method"].unique()
    assert list(names) == [
        "sac, discount 0.99, learning_rate 0.0003",
        "sac, discount 0.5, learning_rate 0.0003",
    ]
    assert main(["compare", str(run), str(other), "--by", "discount"]) == 0
    assert "sac, discount 0.5 " in capsys.readouterr().out
    with pytest.raises(SoftqError, match=r"unknown setting 'discont'.* Did you mean 'discount'"):
        collect([run], by=["discont"])


def test_seeds_and_periods_are_no_settings(run, tmp_path):
    more = changed(
        run, tmp_path / "more", "train", seed=7, iterations=50, log_every=10, eval_every=10, eval_episodes=9
    )
    log = (more / "log.jsonl").read_text()
    with pytest.raises(SoftqError, match=r"seed 0 twice, in .*sac and .*more; leave one out"):
        collect([run, more])
    (more / "log.jsonl").write_text(log.replace('"seed": 0', '"seed": 7').replace('"seed": 1', '"seed": 8'))
    table = collect([run, more])
    assert table["settings"].nunique() == 1 and sorted(table["seed"].unique()) == [0, 1, 7, 8]
    with pytest.raises(SoftqError, match="batch_size 8 and 4"):
        collect([run, changed(more, tmp_path / "batch", "train", batch_size=4)])


def test_a_hash_is_that_of_the_settings_that_differ_from_the_defaults(run, tmp_path):
    """A run of an earlier softq, whose config.json lacks a setting of today, has the same; so has another order."""
    settings = settings_of_run(run)
    assert settings["batch_size"] == 8 and settings["class"] == "SAC" and "env" not in settings
    less = {name: settings[name] for name in reversed(settings) if name not in ("discount", "buffer_size")}
    assert hashed(less) == hashed(settings)
    assert (
        len({hashed(settings | more) for more in ({}, {"discount": 0.9}, {"num_envs": 3}, {"class": "TD3"})})
        == 4
    )


def test_names_and_hashes_stay_text(run, tmp_path):
    """A name that looks like a number, and one that looks like nothing."""
    for name in ("0.10", "None"):
        table = collect([], {str(run): name}).assign(settings="123e456789", commit="0012")
        write(table, tmp_path / "x.csv")
        again = collect([tmp_path / "x.csv"])
        columns = ["method", "settings", "commit"]
        assert again[columns].drop_duplicates().to_numpy().tolist() == [[name, "123e456789", "0012"]]


def test_a_run_without_evaluations_is_left_out(run, tmp_path):
    young = shutil.copytree(run, tmp_path / "young")
    lines = (young / "log.jsonl").read_text().splitlines()
    (young / "log.jsonl").write_text(lines[0] + "\n")
    with pytest.warns(SoftqWarning, match="young has no evaluation yet"):
        assert len(collect([run, young])) == 8


def test_scores_at_the_end_at_best_and_in_between():
    table = collect(REACHER)
    stored = (
        pd.read_csv(REACHER[0])
        .query("kind == 'evaluation'")
        .pivot(index="updates", columns="seed", values="return")
    )
    ours = {at: scores_of(table, at)["sac"]["Reacher-v5"] for at in ("last", "best", 5000)}
    np.testing.assert_array_equal(ours["last"], stored.iloc[-1])
    np.testing.assert_array_equal(ours["best"], stored.max())
    np.testing.assert_array_equal(ours[5000], stored.loc[5000])
    np.testing.assert_allclose(scores_of(table, window=3)["sac"]["Reacher-v5"], stored.iloc[-3:].mean())
    with pytest.raises(SoftqError, match="without evaluation at 5500 updates; near it is 5000"):
        scores_of(table, 5500)


def test_the_published_references(tmp_path):
    """The low scores are the stored means of a uniform policy, of which one is played again here."""
    references, stored = reference_scores(), pd.read_csv(RESULTS / "random-policy.csv").set_index("env")
    assert sorted(references.index) == sorted(stored.index) == sorted(TASKS)
    assert (references["low"] == stored["return"].loc[references.index]).all()
    assert references["source"].str.contains("SAC|TD3").all()
    assert returns("InvertedPendulum-v5").mean() == pytest.approx(stored.loc["InvertedPendulum-v5", "return"])
    table = pd.DataFrame({"env": ["a", "a", "b"], "return": [1.0, 3.0, 5.0]})
    (tmp_path / "own.csv").write_text("env,low,high\na,1,5\nb,0,10\n")
    assert normalised(table, reference_scores(tmp_path / "own.csv"))["return"].tolist() == [0, 0.5, 0.5]


# Commands


def numbers(path, **chosen) -> pd.Series:
    """The row of a written table with the chosen values."""
    table = pd.read_csv(path, keep_default_na=False, na_values={"value": [""], "low": [""], "high": [""]})
    (found,) = table[(table[list(chosen)] == pd.Series(chosen)).all(axis=1)].to_dict("records")
    return pd.Series(found)


def test_compare_prints_and_writes_what_the_stored_runs_say(tmp_path, capsys):
    out = tmp_path / "c.csv"
    command = ["compare", *REACHER, "--threshold", "Reacher-v5=-6", "--window", "2", "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    frames = [pd.read_csv(path).query("kind == 'evaluation'") for path in REACHER]
    wide = [x.pivot(index="updates", columns="seed", values="return") for x in frames]
    ends = [x.iloc[-1].to_numpy() for x in wide]
    found = numbers(out, method="sac", statistic="interquartile mean", env="Reacher-v5")
    assert found["value"] == pytest.approx(ends[0].mean(), rel=1e-5) and found["runs"] == 3
    assert ends[0].min() - 1e-4 <= found["low"] < found["value"] < found["high"] <= ends[0].max() + 1e-4
    pairs = [a > b for a, b in itertools.product(*ends)]
    found = numbers(out, method="sac", against="ddsq", statistic="probability of improvement")
    assert found["value"] == pytest.approx(np.mean(pairs), rel=1e-5)
    smooth = [((x + x.shift()) / 2 >= -6).to_numpy() for x in wide]
    assert numbers(out, method="sac", statistic="reached")["value"] == smooth[0].any(0).sum()
    assert numbers(out, method="ddsq", statistic="reached")["value"] == smooth[1].any(0).sum()
    first = np.where(smooth[0].any(0), wide[0].index.to_numpy()[smooth[0].argmax(0)], np.inf)
    assert numbers(out, method="sac", statistic="median updates to threshold")["value"] == np.median(first)
    for text in (
        "of 3",
        "2000 stratified",
        "over seeds (not over environments)",
        "fewer than 5 seeds",
        "do not record",
    ):
        assert text in printed


def test_numbers_at_an_update_look_at_nothing_later(tmp_path, capsys):
    out = tmp_path / "c.csv"
    assert main(["compare", *REACHER, "--at", "5000", "--window", "2", "--out", str(out)]) == 0
    assert "of the evaluation at 5000 updates" in capsys.readouterr().out
    sac = pd.read_csv(REACHER[0]).query("kind == 'evaluation' and updates in (4000, 5000)")
    assert numbers(out, method="sac", statistic="last 2 mean")["value"] == pytest.approx(
        sac["return"].mean(), rel=1e-5
    )
    now = sac.query("updates == 5000")["return"].mean()
    assert numbers(out, env="Reacher-v5", method="sac", statistic="mean")["value"] == pytest.approx(
        now, rel=1e-5
    )


def test_environments_are_put_together_only_when_normalised(tmp_path, capsys):
    paths = [str(RESULTS / f"{m}-{e}.csv") for m in ("sac", "sql") for e in ("reacher", "inverted-pendulum")]
    assert main(["compare", *paths]) == 0
    printed = capsys.readouterr().out
    assert "no common unit; --normalise puts them together" in printed and "optimality" not in printed
    out = tmp_path / "c.csv"
    assert main(["compare", *paths, "--normalise", "published", "--out", str(out)]) == 0
    ends = []
    for path, low, high in zip(paths[:2], (-42.8052, 4.61), (-2.6, 1000), strict=True):
        table = pd.read_csv(path).query("kind == 'evaluation' and updates == 12000")
        ends += ((table["return"] - low) / (high - low)).tolist()
    assert numbers(out, env="all", method="sac", statistic="interquartile mean")["value"] == pytest.approx(
        trimmed(ends), rel=1e-5
    )
    gap = 1 - np.mean(np.minimum(ends, 1))
    assert numbers(out, env="all", method="sac", statistic="optimality gap")["value"] == pytest.approx(
        gap, rel=1e-4
    )


def test_one_seed_has_no_interval_and_says_so(tmp_path, capsys):
    table = pd.read_csv(REACHER[0])
    table[table["seed"] == 0].to_csv(tmp_path / "one.csv", index=False)
    assert main(["compare", str(tmp_path / "one.csv")]) == 0
    printed = capsys.readouterr().out
    assert "[" not in printed and "A method with one seed has no interval." in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("compare", "name run directories"),
        ("compare nowhere", "nowhere does not exist"),
        ("compare {results}/commands.csv", "commands.csv has no column 'env'"),
        ("compare {results}/gallery.csv", "has no column"),
        ("compare {reacher} {reacher} --at often", "--at is often; it must be last, best or a number"),
        ("compare {reacher} --at 5500", "near it is 5000"),
        ("compare {reacher} --metric retrun", "no metric 'retrun'"),
        ("compare {reacher} --window 0", "--window is 0; it must be at least 1"),
        ("compare {reacher} --threshold -6", "--threshold is -6; write ENV=RETURN"),
        (
            "compare {reacher} --threshold Hopper-v5=3",
            "--threshold names Hopper-v5; the results have Reacher-v5",
        ),
        ("compare {reacher} --normalise no.csv", "no.csv does not exist"),
        ("compare {reacher} --label tuned", "--label is tuned; write NAME=PATH"),
        ("compare {reacher} --out x.txt", "name a file that ends in .csv"),
        ("results {reacher} --out x.txt", "name a file that ends in .csv or .parquet"),
        (
            "results {reacher} {results}/sac-hopper.csv --label all={results}/methods.csv --out x.csv",
            "has no column",
        ),
        ("plot {reacher} --out x.gif", "ends in .png or .svg or .pdf"),
        ("plot {reacher} --kind threshold --out x.png", "name a return to reach: --threshold"),
        ("plot {reacher} --kind improvement --out x.png", "takes two methods"),
        ("plot {reacher} --x seconds --out x.png", "the results have no seconds"),
        (
            "plot {reacher} --kind threshold --threshold Reacher-v5=-6 --x seconds --out x.png",
            "have no seconds",
        ),
    ],
)
def test_mistakes_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = words.format(results=RESULTS, reacher=REACHER[0])
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("softq: ") and err.count("\n") == 1 and message in err and not out
    assert not list(tmp_path.iterdir())


# Figures


@pytest.mark.parametrize("kind", ["curves", "aggregate", "profile", "improvement", "threshold"])
def test_each_picture_is_drawn(kind, tmp_path, capsys):
    out = tmp_path / f"{kind}.svg"
    more = ["--threshold", "Reacher-v5=-6"] if kind == "threshold" else []
    assert main(["plot", *REACHER, "--kind", kind, "--resamples", "50", "--out", str(out), *more]) == 0
    assert f"{kind} of 2 methods, 6 runs" in capsys.readouterr().out
    assert "<svg" in out.read_text()
    assert not plt.get_fignums()


def test_curves_are_the_interquartile_means_in_the_looks_of_the_methods():
    table = collect(REACHER)
    figure = figures.curves(table)
    (ax,) = figure.axes
    assert ax.get_xlabel() == "environment steps" and ax.get_title() == "Reacher-v5"
    for line, (method, rows) in zip(ax.get_lines(), table.groupby("method", sort=False), strict=False):
        expected = rows.groupby("env_steps")["return"].apply(trimmed)
        np.testing.assert_allclose(line.get_ydata(), expected)
        assert line.get_color() == plots.LOOKS[method][0]
    plt.close(figure)


def test_each_method_has_a_look_of_its_own():
    assert plots.LOOKS.keys() == ALGORITHMS.keys()
    assert len(set(plots.LOOKS.values())) == len(plots.LOOKS)
    given = plots.looks(["sac", "mine", "nclql", "mine, hot"])
    assert list(given) == ["sac", "mine", "nclql", "mine, hot"] and len(set(given.values())) == 4
    assert given["sac"] == plots.LOOKS["sac"]
    with pytest.raises(SoftqError, match="22 methods are too many"):
        plots.looks(map(str, range(22)))


def test_learning_curves_need_no_name_of_a_column():
    figure, ax = plt.subplots()
    plots.learning_curves(ax, pd.read_csv(REACHER[0]).query("kind == 'evaluation'"))
    assert ax.get_xlabel() == "env_steps" and len(ax.get_lines()) == 4
    plt.close(figure)

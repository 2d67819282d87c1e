"""Tables of the settings with which each method runs, for the book to show beside the numbers of a comparison.

The settings of a method's paper are the defaults of its class and its preset "paper". Those of a run are a preset of
`softq train`, or the settings that `softq.experiments.mode_coverage` gives the method on a task.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from softq.algorithms import ALGORITHMS, Algorithm, get
from softq.experiments.mode_coverage.tasks import TASKS
from softq.experiments.mode_coverage.tasks import settings as given_in
from softq.training import TrainConfig, preset_of
from softq.training.config import LENGTH
from softq.utils.checks import one_of
from softq.utils.flat_settings import built, flat, helps

# the methods that the stored tables of `results/` and the chapters about them compare
MEASURED = ("ddsq", "lql", "nclql", "malaq", "dqs", "maxentdp", "sql", "sac", "ddpg")
TITLES = {name: cls.__name__ for name, cls in ALGORITHMS.items()} | {"nclql": "NC-LQL"}
# ends of the names num_... of settings that say what an action costs, unless their help speaks of the likelihood
WORK = ("candidates", "schedules", "levels", "steps", "fresh", "ascents", "actions", "draws")


def learner(name: str, preset: str = "small", task: str | None = None) -> tuple[Algorithm, TrainConfig]:
    """The algorithm called `name` and its training, with a preset of `softq train` or on a task of `softq visits`.

    Raises `SoftqError` for an unknown algorithm, preset or task.
    """
    cls = get(name)
    if task is not None:
        one_of("task", task, TASKS)
    given = given_in(TASKS[task], name) if task else preset_of(cls, preset)
    return built(cls, given, TrainConfig), built(TrainConfig, given | {"algorithm": name}, cls)


def title(label: str, preset: str = "small", task: str | None = None) -> str:
    """The name in the book of a row that results call `label`, as "DDSQ, relu critic" for "ddsq, relu critic".

    DQS with the estimator QNE of MaxEntDP in place of its own is called "DQS (QNE)".
    """
    name, comma, rest = label.partition(",")
    algo, _ = learner(name, preset, task)
    borrowed = name == "dqs" and getattr(algo, "estimator", None) == "qne"
    return TITLES[name] + (" (QNE)" if borrowed else "") + comma + rest


def reported(algo: Algorithm) -> str:
    """How `exploit` chooses the action whose return is reported: "one sample", "best of N samples" or "greedy"."""
    drawn = Algorithm.exploit, type(algo).explore, getattr(type(algo), "one_draw", None)
    unsaid = 1 if type(algo).exploit in drawn else 0
    num_actions = getattr(algo, "num_actions", unsaid)
    return {0: "greedy", 1: "one sample"}.get(num_actions, f"best of {num_actions} samples")


def work(algo: Algorithm) -> str:
    """What the sampler of `algo` computes for one action, as "16 candidates, 3 schedules, 5 steps", or a dash."""
    meaning = helps(type(algo))
    counts = {what: getattr(algo, f"num_{what}", 1) for what in WORK}
    of_an_action = {
        what: count
        for what, count in counts.items()
        if count > 1 and f"{what} of the likelihood" not in meaning[f"num_{what}"]
    }
    return ", ".join(f"{count} {what}" for what, count in of_an_action.items()) or "–"


def settings_table(
    names: Iterable[str] = MEASURED, preset: str = "small", task: str | None = None
) -> pd.DataFrame:
    """The settings of the methods `names` as text, a row for each: networks, rates, temperature, cost of an action.

    A dash stands where a method has no such setting. Raises `SoftqError` for an unknown method, preset or task.
    """
    learners = [learner(name, preset, task) for name in names]
    titles = [title(name, preset, task) for name in names]
    table = settings_of({label: algo for label, (algo, _) in zip(titles, learners, strict=True)})
    table.insert(4, "batch", [text(config.batch_size) for _, config in learners])
    return table


def settings_of(learners: Mapping[str, Algorithm]) -> pd.DataFrame:
    """`settings_table` without the column "batch" for algorithm objects, given by the names of their rows."""
    rows = {}
    for label, algo in learners.items():
        has = flat(algo)
        own = getattr(algo, "activation", "–")
        activations = dict.fromkeys([has.get("critic_activation", own), own])
        actor = f", actor {text(has['actor_learning_rate'])}" if "actor_learning_rate" in has else ""
        rows[label] = {
            "layers": text(has["hidden_sizes"]),
            "activation": text(tuple(activations)),
            "learning rate": text(has["learning_rate"]) + actor,
            "Polyak rate": text(has["polyak"]),
            "reward scale": text(has["reward_scale"]),
            "temperature": text(has.get("temperature", "–")) + (", then tuned" if tuned(algo) else ""),
            "normalised by": normalised_by(algo),
            "walls": text(has.get("space", has.get("boundary", "–"))),
            "work an action": work(algo),
            "reported action": reported(algo),
        }
    return pd.DataFrame(rows).T.rename_axis("method")


def tuned(algo: Algorithm) -> bool:
    """Whether `algo` learns its temperature."""
    has = flat(algo)
    return has.get("temperature_rule", "fixed") != "fixed"


def normalised_by(algo: Algorithm) -> str:
    """What normalises `algo`: "std of Q" multiplies its temperature, the length of a "slope" divides it, or a dash."""
    has = flat(algo)
    return "std of Q" if has.get("relative") else "slope" if has.get("unit_slope") else "–"


def changes(names: Iterable[str] = MEASURED, preset: str = "small", task: str | None = None) -> pd.DataFrame:
    """The settings in which the run of a method differs from its paper: `method, setting, paper, here, meaning`.

    Hyper-parameters, batch, replay, warm-up and number of environments are compared; the length of the run is not.
    For a method without a paper, such as MalaQ, `paper` is the default of its class. Raises `SoftqError` for an
    unknown method, preset or task.
    """
    rows = []
    for name in names:
        pairs = zip(learner(name, "paper"), learner(name, preset, task), strict=True)
        for paper, here in pairs:
            meaning, before = helps(type(here)), flat(paper)
            for field, new in flat(here).items():
                old = before[field]
                if old != new and field not in LENGTH:
                    row = (title(name, preset, task), field, text(old), text(new), meaning.get(field, ""))
                    rows.append(row)
    return pd.DataFrame(rows, columns=["method", "setting", "paper", "here", "meaning"])


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `changes` with one row for each method, such as "num_steps 10 (20)" where the paper has 20."""
    words = table["setting"] + " " + table["here"] + " (" + table["paper"] + ")"
    joined = words.groupby(table["method"], sort=False).agg(", ".join)
    return joined.to_frame("differs from the paper (whose value is in brackets)")


def wrapped(table: pd.DataFrame) -> Styler:
    """`table` in a small font whose cells break into lines, so that all columns fit on a page."""
    style = table.style.set_table_attributes('class="dataframe"')
    look: dict[str, Any] = {
        "white-space": "normal",
        "font-size": "0.8rem",
        "text-align": "left",
        "vertical-align": "top",
    }
    look |= {"padding": "0.15rem 0.35rem"}
    return style.set_properties(**look).set_table_styles([{"selector": "th", "props": list(look.items())}])


def text(value: Any) -> str:
    """The value of a setting as a table shows it, for example "64, 64", "0.002" or "1,000"."""
    if isinstance(value, tuple):
        return ", ".join(map(text, value))
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)

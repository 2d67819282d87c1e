"""The search of a sweep's [tune] for the best settings, which Optuna proposes from the trials before.

    algorithm = "ddsq"
    env = ["Hopper-v5", "Walker2d-v5"]
    [options]
    seeds = 3
    [tune]
    trials = 30
    temperature = { low = 0.01, high = 1, log = true }   # whole numbers where the setting is one
    boundary = ["reflect", "project"]                    # one of these

A trial is a run in each environment. Its score is the mean return of their last evaluations over all seeds. The trials
are kept in OUT/study.journal: the same command goes on with those that are not finished, and makes more if `trials` has
grown.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from softq.sweeps.drive import Outcome, aligned, carry_out, last_scores
from softq.sweeps.plan import Planned, Sweep, named
from softq.sweeps.pool import Engine
from softq.training import TrainConfig
from softq.utils.errors import SoftqError, suggest
from softq.utils.flat_settings import settings_of
from softq.utils.text import digits

DIGITS = 4  # significant digits of the numbers that are tried
RANGE = ("low", "high", "log")


class Tuning:
    """The trials of a sweep. Raises `SoftqError` for a bad [tune], and when Optuna is not installed."""

    def __init__(self, sweep: Sweep):
        with named(sweep.file):
            self.sweep, table = sweep, dict(sweep.content["tune"])
            self.trials = table.pop("trials", 20)
            if not isinstance(self.trials, int) or isinstance(self.trials, bool) or self.trials < 1:
                raise SoftqError(f"[tune] has trials = {self.trials!r}; it must be a whole number above 0.")
            if sweep.content["grid"] is not None or sweep.content["run"]:
                raise SoftqError("[tune] makes its own runs; leave [grid] and [[run]] out.")
            if not table:
                raise SoftqError(
                    "[tune] is empty; give it ranges: temperature = { low = 0.01, high = 1, log = true }."
                )
            for name, value in table.items():
                check_range(name, value)
        # every choice and both ends of every range, so that no trial fails after hours by a value that is not allowed
        first = {name: ends(value)[0] for name, value in table.items()}
        runs = self.runs(first, 0)
        for name, value in table.items():
            for one in ends(value)[1:]:
                self.runs(first | {name: one}, 0)
        with named(sweep.file):
            one_each = len(runs) == len({run.config.env for run in runs})
            if len({run.config.algorithm for run in runs}) > 1 or not one_each:
                raise SoftqError("[tune] tunes one algorithm with one preset; name one above the tables.")
        self.optuna, self.size = imported(), len(runs)  # of one trial
        known = settings_of(TrainConfig) | settings_of(type(runs[0].algo))
        whole = {name for name, setting in known.items() if setting.kind is int}
        self.space = {name: self.distribution(value, name in whole) for name, value in table.items()}

    def runs(self, values: dict[str, Any], number: int) -> list[Planned]:
        """The runs of the trial with this number and these values, one in each environment."""
        return self.sweep.runs(values, f"trial-{number}-")

    def distribution(self, value: Any, whole: bool) -> Any:
        """What Optuna draws a setting from, as [tune] says it; `whole` for whole numbers."""
        space = self.optuna.distributions
        if isinstance(value, list):
            return space.CategoricalDistribution(value)
        cls = space.IntDistribution if whole else space.FloatDistribution
        return cls(value["low"], value["high"], log=value.get("log", False))

    def study(self) -> Any:
        """The study on disk. Raises `SoftqError` when its trials were made with other settings."""
        optuna = self.optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file = self.sweep.folder / "study.journal"
        self.sweep.folder.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
        study = optuna.create_study(
            storage=storage, study_name="softq", direction="maximize", load_if_exists=True
        )
        content = {name: value for name, value in self.sweep.content.items() if name != "out"}
        content["tune"] = {name: value for name, value in content["tune"].items() if name != "trials"}
        if study.user_attrs.get("sweep", content) != content:
            raise SoftqError(
                f"{file} holds trials with other settings; choose another --out, or put those back."
            )
        study.set_user_attr("sweep", content)
        return study

    def search(self, engine: Engine, show: bool) -> tuple[Any, list[Outcome]]:
        """Make all trials, as many together as keep the engine busy; returns the study and what did not finish.

        A proposal depends on the number and the scores of the trials before it, and not on interruptions.
        """
        study, bad, states = self.study(), [], self.optuna.trial.TrialState
        at_once = math.ceil(engine.workers / self.size)
        while True:
            # a trial that was begun is finished before new ones are asked for, also by a later command
            begun = [x for x in study.trials if x.state == states.RUNNING]
            while len(begun) < at_once and len(study.trials) < self.trials:
                study.sampler = self.optuna.samplers.TPESampler(seed=len(study.trials))
                number = study.ask(self.space).number
                begun.append(study.trials[number])
            if not begun:
                return study, bad
            for x in begun:
                if not self.proposed(x):
                    study.tell(x.number, state=states.FAIL, skip_if_finished=True)
            trials = {x.number: self.runs(rounded(x.params), x.number) for x in begun if self.proposed(x)}
            outcomes = carry_out([run for runs in trials.values() for run in runs], engine, show)
            bad += [x for x in outcomes if x.state != "finished"]
            if any(x.state == "stopped" for x in bad):
                return study, bad
            failed = {x.run.name for x in bad}
            for number, runs in trials.items():
                value = score(runs)
                if math.isfinite(value) and not failed & {run.name for run in runs}:
                    study.tell(number, value, skip_if_finished=True)
                else:
                    study.tell(number, state=states.FAIL, skip_if_finished=True)

    def proposed(self, trial: Any) -> bool:
        """Whether the trial has all its values; it lacks some when the process was killed that proposed them."""
        return trial.params.keys() == self.space.keys()

    def table(self, study: Any) -> str:
        """All trials, the best first."""
        names = list(self.space)
        done = [x for x in study.trials if x.value is not None]
        rows = [
            [str(x.number), *(str(rounded(x.params)[name]) for name in names), digits(x.value)]
            for x in sorted(done, key=lambda x: -x.value)
        ]
        rest = len(study.trials) - len(done)
        lines = [aligned([["trial", *names, "mean return"], *rows])]
        return "\n".join(lines + ([f"{rest} trials failed or are not finished"] if rest else []))


def imported() -> Any:
    """Optuna. Raises `SoftqError` when it is not installed."""
    try:
        import optuna
    except ImportError:
        raise SoftqError('[tune] needs an extra that is not installed; pip install "softq[tune]".') from None
    return optuna


def check_range(name: str, value: Any) -> None:
    """Raise `SoftqError` unless `value` is a list of choices or a range with low below high."""
    if isinstance(value, list):
        if len(value) < 2 or any(isinstance(x, list | dict) for x in value):
            raise SoftqError(f"[tune] has {name} = {value!r}; list two or more numbers or words.")
        return
    form = f"write {name} = {{ low = 0.01, high = 1, log = true }} or a list of values"
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys():
        raise SoftqError(f"[tune] has {name} = {value!r}; {form}.")
    for key in value:
        if key not in RANGE:
            raise SoftqError(f"[tune] has {key!r} in {name}.{suggest(key, RANGE)}")
    low, high, log = value["low"], value["high"], value.get("log", False)
    number: Callable[[Any], bool] = lambda x: isinstance(x, int | float) and not isinstance(x, bool)
    if not (number(low) and number(high) and math.isfinite(high - low) and low < high):
        raise SoftqError(f"[tune] has {name} from {low!r} to {high!r}; low must be a number below high.")
    if not isinstance(log, bool) or (log and low <= 0):
        raise SoftqError(
            f"[tune] has {name} from {low!r} with log = {log!r}; that needs true or false, and low above 0."
        )


def ends(value: Any) -> list[Any]:
    """The choices, or the two ends of a range."""
    return value if isinstance(value, list) else [value["low"], value["high"]]


def rounded(params: dict[str, Any]) -> dict[str, Any]:
    """The values of a trial, numbers with `DIGITS` significant digits."""
    return {name: float(f"{x:.{DIGITS}g}") if isinstance(x, float) else x for name, x in params.items()}


def score(runs: list[Planned]) -> float:
    """The mean return of the last evaluations of `runs`, over environments and seeds; NaN where one has none."""
    scores = [last_scores(run) for run in runs]
    return float(np.mean([x.mean() if x.size else np.nan for x in scores]))

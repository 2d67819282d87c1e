"""The table of `softq gallery` summarised: mean errors, the best samplers, and the distances of the others."""

import numpy as np
import pandas as pd

from softq.experiments.sampler_benchmark.run import COLUMNS, EXACT, REPEATED, ROUND
from softq.utils.errors import SoftqError

SIZES = {"d = 1, 2": (1, 2), "d = 4 to 8": (3, 8), "d = 17": (9, np.inf)}
REGIME = ["size", "temperature_level", "budget"]
TIE = 0.02  # errors that differ by less count as equal: two runs of one sampler may differ by so much
NEAR = 0.1  # an error below this number counts as small


def read(path: object, exact: bool = False) -> pd.DataFrame:
    """The table in the file `path`, with a column `size` of dimensions; with `exact` also the rows of exact draws.

    Raises `SoftqError` for a file that is not one of `softq gallery`.
    """
    table = pd.read_csv(path, keep_default_na=False, na_values={c: "" for c in COLUMNS if c != "setting"})
    if list(table.columns) != COLUMNS:
        raise SoftqError(f"{path} is no table of `softq gallery`; write one with softq gallery --out {path}.")
    table[REPEATED] = table.groupby(ROUND, sort=False)[REPEATED].transform("first")
    return sized(table if exact else table[table["sampler"] != EXACT])


def sized(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with a column `size`; it and `temperature_level` sort from small to large and from hot to cold."""
    size = pd.cut(table["dim"], [0, *(top for _, top in SIZES.values())], labels=list(SIZES))
    level = pd.Categorical(table["temperature_level"], ("hot", "medium", "cold"), ordered=True)
    return table.assign(size=size, temperature_level=level)


def mean_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The mean error over landscapes, with a row for each regime and a column for each sampler.

    A regime is a size, a temperature level and a budget. A cell is empty where the budget is too small for the sampler.
    """
    return table.pivot_table("error", REGIME, "sampler", observed=True)


def winners(table: pd.DataFrame) -> pd.DataFrame:
    """For each regime the `best` sampler, its mean `error`, and `within`, all whose error is at most `TIE` larger."""
    rows = {}
    for regime, errors in mean_errors(table).iterrows():
        ordered = errors.dropna().sort_values(kind="stable")
        close = ordered.index[ordered <= ordered.iloc[0] + TIE]
        rows[regime] = ordered.index[0], ordered.iloc[0], " ".join(close)
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["best", "error", "within"])
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=REGIME)
    return frame


def regret(table: pd.DataFrame) -> pd.DataFrame:
    """The error of a sampler less that of the best one: `mean` and `worst` over regimes, and the worst `single` case.

    For `mean` and `worst` the errors of a regime are means over landscapes; a single case is one landscape in one
    dimension at one temperature and budget. Rows are sorted by `mean`. Samplers for which the budget of a regime is too
    small are left out.
    """
    errors = mean_errors(table).dropna(axis=1)
    behind = errors.sub(mean_errors(table).min(axis=1), axis=0)
    single = (table["error"] - table.groupby(ROUND, observed=True)["error"].transform("min")).groupby(
        table["sampler"]
    )
    frame = {"mean": behind.mean(), "worst": behind.max(), "single": single.max()[behind.columns]}
    return pd.DataFrame(frame).sort_values("mean", kind="stable")


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """One word for each sampler at its largest budget, with a column for each size.

    A "sampler" has an error below `NEAR` in at least three quarters of the cases, which are landscapes at a
    temperature. Of the others, a "search" mostly has a mean Q above that of the softmax where its error is larger, for
    it maximises. The rest are "short": their mean Q is mostly below, since they have not arrived or aim elsewhere.
    """
    last = table[table["budget"] == table["budget"].max()]

    def judge(cases: pd.DataFrame) -> str:
        far = cases["error"] >= NEAR
        if far.mean() <= 0.25:
            return "sampler"
        return "search" if (cases.loc[far, "mean_q"] > 0).mean() > 0.5 else "short"

    columns = ["error", "mean_q"]
    return last.groupby(["sampler", "size"], observed=True)[columns].apply(judge).unstack()

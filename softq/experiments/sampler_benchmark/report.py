"""Reading the table: sizes, winners, how far each sampler stays behind them, and what each of them is."""

import numpy as np
import pandas as pd

from softq.experiments.sampler_benchmark.run import COLUMNS, EXACT, REPEATED, ROUND
from softq.utils.errors import SoftqError

SIZES = {"d = 1, 2": (1, 2), "d = 4 to 8": (3, 8), "d = 17": (9, np.inf)}
REGIME = ["size", "temperature_level", "budget"]
TIE = 0.02  # of the error: what two runs of one sampler may differ by
NEAR = 0.1  # an error that we call small


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
    """`table` with a column `size`, ordered categories; `temperature_level` and `size` sort as they are meant."""
    size = pd.cut(table["dim"], [0, *(top for _, top in SIZES.values())], labels=list(SIZES))
    level = pd.Categorical(table["temperature_level"], ("hot", "medium", "cold"), ordered=True)
    return table.assign(size=size, temperature_level=level)


def mean_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The mean error over landscapes: a row for each regime, a column for each sampler; empty where unaffordable."""
    return table.pivot_table("error", REGIME, "sampler", observed=True)


def winners(table: pd.DataFrame) -> pd.DataFrame:
    """For each regime the `best` sampler, its mean `error`, and all `within` `TIE` of it, best first."""
    rows = {}
    for regime, errors in mean_errors(table).iterrows():
        ordered = errors.dropna().sort_values(kind="stable")
        close = ordered.index[ordered <= ordered.iloc[0] + TIE]
        rows[regime] = ordered.index[0], ordered.iloc[0], " ".join(close)
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["best", "error", "within"])
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=REGIME)
    return frame


def regret(table: pd.DataFrame) -> pd.DataFrame:
    """How far behind the best of its regime a sampler is: `mean` and `worst` over regimes, least mean first.

    Those are distances of mean errors; `single` is the largest distance from the best in any one case (landscape,
    dimension, temperature, budget). Samplers that cannot afford every regime are left out.
    """
    errors = mean_errors(table).dropna(axis=1)
    behind = errors.sub(mean_errors(table).min(axis=1), axis=0)
    single = (table["error"] - table.groupby(ROUND, observed=True)["error"].transform("min")).groupby(
        table["sampler"]
    )
    frame = {"mean": behind.mean(), "worst": behind.max(), "single": single.max()[behind.columns]}
    return pd.DataFrame(frame).sort_values("mean", kind="stable")


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """What each sampler is at its largest budget, a column for each size.

    "sampler": an error below `NEAR` in three quarters of the cases (landscapes and temperatures) at least. "search":
    not so, and where the error is larger its mean Q is mostly above that of the softmax; it maximises. "short": not
    so, and mostly below; it has not arrived, or aims elsewhere.
    """
    last = table[table["budget"] == table["budget"].max()]

    def judge(cases: pd.DataFrame) -> str:
        far = cases["error"] >= NEAR
        if far.mean() <= 0.25:
            return "sampler"
        return "search" if (cases.loc[far, "mean_q"] > 0).mean() > 0.5 else "short"

    columns = ["error", "mean_q"]
    return last.groupby(["sampler", "size"], observed=True)[columns].apply(judge).unstack()

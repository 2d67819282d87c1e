"""Normalised returns: 0 at a low and 1 at a high reference score of each environment, which are fixed and stated.

The least and the largest return of the compared methods would be no references, since a method's score would then
depend on the others. `reference-scores.csv`, called "published", has for the eight MuJoCo tasks of the book the mean
return of uniform actions (`results/random-policy.csv`) as the low score. The high one is the larger of the published
averages of SAC and TD3 after 1,000,000 steps, from the source that the row names. They are of earlier versions of the
tasks, and some are the largest average during training, so that 1 is a fixed mark and not a solved task.
"""

from pathlib import Path

import pandas as pd

from softq.utils.errors import SoftqError

PUBLISHED = "published"


def reference_scores(name: Path | str = PUBLISHED) -> pd.DataFrame:
    """The columns `low` and `high` by environment, of the built-in table "published" or of a CSV file.

    Raises `SoftqError` for a file that cannot be read, that lacks a column of `env`, `low` and `high`, or whose high
    score is not above the low one.
    """
    path = Path(__file__).with_name("reference-scores.csv") if str(name) == PUBLISHED else Path(name)
    if not path.is_file():
        raise SoftqError(f"{path} does not exist; name a CSV file with env, low and high, or {PUBLISHED!r}.")
    table = pd.read_csv(path, comment="#")
    for column in ("env", "low", "high"):
        if column not in table:
            raise SoftqError(f"{path} has no column '{column}'; reference scores have env, low and high.")
    table = table.set_index("env")
    for env, row in table.iterrows():
        if not row["low"] < row["high"]:
            raise SoftqError(
                f"{path} has low {row['low']} and high {row['high']} for {env}; high must be above low."
            )
    return table


def normalised(table: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """`table` with the column `return` replaced by (return - low) / (high - low), by environment.

    Raises `SoftqError` for an environment without references.
    """
    for env in table["env"].unique():
        if env not in references.index:
            raise SoftqError(
                f"there are no reference scores of {env}; write them into a CSV file with env, low, high."
            )
    low, high = (table["env"].map(references[name]) for name in ("low", "high"))
    return table.assign(**{"return": (table["return"] - low) / (high - low)})

"""One tidy table of many runs: a row for each evaluation of each seed, from run directories and from stored tables.

Its columns are `COLUMNS`. `method` is the algorithm unless a label says otherwise; `seconds` is the wall time since the
training began, of all seeds of the run together; `settings` is a hash of the settings that concern how the run learns
(not its environment, seeds, length, or what it writes), "unknown" in tables that do not have it.
"""

import importlib.util
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from softq.comparison.settings import hashed, settings_of_run
from softq.training.results import MADE_WITH, tidy
from softq.utils.atomic_files import atomic_write, out_file
from softq.utils.checks import one_of
from softq.utils.errors import SoftqError, SoftqWarning

COLUMNS = ["method", "algorithm", "env", "seed", "updates", "env_steps", "return", "std"]
COLUMNS += ["episodes", "seconds", "settings", *MADE_WITH, "run"]
NEEDED = ("env", "seed", "updates", "env_steps", "return")  # of a table that is read
TEXT = ("method", "algorithm", "env", "settings", *MADE_WITH, "run")  # columns of text
CSV, PARQUET = ".csv", ".parquet"
UNKNOWN = "unknown"


def collect(
    paths: Iterable[Path | str], labels: Mapping[str, str] | None = None, by: Sequence[str] = ()
) -> pd.DataFrame:
    """The evaluations of all runs and tables in `paths`, methods in the order in which they come.

    A path is a run directory, a folder of run directories, or a file that `softq results` or `softq export` has
    written. `labels` are names of methods, by path. With `by`, names of settings, a method in run directories is called
    "sac, temperature 0.1". Raises `SoftqError` for a path that is neither, for a setting that a run does not have, for
    runs of one method in one environment with different settings, and when a seed comes twice.
    """
    labels = dict(labels or {})
    tables, settings = [], {}
    for path in opened([*paths, *labels]):
        found, given = (read(path), {}) if path.is_file() else of_run(path, by)
        settings |= given
        label = next((labels[p] for p in labels if Path(p) in (path, *path.parents)), None)
        if label is not None:
            if found["method"].nunique() > 1:
                held = ", ".join(found["method"].unique())
                raise SoftqError(
                    f"--label {label} names one method, but {path} holds {held}; split the file."
                )
            found["method"] = label
        tables.append(found.assign(source=str(path)))
    table = pd.concat(tables, ignore_index=True)
    if table.empty:
        raise SoftqError("there are no evaluations to compare; name runs that have been evaluated.")
    check_settings(table, settings)
    check_seeds(table)
    return table.drop(columns="source")


def opened(paths: Iterable[Path | str]) -> list[Path]:
    """The `paths` without repeats, a folder of run directories replaced by those, however deep they lie.

    Raises `SoftqError` for a path that does not exist.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise SoftqError(f"{path} does not exist; name run directories or files of `softq results`.")
        found += (path.is_dir() and inside(path)) or [path]
    return list(dict.fromkeys(found))


def inside(folder: Path) -> list[Path]:
    """The run directories in `folder`, which may be one itself; what is inside a run is not looked at."""
    if (folder / "config.json").exists():
        return [folder]
    return [run for part in sorted(folder.iterdir()) if part.is_dir() for run in inside(part)]


def of_run(folder: Path, by: Sequence[str] = ()) -> tuple[pd.DataFrame, dict[str, dict]]:
    """The evaluations of the run in `folder`, and its settings by their hash; the method's name has the settings `by`.

    Raises `SoftqError` if it is no run, and for a setting that it does not have.
    """
    table = tidy(folder)
    table = table[table["kind"] == "evaluation"]
    if table.empty:
        warnings.warn(SoftqWarning(f"{folder} has no evaluation yet; it is left out."), stacklevel=2)
    settings = settings_of_run(folder)
    name = hashed(settings)
    for setting in by:
        one_of("setting", setting, settings)
    called = ", ".join(["", *(f"{setting} {settings[setting]}" for setting in by)])
    table = table.assign(method=table["algorithm"] + called, settings=name, run=str(folder))
    return table.reindex(columns=COLUMNS), {name: settings}


def read(path: Path) -> pd.DataFrame:
    """The evaluations in a CSV or parquet file of `softq results` or `softq export`.

    Raises `SoftqError` for another kind of file, and for a column that it lacks.
    """
    if path.suffix not in (CSV, PARQUET):
        raise SoftqError(f"{path} is neither a run directory nor a .csv or .parquet file.")
    try:
        if path.suffix == CSV:  # a method may be called 0.1 or None, and a hash may be all digits
            text: Any = dict.fromkeys(TEXT, str)
            table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
        else:
            table = pd.read_parquet(needs_parquet(path))
    except (ValueError, OSError) as error:
        if isinstance(error, SoftqError):
            raise
        raise SoftqError(f"{path} cannot be read ({' '.join(str(error).split())}).") from None
    missing = [name for name in NEEDED if name not in table]
    missing += ["algorithm"] if not {"algorithm", "method"} & set(table) else []
    if missing:
        raise SoftqError(
            f"{path} has no column '{missing[0]}'; write it with `softq results` or `softq export`."
        )
    if "kind" in table:
        table = table[table["kind"] == "evaluation"]
    table = table.reindex(columns=[*COLUMNS, *(name for name in table if name not in (*COLUMNS, "kind"))])
    for name, otherwise in (("method", table["algorithm"]), ("settings", UNKNOWN), ("run", str(path))):
        table[name] = table[name].astype(object).where(table[name].notna(), otherwise)
    return table


def table_file(out: Path | str) -> Path:
    """The path of the option `--out` for a CSV or parquet file; to be called before long work.

    Raises `SoftqError` for another ending, and without the package that parquet needs.
    """
    path = out_file(out, CSV, PARQUET)
    return needs_parquet(path) if path.suffix == PARQUET else path


def write(table: pd.DataFrame, out: Path | str) -> int:
    """Write `table` to the CSV or parquet file `out`, as a whole or not at all, and return the number of rows.

    Raises `SoftqError` as `table_file` does.
    """
    path = table_file(out)
    with atomic_write(path) as partial:
        if path.suffix == CSV:
            table.to_csv(partial, index=False, float_format="%.6g")
        else:
            table.to_parquet(partial, index=False)
    return len(table)


def needs_parquet(path: Path) -> Path:
    """The `path`. Raises `SoftqError` when the package that reads and writes parquet is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise SoftqError(f"{path} needs pyarrow: pip install 'softq[parquet]', or name a .csv file.")
    return path


def check_settings(table: pd.DataFrame, settings: Mapping[str, dict]) -> None:
    """Raise `SoftqError` when runs of one method in one environment have different settings, and name one of these."""
    for (method, env), rows in table[table["settings"] != UNKNOWN].groupby(["method", "env"], sort=False):
        first = rows.drop_duplicates("settings")
        if len(first) == 1:
            continue
        names = list(first["settings"][:2])
        what = f"{names[0]} and {names[1]}"
        if all(name in settings for name in names):
            old, new = (settings[name] for name in names)
            changed = next(x for x in sorted(old.keys() | new.keys()) if old.get(x) != new.get(x))
            what = f"{changed} {old.get(changed)} and {new.get(changed)}"
        raise SoftqError(
            f"{method} in {env} has runs of different settings, {what}, {apart(first['source'])}"
        )


def check_seeds(table: pd.DataFrame) -> None:
    """Raise `SoftqError` when a method has an evaluation of one seed after as many updates twice."""
    keys = ["method", "env", "seed", "updates"]
    again = table[table.duplicated(keys)]
    if again.empty:
        return
    row = again.iloc[0]
    same = table[(table[keys] == row[keys]).all(axis=1)]
    raise SoftqError(f"{row['method']} in {row['env']} has seed {row['seed']} twice, {apart(same['source'])}")


def apart(sources: pd.Series) -> str:
    """The end of a message about rows of two `sources` that should not have one name: where they are and the remedy."""
    one, other = sources.iloc[:2]
    if one == other:
        return f"both in {one}; split it, and name the parts with --label NAME=PATH."
    return f"in {one} and {other}; leave one out, or give it a name of its own: --label NAME={other}."

"""CSV tables to which an experiment adds rows, method after method; rows that a file has are not made again."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from softq.utils.atomic_files import atomic_write


def has_rows(path: Path, **values: Any) -> bool:
    """Whether the CSV file `path` exists and has a row with these values, by column."""
    return path.exists() and bool((pd.read_csv(path)[list(values)] == pd.Series(values)).all(axis=1).any())


def append(
    table: pd.DataFrame,
    path: Path,
    digits: int,
    order: Mapping[str, Iterable[str]] | None = None,
    whole: Iterable[str] = (),
) -> None:
    """Append `table` to the CSV file `path`, rounded to `digits`, and write it whole or not at all.

    `order` says for each column to sort by which values come first; without it rows stay in the order in which they
    came. The columns `whole` hold integers, and may hold nothing. Raises `SoftqError` when the file cannot be written.
    """
    table = pd.concat([pd.read_csv(path), table]) if path.exists() else table
    if order:
        ranks = {column: {value: rank for rank, value in enumerate(x)} for column, x in order.items()}
        table = table.sort_values(
            list(ranks), key=lambda column: column.map(ranks[str(column.name)]), kind="stable"
        )
    with atomic_write(path) as partial_file:
        table.astype(dict.fromkeys(whole, "Int64")).round(digits).to_csv(partial_file, index=False)

"""What every `python -m softq.experiments.NAME` has in common: its --help, and one line for bad input."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError


def run(command: Callable[[list[str]], Any]) -> None:
    """Run `command` with the words of the process. A `SoftqError` ends the process in one line, with exit code 2."""
    try:
        command(sys.argv[1:])
    except SoftqError as error:
        print(f"softq: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def only_file(argv: list[str], name: str, description: str, metavar: str = "FILE.csv") -> Path:
    """The file that `argv` names, which is all that the experiment called `name` can be told.

    Raises `SoftqError` for anything else than one file or --help.
    """
    parser = Parser(prog=f"python -m softq.experiments.{name}", description=description)
    parser.add_argument("out", metavar=metavar, help="file to write; one that exists is replaced")
    return Path(parser.parse(argv).out)


def write_table(
    argv: list[str], name: str, description: str, table: Callable[[], pd.DataFrame], digits: int
) -> None:
    """Write `table()` to the CSV file that `argv` names, with `digits` that count; `SoftqError` for bad input."""
    with atomic_write(csv_file(only_file(argv, name, description))) as partial_file:
        table().to_csv(partial_file, index=False, float_format=f"%.{digits}g")

"""Files that are written as a whole or not at all, so that readers see the old file or the new one."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from softq.utils.errors import SoftqError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file name, and rename the file to `path` when the context ends without an error.

    After an error the temporary file is removed and `path` is as it was. Raises `SoftqError` when the file cannot be
    written, on a full disk for example.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise SoftqError(
            f"{path} cannot be written ({reason}); free room there or choose another folder."
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON to `path`. Raises `SoftqError` as `atomic_write` does."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")


def csv_file(out: Path | str) -> Path:
    """The path of the option `--out` for a CSV file, as `out_file` gives it."""
    return out_file(out, (".csv",))


def out_file(out: Path | str, endings: Sequence[str]) -> Path:
    """The path of the option `--out`, whose folder is made if need be; to be called before long work.

    Raises `SoftqError` when the name has none of the `endings`, or when no file can be written there.
    """
    path = Path(out)
    if path.suffix not in endings or path.is_dir():
        raise SoftqError(f"--out is {out}; name a file that ends in {' or '.join(endings)}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.{os.getpid()}")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SoftqError(f"{path} cannot be written ({error.strerror}); choose another --out.") from None
    return path

"""The table of reference numbers, which knows what was read of it. It imports nothing of softq."""

import json
from collections import UserDict
from pathlib import Path
from typing import Any


class Table(UserDict[str, Any]):
    """The entries of a table by name. It notes which of them a running test has asked for."""

    def __init__(self, entries: dict[str, Any]):
        super().__init__(entries)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        entry = super().__getitem__(name)
        self.read.add(name)
        return entry


_ENTRIES = json.loads(Path(__file__).with_name("reference.json").read_text())["entries"]
REFERENCE = Table({entry["id"]: entry for entry in _ENTRIES})

"""Files that are written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: Any) -> None:
    """Write JSON under a temporary name, then rename: readers see the old file or the new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(partial, path)

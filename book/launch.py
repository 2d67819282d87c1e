"""The first cell of each notebook on Binder and Colab: it installs softq where it is missing.

A notebook that these services open comes from the repository, so the cell installs softq from there; `_config.yml` has
the address. `make launch` writes the cell into all notebooks, or takes it out of them where no repository is named. The
pages of the book do not show it.
"""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
ID = "install-softq"
CODE = """\
# On Binder and Colab: install softq, once in a session
from importlib.util import find_spec

if find_spec("softq") is None:
    %pip install --quiet "softq @ git+{url}@{branch}"
"""


def cell_for(config: dict[str, Any]) -> dict[str, Any] | None:
    """The cell as `_config.yml` asks for it; None where it names no repository."""
    repository = config.get("repository", {})
    if not repository.get("url"):
        return None
    code = CODE.format(url=repository["url"].rstrip("/"), branch=repository.get("branch", "main"))
    source = code.strip().splitlines(keepends=True)
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": ID,
        "metadata": {"tags": ["remove-cell"]},
        "outputs": [],
        "source": source,
    }


def with_cell(notebook: dict[str, Any], cell: dict[str, Any] | None) -> dict[str, Any]:
    """The notebook with this cell at its top and no older one."""
    others = [x for x in notebook["cells"] if x.get("id") != ID]
    return notebook | {"cells": others if cell is None else [cell, *others]}


def write(folder: Path, config: dict[str, Any]) -> list[str]:
    """Bring the notebooks of a folder up to date; returns the names of those that changed."""
    changed = []
    for path in sorted(folder.glob("*.ipynb")):
        before = json.loads(path.read_text(encoding="utf-8"))
        after = with_cell(before, cell_for(config))
        if after != before:
            path.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            changed.append(path.name)
    return changed


def main() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    changed = write(ROOT / "notebooks", config)
    print(f"{len(changed)} notebooks changed", *changed, sep="\n  ")


if __name__ == "__main__":
    main()

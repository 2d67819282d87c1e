"""What a run was told that concerns how it learns, and a short name for it, by which equal settings are recognised."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from softq.algorithms import ALGORITHMS
from softq.training.config import LENGTH, TrainConfig
from softq.training.run_directory import RunDirectory, described, parsed
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import settings_of


def settings_of_run(folder: Path) -> dict[str, Any]:
    """All settings in config.json of a run but those of `LENGTH`, under their names of today where softq knows them."""
    run = RunDirectory(folder)
    content = run.read("config.json")
    # those of another softq, which this one does not know, are compared as they are written
    with contextlib.suppress(KeyError, TypeError, AttributeError, SoftqError):
        content = described(*parsed(content))
    given = content["train"] | content["algorithm"]
    return {name: value for name, value in sorted(given.items()) if name not in LENGTH}


def hashed(settings: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits that stand for those `settings` of a run that are not softq's defaults.

    A setting that a later softq adds, with a default that changes nothing, changes no hash.
    """
    known = next((cls for cls in ALGORITHMS.values() if cls.__name__ == settings.get("class")), TrainConfig)
    defaults = {name: x.default for cls in (TrainConfig, known) for name, x in settings_of(cls).items()}
    text = {name: json.dumps(value, sort_keys=True) for name, value in settings.items()}
    own = {name: x for name, x in text.items() if x != json.dumps(defaults.get(name), default=str)}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:10]

"""Names that settings had in softq 0.1.0. Its options still work, and its config.json can still be read.

`renamed` changes flat settings of a class that has the new names and not the old ones; other classes keep theirs.
"""

from collections.abc import Mapping
from typing import Any

from softq.utils.cli_options import Parser, add_option
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import settings_of

# by old name: its type, and the new names, of which a class has one at most
OLD: dict[str, tuple[type, tuple[str, ...]]] = {
    "tune": (bool, ("temperature_rule",)),
    "normalise": (bool, ("relative", "unit_slope")),
    "temperature_cycle": (int, ("temperature_every",)),
    "boundary": (bool, ("faces",)),
    "stop": (float, ("t_end",)),
    "heat": (float, ("temperature_ratio",)),
}
RULE, RATE = "temperature_rule", "temperature_learning_rate"


def heirs(cls: type) -> dict[str, str]:
    """The new name of each old one that the class `cls` has under another name now."""
    has = settings_of(cls)
    found = {old: next((name for name in new if name in has), None) for old, (_, new) in OLD.items()}
    return {old: new for old, new in found.items() if new is not None and old not in has}


def renamed(given: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """`given` with settings of `cls` under their new names.

    What tuned a temperature, `tune` or a learning rate above 0, becomes the rule `cls.tuned_by`, and what kept it the
    rule "fixed"; a rule that is given stays. Raises `SoftqError` when one thing is given under both names.
    """
    settings = dict(given)
    for old, new in heirs(cls).items():
        if old not in settings:
            continue
        value = settings.pop(old)
        if new in settings:
            raise SoftqError(f"{old} is the old name of {new}; leave {old} out.")
        settings[new] = rule(cls, value) if new == RULE else value
    rate = settings.get(RATE)
    if RULE in settings_of(cls) and RULE not in settings and isinstance(rate, int | float):
        settings[RULE] = rule(cls, rate > 0)
        if rate == 0:  # what said "fixed" before there were rules
            del settings[RATE]
    return settings


def rule(cls: type, tuned: bool) -> str:
    """How the temperature of `cls` learns when it does, or "fixed"."""
    if not tuned:
        return "fixed"
    if (found := getattr(cls, "tuned_by", None)) is None:
        raise SoftqError(f"{cls.__name__} has no rule that tunes its temperature unless {RULE} names one.")
    return found


def add_old_names(parser: Parser, cls: type) -> None:
    """Options under the old names of settings of `cls`, which `--help` does not show."""
    for old in heirs(cls):
        add_option(parser, old, OLD[old][0])

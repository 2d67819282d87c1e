"""The names that settings had in softq 0.1.0, whose options still work and whose config.json can still be read.

A class of algorithms for which an old name is the name of a setting today keeps it.
"""

from collections.abc import Mapping
from typing import Any

from softq.utils.cli_options import Parser, add_option
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import settings_of

# the type of each old setting, and its new names, of which a class has one at most
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
    """The old names of settings that `cls` has under another name today, with the new names."""
    has = settings_of(cls)
    found = {old: next((name for name in new if name in has), None) for old, (_, new) in OLD.items()}
    return {old: new for old, new in found.items() if new is not None and old not in has}


def renamed(given: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """The flat settings `given` of `cls` under their names of today.

    An old setting that tuned the temperature, `tune` or a learning rate above 0, becomes the rule `cls.tuned_by`, and
    one that kept it becomes the rule "fixed"; a rule that is given stays. Raises `SoftqError` when a setting is given
    under both names.
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
        if rate == 0:  # in softq 0.1.0 a learning rate of 0 meant a fixed temperature
            del settings[RATE]
    return settings


def rule(cls: type, tuned: bool) -> str:
    """The rule by which `cls` tunes its temperature if `tuned`, else "fixed". Raises `SoftqError` if it has none."""
    if not tuned:
        return "fixed"
    if (found := getattr(cls, "tuned_by", None)) is None:
        raise SoftqError(f"{cls.__name__} has no rule that tunes its temperature unless {RULE} names one.")
    return found


def add_old_names(parser: Parser, cls: type) -> None:
    """Add options to `parser` under the old names of settings of `cls`; `--help` does not show them."""
    for old in heirs(cls):
        add_option(parser, old, OLD[old][0])

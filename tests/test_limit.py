"""How long a notebook may use the processor: a rule in the conftest.py of the repository."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def rule() -> ModuleType:
    """A fresh copy of that file, to be changed at will."""
    spec = importlib.util.spec_from_file_location("rule", Path(__file__).parents[1] / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("over", "slower", "fails"),
    [(1.0, 0.5, True), (1.0, 1.0, True), (1.0, 1.9, True), (1.0, 2.1, False), (0.0, 0.5, False)],
)
def test_a_machine_twice_as_slow_may_take_twice_as_long(rule, monkeypatch, over, slower, fails):
    """`over` is 0 for a notebook at the limit, 1 for one that takes twice as long."""
    monkeypatch.setattr(rule, "calibration", lambda: slower * rule.CALIBRATION)
    text = rule.too_long(rule.SECONDS * (1 + over))
    assert (text is not None) == fails
    assert not fails or (f"used {2 * rule.SECONDS} s" in text and f"at most {rule.SECONDS} s" in text)


def test_the_processor_time_of_an_ended_child_counts(rule):
    before = rule.processor_time()
    assert rule.calibration() > 0.1 and rule.processor_time() - before > 0.1

"""Which modes, goals and paths a policy visits: train every algorithm on a small world with equal answers, and count.

Returns cannot tell a policy that knows four equally good goals from one that knows one. Counts can. `softq visits`.
"""

from softq.experiments.mode_coverage.ablations import (
    VARIANTS,
    Exactly,
    Variant,
    exact_states,
    softmax_temperature,
)
from softq.experiments.mode_coverage.count import count, tidy_paths, trained, travel, verdict, visits
from softq.experiments.mode_coverage.snapshot import FACTORS, MOMENTS, RESOLUTION, looked_at, portrait
from softq.experiments.mode_coverage.tasks import STARTS, WORLDS, World, settings

__all__ = [
    "FACTORS",
    "MOMENTS",
    "RESOLUTION",
    "STARTS",
    "VARIANTS",
    "WORLDS",
    "Exactly",
    "Variant",
    "World",
    "count",
    "exact_states",
    "looked_at",
    "portrait",
    "settings",
    "softmax_temperature",
    "tidy_paths",
    "trained",
    "travel",
    "verdict",
    "visits",
]

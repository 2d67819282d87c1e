"""Counts of the modes, goals and paths that trained policies visit in small tasks with several equally good answers.

The return cannot tell a policy that knows four equally good goals from one that knows a single one; counts can. The
command is `softq visits`.
"""

from softq.experiments.mode_coverage.ablations import (
    ABLATIONS,
    Ablation,
    ResampledPolicy,
    exact_states,
    softmax_temperature,
)
from softq.experiments.mode_coverage.count import (
    count,
    paths_to_frame,
    play,
    rollout,
    trained,
    verdict,
    visits,
)
from softq.experiments.mode_coverage.snapshot import FACTORS, MOMENTS, RESOLUTION, inspect_state, snapshot
from softq.experiments.mode_coverage.tasks import STARTS, TASKS, Task, settings

__all__ = [
    "ABLATIONS",
    "FACTORS",
    "MOMENTS",
    "RESOLUTION",
    "STARTS",
    "TASKS",
    "Ablation",
    "ResampledPolicy",
    "Task",
    "count",
    "exact_states",
    "inspect_state",
    "paths_to_frame",
    "play",
    "rollout",
    "settings",
    "snapshot",
    "softmax_temperature",
    "trained",
    "verdict",
    "visits",
]

"""Training of algorithms in environments: replay, loops, evaluation, run directories and checkpoints."""

from softq.training.callbacks import EarlyStop, KeepBest
from softq.training.config import TrainConfig, preset_of
from softq.training.evaluate import Evaluator
from softq.training.hook import Callback, Event
from softq.training.replay import Replay
from softq.training.results import curves, evaluate_run, export, load_all, load_run
from softq.training.start import Run, resume, train

__all__ = [
    "Callback",
    "EarlyStop",
    "Evaluator",
    "Event",
    "KeepBest",
    "Replay",
    "Run",
    "TrainConfig",
    "curves",
    "evaluate_run",
    "export",
    "load_all",
    "load_run",
    "preset_of",
    "resume",
    "train",
]

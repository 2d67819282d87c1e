"""The base of labs that draw particles in one or two dimensions beside the exact density of a softmax."""

import abc
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure, SubFigure

from softq import plots
from softq.lab.base import Lab
from softq.lab.controls import Choice
from softq.lab.picture import draw_1d, draw_2d, draw_atoms

WALL_RULES = (("reflect", "reflect"), ("project (clip)", "project"))
SHOWN = (("exact density", "density"), ("value Q", "value"))


def walls_control(boundary: str) -> Choice:
    """The control of what happens at the walls of the box."""
    return Choice("boundary", "at the walls", boundary, WALL_RULES)


def show_control() -> Choice:
    """The control of what the colours of a square show."""
    return Choice("show", "colour shows", "density", SHOWN)


class ParticleLab(Lab):
    """A lab whose figure consists of the exact density of actions, particles, and a list of numbers."""

    word = "particles"  # what the points of the picture are

    @abc.abstractmethod
    def sample(self, **settings: Any) -> np.ndarray:
        """The particles `(n, dim)`; a setting that is not given is as at the start."""

    @abc.abstractmethod
    def scene(self, **settings: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Midpoints of a grid `(k, dim)`, and the values of Q and the exact density there, `(k,)` each."""

    @abc.abstractmethod
    def measure(self, actions: np.ndarray, **settings: Any) -> dict[str, float]:
        """The numbers of these particles beside the exact ones, by their labels."""

    @abc.abstractmethod
    def title(self, numbers: dict[str, float], **settings: Any) -> str:
        """What stands above the picture."""

    def numbers(self, **settings: Any) -> dict[str, float]:
        return self.measure(self.sample(**settings), **settings)

    def decorate(self, figure: Figure | SubFigure, actions: np.ndarray, **settings: Any) -> None:
        """Draw more on the finished picture."""

    def figure(self, **settings: Any) -> Figure:
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white):
            line = self.scene(**settings)[0].shape[1] == 1
            figure = Figure(figsize=(6.4, 3.9) if line else (5.4, 5.8))
            self.paint(figure, **settings)
        return figure

    def paint(self, figure: Figure | SubFigure, **settings: Any) -> None:
        """Draw everything on an empty figure, or on a part of one."""
        s, actions = self.complete(settings), self.sample(**settings)
        nodes, values, density = self.scene(**settings)
        if nodes.shape[1] == 1:
            draw_1d(figure, nodes, values, density, actions, self.word)
        else:
            draw_2d(figure, values if s.get("show") == "value" else density, actions)
            draw_atoms(figure.axes[0], actions)
        self.decorate(figure, actions, **settings)
        figure.suptitle(self.title(self.measure(actions, **settings), **settings), fontsize=8.5)

"""Draws book/_static/overview.png, the picture of the README: `make overview`."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from softq import landscapes, plots
from softq.lab import TemperatureLab

TEMPERATURES = (1.0, 0.2, 0.05)


def main() -> None:
    q = landscapes.get("bandit")
    lab = TemperatureLab(q, step_size=0.001, steps=5000, particles=300)
    with mpl.rc_context(plots.STYLE | {"savefig.facecolor": "white"}):
        figure = Figure(figsize=(9, 3.3))
        for ax, temperature in zip(figure.subplots(1, 3), TEMPERATURES, strict=True):
            plots.landscape_2d(ax, q, temperature, cmap="Blues", vmin=0)
            plots.samples_2d(ax, lab.sample(temperature=temperature))
            ax.set_title(f"temperature {temperature:g}")
        figure.savefig(Path(__file__).parent / "_static" / "overview.png", dpi=110)


if __name__ == "__main__":
    main()

"""`softq bench labs`: how long a lab in Jupyter takes to answer a change of one of its controls.

An answer is the picture that the widget shows next: its numbers are computed again and it is drawn as a PNG. The first
answer of a control may compile a program and is not counted; the table has the median of the next ones, for the control
that takes longest and over all controls.
"""

import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from softq import lab as labs
from softq import landscapes
from softq.lab.base import Lab
from softq.lab.controls import Choice, Control, Toggle
from softq.networks import Critic
from softq.training.run_directory import versions
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.checks import one_of
from softq.utils.cli_options import Parser


def lines(*names: str) -> list[Any]:
    """The landscapes of these names."""
    return [landscapes.get(name) for name in names]


def fresh_critic() -> Critic:
    """A critic of two coordinates of the state and two of the action, of the size that chapter 13 trains."""
    return Critic.create(jax.random.key(0), jnp.zeros(2), jnp.zeros(2), (64, 64))


def examples(results: Path) -> dict[str, Callable[[], Lab]]:
    """A lab of each class, as the chapters make them; two read what was trained from the folder `results`."""
    return {
        "ActorLab": labs.ActorLab,
        "BackupLab": labs.BackupLab,
        "BlurLab": labs.BlurLab,
        "CandidatesLab": lambda: labs.CandidatesLab(lines("spike1", "twomode1", "skew1", "quad1")),
        "CriticLab": labs.CriticLab,
        "DenoiseLab": lambda: labs.DenoiseLab(lines("twomode1", "quad1")),
        "DialLab": lambda: labs.DialLab(fresh_critic(), np.zeros((1, 2)), ["rest"], np.full((3, 5), 0.01)),
        "FloodLab": lambda: labs.FloodLab(lines("bandit", "lemniscate", "quad2")),
        "GalleryLab": labs.GalleryLab,
        "HeroLab": labs.HeroLab,
        "ImportanceLab": lambda: labs.ImportanceLab(dim=6),
        "LinearMapLab": labs.LinearMapLab,
        "MazeLab": lambda: labs.MazeLab.stored(results / "maze-networks.npz"),
        "PathsLab": lambda: labs.PathsLab.stored(results),
        "RoomsLab": labs.RoomsLab,
        "SelectionLab": labs.SelectionLab,
        "SwarmLab": lambda: labs.SwarmLab(lines("twomode1", "quad1")),
        "TemperatureLab": lambda: labs.TemperatureLab(landscapes.get("twomode2")),
        "ThermostatLab": labs.ThermostatLab,
        "TrapLab": labs.TrapLab,
        "VolumeLab": lambda: labs.VolumeLab(lines("quad1", "quart1", "abs1", "spike1", "twomode1")),
    }


def another(control: Control) -> Any:
    """A value of the control beside that with which it starts."""
    if isinstance(control, Choice):
        return next((value for _, value in control.options if value != control.value), control.value)
    if isinstance(control, Toggle):
        return not control.value
    if control.integer:
        return int(control.value) - 1 if control.value > control.low else int(control.value) + 1
    end = control.high if control.value - control.low < control.high - control.value else control.low
    return (control.value * end) ** 0.5 if control.log else (control.value + end) / 2


def answers(lab: Lab, rounds: int) -> dict[str, float]:
    """The median time in milliseconds of `rounds` answers to a change of each control, by its name."""
    found = {}
    for control in lab.controls:
        changes = [{control.name: another(control)}, {}]
        for settings in changes:
            lab.png(**settings)
        times = []
        for turn in range(rounds):
            start = time.perf_counter()
            lab.png(**changes[turn % 2])
            times.append(1e3 * (time.perf_counter() - start))
        found[control.name] = statistics.median(times)
    return found


def command(argv: list[str]) -> int:
    """Run `softq bench labs` and return its exit code. Raises `SoftqError` for bad input."""
    parser = Parser(prog="softq bench labs", description="Measure how soon the labs answer in Jupyter.")
    parser.add_argument("--only", metavar="LAB", help="the one lab to measure; all without it")
    parser.add_argument(
        "--rounds", type=int, default=6, metavar="N", help="answers that are timed for a control [6]"
    )
    parser.add_argument(
        "--results", default="results", metavar="DIR", help="folder of stored results [results]"
    )
    parser.add_argument("--out", metavar="FILE.csv", help="CSV file for the times, with device and versions")
    options = parser.parse(argv)
    made = examples(Path(options.results))
    if options.only:
        one_of("lab", options.only, made)
        made = {options.only: made[options.only]}
    out = csv_file(options.out) if options.out else None
    told = versions()
    rows = []
    for name in tqdm(made, desc="labs", disable=None):
        times = answers(made[name](), max(1, options.rounds))
        slowest = max(times, key=lambda control: times[control])
        rows.append(
            {"lab": name, "median_ms": statistics.median(times.values()), "slowest_ms": times[slowest]}
        )
        rows[-1] |= {"slowest_control": slowest, "controls": len(times), "rounds": options.rounds}
        print(
            f"{name}: {rows[-1]['median_ms']:.0f} ms, at most {times[slowest]:.0f} ms ({slowest})", flush=True
        )
    if out:
        told = {
            "device": told["device"],
            "versions": f"softq={told['softq']} jax={told['jax']} matplotlib={version('matplotlib')}",
            "commit": told.get("commit", ""),
        }
        with atomic_write(out) as partial_file:
            pd.DataFrame(rows).assign(**told).to_csv(partial_file, index=False, float_format="%.3g")
    return 0

"""The front page's map of the chapters: what each promises, how long it takes, what it needs, how it opens.

Titles, times and openings are read from the notebooks, so that the page cannot say something else. `PROMISES` is in the
order of the book; the numbers name the chapters that a reader should know first.
"""

import html
import json
import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


class Promise(NamedTuple):
    """A chapter's file, its short name on the map, one line of promise, and the numbers of chapters it needs."""

    file: str
    short: str
    promise: str
    needs: tuple[int, ...] = ()


PARTS = {
    "The softmax, exactly": (
        Promise("01_temperature", "Temperature", "What the temperature measures, and what it costs."),
        Promise("02_volume", "Volume", "How far a softmax stays below the best action, and why.", (1,)),
        Promise(
            "03_three_backups", "Backups", "Three ways to back a value up, and where each settles.", (1,)
        ),
    ),
    "Sampling it": (
        Promise("04_snis", "Resampling", "The exact law of the best-weighted of m uniform candidates.", (1,)),
        Promise("05_langevin", "Langevin", "Walk uphill, be jostled, come back at the wall, and how.", (1,)),
        Promise(
            "06_schedules", "Selection", "How keeping the best of several draws cools the policy.", (4, 5)
        ),
        Promise(
            "07_annealing",
            "Annealing",
            "Blurred critics: what they help to find, and what they forget.",
            (5,),
        ),
        Promise(
            "08_diffusion", "Diffusion", "Turning noise into a softmax with three estimates of a score.", (5,)
        ),
        Promise("09_svgd", "Stein", "Particles that climb together and keep each other apart.", (5,)),
        Promise(
            "10_gallery", "Gallery", "Every sampler on every landscape, at equal cost.", (4, 5, 6, 7, 8, 9)
        ),
    ),
    "Learning with it": (
        Promise("11_critic_only", "Critic only", "Learning when the critic is the whole policy.", (3, 6)),
        Promise("12_actors", "Actors", "Every way to train a network to sample a softmax.", (3, 8, 9)),
        Promise(
            "13_multigoal", "Multigoal", "One trained critic, and its policy at every temperature.", (11,)
        ),
        Promise("14_maze", "Maze", "Two goals, two paths: what a policy keeps open.", (11, 12)),
        Promise("15_mujoco", "MuJoCo", "The same questions on bodies that walk.", (11, 12)),
    ),
}


@cache
def cells(file: str) -> list[tuple[str, str]]:
    """The kinds and the sources of a notebook's cells."""
    notebook = json.loads((NOTEBOOKS / f"{file}.ipynb").read_text())
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def title(file: str) -> str:
    """The notebook's heading."""
    return next(m[1] for _, text in cells(file) if (m := re.search(r"^# (.+)$", text, re.M)))


def minutes(file: str) -> int:
    """The time that the chapter's card says, or, before it has a card, a time by the number of its words."""
    for kind, text in cells(file):
        if kind == "markdown" and (m := re.search(r"\*\*Time\*\* (\d+) minutes", text)):
            return int(m[1])
    words = sum(len(text.split()) for kind, text in cells(file) if kind == "markdown")
    return max(10, 5 * round(words / 110 / 5))


def has_lab(file: str) -> bool:
    """Whether a lab is among the cells."""
    return any(kind == "code" and re.search(r"\b[A-Z]\w*Lab\(", text) for kind, text in cells(file))


def sections(file: str) -> list[str]:
    """The further notebooks of a chapter, whose names have a letter after the number."""
    number = file.split("_")[0]
    return sorted(path.stem for path in NOTEBOOKS.glob(f"{number}[a-z]_*.ipynb"))


def number(file: str) -> int:
    """The number of a chapter, which its file has."""
    return int(file[:2])


# -- the small pictures, 96 by 40, drawn from formulas


def _line(points: Iterable[tuple[float, float]], look: str = "exact", fill: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{look}{" filled" if fill else ""}" points="{path}"/>'


def _graph(f: Callable[[float], float], look: str = "exact", scale: float = 32, fill: bool = False) -> str:
    return _line([(2 + 92 * i / 60, 38 - scale * f(i / 60)) for i in range(61)], look, fill)


def _dots(points: Iterable[tuple[float, float]], look: str = "sample", radius: float = 2) -> str:
    return "".join(f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in points)


def _hills(x: float, width: float = 0.1, low: float = 0.7) -> float:
    bump = lambda centre: math.exp(-((x - centre) ** 2) / (2 * width**2))
    return bump(0.72) + low * bump(0.26)


def _scatter(count: int, spread: float = 1.0) -> list[tuple[float, float]]:
    """Points that fill the picture evenly, by the golden ratio."""
    return [
        (6 + 84 * (0.618 * i % 1), 20 + spread * 16 * (2 * (0.382 * i * 1.7 % 1) - 1)) for i in range(count)
    ]


PICTURES: dict[int, Callable[[], str]] = {
    1: lambda: _graph(lambda x: _hills(x, 0.14, 0.8) * 0.5, "ink") + _graph(lambda x: _hills(x, 0.06, 0.3)),
    2: lambda: (
        _graph(lambda x: 1 - 4 * (x - 0.5) ** 2, "ink")
        + _graph(
            lambda x: max(0.6, 1 - 4 * (x - 0.5) ** 2) if abs(x - 0.5) < 0.32 else 0.6, "exact", 32, True
        )
    ),
    3: lambda: (
        _line([(2, 38), (94, 4)], "ink")
        + _graph(lambda x: 0.15 + 0.7 / (1 + math.exp(-14 * (x - 0.5))))
        + _graph(lambda x: 0.3 + 0.45 * x, "sample")
    ),
    4: lambda: "".join(
        _dots([(6 + 12 * i, 20)], "sample" if i == 5 else "quiet", 1 + 5 * _hills(i / 7, 0.16, 0.4))
        for i in range(8)
    ),
    5: lambda: _line(
        [(4 + 4 * i, 36 - 1.1 * i + 6 * math.sin(2.4 * i) * math.cos(0.9 * i)) for i in range(23)], "sample"
    ),
    6: lambda: _graph(lambda x: _hills(x, 0.1, 0.0)) + _graph(lambda x: _hills(x, 0.04, 0.0) * 1.1, "sample"),
    7: lambda: "".join(
        _graph(lambda x, w=width: _hills(x, w, 0.6) * 0.1 / w * 0.9, look)
        for width, look in ((0.1, "exact"), (0.16, "third"), (0.3, "quiet"))
    ),
    8: lambda: (
        _dots(_scatter(16), "quiet", 1.5)
        + _dots([(26 + 6 * math.sin(3 * i), 20 + 10 * math.cos(5 * i)) for i in range(7)])
        + _dots([(70 + 6 * math.sin(3 * i), 20 + 10 * math.cos(5 * i)) for i in range(9)])
    ),
    9: lambda: (
        _graph(_hills, "exact")
        + _dots([(18 + 6 * i, 34) for i in range(5)] + [(58 + 5 * i, 34) for i in range(7)])
    ),
    10: lambda: "".join(
        f'<rect class="ink" x="{4 + 23 * i}" y="{3 + 18 * j}" width="19" height="15"/>'
        + _dots(
            [(9 + 23 * i + 4 * k, 11 + 18 * j + 3 * math.sin(k * i + j)) for k in range(3)], "sample", 1.4
        )
        for i in range(4)
        for j in range(2)
    ),
    11: lambda: (
        _graph(lambda x: _hills(x, 0.12), "ink")
        + _dots([(8 + 11 * i, 34) for i in range(8)], "quiet")
        + _dots([(68, 9)], "sample", 4)
    ),
    12: lambda: _graph(_hills) + _graph(lambda x: _hills(x, 0.16, 0.0) * 0.8, "sample"),
    13: lambda: (
        _dots([(48, 6), (48, 34), (20, 20), (76, 20)], "exact", 4)
        + "".join(_line([(48, 20), p], "sample") for p in ((48, 11), (48, 29), (27, 20), (69, 20)))
    ),
    14: lambda: (
        _line([(4, 4), (92, 4), (92, 36), (4, 36), (4, 4)], "ink")
        + _line([(48, 4), (48, 24)], "ink")
        + _line([(12, 30), (36, 32), (56, 31), (70, 16), (84, 10)], "sample")
    ),
    15: lambda: "".join(
        _graph(lambda x, s=speed: 1 - math.exp(-s * x), look)
        for speed, look in ((4, "exact"), (2.2, "sample"), (1, "third"))
    ),
}


def picture(chapter: int) -> str:
    """The small picture of a chapter; its title stands beside it, so it says nothing to who cannot see it."""
    return f'<svg class="softq-thumb" viewBox="0 0 96 40" aria-hidden="true">{PICTURES[chapter]()}</svg>'


# -- the map


WIDTH, ROW, TOP, LEFT, BOX = 382, 46, 26, 22, (104, 30)
STEP = (WIDTH - LEFT - BOX[0] - 2) / 2


def places() -> dict[int, tuple[float, float]]:
    """The corners of the chapters' boxes: a column for each part."""
    found = {}
    for column, chapters in enumerate(PARTS.values()):
        for row, chapter in enumerate(chapters):
            found[number(chapter.file)] = (LEFT + column * STEP, TOP + row * ROW)
    return found


def svg() -> str:
    """What needs what: a box for each chapter, and a line to it from each that it needs."""
    at, w, h = places(), *BOX
    lines, boxes = [], []
    words = []
    for column, (part, chapters) in enumerate(PARTS.items()):
        x = LEFT + column * STEP + w / 2
        boxes.append(f'<text class="part" x="{x:.0f}" y="14" text-anchor="middle">{html.escape(part)}</text>')
        for chapter in chapters:
            k = number(chapter.file)
            x, y = at[k]
            boxes.append(
                f'<a href="../notebooks/{chapter.file}.html">'
                f'<rect x="{x:.0f}" y="{y}" width="{w}" height="{h}" rx="5"/>'
                f'<text x="{x + 7:.0f}" y="{y + 20}">{k} {html.escape(chapter.short)}</text></a>'
            )
            if chapter.needs:
                words.append(f"{k} needs {', '.join(map(str, chapter.needs))}")
            for need in chapter.needs:
                x0, y0 = at[need]
                if x0 == x:  # one column: a bow on its left
                    bend = 6 + 3 * (k - need)
                    start, end = f"{x:.0f} {y0 + h / 2 + 3}", f"{x:.0f} {y + h / 2 - 3}"
                    path = f"M{start} C{x - bend:.0f} {y0 + h} {x - bend:.0f} {y} {end}"
                else:
                    x0 += w
                    first, last = y0 + h / 2, y + h / 2
                    path = f"M{x0:.0f} {first} C{x0 + 26:.0f} {first} {x - 26:.0f} {last} {x:.0f} {last}"
                lines.append(f'<path d="{path}"/>')
    height = max(y for _, y in at.values()) + h + 4
    label = "Which chapter needs which: " + "; ".join(words) + "."
    return (
        f'<svg class="softq-map" viewBox="0 0 {WIDTH} {height}" role="group" aria-label="{label}">'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def cards() -> str:
    """A card for each chapter: picture, title, promise, time, what it needs, how it opens."""
    parts = []
    for part, chapters in PARTS.items():
        items = []
        for chapter in chapters:
            k = number(chapter.file)
            needs = "needs " + ", ".join(map(str, chapter.needs)) if chapter.needs else "needs no other"
            opens = "with a lab" if has_lab(chapter.file) else "with a figure"
            more = "".join(
                f' <a href="../notebooks/{file}.html">{html.escape(title(file))}</a> ({minutes(file)} min).'
                for file in sections(chapter.file)
            )
            items.append(
                f'<li>{picture(k)}<div><a class="softq-chapter" href="../notebooks/{chapter.file}.html">{k}. '
                f"{html.escape(title(chapter.file))}</a><br>{html.escape(chapter.promise)}"
                f"{f'<br><small>Sections:{more}</small>' if more else ''}<br>"
                f"<small>{minutes(chapter.file)} minutes · {needs} · {opens}</small></div></li>"
            )
        parts.append(
            f'<p class="softq-part">{html.escape(part)}</p><ol class="softq-cards">{"".join(items)}</ol>'
        )
    return "".join(parts)

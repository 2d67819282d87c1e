"""The ledger of the five papers, made from book/ledger.yml.

- `{softq-ledger-summary}`: how many rows of each paper have which verdict.
- `{softq-ledger} KEY`: the rows of one paper, a card each.

The head of the data file says what a row holds. Numbers of ours stand in it as `[[...]]`: `[[NOTEBOOK::KEY:FORMAT]]` is
what a chapter glues, `[[NAME]]` is computed from a file of results by an entry of the row's `numbers`. A row's commands
are those of the files that it names, from results/commands.csv, so none is written twice.
"""

import csv
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from settings import table
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
FILE = ROOT / "book" / "ledger.yml"
RESULTS = ROOT / "results"
PLACE = re.compile(r"\[\[([^\[\]]+)\]\]")
TAKES = ("mean", "median", "min", "max", "sum", "count", "nunique")
Row = dict[str, Any]


@cache
def ledger() -> dict[str, Any]:
    """The data file: `verdicts` and `papers`."""
    return yaml.safe_load(FILE.read_text())


@cache
def commands() -> dict[str, list[str]]:
    """The commands that made each file of results."""
    with (RESULTS / "commands.csv").open(newline="") as file:
        return {row["file"]: row["command"].split("; ") for row in csv.DictReader(file)}


def items(paper: Row) -> list[str]:
    """What the paper numbers, one by one: "Figure 1-3, 7" stands for four of them."""
    found = []
    for kind, numbers in paper["holds"].items():
        for part in str(numbers).split(", "):
            match = re.fullmatch(r"(\d+)-(\d+)", part)
            these = range(int(match[1]), int(match[2]) + 1) if match else [part]
            found += [f"{kind} {number}" for number in these]
    return found


def counts(verdicts: list[str], rows: dict[str, Row]) -> list[int]:
    """How many rows have each verdict, in the order of `verdicts`."""
    found = Counter(row["verdict"] for row in rows.values())
    return [found[verdict] for verdict in verdicts]


def number(source: Row) -> float:
    """What an entry of `numbers` says: `take` over the column `of`.

    Of `file` count the rows with the values of `where`, or of these the last of each `last`. Raises `ValueError`
    where none is left.
    """
    frame = pd.read_csv(RESULTS / source["file"])
    for column, value in source.get("where", {}).items():
        frame = frame[frame[column] == value]
    if "last" in source:
        frame = frame.groupby(source["last"]).last()
    if frame.empty or source["take"] not in TAKES:
        raise ValueError(f"no rows, or no such way to take them: {source}")
    return float(getattr(frame[source["of"]], source["take"])())


def written(row: Row, text: str) -> str:
    """A text of a row in Markdown, with its numbers in place."""

    def put(match: re.Match[str]) -> str:
        if "::" in match[1]:
            file, _, key = match[1].partition("::")
            key = key if ":" in key else f"{key}:s"  # a text, as it is
            return f"{{glue:text}}`../notebooks/{file}.ipynb::{key}`"
        source = row["numbers"][match[1]]
        return format(number(source), source["as"])

    return PLACE.sub(put, text)


def files(row: Row) -> list[str]:
    """The files of results that a row names, for a number or as a whole."""
    named = [source["file"] for source in row.get("numbers", {}).values()]
    return list(dict.fromkeys([*named, *row.get("files", [])]))


@cache
def home(label: str) -> str:
    """The notebook of a theorem, by its label; empty if there is none."""
    text = f":label: {label}\\n"
    found = (path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if text in path.read_text())
    return next((path.stem for path in found), "")


def how(row: Row) -> list[str]:
    """The commands that make the numbers of a row, or that check its theorem.

    Without a stored file or a test it is the execution of the notebooks that compute them.
    """
    found = [line for name in files(row) for line in commands()[name]]
    found += [f"pytest {test}" for test in row.get("tests", [])]
    if not found and "ours" in row:
        books = [place.split("::")[0] for place in PLACE.findall(row["ours"])]
        books += [home(label) for label in row.get("see", []) if label.startswith("thm-")]
        books += [label.split("#")[0] for label in row.get("see", []) if "#" in label] if not books else []
        found = [f"pytest notebooks/{book}.ipynb --nbmake" for book in books]
    return list(dict.fromkeys(found))


def link(target: str) -> str | nodes.Node:
    """Where the book has it: Markdown for a label, a node for a heading of a chapter, "05_langevin#At the wall"."""
    if "#" not in target:
        role = "ref" if target.startswith("err-") else "numref" if target.startswith("fig-") else "prf:ref"
        return f"erratum {{ref}}`{target}`" if role == "ref" else f"{{{role}}}`{target}`"
    file, heading = target.split("#")
    place = f"chapter {int(file[:2])}" if file[:2].isdigit() else file.replace("_", " ")
    address = f"../notebooks/{file}.html#{nodes.make_id(heading)}"
    return nodes.reference("", f"{place}, {heading}", refuri=address, internal=True)


class Ledger(Directive):
    required_arguments = 1

    def markdown(self, text: str) -> list[nodes.Node]:
        node = nodes.Element()
        self.state.nested_parse(StringList(text.splitlines(), "ledger.yml"), self.lineno, node)
        return node.children

    def links(self, targets: list[str]) -> nodes.Node:
        """One line of links, each in a span of its own so that a phone breaks between them."""
        line = nodes.paragraph(classes=["softq-places"])
        for target in map(link, targets):
            inside = self.markdown(target)[0].children if isinstance(target, str) else [target]
            line += nodes.inline("", "", *inside)
        return line

    def card(self, paper: str, name: str, row: Row) -> nodes.Node:
        """A row: its name and verdict, and below them what is claimed, what was run and what came out."""
        card = nodes.container(ids=[nodes.make_id(f"{paper}-{name}")], classes=["softq-row"])
        verdict = nodes.inline("", row["verdict"], classes=["softq-verdict", nodes.make_id(row["verdict"])])
        card += nodes.paragraph("", "", nodes.strong("", name), nodes.Text(" "), verdict)
        fields = nodes.field_list(classes=["softq-fields"])
        texts = {"claim": "Claim", "run": "Run here", "ours": "Outcome", "why": "Not run because"}
        parts = {title: self.markdown(written(row, row[key])) for key, title in texts.items() if key in row}
        if "see" in row:
            parts["See"] = [self.links(row["see"])]
        if how(row):
            parts["Command"] = [nodes.paragraph("", "", nodes.literal("", line)) for line in how(row)]
        for title, inside in parts.items():
            fields += nodes.field("", nodes.field_name("", title), nodes.field_body("", *inside))
        card += fields
        return card

    def run(self) -> list[nodes.Node]:
        environment = self.state.document.settings.env
        paper = self.arguments[0]
        rows = ledger()["papers"][paper]["rows"]
        for name in {name for row in rows.values() for name in files(row)}:
            environment.note_dependency(str(RESULTS / name))
        environment.note_dependency(str(FILE))
        return [self.card(paper, name, row) for name, row in rows.items()]


class Summary(Directive):
    def run(self) -> list[nodes.Node]:
        self.state.document.settings.env.note_dependency(str(FILE))
        verdicts, papers = ledger()["verdicts"], ledger()["papers"].values()
        columns = [counts(verdicts, paper["rows"]) for paper in papers]
        columns = [[*column, sum(column)] for column in columns]
        lines = []
        for name, *row in zip([*verdicts, "rows"], *columns, strict=True):
            lines.append([name, *map(str, row), str(sum(row))])
        head = ["verdict", *(paper["title"] for paper in papers), "all"]
        node = table(head, lines, [30, *[10] * (len(head) - 1)])
        node["classes"] = ["softq-verdicts"]
        return [node]


def connect(app: Sphinx) -> None:
    app.add_directive("softq-ledger", Ledger)
    app.add_directive("softq-ledger-summary", Summary)

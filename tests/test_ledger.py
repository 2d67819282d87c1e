"""The ledger of the five papers: no row is missing, and whatever a row points to exists and says what the row says."""

import ast
import copy
import re
from functools import cache
from pathlib import Path

import ledger
import pytest
from docutils import nodes
from pages import GLUE, PASTED, glued, sources, text_of, unknown_options

ROOT = Path(__file__).parents[1]
PAPERS = ledger.ledger()["papers"]
VERDICTS = ledger.ledger()["verdicts"]
ROWS = {f"{key} {name}": row for key, paper in PAPERS.items() for name, row in paper["rows"].items()}
FIELDS = {"claim", "verdict", "run", "ours", "why", "see", "numbers", "files", "tests"}
TYPED = re.compile(r"\d[\d_,.]*\d|\d")
NAMED = re.compile(r"\$[^$]*\$|`[^`]*`|(?:Table|Figure|Appendix|chapter) [\w.]+|-v\d\b|\b\w*[A-Za-z]\w*\d\w*")


@cache
def cells(file: str) -> tuple[str, set[str], set[str]]:
    """Text, labels and headings of a notebook."""
    path = ROOT / "notebooks" / f"{file}.ipynb"
    text = text_of(path)
    found = set(re.findall(r"^:(?:label|name): (\S+)", text, re.MULTILINE))
    found |= set(re.findall(r'"name": "(fig-[\w-]+)"', path.read_text()))
    return text, found, set(re.findall(r"^#+ (.+)$", sources(path, "markdown"), re.MULTILINE))


@cache
def labels() -> set[str]:
    everywhere = [cells(path.stem)[1] for path in (ROOT / "notebooks").glob("*.ipynb")]
    return set().union(*everywhere, re.findall(r"^\((err-[\w-]+)\)=", text_of(ROOT / "book/errata.md"), re.M))


@cache
def keys_of(file: str) -> tuple[set[str], list[re.Pattern]]:
    return glued(sources(ROOT / "notebooks" / f"{file}.ipynb", "code"))


@cache
def source_of(test: str) -> str:
    """The source of "tests/FILE.py::NAME"; empty if there is no such test."""
    file, name = test.split("::")
    text = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
    found = [node for node in ast.walk(ast.parse(text)) if getattr(node, "name", "") == name]
    return ast.get_source_segment(text, found[0]) if found and name.startswith("test_") else ""


def exists(target: str) -> bool:
    if "#" not in target:
        return target in labels()
    file, heading = target.split("#")
    return (ROOT / "notebooks" / f"{file}.ipynb").is_file() and heading in cells(file)[2]


def numbers(text: str) -> set[str]:
    """The numbers that are typed in a text, without those of names and formulas."""
    return {re.sub("[_,]", "", x) for x in TYPED.findall(NAMED.sub("", ledger.PLACE.sub("", text)))}


def faults(row: ledger.Row) -> list[str]:
    """What is wrong with a row."""
    wrong = [f"the field {name}" for name in row.keys() - FIELDS]
    if row.get("verdict") not in VERDICTS:
        wrong.append("the verdict")
    elif row["verdict"] == "not run":
        wrong += [] if row.get("why") else ["no reason"]
    else:
        wrong += [f"no {name}" for name in ("run", "ours", "see") if not row.get(name)]
        wrong += ["a reason not to run what was run"] if "why" in row else []
    wrong += [f"no place {target}" for target in row.get("see", []) if not exists(target)]
    wrong += [f"no test {test}" for test in row.get("tests", []) if not source_of(test)]
    wrong += [f"no command for {name}" for name in ledger.files(row) if name not in ledger.commands()]
    texts = [row[name] for name in ("claim", "run", "ours", "why") if name in row]
    for place in ledger.PLACE.findall(" ".join(texts)):
        wrong += [] if number_exists(row, place) else [f"no number {place}"]
    known = set().union(*(numbers(row.get(name, "")) for name in ("claim", "run")))
    known |= {re.sub("[_,]", "", x) for test in row.get("tests", []) for x in TYPED.findall(source_of(test))}
    wrong += [f"{x} is typed" for x in numbers(row.get("ours", "")) - known]
    for name, source in row.get("numbers", {}).items():
        low, high = source.get("within", (-float("inf"), float("inf")))
        wrong += (
            [] if low <= ledger.number(source) <= high else [f"{name} is not what the verdict was made for"]
        )
        wrong += [] if any(f"[[{name}]]" in text for text in texts) else [f"{name} stands nowhere"]
    return wrong


def number_exists(row: ledger.Row, place: str) -> bool:
    if "::" not in place:
        return place in row.get("numbers", {})
    file, _, key = place.partition("::")
    key = key.split(":")[0]
    if not (ROOT / "notebooks" / f"{file}.ipynb").is_file():
        return False
    keys, patterns = keys_of(file)
    pasted_there = re.search(rf"\{{glue:text\}}`{re.escape(key)}[:`]", cells(file)[0]) is not None
    return pasted_there or key in keys or any(pattern.fullmatch(key) for pattern in patterns)


@pytest.mark.parametrize("key", PAPERS)
def test_each_numbered_item_has_one_row(key: str) -> None:
    """The counts are those of the captions and statements of the papers, which are not in this repository."""
    paper = PAPERS[key]
    assert sorted(ledger.items(paper)) == sorted(paper["rows"])
    assert sum(ledger.counts(VERDICTS, paper["rows"])) == len(paper["rows"])


def test_the_papers_are_counted_as_they_were_read() -> None:
    """67 figures and tables, and 25 statements that are theorems, lemmas, corollaries, definitions or remarks."""
    all_items = [item.split()[0] for paper in PAPERS.values() for item in ledger.items(paper)]
    assert (all_items.count("Figure") + all_items.count("Table"), len(all_items)) == (67, 92)
    text = ledger.FILE.read_text()
    names = re.findall(r"^      ([A-Z]\w+ [\w.]+):", text, re.MULTILINE)
    assert len(names) == len(ROWS)  # YAML would drop a name that stands twice in one paper without a word


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_complete_and_what_it_points_to_exists(name: str) -> None:
    assert faults(ROWS[name]) == []


MUTANTS = {
    "the verdict": ("ddsq Table 1", {"verdict": "mostly"}),
    "no reason": ("ddsq Figure 8", {"why": ""}),
    "no run": ("ddsq Table 1", {"run": ""}),
    "a reason not to run what was run": ("ddsq Table 1", {"why": "No time."}),
    "the field scale": ("ddsq Table 1", {"scale": "small"}),
    "no place thm-volume-nowhere": ("ddsq Table 1", {"see": ["thm-volume-nowhere"]}),
    "no place 05_langevin#At a wall": ("ddsq Table 1", {"see": ["05_langevin#At a wall"]}),
    "no test tests/test_ddsq.py::test_nothing": (
        "ddsq Table 2",
        {"tests": ["tests/test_ddsq.py::test_nothing"]},
    ),
    "no command for nothing.csv": ("ddsq Table 1", {"files": ["nothing.csv"]}),
    "no number 05_langevin::nothing:.2f": ("ddsq Table 2", {"run": "[[05_langevin::nothing:.2f]]"}),
    "no number mac": ("ddsq Figure 7", {"run": "[[mac]]"}),
    "0.37 is typed": ("ddsq Table 2", {"ours": "It is 0.37."}),
    "sac stands nowhere": ("ddsq Table 1", {"ours": "[[ddsq]] [[dacer]] [[qsm]]"}),
}


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_fault_is_found(fault: str) -> None:
    name, changes = MUTANTS[fault]
    assert fault in faults({**ROWS[name], **changes})


def test_a_number_that_drifted_is_found() -> None:
    row = copy.deepcopy(ROWS["ddsq Table 1"])
    row["numbers"]["sac"]["where"]["algorithm"] = "dqs"
    assert faults(row) == ["sac is not what the verdict was made for"]


def test_a_row_too_many_or_too_few_is_found() -> None:
    paper = PAPERS["ddsq"]
    fewer = {name: row for name, row in paper["rows"].items() if name != "Figure 3"}
    assert set(ledger.items(paper)) - set(fewer) == {"Figure 3"}
    assert ledger.items({"holds": {"Lemma": "A.1, 3-4"}}) == ["Lemma A.1", "Lemma 3", "Lemma 4"]


def test_a_number_is_what_its_file_says() -> None:
    """By another way than the page's: the last evaluations of three seeds, read line by line."""
    last = {}
    for line in (ROOT / "results" / "ddsq-halfcheetah-small.csv").read_text().splitlines():
        cells = line.split(",")
        if "evaluation" in cells:
            last[cells[2]] = float(cells[5])
    source = ROWS["ddsq Figure 3"]["numbers"]["ddsq"]
    assert len(last) == 3 and ledger.number(source) == pytest.approx(sum(last.values()) / 3)
    assert ledger.written({"numbers": {"it": source}}, "[[it]]") == f"{sum(last.values()) / 3:,.0f}"
    with pytest.raises(ValueError, match="no rows"):
        ledger.number({**source, "where": {"kind": "nothing"}})


def test_a_pasted_number_becomes_the_role_of_the_book() -> None:
    text = ledger.written({}, "It is [[05_langevin::violated:.0f]].")
    assert PASTED.fullmatch(GLUE.findall(text)[0])["key"] == "violated"


def test_the_page_shows_every_paper_and_lets_one_choose_every_verdict() -> None:
    page = text_of(ROOT / "book" / "ledger.md")
    assert re.findall(r"^```\{softq-ledger\} (\w+)$", page, re.MULTILINE) == list(PAPERS)
    assert re.findall(r"^## (.+)$", page, re.MULTILINE)[1:] == [paper["title"] for paper in PAPERS.values()]
    assert re.search('data-kinds="([^"]*)"', page)[1].split(", ") == VERDICTS
    assert "book/ledger" in (ROOT / "_toc.yml").read_text()


def test_a_card_has_the_fields_of_its_row() -> None:
    assert ledger.link("err-ddsq-thm1") == "erratum {ref}`err-ddsq-thm1`"
    assert ledger.link("thm-langevin") == "{prf:ref}`thm-langevin`"
    node = ledger.link("05_langevin#At the wall")
    assert isinstance(node, nodes.reference) and node["refuri"] == "../notebooks/05_langevin.html#at-the-wall"


def test_a_row_has_the_commands_of_its_files_tests_or_notebooks() -> None:
    of = {name: ledger.how(ROWS[name]) for name in ROWS}
    assert of["nclql Table 3"] == ["softq bench all --seconds 6 --out results/update-times.csv"]
    assert of["nclql Table 2"] == ["pytest tests/test_noise_critic.py::test_parameters_of_the_paper"]
    assert of["sql Theorem 3"] == ["pytest notebooks/03_three_backups.ipynb --nbmake"]
    assert of["ddsq Lemma 2"] == ["pytest notebooks/04_snis.ipynb --nbmake"]
    assert all(of[name] for name, row in ROWS.items() if "ours" in row)


@pytest.mark.parametrize("line", sorted({line for row in ROWS.values() for line in ledger.how(row)}))
def test_a_command_can_be_typed(line: str) -> None:
    program, *words = line.split()
    if program == "softq":
        assert unknown_options(" ".join(words)) == []
    elif program == "python":
        module = Path(*words[1].split("."))
        assert (ROOT / module.with_suffix(".py")).is_file()
    else:
        assert program == "pytest" and (ROOT / words[0].split("::")[0]).is_file()

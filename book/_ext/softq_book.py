"""What the book needs of Sphinx beyond its extensions.

- Every inline script is written once per page (sphinx-thebe's constants come twice and throw in the console).
- No ipywidgets state: a static page has no kernel; the labs bring their own script.
- Buttons for Binder and Colab appear where _config.yml names a repository.
- A chapter's number is the one in its file name, so that it never changes when a chapter is added before it.
- `{softq-versions}`: a table of the commit, the machine and the versions that this book was made with.
- The table of executed notebooks says "passed" or "failed", in words that every font has.
- A page with labs loads the scripts of these labs, see `lab_scripts`.
- `{softq-lab}`: a lab of `softq.lab` by the name of its class, with keyword arguments in YAML, on a page without code.
- `{softq-chapters}`: the map and the list of the chapters, see `chapter_map`.
- The bibliography has labels of author and year, see `author_year`.
- Links within the book show what they lead to, see `previews`.
- The tables of methods and of their settings are made from the classes, see `settings`.
- The ledger of the papers' figures, tables and theorems is made from its data file, see `ledger`.
- `{softq-citation}`: how to cite the book, see `citation`.
- The pages of the package are made from its docstrings, see `docstrings`.
"""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import author_year
import chapter_map
import citation
import docstrings
import lab_scripts
import ledger
import previews
import settings
import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from myst_nb.ext import execution_tables
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "softq",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scipy",
    "gymnasium",
    "mujoco",
)
PACKAGES += ("matplotlib", "ipywidgets", "jupyter-book", "sphinx", "myst-nb")
PAGE_SCRIPTS = {"book/errata": ["softq-filter.js"], "book/ledger": ["softq-filter.js"]}
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


def tidy_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Drop widget state and repeated inline scripts from the page's `script_files`."""
    seen: set[str] = set()
    kept = []
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        body = attributes.get("body")
        if attributes.get("type") == WIDGET_STATE:
            continue
        if body and not getattr(script, "filename", None):
            if body in seen:
                continue
            seen.add(body)
        kept.append(script)
    context["script_files"] = kept


def for_screen_readers(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Empty headings of tables become plain cells; entries of the bibliography are items of a list."""
    if "body" in context:
        empty = r"<th([^>]*)>((?:\s|&nbsp;|<p>|</p>)*)</th>"
        context["body"] = re.sub(empty, r"<td\1>\2</td>", context["body"])
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def add_lab_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Add to the page the scripts of the labs in its body, and its own."""
    labs = lab_scripts.scripts(lab_scripts.kinds_in(context.get("body", "")))
    for name in [*labs, *PAGE_SCRIPTS.get(page, [])]:
        app.add_js_file(name, defer="defer")


def need_a_repository(app: Sphinx, config: Config) -> None:
    """Without a repository in _config.yml there is nothing that Binder or Colab could open: no buttons."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)
        config.html_theme_options.pop("repository_url", None)


def number_by_file(app: Sphinx) -> None:
    """Number notebooks/NN_name as chapter NN, before figures, theorems and equations take their numbers."""
    counted = TocTreeCollectorWithStyles.assign_section_numbers

    def assign(self: TocTreeCollectorWithStyles, env: BuildEnvironment) -> list[str]:
        changed = counted(self, env)
        for page, anchors in env.toc_secnumbers.items():
            match = re.match(r"notebooks/(\d+)_", page)
            if match is None:
                continue
            chapter = int(match[1])
            for anchor, number in anchors.items():
                anchors[anchor] = number and (chapter, *number[1:])
            for node in [env.titles[page], *env.tocs[page].findall(nodes.reference)]:
                if node.get("secnumber"):
                    node["secnumber"] = [chapter, *node["secnumber"][1:]]
        return changed

    TocTreeCollectorWithStyles.assign_section_numbers = assign


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or platform.machine()


def built_from() -> str:
    """The commit that is checked out, and whether files differ from it; "unknown" outside a checkout."""
    if not (ROOT / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    found = git.stdout.strip().replace("-dirty", ", with changes that are not committed")
    return found if git.returncode == 0 else "unknown"


def machine_and_versions() -> list[tuple[str, str]]:
    """Rows (name, value) on the commit, the machine and the packages that this process runs on."""
    import jax

    devices = [f"{device.platform} ({device.device_kind})" for device in jax.devices()]
    rows = [
        ("commit", built_from()),
        ("JAX devices", ", ".join(devices)),
        ("processor", f"{_cpu()}, {os.cpu_count()} cores"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("Python", platform.python_version()),
    ]
    return rows + [(name, version(name)) for name in PACKAGES]


class Versions(Directive):
    """`{softq-versions}`: the table of `machine_and_versions`."""

    def run(self) -> list[nodes.Node]:
        table = nodes.table()
        group = nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=1), nodes.colspec(colwidth=3)]
        head, body = nodes.thead(), nodes.tbody()
        head += _row("what", "value")
        body += [_row(*row) for row in machine_and_versions()]
        group += [head, body]
        table += group
        return [table]


class LabFigure(Directive):
    """`{softq-lab} NameLab`: the lab, made with the keyword arguments of the content."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        from softq import lab  # imports JAX, which most builds of single pages do without

        arguments = yaml.safe_load("\n".join(self.content)) or {}
        return [nodes.raw("", getattr(lab, self.arguments[0])(**arguments).html(), format="html")]


class Chapters(Directive):
    """`{softq-chapters}`: what needs what, and a card for each chapter."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", chapter_map.svg() + chapter_map.cards(), format="html")]


def _row(*cells: str) -> nodes.row:
    row = nodes.row()
    for text in cells:
        row += nodes.entry("", nodes.paragraph(text=text))
    return row


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("softq-versions", Versions)
    app.add_directive("softq-lab", LabFigure)
    app.add_directive("softq-chapters", Chapters)
    execution_tables._key2transform["succeeded"] = lambda passed: "passed" if passed else "failed"
    author_year.register()
    previews.connect(app)
    docstrings.connect(app)
    citation.connect(app)
    settings.connect(app)
    ledger.connect(app)
    app.connect("config-inited", need_a_repository)
    app.connect("builder-inited", number_by_file)
    app.connect("html-page-context", for_screen_readers)
    app.connect("html-page-context", add_lab_scripts)
    app.connect("html-page-context", tidy_scripts, priority=990)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

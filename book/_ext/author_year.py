"""The bibliography's style `author_year`: pybtex's style "plain", each entry under the label that citations have.

Citations in the text are author and year, such as [Liu and Wang, 2016]; a list numbered from 1 has no such label to
look up. The label is the citation's own, by the same functions of sphinxcontrib-bibtex.
"""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as Plain
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.template import join
from sphinxcontrib.bibtex.style.referencing import PersonStyle
from sphinxcontrib.bibtex.style.template import year

PERSON = PersonStyle()
AUTHOR_YEAR = join(sep=", ")[PERSON.author_or_editor_or_title(full=False), year]


class AuthorYearLabels(BaseLabelStyle):
    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        """The labels, one for each entry; two entries with one label need years such as 2018a and 2018b."""
        style = SimpleNamespace(person=PERSON)
        return (str(AUTHOR_YEAR.format_data({"entry": x, "style": style})) for x in sorted_entries)


class AuthorYear(Plain):
    default_label_style = AuthorYearLabels


def register() -> None:
    """Make `:style: author_year` known to the directive `bibliography`."""
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)

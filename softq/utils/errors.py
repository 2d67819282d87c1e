"""softq's error and warning, whose messages are one line that names the value, what was expected and the remedy."""

import difflib
from collections.abc import Iterable


class SoftqError(ValueError):
    """An error of bad input, or of a run that cannot continue; the command line prints it and exits with code 2."""


class SoftqWarning(UserWarning):
    """A warning that a person should read before a run begins; the command line prints it as one line."""


def suggest(name: str, options: Iterable[str], limit: int = 12) -> str:
    """The end of an error message about a `name` that is not one of `options`.

    It is " Did you mean 'x'?" when an option is close to the name, and otherwise " Known: a, b, c." with the first
    `limit` options, or empty when there are none.
    """
    options = sorted(map(str, options))
    folded = {option.lower(): option for option in options}
    close = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {folded[close[0]]!r}?"
    more = f", ... ({len(options)} in all)" if len(options) > limit else ""
    return f" Known: {', '.join(options[:limit])}{more}." if options else ""

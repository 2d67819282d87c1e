"""The one error of softq: a single line that names the value, what was expected and the remedy."""

import difflib
from collections.abc import Iterable


class SoftqError(ValueError):
    """Bad input or a run that cannot go on. The message is one line; the command line prints it and exits
    with 2.
    """


class SoftqWarning(UserWarning):
    """Something that a person should know before a run begins; the command line prints it as one line."""


def suggest(name: str, options: Iterable[str], limit: int = 12) -> str:
    """The end of an error message about an unknown `name`.

    Returns " Did you mean 'x'?" when one of `options` is close, else " Known: a, b, c." (at most `limit` of
    them).
    """
    options = sorted(map(str, options))
    folded = {option.lower(): option for option in options}
    close = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {folded[close[0]]!r}?"
    more = f", ... ({len(options)} in all)" if len(options) > limit else ""
    return f" Known: {', '.join(options[:limit])}{more}." if options else ""

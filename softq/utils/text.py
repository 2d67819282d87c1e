"""Numbers and curves as a few characters of text."""

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def digits(number: float) -> str:
    """`number` with four significant digits, without an exponent: "0.9132", "9355", "-0.00004123"."""
    import numpy as np

    return np.format_float_positional(number, precision=4, unique=False, fractional=False, trim="-")


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """The last `width` of `values` as bars, from the lowest of them to the highest; a space for one not finite."""
    import numpy as np

    shown = np.asarray(values[-width:], float)
    finite = shown[np.isfinite(shown)]
    if not finite.size:
        return ""
    low, high = finite.min(), finite.max()
    heights = np.zeros_like(shown) if high == low else (shown - low) / (high - low) * (len(BARS) - 1)
    return "".join(BARS[round(x)] if np.isfinite(x) else " " for x in heights)


def duration(seconds: float) -> str:
    """`seconds` in its two largest units: "45 s", "12 min 3 s", "3 h 20 min", "2 d 4 h"."""
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])

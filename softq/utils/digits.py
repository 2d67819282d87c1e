"""Numbers as a reader wants them."""

import numpy as np


def digits(number: float) -> str:
    """`number` with four significant digits, without an exponent: "0.9132", "9355", "-0.00004123"."""
    return np.format_float_positional(number, precision=4, unique=False, fractional=False, trim="-")

"""Landscapes: functions Q(a) on the box [-1, 1]^d whose softmax is known exactly.

A landscape is the whole problem as a sampler sees it: one state, a value for each action. `get` returns those that have
a name; `Landscape` is a sum of terms kept as constants, `Formula` the same with numbers that a program takes as inputs.
"""

from softq.landscapes.formula import Formula
from softq.landscapes.landscape import ActionValue, Landscape
from softq.landscapes.named import get, names

__all__ = ["ActionValue", "Formula", "Landscape", "get", "names"]

"""Landscapes: functions Q(a) on the box [-1, 1]^d whose softmax is known exactly.

A landscape is the problem of a sampler: the value of each action in one state. `get` returns a landscape by its name. A
`Landscape` is a sum of terms with constant coefficients; the coefficients of a `Formula` are inputs of a JAX program.
"""

from softq.landscapes.formula import Formula
from softq.landscapes.landscape import ActionValue, Landscape
from softq.landscapes.named import get, names

__all__ = ["ActionValue", "Formula", "Landscape", "get", "names"]

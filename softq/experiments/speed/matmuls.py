"""Programs of matrix products alone, whose time is the unit of `softq bench`.

A program of products is a tuple of `Dot` and `Loop`. For the samplers it is written here from the mathematics, so that
a needless product in softq counts as lost time. For an algorithm's update it is read from the jaxpr of the update. Each
product depends on the one before it, as in a chain, and the compiler can leave none out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


@dataclass(frozen=True)
class Dot:
    """One product of arrays with the shapes `left` and `right`; `dims` are those of `jax.lax.dot_general`."""

    left: tuple[int, ...]
    right: tuple[int, ...]
    dims: tuple

    @property
    def flops(self) -> float:
        (_, contracted), (_, batch) = self.dims
        free = [n for i, n in enumerate(self.right) if i not in (*contracted, *batch)]
        return 2.0 * np.prod(self.left) * np.prod(free)


@dataclass(frozen=True)
class Loop:
    """The program `body`, repeated `length` times."""

    length: int
    body: tuple


Program = tuple["Dot | Loop", ...]


def flops(program: Program) -> float:
    """The number of floating-point operations of a program of products."""
    return sum(x.flops if isinstance(x, Dot) else x.length * flops(x.body) for x in program)


def twins(rows: int, fan_in: int, fan_out: int) -> Dot:
    """The products `(rows, fan_in) @ (fan_in, fan_out)` of both twins as one batched product."""
    return Dot((2, rows, fan_in), (2, fan_in, fan_out), (((2,), (1,)), ((0,), (0,))))


def forward(rows: int, dim: int, hidden: tuple[int, ...]) -> Program:
    """The products for the values of both twins at `rows` actions, without those of the state part."""
    sizes = (dim, *hidden, 1)
    return tuple(twins(rows, a, b) for a, b in pairwise(sizes))


def gradient(rows: int, dim: int, hidden: tuple[int, ...]) -> Program:
    """The products for values and slopes of both twins at `rows` actions, without those of the state part.

    The way back needs no product for the last layer, whose slope is its weights.
    """
    sizes = (dim, *hidden)
    back = (twins(rows, b, a) for a, b in pairwise(sizes))
    return forward(rows, dim, hidden) + tuple(back)[::-1]


def langevin_products(batch: int, obs_dim: int, dim: int, hidden: tuple[int, ...], steps: int) -> Program:
    """The products of a Langevin chain for each of `batch` states: the state part once, and a slope for each step."""
    return (twins(batch, obs_dim, hidden[0]), Loop(steps, gradient(batch, dim, hidden)))


def mala_products(batch: int, obs_dim: int, dim: int, hidden: tuple[int, ...], steps: int) -> Program:
    """The products of MALA: a slope for each step and one at the start, which bring the values along."""
    state, chain = langevin_products(batch, obs_dim, dim, hidden, steps)
    return (state, *gradient(batch, dim, hidden), chain)


def tempering_products(
    batch: int, obs_dim: int, dim: int, hidden: tuple[int, ...], steps: int, rungs: int
) -> Program:
    """The products of parallel tempering: MALA at each temperature; a swap compares values that are known."""
    _, *chains = mala_products(batch * rungs, obs_dim, dim, hidden, steps)
    return (twins(batch, obs_dim, hidden[0]), *chains)


def annealed_products(
    batch: int,
    obs_dim: int,
    dim: int,
    hidden: tuple[int, ...],
    steps_per_level: int,
    levels: int,
    code: int = 16,
) -> Program:
    """The products of annealed Langevin: the codes of all levels, the state part, and a slope for each step."""
    sizes = (code, 2 * code, code, hidden[0])
    embed = (twins(levels, a, b) for a, b in pairwise(sizes))
    return (*embed, *langevin_products(batch, obs_dim, dim, hidden, levels * steps_per_level))


def svgd_products(
    batch: int, obs_dim: int, dim: int, hidden: tuple[int, ...], steps: int, particles: int
) -> Program:
    """The products of SVGD: a slope at each particle, and the kernel of each state times the scores."""
    mix = Dot((batch, particles, particles), (batch, particles, dim), (((2,), (1,)), ((0,), (0,))))
    step = (*gradient(batch * particles, dim, hidden), mix)
    return (twins(batch, obs_dim, hidden[0]), Loop(steps, step))


def isir_products(
    batch: int, obs_dim: int, dim: int, hidden: tuple[int, ...], candidates: int, sweeps: int
) -> Program:
    """The products of iterated resampling: the values of the candidates of the start and of each sweep."""
    pool = forward(batch * candidates, dim, hidden)
    return (twins(batch, obs_dim, hidden[0]), *pool, Loop(sweeps, pool))


def qglg_products(
    batch: int, obs_dim: int, dim: int, hidden: tuple[int, ...], steps: int, schedules: int, candidates: int
) -> Program:
    """The products of QGLG: the values of the candidates, a chain for each schedule, and the values of its ends."""
    start = twins(batch, obs_dim, hidden[0]), *forward(batch * candidates, dim, hidden)
    chains = Loop(steps, gradient(batch * schedules, dim, hidden))
    return (*start, chains, *forward(batch * schedules, dim, hidden))


def products_of(function: Callable, *args: Any) -> Program:
    """The products that `function(*args)` makes, read from its jaxpr."""

    def is_program(x: Any) -> bool:
        return hasattr(x, "eqns") or hasattr(x, "jaxpr")

    def walk(jaxpr: Any) -> Program:
        found: list[Dot | Loop] = []
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                left, right = (tuple(x.aval.shape) for x in equation.invars)
                found.append(Dot(left, right, equation.params["dimension_numbers"]))
            parameters = jax.tree.leaves(list(equation.params.values()), is_leaf=is_program)
            inner = [walk(getattr(x, "jaxpr", x)) for x in parameters if is_program(x)]
            body = tuple(x for program in inner for x in program)
            repeated = equation.primitive.name == "scan" and body
            found.extend((Loop(equation.params["length"], body),) if repeated else body)
        return tuple(found)

    return walk(jax.make_jaxpr(function)(*args).jaxpr)


def bare(program: Program) -> tuple[Callable, Any]:
    """A compiled function that makes the products of `program`, and its arguments."""
    rng = np.random.default_rng(0)

    def buffers(program: Program) -> list:
        def draw(shape: tuple[int, ...]) -> Array:
            return jax.device_put(np.float32(rng.normal(size=shape) / np.sqrt(shape[-1])))

        return [(draw(x.left), draw(x.right)) if isinstance(x, Dot) else buffers(x.body) for x in program]

    def run(program: Program, data: list, link: Array) -> tuple[list, Array]:
        after = []
        for x, held in zip(program, data, strict=True):
            if isinstance(x, Dot):
                # a number of the product before is put into this one, so that the compiler keeps their order and
                # moves none out of its loop
                left = jax.lax.dynamic_update_slice(
                    held[0], link.reshape((1,) * held[0].ndim), (0,) * held[0].ndim
                )
                out = jax.lax.optimization_barrier(jax.lax.dot_general(left, held[1], x.dims))
                link, held = 1e-3 * out.ravel()[0], (left, held[1])
            else:

                def step(carry: tuple, _: None, body: Program = x.body) -> tuple:
                    return run(body, *carry), None

                (held, link), _ = jax.lax.scan(step, (held, link), length=x.length)
            after.append(held)
        return after, link

    return jax.jit(lambda data, link: run(program, data, link)[1]), (buffers(program), jnp.zeros(()))

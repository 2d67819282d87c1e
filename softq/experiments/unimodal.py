"""The level sets of volume-preserving flows before and after tanh, beside those of a law with two modes.

The theorem and its proof are on the page book/meow.md, whose picture `python -m softq.experiments.unimodal FILE` draws.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax import Array
from matplotlib.figure import Figure
from scipy import ndimage

from softq import landscapes, plots
from softq.box import log_tanh_slope
from softq.experiments.script import only_file, run
from softq.networks import FlowCritic
from softq.utils.atomic_files import atomic_write
from softq.utils.pytree import replace

SHARES = (0.5, 0.8, 0.95)
HALF_WIDTH = 4.0  # half the side of the square of u that is drawn; tanh maps its edge to 0.9993
NO_STATE = jnp.zeros(0)
SEEDS = 4, 2
LOG_STD = -1.2, -0.4  # the range of the logarithm of the flow's standard deviation


def bent_flow(key: Array, size: float = 0.6) -> FlowCritic:
    """A flow on two-dimensional actions, without states, whose weights are moved by normal noise of this size.

    The last biases are set so that the latent 0 goes to the action 0.
    """
    first, rest = jax.random.split(key)
    flow = FlowCritic.create(first, NO_STATE, jnp.zeros(2), (16, 16), (4,), log_std=LOG_STD)
    leaves, tree = jax.tree.flatten(flow.params)
    keys = jax.random.split(rest, len(leaves))
    noisy = [leaf + size * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    params = jax.tree.unflatten(tree, noisy)
    for name in (
        "couplings_2",
        "couplings_3",
    ):  # the couplings that move the second coordinate and then the first
        centre = replace(flow, params=params).at(NO_STATE).flow(jnp.zeros(2))
        bias = params[name]["Dense_2"]["bias"] - centre
        params = params | {name: params[name] | {"Dense_2": params[name]["Dense_2"] | {"bias": bias}}}
    return replace(flow, params=params)


def levels(log_density: np.ndarray, shares: tuple[float, ...] = SHARES) -> np.ndarray:
    """The levels above which a log-density on a regular grid holds each of `shares` of its mass, in their order."""
    ordered = np.sort(log_density.ravel())[::-1]
    mass = np.cumsum(np.exp(ordered - ordered[0]))
    return ordered[np.searchsorted(mass / mass[-1], shares)]


def pieces(log_density: np.ndarray, share: float) -> int:
    """How many pieces the smallest set of cells has that holds `share` of the mass; cells may touch at corners."""
    inside = log_density >= levels(log_density, (share,))[0]
    return int(ndimage.label(inside, np.ones((3, 3)))[1])


@jax.jit
def of_flow(flow: FlowCritic, grid: Array) -> tuple[Array, Array]:
    """The log-densities of a flow up to constants: of u at `HALF_WIDTH` times the points, and of actions at the points.

    `grid` `(n, 2)` are points of [-1, 1]^2; each result is `(n,)`.
    """
    landscape = flow.at(NO_STATE)
    return jax.vmap(landscape.before_tanh)(HALF_WIDTH * grid), jax.vmap(landscape)(grid)


@jax.jit
def of_hills(temperature: float | Array, grid: Array) -> tuple[Array, Array]:
    """The log-densities, as `of_flow` returns them, of the softmax of the landscape "twomode2"."""
    q = landscapes.get("twomode2")
    before_tanh = lambda u: q(jnp.tanh(u)) / temperature + jnp.sum(log_tanh_slope(u))
    return jax.vmap(before_tanh)(HALF_WIDTH * grid), jax.vmap(q)(grid) / temperature


def examples(temperature: float = 0.1, resolution: int = 240) -> dict[str, list[np.ndarray]]:
    """Log-densities on a grid of u and on one of actions, of two flows with random weights and of two hills."""
    grid, make = jnp.asarray(plots.grid(2, resolution), float), jax.jit(bent_flow)
    laws = {f"weights {i + 1}": of_flow(make(jax.random.key(seed)), grid) for i, seed in enumerate(SEEDS)}
    laws["two hills"] = of_hills(temperature, grid)
    table = lambda values: np.asarray(values, np.float64).reshape(resolution, resolution)
    return {name: [table(values) for values in both] for name, both in laws.items()}


def draw(temperature: float = 0.1) -> Figure:
    """Sets that hold `SHARES` of the mass: two flows and two hills in columns, before tanh above, in the box below."""
    figure, axes = plt.subplots(2, 3, figsize=(6.4, 4.6))
    for column, (name, both) in zip(axes.T, examples(temperature).items(), strict=True):
        colours = [plots.SAMPLE if name == "two hills" else plots.EXACT] * len(SHARES)
        for ax, values, half in zip(column, both, (HALF_WIDTH, 1.0), strict=True):
            line = (np.arange(len(values)) + 0.5) * 2 * half / len(values) - half
            for level, colour, alpha in zip(levels(values), colours, (0.9, 0.5, 0.25), strict=True):
                ax.contourf(line, line, values.T, [level, np.inf], colors=[colour], alpha=alpha)
            ax.set(xticks=[-half, 0, half], yticks=[-half, 0, half], aspect="equal")
        column[0].set_title(name)
    axes[0, 0].set_ylabel("before tanh")
    axes[1, 0].set_ylabel("in the box")
    return figure


def command(argv: list[str]) -> None:
    """Write the picture to the file that `argv` names. Raises `SoftqError` for bad input."""
    out = only_file(argv, "unimodal", "Draw laws of MEow's flow, before tanh and in the box.", "FILE.png")
    with plt.rc_context(plots.STYLE | {"savefig.facecolor": "white"}), atomic_write(out) as partial_file:
        draw().savefig(partial_file, dpi=140, format="png", bbox_inches="tight")


if __name__ == "__main__":
    run(command)

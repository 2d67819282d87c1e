"""The softmax itself, pi(a) ∝ exp(Q(a) / temperature) on [-1, 1]^d, by quadrature in one and two dimensions.

This is the truth that every sampler is measured against. Q is evaluated in double precision on composite
Gauss-Legendre nodes; everything is summed in logarithms. `error` tells how far that may be off, from what changes when
the number of panels is halved: a smooth Q gives about 1e-12, a trained critic about its own rounding. A needle between
two nodes is seen by neither.
"""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Real
from scipy.special import logsumexp

from softq.exact.histograms import histogram_tv, tv_floor
from softq.exact.maxima import maxima, slack
from softq.exact.values import evaluate
from softq.utils.checks import positive
from softq.utils.errors import SoftqError

ORDER = 10  # Gauss-Legendre points in a panel and coordinate
PANELS = {1: 1600, 2: 64}


def nodes_and_weights(dim: int, panels: int) -> tuple[Float[np.ndarray, "n {dim}"], Float[np.ndarray, " n"]]:
    """Composite Gauss-Legendre rule on [-1, 1]^dim: nodes `(n, dim)`, weights `(n,)` that sum to 2^dim."""
    x, w = np.polynomial.legendre.leggauss(ORDER)
    edges = np.linspace(-1, 1, panels + 1)
    half = 1 / panels
    line = ((edges[:-1] + edges[1:]) / 2)[:, None] + half * x
    line, weights = line.ravel(), np.tile(half * w, panels)
    if dim == 1:
        return line[:, None], weights
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    return grid, np.outer(weights, weights).ravel()


class Boltzmann:
    """The exact softmax of `q` at `temperature` on [-1, 1]^dim, dim 1 or 2.

    `q` maps one action `(dim,)` to a scalar: a landscape, `critic.at(obs)`, any function. Attributes, all floats in
    natural units: `log_partition` (Lebesgue base), `entropy` (nats), `mean_value` E[Q], `var_value` Var[Q],
    `maximum` (the landscape's own, or searched for from the highest nodes), `gap` = maximum - E[Q] (DDSQ Theorem 1),
    `error` (nats: how far `log_partition`, `mean_value` / temperature and `gap` / temperature may be off).

    Raises `SoftqError` for a temperature that is not positive, a dimension above 2, or a Q that is not finite.
    """

    def __init__(self, q: Callable, temperature: float, dim: int | None = None, panels: int | None = None):
        dim = getattr(q, "dim", None) if dim is None else dim
        if dim not in PANELS:
            raise SoftqError(
                f"quadrature needs dim 1 or 2, got {dim}; use softq.exact.separable where Q is a sum over coordinates, "
                "a sampler elsewhere."
            )
        positive("temperature", temperature)
        panels = PANELS[dim] if panels is None else panels
        positive("panels", panels)
        self.q, self.dim, self.panels = q, dim, panels
        self.nodes, self.weights = nodes_and_weights(dim, panels)
        self.values = evaluate(q, self.nodes)
        coarse, weights = nodes_and_weights(dim, max(1, panels // 2))
        self.coarse = evaluate(q, coarse), weights  # for the errors
        # what `_summit` found, for this law and its copies by `at`
        self._found: list[tuple[float, float]] = []
        self._solve(float(temperature))

    def _solve(self, temperature: float) -> None:
        """Everything that depends on the temperature, from values that do not."""
        self.temperature = temperature
        logs = self.values / temperature
        self.log_partition = float(logsumexp(logs, b=self.weights))
        self.probabilities = self.weights * np.exp(logs - self.log_partition)  # of the nodes; they sum to 1
        self.mean_value = float(self.probabilities @ self.values)
        self.var_value = float(self.probabilities @ (self.values - self.mean_value) ** 2)
        self.entropy = self.log_partition - self.mean_value / temperature
        values, weights = self.coarse
        log_partition = logsumexp(values / temperature, b=weights)
        mean = weights * np.exp(values / temperature - log_partition) @ values
        self._change = float(
            abs(self.log_partition - log_partition) + abs(self.mean_value - mean) / temperature
        )

    def _summit(self) -> tuple[float, float]:
        """The maximum of Q, and how far the tip of a cusp may lie above it: searched for when first asked for."""
        if hasattr(self.q, "maximum"):
            return float(self.q.maximum), 0.0
        if not self._found:
            line = np.unique(self.nodes[:, 0])
            found, top, _ = maxima(self.q, line, self.values.reshape((len(line),) * self.dim))
            self._found.append((float(max(top.max(), self.values.max())), slack(self.q, found[top.argmax()])))
        return self._found[0]

    @property
    def maximum(self) -> float:
        return self._summit()[0]

    @property
    def gap(self) -> float:
        return self.maximum - self.mean_value

    @property
    def error(self) -> float:
        return self._change + self._summit()[1] / self.temperature

    def at(self, temperature: float) -> "Boltzmann":
        """The softmax of the same values at another temperature, without evaluating Q again."""
        positive("temperature", temperature)
        law = copy.copy(self)
        law._solve(float(temperature))
        return law

    def log_density(self, actions: Real[np.ndarray, "n {self.dim}"]) -> Float[np.ndarray, " n"]:
        """log pi at each row of `actions` `(n, dim)`."""
        return evaluate(self.q, np.asarray(actions)) / self.temperature - self.log_partition

    def density(self, actions: Real[np.ndarray, "n {self.dim}"]) -> Float[np.ndarray, " n"]:
        """pi at each row of `actions` `(n, dim)`."""
        return np.exp(self.log_density(actions))

    def mean(self, f: Callable[[np.ndarray], np.ndarray]) -> float:
        """E[f(a)] for an `f` from nodes `(n, dim)` to `(n,)`; the probability of a region if `f` is its indicator."""
        return float(self.probabilities @ np.asarray(f(self.nodes), np.float64))

    def ball(self, centre: Sequence[float] | np.ndarray, radius: float) -> float:
        """Probability of the interval (dim 1) or disc (dim 2) around `centre`, by a rule that fits it.

        What NC-LQL's Table 4 counts. Raises `SoftqError` if the ball sticks out of the box.
        """
        centre = np.asarray(centre, np.float64)
        positive("radius", radius)
        if centre.shape != (self.dim,) or np.any(np.abs(centre) + radius > 1 + 1e-12):
            raise SoftqError(
                f"the ball of radius {radius:g} around {centre.tolist()} must lie in [-1, 1]^{self.dim}."
            )
        line, weights = nodes_and_weights(1, 16)
        line = line[:, 0]
        if self.dim == 1:
            return float(radius * weights @ self.density(centre + radius * line[:, None]))
        radii, angles = radius * (line + 1) / 2, 2 * np.pi * np.arange(256) / 256
        ring = np.stack([np.cos(angles), np.sin(angles)], -1)
        density = self.density((centre + radii[:, None] * ring[:, None, :]).reshape(-1, 2)).reshape(256, -1)
        return float(np.pi * radius / 256 * density.sum(0) @ (weights * radii))

    def cell_probabilities(self, bins: int) -> np.ndarray:
        """Probability of each cell of a regular grid, `(bins,)` or `(bins, bins)`, by a rule that fits the cells."""
        per_cell = max(1, -(-self.panels // bins))
        nodes, weights = nodes_and_weights(self.dim, bins * per_cell)
        p = weights * self.density(nodes)
        cells = [np.minimum(((nodes[:, i] + 1) / 2 * bins).astype(int), bins - 1) for i in range(self.dim)]
        total = np.zeros((bins,) * self.dim)
        np.add.at(total, tuple(cells), p)
        return total / total.sum()

    def tv(self, samples: np.ndarray, bins: int) -> float:
        """Total variation between the histogram of `samples` `(n, dim)` and this law, on `bins` cells a side.

        The histogram of n exact samples is itself at a distance of about sqrt(cells / n); see `tv_floor`.
        """
        return histogram_tv(np.asarray(samples).reshape(-1, self.dim), self.cell_probabilities(bins))

    def tv_floor(self, num: int, bins: int) -> float:
        """Expected `tv` of `num` exact samples: what sampling error alone amounts to (normal approximation)."""
        return tv_floor(self.cell_probabilities(bins), num)

    def sample(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """`num` draws `(num, dim)`: a quadrature node by its probability, then uniform in the node's own cell."""
        index = rng.choice(len(self.nodes), num, p=self.probabilities / self.probabilities.sum())
        line = np.unique(self.nodes[:, 0])
        edges = np.concatenate([[-1.0], (line[1:] + line[:-1]) / 2, [1.0]])
        which = np.searchsorted(line, self.nodes[index])
        return rng.uniform(edges[which], edges[which + 1])

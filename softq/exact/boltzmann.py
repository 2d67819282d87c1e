"""The softmax itself, pi(a) ∝ exp(Q(a) / temperature) on [-1, 1]^d, by quadrature in one and two dimensions.

Every sampler is measured against this law. Q is evaluated in double precision on composite Gauss-Legendre nodes, and
sums of exponentials are taken in logarithms. `error` estimates how far the results may be off, from their change when
the number of panels is halved: about 1e-12 for a smooth Q, and the rounding of Q for a trained critic. A peak that
lies between two nodes is missed, and `error` does not tell.
"""

import copy
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Real
from scipy.special import logsumexp

from softq.exact.histograms import histogram_tv, tv_floor
from softq.exact.maxima import cusp_rise, maxima
from softq.exact.values import evaluate
from softq.utils.checks import positive
from softq.utils.errors import SoftqError

POINTS_PER_PANEL = 10  # Gauss-Legendre points of a panel, for each coordinate
DEFAULT_PANELS = {1: 1600, 2: 64}  # panels for each coordinate, by the dimension


def nodes_and_weights(dim: int, panels: int) -> tuple[Float[np.ndarray, "n {dim}"], Float[np.ndarray, " n"]]:
    """Composite Gauss-Legendre rule on [-1, 1]^dim, dim 1 or 2: nodes `(n, dim)` and weights `(n,)` of sum 2^dim."""
    x, w = np.polynomial.legendre.leggauss(POINTS_PER_PANEL)
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

    `q` maps one action `(dim,)` to a scalar: a landscape, `critic.at(obs)`, or any function. Attributes, all floats:

    - `log_partition`: log int exp(Q / temperature) da; `entropy`: the differential entropy, in nats.
    - `mean_value` and `var_value`: E[Q] and Var[Q] under the softmax.
    - `maximum`: `q.maximum` if it exists, else found by a search; `gap`: maximum - E[Q] (DDSQ Theorem 1).
    - `error`, in nats: how far `log_partition`, `mean_value` / temperature and `gap` / temperature may be off.

    Raises `SoftqError` for a temperature that is not positive, a dimension above 2, or a Q that is not finite.
    """

    def __init__(self, q: Callable, temperature: float, dim: int | None = None, panels: int | None = None):
        dim = getattr(q, "dim", None) if dim is None else dim
        if dim not in DEFAULT_PANELS:
            raise SoftqError(
                f"quadrature needs dim 1 or 2, got {dim}; use softq.exact.separable where Q is a sum over coordinates, "
                "a sampler elsewhere."
            )
        positive("temperature", temperature)
        panels = DEFAULT_PANELS[dim] if panels is None else panels
        positive("panels", panels)
        self.q, self.dim, self.panels = q, dim, panels
        self.nodes, self.weights = nodes_and_weights(dim, panels)
        self.values = evaluate(q, self.nodes)
        coarse, weights = nodes_and_weights(dim, max(1, panels // 2))
        # Q and weights of the rule with half the panels, for `error`
        self.coarse = evaluate(q, coarse), weights
        # the result of `_summit`, shared by this law and its copies by `at`
        self._found: list[tuple[float, float]] = []
        self._solve(float(temperature))

    def _solve(self, temperature: float) -> None:
        """Set every attribute that depends on the temperature, from the values of Q, which do not."""
        self.temperature = temperature
        logs = self.values / temperature
        self.log_partition = float(logsumexp(logs, b=self.weights))
        self.probabilities = self.weights * np.exp(logs - self.log_partition)  # of the nodes, of sum 1
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
        """The maximum of Q, and how far the tip of a cusp may lie above it. The search runs once, when first needed."""
        if hasattr(self.q, "maximum"):
            return float(self.q.maximum), 0.0
        if not self._found:
            line = np.unique(self.nodes[:, 0])
            found, top, _ = maxima(self.q, line, self.values.reshape((len(line),) * self.dim))
            highest = float(max(top.max(), self.values.max()))
            self._found.append((highest, cusp_rise(self.q, found[top.argmax()])))
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
        """The softmax of this Q at another temperature, from the stored values of Q.

        Raises `SoftqError` for a temperature that is not positive.
        """
        positive("temperature", temperature)
        law = copy.copy(self)
        law._solve(float(temperature))
        return law

    def log_density(self, actions: Real[np.ndarray, "n {self.dim}"]) -> Float[np.ndarray, " n"]:
        """log pi at each row of `actions` `(n, dim)`, `(n,)`."""
        return evaluate(self.q, np.asarray(actions)) / self.temperature - self.log_partition

    def density(self, actions: Real[np.ndarray, "n {self.dim}"]) -> Float[np.ndarray, " n"]:
        """pi at each row of `actions` `(n, dim)`, `(n,)`."""
        return np.exp(self.log_density(actions))

    def mean(self, f: Callable[[np.ndarray], np.ndarray]) -> float:
        """E[f(a)] for an `f` from nodes `(n, dim)` to `(n,)`; the probability of a region if `f` is its indicator."""
        return float(self.probabilities @ np.asarray(f(self.nodes), np.float64))

    def ball(self, centre: Sequence[float] | np.ndarray, radius: float) -> float:
        """Probability of the interval (dim 1) or disc (dim 2) around `centre`, by a quadrature rule on the ball itself.

        NC-LQL's Table 4 counts samples in such discs. Raises `SoftqError` if the ball does not lie inside the box.
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
        """Probability of each cell of a regular grid, `(bins,)` or `(bins, bins)`, with whole panels in each cell."""
        per_cell = max(1, -(-self.panels // bins))
        nodes, weights = nodes_and_weights(self.dim, bins * per_cell)
        p = weights * self.density(nodes)
        cells = [np.minimum(((nodes[:, i] + 1) / 2 * bins).astype(int), bins - 1) for i in range(self.dim)]
        total = np.zeros((bins,) * self.dim)
        np.add.at(total, tuple(cells), p)
        return total / total.sum()

    def tv(self, samples: np.ndarray, bins: int) -> float:
        """Total variation between the histogram of `samples` `(n, dim)` and this law, on `bins` cells per coordinate.

        The histogram of n exact samples is itself at a distance of about sqrt(cells / n), see `tv_floor`.
        """
        return histogram_tv(np.asarray(samples).reshape(-1, self.dim), self.cell_probabilities(bins))

    def tv_floor(self, num: int, bins: int) -> float:
        """Expected `tv` of `num` exact samples, by the normal approximation: the part due to sampling error."""
        return tv_floor(self.cell_probabilities(bins), num)

    def sample(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """`num` draws `(num, dim)`: a node by its probability, then a point uniform in the cell around the node."""
        index = rng.choice(len(self.nodes), num, p=self.probabilities / self.probabilities.sum())
        line = np.unique(self.nodes[:, 0])
        edges = np.concatenate([[-1.0], (line[1:] + line[:-1]) / 2, [1.0]])
        which = np.searchsorted(line, self.nodes[index])
        return rng.uniform(edges[which], edges[which + 1])

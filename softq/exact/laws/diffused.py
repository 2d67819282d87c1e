"""The noised softmax exactly: its score, and the moments of estimators of the score with finitely many samples.

A clean action a_0 is noised to a_t = signal * a_0 + noise * z with a standard normal z. No code is shared with the
samplers. `Mixture` is written in JAX, so that it can also take the place of a network.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import logsumexp

from softq.diffusion.schedules import Schedule
from softq.exact.values import evaluate
from softq.utils.checks import positive
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree


@pytree
class Mixture:
    """A mixture of round Gaussians: `weights` `(k,)` of sum 1, `means` `(k, d)` and `variances` `(k,)`.

    Called on one action `(d,)` it returns the log-density, so that it is a landscape whose softmax at temperature 1 is
    the mixture itself, on all of R^d.
    """

    weights: np.ndarray | Array
    means: np.ndarray | Array
    variances: np.ndarray | Array

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    def _arrays(self) -> tuple[Array, ...]:
        """The parameters in JAX's current precision, since JAX keeps a NumPy constant in that of its first use."""
        return tuple(
            jnp.asarray(x, jnp.result_type(float)) for x in (self.weights, self.means, self.variances)
        )

    def noised(self, signal: Array | float, noise: Array | float) -> "Mixture":
        """The law of signal * a + noise * z for an action a of this law: again a mixture."""
        weights, means, variances = self._arrays()
        return Mixture(weights, signal * means, signal**2 * variances + noise**2)

    def _logs(self, action: Array) -> Array:
        weights, means, variances = self._arrays()
        squared = jnp.sum((action[None] - means) ** 2, 1)
        return jnp.log(weights) - squared / (2 * variances) - jnp.log(2 * jnp.pi * variances) * self.dim / 2

    def __call__(self, action: Array) -> Array:
        return jax.nn.logsumexp(self._logs(action))

    def score(self, action: Array) -> Array:
        """The gradient of the log-density at one action, `(d,)`: a weighted mean of (means - action) / variances."""
        _, means, variances = self._arrays()
        return jax.nn.softmax(self._logs(action)) @ ((means - action[None]) / variances[:, None])

    def noise_of(self, schedule: Schedule) -> Callable[[Array, Array], Array]:
        """The exact noise eps(a_t, t) `(d,)` in an action of this mixture, as a network would predict it."""

        def perfect(a_t: Array, t: Array) -> Array:
            noise = schedule.noise(t)
            return -noise * self.noised(schedule.signal(t), noise).score(a_t)

        return perfect


# the mixture of MaxEntDP D.4 and Figure 11
FOUR_GAUSSIANS = Mixture(
    np.full(4, 0.25), np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, 0.5], [0.5, -0.5]]), np.full(4, 0.01)
)


# The law of the clean action, given the noisy one


class ProposalNodes(NamedTuple):
    """A quadrature over the Gaussian around a_t / signal: `actions` `(n, d)` with probabilities `mass` `(n,)`.

    `log_inside` is the log of the Gaussian's mass inside the box, or 0 if the Gaussian is not truncated.
    """

    actions: np.ndarray
    mass: np.ndarray
    log_inside: float


def proposal_nodes(
    a_t: np.ndarray, signal: float, noise: float, box: bool = True, width: float = 0.02, reach: float = 9.0
) -> ProposalNodes:
    """Quadrature nodes for the Gaussian around a_t / signal with the standard deviation noise / signal.

    Gauss-Legendre panels, no wider than `width` and one standard deviation, extend to `reach` standard deviations. With
    `box` the Gaussian is truncated to the box, and more panels cover all of it, for weights that are large far away.
    """
    spread, order = noise / signal, 10
    x, w = np.polynomial.legendre.leggauss(order)
    lines, logs = [], []
    for centre in np.atleast_1d(a_t) / signal:
        low, high = centre - reach * spread, centre + reach * spread
        size = min(width, spread)
        if box:
            nearest = np.clip(centre, -1, 1)
            near = np.clip([nearest - reach * spread, nearest + reach * spread], -1, 1)
            fine = np.linspace(near[0], near[1], int(np.ceil(np.ptp(near) / size)) + 1)
            edges = np.union1d(fine, np.linspace(-1, 1, int(np.ceil(2 / width)) + 1))
            edges = edges[np.append(True, np.diff(edges) > 1e-12)]
        else:
            edges = np.linspace(low, high, int(np.ceil((high - low) / size)) + 1)
        half = np.diff(edges)[:, None] / 2
        nodes = ((edges[1:] + edges[:-1])[:, None] / 2 + half * x).ravel()
        log_gaussian = -(((nodes - centre) / spread) ** 2) / 2 - np.log(spread * np.sqrt(2 * np.pi))
        lines.append(nodes)
        logs.append(log_gaussian + np.log((half * w).ravel()))
    actions = np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, len(lines))
    log_mass = logs[0] if len(logs) == 1 else np.add.outer(*logs).ravel()
    total = logsumexp(log_mass)
    return ProposalNodes(actions, np.exp(log_mass - total), float(total) if box else 0.0)


class NoisedSoftmax(NamedTuple):
    """The noised softmax at n noisy actions.

    `log_mass` `(n,)` is log int exp(Q / temperature) N(a_t; signal a, noise^2) da, the log-density of a_t plus log Z;
    `score` `(n, d)` is its gradient by a_t, and `variance` `(n, d)` that of the clean action given a_t.
    """

    log_mass: np.ndarray
    score: np.ndarray
    variance: np.ndarray


def noised_softmax(
    q: Callable,
    temperature: float,
    a_t: np.ndarray,
    signal: float,
    noise: float,
    width: float = 0.02,
    clean: Callable | None = None,
) -> NoisedSoftmax:
    """The noised softmax of `q` on the box, at the rows of `a_t` `(n, d)`, d at most 2, by quadrature.

    The score is (signal E[a | a_t] - a_t) / noise^2, with the mean of the clean action. `width` is the width of the
    panels; a tenth of the finest detail of exp(Q / temperature) is enough.
    Raises `SoftqError` for a temperature, signal or noise that is not positive, or actions of another shape.
    """
    for name, value in (("temperature", temperature), ("signal", signal), ("noise", noise)):
        positive(name, value)
    a_t = np.asarray(a_t, np.float64)
    if a_t.ndim != 2 or a_t.shape[1] not in (1, 2):
        raise SoftqError(f"a_t must have shape (n, 1) or (n, 2), got {a_t.shape}; quadrature ends there.")
    rows = []
    for row in a_t:
        nodes = proposal_nodes(row, signal, noise, width=width)
        logits = evaluate(q, nodes.actions) / temperature
        log_w = logits - logits.max()
        weights = nodes.mass * np.exp(log_w)
        total = weights.sum()
        # moments around the mean of the Gaussian, clipped to the box, so that nothing cancels at small noise
        offset = nodes.actions - np.clip(row / signal, -1, 1)
        first, second = weights @ offset / total, weights @ offset**2 / total
        shift = np.clip(row / signal, -1, 1) * signal - row
        score = (signal * first + shift) / noise**2
        log_mass = np.log(total) + logits.max() + nodes.log_inside - len(row) * np.log(signal)
        rows.append((log_mass, score, second - first**2))
    return NoisedSoftmax(*(np.array(column) for column in zip(*rows, strict=True)))


# The self-normalised average over finitely many proposals


def self_normalised(
    mass: np.ndarray, log_w: np.ndarray, f: np.ndarray, num: int
) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and standard deviation, `(d,)` each, of sum_i w_i f_i / sum_i w_i over `num` independent proposals.

    A proposal is node j with probability `mass[j]`, and then has the log-weight `log_w[j]`, up to a constant, and the
    value `f[j]`; the arrays are `(n,)`, `(n,)` and `(n, d)`. By 1/S = int exp(-t S) dt and 1/S^2 = int t exp(-t S) dt
    both moments are one-dimensional integrals over the Laplace transform of the weight. In log t the trapezoidal rule
    converges geometrically. Raises `SoftqError` for `num` below 1.
    """
    positive("num", num)
    held = mass > 0
    mass, f = mass[held], f[held]
    log_w = log_w[held] - logsumexp(log_w[held], b=mass)
    centre = np.exp(log_w) * mass @ f  # the limit for many proposals; deviations from it lose fewer digits
    f, w = f - centre, np.exp(log_w)
    squares = f**2
    step = 0.25
    first, second = np.zeros(f.shape[1]), np.zeros(f.shape[1])
    for t in np.exp(np.arange(-40, 700, step) - np.log(num)):
        decay = mass * np.exp(-t * w)
        phi = decay.sum()
        if phi ** (num - 1) < 1e-25 and t > num:
            break
        one = (decay * w) @ f
        first += t * num * phi ** (num - 1) * one
        second += t**2 * num * phi ** (num - 1) * ((decay * w**2) @ squares)
        if num > 1:
            second += t**2 * num * (num - 1) * phi ** (num - 2) * one**2
    first, second = step * first, step * second
    return centre + first, np.sqrt(np.maximum(second - first**2, 0))

"""Convergence of the reflected Langevin chain to the softmax in the Wasserstein distance W_2 (DDSQ Theorem 3).

One step is a -> R(a + step / (2 lambda) Q'(a) + sqrt(step) noise), with R the reflection into the box and lambda the
temperature. All eigenvalues of -Q'' lie between `convexity` > 0 and `smoothness`, the paper's m and L. The printed
theorem multiplies W_2 by `printed_factor` at each step, so that it falls to zero. In fact a step multiplies W_2 by
`factor`, which is at most the root of `printed_factor`, and adds a bias b(step) = W_2(softmax after one step, softmax).

`GaussianChain` is the chain without walls on a parabola, in closed form. `ReflectedChain` is the chain on [-1, 1], to
about ten digits.
"""

from collections.abc import Callable
from functools import cached_property

import jax
import numpy as np
from jax import Array
from numpy.polynomial import Legendre
from numpy.polynomial.legendre import leggauss, legvander

from softq.exact.values import evaluate
from softq.utils.checks import inside_box, positive

Number = float | np.ndarray | Array


def stability_limit(temperature: Number, curvature: Number) -> Number:
    """The step 4 * temperature / curvature, from which on a Langevin chain diverges on a parabola that steep.

    In the precision of its arguments. Raises `SoftqError` for a concrete temperature or curvature that is not positive.
    """
    positive("temperature", temperature)
    positive("curvature", curvature)
    return 4 * temperature / curvature


# DDSQ Theorem 3


def printed_factor(
    convexity: float, smoothness: float, step: float | np.ndarray, temperature: float
) -> np.ndarray:
    """1 - m step / lambda + L^2 step^2 / (4 lambda^2), which bounds the *squared* W_2 in DDSQ's proof."""
    positive("temperature", temperature)
    speed = np.asarray(step) / temperature
    return 1 - convexity * speed + (smoothness * speed) ** 2 / 4


def factor(convexity: float, smoothness: float, step: float | np.ndarray, temperature: float) -> np.ndarray:
    """max(|1 - m step / (2 lambda)|, |1 - L step / (2 lambda)|), the factor by which one step contracts W_2.

    It is at most the root of `printed_factor`, and below 1 exactly if the step is below
    `stability_limit`. With a larger step two chains near the maximum move apart.
    """
    positive("temperature", temperature)
    half = np.asarray(step) / (2 * temperature)
    return np.maximum(np.abs(1 - convexity * half), np.abs(1 - smoothness * half))


def printed_bound(start: float, factors: np.ndarray) -> np.ndarray:
    """DDSQ Theorem 3 as printed: `start` times the running product of T `printed_factor`s, `(T + 1,)`."""
    return start * np.concatenate([[1.0], np.cumprod(factors)])


def bound(start: float, factors: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """The corrected bound on W_2, `(T + 1,)`: from `start`, each of T steps maps d to factor * d + bias."""
    distances = [start]
    for q, b in zip(*np.broadcast_arrays(factors, biases), strict=True):
        distances.append(q * distances[-1] + b)
    return np.array(distances)


def schedule_summary(curvature: float, temperature: float, steps: np.ndarray) -> dict[str, float]:
    """The effect of a schedule of `steps` `(T,)` on the parabola Q = -curvature a^2 / 2.

    "log10_printed" and "log10_contraction" are the base-10 logarithms of the products of `printed_factor` and `factor`;
    "total_time" is the sum of the steps and "relaxation_times" that sum over 2 temperature / curvature;
    "last_unstable_step" is the index of the last step above `stability_limit`, or -1.
    """
    positive("step sizes", steps)
    steps = np.asarray(steps, float)
    shrink = factor(curvature, curvature, steps, temperature)
    unstable = np.flatnonzero(steps > stability_limit(temperature, curvature))
    return {
        "log10_printed": float(np.log10(printed_factor(curvature, curvature, steps, temperature)).sum()),
        "log10_contraction": float(np.log10(shrink).sum()),
        "total_time": float(steps.sum()),
        "relaxation_times": float(steps.sum() * curvature / (2 * temperature)),
        "last_unstable_step": int(unstable[-1]) if len(unstable) else -1,
    }


def printed_reflection(x: np.ndarray, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """DDSQ B.3.2 as printed, low + min_k |2 k (high - low) - x|: right for low 0 only; on [-1, 1] it maps 0 to -1."""
    return low + _distance_to_multiples(np.asarray(x, float), 2 * (high - low))


def reflection(x: np.ndarray, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """The reflection into [low, high]: low + min_k |2 k (high - low) - (x - low)|."""
    return low + _distance_to_multiples(np.asarray(x, float) - low, 2 * (high - low))


def _distance_to_multiples(x: np.ndarray, period: float) -> np.ndarray:
    return np.abs(x - period * np.round(x / period))


class GaussianChain:
    """The chain without walls on Q = -curvature a^2 / 2, whose softmax is normal with variance lambda / curvature.

    Attributes: `contraction`, the exact factor of W_2 in one step; `printed`, the paper's factor, which is its square;
    `stable`, whether `contraction` is below 1; `target_variance`, of the softmax; `variance`, of the stationary law
    (infinite if not stable); `bias`, the W_2 between the stationary law and the softmax.
    Raises `SoftqError` for a curvature, temperature or step that is not positive.
    """

    def __init__(self, curvature: float, temperature: float, step: float):
        positive("curvature", curvature)
        positive("step", step)
        self.contraction = float(factor(curvature, curvature, step, temperature))
        self.printed = float(printed_factor(curvature, curvature, step, temperature))
        self.stable = self.contraction < 1
        self.target_variance = temperature / curvature
        excess = 1 - step * curvature / (4 * temperature)
        self.variance = self.target_variance / excess if self.stable else np.inf
        self.bias = float(np.sqrt(self.variance) - np.sqrt(self.target_variance))


class ReflectedChain:
    """The reflected chain on [-1, 1] as a matrix on Gauss-Legendre nodes (Nyström's method), in float64.

    `q` maps one action `(1,)` to a scalar. A law is the array of its density at the `nodes` `(n,)`. The reflected
    Gaussian of one step is a sum over mirror images. All densities are smooth, so that the error falls exponentially
    with the number of nodes, `order`; None chooses more nodes for a smaller step.
    Attributes: `target`, the softmax; `stationary`, the stationary law of the chain.
    Raises `SoftqError` for a temperature or step that is not positive.
    """

    def __init__(self, q: Callable, temperature: float, step: float, order: int | None = None):
        positive("temperature", temperature)
        positive("step", step)
        self.q, self.temperature, self.step = q, float(temperature), float(step)
        self._slope = lambda action: jax.grad(q)(action)[0]  # kept, so that JAX compiles it only once
        self.nodes, self.weights = leggauss(order or 160 + int(10 / np.sqrt(step)))
        logs = evaluate(q, self.nodes[:, None]) / temperature
        unnormalised = np.exp(logs - logs.max())
        self.target = unnormalised / (self.weights @ unnormalised)

    def _kernel(self, actions: np.ndarray) -> np.ndarray:
        """Density of the next action at the nodes, one row for each of the `actions` `(k,)`: `(k, n)`."""
        slopes = evaluate(self._slope, actions[:, None])
        means = (actions + self.step / (2 * self.temperature) * slopes)[:, None]
        reach = int(np.ceil((np.abs(means).max() + 1 + 9 * np.sqrt(self.step)) / 4))
        density = np.zeros((len(actions), len(self.nodes)))
        for shift in 4.0 * np.arange(-reach, reach + 1):
            for image in (self.nodes + shift, 2 - self.nodes + shift):
                density += np.exp(-((image - means) ** 2) / (2 * self.step))
        return density / np.sqrt(2 * np.pi * self.step)

    @cached_property
    def _matrix(self) -> np.ndarray:
        return self._kernel(self.nodes)

    def move(self, density: np.ndarray) -> np.ndarray:
        """The law `(n,)` one step after the law `density` `(n,)`."""
        return (self.weights * density) @ self._matrix

    def laws(self, start: float, num_steps: int) -> list[np.ndarray]:
        """The laws after 1, 2, ..., `num_steps` steps from the point `start` in [-1, 1]."""
        inside_box("start", start)
        laws = [self._kernel(np.array([float(start)]))[0]]
        while len(laws) < num_steps:
            laws.append(self.move(laws[-1]))
        return laws

    @cached_property
    def stationary(self) -> np.ndarray:
        equations = self._matrix.T * self.weights - np.eye(len(self.nodes))
        # one equation is redundant; the added last one sets the total probability to 1
        equations = np.vstack([equations, self.weights])
        return np.linalg.lstsq(equations, np.eye(len(equations))[-1], rcond=None)[0]

    @cached_property
    def bias(self) -> float:
        """b(step): the W_2 between the law one step after the softmax and the softmax."""
        return self.w2(self.move(self.target))

    def variance(self, density: np.ndarray) -> float:
        """Variance of the action under the law `density` `(n,)`."""
        mass = self.weights * density
        return float(mass @ self.nodes**2 - (mass @ self.nodes) ** 2)

    def w2(self, density: np.ndarray | float, other: np.ndarray | None = None) -> float:
        """W_2 between the law `density` and the law `other` `(n,)`, the softmax if None, in units of the action.

        A number as `density` stands for the point mass there. In one dimension the best coupling matches quantiles: it
        maps a to G^-1(F(a)), which Newton's method finds.
        """
        other = self.target if other is None else other
        if np.ndim(density) == 0:
            return float(np.sqrt((self.weights * other) @ (self.nodes - density) ** 2))
        levels, cdf = self._cdf(np.asarray(density))(self.nodes), self._cdf(other)
        pdf, low, high = cdf.deriv(), -np.ones_like(levels), np.ones_like(levels)
        image = self.nodes.copy()
        for _ in range(60):  # Newton, with bisection where it would leave the bracket
            excess = cdf(image) - levels
            low, high = np.where(excess > 0, low, image), np.where(excess > 0, image, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                newton = image - excess / pdf(image)
            before, image = image, np.where((newton > low) & (newton < high), newton, (low + high) / 2)
            if np.abs(image - before).max() < 1e-13:
                break
        return float(np.sqrt((self.weights * density) @ (self.nodes - image) ** 2))

    def _cdf(self, density: np.ndarray) -> Legendre:
        """The distribution function of the law `density`, as a Legendre series."""
        return Legendre((self.weights * density) @ self._polynomials).integ(lbnd=-1)

    @cached_property
    def _polynomials(self) -> np.ndarray:
        """Legendre polynomials at the nodes, scaled so that inner products with them are coefficients of a series."""
        degree = np.arange(len(self.nodes))
        return legvander(self.nodes, degree[-1]) * (degree + 0.5)

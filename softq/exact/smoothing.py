"""Two ways to blur a landscape: average its values, or average the softmax itself.

NC-LQL anneals through the convolution Q * N(0, sigma^2), an average of values (its Equation 7 with a flat prior, and
its Equation 10). Annealing in generative modelling goes through exp(Q / temperature) * N(0, sigma^2), an average of
densities. `Landscape.blurred` is the first, in closed form, and `smooth_density` the second, by quadrature. Both use
the landscape outside the box, where its formula continues.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from softq.exact.values import evaluate
from softq.landscapes import Landscape
from softq.utils.checks import positive
from softq.utils.errors import SoftqError


class Smoothed(NamedTuple):
    """Averages at n actions a over Q = Q(a + sigma * xi) with a standard normal xi.

    `value` `(n,)` is F = temperature * log E[exp(Q / temperature)], `slope` `(n, d)` its gradient in a; `mean` and
    `variance` `(n,)` are those of Q, and F = mean + variance / (2 temperature) + ...
    """

    value: np.ndarray
    slope: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def smooth_density(q: Landscape, temperature: float, sigma: float, actions: np.ndarray) -> Smoothed:
    """The landscape whose softmax is exp(Q / temperature) blurred by N(0, sigma^2), at the rows of `actions` `(n, d)`.

    The averages are trapezoidal sums whose spacing is a third of the narrowest peak, up to ten standard deviations. The
    kernel is a product over coordinates, so that two dimensions cost two matrix products. Raises `SoftqError` for a
    temperature or a sigma that is not positive, or a dimension above 2.
    """
    positive("temperature", temperature)
    positive("sigma", sigma)
    if q.dim not in (1, 2):
        raise SoftqError(f"smooth_density needs dim 1 or 2, got {q.dim}; use q.blurred(sigma) for the mean.")
    actions = np.asarray(actions, np.float64).reshape(-1, q.dim)
    tallest = max([abs(height) for height, _, _ in q.bumps], default=1.0) / temperature
    narrowest = min([width for _, _, width in q.bumps], default=1.0) / np.sqrt(1 + tallest)
    spacing = min(narrowest, sigma) / 3
    reach = 10 * sigma
    nodes = np.arange(actions.min() - reach, actions.max() + reach + spacing, spacing)
    mesh = np.stack(np.meshgrid(*[nodes] * q.dim, indexing="ij"), -1)
    values = evaluate(q, mesh.reshape(-1, q.dim)).reshape(mesh.shape[:-1])
    top = values.max()
    weights = np.exp((values - top) / temperature)
    away = actions[:, :, None] - nodes  # (n, d, nodes)
    kernels = np.exp(-((away / sigma) ** 2) / 2) * spacing / np.sqrt(2 * np.pi * sigma**2)

    def average(f: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Sums of f times the kernels of the first and last coordinate, `(n,)`; one dimension has `first` alone."""
        rows = first @ f
        return rows if q.dim == 1 else np.sum(rows * last, axis=1)

    first, last = kernels[:, 0], kernels[:, -1]
    total = average(weights, first, last)
    slopes = [average(weights, -away[:, 0] * first, last)]
    if q.dim == 2:
        slopes.append(average(weights, first, -away[:, 1] * last))
    slope = temperature / sigma**2 * np.stack(slopes, -1) / total[:, None]
    mean = average(values, first, last)
    variance = np.maximum(average(values**2, first, last) - mean**2, 0.0)
    return Smoothed(top + temperature * np.log(total), slope, mean, variance)


def vanishing_sigma(
    q: Landscape, start: Sequence[float], largest: float = 2.0, tol: float = 1e-9
) -> tuple[float, np.ndarray]:
    """The sigma at which the mode of `q.blurred(sigma)` near `start` vanishes, and the action `(dim,)` where it was.

    Newton's method follows the mode as sigma grows from 0. Where it fails to converge, or the Hessian is not negative
    definite, the step in sigma is halved, down to `tol`. Raises `SoftqError` if `start` is not near a mode, or if the
    mode still exists at the sigma `largest`.
    """
    positive("largest", largest)
    with jax.enable_x64(True):
        slope = jax.jit(lambda sigma, a: jax.grad(q.blurred(sigma))(a))
        hessian = jax.jit(lambda sigma, a: jax.hessian(q.blurred(sigma))(a))

        def follow(sigma: float, action: np.ndarray) -> np.ndarray | None:
            for _ in range(30):
                curvature = np.asarray(hessian(sigma, action))
                if np.linalg.eigvalsh(curvature)[-1] >= 0:
                    return None
                step = np.linalg.solve(curvature, np.asarray(slope(sigma, action)))
                action = action - step
                if np.abs(step).max() < 1e-12:
                    return action
            return None

        sigma, action = 0.0, follow(0.0, np.asarray(start, np.float64))
        if action is None:
            raise SoftqError(f"no mode of landscape '{q.name}' near {list(start)}; start closer to a top.")
        step = 0.01
        while step > tol:
            further = follow(sigma + step, action)
            if further is None or np.abs(further - action).max() > 10 * np.sqrt(step):
                step /= 2
                continue
            sigma, action = sigma + step, further
            if sigma > largest:
                raise SoftqError(
                    f"the mode near {list(start)} is still there at sigma {largest:g}; raise largest."
                )
    return sigma, action

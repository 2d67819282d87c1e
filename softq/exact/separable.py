"""The exact softmax in any dimension, for two families of Q for which it is a one-dimensional integral.

`Separable`: Q(a) = q1(a_1) + ... + q1(a_d). The coordinates are independent, each with the softmax of q1.
`MaxNorm`: Q(a) = -profile(max_i |a_i|). Q depends on the radius r = max_i |a_i| alone, which has the density
d r^(d-1) under the uniform law. Its members are plateaus, needles and cones in any number of dimensions.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

from softq.exact.boltzmann import Boltzmann
from softq.utils.checks import positive
from softq.utils.errors import SoftqError


class _ExactSoftmax:
    """The attributes of an exact softmax pi, all floats.

    - `log_partition`: log int exp(Q / temperature) da; `entropy`: the differential entropy, in nats.
    - `mean_value`, `var_value`: E[Q] and Var[Q] under pi; `maximum`: of Q; `gap`: maximum - E[Q].
    - `uniform_mean`, `uniform_std`: the mean and standard deviation of Q over uniform actions.
    - `action_std`: the standard deviation of each coordinate of the action under pi, the same for all coordinates.
    - `weight_variance`: the variance of pi / u under the uniform law u.
    """

    temperature: float
    dim: int
    log_partition: float
    mean_value: float
    var_value: float
    maximum: float
    uniform_mean: float
    uniform_std: float
    action_std: float
    weight_variance: float

    @property
    def gap(self) -> float:
        return self.maximum - self.mean_value

    @property
    def entropy(self) -> float:
        return self.log_partition - self.mean_value / self.temperature


def _dimension(dim: int) -> int:
    if dim < 1 or dim != int(dim):
        raise SoftqError(
            f"dim must be a whole number of at least 1, got {dim}; count the action coordinates."
        )
    return int(dim)


class Separable(_ExactSoftmax):
    """The softmax of sum_i q1(a_i) at `temperature` on [-1, 1]^dim, for a 1-D landscape `q1` and any dim >= 1.

    Raises `SoftqError` for a temperature that is not positive or a `dim` that is no positive whole number.
    """

    def __init__(self, q1: Callable, temperature: float, dim: int):
        self.temperature, self.dim = float(temperature), _dimension(dim)
        one = Boltzmann(q1, temperature, 1)
        self.log_partition, self.maximum = dim * one.log_partition, dim * one.maximum
        self.mean_value, self.var_value = dim * one.mean_value, dim * one.var_value
        uniform = one.weights / 2
        mean = uniform @ one.values
        self.uniform_mean = float(dim * mean)
        self.uniform_std = float(np.sqrt(dim * (uniform @ (one.values - mean) ** 2)))
        a = one.nodes[:, 0]
        self.action_std = float(np.sqrt(one.probabilities @ (a - one.probabilities @ a) ** 2))
        # E_u[W^2] is a product over coordinates, whose factors are partition functions at half the temperature
        log_mean = lambda scale: logsumexp(scale * one.values / temperature, b=uniform)
        self.weight_variance = float(np.expm1(dim * (log_mean(2) - 2 * log_mean(1))))


class MaxNorm(_ExactSoftmax):
    """The softmax of -profile(max_i |a_i|) at `temperature` on [-1, 1]^dim, any dim >= 1.

    `profile` maps radii `(n,)` in [0, 1] to numbers `(n,)`; `breaks` are the radii of its jumps and kinks. The rule is
    Gauss-Legendre on panels that shrink towards 0 and towards each break. `error` is the change of `log_partition` when
    the number of panels is halved.
    Raises `SoftqError` for a temperature that is not positive, a `dim` that is no positive whole number, breaks outside
    (0, 1), or a profile that is not finite.
    """

    def __init__(
        self,
        profile: Callable[[np.ndarray], np.ndarray],
        temperature: float,
        dim: int,
        breaks: tuple[float, ...] = (),
        panels: int = 400,
    ):
        positive("temperature", temperature)
        self.temperature, self.dim = float(temperature), _dimension(dim)
        if not all(0 < b < 1 for b in breaks):
            raise SoftqError(
                f"breaks must lie between 0 and 1, got {tuple(breaks)}; they are radii in the box."
            )
        r, log_u = _radii(self.dim, breaks, panels)
        values = -np.asarray(profile(r), np.float64)
        if values.shape != r.shape or not np.isfinite(values).all():
            raise SoftqError(
                f"profile gave shape {values.shape} or no finite numbers for radii {r.shape}; mend it."
            )
        logs = values / temperature
        log_mean = logsumexp(logs + log_u)
        p, u = np.exp(logs + log_u - log_mean), np.exp(log_u)
        self.log_partition = float(log_mean + dim * np.log(2))
        # the maximum may be the limit of the profile at 0, where the quadrature has no node
        self.maximum = -float(min(np.min(-values), np.asarray(profile(np.array([1e-300])))[0]))
        self.mean_value = float(p @ values)
        self.var_value = float(p @ (values - self.mean_value) ** 2)
        self.uniform_mean = float(u @ values)
        self.uniform_std = float(np.sqrt(u @ (values - self.uniform_mean) ** 2))
        # given r, one coordinate is r or -r and the others are uniform on [-r, r]: E[a_i^2] = r^2 (1 + (d - 1) / 3) / d
        self.action_std = float(np.sqrt(p @ r**2 * (dim + 2) / (3 * dim)))
        self.weight_variance = float(np.expm1(logsumexp(2 * logs + log_u) - 2 * log_mean))
        coarse, log_v = _radii(self.dim, breaks, panels // 2)
        self.error = abs(logsumexp(-np.asarray(profile(coarse)) / temperature + log_v) - log_mean)


def _radii(dim: int, breaks: tuple[float, ...], panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Quadrature nodes on [0, 1] and the logarithms of their masses under the density d r^(d-1), `(n,)` each."""
    steep = np.geomspace(1e-12, 1, panels)
    fine = [[0.0], np.linspace(0, 1, panels + 1), steep]
    fine += [b + sign * steep for b in breaks for sign in (-1, 1)] + [breaks]
    edges = np.unique(np.concatenate(fine))
    edges = edges[(edges >= 0) & (edges <= 1)]
    x, w = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges)[:, None] / 2
    r = (edges[:-1, None] + half * (1 + x)).ravel()
    return r, np.log((half * w).ravel()) + np.log(dim) + (dim - 1) * np.log(r)

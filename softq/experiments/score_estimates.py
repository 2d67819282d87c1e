"""How far estimates of a score are from the exact score, on MaxEntDP's mixture of four Gaussians (its Appendix D.4).

`python -m softq.experiments.score_estimates results/score-estimates.csv` writes one row for each noise level, number of
proposals and estimator. Noisy actions are drawn from the noised mixture itself, whose score is known in closed form.
An error is of the noise in an action, -noise * score, so that all levels have one unit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import Array

from softq.diffusion.scores import combined, idem, qne, rfm
from softq.exact.laws.diffused import FOUR_GAUSSIANS
from softq.experiments.script import run, write_table

ESTIMATORS: dict[str, Callable[..., Array]] = {
    "qne": qne,
    "idem": idem,
    "combined, the variance of a mode": partial(combined, variance=0.01),
    "combined": combined,
    "rfm": rfm,
}
LOG_SNR = (
    -4.0,
    -2.0,
    0.0,
    2.0,
    4.0,
    6.0,
    8.0,
)  # the levels: logarithms of (signal / noise)^2 of a variance-preserving schedule
PROPOSALS = (16, 100)
PLACES = 4000


def table(
    levels: tuple[float, ...] = LOG_SNR, proposals: tuple[int, ...] = PROPOSALS, n: int = PLACES
) -> pd.DataFrame:
    """Root mean square error of every estimator over `n` noisy actions, with a 95 % interval, and the median error.

    The interval is that of the mean square by the central limit theorem; where `low` is 0, a few actions make up most
    of the error. All estimators see the same noisy actions.
    """
    rows = []
    for num in proposals:
        run = jax.jit(jax.vmap(partial(errors, num=num), (0, None)))
        for level in levels:
            found = run(jax.random.split(jax.random.key(8), n), jnp.asarray(level))
            for name, squared in found.items():
                squares = np.asarray(squared, np.float64)
                mean, half = squares.mean(), 1.96 * squares.std(ddof=1) / np.sqrt(n)
                low, high = np.sqrt(max(mean - half, 0.0)), np.sqrt(mean + half)
                rows.append((level, num, name, n, np.sqrt(mean), low, high, np.sqrt(np.median(squares))))
    columns = ["log_snr", "proposals", "estimator", "n", "error", "low", "high", "median"]
    return pd.DataFrame(rows, columns=columns)


def errors(key: Array, log_snr: Array, num: int) -> dict[str, Any]:
    """The squared error of each estimate of the noise at one noisy action, averaged over the two coordinates."""
    for_mode, for_action, for_noise, for_estimate = jax.random.split(key, 4)
    signal, noise = jnp.sqrt(jax.nn.sigmoid(log_snr)), jnp.sqrt(jax.nn.sigmoid(-log_snr))
    mode = jax.random.choice(for_mode, jnp.asarray(FOUR_GAUSSIANS.means, jnp.float32))
    action = mode + 0.1 * jax.random.normal(for_action, (2,))
    a_t = signal * action + noise * jax.random.normal(for_noise, (2,))
    exact = FOUR_GAUSSIANS.noised(signal, noise).score(a_t)
    given = for_estimate, FOUR_GAUSSIANS, 1.0, a_t, signal, noise, num, False
    return {name: jnp.mean((noise * (f(*given) - exact)) ** 2) for name, f in ESTIMATORS.items()}


def command(argv: list[str]) -> None:
    """Write the table to the file that `argv` names. Raises `SoftqError` for bad input."""
    what = "Measure the errors of all score estimates on four Gaussians, whose score is known."
    write_table(argv, "score_estimates", what, table, digits=4)


if __name__ == "__main__":
    run(command)

"""Checks of a sampler, softq's own or a reader's."""

import dataclasses
from collections.abc import Callable
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.exact.laws.cells import Law
from softq.testing.statistics import THRESHOLD, chi_square

Sampler = Callable[[Array], Array]  # key -> one action (dim,)


def draw(sampler: Sampler, key: Array, num: int) -> np.ndarray:
    """`num` independent actions of `sampler`, `(num, dim)`, from one compiled program."""
    return np.asarray(jax.jit(jax.vmap(sampler))(jax.random.split(key, num)))


@dataclasses.dataclass
class _Probe:
    """A sampler with one batch of its actions; both are compiled once for all checks."""

    sampler: Sampler
    dim: int
    key: Array
    law: Law | None
    num_samples: int

    @cached_property
    def keys(self) -> Array:
        """2000 keys `(2000,)`."""
        return jax.random.split(self.key, 2000)

    @cached_property
    def batched(self) -> Callable[[Array], Array]:
        """The compiled sampler under `jax.vmap`: keys `(n,)` -> actions `(n, dim)`."""
        return jax.jit(jax.vmap(self.sampler))

    @cached_property
    def compiled(self) -> Sampler:
        """The compiled sampler of one action."""
        return jax.jit(self.sampler)

    @cached_property
    def actions(self) -> np.ndarray:
        """The actions for `keys`, `(2000, dim)`."""
        return np.asarray(self.batched(self.keys))

    def require(self, condition: bool, check: str, message: str) -> None:
        """Raise `AssertionError` with `message` unless `condition`."""
        if not condition:
            raise AssertionError(f"check_sampler, {check}: {message}")


def _dtype(probe: _Probe) -> None:
    action = jax.eval_shape(probe.sampler, probe.key)
    probe.require(
        action.shape == (probe.dim,), "dtype", f"an action is {action.shape}, expected ({probe.dim},)."
    )
    probe.require(action.dtype == jnp.float32, "dtype", f"actions are {action.dtype}, expected float32.")


def _support(probe: _Probe) -> None:
    probe.require(bool(np.isfinite(probe.actions).all()), "support", "an action is not finite.")
    worst = float(np.abs(probe.actions).max())
    probe.require(worst <= 1, "support", f"an action has coordinate {worst!r}, outside [-1, 1].")


def _key(probe: _Probe) -> None:
    again = np.asarray(probe.batched(probe.keys))
    probe.require(np.array_equal(probe.actions, again), "key", "the same keys gave other actions.")
    different = len(np.unique(probe.actions, axis=0))
    probe.require(different > 1, "key", f"{len(again)} keys gave one and the same action.")


def _jit(probe: _Probe) -> None:
    plain, compiled = np.asarray(probe.sampler(probe.key)), np.asarray(probe.compiled(probe.key))
    probe.require(np.allclose(plain, compiled, atol=1e-4), "jit", f"{compiled} compiled, {plain} otherwise.")


def _vmap(probe: _Probe) -> None:
    loop = np.stack([np.asarray(probe.compiled(key)) for key in probe.keys[:8]])
    worst = float(np.abs(loop - probe.actions[:8]).max())
    probe.require(worst < 1e-4, "vmap", f"vmap and a loop differ by {worst:.2g}.")


def _law(probe: _Probe) -> None:
    if probe.law is None:
        return
    p = chi_square(draw(probe.sampler, probe.key, probe.num_samples), *probe.law)
    message = f"{probe.num_samples} draws disagree with the exact law, p = {p:.2g}."
    probe.require(p > THRESHOLD, "law", message)


SAMPLER_CHECKS: dict[str, Callable[[_Probe], None]] = {
    "dtype": _dtype,
    "support": _support,
    "key": _key,
    "jit": _jit,
    "vmap": _vmap,
    "law": _law,
}


def check_sampler(
    sampler: Sampler,
    dim: int,
    key: Array | None = None,
    law: Law | None = None,
    num_samples: int = 20_000,
    only: str | None = None,
) -> None:
    """Run the checks in `SAMPLER_CHECKS` on a sampler, or only the one named `only`.

    `sampler(key)` returns one action `(dim,)`; bind its other arguments beforehand. The checks are:

    - "dtype": an action is float32 `(dim,)`.
    - "support": actions are finite and in [-1, 1].
    - "key": the same key gives the same action, and other keys give other actions.
    - "jit": the compiled sampler gives the action of the sampler itself, within 1e-4.
    - "vmap": the sampler under `jax.vmap` gives the actions of a loop, within 1e-4.
    - "law": `num_samples` draws agree with the exact `law` of a one-dimensional sampler, by a chi-square test at 1e-6;
      without a `law` nothing is tested.

    "jit" and "vmap" compare trajectories, so bind step sizes at which a chain does not amplify rounding errors. Raises
    `AssertionError` that names the check and what failed it.
    """
    probe = _Probe(sampler, dim, jax.random.key(0) if key is None else key, law, num_samples)
    for name, check in SAMPLER_CHECKS.items():
        if only in (None, name):
            check(probe)

"""The law at rest against reference numbers, long chains and the chain of `softq.exact.langevin_convergence`."""

import jax.numpy as jnp
import numpy as np
import pytest
from exact import numpy_of
from reference import REFERENCE

from softq import landscapes
from softq.exact.langevin_convergence import ReflectedChain
from softq.exact.laws import chain_law, softmax_law, stationary_law, uniform_law
from softq.utils.errors import SoftqError


@pytest.mark.parametrize("step", ["1.0", "0.25", "0.1", "0.01", "0.001"])
def test_projection_leaves_the_reference_atoms(step):
    """The error of the cells is of second order, so two grids extrapolate to the reference's own tolerance."""
    entry = REFERENCE["langevin.clip_flat"]
    atoms = [stationary_law(np.zeros_like, float(step), "project", n).atoms.sum() for n in (700, 1400)]
    expected = entry["value"][step]["atom_mass_clip"]
    assert (4 * atoms[1] - atoms[0]) / 3 == pytest.approx(expected, abs=entry["tol"])
    assert atoms[1] == pytest.approx(expected, abs=5e-6)
    assert abs(stationary_law(np.zeros_like, float(step), "reflect", 300).atoms).max() < 1e-14


@pytest.mark.parametrize("boundary", ["reflect", "project"])
def test_is_where_a_long_chain_arrives_and_stays(boundary):
    _, slope = numpy_of(landscapes.get("skew1"))
    score = lambda x: slope(x) / 0.4
    law = stationary_law(score, 0.1, boundary, cells=400)
    assert chain_law(score, [0.1], law, 400, boundary).tv(law) < 1e-10
    assert chain_law(score, [0.1] * 400, uniform_law(400), 400, boundary).tv(law) < 1e-8
    assert chain_law(score, [0.05], law, 400, boundary).tv(law) > 1e-3
    assert law.probabilities.sum() + law.atoms.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("step", [0.2, 0.05])
def test_agrees_with_the_spectral_chain(step):
    """Two discretisations that share no code: cells and folded Gaussians, nodes and images."""
    chain = ReflectedChain(lambda a: -jnp.sum(a**2) / 2, 0.5, step)
    law = stationary_law(lambda x: -x / 0.5, step, cells=800)
    second = float(chain.weights @ (chain.stationary * chain.nodes**2))
    assert law.mean(np.square) == pytest.approx(second, abs=1e-6)
    assert law.tv(softmax_law(lambda x: -(x**2) / 2, 0.5, 800)) > 1e-3


def test_bad_input_is_one_clear_line():
    with pytest.raises(SoftqError, match="step must be positive"):
        stationary_law(np.zeros_like, 0.0)
    with pytest.raises(SoftqError, match=r"unknown boundary 'clip'.*project, reflect"):
        stationary_law(np.zeros_like, 0.1, "clip")

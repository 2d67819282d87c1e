"""Which test file reads which entry of the table of reference numbers.

Each entry belongs to a family, and each family to a test that reads it from the table; entries that wait for their
chapter are named, so that none is forgotten. This looks at the text of the tests only; numbers are compared there.
"""

from pathlib import Path

import pytest
from exact import REFERENCE

TESTS = Path(__file__).parent
FAMILIES = {
    "vol.": "test_volume.py",
    "thm1.": "test_bounds.py",
    "softmax.": "test_boltzmann.py",
    "uniform.": "test_boltzmann.py",
    "bandit8.boltzmann": "test_boltzmann.py",
    "bandit8.constants": "test_landscapes.py",
    "snis.": "test_importance.py",
    "isir.": "test_importance.py",
    "entropy_est.": "test_importance.py",
    "langevin.gauss": "test_contraction.py",
    "langevin.reflected.": "test_contraction.py",
    "langevin.ddsq_schedules": "test_contraction.py",
    "langevin.clip_flat": "test_stationary.py",
    "langevin.ddsq_single_schedule": "test_laws.py",
    "langevin.qglg": "test_samplers.py",
    "bandit8.q_nc": "test_smoothing.py",
    "bandit8.low_mode_vanishes": "test_smoothing.py",
    "bandit8.two_smoothings": "test_smoothing.py",
    "bandit8.nclql": "test_annealed.py",
    "nclql.": "test_annealed.py",
    "mdp.": "test_mdp.py",
    "boltzmann_operator.": "test_mdp.py",
    "sql.objective_gap": "test_mdp.py",
    "sql.svgd_two_particles": "test_svgd.py",
    "sql.eq33": "test_amortised.py",
    "maxent.units": "test_mdp.py",
    "d4.": "test_diffusion_scores.py",
    "d4.logprob": "test_diffusion_likelihood.py",
    "dqs.": "test_diffusion_reverse.py",
    "box.": "test_diffusion_scores.py",
    "logprob.": "test_diffusion_likelihood.py",
}
WAITING: tuple[str, ...] = ()  # entries whose chapter is still to come


def family(entry: str) -> str | None:
    return max((f for f in FAMILIES if entry.startswith(f)), key=len, default=None)


@pytest.mark.parametrize("entry", REFERENCE)
def test_every_entry_has_a_test_file_or_waits_by_name(entry):
    found = family(entry)
    if found is None:
        assert entry.startswith(WAITING), f"no test reproduces {entry}"
    else:
        assert f'"{found}' in (TESTS / FAMILIES[found]).read_text().replace('f"', '"'), f"{entry} is not read"


def test_families_are_in_the_table():
    for prefix in (*FAMILIES, *WAITING):
        assert any(entry.startswith(prefix) for entry in REFERENCE), prefix

"""The samplers by the names that `softq evaluate --sampler`, the benchmarks and the labs use."""

from softq.samplers.ais import AIS
from softq.samplers.annealed import AnnealedLangevin
from softq.samplers.base import Sampler
from softq.samplers.diffusion import Diffusion
from softq.samplers.isir import ISIR
from softq.samplers.langevin import Langevin
from softq.samplers.mala import MALA
from softq.samplers.qglg import QGLG
from softq.samplers.snis import SNIS
from softq.samplers.svgd import SVGD
from softq.samplers.tempering import Tempering
from softq.samplers.uniform import Greedy, Uniform
from softq.utils.checks import one_of

SAMPLERS: dict[str, type[Sampler]] = {
    "uniform": Uniform,
    "greedy": Greedy,
    "snis": SNIS,
    "isir": ISIR,
    "langevin": Langevin,
    "mala": MALA,
    "tempering": Tempering,
    "ais": AIS,
    "annealed": AnnealedLangevin,
    "qglg": QGLG,
    "svgd": SVGD,
    "diffusion": Diffusion,
}
"""The class of each sampler by its name."""


def get(name: str) -> type[Sampler]:
    """The sampler class called `name`. Raises `SoftqError`, which suggests the nearest name, if there is none."""
    one_of("sampler", name, SAMPLERS)
    return SAMPLERS[name]

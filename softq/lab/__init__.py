"""Laboratory figures: one object that every place renders in its own way.

- In Jupyter it is a live widget; each change of a control runs Python again.
- In the built book it is HTML with the formulas' data or the weights inside; the scripts in `book/_static` compute
  the same numbers in the page, also from `file://`.
- Anywhere else it is a picture with a description.

`TemperatureLab` shows the exact softmax of a 1-D or 2-D landscape and Langevin particles, `GalleryLab` the particles of
any sampler on any landscape. Three labs draw curves: `VolumeLab` the loss of Q by a softmax and its bounds,
`ImportanceLab` the law of an action that resampling returns, and `BackupLab` three Bellman backups. `CandidatesLab`
shows single resamplings: the candidates, their weights, and the one that survives.
`ImportanceLab` the law of an action that resampling returns, and `BackupLab` three Bellman backups. Two more show a
method whole: `CriticLab` a critic with a sampler and a backup of one's choice, and `ActorLab` an actor while it learns.
"""

from softq.lab.actor import ActorLab
from softq.lab.backup import BackupLab
from softq.lab.candidates import CandidatesLab
any sampler on any landscape. `SelectionLab` shows what the choice of one end point does to the temperature, and
`BlurLab` two blurs of a landscape and twin runs of one sampler. Four labs draw curves: `VolumeLab` the loss of Q by a
softmax and its bounds, `ImportanceLab` the law of an action that resampling returns, `ThermostatLab` a temperature that
follows an entropy, and `BackupLab` three Bellman backups.
"""

from softq.lab.backup import BackupLab
from softq.lab.blur import BlurLab
from softq.lab.critic import CriticLab
from softq.lab.gallery import GalleryLab
from softq.lab.importance import ImportanceLab
from softq.lab.selection import SelectionLab
any sampler on any landscape. The others draw curves: `VolumeLab` the loss of Q by a softmax and its bounds,
`ImportanceLab` the law of an action that resampling returns, and `BackupLab` three Bellman backups. `DenoiseLab` has
estimates of a noised score and the law of a reverse diffusion, and `SwarmLab` the particles of SVGD on a line.
"""

from softq.lab.backup import BackupLab
from softq.lab.denoise import DenoiseLab
from softq.lab.gallery import GalleryLab
from softq.lab.importance import ImportanceLab
from softq.lab.swarm import SwarmLab
from softq.lab.temperature import TemperatureLab
from softq.lab.thermostat import ThermostatLab
from softq.lab.volume import VolumeLab

__all__ = ["BackupLab", "CandidatesLab", "GalleryLab", "ImportanceLab", "TemperatureLab", "VolumeLab"]
__all__ = [
    "BackupLab",
    "BlurLab",
    "GalleryLab",
    "ImportanceLab",
    "SelectionLab",
    "TemperatureLab",
    "ThermostatLab",
__all__ = [
    "BackupLab",
    "DenoiseLab",
    "GalleryLab",
    "ImportanceLab",
    "SwarmLab",
__all__ = [
    "ActorLab",
    "BackupLab",
    "CriticLab",
    "GalleryLab",
    "ImportanceLab",
    "TemperatureLab",
    "VolumeLab",
]

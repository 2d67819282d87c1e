"""Laboratory figures: one object that every place renders in its own way.

- In Jupyter it is a live widget; each change of a control runs Python again.
- In the built book it is HTML with the formulas' data or the weights inside; the scripts in `book/_static` compute
  the same numbers in the page, also from `file://`.
- Anywhere else it is a picture with a description.

| lab | shows |
| --- | --- |
| `ActorLab` | a squashed Gaussian while it learns on two hills |
| `BackupLab` | three Bellman backups of one value |
| `BlurLab` | two blurs of a landscape, and twin runs of one sampler on it |
| `CandidatesLab` | single resamplings: the candidates, their weights, and the one that survives |
| `CriticLab` | a critic with a sampler and a backup of one's choice |
| `DenoiseLab` | estimates of a noised score, and the law of a reverse diffusion |
| `DialLab` | one critic of multigoal, the sampler of DDSQ beside exact draws |
| `FloodLab` | the nearly optimal actions of a plane, as a map, and their share of the box |
| `GalleryLab` | the particles of any sampler on any landscape |
| `HeroLab` | the figure of the front page |
| `ImportanceLab` | the law of an action that resampling returns |
| `LinearMapLab` | amortised SVGD of a linear map, with the same noises or others |
| `MazeLab` | a ball in a maze, dropped by hand and rolled out by stored policies |
| `PathsLab` | the paths of every method on multigoal, beside the softmax of its critic |
| `RoomsLab` | three rooms of a project, and what four solutions earn in them |
| `SelectionLab` | what the choice of one end point does to the temperature |
| `SwarmLab` | the particles of SVGD on a line |
| `TemperatureLab` | the exact softmax of a landscape or a critic, and Langevin particles or exact draws |
| `ThermostatLab` | a temperature that follows an entropy |
| `TrapLab` | policy iteration in a room with a narrow way out, as a cobweb |
| `VolumeLab` | the loss of Q by a softmax, and its bounds |

`Films` puts short films side by side.
"""

from softq.lab.actor import ActorLab
from softq.lab.backup import BackupLab
from softq.lab.ball import MazeLab
from softq.lab.blur import BlurLab
from softq.lab.candidates import CandidatesLab
from softq.lab.critic import CriticLab
from softq.lab.denoise import DenoiseLab
from softq.lab.dial import DialLab
from softq.lab.films import Films
from softq.lab.flood import FloodLab
from softq.lab.gallery import GalleryLab
from softq.lab.hero import HeroLab
from softq.lab.importance import ImportanceLab
from softq.lab.linear import LinearMapLab
from softq.lab.paths import PathsLab
from softq.lab.rooms import RoomsLab
from softq.lab.selection import SelectionLab
from softq.lab.swarm import SwarmLab
from softq.lab.temperature import TemperatureLab
from softq.lab.thermostat import ThermostatLab
from softq.lab.trap import TrapLab
from softq.lab.volume import VolumeLab

__all__ = [
    "ActorLab",
    "BackupLab",
    "BlurLab",
    "CandidatesLab",
    "CriticLab",
    "DenoiseLab",
    "DialLab",
    "Films",
    "FloodLab",
    "GalleryLab",
    "HeroLab",
    "ImportanceLab",
    "LinearMapLab",
    "MazeLab",
    "PathsLab",
    "RoomsLab",
    "SelectionLab",
    "SwarmLab",
    "TemperatureLab",
    "ThermostatLab",
    "TrapLab",
    "VolumeLab",
]

"""Laboratory figures: one object that every place renders in its own way.

- In Jupyter it is a live widget; each change of a control runs Python again.
- In the built book it is HTML with the formulas' data or the weights inside; the scripts in `book/_static` compute
  the same numbers in the page, also from `file://`.
- Anywhere else it is a picture with a description.

`TemperatureLab` shows the exact softmax of a 1-D or 2-D landscape and Langevin particles, `GalleryLab` the particles of
any sampler on any landscape. Three labs draw curves: `VolumeLab` the loss of Q by a softmax and its bounds,
`ImportanceLab` the law of an action that resampling returns, and `BackupLab` three Bellman backups.
"""

from softq.lab.backup import BackupLab
from softq.lab.ball import MazeLab
from softq.lab.dial import DialLab
from softq.lab.gallery import GalleryLab
from softq.lab.importance import ImportanceLab
from softq.lab.paths import PathsLab
from softq.lab.temperature import TemperatureLab
from softq.lab.volume import VolumeLab

__all__ = [
    "BackupLab",
    "DialLab",
    "GalleryLab",
    "ImportanceLab",
    "MazeLab",
    "PathsLab",
    "TemperatureLab",
    "VolumeLab",
]

"""Learning algorithms, one file each, under one interface."""

from softq.algorithms.base import Algorithm, Transition
from softq.algorithms.ddpg import DDPG
from softq.algorithms.ddsq import DDSQ
from softq.algorithms.dqs import DQS
from softq.algorithms.lql import LQL
from softq.algorithms.malaq import MalaQ
from softq.algorithms.maxentdp import MaxEntDP
from softq.algorithms.nclql import NCLQL
from softq.algorithms.sac import SAC
from softq.algorithms.sql import SQL
from softq.utils.checks import one_of

ALGORITHMS: dict[str, type[Algorithm]] = {
    "ddsq": DDSQ,
    "lql": LQL,
    "nclql": NCLQL,
    "malaq": MalaQ,
    "dqs": DQS,
    "maxentdp": MaxEntDP,
    "sql": SQL,
    "sac": SAC,
    "ddpg": DDPG,
}


def get(name: str) -> type[Algorithm]:
    """The algorithm class called `name`; raises `SoftqError` with the nearest name otherwise."""
    one_of("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


__all__ = [
    "ALGORITHMS",
    "DDPG",
    "DDSQ",
    "DQS",
    "LQL",
    "NCLQL",
    "SAC",
    "SQL",
    "Algorithm",
    "MalaQ",
    "MaxEntDP",
    "Transition",
    "get",
]

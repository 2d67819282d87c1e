"""Networks as callable pytrees of Flax layers: one observation, one action, one noise level; `vmap` outside."""

from softq.networks.actors import DeterministicActor, GaussianActor, TanhGaussian
from softq.networks.critic import Critic, QNetwork, StateLandscape
from softq.networks.layers import ACTIVATIONS, mish

__all__ = [
    "ACTIVATIONS",
    "Critic",
    "DeterministicActor",
    "GaussianActor",
    "QNetwork",
    "StateLandscape",
    "TanhGaussian",
    "mish",
]

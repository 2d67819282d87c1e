"""Networks as callable pytrees of Flax layers, for one observation and one action at a time; use `vmap` for a batch."""

from softq.networks.actors import DeterministicActor, GaussianActor, TanhGaussian
from softq.networks.base import Network
from softq.networks.critic import Critic, QModule, StateLandscape
from softq.networks.distributional import DistributionalCritic
from softq.networks.flow import FlowCritic, FlowLandscape
from softq.networks.generator import SamplingNetwork
from softq.networks.mlp import ACTIVATIONS, mish
from softq.networks.noise_critic import NoiseCritic, NoiseLandscape
from softq.networks.score import ScoreNetwork, StateScore

__all__ = [
    "ACTIVATIONS",
    "Critic",
    "DeterministicActor",
    "DistributionalCritic",
    "FlowCritic",
    "FlowLandscape",
    "GaussianActor",
    "Network",
    "NoiseCritic",
    "NoiseLandscape",
    "QModule",
    "SamplingNetwork",
    "ScoreNetwork",
    "StateLandscape",
    "StateScore",
    "TanhGaussian",
    "mish",
]

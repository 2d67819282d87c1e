"""DIPO: replayed actions climb the critic and replace the stored ones, and a diffusion actor is fitted to them.

"Policy representation via diffusion probability model for reinforcement learning" (Yang et al. 2023), with the tables
of hyper-parameters that its authors repeat beside their code. The law that it aims at is not a softmax: after enough
steps every stored action stands on a local maximum of Q or on a wall, a wide hill gathers more of them than a narrow
one, and no height matters. What noise is left is the diffusion's.
"""

from typing import Any, ClassVar

import jax
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import clipped_adam
from softq.box import project
from softq.diffusion import DiffusionPolicy
from softq.networks import Critic, ScoreNetwork
from softq.utils.fields import count, flag, positive
from softq.utils.pytree import pytree

TRAINING = {"num_envs": 1, "iterations": 1_000_000, "warmup": 10_000}  # batch and buffer are the defaults
ASCENT_EPSILON = 1e-5  # of the Adam that moves actions; where Q is flatter than this, they move less


@pytree
class DIPO(Algorithm):
    """Hyper-parameters of the authors' tables, with their values.

    Deviation: the code takes every time limit for a true end, gives Adam the epsilon 1e-5 for the networks too, and
    draws two batches in an update, one for the critic and one for the actor.
    """

    presets: ClassVar[dict] = {
        "paper": TRAINING,
        "small": {"actor_learning_rate": 2e-3, "num_steps": 20},
        # Deviation: the code means to write climbed actions back, but `numpy.copyto` then writes into a copy that
        # indexing has made. Its actor is fitted to the executed actions, moved by one climb.
        "code": TRAINING | {"revises": False, "hidden_sizes": (256, 256, 256)},
    }

    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the noise network")
    gradient_norm: float = positive(
        2.0, "Largest norm of the gradient of critics or actor; Hopper 1, Ant 0.8."
    )
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale()
    num_ascents: int = count(
        20, "Number of steps that a replayed action climbs in an update; HalfCheetah 40."
    )
    ascent_rate: float = positive(
        0.03, "Length of a step of the climb in each coordinate of the action, by Adam."
    )
    revises: bool = flag(True, "Whether climbed actions replace the stored ones; those of the code do not.")
    num_steps: int = count(100, "Number of steps of the diffusion.")
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256), note="the code has three layers")
    activation: str = hyper.activation("mish")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to both.

        Deviation: the noise level enters the actor as in MaxEntDP, not by 32 sinusoids of the step's number.
        """
        for_critic, for_actor = jax.random.split(key)
        layers = self.hidden_sizes, self.activation
        critic = Critic.create(for_critic, obs, action, *layers)
        return self.fresh_state(
            critic, ScoreNetwork.create(for_actor, obs, action, *layers), actor_target=True
        )

    def critic_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.learning_rate, self.gradient_norm)

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.actor_learning_rate, self.gradient_norm)

    def diffusion(self, network: ScoreNetwork) -> DiffusionPolicy:
        """The policy of a noise network: as Ho et al. (2020) sample, on a cosine."""
        return DiffusionPolicy.ddpm(network, self.num_steps)

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """A draw from the target actor, which the Bellman target uses. Raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        return self.diffusion(state.actor.target).sample(obs, key)

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """A draw from the actor.

        Deviation: where the return is reported, the code adds noise to the start of the chain alone.
        """
        return self.diffusion(state.actor.network).sample(obs, key)

    exploit = explore

    # Learning. The critic learns from executed actions: the reward of a climbed one is not known.

    def improved(self, state: State, obs: Array, action: Array) -> Array:
        """The action after its climb of min_j Q_j, by the new critic; each step ends in the box.

        Deviation: the text prints steps along the gradient itself. The code's are those of an Adam that starts anew,
        about as long on a gentle slope as on a steep one; so its clip of the gradient of all actions together, which is
        left out here, changes next to nothing.
        """
        optimiser, slope = (
            optax.adam(self.ascent_rate, eps=ASCENT_EPSILON),
            jax.grad(state.critic.network.at(obs)),
        )

        def climb(at: tuple[Array, optax.OptState], _: None) -> tuple[tuple[Array, optax.OptState], None]:
            action, moments = at
            change, moments = optimiser.update(-slope(action), moments)
            moved: Any = optax.apply_updates(action, change)
            return (project(moved), moments), None

        start = action, optimiser.init(action)
        return jax.lax.scan(climb, start, length=self.num_ascents)[0][0]

    def actor_loss(
        self, actor: ScoreNetwork, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """The squared error of the noise in a noised climbed action."""
        return self.diffusion(actor).denoising_loss(obs, action, key), {}

"""LAC, Langevin actor-critic, without its costs: a Langevin chain, and an actor that imitates its ends and starts it.

"Langevin policy for safe reinforcement learning" (Lei et al. 2024), with the settings of the authors' code; the paper's
cost critics and their multiplier are left out. The actor is a normal law. It starts the chain, it is the prior in the
law that the chain climbs, it imitates the ends by maximum likelihood, and it gathers the data.

The law is not exp(Q / temperature). With a perfect imitation each round multiplies the policy: pi_new is in proportion
to exp(Q / temperature) * pi^prior. For a prior of 1, the default, that is exp(k Q / temperature) after k rounds, which
ends at the maximum of Q; for one below 1 it ends at exp(Q / (temperature * (1 - prior))). And where the slope is longer
than `slope_cap`, which at a temperature of 1e-4 it nearly always is, its length does not count.
"""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array

from softq.algorithms.base import Algorithm, Info, State, Transition
from softq.algorithms.common import hyperparameters as hyper
from softq.algorithms.common.learner import clipped_adam, linear
from softq.algorithms.common.temperature import Temperature, tempered
from softq.box import project
from softq.networks import Critic, StateLandscape
from softq.networks.actors import Normal, NormalActor
from softq.samplers.langevin import langevin, softmax_score
from softq.samplers.start import repeated
from softq.utils.fields import count, flag, nonnegative, positive, share
from softq.utils.pytree import pytree, replace

TRAINING = {"num_envs": 100, "iterations": 25_000, "warmup": 100_000, "buffer_size": 50_000}


@pytree
class LAC(Algorithm):
    """Hyper-parameters of the authors' code; the temperature is its lambda, `prior` its eta."""

    presets: ClassVar[dict] = {
        # 125 rounds of 20,000 transitions, after each of which the replay of 50,000 is gone through once: about one
        # update for 100 transitions. The first five rounds act at random.
        "paper": TRAINING,
        # As released; its rates fall by a step after each round. Deviation: the code normalises observations, keeps the
        # drawn action in the replay where the environment clips it, and takes every time limit for a true end. It
        # learns in the random rounds too, though not actor and targets in the first.
        "code": TRAINING | {"clip_start": False, "rate_decay": 0.5},
        # As printed the chain moves by 0.1 at most, and its law has no end but the maximum of Q.
        "small": {
            "temperature": 0.1,
            "prior": 0.5,
            "step_size": 0.003,
            "reward_scale": 1.0,
            "actor_learning_rate": 1e-3,
            "actor_hidden_sizes": (64, 64),
        },
    }
    temperature_unit: ClassVar[str] = "Q"

    temperature: Temperature = tempered(Temperature(1e-4), "Temperature lambda of the chain.")
    prior: float = share(1.0, "Power eta of the actor's density in the law that the chain climbs.")
    step_size: float = positive(1e-4, "Step of the chain, in the square of the action's unit.")
    num_steps: int = count(30, "Number of steps of the chain.")
    # Deviation: the code caps the length of all slopes of a batch together, at 1000. So its temperature depends on how
    # many actions are drawn at once. Here each has its share of that in a batch of 256.
    slope_cap: float = positive(62.5, "Largest length of the slope of the log-density that the chain climbs.")
    clip_start: bool = flag(
        True, "Whether the draw that a chain starts from is clipped to the box; the code does not."
    )
    discount: float = hyper.discount()
    learning_rate: float = hyper.learning_rate(3e-4)
    actor_learning_rate: float = hyper.learning_rate(3e-4, "the actor")
    rate_decay: float = nonnegative(1.0, "Factor that both learning rates have in the end; the code has 0.5.")
    decay_updates: float = positive(25_000.0, "Number of updates in which they come to it, on a line.")
    actor_gradient_cap: float = positive(40.0, "Largest norm of the actor's gradient in one update.")
    polyak: float = hyper.polyak()
    reward_scale: float = hyper.reward_scale(10.0)
    hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256, 256), "the critics")
    activation: str = hyper.activation("mish", "the critics")
    actor_hidden_sizes: tuple[int, ...] = hyper.hidden_sizes((256, 256), "the actor")
    actor_activation: str = hyper.activation("tanh", "the actor")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh networks, and targets equal to critics and actor."""
        for_critic, for_actor = jax.random.split(key)
        critic = Critic.create(for_critic, obs, action, self.hidden_sizes, self.activation)
        sizes = self.actor_hidden_sizes
        actor = NormalActor.create(for_actor, obs, action, sizes, self.actor_activation)
        return self.fresh_state(critic, actor, actor_target=True)

    def falling(self, rate: float) -> Callable[[Array], Array]:
        """A learning rate by the number of updates made."""
        return linear(rate, self.rate_decay * rate, 0.0, self.decay_updates)

    def critic_optimiser(self) -> optax.GradientTransformation:
        return optax.adam(self.falling(self.learning_rate))

    def actor_optimiser(self) -> optax.GradientTransformation:
        return clipped_adam(self.falling(self.actor_learning_rate), self.actor_gradient_cap)

    # Acting

    def policy(self, state: State, obs: Array, key: Array, temperature: float | Array | None = None) -> Array:
        """The end of a chain on the online critics with the target actor; raises `SoftqError` for a temperature."""
        self.check_adjustable(temperature)
        law = state.actor.target.at(obs)
        return self.end(state.critic.network.at(obs), law, key, self.current_temperature(state))

    def explore(self, state: State, obs: Array, key: Array) -> Array:
        """A draw of the actor, clipped to the box: the chain never acts."""
        return project(state.actor.network.at(obs).sample(key))

    def exploit(self, state: State, obs: Array, key: Array) -> Array:
        """The actor's mean, clipped to the box."""
        return project(state.actor.network.at(obs).mean)

    def end(self, q: StateLandscape, law: Normal, key: Array, temperature: float | Array) -> Array:
        """The chain from a draw of `law`, which climbs Q / temperature + prior * log law and clips to the box."""
        first, drive = jax.random.split(key)
        score = softmax_score(q, temperature)

        def capped(action: Array) -> Array:
            slope = score(action) + self.prior * jax.grad(law.log_prob)(action)
            return slope * jnp.minimum(1.0, self.slope_cap / (jnp.linalg.norm(slope) + 1e-6))

        steps = repeated(self.step_size, self.num_steps)
        start = law.sample(first)
        return langevin(drive, capped, project(start) if self.clip_start else start, steps, project)

    # Learning

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """min_j Q_target_j at the end of a chain at s'; and that end, for the actor to imitate."""
        action = self.policy(state, next_obs, key)
        return state.critic.target.at(next_obs)(action), {"end": action}

    def policy_step(
        self, state: State, batch: Transition, for_actor: Array, for_entropy: Array, info: Info
    ) -> tuple[State, Info]:
        """The actor imitates the ends from which the targets were made, in the states s'."""
        info = dict(info)
        ends = replace(batch, obs=batch.next_obs, action=info.pop("end"))
        return super().policy_step(state, ends, for_actor, for_entropy, info)

    def actor_loss(
        self, actor: NormalActor, state: State, obs: Array, action: Array, key: Array
    ) -> tuple[Array, Info]:
        """-log density of the end `action` at `obs`."""
        return -actor.at(obs).log_prob(action), {}

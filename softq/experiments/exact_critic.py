"""An actor fitted to an exact critic, a landscape that stands in for the critic that a method learns.

There is one state and no Bellman equation, so that the error of the fitted actor comes from its family of laws, its
objective and its optimiser alone. MEow's critic is its policy: here it is itself fitted to the landscape.
"""

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms import Algorithm, State, Transition
from softq.algorithms.common.learner import Learner
from softq.box import uniform_actions
from softq.diffusion.truncated_normal import log_mass
from softq.landscapes import Landscape
from softq.networks import FlowCritic
from softq.utils.errors import SoftqError
from softq.utils.pytree import pytree, replace, static

KEPT = 2000  # actions in the replay of a method that revises them
Levels = tuple[
    Array, Array
]  # signal and noise of each level of a noisy action, signal * a + noise * z, `(L,)` each


@pytree
class ExactCritic:
    """A critic whose value in every state is `scale` times `landscape`; it is called like a pair of equal critics.

    With `levels` it knows noisy actions too: its value at one is the mean of Q over the uniform actions that noise of
    that level may have led there, which is what a network learns that is smoothed on uniform replayed actions.
    """

    landscape: Landscape = static()
    scale: float | Array = 1.0
    levels: Levels | None = None

    @property
    def action_dim(self) -> int:
        """The dimension of actions."""
        return self.landscape.dim

    def at(self, obs: Array) -> "ExactLandscape":
        """The landscape of actions at `obs`, which is the same for all."""
        return ExactLandscape(self)

    def __call__(self, obs: Array, action: Array) -> Array:
        return self.at(obs).twins(action)

    def law(self, obs: Array, action: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the return by either critic, `(2,)` both: it is known, so that it is 0."""
        return self(obs, action), jnp.zeros(2)


@pytree
class ExactLandscape:
    """The landscape of an `ExactCritic` as samplers use it: a value, and a slope at each noise level."""

    critic: ExactCritic

    def __call__(self, action: Array) -> Array:
        return self.critic.scale * self.critic.landscape(action)

    def twins(self, action: Array) -> Array:
        """The values of both critics at `action`, `(2,)`."""
        return jnp.full(2, self(action))

    def slope(self, action: Array, level: Array, twins: str = "mean") -> Array:
        """The slope of Q at `action` `(action_dim,)` for a noise `level`, `twins` being equal.

        The signature is that of `NoiseLandscape.slope`. Without levels the landscape is not blurred by the noise.
        """
        if self.critic.levels is None:
            return jax.grad(self)(action)
        signal, noise = (x[level] for x in self.critic.levels)
        return self.critic.scale * jax.grad(denoised, 1)(self.critic.landscape, action, signal, noise)


def denoised(landscape: Landscape, noisy: Array, signal: Array, noise: Array) -> Array:
    """The mean of Q(a) given `noisy` `(d,)` = signal * a + noise * z, a uniform on the box, z standard normal.

    In closed form for a sum of bumps: a is a normal law cut off at the walls, and so is its product with a bump. Raises
    `SoftqError` for a landscape with other terms.
    """
    if landscape.power or landscape.slope or landscape.cassini:
        raise SoftqError(
            f"landscape '{landscape.name}' has terms that are no bumps; name one of bumps alone, such as bandit."
        )
    middle, width = noisy / signal, noise / signal
    log_inside = lambda mean, std: log_mass((-1 - mean) / std, (1 - mean) / std)
    value = jnp.zeros(())
    for height, centre, size in landscape.bumps:
        at, total = jnp.asarray(centre), width**2 + size**2
        mean, std = (middle * size**2 + at * width**2) / total, width * size / jnp.sqrt(total)
        log_overlap = jnp.log(std / width) - (middle - at) ** 2 / (2 * total)
        value += height * jnp.exp(jnp.sum(log_overlap + log_inside(mean, std) - log_inside(middle, width)))
    return value


def fit(
    algo: Algorithm,
    landscape: Landscape,
    key: Array,
    num_steps: int,
    batch_size: int,
    growth: float | Array = 0.0,
    levels: Levels | None = None,
) -> State:
    """The state of `algo` after `num_steps` steps on an exact critic of all but its own critic.

    These are the actor, a learned temperature and whatever else learns beside the critic. Each step takes `batch_size`
    uniform actions as those of the replay; a method that revises actions finds them as it left them, in a replay of
    `KEPT`. An algorithm in which nothing of that learns only gets the critic. During the share `growth` of the steps
    the landscape grows from zero to its full height, as a critic that learns does. `levels` are those of a critic that
    knows noise levels. The only observation is `ones(1)`; at zero all fresh networks would return the same action.
    `jax.vmap` works over keys, hyper-parameters and `growth`.
    """
    obs, zeros = jnp.ones((batch_size, 1)), jnp.zeros(batch_size)
    first, rest = jax.random.split(key)
    state = algo.init(first, obs[0], jnp.zeros(landscape.dim))
    is_policy = isinstance(state.critic.network, FlowCritic)

    def with_critic(state: State, scale: float | Array) -> State:
        if is_policy:
            return state
        critic = ExactCritic(landscape, jnp.asarray(scale, jnp.float32), levels)
        return replace(state, critic=Learner(critic, (), critic))

    def step(carry: tuple[State, Array], t: Array) -> tuple[tuple[State, Array], None]:
        state, kept = carry
        scale = jnp.minimum(1.0, (t + 1) / jnp.maximum(growth * num_steps, 1.0))
        keys = jax.random.split(jax.random.fold_in(rest, t), 4)
        for_action, for_actor, for_entropy, for_critic = keys
        action = uniform_actions(for_action, landscape.dim, batch_size)
        rows = jax.random.randint(for_action, (batch_size,), 0, KEPT)
        batch = Transition(obs, kept[rows] if algo.revises else action, zeros, zeros, obs)
        state = with_critic(state, scale)
        if is_policy:
            values = scale * jax.vmap(landscape)(action)
            state = replace(state, critic=algo.critic_step(state.critic, batch, values, for_critic)[0])
        batch, info = algo.revise(state, batch), algo.targets(state, batch, for_critic)[1]
        kept = kept.at[rows].set(batch.action) if algo.revises else kept
        return (algo.policy_step(state, batch, for_actor, for_entropy, info)[0], kept), None

    state = with_critic(state, 1.0)
    if state.actor is None and state.extra is None and not is_policy:
        return state
    kept = uniform_actions(jax.random.fold_in(rest, num_steps), landscape.dim, KEPT if algo.revises else 0)
    (state, _), _ = jax.lax.scan(step, (state, kept), jnp.arange(num_steps))
    return with_critic(state, 1.0)

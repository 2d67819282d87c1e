"""NC-LQL, noise-conditioned Langevin Q-learning: twin critics that know a noise level, and annealed Langevin; no actor.

"Direct soft-policy sampling via Langevin dynamics" (Ki et al. 2026), Definition 2, Equations 8 and 9, Algorithms 2 and
6, Appendix E.2. The released code departs from the paper; its departures are the preset "code", but for the minimum of
the target twins, which is here too. The default is the paper's choice where it makes one, except in `embed` and
`boundary`, which are the code's.
"""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import Array

from softq.algorithms.base import Info, State, Transition, squared_error
from softq.algorithms.common.entropy import softmax_entropies
from softq.algorithms.common.learner import Learner
from softq.algorithms.common.temperature import Temperature
from softq.algorithms.lql import LQL
from softq.box import BOUNDARIES, project
from softq.networks.noise_critic import NoiseCritic, NoiseLandscape
from softq.samplers import annealed_langevin, initial_action, level_steps
from softq.utils.fields import choice, count, flag, inherited, positive
from softq.utils.pytree import pytree

Loss = Literal["joint", "sequential"]
Embed = Literal["index", "sigma"]


@pytree
class NCLQL(LQL):
    """Hyper-parameters of Tables 5 and 6: those of LQL, and these."""

    presets: ClassVar[dict] = {
        "paper": {"num_envs": 5, "iterations": 1_000_000, "warmup": 30_000},  # Table 5, E.1
        # The sampler as printed. Fewer levels between the same sigmas leave a gap: at 5 the drift falls from 2.5 to
        # 0.25 a step, and an action that a coarse level threw to a wall never comes back to the middle.
        "small": {},
        "code": {
            "num_envs": 5,
            "iterations": 1_000_000,
            "warmup": 30_000,
            "loss": "sequential",
            "smooth_last": False,
            "smooth_to": "mean",
            "embed": "index",
            "boundary": "project",
            "twins": "sum",
        },
    }
    tuned_by: ClassVar[str] = "ddsq"

    temperature: Temperature = inherited(LQL, "temperature", Temperature(1 / 500, every=100))
    step_size: float = inherited(LQL, "step_size", 1e-4, "Step epsilon of the chain at the last level.")
    sigma_max: float = positive(0.1, "Noise sigma_1 of the first level, in the action's unit.")
    sigma_min: float = positive(0.001, "Noise sigma_L of the last level, in the action's unit.")
    num_levels: int = count(10, "Number L of noise levels.")
    num_steps: int = inherited(LQL, "num_steps", 2, "Number T of steps of the chain at each level.")
    loss: Loss = choice("joint", "Whether Equations 8 and 9 make one step together or, as in the code, two.")
    smooth_last: bool = flag(True, "Whether Equation 9 has the last level too; the code leaves it out.")
    smooth_to: Literal["own", "mean"] = choice("own", "Values that a twin is smoothed to; the code: mean.")
    # The embedding has frequencies of at most 1: the codes of sigmas up to 0.1 differ by less than 0.03.
    embed: Embed = choice("index", "What the network reads of a level: the paper's sigma, the code's index.")
    num_entropy_samples: int = count(100, "Number of uniform actions of an entropy estimate.")

    def init(self, key: Array, obs: Array, action: Array) -> State:
        """Fresh twins, and targets equal to them."""
        codes = self.levels() if self.embed == "sigma" else jnp.arange(self.num_levels)
        return self.fresh_state(
            NoiseCritic.create(key, obs, action, codes, self.hidden_sizes, self.activation)
        )

    def levels(self) -> Array:
        """sigma_1 > ... > sigma_L in geometric progression, `(L,)`."""
        return jnp.geomspace(self.sigma_max, self.sigma_min, self.num_levels)

    # Acting (Definition 2): as LQL, by another chain

    def draw(self, q: NoiseLandscape, key: Array, temperature: float | Array) -> Array:
        """Algorithm 6 on the landscape `q`."""
        first, drive = jax.random.split(key)
        levels = self.levels()
        action = annealed_langevin(
            drive,
            lambda action, sigma: q.slope(action, jnp.sum(levels > sigma), self.twins),
            initial_action(first, q.critic.action_dim, self.start),
            levels,
            level_steps(levels, self.step_size),
            temperature,
            self.num_steps,
            unit_slope=self.unit_slope,
            boundary=BOUNDARIES[self.boundary],
        )
        return project(action)

    # Learning (Algorithm 2)

    def noisy_actions(self, action: Array, key: Array) -> tuple[Array, Array]:
        """Levels i `(B,)`, uniform, and noisy actions a + sigma_i z `(B, d)` (Equation 9)."""
        pick, noise = jax.random.split(key)
        last = self.num_levels if self.smooth_last else self.num_levels - 1
        levels = jax.random.randint(pick, action.shape[:1], 0, last)
        return levels, action + self.levels()[levels][:, None] * jax.random.normal(noise, action.shape)

    def critic_step(
        self, critic: Learner, batch: Transition, targets: Array, key: Array
    ) -> tuple[Learner, Info]:
        """One step on the sum of Equations 8 and 9; in the code ("sequential") one on each, with one state of Adam.

        Both smooth towards the values from before the step, held fixed.
        """
        levels, noisy = self.noisy_actions(batch.action, key)
        clean = jax.vmap(critic.network)(batch.obs, batch.action)
        smooth = clean if self.smooth_to == "own" else jnp.mean(clean, axis=1, keepdims=True)

        def bellman(network: NoiseCritic) -> tuple[Array, Info]:
            error, _ = squared_error(network, batch, targets)
            return error, {"critic_loss": error}

        def smoothing(network: NoiseCritic) -> tuple[Array, Info]:
            values = jax.vmap(network)(batch.obs, noisy, levels)
            error = jnp.sum(jnp.mean((values - smooth) ** 2, axis=0))
            return error, {"smoothing_loss": error}

        def both(network: NoiseCritic) -> tuple[Array, Info]:
            (first, critic_loss), (second, smoothing_loss) = bellman(network), smoothing(network)
            return first + second, critic_loss | smoothing_loss

        metrics = {"q_mean": jnp.mean(clean)}
        for loss in (both,) if self.loss == "joint" else (bellman, smoothing):
            critic, _, losses = critic.step(self.critic_optimiser(), loss)
            metrics |= losses
        return critic, metrics

    def entropies(self, state: State, batch: Transition, key: Array, info: Info) -> Array:
        """Estimates of the entropy of the softmax of Q at the last level, by annealed chains."""
        temperature = self.temperature_of(state, batch.obs)
        critic = state.critic.network
        return softmax_entropies("ais", key, critic, batch.obs, temperature, self.num_entropy_samples)

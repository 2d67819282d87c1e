"""Ablations that ask why a method misses modes: each changes one thing in the settings of a method on a task.

Two kinds separate the critic from the sampler. With an exact critic the policy is given the true landscape, which is
known for the bandit. With an exact sampler the trained critic acts through a sampler that is almost exact.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from softq import landscapes
from softq.algorithms import DQS, Algorithm
from softq.experiments.exact_critic import fit
from softq.samplers import snis
from softq.utils.pytree import pytree, static


@dataclass(frozen=True)
class Ablation:
    """A training of `algorithm` with its settings on a task, of which those in `change` have other values."""

    algorithm: str
    change: dict[str, Any] = field(default_factory=dict)
    # whether the landscape of the bandit takes the place of the critic that is learned
    exact_critic: bool = False
    # whether the trained critic is counted through a `ResampledPolicy` in place of its own policy
    exact_sampler: bool = False


# the settings of DQS's preset "small" that its settings on the maze replace by those of its paper
PRESET = {name: DQS.presets["small"][name] for name in ("space", "estimator", "truncate", "predict")}
# by the name of the task, then by the label of the row in the results
ABLATIONS: dict[str, dict[str, Ablation]] = {
    "bandit": {
        "ddsq, exact critic": Ablation("ddsq", exact_critic=True),
        "ddsq, exact critic, random end point": Ablation("ddsq", {"select": "random"}, exact_critic=True),
        "nclql, exact critic": Ablation("nclql", exact_critic=True),
        "maxentdp, exact critic": Ablation("maxentdp", exact_critic=True),
        "maxentdp, exact critic, action times 16": Ablation(
            "maxentdp", {"action_gain": 16.0}, exact_critic=True
        ),
        "dqs, exact critic": Ablation("dqs", exact_critic=True),
        "dqs, exact critic, action times 50": Ablation("dqs", {"action_gain": 50.0}, exact_critic=True),
        "sql, exact critic": Ablation("sql", exact_critic=True),
        "ddsq, relu critic": Ablation("ddsq", {"activation": "relu"}),
        "nclql, relu critic": Ablation("nclql", {"activation": "relu"}),
        "nclql, reflected at the walls": Ablation("nclql", {"boundary": "reflect"}),
        "nclql, slopes of their own length": Ablation("nclql", {"unit_slope": False}),
        "ddsq, never greedy": Ablation("ddsq", {"explore_prob": 1.0}),
        "dqs, action times 50": Ablation("dqs", {"action_gain": 50.0}),
        "sql, exact critic, 6000 updates": Ablation("sql", {"iterations": 6000}, exact_critic=True),
        "ddsq, relu critic, never greedy": Ablation("ddsq", {"activation": "relu", "explore_prob": 1.0}),
        "maxentdp, action times 16, relu critic": Ablation(
            "maxentdp", {"action_gain": 16.0, "critic_activation": "relu"}
        ),
        "dqs, exact critic, 6000 updates": Ablation("dqs", {"iterations": 6000}, exact_critic=True),
        "maxentdp, exact critic, 6000 updates": Ablation("maxentdp", {"iterations": 6000}, exact_critic=True),
    },
    "multigoal": {
        "ddsq, exact sampler": Ablation("ddsq", exact_sampler=True),
        "nclql, exact sampler": Ablation("nclql", exact_sampler=True),
        "malaq, exact sampler": Ablation("malaq", exact_sampler=True),
        "dqs, exact sampler": Ablation("dqs", exact_sampler=True),
        "lql, exact sampler": Ablation("lql", exact_sampler=True),
        "maxentdp, exact sampler": Ablation("maxentdp", exact_sampler=True),
        "sql, exact sampler": Ablation("sql", exact_sampler=True),
        "ddsq, random end point": Ablation("ddsq", {"select": "random"}),
        "ddsq, relu critic": Ablation("ddsq", {"activation": "relu"}),
        "nclql, relu critic": Ablation("nclql", {"activation": "relu"}),
        "malaq, fixed temperature": Ablation("malaq", {"temperature_rule": "fixed"}),
        "dqs, action times 50": Ablation("dqs", {"action_gain": 50.0}),
        "ddsq, twice the warm-up": Ablation("ddsq", {"warmup": 200_000}),
        "ddsq, temperature 1": Ablation("ddsq", {"temperature": 1.0}),
        "malaq, fixed temperature 1": Ablation("malaq", {"temperature_rule": "fixed", "temperature": 1.0}),
        "dqs, temperature 1": Ablation("dqs", {"temperature": 1.0}),
    },
    "maze": {
        "dqs, one temperature": Ablation("dqs", {"temperature": 0.1, "temperature_decay": 1.0}),
        "dqs, preset": Ablation("dqs", PRESET),
        "dqs, preset, one temperature": Ablation(
            "dqs", PRESET | {"temperature": 0.1, "temperature_decay": 1.0}
        ),
        "dqs, exact sampler": Ablation("dqs", exact_sampler=True),
        "maxentdp, exact sampler": Ablation("maxentdp", exact_sampler=True),
        "lql, exact sampler": Ablation("lql", exact_sampler=True),
        "qsm, released noise": Ablation("qsm", {"scaled": False}),
    },
    "pointmaze": {},
}


def exact_states(algo: Algorithm, env: Any, seeds: int, updates: int, batch_size: int) -> Any:
    """States of `algo`, with a leading axis `seeds`, whose critic is the landscape of the bandit `env`.

    An actor is fitted to the landscape by `updates` steps with `batch_size` actions each.
    """
    landscape, keys = landscapes.get(env.landscape), jax.random.split(jax.random.key(0), seeds)
    return jax.jit(jax.vmap(lambda key: fit(algo, landscape, key, updates, batch_size)))(keys)


def softmax_temperature(algo: Algorithm, state: Any, obs: Array, otherwise: float) -> Array:
    """The temperature that divides Q at `obs` `(obs_dim,)` in the softmax that `algo` aims at, in the unit of Q.

    It is `otherwise` for an algorithm that has no such temperature.
    """
    temperature = algo.temperature_of(state, obs)
    return jnp.asarray(otherwise) if temperature is None else temperature


@pytree
class ResampledPolicy:
    """A policy that samples the softmax of the critic of `algo` almost exactly, by resampling `num` uniform actions.

    The temperature is that of `softmax_temperature`, and `otherwise` for an algorithm that has none.
    """

    algo: Algorithm
    otherwise: float
    num: int = static(default=1024)

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)` at `obs` `(obs_dim,)`, from the critic in `state`."""
        q = state.critic.network.at(obs)
        temperature = softmax_temperature(self.algo, state, obs, self.otherwise)
        return snis(key, q, q.critic.action_dim, temperature, self.num)

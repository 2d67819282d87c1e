"""Why a method misses modes: one thing changed at a time, and none of it replaces the row of the settings as they are.

Two questions come first. Is the critic wrong? Give the policy the true landscape (the bandit's is known). Is the
sampler wrong? Let the same critic act through a sampler that is almost exact.
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
class Variant:
    """A training of `algorithm` in which `change` differs from its own settings in the world."""

    algorithm: str
    change: dict[str, Any] = field(default_factory=dict)
    exact_critic: bool = False  # the policy acts on, or its actor is fitted to, the landscape itself
    exact_sampler: bool = False  # trained as it is; in the count its critic acts through `Exactly`


PRESET = {name: DQS.presets["small"][name] for name in ("space", "estimator", "truncate", "predict")}
VARIANTS: dict[str, dict[str, Variant]] = {
    "bandit": {
        "ddsq, exact critic": Variant("ddsq", exact_critic=True),
        "ddsq, exact critic, random end point": Variant("ddsq", {"select": "random"}, exact_critic=True),
        "nclql, exact critic": Variant("nclql", exact_critic=True),
        "maxentdp, exact critic": Variant("maxentdp", exact_critic=True),
        "maxentdp, exact critic, action times 16": Variant(
            "maxentdp", {"action_gain": 16.0}, exact_critic=True
        ),
        "dqs, exact critic": Variant("dqs", exact_critic=True),
        "dqs, exact critic, action times 50": Variant("dqs", {"action_gain": 50.0}, exact_critic=True),
        "sql, exact critic": Variant("sql", exact_critic=True),
        "ddsq, relu critic": Variant("ddsq", {"activation": "relu"}),
        "nclql, relu critic": Variant("nclql", {"activation": "relu"}),
        "nclql, reflected at the walls": Variant("nclql", {"boundary": "reflect"}),
        "nclql, slopes of their own length": Variant("nclql", {"unit_slope": False}),
        "ddsq, never greedy": Variant("ddsq", {"explore_prob": 1.0}),
        "dqs, action times 50": Variant("dqs", {"action_gain": 50.0}),
        "sql, exact critic, 6000 updates": Variant("sql", {"iterations": 6000}, exact_critic=True),
        "ddsq, relu critic, never greedy": Variant("ddsq", {"activation": "relu", "explore_prob": 1.0}),
        "maxentdp, action times 16, relu critic": Variant(
            "maxentdp", {"action_gain": 16.0, "critic_activation": "relu"}
        ),
        "dqs, exact critic, 6000 updates": Variant("dqs", {"iterations": 6000}, exact_critic=True),
        "maxentdp, exact critic, 6000 updates": Variant("maxentdp", {"iterations": 6000}, exact_critic=True),
    },
    "multigoal": {
        "ddsq, exact sampler": Variant("ddsq", exact_sampler=True),
        "nclql, exact sampler": Variant("nclql", exact_sampler=True),
        "malaq, exact sampler": Variant("malaq", exact_sampler=True),
        "dqs, exact sampler": Variant("dqs", exact_sampler=True),
        "lql, exact sampler": Variant("lql", exact_sampler=True),
        "maxentdp, exact sampler": Variant("maxentdp", exact_sampler=True),
        "sql, exact sampler": Variant("sql", exact_sampler=True),
        "ddsq, random end point": Variant("ddsq", {"select": "random"}),
        "ddsq, relu critic": Variant("ddsq", {"activation": "relu"}),
        "nclql, relu critic": Variant("nclql", {"activation": "relu"}),
        "malaq, fixed temperature": Variant("malaq", {"temperature_rule": "fixed"}),
        "dqs, action times 50": Variant("dqs", {"action_gain": 50.0}),
        "ddsq, twice the warm-up": Variant("ddsq", {"warmup": 200_000}),
        "ddsq, temperature 1": Variant("ddsq", {"temperature": 1.0}),
        "malaq, fixed temperature 1": Variant("malaq", {"temperature_rule": "fixed", "temperature": 1.0}),
        "dqs, temperature 1": Variant("dqs", {"temperature": 1.0}),
    },
    "maze": {
        "dqs, one temperature": Variant("dqs", {"temperature": 0.1, "temperature_decay": 1.0}),
        "dqs, preset": Variant("dqs", PRESET),
        "dqs, preset, one temperature": Variant(
            "dqs", PRESET | {"temperature": 0.1, "temperature_decay": 1.0}
        ),
        "dqs, exact sampler": Variant("dqs", exact_sampler=True),
        "maxentdp, exact sampler": Variant("maxentdp", exact_sampler=True),
        "lql, exact sampler": Variant("lql", exact_sampler=True),
    },
}


def exact_states(algo: Algorithm, env: Any, seeds: int, updates: int, batch_size: int) -> Any:
    """States of `algo` whose critic is the bandit's landscape, a leading axis `seeds`; an actor is fitted to it."""
    landscape, keys = landscapes.get(env.landscape), jax.random.split(jax.random.key(0), seeds)
    return jax.jit(jax.vmap(lambda key: fit(algo, landscape, key, updates, batch_size)))(keys)


def softmax_temperature(algo: Algorithm, state: Any, obs: Array, otherwise: float) -> Array:
    """What divides Q at `obs` in the softmax that `algo` aims at; `otherwise` where it aims at none."""
    temperature = algo.temperature_of(state, obs)
    return jnp.asarray(otherwise) if temperature is None else temperature


@pytree
class Exactly:
    """A policy that samples the softmax of what `algo` has learned, almost exactly: `num` resampled uniform candidates.

    `otherwise`: the temperature where the algorithm has none that divides Q.
    """

    algo: Algorithm
    otherwise: float
    num: int = static(default=1024)

    def policy(self, state: Any, obs: Array, key: Array) -> Array:
        """One action `(action_dim,)`."""
        q = state.critic.network.at(obs)
        temperature = softmax_temperature(self.algo, state, obs, self.otherwise)
        return snis(key, q, q.critic.action_dim, temperature, self.num)

"""Trained critics as small files, with states that their own policy visits.

`softq export-critic DIR --out FILE.npz` plays one episode with the policy of a run and stores the critic's parameters,
`--states` observations at equal distances in time, and where all of it comes from. A file has arrays only: to load one
executes nothing from it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.traverse_util as tree
import gymnasium as gym
import jax.numpy as jnp
import numpy as np

from softq.networks import Critic
from softq.policies.policy import Policy, load
from softq.utils.atomic_files import atomic_write, out_file
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError


@dataclass(frozen=True)
class StoredCritic:
    """A `critic`, and `observations` `(n, obs_dim)` that its policy visited at steps `times` `(n,)` of an episode."""

    critic: Critic
    observations: np.ndarray
    times: np.ndarray
    about: dict[str, Any]


def visited(policy: Policy, num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, float]:
    """Observations `(num, obs_dim)` at equal distances over one episode, their steps `(num,)`, and the return."""
    env = gym.make(policy.config.env, **policy.config.env_kwargs)
    obs, _ = env.reset(seed=seed)
    seen, total, ended = [], 0.0, False
    while not ended:
        seen.append(np.asarray(obs, np.float32).ravel())
        obs, reward, terminated, truncated, _ = env.step(policy(obs, key=len(seen)))
        total, ended = total + float(reward), terminated or truncated
    env.close()
    times = np.linspace(0, len(seen) - 1, num).round().astype(int)
    return np.stack(seen)[times], times, total


def store(policy: Policy, file: Path, num: int) -> None:
    """Write the critic of `policy`, and `num` states of one episode, to `file`, whole or not at all."""
    observations, times, total = visited(policy, num)
    critic, config = policy.critic, policy.config
    about = {
        "algorithm": config.algorithm,
        "env": config.env,
        "seed": policy.seed,
        "updates": config.iterations,
    }
    about |= {
        "temperature": policy.temperature,
        "return": total,
        "reward_scale": float(policy.algo.reward_scale),
    }
    sizes = {"obs_dim": critic.obs_dim, "action_dim": critic.action_dim}
    sizes |= {"hidden_sizes": critic.hidden_sizes, "activation": critic.activation}
    arrays = {
        f"params/{name}": np.asarray(x) for name, x in tree.flatten_dict(critic.params, sep="/").items()
    }
    told = np.array(json.dumps({"about": about, "sizes": sizes}))
    with atomic_write(file) as partial_file, open(partial_file, "wb") as out:
        np.savez_compressed(
            out, allow_pickle=False, told=told, observations=observations, times=times, **arrays
        )


def read(file: Path | str) -> StoredCritic:
    """What `store` has written. Raises `SoftqError` for a file that is none of its."""
    try:
        with np.load(file, allow_pickle=False) as data:
            arrays = dict(data)
        told = json.loads(str(arrays.pop("told")))
        observations, times = arrays.pop("observations"), arrays.pop("times")
    except (OSError, ValueError, KeyError) as error:
        raise SoftqError(f"{file} holds no critic; softq export-critic writes such files.") from error
    params = {name.removeprefix("params/"): jnp.asarray(x) for name, x in arrays.items()}
    sizes = told["sizes"] | {"hidden_sizes": tuple(told["sizes"]["hidden_sizes"])}
    return StoredCritic(
        Critic(tree.unflatten_dict(params, sep="/"), **sizes), observations, times, told["about"]
    )


def command(argv: list[str]) -> int:
    """Run `softq export-critic` and return its exit code. Raises `SoftqError` for bad input."""
    about = "Write the critic of a run, with states that its policy visits, as one small file."
    parser = Parser(prog="softq export-critic", description=about)
    parser.add_argument("run_dir", metavar="DIR", help="run directory")
    parser.add_argument("--out", required=True, metavar="FILE.npz", help="file for the critic")
    parser.add_argument(
        "--index", type=int, default=0, metavar="N", help="number of the training seed, from 0 [0]"
    )
    parser.add_argument(
        "--states", type=int, default=8, metavar="N", help="number of states of one episode [8]"
    )
    options = parser.parse(argv)
    if options.states < 1:
        raise SoftqError(f"--states must be at least 1, got {options.states}; store one state or more.")
    out = out_file(options.out, ".npz")
    store(load(options.run_dir, options.index), out, options.states)
    print(f"{out}: {out.stat().st_size:,} bytes; softq.policies.critics.read loads it.")
    return 0

"""Which modes, goals and paths a policy visits: train every algorithm on a small world with equal answers, and count.

Returns cannot tell a policy that knows four equally good goals from one that knows one. Counts can.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import Array

from softq import landscapes
from softq.algorithms import ALGORITHMS, Algorithm, get
from softq.envs import make
from softq.envs.maze import ROUTES
from softq.errors import SoftqError, suggest
from softq.files import whole
from softq.known import fit
from softq.options import Parser, fields_from, integer
from softq.training import PRESETS, TrainConfig, train

SIDES = ("east", "north", "west", "south")
STARTS = ("fixed", "usual")
NEAR = 0.15  # what counts as a mode of the bandit; NC-LQL's 0.3, in units of the box


@dataclass(frozen=True)
class World:
    """What is trained and counted in one environment; the rest is `--preset small`."""

    env_id: str
    outcomes: tuple[str, ...]
    sort: Callable[[Any, Array], Array]  # (environment, path (time, 2)) -> index of the outcome
    iterations: int
    stride: int  # every so many steps of a path are stored
    common: dict[str, Any]  # settings of the training, and hyper-parameters that have one meaning
    own: dict[str, dict[str, Any]]  # what an algorithm needs beyond it


def bandit_mode(env: Any, path: Array) -> Array:
    """0 to 3: one of the four high modes, counter-clockwise from the east; 4: a low one; 5: none."""
    angles = jnp.arange(8) * jnp.pi / 4
    centres = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1) / jnp.sqrt(2.0)
    distance = jnp.linalg.norm(path[-1][None] - centres, axis=-1)
    nearest = jnp.argmin(distance)
    return jnp.where(jnp.min(distance) > NEAR, 5, jnp.where(nearest % 2 == 0, nearest // 2, 4))


def multigoal_goal(env: Any, path: Array) -> Array:
    """0 to 3: the goal in the east, north, west or south; 4: none."""
    return jnp.array([4, 0, 2, 1, 3])[1 + env.nearest_goal(path[-1])]


SOFT = {"hidden_sizes": (64, 64), "learning_rate": 2e-3, "polyak": 0.02, "batch_size": 64}
WORLDS = {
    "bandit": World(
        "Bandit",
        (*SIDES, "low", "none"),
        bandit_mode,
        1500,
        1,
        SOFT | {"warmup": 2000, "num_envs": 4, "temperature": 0.1, "reward_scale": 1.0},
        # DDSQ's temperature is a share of the spread of Q, about 0.25 here; 7 per cent of the box are near a high mode:
        # 16 candidates often miss it. LQL's and NC-LQL's temperatures are those of their presets.
        {"ddsq": {"temperature": 0.3, "num_candidates": 64}, "lql": {}, "nclql": {}},
    ),
    "multigoal": World(
        "MultiGoal",
        (*SIDES, "none"),
        multigoal_goal,
        2500,
        1,
        SOFT | {"warmup": 100_000, "num_envs": 20, "temperature": 0.3, "reward_scale": 0.1},
        {"ddsq": {"temperature": 0.3}, "lql": {}, "nclql": {}},
    ),
    "maze": World(
        "Maze",
        ROUTES,
        lambda env, path: env.route(path),
        3000,
        3,
        SOFT | {"warmup": 20_000, "num_envs": 16, "temperature": 0.1, "reward_scale": 0.2, "discount": 0.95},
        # DQS falls from ten times the temperature of the others to theirs, as in its paper
        {
            "ddsq": {"temperature": 0.3},
            "lql": {},
            "nclql": {},
            "dqs": {"temperature": 1.0, "temperature_decay": 0.1, "decay_updates": 3000.0},
        },
    ),
}


# Why a method misses modes: one thing changed at a time. None of these replaces the row of the settings as they are.
# "exact": the policy acts on, or its actor is fitted to, the landscape itself, so nothing is wrong with the critic.
VARIANTS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "ddsq, exact critic": ("ddsq", True, {}),
    "ddsq, exact critic, random end point": ("ddsq", True, {"select": "random"}),
    "nclql, exact critic": ("nclql", True, {}),
    "maxentdp, exact critic": ("maxentdp", True, {}),
    "maxentdp, exact critic, action times 16": ("maxentdp", True, {"action_gain": 16.0}),
    "dqs, exact critic": ("dqs", True, {}),
    "dqs, exact critic, action times 50": ("dqs", True, {"action_gain": 50.0}),
    "sql, exact critic": ("sql", True, {}),
    "ddsq, relu critic": ("ddsq", False, {"activation": "relu"}),
    "nclql, relu critic": ("nclql", False, {"activation": "relu"}),
    "ddsq, never greedy": ("ddsq", False, {"explore_prob": 1.0}),
    "dqs, action times 50": ("dqs", False, {"action_gain": 50.0}),
    "sql, exact critic, 6000 updates": ("sql", True, {"iterations": 6000}),
    "ddsq, relu critic, never greedy": ("ddsq", False, {"activation": "relu", "explore_prob": 1.0}),
    "maxentdp, action times 16, relu critic": (
        "maxentdp",
        False,
        {"action_gain": 16.0, "critic_activation": "relu"},
    ),
    "dqs, exact critic, 6000 updates": ("dqs", True, {"iterations": 6000}),
    "maxentdp, exact critic, 6000 updates": ("maxentdp", True, {"iterations": 6000}),
}


def exact_states(algo: Algorithm, env: Any, seeds: int, updates: int, batch_size: int) -> Any:
    """States of `algo` whose critic is the bandit's landscape, a leading axis `seeds`; an actor is fitted to it."""
    landscape, keys = landscapes.get(env.landscape), jax.random.split(jax.random.key(0), seeds)
    return jax.jit(jax.vmap(lambda key: fit(algo, landscape, key, updates, batch_size)))(keys)


def settings(world: World, name: str) -> dict[str, Any]:
    """All of `name`'s settings in `world`: fields of `TrainConfig` and of the algorithm."""
    own = world.own.get(name)
    common = dict(world.common)
    if own == {}:  # its temperature has a unit of its own
        del common["temperature"]
    given = PRESETS["small"] | get(name).small | common | (own or {})
    return given | {"iterations": world.iterations, "eval_every": world.iterations}


@partial(jax.jit, static_argnames=("num", "fixed"))
def travel(algo: Algorithm, state: Any, env: Any, key: Array, num: int, fixed: bool) -> tuple[Array, Array]:
    """`num` episodes of `algo.policy`: paths `(num, time, 2)`, still after an end, and returns `(num,)`.

    `fixed`: all from the very centre, without the noise of `reset`, so that only the policy can choose.
    """

    def one(key: Array) -> tuple[Array, Array]:
        here, obs = env.reset_to(jnp.zeros(2)) if fixed else env.reset(key)

        def move(carry: tuple, key: Array) -> tuple[tuple, Array]:
            here, obs, done, total = carry
            there, after, reward, terminated, truncated = env.step(here, algo.policy(state, obs, key), key)
            there, after = jax.tree.map(partial(jnp.where, done), (here, obs), (there, after))
            total = total + jnp.where(done, 0.0, reward)
            return (there, after, done | terminated | truncated, total), env.where(there)

        carry = here, obs, jnp.zeros((), bool), jnp.zeros(())
        keys = jax.random.split(jax.random.fold_in(key, 1), env.max_steps)
        (*_, total), path = jax.lax.scan(move, carry, keys)
        return jnp.concatenate([env.where(here)[None], path]), total

    return jax.vmap(one)(jax.random.split(key, num))


def count(world: World, env: Any, paths: Array) -> np.ndarray:
    """How many of the paths `(num, time, 2)` had each outcome of `world`."""
    which = jax.vmap(partial(world.sort, env))(paths)
    return np.bincount(np.asarray(which), minlength=len(world.outcomes))


def visits(
    world: World,
    name: str,
    seeds: int = 10,
    episodes: int = 200,
    keep: int = 40,
    iterations: int | None = None,
    progress: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train `name` in `world` and count: one row per seed and kind of start, and `keep` paths of the first seed.

    `name` is an algorithm or, in the bandit, one of `VARIANTS`. Starts: `fixed`, all episodes from the centre;
    `usual`, those of the environment.
    """
    label, (name, exact, change) = name, VARIANTS.get(name, (name, False, {}))
    given = settings(world, name) | change | ({"iterations": iterations} if iterations else {})
    given |= {"eval_every": given["iterations"]}
    algo, env = get(name)(**fields_from(given, get(name))), make(world.env_id)
    config = TrainConfig(**fields_from(given, TrainConfig) | {"seeds": seeds, "checkpoint_every": 10**9})
    if exact:
        states = exact_states(algo, env, seeds, config.iterations, config.batch_size)
    else:
        run = train(algo, world.env_id, config, progress=progress)
        if not run.finished:
            raise KeyboardInterrupt
        states = run.states
    rows, kept = [], []
    for seed in range(seeds):
        state = jax.tree.map(lambda x, seed=seed: x[seed], states)
        for start in STARTS[
            : 1 if env.max_steps == 1 else 2
        ]:  # one step from the one state: no choice of start
            paths, returns = travel(
                algo, state, env, jax.random.key(10_000 + seed), episodes, start == "fixed"
            )
            counts = dict(zip(world.outcomes, count(world, env, paths).tolist(), strict=True))
            where = {"algorithm": label, "seed": seed, "start": start}
            rows.append(where | counts | {"return": float(returns.mean())})
            if seed == 0 and (start == "usual" or env.max_steps == 1):
                kept.append(tidy_paths(label, paths[:keep], world.stride))
    return pd.DataFrame(rows), pd.concat(kept)


def tidy_paths(name: str, paths: Array, stride: int) -> pd.DataFrame:
    """Paths `(num, time, 2)` as rows `algorithm, episode, step, x, y`, rounded; without the rest after an end."""
    rows = []
    for episode, path in enumerate(np.asarray(paths)):
        moved = np.flatnonzero(np.any(np.diff(path, axis=0) != 0, axis=1))
        last = moved[-1] + 1 if len(moved) else 0
        for step in sorted({*range(0, last, stride), last}):
            rows.append((name, episode, step, *np.round(path[step].astype(float), 2)))
    return pd.DataFrame(rows, columns=["algorithm", "episode", "step", "x", "y"])


def known(path: Path) -> pd.DataFrame | None:
    return pd.read_csv(path) if path.exists() else None


def add(table: pd.DataFrame, path: Path, digits: int) -> None:
    """Write `table` behind what `path` holds, whole or not at all; algorithms in the order of `softq list`."""
    before = known(path)
    table = table if before is None else pd.concat([before, table])
    order = [*ALGORITHMS, *VARIANTS]
    table = table.sort_values("algorithm", key=lambda c: c.map(order.index), kind="stable")
    with whole(path) as partial:
        table.round(digits).to_csv(partial, index=False)


def command(argv: list[str]) -> int:
    """`softq visits`."""
    named = bool(argv) and not argv[0].startswith("-")
    parser = Parser(
        prog=f"softq visits {argv[0] if named else '|'.join(WORLDS)}",
        description="Train algorithms in a small world and count which modes, goals or paths their policies visit.",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE.csv", help="counts; algorithms in it are not redone"
    )
    parser.add_argument("--paths", metavar="FILE.csv", help="also some paths of the first seed")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), metavar="NAME", help="[all]")
    parser.add_argument("--seeds", type=integer, default=10, metavar="N", help="trainings of each [10]")
    parser.add_argument(
        "--episodes", type=integer, default=200, metavar="N", help="counted per training [200]"
    )
    parser.add_argument("--keep", type=integer, default=40, metavar="N", help="paths that are stored [40]")
    parser.add_argument("--iterations", type=integer, metavar="N", help="updates, instead of the world's own")
    parser.add_argument(
        "--variants", action="store_true", help="of the bandit: one setting changed at a time"
    )
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    options = parser.parse(argv[1:] if named else argv)
    if not named or argv[0] not in WORLDS:
        hint = suggest(argv[0], WORLDS) if named else ""
        raise SoftqError(f"name a world: softq visits {'|'.join(WORLDS)} --out FILE.csv.{hint}")
    for name, value in (("seeds", options.seeds), ("episodes", options.episodes), ("keep", options.keep)):
        if value < 1:
            raise SoftqError(f"--{name} is {value}; it must be at least 1.")
    return run_all(WORLDS[argv[0]], [*dict.fromkeys(options.algorithms)], options)


def run_all(world: World, names: Iterable[str], options: Any) -> int:
    out, paths = Path(options.out), Path(options.paths) if options.paths else None
    for path in filter(None, (out, paths)):
        if path.suffix != ".csv" or path.is_dir() or not path.parent.is_dir():
            raise SoftqError(
                f"{path} cannot be written; name a file that ends in .csv in a folder that exists."
            )
    if options.variants:
        if world is not WORLDS["bandit"]:
            raise SoftqError(
                "--variants are of the bandit, whose critic is known; name that world or leave it out."
            )
        names = [label for label in VARIANTS if VARIANTS[label][0] in names]
    else:
        for name in names:
            get(name)
    for name in names:
        done = known(out)
        if done is not None and name in set(done["algorithm"]):
            continue
        table, kept = visits(
            world,
            name,
            options.seeds,
            options.episodes,
            options.keep,
            options.iterations,
            progress=not options.no_progress,
        )
        if paths:
            add(kept, paths, 2)
        add(table, out, 2)
        print(f"{name}: {verdict(world, table)}", flush=True)
    return 0


def verdict(world: World, table: pd.DataFrame, least: float = 0.05) -> str:
    """In how many seeds every wanted outcome had a share of `least` from the fixed start, and the mean shares.

    Uniform actions of the bandit have 0.018 for each mode, so a broad policy does not pass for one that knows them.
    """
    fixed = table.loc[table["start"] == "fixed", list(world.outcomes)]
    shares = fixed.div(fixed.sum(axis=1), axis=0)
    wanted = [name for name in world.outcomes if name not in ("low", "none", "B_bottom")]
    every = int((shares[wanted] >= least).all(axis=1).sum())
    text = " ".join(f"{name} {share:.2f}" for name, share in shares.mean().items())
    return f"all {len(wanted)} in {every} of {len(shares)} seeds; {text}"

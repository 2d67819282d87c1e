"""Speed against a bound: measured time beside the bare matrix products of the same shapes, in the same run.

Measurements alternate in rounds, so that a busy machine disturbs both; medians and the ratio's range are
reported.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.errors import SoftqError, suggest
from softq.options import Parser, add_fields, fields_from
from softq.products import (
    Program,
    bare,
    flops,
    isir_products,
    langevin_products,
    mala_products,
    products_of,
    qglg_products,
)


def compare(functions: dict[str, Callable[[], Any]], seconds: float, rounds: int) -> dict[str, list[float]]:
    """Seconds per call of each function in `rounds` interleaved rounds, about `seconds` in all."""
    repeats = {}
    for name, function in functions.items():
        jax.block_until_ready(function())  # compiles
        began = time.perf_counter()
        jax.block_until_ready(function())
        share = seconds / rounds / len(functions)
        repeats[name] = max(1, int(share / (time.perf_counter() - began)))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                out = function()
            jax.block_until_ready(out)
            times[name].append((time.perf_counter() - began) / repeats[name])
    return times


def against_products(
    name: str, function: Callable, args: tuple, program: Program, seconds: float, rounds: int
) -> dict:
    """A row: `function(*args)` beside the bare products of `program`."""
    compiled, (products, given) = jax.jit(function), bare(program)
    times = compare(
        {"measured": lambda: compiled(*args), "products": lambda: products(*given)}, seconds, rounds
    )
    return row(name, times, "products") | {"gflop": flops(program) / 1e9}


def row(name: str, times: dict[str, list[float]], base: str) -> dict:
    """Medians in milliseconds and their ratio; the range of the ratio is over rounds."""
    ratios = sorted(a / b for a, b in zip(times["measured"], times[base], strict=True))
    medians = {key: statistics.median(value) for key, value in times.items()}
    result: dict[str, Any] = {"name": name} | {f"{key}_ms": 1e3 * value for key, value in medians.items()}
    return result | {
        "ratio": medians["measured"] / medians[base],
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
    }


def sampler(
    dim: int = 6,
    obs_dim: int = 17,
    batch: int = 256,
    hidden: tuple[int, ...] = (256, 256, 256),
    steps: int = 20,
    schedules: int = 10,
    candidates: int = 100,
    sweeps: int = 4,
    seconds: float = 20.0,
    rounds: int = 7,
) -> list[dict]:
    """Each sampler on a fresh critic, one action for each of `batch` states."""
    from softq import samplers
    from softq.networks import Critic

    key = jax.random.key(0)
    critic = Critic.create(key, jnp.zeros(obs_dim), jnp.zeros(dim), hidden)
    obs, keys = jax.random.normal(key, (batch, obs_dim)), jax.random.split(key, batch)
    step_sizes = jnp.full(steps, 0.01)
    plan = samplers.linear_schedules(jnp.logspace(0, -4, schedules), jnp.full(schedules, 1e-4), steps)

    def langevin(critic: Critic, obs: Array, key: Array) -> Array:
        start, chain = jax.random.split(key)
        score = samplers.softmax_score(critic.at(obs), 0.1)
        return samplers.langevin(chain, score, samplers.uniform(start, dim), step_sizes)

    def mala(critic: Critic, obs: Array, key: Array) -> Array:
        start, chain = jax.random.split(key)
        return samplers.mala(chain, critic.at(obs), 0.1, samplers.uniform(start, dim), step_sizes)[0]

    def isir(critic: Critic, obs: Array, key: Array) -> Array:
        return samplers.isir(key, critic.at(obs), dim, 0.1, candidates, sweeps)

    def qglg(critic: Critic, obs: Array, key: Array) -> Array:
        return samplers.qglg(key, critic.at(obs), dim, 0.1, plan, candidates)

    shape = (batch, obs_dim, dim, hidden, steps)
    programs = {
        "langevin": langevin_products(*shape),
        "mala": mala_products(*shape),
        "isir": isir_products(*shape[:-1], candidates, sweeps),
        "qglg": qglg_products(*shape, schedules, candidates),
    }
    return [
        against_products(
            f.__name__, jax.vmap(f, (None, 0, 0)), (critic, obs, keys), programs[f.__name__], seconds, rounds
        )
        for f in (langevin, mala, isir, qglg)
    ]


def update(
    algo: Any, obs_dim: int = 17, act_dim: int = 6, batch: int = 256, seconds: float = 30.0, rounds: int = 5
) -> list[dict]:
    """One update of `algo`, beside the products in its own program."""
    from softq.algorithms import Transition

    key = jax.random.key(0)
    state = algo.init(key, jnp.zeros(obs_dim), jnp.zeros(act_dim))
    obs = jax.random.normal(key, (batch, obs_dim))
    action = jax.random.uniform(key, (batch, act_dim), minval=-1.0)
    rows = Transition(obs, action, obs[:, 0], jnp.ones(batch), obs[::-1])
    function, args = (lambda algo, *x: algo.update(*x)), (algo, state, rows, key)
    return [
        against_products(
            f"update {type(algo).__name__}", function, args, products_of(function, *args), seconds, rounds
        )
    ]


def loop(
    algo: Any, env: str = "HalfCheetah-v5", num_envs: int = 20, seconds: float = 60.0, rounds: int = 5
) -> list[dict]:
    """One iteration of the host loop, everything in it, beside the bare update on the same replay."""
    from softq.envs import make
    from softq.training import TrainConfig
    from softq.training.host import HostLoop

    config = TrainConfig(env=env, num_envs=num_envs, warmup=2000, iterations=10_000)
    inner = HostLoop(make(env, num_envs), config)
    keys = jax.vmap(jax.random.key)(jnp.arange(1))
    held = inner.run(algo, inner.init(algo, keys, keys), keys, config.warmup_steps, True)
    replay, bare_state = held.replay, jax.tree.map(jnp.copy, (held.state, held.tally.metrics))
    frozen = jax.tree.map(jnp.copy, replay)

    def iteration() -> Any:
        nonlocal held
        held = inner.run(algo, held, keys, 1, False)
        return held.state

    def bare_update() -> Any:
        nonlocal bare_state
        bare_state = inner._learn(algo, bare_state[0], frozen, bare_state[1], keys, np.zeros(1, np.int32))
        return bare_state

    return [
        row(f"loop {env}", compare({"measured": iteration, "update": bare_update}, seconds, rounds), "update")
    ]


def show(rows: list[dict]) -> str:
    """The rows as text."""
    lines = []
    for r in rows:
        base = "products" if "products_ms" in r else "update"
        lines.append(
            f"{r['name']}: {r['measured_ms']:.2f} ms, bare {base} {r[base + '_ms']:.2f} ms, ratio "
            f"{r['ratio']:.2f}"
            f" ({r['ratio_min']:.2f} to {r['ratio_max']:.2f} over rounds)"
        )
    return "\n".join(lines)


def command(argv: list[str]) -> int:
    """`softq bench sampler | update ALGORITHM | loop`."""
    from softq.algorithms import get

    what = argv[0] if argv else ""
    if what in ("-h", "--help"):
        print("usage: softq bench sampler | update ALGORITHM | loop   (each with --help)")
        return 0
    kinds = ("sampler", "update", "loop")
    if what not in kinds:
        raise SoftqError(f"name what to measure, not {what!r}.{suggest(what, kinds)}")
    named = what == "update" and len(argv) > 1 and not argv[1].startswith("-")
    if what == "update" and not named and "--help" not in argv:
        raise SoftqError("name the algorithm: softq bench update ALGORITHM (see `softq list`).")
    algorithm = get(argv[1] if named else "ddsq")
    parser = Parser(prog=f"softq bench {what}", description=globals()[what].__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    for name, default in defaults(globals()[what]):
        kind = {"nargs": "+", "type": int} if isinstance(default, tuple) else {"type": type(default)}
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=f"[{default}]", **kind)
    if what != "sampler":
        add_fields(parser, algorithm, "hyper-parameters")
    given = vars(parser.parse(argv[2 if named else 1 :]))
    settings = {name: given[name] for name, _ in defaults(globals()[what])}
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    algo = () if what == "sampler" else (algorithm(**fields_from(given, algorithm)),)
    rows = globals()[what](*algo, **settings)
    print(json.dumps(rows, indent=1) if given["json"] else show(rows))
    return 0


def defaults(function: Callable) -> list[tuple[str, Any]]:
    """Names and defaults of the parameters that have one."""
    import inspect

    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in parameters if p.default is not p.empty]

"""Times of samplers, updates and loops beside those of their matrix products alone, measured in the same run."""

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from softq.experiments.speed.all_methods import every_method, update_row
from softq.experiments.speed.matmuls import (
    annealed_products,
    isir_products,
    langevin_products,
    mala_products,
    qglg_products,
    svgd_products,
    tempering_products,
)
from softq.experiments.speed.peers import peers
from softq.experiments.speed.start import start
from softq.experiments.speed.timing import against, against_products, show
from softq.networks import Critic, NoiseCritic
from softq.samplers import get, linear_schedules
from softq.training.old_names import add_old_names, renamed
from softq.utils.checks import one_of
from softq.utils.cli_options import Parser, add_fields
from softq.utils.errors import SoftqError, suggest
from softq.utils.flat_settings import built

NOISE = "noise score"
# the help of the options of all parts of the command, by the name of the parameter
MEANINGS = {
    "dim": "dimension of the actions",
    "act_dim": "dimension of the actions",
    "obs_dim": "dimension of the observations",
    "batch": "number of states in a batch",
    "hidden": "units of each hidden layer of the critics",
    "steps": "number of steps of a chain, or of each schedule of QGLG",
    "schedules": "number of step schedules of QGLG",
    "candidates": "number of uniform candidates of QGLG and of iterated resampling",
    "sweeps": "number of sweeps of iterated resampling",
    "levels": "number of noise levels of annealed Langevin",
    "rungs": "number of temperatures of parallel tempering",
    "particles": "number of particles of SVGD",
    "only": "the one sampler to measure; all without it",
    "env": "environment of Gymnasium",
    "num_envs": "number of environments that step together",
    "seconds": "time to measure in all, in seconds",
    "all only": "the methods to measure; every one without it",
    "all seconds": "time to measure each update and its products, in seconds",
    "sizes": "the tasks whose dimensions observations and actions have",
    "preset": "preset of every method's settings",
    "out": "CSV file for the times, with device and versions",
    "methods": "the methods to start",
    "start rounds": "number of rounds, each with an empty cache at its start",
    "peers steps": "number of steps of the environment with updates in a training; the second half is timed",
    "peers seconds": "time to measure the chains, in seconds",
    "warmup": "number of steps of the environment before the first update",
    "folder": "folder for the environment of the other libraries, several GB",
    "rounds": "number of rounds, in which the two programs take turns",
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
    levels: int = 10,
    rungs: int = 4,
    particles: int = 16,
    only: str = "",
    seconds: float = 20.0,
    rounds: int = 7,
) -> list[dict]:
    """Samplers of the registry on a fresh critic, beside their matrix products, or the one called `only`.

    Each draws an action for each of `batch` states; SVGD draws all its particles. "noise score" is an annealed chain on
    a critic with noise levels beside the same chain on a plain critic.
    """
    key = jax.random.key(0)
    like = key, jnp.zeros(obs_dim), jnp.zeros(dim)
    codes = jnp.arange(levels)
    create = lambda: (Critic.create(*like, hidden), NoiseCritic.create(*like, codes, hidden))
    plain, noisy = jax.jit(create)()
    obs, keys = jax.random.normal(key, (batch, obs_dim)), jax.random.split(key, batch)
    temperature, step = 0.1, 0.01
    plan = linear_schedules(jnp.logspace(0, -4, schedules), jnp.full(schedules, 1e-4), steps)
    sigmas, per_level = jnp.linspace(0.1, 0.01, levels), max(1, steps // levels)
    noisy_slope = lambda q, action, sigma: q.slope(action, jnp.sum(sigmas > sigma), "min")
    plain_slope = lambda q, action, sigma: jax.grad(q)(action)
    annealing = {"levels": sigmas, "steps_per_level": per_level}
    chain, shape = {"num_steps": steps, "step": step}, (batch, obs_dim, dim, hidden, steps)
    cases = {
        "langevin": (chain, plain, langevin_products(*shape)),
        "mala": (chain, plain, mala_products(*shape)),
        "tempering": (
            {"num_rungs": rungs, "rounds": steps, "step": step, "hottest": 10 * temperature},
            plain,
            tempering_products(*shape, rungs),
        ),
        "annealed": (
            annealing | {"slope": noisy_slope},
            noisy,
            annealed_products(*shape[:-1], per_level, levels),
        ),
        NOISE: (annealing, noisy, None),
        "svgd": (chain | {"num_particles": particles}, plain, svgd_products(*shape, particles)),
        "isir": (
            {"num_candidates": candidates, "sweeps": sweeps},
            plain,
            isir_products(*shape[:-1], candidates, sweeps),
        ),
        "qglg": (
            {"schedules": plan, "num_candidates": candidates},
            plain,
            qglg_products(*shape, schedules, candidates),
        ),
    }
    if only:
        one_of("sampler", only, cases)

    def acting(name: str, **settings: Any) -> Callable:
        """A function that draws an action for each state, or all particles where the sampler has several."""
        sampler = get(name)(**settings)

        def act(critic: Critic | NoiseCritic, obs: Array, key: Array) -> Array:
            action, info = sampler(key, critic.at(obs), dim, temperature)
            return info.get("particles", action)

        return jax.vmap(act, (None, 0, 0))

    def measure(name: str) -> dict:
        settings, critic, program = cases[name]
        if program is not None:
            return against_products(
                name, acting(name, **settings), (critic, obs, keys), program, seconds, rounds
            )
        ours = jax.jit(acting("annealed", slope=noisy_slope, **settings))
        other = jax.jit(acting("annealed", slope=plain_slope, **settings))
        pair = lambda: ours(noisy, obs, keys), lambda: other(plain, obs, keys)
        return against(name, pair[0], "plain", pair[1], seconds, rounds)

    return [measure(name) for name in cases if only in ("", name)]


def update(
    algo: Any, obs_dim: int = 17, act_dim: int = 6, batch: int = 256, seconds: float = 30.0, rounds: int = 5
) -> list[dict]:
    """One update of `algo` in which everything is due, beside the matrix products that its own program makes."""
    return [update_row(algo, obs_dim, act_dim, batch, seconds, rounds)]


def loop(
    algo: Any, env: str = "HalfCheetah-v5", num_envs: int = 20, seconds: float = 60.0, rounds: int = 5
) -> list[dict]:
    """One iteration of the training loop, with its environments and replay, beside the update alone."""
    from softq.envs import make
    from softq.training import TrainConfig
    from softq.training.host_loop import HostLoop

    config = TrainConfig(env=env, num_envs=num_envs, warmup=2000, iterations=10_000)
    envs: Any = make(env, num_envs)
    inner = HostLoop(envs, config)
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

    return [against(f"loop {env}", iteration, "update", bare_update, seconds, rounds)]


BENCHMARKS: dict[str, Callable[..., list[dict]]] = {
    "sampler": sampler,
    "update": update,
    "all": every_method,
    "loop": loop,
    "start": start,
    "peers": peers,
}
OF_NO_METHOD = ("sampler", "all", "start", "peers")  # what takes no hyper-parameters


def command(argv: list[str]) -> int:
    """Run `softq bench` with the words `argv` and return its exit code. Raises `SoftqError` for bad input."""
    from softq.algorithms import get
    from softq.algorithms.base import idle_settings

    what = argv[0] if argv else ""
    if what in ("-h", "--help"):
        print(
            "usage: softq bench sampler | update ALGORITHM | all | loop | start | peers | labs   (each with --help)"
        )
        return 0
    if what not in BENCHMARKS:
        raise SoftqError(f"name what to measure, not {what!r}.{suggest(what, BENCHMARKS)}")
    benchmark = BENCHMARKS[what]
    named = what == "update" and len(argv) > 1 and not argv[1].startswith("-")
    if what == "update" and not named and "--help" not in argv:
        raise SoftqError("name the algorithm: softq bench update ALGORITHM (see `softq list`).")
    algorithm = get(argv[1] if named else "ddsq")
    parser = Parser(prog=f"softq bench {what}", description=benchmark.__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    for name, default in defaults(benchmark):
        kind: dict[str, Any] = (
            {"nargs": "+", "type": item(default)} if isinstance(default, tuple) else {"type": type(default)}
        )
        parser.add_argument(
            f"--{name.replace('_', '-')}", default=default, help=meaning(name, default, what), **kind
        )
    if what not in OF_NO_METHOD:
        add_fields(parser, algorithm, "hyper-parameters", hidden=idle_settings(algorithm))
        add_old_names(parser, algorithm)
    given = vars(parser.parse(argv[2 if named else 1 :]))
    as_json = given.pop("json")
    settings = {name: given.pop(name) for name, _ in defaults(benchmark)}
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    algo = () if what in OF_NO_METHOD else (built(algorithm, renamed(given, algorithm)),)
    rows = benchmark(*algo, **settings)
    print(json.dumps(rows, indent=1) if as_json else show(rows))
    return 0


def item(default: tuple) -> type:
    """The type of the items of an option that takes several; an empty default stands for names."""
    return type(default[0]) if default else str


def meaning(name: str, default: Any, what: str) -> str:
    """The help of the option `name` of `softq bench what`."""
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    said = MEANINGS[f"{what} {name}"] if f"{what} {name}" in MEANINGS else MEANINGS[name]
    return f"{said} [{shown}]" if shown != "" else said


def defaults(function: Callable) -> list[tuple[str, Any]]:
    """The names and defaults of those parameters of `function` that have a default."""
    import inspect

    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in parameters if p.default is not p.empty]

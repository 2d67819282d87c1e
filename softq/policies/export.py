"""`softq export-policy`: a trained policy as one file that JAX runs without softq.

The file is a zip archive of two members. `program.bin` is the policy with its networks, a program in StableHLO that
`jax.export` reads; nothing else is executed when it is loaded and called. `policy.json` says what goes in and what
comes out, in which units, what was exported and with which versions, and how to load it.
"""

import hashlib
import json
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.export import Exported, export, symbolic_shape

from softq import __version__
from softq.algorithms.common.critic_policy import acting
from softq.policies.options import add_options, chosen
from softq.policies.policy import Policy, actions
from softq.utils.atomic_files import atomic_write, out_file
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError

FORMAT = 1  # of policy.json
PLATFORMS = ("cpu", "cuda")  # for which the program is made, whatever this machine has
LOADER = (
    "import zipfile, jax.export",
    'program = jax.export.deserialize(bytearray(zipfile.ZipFile("FILE").read("program.bin")))',
    "act = jax.jit(program.call)  # act({}) returns the actions",
)


def exported(
    policy: Policy, deterministic: bool = False, sampler: str | None = None, budget: int = 100
) -> tuple[Exported, tuple[str, ...]]:
    """`policy` as a program, whose call returns the actions that `policy` itself returns, and its arguments' names.

    These are `obs` `(n, obs_dim)`, float32, n observations for any n from 1 on, with the parts of each joined to one
    vector in the order of the space; `temperature`, float32, where the policy can act at another one than that in
    force; and `seed`, int32 and not negative, the `key` of a call of `policy`. The actions are
    `(n, *action_space.shape)`, float32. Raises `SoftqError` for an unknown sampler, and for one with `deterministic`.
    """
    if deterministic and sampler is not None:
        raise SoftqError("a sampler replaces the policy and draws at random; leave --deterministic out.")
    adjustable = not deterministic and (policy.algo.adjustable or sampler is not None)
    space = policy.action_space

    def act(obs: Array, *rest: Array) -> Array:
        *temperature, seed = rest
        method = "exploit" if deterministic else "policy"
        actor, method = acting(policy.algo, method, next(iter(temperature), None), sampler, budget)
        unit = actions(actor, policy.state, obs, jax.random.key(seed), method)
        return jax.vmap(lambda action: in_units(action, space.low, space.high))(unit)

    (num,) = symbolic_shape("n")
    given = {"obs": jax.ShapeDtypeStruct((num, policy.critic.obs_dim), jnp.float32)}
    if adjustable:
        given["temperature"] = jax.ShapeDtypeStruct((), jnp.float32)
    given["seed"] = jax.ShapeDtypeStruct((), jnp.int32)
    return export(jax.jit(act), platforms=PLATFORMS)(*given.values()), tuple(given)


def in_units(unit: Array, low: np.ndarray, high: np.ndarray) -> Array:
    """One action `(d,)` from [-1, 1] to the bounds `low` and `high`: `softq.envs.rescale` within a compiled program.

    In double precision as there, where a bound that is reached is not passed by the last digit.
    """
    with jax.enable_x64(True):
        low, high = low.astype(np.float64), high.astype(np.float64)
        share = (jax.lax.convert_element_type(unit, np.float64) + 1) / 2
        action = low + share.reshape(low.shape) * (high - low)
        return jax.lax.convert_element_type(action, np.float32)


def export_policy(
    policy: Policy,
    out: Path | str,
    deterministic: bool = False,
    sampler: str | None = None,
    budget: int = 100,
) -> dict[str, Any]:
    """Write `policy` to the zip archive `out` and return the content of its policy.json.

    Raises `SoftqError` as `exported` does, when the package flatbuffers is missing, and when the file cannot be
    written.
    """
    path = out_file(out, ".zip")
    program, names = exported(policy, deterministic, sampler, budget)
    try:
        content = bytes(program.serialize())
    except ImportError:
        raise SoftqError(
            'jax.export needs the package flatbuffers to write a program; pip install "softq[export]".'
        ) from None
    about = described(policy, program, names) | {
        "plays": sampler or ("exploit" if deterministic else "policy"),
        "program_sha256": hashlib.sha256(content).hexdigest(),
    }
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("policy.json", json.dumps(about, indent=1) + "\n")
        archive.writestr("program.bin", content)
    return about


def described(policy: Policy, program: Exported, names: tuple[str, ...]) -> dict[str, Any]:
    """What policy.json says of a program of `policy` whose arguments have these `names`."""
    units = {
        "obs": "rows: the environment's observations, their parts joined in the order of the space",
        "temperature": policy.algo.temperature_unit or "Q",
        "seed": "a whole number from 0 to 2147483647; equal seeds give equal actions",
    }
    given: dict[str, dict[str, Any]] = {
        name: {"shape": shape_of(x), "dtype": str(x.dtype), "unit": units[name]}
        for name, x in zip(names, program.in_avals, strict=True)
    }
    if "temperature" in given:
        given["temperature"]["in_force"] = policy.temperature
    (action,) = program.out_avals
    space = policy.action_space
    return {
        "format": FORMAT,
        "use": [LOADER[0], LOADER[1], LOADER[2].format(", ".join(names))],
        "arguments": given,
        "actions": {
            "shape": shape_of(action),
            "dtype": str(action.dtype),
            "low": space.low.tolist(),
            "high": space.high.tolist(),
        },
        "algorithm": policy.config.algorithm,
        "env": policy.config.env,
        "env_kwargs": policy.config.env_kwargs,
        "training_seed": policy.seed,
        "updates": int(policy.state.step),
        "platforms": list(program.platforms),
        "versions": {"softq": __version__, "jax": version("jax"), "jaxlib": version("jaxlib")},
        "calling_convention_version": program.calling_convention_version,
        "learner_sha256": digest(policy.state),
    }


def shape_of(x: Any) -> list[int | str]:
    """The shape of an argument or result of a program: numbers, and "n" for the number of observations."""
    return [size if isinstance(size, int) else str(size) for size in x.shape]


def digest(tree: Any) -> str:
    """The SHA-256 of the types, shapes and numbers of all leaves of `tree`, in hexadecimal digits."""
    found = hashlib.sha256()
    for leaf in map(np.asarray, jax.tree.leaves(tree)):
        found.update(f"{leaf.dtype}{leaf.shape}".encode() + leaf.tobytes())
    return found.hexdigest()


def command(argv: list[str]) -> int:
    """Run `softq export-policy` and return its exit code. Raises `SoftqError` for bad input."""
    parser = Parser(
        prog="softq export-policy",
        description="Write the policy of a run as one file, which JAX runs without softq.",
    )
    add_options(parser)
    parser.add_argument("--out", required=True, metavar="FILE.zip", help="file for the policy")
    parser.add_argument(
        "--deterministic", action="store_true", help="the action whose return is reported, instead of samples"
    )
    options = parser.parse(argv)
    out_file(options.out, ".zip")
    about = export_policy(
        chosen(options), options.out, options.deterministic, options.sampler, options.budget
    )
    size = Path(options.out).stat().st_size
    print(f"{options.out}: {size:,} bytes, for {' and '.join(about['platforms'])}. It is used without softq:")
    print("\n".join(about["use"]).replace("FILE", options.out))
    return 0

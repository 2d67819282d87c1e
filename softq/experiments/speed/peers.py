"""`softq bench peers`: softq beside two other libraries in JAX, with the same settings on the same machine.

- SBX (Stable Baselines Jax): a step of the environment with its update, by SAC and by TD3.
- BlackJAX: chains of the Metropolis-adjusted Langevin algorithm on a critic.

Both are installed into an environment of their own, a folder beside which nothing of softq's own environment changes.
SBX needs PyTorch, which makes that folder several GB large. The libraries take turns with softq, each training in a
process of its own, so that a busy machine disturbs both.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import jax
from tqdm.auto import tqdm

import softq
from softq.experiments.speed.timing import row
from softq.training.run_directory import read_log
from softq.utils.errors import SoftqError

PACKAGES = ("sbx-rl==0.28.0", "blackjax==1.7.1")
METHODS = ("sac", "td3")
SCRIPT = Path(__file__).with_name("in_peers_environment.py")
# settings of softq that are SBX's defaults, for SAC and TD3 alike
SAME = {"num_envs": 1, "batch_size": 256, "hidden_sizes": "256 256", "buffer_size": 1_000_000}


def peers(
    env: str = "HalfCheetah-v5",
    steps: int = 4000,
    warmup: int = 1000,
    rounds: int = 3,
    seconds: float = 10.0,
    folder: str = "_build/peers",
) -> list[dict]:
    """SAC and TD3 beside SBX, a step of one environment with its update; and MALA chains beside BlackJAX.

    Timed is the second half of `steps`, when everything has been compiled. The first call installs the two libraries.
    """
    python = environment(Path(folder))
    rows = []
    bar = tqdm(total=2 * len(METHODS) * rounds + 1, unit="run")
    for method in METHODS:
        times: dict[str, list[float]] = {"measured": [], "SBX": []}
        for _ in range(rounds):
            bar.set_description(f"softq {method}")
            times["measured"].append(ours(method, env, steps, warmup))
            bar.update()
            bar.set_description(f"SBX {method}")
            times["SBX"].append(said(python, "sbx", method, env, steps, warmup))
            bar.update()
        rows.append(row(f"{method} {env}, a step with its update", times, "SBX"))
    bar.set_description("BlackJAX")
    times = said(python, "blackjax", seconds, rounds)
    bar.update()
    bar.close()
    return [*rows, row("mala, 20 steps, 256 states", times, "BlackJAX")]


def environment(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, into which the two libraries are installed if need be.

    It lies on top of the environment of this process. Raises `SoftqError` when they cannot be installed.
    """
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = " ".join((*PACKAGES, f"jax=={jax.__version__}"))
    if stamp.exists() and stamp.read_text() == wanted:
        return python.absolute()
    print(f"installing {wanted} into {folder}; the first time takes minutes and several GB", file=sys.stderr)
    fixed = [f"{name}=={importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "flax", "optax")]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        (site,) = folder.glob("lib/python3*/site-packages")
        (site / "below.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES, *fixed], check=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise SoftqError(
            f"{wanted} cannot be installed into {folder} ({error}); choose another --folder, with several GB free."
        ) from None
    stamp.write_text(wanted)
    return python.absolute()


def ours(method: str, env: str, steps: int, warmup: int) -> float:
    """Seconds of a step of one environment with its update, in a training by softq. Raises `SoftqError` if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        settings = SAME | {"env": env, "warmup": warmup, "iterations": steps, "log_every": steps // 2}
        settings |= {"eval_every": steps, "eval_episodes": 1, "checkpoint_every": steps, "out": run}
        words = [x for name, value in settings.items() for x in option(name, value)]
        finished([sys.executable, "-m", "softq", "train", method, *words, "--no-progress"], {})
        seconds = {x["updates"]: x["seconds"] for x in read_log(run) if x["kind"] == "train"}
    return (seconds[steps] - seconds[steps // 2]) / (steps - steps // 2)


def option(name: str, value: Any) -> list[str]:
    """The words of the command line that give a setting its value."""
    return [f"--{name.replace('_', '-')}", *str(value).split()]


def said(python: Path, *words: Any) -> Any:
    """What the script in the peers' environment prints, read as JSON. Raises `SoftqError` if it fails."""
    path = str(Path(softq.__file__).parents[1])
    return json.loads(finished([python, SCRIPT, *map(str, words)], {"PYTHONPATH": path}).splitlines()[-1])


def finished(command: list[Any], variables: dict[str, str]) -> str:
    """What a command prints. Raises `SoftqError` with its last line when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)
    if done.returncode:
        last = (done.stderr.strip() or "it printed nothing").splitlines()[-1]
        raise SoftqError(f"{' '.join(map(str, command))} failed: {last}")
    return done.stdout

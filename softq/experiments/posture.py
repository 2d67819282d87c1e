"""Does HalfCheetah run on its feet or slide on its back? The share of upright steps in episodes of trained policies.

`python -m softq.experiments.posture RUN ... --out FILE.csv` loads every training seed of the runs, plays `EPISODES`
episodes of the unchanged HalfCheetah-v5 with the policy whose return is reported, and writes a row for each seed.

`softq train METHOD --env softq.experiments.posture:HalfCheetahOnItsFeet-v0` trains without what follows a fall: an
episode is cut off in the step in which the torso has turned by more than a right angle. That is no end of the task: the
value of the next state still counts, nothing is punished, and rewards are those of HalfCheetah-v5.
"""

import contextlib
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd

from softq.experiments.script import run
from softq.experiments.settings import learner
from softq.policies import Policy, load
from softq.utils.atomic_files import atomic_write, csv_file
from softq.utils.cli_options import Parser
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import flat

TASK = "HalfCheetah-v5"
EPISODES = 4
SEED = 1000  # of the first episode; training and its evaluations have others
TORSO = 2  # the place of the torso's angle, in radians, among the positions of the model


def upright(env: gym.Env) -> bool:
    """Whether the torso of HalfCheetah is turned by less than a right angle from where an episode begins."""
    model: Any = env.unwrapped
    return bool(np.cos(model.data.qpos[TORSO]) > 0)


class OnItsFeet(gym.Wrapper):
    """HalfCheetah whose episodes are cut off (truncated, not terminated) once the torso has turned over."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated or not upright(self.env), info


ON_ITS_FEET = "HalfCheetahOnItsFeet-v0"
if ON_ITS_FEET not in gym.registry:  # a run that trained there imports this file once more
    gym.register(
        ON_ITS_FEET,
        entry_point="gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv",
        max_episode_steps=1000,
        additional_wrappers=(OnItsFeet.wrapper_spec(),),
    )


def played(policy: Policy, episodes: int = EPISODES, steps: int = 1000) -> tuple[float, float]:
    """Mean return over whole episodes, and the share of their steps with an upright torso."""
    total, standing = 0.0, 0
    for episode in range(episodes):
        with contextlib.closing(gym.make(TASK, max_episode_steps=steps)) as env:
            obs, _ = env.reset(seed=SEED + episode)
            for step in range(steps):
                obs, reward, *_ = env.step(policy(obs, deterministic=True, key=step))
                total, standing = total + float(reward), standing + upright(env)
    return total / episodes, standing / (episodes * steps)


def changed(policy: Policy) -> str:
    """What the run of `policy` has changed of the small preset, such as "explore_prob=1.0"; "none" for nothing."""
    algo, config = learner(policy.config.algorithm)
    usual = flat(algo) | {"warmup": config.warmup, "env": TASK}
    own = flat(policy.algo) | {"warmup": policy.config.warmup, "env": policy.config.env.rpartition(":")[2]}
    return " ".join(f"{name}={value}" for name, value in own.items() if value != usual[name]) or "none"


def rows(folder: str) -> list[dict[str, Any]]:
    """A row for each training seed of the run in `folder`. Raises `SoftqError` for a run of another body."""
    first = load(folder)
    if "HalfCheetah" not in first.config.env:
        raise SoftqError(f"{folder} trained in {first.config.env}; a torso's angle is read in {TASK} alone.")
    found = []
    for index, seed in enumerate(first.config.seed_list):
        policy = load(folder, index=index)
        total, standing = played(policy)
        who = {"algorithm": policy.config.algorithm, "changed": changed(policy), "seed": seed}
        trained = {"updates": policy.config.iterations, "episodes": EPISODES}
        found.append(who | trained | {"return": round(total, 1), "upright": round(standing, 4)})
    return found


def command(argv: list[str]) -> None:
    """Measure the runs named in `argv` and write the table. Raises `SoftqError` for bad input."""
    parser = Parser(prog="python -m softq.experiments.posture", description=str(__doc__).split("\n")[0])
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folder of a run that `softq train` made")
    parser.add_argument(
        "--out", metavar="FILE.csv", required=True, help="file to write; an old one is replaced"
    )
    given = parser.parse(argv)
    with atomic_write(csv_file(given.out)) as partial_file:
        pd.DataFrame([row for folder in given.runs for row in rows(folder)]).to_csv(partial_file, index=False)


if __name__ == "__main__":
    run(command)

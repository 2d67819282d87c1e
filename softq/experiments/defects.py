"""What the defects of released code cost: each method trained right and with the defect, on the bandit and on Reacher.

`python -m softq.experiments.defects results/defects.csv` trains both variants of each row of `DEFECTS` from the same
seeds. All else is equal in the two: the preset "small" of the method, or its settings on the bandit. There Q is the
reward and stands in for the critic, except where a row says that it is learned.

Reacher is the one task of MuJoCo here since each of its episodes ends by the time limit, after 50 steps, so that taking
the limit for an end touches one transition in 50; on the pendulum it is one in 1000. Its returns also spread less from
seed to seed than those of the pendulum, where a pole falls at once or never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
from jax import Array
from scipy import stats

from softq.algorithms import SAC, Algorithm, get
from softq.algorithms.base import Info, State
from softq.experiments.growing_table import append, has_rows
from softq.experiments.mode_coverage import TASKS, Ablation, visits
from softq.experiments.mode_coverage.tasks import SIDES
from softq.experiments.script import run
from softq.training import TrainConfig, preset_of, train
from softq.utils.atomic_files import csv_file
from softq.utils.checks import one_of
from softq.utils.cli_options import Parser, int_option
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import built
from softq.utils.pytree import pytree

BANDIT, REACHER = "bandit", "Reacher-v5"
VARIANTS = ("right", "defect")
SEEDS = {BANDIT: 5, REACHER: 3}
EPISODES = {BANDIT: 200, REACHER: 20}  # of which a return is the mean
VISITED = 0.05  # least share of the actions for which a mode of the bandit counts as visited
TRAINING = {"iterations": 4000, "eval_every": 1000}  # on a task of MuJoCo
COLUMNS = ["defect", "variant", "task", "seed", "updates", "env_steps", "return", "modes", "high", "value"]


@pytree
class PunishedSAC(SAC):
    """SAC whose Bellman target has the entropy with the wrong sign, as in the released code of FLAME."""

    def next_value(self, state: State, next_obs: Array, key: Array) -> tuple[Array, Info]:
        """min_j Q_target_j(s', a') + alpha log pi(a'|s'), a' from the actor."""
        action, log_prob = state.actor.network.at(next_obs, self.log_std_max).sample(key, self.jacobian)
        return state.critic.target.at(next_obs)(action) + self.current_temperature(state) * log_prob, {}


class LimitEnds(gym.Wrapper):
    """An environment that reports its time limit as a true end, whose value is 0."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated or truncated, False, info


@dataclass(frozen=True)
class Defect:
    """One defect: the settings of `method` in which its two variants differ from the other rows, and what it does.

    Where no setting has the defect, `wrong` is the algorithm that has it, or `limit_ends` says that the environment
    does.
    """

    method: str
    does: str
    source: tuple[str, ...]  # repositories of GitHub
    defect: Mapping[str, Any] = field(default_factory=dict)
    right: Mapping[str, Any] = field(default_factory=dict)
    wrong: type[Algorithm] | None = None
    limit_ends: bool = False
    # whether the critic of the bandit is learned; else it is the landscape, so that the actor's error is its own
    learned: bool = False
    # tasks on which the command measures it; on the bandit no defect of the target or the limit can be seen
    tasks: tuple[str, ...] = (BANDIT, REACHER)

    def algorithm(self, variant: str) -> type[Algorithm]:
        """The class that is trained as this variant, "right" or "defect"."""
        return self.wrong if self.wrong and variant == "defect" else get(self.method)

    def settings(self, variant: str) -> dict[str, Any]:
        """The settings of this variant that are not those of the task, by flat name."""
        return dict(self.defect if variant == "defect" else self.right)


DPRL = "mahaitongdae/diffusion_policy_online_rl"
DEFECTS: dict[str, Defect] = {
    "SAC without Jacobian": Defect(
        "sac",
        "The log-density of an action lacks the slope of tanh: it is that of the Gaussian before tanh.",
        (DPRL,),
        {"jacobian": False},
    ),
    "no Jacobian as ported": Defect(
        "sac",
        "The same, where the log of the Gaussian's std is at most 0.5, as in the port; 2 elsewhere.",
        (DPRL,),
        {"jacobian": False, "log_std_max": 0.5},
        {"log_std_max": 0.5},
    ),
    "entropy punished": Defect(
        "sac",
        "The Bellman target subtracts the entropy of the next action where it should add it.",
        ("lzqw/FLAME",),
        wrong=PunishedSAC,
        tasks=(REACHER,),
    ),
    "time limit as end": Defect(
        "sac",
        "The last transition before the time limit is stored as a true end, after which there is no reward.",
        ("BellmanTimeHut/DIPO", "wadx2019/qvpo"),
        limit_ends=True,
        tasks=(REACHER,),
    ),
    "DPMD's brackets": Defect(
        "dpmd",
        "A weight is computed from Q - mean / std in place of (Q - mean) / std.",
        (DPRL,),
        {"normalised": "slip", "num_actions": 4},
        {"num_actions": 4},
        tasks=(BANDIT,),
    ),
    "SDAC's clipping": Defect(
        "sdac",
        "Noises are weighed by Q at actions clipped to the box, and left as they were.",
        (DPRL,),
        {"proposals": "clipped", "num_actions": 4},
        {"num_actions": 4},
        tasks=(BANDIT,),
    ),
    "QSM's noise": Defect(
        "qsm",
        "The slope of Q is taken for the noise itself, without the factor that makes a noise of a score.",
        ("Alescontrela/score_matching_rl",),
        {"scaled": False},
        tasks=(BANDIT,),
    ),
    "QSM's port": Defect(
        "qsm",
        "A Langevin chain with a network that knows no noise level stands for the reverse diffusion.",
        (DPRL,),
        {"sampling": "langevin", "twins": "min", "num_steps": 20},
        {"num_steps": 20},
        tasks=(BANDIT,),
    ),
    "QVPO's half box": Defect(
        "qvpo",
        "The uniform actions that keep the actor wide are drawn from [0, 1] in place of [-1, 1].",
        ("typoverflow/flow-rl",),
        {"uniform_low": 0.0},
        learned=True,
        tasks=(BANDIT,),
    ),
    "DIPO's replace": Defect(
        "dipo",
        "An action that has climbed is not stored in place of the executed one, so that none climbs twice.",
        ("BellmanTimeHut/DIPO",),
        {"revises": False},
        tasks=(BANDIT,),
    ),
    "DACER's port": Defect(
        "dacer",
        "The chain has another schedule, and starts at a standard deviation of 0.5 where that schedule ends at 0.98.",
        (DPRL,),
        {"schedule": "linear", "start_std": 0.5, "num_steps": 20},
        {"num_steps": 20},
        tasks=(BANDIT,),
    ),
    "DPMD's second step": Defect(
        "dpmd",
        "Each gradient of the critics is applied to them twice.",
        (DPRL,),
        {"critic_steps": 2, "num_actions": 4},
        {"num_actions": 4},
        learned=True,
        tasks=(BANDIT,),
    ),
    "S2AC's chain": Defect(
        "s2ac",
        "The chain climbs Q at actions before tanh, and at temperature 1 whatever the temperature is.",
        ("SafaMessaoud/S2AC-Energy-Based-RL-with-Stein-Soft-Actor-Critic",),
        {"chain": "released"},
        tasks=(BANDIT,),
    ),
    "DQS read literally": Defect(
        "dqs",
        "Q is scored at points outside the box, and tanh is applied to the sample afterwards.",
        ("vineetjain96/Diffusion_Q_Sampling",),
        {"space": "printed", "truncate": False, "action_gain": 50.0},
        {"space": "tanh", "truncate": False, "action_gain": 50.0},
        tasks=(BANDIT,),
    ),
}


def measure(name: str, task: str, seeds: int | None = None, iterations: int | None = None) -> pd.DataFrame:
    """Rows with `COLUMNS` of both variants of a defect on a task, each trained from `seeds` seeds.

    `modes` and `high` count the high modes of the bandit that are visited, and the share of the actions in them.
    `value` is the mean of Q over the last batches, in units of reward. `seeds` and `iterations` replace the task's own
    numbers of trainings and updates.
    """
    defect, parts = DEFECTS[name], []
    for variant in VARIANTS:
        given = tuple(defect.settings(variant).items())
        size = seeds or SEEDS.get(task, SEEDS[REACHER]), iterations
        if task == BANDIT:
            rows = on_bandit(defect.method, given, defect.learned, *size)
        else:
            ends = defect.limit_ends and variant == "defect"
            rows = on_gym(defect.algorithm(variant), given, limit_ends(task) if ends else task, *size)
        parts.append(rows.assign(defect=name, variant=variant, task=task))
    return pd.concat(parts).reindex(columns=COLUMNS)


@cache
def on_bandit(method: str, given: tuple, learned: bool, seeds: int, iterations: int | None) -> pd.DataFrame:
    """The returns and counts of the policy of a method on the bandit, a row for each seed."""
    task = TASKS[BANDIT]
    ablation = Ablation(method, dict(given), exact_critic=not learned)
    ((counts, _),) = visits(task, method, ablation, seeds, EPISODES[BANDIT], 1, iterations)
    share, updates = counts[list(SIDES)] / EPISODES[BANDIT], iterations or task.iterations
    steps = task.common["warmup"] + task.common["num_envs"] * updates if learned else 0
    counts = counts.assign(updates=updates, env_steps=steps)
    return counts.assign(modes=(share >= VISITED).sum(axis=1), high=share.sum(axis=1))


@cache
def on_gym(
    cls: type[Algorithm], given: tuple, env_id: str, seeds: int, iterations: int | None
) -> pd.DataFrame:
    """The returns of a method in an environment, a row for each seed and evaluation, and the mean of Q by then."""
    length = TRAINING | {"seeds": seeds, "eval_episodes": EPISODES[REACHER]}
    length |= {"iterations": iterations, "eval_every": iterations} if iterations else {}
    settings = preset_of(cls, "small") | length | dict(given)
    algo, config = built(cls, settings, TrainConfig), built(TrainConfig, settings, cls)
    run = train(algo, env_id, config, progress=False)
    if not run.finished:
        raise KeyboardInterrupt
    at = ["seed", "updates"]
    logged = run.curve[run.curve["kind"] == "train"].set_index(at)
    value = logged["q_mean"] / algo.reward_scale if "q_mean" in logged else np.nan
    rows = run.curve[run.curve["kind"] == "eval"].drop(columns="value", errors="ignore")
    return rows.join(logged.assign(value=value)["value"], on=at)[[*at, "env_steps", "return", "value"]]


def differences(table: pd.DataFrame, column: str = "return") -> pd.DataFrame:
    """Per task and defect the means of `column` in the last rows of both variants, and their paired difference.

    `lower` and `upper` are the ends of the 95 % interval of Student's t for the mean of defect minus right, seed by
    seed; `n` is the number of seeds.
    """
    rows = []
    for (task, name), part in table.groupby(["task", "defect"], sort=False):
        last = part[part["updates"] == part["updates"].max()]
        both = last.pivot(index="seed", columns="variant", values=column)
        gap = both["defect"] - both["right"]
        half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap))
        means = both["right"].mean(), both["defect"].mean(), gap.mean()
        rows.append((task, name, *means, gap.mean() - half, gap.mean() + half, len(gap)))
    columns = ["task", "defect", "right", "with defect", "difference", "lower", "upper", "n"]
    return pd.DataFrame(rows, columns=columns).set_index(["task", "defect"])


def limit_ends(env_id: str) -> str:
    """The id of the environment `env_id` with `LimitEnds` around it."""
    name = f"softq/limit-ends-{env_id}"
    if name not in gym.registry:
        gym.register(name, entry_point=lambda **kwargs: LimitEnds(gym.make(env_id, **kwargs)))
    return name


def command(argv: list[str]) -> None:
    """Measure what is missing in the file that `argv` names, and write it whole after each defect and task."""
    parser = Parser(
        prog="python -m softq.experiments.defects",
        description="Train methods right and with a defect of released code, and write their returns to a table.",
    )
    parser.add_argument("out", metavar="FILE.csv", help="file for the rows; rows in it are not made again")
    parser.add_argument(
        "--task", help=f"{BANDIT}, or an environment such as {REACHER} [those of each defect]"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help=f"defects to measure [all: {', '.join(DEFECTS)}]"
    )
    number = {"type": int_option, "metavar": "N"}
    parser.add_argument("--seeds", **number, help="number of trainings of each variant [bandit 5, Reacher 3]")
    parser.add_argument("--iterations", **number, help="number of updates [bandit 1500, Reacher 4000]")
    options = parser.parse(argv)
    for option in ("seeds", "iterations"):
        if (value := getattr(options, option)) is not None and value < 1:
            raise SoftqError(f"--{option} is {value}; it must be at least 1.")
    names = options.only or list(DEFECTS)
    for name in names:
        one_of("defect", name, DEFECTS)
    out = csv_file(options.out)
    for task in [options.task] if options.task else [BANDIT, REACHER]:
        for name in names:
            asked = task in DEFECTS[name].tasks or (options.task and task != BANDIT)
            if not asked or has_rows(out, defect=name, task=task):
                continue
            append(measure(name, task, options.seeds, options.iterations), out, 4, whole=["modes"])
            print(f"{task}: {name}", flush=True)


if __name__ == "__main__":
    run(command)

"""One run under way: chunks of the inner loop, and between them the log, evaluations and checkpoints."""

import dataclasses
import shlex
import time
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from softq.algorithms import Algorithm
from softq.envs import is_jax, make
from softq.envs.trial import cannot_be_saved
from softq.training import memory
from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig, plain_algorithm
from softq.training.device_loop import DeviceLoop
from softq.training.evaluate import NO_LIMIT, Diverged, Evaluator
from softq.training.host_loop import EnvironmentFailed, HostLoop
from softq.training.loop import LoopState
from softq.training.progress import Interrupt, Pace, Progress
from softq.training.run_directory import RunDirectory, described, read_log
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.machine_errors import check_backend, explained
from softq.utils.pytree import replace


class Trainer:
    """One run under way: its loop, its counters and where its rows go."""

    def __init__(self, algo: Algorithm, config: TrainConfig):
        check_backend()
        algo = plain_algorithm(algo)
        seeds = jax.vmap(jax.random.key)(np.array(config.seed_list, np.uint32))
        self.init_keys, self.keys = (jax.vmap(jax.random.fold_in, (0, None))(seeds, i) for i in range(2))
        env: Any = make(config.env, config.num_envs, config.seed_list, config.env_kwargs)
        config = dataclasses.replace(config, env=getattr(env, "env_id", config.env))
        self.algo, self.config = algo, config
        self.loop = (DeviceLoop if is_jax(config.env) else HostLoop)(env, config)
        self.dims = {"obs_dim": env.obs_dim, "action_dim": env.action_dim}
        self.envs: Any = None if is_jax(config.env) else env
        self.inexact: str | None = None  # why resuming starts new episodes, where it does
        self.evaluator: Evaluator | None = None
        self.run: RunDirectory | None = None
        self.checkpoints: Checkpoints | None = None
        self.rows: list[dict] = []
        # positions in the run: the last step that was logged, the last that was evaluated, seconds so far
        self.logged, self.evaluated, self.seconds = 0, 0, 0.0

    def attach(self, run: RunDirectory) -> None:
        """Write the run there."""
        self.run, self.checkpoints = run, Checkpoints(run.folder / "checkpoints")

    def start(self) -> LoopState:
        """The loop before the first step. Raises `SoftqError` when the memory will not do."""
        memory.check(self.loop.shapes(self.algo, self.keys, self.init_keys), self.config)
        return jax.block_until_ready(self.loop.init(self.algo, self.keys, self.init_keys))

    def say(self, note: str) -> None:
        """A warning that the person who trains should read."""
        warnings.warn(note, SoftqWarning, stacklevel=2)

    def announce(self) -> None:
        """Say at the start what will not be as one expects; tries whether the environments can be saved."""
        config = self.config
        if self.envs is None:
            return
        if self.envs.max_steps is None:
            self.say(
                f"{config.env} has no time limit: a training episode lasts until it ends by itself, an evaluation "
                f"is cut at {NO_LIMIT:,} steps; set a limit with --env-kwargs max_episode_steps=1000."
            )
        if self.run is not None and (reason := cannot_be_saved(config.env, config.env_kwargs)):
            self.unsaved(reason)

    def unsaved(self, reason: str) -> None:
        """Remember, and say once, that the environments' state is not in the checkpoints."""
        if self.inexact is None:
            self.say(
                f"the state of {self.config.env} cannot be saved ({reason}); --resume will go on with the learner "
                "and the replay, but with new episodes."
            )
        self.inexact = reason

    def close(self) -> None:
        """Close all environments."""
        for one in (self.envs, self.evaluator):
            if one is not None:
                one.close()

    def train(
        self, loop: LoopState, step: int, stop: Interrupt, progress: Progress
    ) -> tuple[LoopState, bool]:
        """Go on from `step` to the end, or until `stop()`. Returns the loop and whether this is the end."""
        config, pace, began = self.config, Pace(), time.perf_counter() - self.seconds
        progress.at(step, note="compiling")
        while True:
            self.seconds = time.perf_counter() - began
            if step > self.logged and self.due(step, config.log_every):
                loop = self.log(loop, step, progress)
            if step > self.evaluated and step > config.warmup_steps and self.due(step, config.eval_every):
                self.evaluate(loop, step, stop, progress)
            done = step == config.total_steps and not stop()
            if done or stop() or (step and self.due(step, config.checkpoint_every)):
                self.save(loop, step, done)
            if done or stop():
                return loop, done
            num = pace.next(self.until_next(step))
            loop = self.step(loop, num, step < config.warmup_steps)
            pace.ran()
            step += num
            if step == config.warmup_steps:
                pace = Pace()
            progress.at(step, note="compiling" if step == config.warmup_steps else "")

    def due(self, step: int, every: int) -> bool:
        """Whether something done `every` so many steps is due: counted from 0 in the warm-up, then in
        updates.
        """
        warmup, total = self.config.warmup_steps, self.config.total_steps
        return step in (warmup, total) or (step if step < warmup else step - warmup) % every == 0

    def until_next(self, step: int) -> int:
        """Steps from `step` to the next at which anything is due."""
        config = self.config
        start, end = (
            (0, config.warmup_steps)
            if step < config.warmup_steps
            else (config.warmup_steps, config.total_steps)
        )
        periods = (config.log_every, config.eval_every, config.checkpoint_every)
        return min(end - step, *(every - (step - start) % every for every in periods))

    def step(self, loop: LoopState, num: int, uniform: bool) -> LoopState:
        try:
            with explained():
                return self.loop.run(self.algo, loop, self.keys, num, uniform)
        except EnvironmentFailed as error:
            step = int(error.loop.step[0])
            if step:
                self.save(error.loop, step, False, broken=True)
            raise self.kept(error, resumable=True) from error.__cause__
        except SoftqError as error:
            raise self.kept(error) from error.__cause__

    def kept(self, error: SoftqError, resumable: bool = False) -> SoftqError:
        """`error` with what is left of the run."""
        if self.run is None or not self.run.kept:
            return error
        latest = self.checkpoints.latest
        where = "not checkpointed yet" if latest is None else f"kept up to update {self.updates(latest)}"
        how = (
            f"; continue with: softq train --resume {shlex.quote(str(self.run.folder))}" if resumable else "."
        )
        return SoftqError(f"{error} The run in {self.run.folder} is {where}{how}")

    def record(self, kind: str, step: int, seed: int, **content: Any) -> None:
        """One row of the log, in memory and on disk."""
        row = {"kind": kind, "seed": seed, "updates": self.updates(step)}
        row |= {"env_steps": step * self.config.num_envs}
        row |= content | {"seconds": round(self.seconds, 3)}
        self.rows.append(row)
        if self.run:
            self.run.append(row)

    def log(self, loop: LoopState, step: int, progress: Progress) -> LoopState:
        """A row per seed with means since the last one; starts the tally afresh."""
        tally = jax.tree.map(np.asarray, loop.tally)
        for i, seed in enumerate(self.config.seed_list):
            episodes, updates = int(tally.episodes[i]), int(tally.updates[i])
            mean = float(tally.returns[i]) / episodes if episodes else None
            metrics = {name: float(x[i]) / updates for name, x in tally.metrics.items()} if updates else {}
            self.record("train", step, seed, **{"return": mean}, episodes=episodes, **metrics)
        self.logged = step
        if tally.episodes.sum():
            progress.note(train=f"{tally.returns.sum() / tally.episodes.sum():.1f}")
        return replace(loop, tally=jax.tree.map(jnp.zeros_like, loop.tally))

    def evaluate(self, loop: LoopState, step: int, stop: Interrupt, progress: Progress) -> None:
        """A row per seed with the mean return of the evaluation episodes; none when it is interrupted."""
        config = self.config
        progress.note(note="evaluating")
        try:
            self.evaluator = self.evaluator or Evaluator(
                config.env, config.seed_list, config.eval_episodes, env_kwargs=config.env_kwargs
            )
            returns = self.evaluator(self.algo, loop.state, stop)
        except Diverged as error:
            raise self.kept(error) from None
        except SoftqError as error:
            self.save(loop, step, False)
            raise self.kept(error, resumable=True) from error.__cause__
        if returns is None:
            return
        for seed, one, cut in zip(config.seed_list, returns, self.evaluator.cut, strict=True):
            content = {"return": float(one.mean()), "std": float(one.std()), "episodes": len(one)}
            content |= {"cut": int(cut)} if cut else {}
            self.record("eval", step, seed, **content, returns=[round(float(x), 4) for x in one])
        self.evaluated = step
        progress.note(eval=f"{returns.mean():.1f}", note="")

    def save(self, loop: LoopState, step: int, done: bool, broken: bool = False) -> None:
        """A checkpoint of everything, then status.json; without the environments where they are `broken`."""
        if self.run is None:
            return
        meta: dict[str, Any] = {
            "step": step,
            "logged": self.logged,
            "evaluated": self.evaluated,
            "seconds": self.seconds,
        }
        meta |= {"position": self.run.position, "config": described(self.algo, self.config, self.dims)}
        self.run.kept = True
        envs = {"text": [], "physics": np.zeros(0, np.uint8)}
        try:
            envs = envs if broken or self.inexact else self.loop.get_state()
        except SoftqError as error:
            self.unsaved(str(error))
        if broken or self.inexact:
            meta["afresh"] = "an environment failed" if broken else self.inexact
        rest = {"loop": replace(loop, state=()), "physics": envs["physics"]}
        self.checkpoints.save(step, loop.state, rest, meta | {"text": envs["text"]})
        self.write_status(step, done)

    def write_status(self, step: int, done: bool) -> None:
        counts = {"updates": self.updates(step), "iterations": self.config.iterations}
        self.run.status(finished=done, **counts, env_steps=step * self.config.num_envs, seconds=self.seconds)

    def updates(self, step: int) -> int:
        """Updates that have been made after `step` steps."""
        return max(0, step - self.config.warmup_steps)

    def restore(self) -> tuple[LoopState, int]:
        """The loop and step of the newest checkpoint, environments and log put back; from the start without
        one. Where the number of iterations has changed since, config.json and the log say so.
        """
        content = described(self.algo, self.config, self.dims)
        if self.checkpoints.latest is None:
            self.run.cut(0)
            self.run.describe(content)
            return self.start(), 0
        meta = self.checkpoints.meta()
        self.check(meta, content)
        afresh = meta.get("afresh", meta.get("error"))
        template, capacity = self.template()
        rest = {"loop": replace(template, state=()), "physics": self.physics()}
        state, rest = self.checkpoints.restore(learner=template.state, rest=rest)
        try:
            if not afresh:
                self.loop.set_state({"text": meta["text"], "physics": rest["physics"]})
        except SoftqError as error:
            afresh = f"{self.config.env}: {error}"
        self.run.cut(meta["position"])
        self.rows = read_log(self.run.folder)
        self.logged, self.evaluated, self.seconds = meta["logged"], meta["evaluated"], meta["seconds"]
        loop = replace(rest["loop"], state=state)
        if afresh:
            self.say(f"the learner and the replay go on; the episodes start anew ({afresh}).")
            loop = self.loop.afresh(loop, meta["step"])
        loop = jax.device_put(loop)
        if loop.replay.added.max() <= capacity < self.config.capacity:
            loop = replace(loop, replay=jax.vmap(lambda x: x.grown(self.config.capacity))(loop.replay))
        self.run.describe(content)
        if meta.get("config", content)["train"]["iterations"] != self.config.iterations:
            self.write_status(meta["step"], False)
            for seed in self.config.seed_list:
                extension = {"return": None, "episodes": 0, "iterations": self.config.iterations}
                self.record("extension", meta["step"], seed, **extension)
        return loop, meta["step"]

    def check(self, meta: dict, content: dict) -> None:
        """`SoftqError` when `content` of config.json is not that of the checkpoint, or asks for too few iterations."""
        self.run.check_unchanged(meta.get("config"), content)
        if meta["step"] > self.config.total_steps:
            raise SoftqError(
                f"{self.run.folder} has made {self.updates(meta['step'])} updates already; "
                f"--iterations {self.config.iterations} must be at least that."
            )

    def physics(self) -> jax.ShapeDtypeStruct:
        """Shape and type of the environments' MuJoCo state in the checkpoint, `(N, bytes)`, or `(0,)` without any."""
        width = self.checkpoints.rows("['physics']")
        return jax.ShapeDtypeStruct((0,) if width is None else (self.envs.num_envs, width), np.uint8)

    def template(self) -> tuple[LoopState, int]:
        """The loop as the checkpoint holds it, as shapes and types, and the capacity of its replay.

        That capacity follows from the number of iterations, which may have changed.
        """
        loop = self.loop.shapes(self.algo, self.keys, self.init_keys)
        capacity = self.checkpoints.rows(".replay.data.obs") or self.config.capacity
        resized = lambda x: jax.ShapeDtypeStruct((x.shape[0], capacity, *x.shape[2:]), x.dtype)
        data = jax.tree.map(resized, loop.replay.data)
        # on a CPU the arrays that are read lie beside those that are used
        memory.check(loop, self.config, copies=2 if jax.default_backend() == "cpu" else 1)
        return replace(loop, replay=replace(loop.replay, data=data)), capacity

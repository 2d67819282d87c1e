"""One run under way: chunks of the inner loop, and between them the log, evaluations and checkpoints."""

import dataclasses
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from softq.algorithms import Algorithm
from softq.envs import is_jax, make
from softq.envs.trial import cannot_be_saved
from softq.errors import SoftqError
from softq.pytree import replace
from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig, check_hyperparameters
from softq.training.device import DeviceLoop
from softq.training.evaluate import NO_LIMIT, Evaluator
from softq.training.host import EnvironmentFailed, HostLoop
from softq.training.loop import Loop
from softq.training.progress import Interrupt, Pace, Progress
from softq.training.runs import RunDirectory, read_log


class Trainer:
    """One run under way: its loop, its counters and where its rows go."""

    def __init__(self, algo: Algorithm, config: TrainConfig):
        check_hyperparameters(algo)
        seeds = jax.vmap(jax.random.key)(np.array(config.seed_list, np.uint32))
        self.init_keys, self.keys = (jax.vmap(jax.random.fold_in, (0, None))(seeds, i) for i in range(2))
        env = make(config.env, config.num_envs, config.seed_list, config.env_kwargs)
        config = dataclasses.replace(config, env=getattr(env, "env_id", config.env))
        self.algo, self.config = algo, config
        self.inner = (DeviceLoop if is_jax(config.env) else HostLoop)(env, config)
        self.dims = {"obs_dim": env.obs_dim, "action_dim": env.action_dim}
        self.envs = None if is_jax(config.env) else env
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

    def say(self, note: str) -> None:
        """A line on stderr that the person who trains should read."""
        tqdm.write(f"softq: {note}", file=sys.stderr)

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

    def train(self, loop: Loop, step: int, stop: Interrupt, progress: Progress) -> tuple[Loop, bool]:
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

    def step(self, loop: Loop, num: int, uniform: bool) -> Loop:
        try:
            return self.inner.run(self.algo, loop, self.keys, num, uniform)
        except EnvironmentFailed as error:
            self.save(error.loop, int(error.loop.step[0]), False, broken=True)
            raise self.kept(error, resumable=True) from error.__cause__
        except SoftqError as error:
            raise self.kept(error) from error.__cause__

    def kept(self, error: SoftqError, resumable: bool = False) -> SoftqError:
        """`error` with what is left of the run."""
        if self.run is None:
            return error
        latest = self.checkpoints.latest
        updates = max(0, (latest or 0) - self.config.warmup_steps)
        where = "not checkpointed yet" if latest is None else f"kept up to update {updates}"
        how = f"; continue with: softq train --resume {self.run.folder}" if resumable else "."
        return SoftqError(f"{error} The run in {self.run.folder} is {where}{how}")

    def record(self, kind: str, step: int, seed: int, **content: Any) -> None:
        """One row of the log, in memory and on disk."""
        updates = max(0, step - self.config.warmup_steps)
        row = {"kind": kind, "seed": seed, "updates": updates, "env_steps": step * self.config.num_envs}
        row |= content | {"seconds": round(self.seconds, 3)}
        self.rows.append(row)
        if self.run:
            self.run.append(row)

    def log(self, loop: Loop, step: int, progress: Progress) -> Loop:
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

    def evaluate(self, loop: Loop, step: int, stop: Interrupt, progress: Progress) -> None:
        """A row per seed with the mean return of the evaluation episodes; none when it is interrupted."""
        config = self.config
        progress.note(note="evaluating")
        try:
            self.evaluator = self.evaluator or Evaluator(
                config.env, config.seed_list, config.eval_episodes, env_kwargs=config.env_kwargs
            )
            returns = self.evaluator(self.algo, loop.state, stop)
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

    def save(self, loop: Loop, step: int, done: bool, broken: bool = False) -> None:
        """A checkpoint of everything, then status.json; without the environments where they are `broken`."""
        if self.run is None:
            return
        meta = {"step": step, "logged": self.logged, "evaluated": self.evaluated, "seconds": self.seconds}
        meta["position"] = self.run.position
        envs = {"text": [], "physics": np.zeros(0, np.uint8)}
        try:
            envs = envs if broken or self.inexact else self.inner.get_state()
        except SoftqError as error:
            self.unsaved(str(error))
        if broken or self.inexact:
            meta["afresh"] = "an environment failed" if broken else self.inexact
        rest = {"loop": replace(loop, state=()), "physics": envs["physics"]}
        self.checkpoints.save(step, loop.state, rest, meta | {"text": envs["text"]})
        updates = max(0, step - self.config.warmup_steps)
        counts = {"updates": updates, "iterations": self.config.iterations}
        self.run.status(finished=done, **counts, env_steps=step * self.config.num_envs, seconds=self.seconds)

    def restore(self) -> tuple[Loop, int]:
        """The loop and step of the newest checkpoint, environments and log put back; from the start without
        one.
        """
        if self.checkpoints.latest is None:
            self.run.open_log(0)
            return self.inner.init(self.algo, self.keys, self.init_keys), 0
        meta = self.checkpoints.meta()
        afresh = meta.get("afresh", meta.get("error"))
        template = self.inner.template(self.algo, self.keys, self.init_keys)
        physics = jax.ShapeDtypeStruct((0,), np.uint8)
        if not afresh:
            try:
                physics = self.inner.get_state()["physics"]
            except SoftqError as error:
                raise SoftqError(f"the state of {self.config.env} cannot be put back ({error}).") from error
        rest = {"loop": replace(template, state=()), "physics": physics}
        state, rest = self.checkpoints.restore(learner=template.state, rest=rest)
        try:
            if not afresh:
                self.inner.set_state({"text": meta["text"], "physics": rest["physics"]})
        except SoftqError as error:
            afresh = f"{self.config.env}: {error}"
        self.run.open_log(meta["position"])
        self.rows = read_log(self.run.folder)
        self.logged, self.evaluated, self.seconds = meta["logged"], meta["evaluated"], meta["seconds"]
        loop = replace(rest["loop"], state=state)
        if afresh:
            self.say(f"the learner and the replay go on; the episodes start anew ({afresh}).")
            loop = self.inner.afresh(loop, meta["step"])
        return jax.tree.map(jnp.array, loop), meta["step"]

"""A run under way: steps of the training loop, and between them rows of the log, evaluations and checkpoints."""

import dataclasses
import shlex
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from softq.algorithms import Algorithm
from softq.envs import is_jax, make
from softq.envs.trial import cannot_be_saved
from softq.training import memory
from softq.training.callbacks import OF_CONFIG, gathered
from softq.training.changes import settings_changed, told, versions_changed
from softq.training.checkpoint import Checkpoints
from softq.training.config import TrainConfig, plain_algorithm
from softq.training.device_loop import DeviceLoop
from softq.training.devices import over_devices
from softq.training.evaluate import NO_LIMIT, Diverged, Evaluator
from softq.training.hook import CallbackFailed, Event, Hook, Kind
from softq.training.host_loop import EnvironmentFailed, HostLoop
from softq.training.init_from import learner_of
from softq.training.loop import LoopState
from softq.training.normalise import bare, prepared
from softq.training.progress import Interrupt, Pace, Progress
from softq.training.run_directory import RunDirectory, described, read_log, versions
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.machine_errors import check_backend, explained
from softq.utils.pytree import replace


class Trainer:
    """A run under way: the algorithm, the training loop, the counters, and the run directory if there is one.

    Raises `SoftqError` when JAX's backend is missing, or the environment cannot be made.
    """

    def __init__(self, algo: Algorithm, config: TrainConfig, callbacks: Sequence[Any] = ()):
        check_backend()
        self.hook = Hook(gathered(config, callbacks))
        algo = prepared(plain_algorithm(bare(algo)), config)
        seeds = jax.vmap(jax.random.key)(np.array(config.seed_list, np.uint32))
        self.init_keys, keys = (jax.vmap(jax.random.fold_in, (0, None))(seeds, i) for i in range(2))
        self.sharding = over_devices(config.seeds)
        self.keys = self.placed(keys)
        env: Any = make(config.env, config.num_envs, config.seed_list, config.env_kwargs)
        config = dataclasses.replace(config, env=getattr(env, "env_id", config.env))
        self.algo, self.config = algo, config
        self.loop = (DeviceLoop if is_jax(config.env) else HostLoop)(env, config)
        self.dims = {"obs_dim": env.obs_dim, "action_dim": env.action_dim}
        self.envs: Any = None if is_jax(config.env) else env
        self.inexact: str | None = None  # why the state of the environments is not in the checkpoints, if so
        self.evaluator: Evaluator | None = None
        self.run: RunDirectory | None = None
        self.checkpoints: Checkpoints | None = None
        self.rows: list[dict] = []
        self.source: dict | None = None  # where the learner is from, if not from a start of its own
        self.quiet = False  # whether a callback has failed, after which none is called again
        # the last step that was logged, the last one that was evaluated, and the seconds of training so far
        self.logged, self.evaluated, self.seconds = 0, 0, 0.0

    def attach(self, run: RunDirectory) -> None:
        """Write the log and the checkpoints to `run`."""
        self.run, self.checkpoints = run, Checkpoints(run.folder / "checkpoints")

    def start(self, init_from: Path | str | None = None) -> LoopState:
        """The loop state before the first step, with the learner of the run `init_from` if there is one.

        Raises `SoftqError` when the memory does not suffice, and when that learner does not fit.
        """
        shapes = self.loop.shapes(self.algo, self.keys, self.init_keys)
        memory.check(shapes, self.config)
        learner = None
        if init_from:
            learner, self.source = learner_of(init_from, self.algo, self.config, shapes.state)
        loop = jax.block_until_ready(self.loop.init(self.algo, self.keys, self.init_keys))
        return self.placed(loop if learner is None else replace(loop, state=learner))

    def placed(self, tree: Any) -> Any:
        """`tree`, whose arrays have a leading axis over the seeds, on the devices that train them."""
        return jax.device_put(tree, self.sharding)

    def save_start(self, loop: LoopState) -> None:
        """Write a checkpoint before the first step, so that a run no longer needs the one that its learner is from."""
        self.quiet = True
        self.save(loop, 0, False)
        self.quiet = self.run.kept = False

    def say(self, note: str) -> None:
        """Give `note` as a `SoftqWarning`."""
        warnings.warn(note, SoftqWarning, stacklevel=2)

    def announce(self) -> None:
        """Warn of an environment without a time limit, and of one whose state a trial shows cannot be saved."""
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
        """Note, and warn once, that checkpoints lack the state of the environments, because of `reason`."""
        if self.inexact is None:
            self.say(
                f"the state of {self.config.env} cannot be saved ({reason}); --resume will go on with the learner "
                "and the replay, but with new episodes."
            )
        self.inexact = reason

    def close(self) -> None:
        """Close the environments of the training and of the evaluation."""
        for one in (self.envs, self.evaluator):
            if one is not None:
                one.close()

    def train(
        self, loop: LoopState, step: int, stop: Interrupt, progress: Progress
    ) -> tuple[LoopState, bool]:
        """Train from `step` to the end, or until `stop()`; returns the loop state, and whether the run is finished."""
        config, pace, began = self.config, Pace(), time.perf_counter() - self.seconds
        if self.hook.stopped or (step == config.total_steps and self.evaluated == step):
            self.hook.callbacks = []  # nothing is left to be done
        self.tell("start", loop, step)
        progress.at(step, note="compiling")
        while True:
            self.seconds = time.perf_counter() - began
            if step > self.logged and self.due(step, config.log_every):
                loop = self.log(loop, step, progress)
            if step > self.evaluated and step > config.warmup_steps and self.due(step, config.eval_every):
                self.evaluate(loop, step, stop, progress)
            done = self.hook.stopped is not None or (step == config.total_steps and not stop())
            if done or stop() or (step and self.due(step, config.checkpoint_every)):
                self.save(loop, step, done)
            if done or stop():
                self.tell("end", loop, step)
                return loop, done
            num = pace.next(self.until_next(step))
            loop = self.step(loop, num, step < config.warmup_steps)
            pace.ran()
            step += num
            if step == config.warmup_steps:
                pace = Pace()
            progress.at(step, note="compiling" if step == config.warmup_steps else "")

    def due(self, step: int, every: int) -> bool:
        """Whether a task with the period `every` is due at `step`.

        Steps of the warm-up are counted from 0, and later ones from its end; both ends are always due.
        """
        warmup, total = self.config.warmup_steps, self.config.total_steps
        return step in (warmup, total) or (step if step < warmup else step - warmup) % every == 0

    def until_next(self, step: int) -> int:
        """The number of steps from `step` to the next one at which a log, an evaluation or a checkpoint is due."""
        config = self.config
        start, end = (
            (0, config.warmup_steps)
            if step < config.warmup_steps
            else (config.warmup_steps, config.total_steps)
        )
        periods = (config.log_every, config.eval_every, config.checkpoint_every)
        return min(end - step, *(every - (step - start) % every for every in periods))

    def step(self, loop: LoopState, num: int, uniform: bool) -> LoopState:
        """The loop state after `num` more steps, with uniform actions and no updates if `uniform`.

        Raises `SoftqError` when a step fails; after a failure of an environment a checkpoint is written first.
        """
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

    def tell(self, kind: Kind, loop: LoopState, step: int, rows: list[dict] | None = None) -> None:
        """Call the callbacks for an event of this kind, of which one may end the run.

        Raises `SoftqError` for one that fails, after a checkpoint was written.
        """
        counts = {"step": step, "updates": self.updates(step), "env_steps": step * self.config.num_envs}
        given = {"algo": self.algo, "config": self.config, "folder": self.run.folder if self.run else None}
        event = Event(kind, **counts, seconds=self.seconds, rows=rows or [], **given, learner=loop.state)
        try:
            self.hook.tell(event)
        except CallbackFailed as error:
            if step:
                self.quiet = True
                self.save(loop, step, False)
            raise self.kept(error, resumable=True) from error.__cause__

    def kept(self, error: SoftqError, resumable: bool = False) -> SoftqError:
        """`error` with a sentence that says up to which update the run is kept, and how to continue it."""
        if self.run is None or not self.run.kept:
            return error
        latest = self.checkpoints.latest
        where = "not checkpointed yet" if latest is None else f"kept up to update {self.updates(latest)}"
        how = (
            f"; continue with: softq train --resume {shlex.quote(str(self.run.folder))}" if resumable else "."
        )
        return SoftqError(f"{error} The run in {self.run.folder} is {where}{how}")

    def record(self, kind: str, step: int, seed: int, **content: Any) -> None:
        """Add a row to the log, in memory and on disk."""
        row = {"kind": kind, "seed": seed, "updates": self.updates(step)}
        row |= {"env_steps": step * self.config.num_envs}
        row |= content | {"seconds": round(self.seconds, 3)}
        self.rows.append(row)
        if self.run:
            self.run.append(row)

    def log(self, loop: LoopState, step: int, progress: Progress) -> LoopState:
        """Log a row for each seed with means since the last row, and return the loop state with sums set to zero."""
        tally = jax.tree.map(np.asarray, loop.tally)
        first = len(self.rows)
        for i, seed in enumerate(self.config.seed_list):
            episodes, updates = int(tally.episodes[i]), int(tally.updates[i])
            mean = float(tally.returns[i]) / episodes if episodes else None
            metrics = {name: float(x[i]) / updates for name, x in tally.metrics.items()} if updates else {}
            self.record("train", step, seed, **{"return": mean}, episodes=episodes, **metrics)
        self.logged = step
        if tally.episodes.sum():
            progress.note(train=f"{tally.returns.sum() / tally.episodes.sum():.1f}")
        loop = replace(loop, tally=jax.tree.map(jnp.zeros_like, loop.tally))
        self.tell("log", loop, step, self.rows[first:])
        return loop

    def evaluate(self, loop: LoopState, step: int, stop: Interrupt, progress: Progress) -> None:
        """Log a row for each seed with the mean return of evaluation episodes, unless `stop()` ends them early.

        Raises `SoftqError` when an action or an environment fails.
        """
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
        self.tell("evaluation", loop, step, self.rows[-len(returns) :])
        progress.note(eval=f"{returns.mean():.1f}", note="")

    def save(self, loop: LoopState, step: int, done: bool, broken: bool = False) -> None:
        """Write a checkpoint and then status.json, if there is a run directory.

        The state of the environments is left out when they are `broken`, or cannot be saved.
        """
        if self.run is None:
            return
        meta: dict[str, Any] = {
            "step": step,
            "logged": self.logged,
            "evaluated": self.evaluated,
            "seconds": self.seconds,
        }
        meta |= {"position": self.run.position, "config": described(self.algo, self.config, self.dims)}
        try:
            meta |= {"versions": versions(), "callbacks": self.hook.save(), "stopped": self.hook.stopped}
        except CallbackFailed as error:
            raise self.kept(error) from error.__cause__
        self.run.kept = True
        envs = {"text": [], "physics": np.zeros(0, np.uint8)}
        try:
            envs = envs if broken or self.inexact else self.loop.get_state()
        except SoftqError as error:
            self.unsaved(str(error))
        if broken or self.inexact:
            meta["afresh"] = "an environment failed" if broken else self.inexact
        rest = {"loop": replace(loop, state=()), "physics": envs["physics"]}
        self.checkpoints.save(step, meta | {"text": envs["text"]}, learner=loop.state, rest=rest)
        self.write_status(step, done)
        if not self.quiet:
            self.tell("checkpoint", loop, step)

    def write_status(self, step: int, done: bool) -> None:
        """Write status.json; `done` means that the run is finished, or was ended early."""
        counts: dict[str, Any] = {"updates": self.updates(step), "iterations": self.config.iterations}
        if self.hook.stopped:
            counts["stopped"] = self.hook.stopped
        self.run.status(finished=done, **counts, env_steps=step * self.config.num_envs, seconds=self.seconds)

    def updates(self, step: int) -> int:
        """The number of updates after `step` steps."""
        return max(0, step - self.config.warmup_steps) * self.config.updates_per_step

    def restore(self) -> tuple[LoopState, int]:
        """`(loop, step)` of the newest checkpoint, or of a new start when there is none.

        The environments and the log are put back to the checkpoint. When settings have changed since, config.json and a
        row of the log say so. Raises `SoftqError` when the checkpoint does not fit the run.
        """
        content = described(self.algo, self.config, self.dims)
        self.checkpoints.mend()
        if self.checkpoints.latest is None:
            self.run.cut(0)
            self.run.describe(content)
            source = self.run.read("versions.json").get("init_from", {}).get("run")
            loop = self.start(source)
            if source:
                self.save_start(loop)
            return loop, 0
        meta = self.checkpoints.meta()
        changed = self.changes(meta, content)
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
        loop = self.placed(loop)
        if loop.replay.added.max() <= capacity < self.config.capacity:
            loop = replace(loop, replay=jax.vmap(lambda x: x.grown(self.config.capacity))(loop.replay))
        self.run.describe(content)
        self.hook.restore(meta.get("callbacks", {}))
        self.go_on(meta, changed)
        return loop, meta["step"]

    def changes(self, meta: dict, content: dict) -> dict[str, list]:
        """`[old, new]` of the settings that config.json's `content` has changed since the checkpoint of `meta`.

        Raises `SoftqError` for one that may not change, and when no update is left to be made.
        """
        run: Any = self.run
        changed = settings_changed(run, meta.get("config"), content, bare(self.algo))
        made, total = meta["step"] - self.config.warmup_steps, self.config.iterations
        if meta["step"] > self.config.total_steps:
            raise SoftqError(
                f"{self.run.folder} has made {made} iterations already; --iterations {total} must be at least that."
            )
        if changed and "iterations" not in changed and meta["step"] == self.config.total_steps:
            raise SoftqError(
                f"{self.run.folder} has made all its {made} iterations, and another {next(iter(changed))} changes none "
                "of them; give a larger --iterations too."
            )
        return changed

    def go_on(self, meta: dict, changed: dict[str, list]) -> None:
        """Tell and log what has `changed` since the checkpoint of `meta`, or that the run was ended early."""
        step, folder = meta["step"], self.run.folder
        others = versions_changed(meta.get("versions") or self.run.read("versions.json"), self.envs is None)
        here = {*OF_CONFIG, *(callback.name for callback in self.hook.callbacks)}
        saved = meta.get("callbacks", {})
        if lost := [name for name in saved if saved[name] and name not in here]:
            self.say(
                f"{folder} was trained with the callback {lost[0]}, which is not given now; it goes on without."
            )
        if changed:
            self.say(f"{told(changed)} from update {self.updates(step):,} on.")
            self.write_status(step, False)
        elif meta.get("stopped"):
            self.hook.stopped = meta["stopped"]
            self.say(
                f"{folder} was ended early at update {self.updates(step):,} ({self.hook.stopped}); it goes on with a "
                "larger --iterations or another changed option."
            )
        if self.hook.stopped or step == self.config.total_steps:
            return
        if others:
            self.say(
                f"{folder} goes on with other versions ({told(others)}): from here on its numbers may differ from "
                "those of an uninterrupted run, by rounding, other random numbers or other physics."
            )
        if changed | others:
            for seed in self.config.seed_list:
                self.record("change", step, seed, **{"return": None}, episodes=0, changes=changed | others)

    def physics(self) -> jax.ShapeDtypeStruct:
        """The shape and type of MuJoCo's state in the checkpoint: uint8 `(N, bytes)`, or `(0,)` when there is none."""
        width = self.checkpoints.rows("['physics']")
        return jax.ShapeDtypeStruct((0,) if width is None else (self.envs.num_envs, width), np.uint8)

    def template(self) -> tuple[LoopState, int]:
        """`(shapes, capacity)`: the loop state in the checkpoint as shapes and types, and the capacity of its replay.

        The capacity differs from that of the configuration when the number of iterations has changed. Raises
        `SoftqError` when the memory does not suffice.
        """
        loop = self.loop.shapes(self.algo, self.keys, self.init_keys)
        capacity = self.checkpoints.rows(".replay.data.obs") or self.config.capacity
        resized = lambda x: jax.ShapeDtypeStruct((x.shape[0], capacity, *x.shape[2:]), x.dtype)
        data = jax.tree.map(resized, loop.replay.data)
        # on a CPU the arrays that are read from disk and those in use are in memory together
        memory.check(loop, self.config, copies=2 if jax.default_backend() == "cpu" else 1)
        return replace(loop, replay=replace(loop.replay, data=data)), capacity

"""Memory: what a run needs is known before it starts, and a lack of it is one line with both numbers."""

import gymnasium as gym
import jax
import numpy as np
import pytest

from softq.algorithms import DDPG
from softq.training import TrainConfig, memory, resume, train
from softq.training.trainer import Trainer
from softq.utils.errors import SoftqError, SoftqWarning
from softq.utils.machine_errors import explain, explained
from softq.utils.memory import of_container

TINY = DDPG(hidden_sizes=(8,))
SETTINGS = {
    "num_envs": 2,
    "warmup": 8,
    "iterations": 20,
    "batch_size": 4,
    "eval_episodes": 1,
    "progress": False,
}


class Image(gym.Env):
    """Images of one grey, in whole numbers of 8 bits or as the same numbers in float32."""

    action_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self, dtype=np.uint8, side=4):
        self.observation_space = gym.spaces.Box(0, 255, (side, side, 3), dtype)
        self.grey = 0

    def look(self):
        return np.full(self.observation_space.shape, self.grey % 256, self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.grey = int(self.np_random.integers(256))
        return self.look(), {}

    def step(self, action):
        self.grey += 1 + int(100 * abs(float(action[0])))
        return self.look(), self.grey % 7 - 3.0, self.grey % 5 == 0, False, {}


gym.register("Image-v0", Image, max_episode_steps=9)
gym.register("FloatImage-v0", Image, max_episode_steps=9, kwargs={"dtype": np.float32})
gym.register("LargeImage-v0", Image, max_episode_steps=9, kwargs={"side": 96})


def free(monkeypatch, number):
    monkeypatch.setattr(memory, "available", lambda: (number, "this machine"))


def test_images_of_8_bits_are_kept_in_8_bits_and_learned_from_as_floats(tmp_path):
    bytes_, floats = (
        train(TINY, env, out=tmp_path / env, **SETTINGS) for env in ("Image-v0", "FloatImage-v0")
    )
    for one, other in zip(jax.tree.leaves(bytes_.states), jax.tree.leaves(floats.states), strict=True):
        np.testing.assert_array_equal(one, other)
    trainers = [Trainer(TINY, run.config) for run in (bytes_, floats)]
    small, large = (one.loop.shapes(TINY, one.keys, one.init_keys).replay.data for one in trainers)
    assert small.obs.dtype == small.next_obs.dtype == np.uint8 and large.obs.dtype == np.float32
    assert memory.size(small) == 48 * (2 * 48 + 3 * 4)  # rows times bytes of a row
    longer = resume(tmp_path / "Image-v0", progress=False, iterations=30)
    whole = train(TINY, "Image-v0", **SETTINGS | {"iterations": 30})
    for one, other in zip(jax.tree.leaves(longer.states), jax.tree.leaves(whole.states), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_replay_that_does_not_fit_is_refused_before_anything_starts(monkeypatch, tmp_path):
    free(monkeypatch, 18 * 10**9)
    settings = SETTINGS | {"iterations": 10**6, "buffer_size": 10**6, "seeds": 3}
    replay = 3 * 10**6 * (2 * 96 * 96 * 3 + 3 * 4) / 1e9
    line = (
        rf"{replay:.1f} GB of it for a replay of 1,000,000 transitions for each of 3 seeds.* has 18.0 GB free"
    )
    with pytest.raises(SoftqError, match=line + r"\. Lower --buffer-size or --seeds"):
        train(TINY, "LargeImage-v0", out=tmp_path / "runs" / "x", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("hidden", "settings", "knob"),
    [
        ((10**7, 10**7), {}, "--hidden-sizes"),
        ((8,), {"batch_size": 10**13}, "--batch-size"),
        ((8,), {"num_envs": 10**9, "buffer_size": 10**9}, "--buffer-size"),
        ((8,), {"seeds": 10**6, "buffer_size": 10**9, "iterations": 10**9}, "--buffer-size"),
    ],
)
def test_whatever_is_too_large_is_named(hidden, settings, knob, monkeypatch):
    free(monkeypatch, 10**9)
    with pytest.raises(SoftqError, match=rf"has 1.0 GB free. Lower {knob} or --seeds"):
        train(DDPG(hidden_sizes=hidden), "MultiGoal", **SETTINGS | settings)


def test_a_tight_run_warns_and_a_resumed_one_counts_what_it_reads(monkeypatch, tmp_path):
    trainer = Trainer(
        TINY, TrainConfig(env="MultiGoal", algorithm="ddpg", num_envs=2, iterations=20, warmup=8)
    )
    loop = trainer.loop.shapes(TINY, trainer.keys, trainer.init_keys)
    needed = memory.size((loop.replay, loop.state, loop.env, loop.obs, loop.returns)) + 256 * 8 * 4
    free(monkeypatch, needed)
    with pytest.warns(SoftqWarning, match=r"needs .* free; lower"):
        memory.check(loop, trainer.config)
    with pytest.raises(SoftqError, match=r"resuming ddpg in MultiGoal needs"):
        memory.check(loop, trainer.config, copies=2)
    free(monkeypatch, needed - 1)
    with pytest.raises(SoftqError):
        memory.check(loop, trainer.config)
    free(monkeypatch, None)
    memory.check(loop, trainer.config)


def test_the_tightest_limit_of_a_container_counts(tmp_path):
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    (root / "a" / "b").mkdir(parents=True)
    for folder, limit, used, cache in ((root / "a", "max", 5, 0), (root / "a" / "b", "1000", 700, 200)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")
    own.write_text("0::/a/b\n")
    assert of_container(root, own) == 500
    own.write_text("0::/a\n")
    assert of_container(root, own) is None
    (root / "memory").mkdir()
    for name, text in (("limit_in_bytes", "90"), ("usage_in_bytes", "60"), ("stat", "total_inactive_file 1")):
        (root / "memory" / f"memory.{name}").write_text(text)
    own.write_text("5:memory:/elsewhere\n3:cpu:/\n")  # a container does not see where it lies
    assert of_container(root, own) == 31
    assert of_container(root, tmp_path / "none") is None


def test_errors_of_the_machine_are_one_line_and_others_stay():
    for error in (
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
        RuntimeError("INTERNAL: Error dispatching computation: Out of memory allocating 9 bytes."),
    ):
        assert "9" in explain(error) and "--buffer-size" in explain(error)
    assert "free room there" in explain(OSError(28, "No space left on device", "x.csv"))
    assert explain(ValueError("memory")) is None and explain(RuntimeError("other")) is None
    with pytest.raises(SoftqError, match=r"--buffer-size"), explained():
        jax.block_until_ready(jax.jit(lambda: jax.numpy.zeros(10**14))())
    with pytest.raises(KeyError), explained():
        raise KeyError

"""The seeds of a training over four devices, which XLA makes of this one processor in a process of its own."""

import json
import os
import subprocess
import sys

import jax
import numpy as np

from softq.algorithms import DDPG
from softq.training import TrainConfig
from softq.training.devices import over_devices
from softq.training.loop import LoopState
from softq.training.trainer import Trainer


def learned() -> LoopState:
    """The training of four seeds after three updates."""
    config = TrainConfig(env="Pendulum-v1", seeds=4, num_envs=2, warmup=8, batch_size=4, iterations=3)
    trainer = Trainer(DDPG(hidden_sizes=(8,)), config)
    loop = trainer.step(trainer.start(), config.warmup_steps, True)
    loop = trainer.step(loop, 3, False)
    trainer.close()
    return loop


def main(out: str) -> None:
    """Print how many devices some numbers of seeds use, and how many seeds each has; write the learners to `out`."""
    ways = [over_devices(seeds) for seeds in range(1, 9)]
    loop = learned()
    shards = [leaf.addressable_shards for leaf in jax.tree.leaves((loop.state, loop.replay))]
    report = {
        "devices": [len(way.device_set) if way else 1 for way in ways],
        "seeds": [[len(shard.data) for shard in of_one] for of_one in shards],
    }
    with jax.default_device(jax.devices()[1]):
        report["told"] = over_devices(4) is None
    np.savez(out, *map(np.asarray, jax.tree.leaves(loop.state)))
    print(json.dumps(report))


def test_seeds_learn_on_four_devices_what_they_learn_on_one(tmp_path):
    variables = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    command = [sys.executable, __file__, str(tmp_path / "four.npz")]
    done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["devices"] == [1, 2, 3, 4, 1, 3, 1, 4]
    assert all(seeds == [1, 1, 1, 1] for seeds in report["seeds"])
    assert (
        report["told"] and over_devices(4) is None
    )  # a default device that was told; a process with one device
    with np.load(tmp_path / "four.npz") as file:
        four = [file[name] for name in file]
    one = jax.tree.leaves(learned().state)
    for x, y in zip(four, one, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert all(
        len(np.unique(x, axis=0)) == 4 for x in four if x.ndim == 4 and x.any()
    )  # no seed is another's copy


if __name__ == "__main__":
    main(sys.argv[1])

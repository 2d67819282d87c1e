"""What `softq bench peers` runs in the environment of the two other libraries; it prints times as JSON.

`sbx METHOD ENV STEPS WARMUP` trains by SBX. `blackjax SECONDS ROUNDS` compares chains of BlackJAX and softq.
"""

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def sbx(method: str, env: str, steps: int, warmup: int) -> float:
    """Seconds of a step of one environment with its update, over the second half of `steps` steps."""
    import sbx
    from stable_baselines3.common.callbacks import BaseCallback

    class Clock(BaseCallback):
        """Notes the time at the middle and at the end of the steps with updates."""

        times: dict[int, float]

        def _on_training_start(self) -> None:
            self.times = {}

        def _on_step(self) -> bool:
            self.times[self.num_timesteps - warmup] = time.perf_counter()
            return True

    clock = Clock()
    model = getattr(sbx, method.upper())("MlpPolicy", env, learning_starts=warmup)
    model.learn(total_timesteps=warmup + steps, callback=clock)
    return (clock.times[steps] - clock.times[steps // 2]) / (steps - steps // 2)


def mala(seconds: float, rounds: int) -> dict[str, list[float]]:
    """Times of 20 steps of 256 chains by each library, on the same critic and with equal step sizes.

    softq's chains stay in the box by reflection, and BlackJAX's move in the whole space.
    """
    import blackjax

    from softq.experiments.speed.timing import compare
    from softq.networks import Critic
    from softq.samplers import mala

    key, temperature, step, num = jax.random.key(0), 0.1, 0.01, 20
    critic = jax.jit(Critic.create, static_argnums=3)(key, jnp.zeros(17), jnp.zeros(6), (256, 256, 256))
    obs, keys = jax.random.normal(key, (256, 17)), jax.random.split(key, 256)

    def softqs(obs: Array, key: Array) -> Array:
        return mala(key, critic.at(obs), temperature, jnp.zeros(6), jnp.full(num, step))[0]

    def blackjaxs(obs: Array, key: Array) -> Array:
        q = critic.at(obs)
        # its proposal is a + step * score + sqrt(2 * step) * noise
        kernel = blackjax.mala(lambda action: q(action) / temperature, step / 2)

        def move(state: Any, key: Array) -> tuple[Any, None]:
            return kernel.step(key, state)[0], None

        return jax.lax.scan(move, kernel.init(jnp.zeros(6)), jax.random.split(key, num))[0].position

    ours, theirs = (jax.jit(jax.vmap(function)) for function in (softqs, blackjaxs))
    return compare(
        {"measured": lambda: ours(obs, keys), "BlackJAX": lambda: theirs(obs, keys)}, seconds, rounds
    )


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "sbx":
        made: Any = sbx(words[0], words[1], int(words[2]), int(words[3]))
    else:
        made = mala(float(words[0]), int(words[1]))
    print(json.dumps(made))

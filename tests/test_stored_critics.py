"""Critics that ship with the book: what is stored is what was trained, and a file that holds none is named."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from softq.lab import Films
from softq.policies.critics import read, store
from softq.utils.errors import SoftqError

RESULTS = Path(__file__).parents[1] / "results"


class Stand:
    """What `store` asks of a policy: its critic, how it acts, and where it comes from."""

    def __init__(self, critic) -> None:
        self.critic, self.seed, self.temperature = critic, 3, 0.25
        self.config = type(
            "Config", (), {"algorithm": "malaq", "env": "Reacher-v5", "iterations": 7, "env_kwargs": {}}
        )
        self.algo = type("Algo", (), {"reward_scale": 1.0})

    def __call__(self, obs, key):
        return np.zeros(2, np.float32)


def test_a_stored_critic_comes_back(tmp_path: Path) -> None:
    shipped = read(RESULTS / "critics" / "malaq-reacher.npz")
    store(Stand(shipped.critic), tmp_path / "again.npz", 3)
    again = read(tmp_path / "again.npz")
    assert again.about["seed"] == 3 and again.about["updates"] == 7 and again.about["temperature"] == 0.25
    assert again.times.tolist() == [0, 24, 49] and again.observations.shape == (
        3,
        10,
    )  # an episode has 50 steps
    obs, action = jnp.asarray(shipped.observations[0]), jnp.array([0.2, -0.7])
    assert np.array_equal(shipped.critic(obs, action), again.critic(obs, action))
    assert not np.array_equal(shipped.critic(obs, action), shipped.critic(obs, -action))


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "table.npz").write_text("no archive")
    with pytest.raises(SoftqError, match=r"table\.npz holds no critic"):
        read(tmp_path / "table.npz")


def test_films_are_in_the_page_and_wait_for_the_reader() -> None:
    text = Films(
        {"Temperature 1": RESULTS / "films" / "halfcheetah-malaq-1.mp4"}, alt="A gait."
    )._repr_html_()
    assert text.count("<video") == 1 and "controls" in text and "autoplay" not in text
    assert 'aria-label="Temperature 1"' in text and len(text) > 100_000
    with pytest.raises(SoftqError, match="no film"):
        Films({"x": RESULTS / "none.mp4"}, alt="")

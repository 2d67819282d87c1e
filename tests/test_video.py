"""Films of a policy: what is in their frames, how fast they run, and what is said where none can be made."""

import ctypes.util
import os
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from small import made

from softq.cli import main
from softq.envs import rendering
from softq.envs.gym_ids import BALL, WALL
from softq.envs.making import close_all
from softq.envs.rendering import choose_renderer
from softq.policies import frames, video
from softq.policies.frames import film_file, labelled, side_by_side
from softq.policies.policy import Policy
from softq.policies.video import Panel, drawn, film
from softq.training import TrainConfig
from softq.utils.errors import SoftqError


def untrained(name, env="MultiGoal", obs_dim=2, action_dim=2, **settings):
    """A policy with fresh networks."""
    algo = made(name, **settings)
    state = algo.init(jax.random.key(3), jnp.zeros(obs_dim), jnp.zeros(action_dim))
    return Policy(algo, state, TrainConfig(env=env, algorithm=name))


class Blind(gym.Env):
    """An environment that draws no pictures."""

    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Box(-1, 1, (2,))

    def __init__(self, render_mode=None):
        pass

    def reset(self, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}

    def render(self):
        return None


gym.register("Blind-v0", Blind)


@pytest.fixture(scope="module")
def policy():
    """LQL acts at any temperature."""
    return untrained("lql", unit_slope=False, step_size=0.1)


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a test chooses for MuJoCo is forgotten after it; an empty choice is none."""
    monkeypatch.setenv("MUJOCO_GL", "")


def read(path):
    """The frames of a GIF as arrays, and how long each lasts, in milliseconds."""
    with Image.open(path) as file:
        shown = []
        for i in range(file.n_frames):
            file.seek(i)
            shown.append((np.asarray(file.convert("RGB"), int), file.info["duration"]))
    return [pixels for pixels, _ in shown], [duration for _, duration in shown]


def balls(pixels, width, number):
    """Whether each of `number` panels of this width shows the ball."""
    near = (abs(pixels - np.array(BALL)) < 40).all(-1)
    gap = width // 40
    return [near[:, i * (width + gap) : i * (width + gap) + width].any() for i in range(number)]


def test_the_command_films_one_panel_for_each_temperature(policy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(video, "chosen", lambda options: policy)
    out = str(tmp_path / "new" / "three.gif")
    words = ["--temperature", "0.01", "0.1", "1", "--steps", "9", "--fps", "10", "--width", "120"]
    assert main(["video", "runs/any", "--out", out, "--no-progress", *words]) == 0
    # 20 steps of the environment are a second: every other one is drawn
    assert capsys.readouterr().out.startswith(f"{out}: 5 frames, 10 a second, 0.0 MB")
    pictures, durations = read(out)
    assert durations == [100] * 5 and {x.shape for x in pictures} == {(pictures[0].shape[0], 366, 3)}
    assert all(balls(x, 120, 3) == [True] * 3 for x in pictures)
    label = pictures[0][: pictures[0].shape[0] - 120]
    assert all((label[:, i * 123 : i * 123 + 120] < 100).any() for i in range(3)), (
        "there is a text above each panel"
    )
    # equal seeds make equal films; another one starts elsewhere
    films = [tmp_path / f"{i}.gif" for i in range(3)]
    for path, seed in zip(films, (0, 0, 1), strict=True):
        film(policy, path, (0.01, 0.1, 1), steps=9, fps=10, width=120, seed=seed, progress=False)
    zero, again, other = (path.read_bytes() for path in films)
    assert zero == again == Path(out).read_bytes() != other


def test_a_panel_plays_one_episode_after_the_other():
    """Its label says what a play by hand with Gymnasium's interface finds."""
    policy = untrained("ddpg")
    envs = drawn(policy.config, 1, 100)
    panel = Panel(policy, envs[0], None, None, 100)
    env = gym.make("softq/MultiGoal-v0", max_episode_steps=-1)
    obs, _ = env.reset(seed=3)
    episode, total, steps, ended = 1, 0.0, 0, False
    for t in range(50):
        panel.step(3, jax.random.key(t))
        if ended:
            obs, _ = env.reset()
            episode, total, steps = episode + 1, 0.0, 0
        obs, reward, *ends, _ = env.step(policy(obs, deterministic=True))
        total, steps, ended = total + reward, steps + 1, any(ends)
        assert (panel.episode, panel.steps, panel.ended) == (episode, steps, ended)
        assert panel.total == pytest.approx(total)
    assert episode > 1
    close_all(envs)


def test_labels_say_who_acts(policy):
    env = SimpleNamespace(env_id="any", call=lambda what, function: function(), env=SimpleNamespace())
    title = lambda *given: Panel(policy, env, *given, 100).title
    assert title(None, None) == "LQL"
    assert title(0.05, None) == "LQL at temperature 0.05"
    assert title(2.0, "mala") == "LQL, mala at temperature 2"


def test_panels_stand_side_by_side():
    """Each picture keeps its proportions, and the label stands above it."""
    wide = np.zeros((50, 100, 3), np.uint8) + np.uint8([200, 0, 0])
    one = labelled(wide, ["text"], 201)
    assert one.width == 201 and np.asarray(one)[-100:].min(axis=(0, 1)).tolist() == [200, 0, 0]
    both = np.asarray(side_by_side([one, one]), int)
    assert both.shape[1] == 408 and both.shape[0] % 2 == 0
    gap = both[:, 201:206]
    assert (
        (gap == 255).all()
        and (both[-10, :201] == [200, 0, 0]).all()
        and (both[-10, 206:407] == [200, 0, 0]).all()
    )


def test_the_walls_of_a_run_are_drawn():
    """With the settings of the run: a wall of length 3, at a distance of 3 from the middle, on the way north."""
    config = TrainConfig(env="multigoal", env_kwargs={"blocked": "north", "max_steps": 2})
    (env,) = drawn(config, 1, 100)
    env.env.reset(seed=0)
    places = np.argwhere((env.env.render() == WALL).all(-1))
    np.testing.assert_allclose(places.mean(0), [(7 - 3) / 14 * 240 - 0.5, 119.5], atol=0.6)
    assert np.ptp(places[:, 1]) + 1 == pytest.approx(3 / 14 * 240, abs=1.1)
    ends = [env.env.step(np.zeros(2, np.float32))[3] for _ in range(2)]
    assert ends == [False, True]
    close_all([env])


def drawing():
    """Skips a test where no library draws MuJoCo's pictures; continuous integration installs one."""
    missing = not (rendering.egl_works() or ctypes.util.find_library("OSMesa"))
    here = missing and not os.environ.get("SOFTQ_REQUIRE_BROWSER")
    return pytest.mark.skipif(
        here, reason="neither EGL nor OSMesa is installed: apt-get install libegl1 libgl1"
    )


@drawing()
def test_mujoco_is_drawn_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    policy = untrained("ddpg", "InvertedPendulum-v5", 4, 1)
    # 25 steps are a second, and none is left out
    assert film(policy, tmp_path / "pole.gif", steps=22, width=64, progress=False) == (22, 25)
    pictures, _ = read(tmp_path / "pole.gif")
    assert pictures[0].shape[1] == 64 and all(x[-64:].std() > 10 for x in pictures)
    assert (abs(pictures[-1][-64:] - pictures[0][-64:]).max(-1) > 40).sum() > 20, "the pole falls"


@drawing()
def test_the_camera_follows_what_runs():
    choose_renderer()
    envs = drawn(TrainConfig(env="HalfCheetah-v5"), 1, 64)
    env = envs[0].env
    env.reset(seed=0)
    seen = []
    for place in (0.0, 100.0):
        position = env.unwrapped.data.qpos.copy()
        position[0] = place
        env.unwrapped.set_state(position, env.unwrapped.data.qvel)
        pixels = env.render().astype(int)
        seen.append((pixels[..., 0] > pixels[..., 2] + 40).sum())  # its skin is orange, the floor grey
    close_all(envs)
    assert min(seen) > 60 and max(seen) < 1.5 * min(seen)


@pytest.mark.parametrize(
    ("given", "libraries", "chosen"),
    [
        ("glfw", {"libEGL.so.1", "libGL.so.1"}, "glfw"),
        (None, {"libOSMesa.so.8"}, "osmesa"),
        (None, {"libEGL.so.1"}, None),  # which cannot draw without OpenGL
        (None, set(), None),
    ],
)
def test_what_draws_is_chosen_by_what_is_there(monkeypatch, given, libraries, chosen):
    monkeypatch.setattr(rendering.sys, "platform", "linux")
    monkeypatch.setattr(rendering, "opened", lambda name: name if name in libraries else None)
    monkeypatch.setenv("MUJOCO_GL", given or "")
    assert choose_renderer() == (chosen is not None)
    assert (os.environ["MUJOCO_GL"] or None) == chosen


def test_without_a_library_the_packages_are_named(tmp_path, monkeypatch):
    policy = untrained("ddpg")
    monkeypatch.setattr(video, "choose_renderer", lambda: False)
    film(policy, tmp_path / "goals.gif", steps=1, progress=False)  # which MuJoCo does not draw
    monkeypatch.setattr("softq.envs.gym_ids.MultiGoalGym.paint", lambda self: 1 / 0)
    with pytest.raises(SoftqError, match="apt-get install --no-install-recommends libegl1 libgl1"):
        film(policy, tmp_path / "no.gif", steps=1, progress=False)
    monkeypatch.setattr(video, "choose_renderer", lambda: True)
    with pytest.raises(SoftqError, match=r"render\(\) raised ZeroDivisionError"):
        film(policy, tmp_path / "no.gif", steps=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["goals.gif"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"out": "film.avi"}, "name a file that ends in .gif or .mp4"),
        ({"temperatures": [0.1, 0.0]}, "temperature must be positive and finite, got 0"),
        ({"temperatures": [0.1], "sampler": "malla"}, "Did you mean 'mala'"),
        ({"policy": untrained("sac"), "temperatures": [0.1]}, "SAC acts by an actor"),
        (
            {"policy": untrained("ddpg", "Blind-v0")},
            r"Blind-v0 cannot be filmed: its render\(\) returns no picture",
        ),
        ({"policy": untrained("ddpg", "envpool/Ant-v5")}, "EnvPool draws no pictures"),
        ({"steps": 0}, "steps must be positive"),
        ({"fps": -1.0}, "fps must be positive"),
    ],
)
def test_bad_input_is_one_line(policy, given, message, tmp_path):
    given = {"policy": policy, "out": "film.gif", "steps": 2, "progress": False} | given
    given["out"] = tmp_path / given["out"]
    with pytest.raises(SoftqError, match=message) as error:
        film(**given)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_an_mp4_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(frames.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SoftqError, match=r'pip install "softq\[video\]", or name a .gif'):
        film_file(tmp_path / "film.mp4")

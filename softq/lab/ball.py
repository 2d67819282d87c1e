"""`MazeLab`: a ball in the maze of `softq.envs` that is dropped by hand, and the trained policies that push it."""

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from jax import Array
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import stats

from softq import plots
from softq.envs.maze import GOALS, HALF, ROUTES, WALLS, Maze
from softq.lab.base import Lab
from softq.lab.controls import Choice, Integer, Slider
from softq.networks import Critic, DeterministicActor, GaussianActor
from softq.utils.errors import SoftqError
from softq.utils.pytree import replace

LINE = np.linspace(-1, 1, 9)
FORCES = np.stack(np.meshgrid(LINE, LINE, indexing="ij"), -1).reshape(
    -1, 2
)  # those of the softmax of a critic
KINDS = {"malaq": Critic, "sac": GaussianActor, "ddpg": DeterministicActor}
CONCEPTS = [route.lower().replace("_", " ") for route in ROUTES]  # of `softq.plots`
REACH = 0.3  # how far from the centre a ball can start, in each coordinate
CAPTION = (
    "A maze with two goals (stars), A at the top left and B at the bottom right. Drag the start, which is the dot "
    "inside the dashed square, and drop the balls. The small square shows the law of the first force. Start from the "
    "exact centre at a temperature of 0.1, then at 0.01: which routes are left? Then let the starts be noisy. The "
    "critics are those of MalaQ; the force is drawn from their exact softmax over 81 forces, not by MalaQ's own chain."
)
ALT = (
    "A square maze with five inner walls. Paths of fifty balls lead from the centre to the goals at the top left and "
    "at the bottom right, in the colour of their route, and bars count the routes."
)


def read(file: Path | str) -> dict[str, list[Any]]:
    """The networks of a file, by method and then by training; it holds each array as METHOD/TRAINING/LAYER/PART."""
    params: dict[str, dict[str, dict]] = {}
    with np.load(file, allow_pickle=False) as stored:
        for key in stored.files:
            name, training, layer, part = key.split("/")
            of_one = params.setdefault(name, {}).setdefault(training, {})
            of_one.setdefault(layer, {})[part] = jnp.asarray(stored[key], jnp.float32)
    networks: dict[str, list[Any]] = {}
    for name, trainings in params.items():
        kind = KINDS[name]
        empty = kind.sized(jnp.zeros(4), jnp.zeros(2), (64, 64), "mish" if kind is Critic else "relu")
        networks[name] = [replace(empty, params=weights) for weights in trainings.values()]
    return networks


@partial(jax.jit, static_argnames="num")
def roll(policy: Any, start: Array, noise: Array, temperature: Array, key: Array, num: int) -> tuple:
    """Paths `(num, 51, 2)`, routes `(num,)` and returns `(num,)` of balls that rest near `start` `(2,)` at first.

    The starts are normal around `start` with standard deviation `noise`, and clipped as `Maze.reset_to` does. Only the
    softmax of a critic reads the temperature.
    """
    env, forces = Maze(), jnp.asarray(FORCES, jnp.float32)

    def force(obs: Array, key: Array) -> Array:
        if isinstance(policy, Critic):
            values = jax.vmap(policy.at(obs))(forces)
            return forces[jax.random.categorical(key, values / temperature)]
        return policy.at(obs).sample(key)[0] if isinstance(policy, GaussianActor) else policy(obs)

    def one(key: Array) -> tuple[Array, Array, Array]:
        def move(carry: tuple, key: Array) -> tuple[tuple, tuple]:
            state, obs = carry
            state, obs, reward, *_ = env.step(state, force(obs, key))
            return (state, obs), (state.position, reward)

        place, drive = jax.random.split(key)
        first = env.reset_to(start + noise * jax.random.normal(place, (2,)))
        _, (path, rewards) = jax.lax.scan(move, first, jax.random.split(drive, env.max_steps))
        path = jnp.concatenate([first[0].position[None], path])
        return path, env.route(path), rewards.sum()

    return jax.vmap(one)(jax.random.split(key, num))


class MazeLab(Lab):
    """Balls that a policy rolls out from a start that is dragged, at any temperature, and a tally of their routes.

    `networks` holds trained policies of the maze by method and then by training: critics, whose policy is the exact
    softmax over `FORCES` at the temperature of the slider, and actors of SAC and DDPG, which have no temperature left.
    `alt` and `caption` are those of `Lab`.

    Raises `SoftqError` when there is no network.
    """

    kind = "ball"

    def __init__(
        self,
        networks: Mapping[str, Sequence[Any]],
        temperature: float = 0.1,
        balls: int = 50,
        alt: str = ALT,
        caption: str = CAPTION,
    ):
        self.networks = {name: list(policies) for name, policies in networks.items()}
        self.policies: dict[
            str, tuple[str, Any]
        ] = {}  # by the value of the control: what the reader sees, network
        for name, policies in self.networks.items():
            for k, policy in enumerate(policies):
                critic = isinstance(policy, Critic)
                text = f"softmax of a critic, training {k + 1}" if critic else f"{name.upper()}'s actor"
                self.policies[f"{name}-{k + 1}" if critic else name] = text, policy
        if not self.policies:
            raise SoftqError("a lab of the maze needs a network; MazeLab.stored(FILE) reads some.")
        options = [(text, value) for value, (text, _) in self.policies.items()]
        controls = [
            Choice("policy", "policy", options[0][1], options),
            Slider("temperature", "temperature λ", temperature, 0.003, 1.0),
            Slider("noise", "noise of the starts", 0.0, 0.0, 0.2, log=False),
            Slider("x", "start, x", 0.0, -REACH, REACH, log=False),
            Slider("y", "start, y", 0.0, -REACH, REACH, log=False),
            Integer("balls", "balls", balls, 1, 500, offered=sorted({10, 50, 200, balls})),
            Integer("seed", "seed", 0, 0, 2**31 - 1),
        ]
        super().__init__(controls, alt, caption)
        self.forces = FORCES

    @classmethod
    def stored(cls, file: Path | str, **more: Any) -> "MazeLab":
        """The lab of the networks in a file of `softq.experiments.mode_coverage.networks`."""
        return cls(read(file), **more)

    # Numbers

    def drop(
        self,
        method: str,
        training: int = 0,
        temperature: float = 0.1,
        balls: int = 50,
        start: Any = (0.0, 0.0),
        noise: float = 0.0,
        seed: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The routes, as indices into `softq.envs.maze.ROUTES`, and the returns of `balls` balls."""
        policy = self.networks[method][training]
        _, routes, returns = self._roll(policy, start, noise, temperature, seed, balls)
        return routes, returns

    def routes(self, method: str, places: np.ndarray, training: int = 0) -> np.ndarray:
        """The route `(n,)` of one ball from each of `places` `(n, 2)`, of a method whose policy has no chance in it."""
        policy, key = self.networks[method][training], jax.random.key(0)
        of_one = lambda place: roll(policy, place, 0.0, 1.0, key, 1)[1][0]
        return np.asarray(jax.jit(jax.vmap(of_one))(jnp.asarray(places, jnp.float32)))

    def law(self, start: Any, policy: str | None = None, temperature: float | None = None) -> np.ndarray:
        """The probabilities `(81,)` of the first force from rest at `start`, the nearest of `FORCES` to it."""
        temperature = temperature or self.settings["temperature"]
        network = self.policies[policy or str(self.settings["policy"])][1]
        obs = Maze().reset_to(jnp.asarray(start, jnp.float32))[1]
        if isinstance(network, Critic):
            values = jax.jit(jax.vmap(network.at(obs)))(jnp.asarray(FORCES, jnp.float32))
            return np.asarray(jax.nn.softmax(values / temperature))
        if isinstance(network, GaussianActor):
            squashed = network.at(obs)
            edges = np.concatenate([[-np.inf], np.arctanh((LINE[1:] + LINE[:-1]) / 2), [np.inf]])
            mean, std = np.asarray(squashed.mean), np.exp(np.asarray(squashed.log_std))
            x, y = (np.diff(stats.norm.cdf(edges, m, s)) for m, s in zip(mean, std, strict=True))
            return (x[:, None] * y).ravel()
        nearest = np.argmin(np.linalg.norm(FORCES - np.asarray(network(obs)), axis=1))
        return (np.arange(len(FORCES)) == nearest).astype(float)

    def numbers(self, **settings: Any) -> dict[str, float]:
        _, routes, returns = self._played(**self.complete(settings))
        tally = np.bincount(routes, minlength=len(ROUTES))
        counts = {name.replace("_", " "): float(n) for name, n in zip(ROUTES, tally, strict=True)}
        return counts | {"mean return": float(returns.mean())}

    def _roll(
        self, policy: Any, start: Any, noise: float, temperature: float, seed: int, balls: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        key = jax.random.key(seed)
        found = roll(policy, jnp.asarray(start, jnp.float32), noise, temperature, key, balls)
        paths, routes, returns = map(np.asarray, found)
        return paths, routes, returns

    def _played(self, policy: str, x: float, y: float, **rest: Any) -> tuple:
        return self._roll(self.policies[policy][1], (x, y), **rest)

    # Renderings

    def figure(self, **settings: Any) -> Figure:
        """The paths in the maze, the law of the first force, and the tally of routes."""
        chosen = self.complete(settings)
        paths, routes, returns = self._played(**chosen)
        start = chosen["x"], chosen["y"]
        law = self.law(start, chosen["policy"], chosen["temperature"])
        white = {key: "white" for key in ("figure.facecolor", "savefig.facecolor")}
        with mpl.rc_context(plots.STYLE | white | {"font.size": 9}):
            figure = Figure(figsize=(7.2, 4.4))
            grid = figure.add_gridspec(2, 2, width_ratios=[1.8, 1])
            ax, square, bars = (figure.add_subplot(part) for part in (grid[:, 0], grid[0, 1], grid[1, 1]))
            for wx, wy in WALLS:
                ax.add_patch(Rectangle((wx - 0.5, wy - 0.5), 1, 1, color=plots.INK, alpha=0.55))
            colours = [plots.look(concept)["color"] for concept in CONCEPTS]
            for path, route in zip(paths, routes, strict=True):
                ax.plot(*path.T, color=colours[route], linewidth=0.9, alpha=0.5)
            ax.plot(*GOALS.T, "*", color=plots.look("goal")["color"], markersize=12)
            ax.plot(*start, "o", color=plots.INK, markersize=5)
            limit = (-HALF, HALF)
            title = f"{len(paths)} balls, mean return {returns.mean():.1f}"
            ax.set(xlim=limit, ylim=limit, xticks=[], yticks=[], aspect="equal", title=title)
            ax.spines[:].set_visible(True)
            edge = 1 + LINE[1] / 2 - LINE[0] / 2
            square.imshow(law.reshape(9, 9).T, origin="lower", extent=(-edge, edge) * 2, cmap="Blues", vmin=0)
            square.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], title="law of the first force")
            names = [route.replace("_", " ") for route in ROUTES]
            bars.barh(names, np.bincount(routes, minlength=len(ROUTES)), color=colours)
            bars.invert_yaxis()
            bars.set(xlabel="balls", xlim=(0, len(paths)))
        return figure

    def tables(self) -> dict[str, Any]:
        policies = [{"value": value, **_weights(network)} for value, (_, network) in self.policies.items()]
        env = Maze()
        constants = {
            name: float(getattr(env, name))
            for name in ("force", "damping", "max_speed", "dt", "radius", "max_steps")
        }
        maze = {"walls": WALLS.tolist(), "goals": GOALS.tolist(), "half": HALF, "routes": ROUTES}
        return {"policies": policies, "maze": maze | constants, "reach": REACH}


def _halves(array: Any) -> str:
    """The numbers of `array` as base64 of little-endian half precision."""
    return base64.b64encode(np.ascontiguousarray(array, "<f2").tobytes()).decode()


def _weights(network: Any) -> dict[str, Any]:
    """A network as plain JSON data: its type and, for each layer, kernel and bias; those of twins lie side by side."""
    params = network.params
    if isinstance(network, Critic):
        hidden = [params[f"hidden_{i}"] for i in range(len(network.hidden_sizes) - 1)]
        layers = [params["state_part"], params["action_part"], *hidden, params["out"]]
        kind = "critic"
    else:
        layers = [params[f"Dense_{i}"] for i in range(len(network.hidden_sizes) + 1)]
        kind = "gaussian" if isinstance(network, GaussianActor) else "point"
    return {
        "type": kind,
        "activation": network.activation,
        "layers": [{name: _halves(x) for name, x in layer.items()} for layer in layers],
    }

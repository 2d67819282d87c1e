"""One row for each method: what it samples, what its target adds, its critic, and what an action and an update cost.

`python -m softq.experiments.methods results/methods.csv` writes the table with the settings of each paper. All but
`WORDS` is read off the code. Costs are counted in the program itself, for the sizes of HalfCheetah: each matrix product
of a traced function bears the name of the layer that makes it. A count is that of one action, or of one transition of
an update in which everything is due and no temperature learns:

- values: evaluations of the critic, all twins together. A pass of MEow's flow is one.
- slopes: gradients of the critic by an action, each of which has a value too.
- actor calls: evaluations of the actor; a derivative along a direction is one more.
- work: floating-point operations of all matrix products, over those of one evaluation of the method's own critic.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from softq.algorithms import ALGORITHMS, Algorithm, Transition, get
from softq.algorithms.common.learner import Learner
from softq.experiments.exact_critic import ExactCritic
from softq.experiments.script import run, write_table
from softq.experiments.settings import TITLES, reported, tuned
from softq.experiments.speed.matmuls import Dot
from softq.landscapes import Landscape
from softq.networks import DistributionalCritic, FlowCritic, NoiseCritic
from softq.training import TrainConfig, preset_of
from softq.utils.errors import SoftqError
from softq.utils.flat_settings import built
from softq.utils.pytree import replace

OBS_DIM, ACTION_DIM = 17, 6  # of HalfCheetah
BATCH = 3  # transitions of the update that is counted: no layer is as wide, so that no sum over it passes for a layer's
NOTHING = Landscape("nothing", 1, 0.0, "zero everywhere")


class Words(NamedTuple):
    """What code cannot tell of a method. The columns of book/taxonomy.md have the same words."""

    family: str
    action: str  # an action is ...
    guidance: str  # how Q reaches the sampler
    reference: str  # the policy that exp(Q / temperature) multiplies
    aim: str  # the law at which the method comes to rest, if all of its fits were perfect


CHAIN, DIFFUSION = "critic only", "diffusion actor"
WORDS = {
    "ddsq": Words(
        CHAIN,
        "the best end of several Langevin chains",
        "at acting time",
        "uniform",
        "the softmax, of which the best end of several chains is taken",
    ),
    "lql": Words(
        CHAIN,
        "a Langevin chain of slopes of length one",
        "at acting time",
        "uniform",
        "none that is known: slopes of length one are no score of a softmax",
    ),
    "nclql": Words(
        CHAIN,
        "an annealed chain on blurred critics",
        "at acting time",
        "uniform",
        "none that is known: slopes of length one are no score of a softmax",
    ),
    "malaq": Words(
        CHAIN, "annealed chains with Metropolis steps", "at acting time", "uniform", "the softmax"
    ),
    "dqs": Words(
        DIFFUSION, "a reverse diffusion", "regression on slopes, averaged by weight", "uniform", "the softmax"
    ),
    "maxentdp": Words(DIFFUSION, "a reverse diffusion", "regression on weights", "uniform", "the softmax"),
    "sql": Words(
        "Stein's particles",
        "one output of a network that reads noise",
        "through the actor, by Stein's particles",
        "uniform",
        "the softmax, as far as finitely many particles show it",
    ),
    "sac": Words(
        "Gaussian actor",
        "tanh of a Gaussian",
        "through the actor",
        "uniform",
        "the tanh-Gaussian with the least reverse divergence from the softmax",
    ),
    "ddpg": Words(
        "deterministic actor", "one output of a network", "through the actor", "none", "a local maximum of Q"
    ),
    "td3": Words(
        "deterministic actor", "one output of a network", "through the actor", "none", "a local maximum of Q"
    ),
    "mfp": Words(
        "flow actor",
        "the best of several one-step flows",
        "regression on the best draw",
        "previous",
        "the highest maximum of Q that it still draws",
    ),
    "dipo": Words(
        DIFFUSION,
        "a reverse diffusion",
        "replayed actions climb $Q$ and are imitated",
        "none: each climbs to a local maximum",
        "all local maxima of Q, each with the actions that climb to it",
    ),
    "qvpo": Words(
        DIFFUSION,
        "the best of several reverse diffusions",
        "regression on weights",
        "previous, its best draws; a share of uniform actions",
        "the highest maximum of Q that it still draws, and a share of uniform actions",
    ),
    "qsm": Words(
        DIFFUSION,
        "a reverse diffusion",
        "regression on slopes",
        "uniform at noise zero; at other noise levels another law",
        "none that is known: the slope of Q is the score at noise zero only",
    ),
    "meow": Words(
        "flow critic",
        "one pass of a flow",
        "critic is the law",
        "uniform",
        "the softmax of its own Q, which has one mode before tanh",
    ),
    "s2ac": Words(
        "Stein's particles",
        "a short chain of Stein's particles from a Gaussian",
        "through the chain",
        "uniform",
        "the softmax, as far as a short chain of few particles comes",
    ),
    "dacer": Words(
        DIFFUSION,
        "a reverse diffusion, and noise that an entropy sets",
        "through all its steps",
        "none",
        "a maximum of Q as noisy actions see it, and that noise",
    ),
    "sdac": Words(
        DIFFUSION,
        "the best of several reverse diffusions",
        "regression on weights",
        "uniform",
        "the softmax, of which the best of several draws is taken, and noise",
    ),
    "dpmd": Words(
        DIFFUSION,
        "the best of several reverse diffusions",
        "regression on weights",
        "previous",
        "the highest maximum of Q that it still draws, and noise",
    ),
    "aca": Words(
        CHAIN,
        "the best of several chains of slopes of length one",
        "at acting time",
        "none: such a slope is no score",
        "none that is known: slopes of length one are no score of a softmax",
    ),
    "lac": Words(
        "Gaussian actor",
        "a Gaussian that imitates a Langevin chain",
        "regression on the chain's ends",
        "imitated",
        "the maximum of Q, for a prior of 1; below 1 the softmax at 1 - prior of the temperature",
    ),
}


def words_of(name: str) -> Words:
    """The words of the method called `name`. Raises `SoftqError` for a method without them."""
    if name not in WORDS:
        raise SoftqError(f"no words describe the method '{name}'; add a line to WORDS in {__file__}.")
    return WORDS[name]


# What is counted in a program


class Product(NamedTuple):
    """A matrix product of a program: its operations with all repetitions, the names around it, and what it sums."""

    flops: float
    names: str  # modules and layers, and the transformations that made it
    contracted: int  # the number of terms of each of its sums

    @property
    def backward(self) -> bool:
        return "transpose(" in self.names


def products(function: Callable, *args: Any) -> list[Product]:
    """The matrix products that `function(*args)` makes; of a choice between programs, those of the dearest."""

    def is_program(x: Any) -> bool:
        return hasattr(x, "eqns") or hasattr(x, "jaxpr")

    def walk(jaxpr: Any, times: int, outer: str) -> list[Product]:
        found = []
        for equation in jaxpr.eqns:
            names = f"{outer}/{equation.source_info.name_stack}"
            if equation.primitive.name == "dot_general":
                left, right = (tuple(x.aval.shape) for x in equation.invars)
                dims = equation.params["dimension_numbers"]
                summed = int(np.prod([left[i] for i in dims[0][0]]))
                found.append(Product(times * Dot(left, right, dims).flops, names, summed))
            repeated = times * equation.params["length"] if equation.primitive.name == "scan" else times
            parameters = jax.tree.leaves(list(equation.params.values()), is_leaf=is_program)
            inner = [walk(getattr(x, "jaxpr", x), repeated, names) for x in parameters if is_program(x)]
            if equation.primitive.name == "cond":
                inner = [max(inner, key=flops)]
            found.extend(product for program in inner for product in program)
        return found

    return walk(jax.make_jaxpr(function)(*args).jaxpr, 1, "")


def flops(found: list[Product]) -> float:
    """Floating-point operations of products."""
    return sum(product.flops for product in found)


class Layer(NamedTuple):
    """A layer of a network: the name of the network's module, the end of the layer's names, and its weights' number."""

    module: str
    ending: str
    size: int

    def uses(self, found: list[Product], backward: bool = False) -> float:
        """How often products use the weights, forward or as far as they lead back to the layer's input."""
        own = [p for p in found if self.module in p.names and p.names.endswith(self.ending)]
        # the gradient by the weights sums over the batch, that by the input over the layer's units
        own = [p for p in own if p.backward == backward and (not backward or p.contracted > ACTION_DIM)]
        return flops(own) / (2 * self.size)


def output(network: Any) -> Layer:
    """The layer of a network that is used once in each evaluation, by all twins together."""
    flow = isinstance(network, FlowCritic)
    params = network.params["couplings_0"] if flow else network.params
    name = "out" if "out" in params else max(name for name in params if name.startswith("Dense"))
    ending = f"couplings_0.dense/{name}" if flow else f"/{name}"
    return Layer(type(network.module).__name__, ending, params[name]["kernel"].size)


def costs(algo: Algorithm) -> dict[str, float]:
    """What an action and a transition of an update cost, see the top of this file."""
    if algo.temperature is not None:
        algo = replace(algo, temperature=replace(algo.temperature, rule="fixed"))
    key, obs, action = jax.random.key(0), jnp.zeros(OBS_DIM), jnp.zeros(ACTION_DIM)
    state = jax.eval_shape(algo.init, key, obs, action)
    critic = state.critic.network
    many = lambda x: jnp.zeros((BATCH, *x.shape))
    batch = Transition(many(obs), many(action), jnp.zeros(BATCH), jnp.zeros(BATCH), many(obs))
    one = flops(products(lambda critic: critic(obs, action), critic))
    row: dict[str, float] = {}
    for name, found, num in (
        ("action", products(lambda state: algo.policy(state, obs, key), state), 1),
        ("update", products(lambda state: algo.update(state, batch, key), state), BATCH),
    ):
        slopes = 0.0
        if "action_part" in critic.params:
            weights = critic.params["action_part"]["kernel"].size
            slopes = Layer(output(critic).module, "/action_part", weights).uses(found, backward=True)
        calls = 0.0 if state.actor is None else output(state.actor.network).uses(found)
        counts = {"values": output(critic).uses(found), "slopes": slopes, "actor_calls": calls}
        row |= {f"{name}_{what}": x / num for what, x in (counts | {"work": flops(found) / one}).items()}
    return row


# What else code can tell

KINDS = {FlowCritic: "flow", NoiseCritic: "noise levels", DistributionalCritic: "distributional"}
BACKUPS = {"soft": "soft value", "mellowmax": "soft value over the mean of the box"}


def target_adds(algo: Algorithm) -> str:
    """What the Bellman target of `algo` adds to Q at an action: "nothing", a "soft value", or "entropy of a draw".

    It is told by the values of the next state by a critic that is zero everywhere: zero, always the entropy of the
    uniform policy, or other numbers.
    """
    action, obs = jnp.zeros(1), jnp.ones(1)
    state = jax.eval_shape(algo.init, jax.random.key(0), obs, action)
    if isinstance(state.critic.network, FlowCritic):
        return BACKUPS["soft"]
    if algo.backup in BACKUPS:
        return BACKUPS[algo.backup]

    def value(key: jax.Array) -> jax.Array:
        critic = ExactCritic(NOTHING)
        state = replace(algo.init(key, obs, action), critic=Learner(critic, (), critic))
        return jnp.mean(algo.next_value(state, obs, key)[0])

    values = np.asarray(jax.jit(jax.vmap(value))(jax.random.split(jax.random.key(0), 3)))
    if not values.any():
        return "nothing"
    soft = algo.temperature_of(algo.init(jax.random.key(0), obs, action), obs) * np.log(2)
    return BACKUPS["soft"] if np.allclose(values, soft, rtol=1e-5) else "entropy of a draw"


def row(name: str) -> dict[str, Any]:
    """The row of the method called `name`, with the settings of its paper. Raises `SoftqError` for an unknown one."""
    cls, words = get(name), words_of(name)
    made = lambda preset: built(cls, preset_of(cls, preset), TrainConfig)
    algo = made("paper")
    inputs = jnp.zeros(OBS_DIM), jnp.zeros(ACTION_DIM)
    state = jax.eval_shape(algo.init, jax.random.key(0), *inputs)
    critic, actor = state.critic.network, state.actor
    temperature = None if algo.temperature is None else algo.temperature.value
    return {
        "method": name,
        "title": TITLES[name],
        "class": cls.__name__,
        "file": f"softq/algorithms/{name}.py",
        "family": words.family,
        "action": words.action,
        "guidance": words.guidance,
        "reference": words.reference,
        "aim": words.aim,
        "target_adds": target_adds(made("small")),
        "critic": KINDS.get(type(critic), "plain"),
        "critics": jax.eval_shape(lambda critic: critic(*inputs), critic).shape[0],
        "actor": "none" if actor is None else type(actor.network).__name__,
        "actor_target": actor is not None and actor.target is not None,
        "policy_delay": algo.policy_delay,
        "temperature": "none" if temperature is None else f"{temperature:.3g} {algo.temperature_unit}",
        "tuned": tuned(algo),
        "reported": reported(algo),
        **costs(algo),
    }


def table(names: tuple[str, ...] = tuple(ALGORITHMS)) -> pd.DataFrame:
    """The rows of the methods `names`. Raises `SoftqError` for an unknown one."""
    return pd.DataFrame([row(name) for name in names])


def command(argv: list[str]) -> None:
    """Write the table to the file that `argv` names. Raises `SoftqError` for bad input."""
    what = "Write the table of all methods: what they sample, what their targets add, and what they cost."
    write_table(argv, "methods", what, table, digits=6)


if __name__ == "__main__":
    run(command)

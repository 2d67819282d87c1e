"""Fields that check themselves: what each kind takes and refuses, in how many words, and what JAX may do with them."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softq.utils.errors import SoftqError
from softq.utils.fields import (
    choice,
    count,
    flag,
    inherited,
    name,
    nested,
    nonnegative,
    number,
    positive,
    share,
    sizes,
)
from softq.utils.pytree import pytree, replace

Loss = Literal["joint", "sequential"]
LAYERS = {"mish": 1, "relu": 2}


@pytree
class Dial:
    value: float = positive(0.1, "Temperature that divides Q, in the unit of Q", option="")
    rule: Literal["fixed", "sac"] | None = choice("fixed", "Rule by which the temperature learns")


@pytree
class Learner:
    bias: float = number(-1.0, "Bias of the critic, in the unit of Q")
    rate: float = positive(1e-3, "Learning rate of Adam")
    decay: float = nonnegative(0.0, "Decay of the weights per update")
    discount: float = share(0.99, "Discount gamma of the return")
    steps: int = count(4, "Steps T of the chain")
    warmup: int = count(0, "Transitions before the first update", least=0)
    twins: bool = flag(True, "Whether there are two critics")
    loss: Loss = choice("joint", "Terms of the loss that one update descends")
    activation: str = name("mish", "Activation of the hidden layers", lambda: LAYERS)
    layer: str = name("relu", "Activation of the last layer", LAYERS)
    hidden_sizes: tuple[int, ...] = sizes((8, 8), "Units of each hidden layer")
    width: float = positive(2.0, "Half the width of the support", static=True)
    dial: Dial = nested(Dial(), "Temperature and the rule by which it learns")


@pytest.mark.parametrize(
    "given",
    [
        {"bias": 0},
        {"bias": np.float32(-3)},
        {"rate": jnp.float32(0.5)},
        {"rate": jnp.bfloat16(0.5)},
        {"rate": np.array([0.1, 0.2])},
        {"decay": 0},
        {"discount": 0},
        {"discount": 1.0},
        {"steps": np.int64(3)},
        {"steps": 1e6},
        {"warmup": 0},
        {"twins": np.bool_(False)},
        {"loss": "sequential"},
        {"activation": "relu"},
        {"layer": "mish"},
        {"hidden_sizes": (1,)},
        {"hidden_sizes": [np.int32(4), 5]},
        {"width": 1},
        {"dial": Dial(rule=None)},
    ],
)
def test_good_values_stay_what_they_are(given):
    made = Learner(**given)
    (field, value), *_ = given.items()
    assert getattr(made, field) is value
    assert getattr(replace(Learner(), **given), field) is value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bias": np.inf}, "bias is inf; it must be finite."),
        ({"bias": "hot"}, "bias is 'hot'; it must be a number."),
        ({"bias": True}, "bias is True; it must be a number."),
        ({"bias": None}, "bias is None; it must be a number."),
        ({"bias": 1j}, "bias is 1j; it must be a number."),
        ({"rate": -1}, "rate is -1; it must be positive."),
        ({"rate": 0.0}, "rate is 0.0; it must be positive."),
        ({"rate": np.nan}, "rate is nan; it must be finite."),
        ({"rate": jnp.array([0.1, -0.5])}, "rate is -0.5; it must be positive."),
        ({"rate": np.array([["a"]])}, "rate is [['a']]; it must be a number."),
        ({"decay": -1e-9}, "decay is -1e-09; it must be 0 or more."),
        ({"discount": 1.5}, "discount is 1.5; it must be between 0 and 1."),
        ({"discount": -0.1}, "discount is -0.1; it must be between 0 and 1."),
        ({"steps": 0}, "steps is 0; it must be at least 1."),
        ({"steps": 1.5}, "steps is 1.5; it must be a whole number."),
        ({"steps": float("nan")}, "steps is nan; it must be a whole number."),
        ({"steps": np.inf}, "steps is inf; it must be a whole number."),
        ({"steps": True}, "steps is True; it must be a whole number."),
        ({"steps": np.array([1, 2])}, "steps is [1 2]; it must be a whole number."),
        ({"warmup": -1}, "warmup is -1; it must be at least 0."),
        ({"twins": 1}, "twins is 1; it must be True or False."),
        ({"loss": "joynt"}, "unknown loss 'joynt'. Did you mean 'joint'?"),
        ({"loss": np.zeros(2)}, "unknown loss array([0., 0.]). Known: joint, sequential."),
        ({"activation": "mosh"}, "unknown activation 'mosh'. Did you mean 'mish'?"),
        ({"layer": "tanh"}, "unknown layer 'tanh'. Known: mish, relu."),
        ({"hidden_sizes": ()}, "hidden_sizes is (); it must be one or more whole numbers."),
        ({"hidden_sizes": 8}, "hidden_sizes is 8; it must be one or more whole numbers."),
        ({"hidden_sizes": "88"}, "hidden_sizes is '88'; it must be one or more whole numbers."),
        ({"hidden_sizes": (8, 0)}, "hidden_sizes is (8, 0); it must be whole numbers that are at least 1."),
        ({"width": -1.0}, "width is -1.0; it must be positive."),
        ({"width": np.ones(2)}, "width is [1. 1.]; it must be one number."),
        ({"dial": 0.5}, "dial is 0.5; it must be a Dial, for example Dial()."),
    ],
)
def test_bad_values_are_refused_in_one_line(given, message):
    for make in (Learner, lambda **given: replace(Learner(), **given)):
        with pytest.raises(SoftqError) as error:
            make(**given)
        assert str(error.value) == message


def test_a_nested_object_checks_its_own_fields():
    with pytest.raises(SoftqError, match=r"^value is -1; it must be positive\.$"):
        Learner(dial=Dial(-1))
    with pytest.raises(SoftqError, match=r"unknown rule 'sacc'\. Did you mean 'sac'"):
        Dial(rule="sacc")


@pytree
class Short:
    dial: Dial = nested(Dial(0.5, "sac"), "Temperature and its rule", shorthand="value")

    def __post_init__(self):
        assert isinstance(self.dial, Dial)


def test_a_number_in_place_of_an_object():
    assert Short(0.2) == Short(dial=Dial(0.2, "sac")) == replace(Short(Dial(3.0)), dial=0.2)
    assert Short().dial == Dial(0.5, "sac") and Short(Dial(0.2)).dial.rule == "fixed"
    swept = jax.vmap(lambda value: replace(Short(), dial=value))(jnp.array([0.1, 0.3]))
    np.testing.assert_allclose(swept.dial.value, [0.1, 0.3])
    for value, message in (
        (-1, "dial is -1; it must be positive."),
        ("x", "dial is 'x'; it must be a number."),
    ):
        with pytest.raises(SoftqError) as error:
            Short(value)
        assert str(error.value) == message


def test_leaves_and_structure():
    leaves = {field.name for field in dataclasses.fields(Learner) if not field.metadata["static"]}
    assert leaves == {"bias", "rate", "decay", "discount", "dial"}
    assert jax.tree.leaves(Learner()) == [-1.0, 1e-3, 0.0, 0.99, 0.1]


def test_traced_values_pass_and_a_sweep_is_one_program():
    """-1 is traced here: nobody can look at it."""
    rates = jnp.array([0.1, -1.0])
    swept = jax.jit(jax.vmap(lambda rate: replace(Learner(), rate=rate).rate * 2))(rates)
    np.testing.assert_allclose(swept, [0.2, -2.0], rtol=1e-6)
    sweep = replace(Learner(), rate=jnp.array([0.1, 0.3]))
    doubled = jax.vmap(lambda rate: replace(sweep, rate=rate).rate * 2)(sweep.rate)
    np.testing.assert_allclose(doubled, [0.2, 0.6], rtol=1e-6)


def test_trees_of_other_things_keep_the_class():
    """Shapes, sentinels and axes stand where the values were: they never meet the constructor."""
    shapes = jax.eval_shape(lambda: Learner(rate=jnp.float32(0.1)))
    assert isinstance(shapes.rate, jax.ShapeDtypeStruct)
    assert isinstance(replace(shapes, discount=0.5).rate, jax.ShapeDtypeStruct)
    assert jax.tree.map(lambda _: "x", Learner()).rate == "x"


@pytree
class Own(Learner):
    rate: float = inherited(Learner, "rate", 2.0, "Learning rate of the actor")
    discount: float = inherited(Learner, "discount", 0.5)
    least: float = number(0.5, "Least learning rate")

    def __post_init__(self):
        if self.rate < self.least:
            raise SoftqError("own")


@pytree
class Younger(Own):
    steps: int = count(0, "Steps of the chain, none at all too", least=0)


def test_a_subclass_has_its_own_defaults_and_the_same_checks():
    made = Own()
    assert (made.rate, made.discount) == (2.0, 0.5)
    said = {field.name: field.metadata["help"] for field in dataclasses.fields(Own)}
    assert said["rate"] == "Learning rate of the actor" and said["discount"].startswith("Discount gamma")
    assert {field.name: field.metadata["help"] for field in dataclasses.fields(Learner)}["rate"] == (
        "Learning rate of Adam"
    )
    with pytest.raises(SoftqError, match="rate is -1; it must be positive"):
        Own(rate=-1)
    with pytest.raises(KeyError):
        inherited(Learner, "rte", 1.0)


def test_the_fields_are_checked_before_the_classs_own_check():
    with pytest.raises(SoftqError, match=r"^own$"):
        Own(rate=0.1)
    for cls in (Own, Younger):
        with pytest.raises(SoftqError, match="rate is nan; it must be finite"):
            cls(rate=np.nan)
        with pytest.raises(SoftqError, match=r"^own$"):
            cls(rate=0.1)
    assert Younger(steps=0).steps == 0
    with pytest.raises(SoftqError, match="steps is 0"):
        Own(steps=0)


def test_a_class_that_a_test_derives_without_pytree_is_checked_too():
    class Plain(Learner):
        pass

    with pytest.raises(SoftqError, match="rate is -1"):
        Plain(rate=-1)

"""Settings under flat names: options, presets and config.json of a class with an object in one of its fields."""

import json
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
import pytest

from softq.algorithms import ALGORITHMS, get
from softq.training.config import TrainConfig, plain_algorithm, preset_help, preset_of
from softq.training.old_names import add_old_names, renamed
from softq.training.run_directory import described, parsed, writer
from softq.utils.cli_options import Parser, add_fields
from softq.utils.errors import SoftqError
from softq.utils.fields import choice, count, nested, number, positive, sizes
from softq.utils.flat_settings import built, fields_from, flat, helps, settings_of, with_settings
from softq.utils.pytree import pytree, replace


@pytree
class Clock:
    every: int = count(1, "Updates between two steps of the rule", option="temperature-every")
    start: int = count(0, "Updates before the first step of the rule", least=0)


@pytree
class Dial:
    value: float = positive(0.1, "Temperature that divides Q, in the unit of Q", option="")
    rule: Literal["fixed", "sac", "ddsq"] = choice("fixed", "Rule by which the temperature learns")
    target_entropy: float = number(-1.0, "Entropy in nats per action dimension", option="target-entropy")
    learning_rate: float = positive(1e-3, "Learning rate of the temperature")
    clock: Clock = nested(Clock(), "When the rule makes a step", option="clock")


@pytree
class Method:
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"num_envs": 3, "temperature_rule": "sac"},
        "code": {"temperature": 0.7},
        "small": {"hidden_sizes": (16,), "temperature": 0.5},
    }
    tuned_by: ClassVar[str] = "ddsq"

    learning_rate: float = positive(1e-4, "Learning rate of the critics, 100 % of the paper's")
    hidden_sizes: tuple[int, ...] = sizes((8, 8), "Units of each hidden layer")
    temperature: Dial = nested(Dial(0.3), "Temperature lambda_0 of the method")
    relative: bool = False


NAMES = (
    *("learning_rate", "hidden_sizes", "temperature", "temperature_rule", "target_entropy"),
    *("temperature_learning_rate", "temperature_every", "clock_start", "relative"),
)


def options_of(words, cls=Method):
    parser = Parser(prog="x")
    add_fields(parser, cls, "method")
    add_old_names(parser, cls)
    return vars(parser.parse(words.split()))


def test_names_are_flat_and_defaults_are_those_of_the_object_that_is_held():
    settings = settings_of(Method)
    assert tuple(settings) == NAMES
    assert settings["temperature"].default == 0.3 and settings["temperature"].path == ("temperature", "value")
    assert settings["clock_start"].path == ("temperature", "clock", "start")
    assert helps(Method)["temperature"] == "Temperature lambda_0 of the method"
    assert helps(Dial)["value"] == "Temperature that divides Q, in the unit of Q"
    assert helps(Method)["temperature_every"] == "Updates between two steps of the rule"


@pytest.mark.parametrize("cls", [TrainConfig, *ALGORITHMS.values()])
def test_what_an_option_is_can_be_read_alone(cls):
    """In form at least: a sentence of some words that begins with a noun or "Whether", not with a pronoun."""
    for name, words in helps(cls).items():
        assert words[0].isupper() and words.endswith(".") and len(words.split()) >= 3, name
        assert words.split()[0] not in ("It", "Its", "These", "They", "This", "Those", "Of", "And"), name


def test_flat_and_built_are_each_others_inverse():
    method = Method(hidden_sizes=(4,), temperature=Dial(0.2, "sac", clock=Clock(5)))
    values = flat(method)
    assert tuple(values) == NAMES
    assert values["temperature"] == 0.2 and values["temperature_every"] == 5
    assert built(Method, values) == method == built(Method, json.loads(json.dumps(values)))
    assert list(flat(Dial()))[:3] == ["value", "rule", "target_entropy"]  # nothing holds it
    assert flat(Method()) == {name: setting.default for name, setting in settings_of(Method).items()}


def test_what_is_not_given_stays_that_of_the_default():
    given = {"temperature": 0.2, "temperature_rule": "sac"}
    assert fields_from(given, Method) == {"temperature": Dial(0.2, "sac")}
    assert fields_from({"temperature_every": 7}, Method) == {"temperature": Dial(0.3, clock=Clock(7))}
    assert fields_from({"temperature": Dial(0.9)}, Method) == {"temperature": Dial(0.9)}
    both = {"temperature": Dial(0.9), "target_entropy": -2.0}
    assert fields_from(both, Method) == {"temperature": Dial(0.9, target_entropy=-2.0)}
    assert fields_from({"hidden_sizes": [1, 2]}, Method) == {"hidden_sizes": (1, 2)}
    assert fields_from({}, Method) == {}


def test_settings_of_an_algorithm_and_of_its_training_can_be_given_together():
    """Each class takes its own and leaves those of the other; one that both have goes to both."""

    @pytree
    class Other:
        num_envs: int = 1
        learning_rate: float = 0.5

    given = {"temperature": 0.2, "num_envs": 3, "learning_rate": 0.1}
    assert built(Method, given, Other) == Method(learning_rate=0.1, temperature=Dial(0.2))
    assert built(Other, given, Method) == Other(3, 0.1)
    held = {"temperature": Dial(0.9), "num_envs": 3}
    assert fields_from(held, Method, Other) == {"temperature": Dial(0.9)}
    with pytest.raises(SoftqError, match="Other has no setting 'temperature'"):
        built(Other, {"temperature": Dial(0.9)})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fields_from({"temprature": 1.0}, Method),
            "Method has no setting 'temprature'. Did you mean ",
        ),
        (
            lambda: with_settings(Method(), {"relatve": True}),
            "Method has no setting 'relatve'. Did you mean ",
        ),
        (
            lambda: built(Method, {"relative": True, "num_env": 3}, TrainConfig),
            "Method and TrainConfig have no setting 'num_env'. Did you mean 'num_envs'?",
        ),
        (
            lambda: built(TrainConfig, {"batchsize": 3, "relative": True}, Method),
            "TrainConfig and Method have no setting 'batchsize'. Did you mean 'batch_size'?",
        ),
        # the field of a class that is not an object is no way round its settings
        (
            lambda: fields_from({"clock": Clock(3)}, Method),
            "Method has no setting 'clock'. Did you mean 'clock_start'?",
        ),
    ],
)
def test_a_setting_that_no_class_has_is_named_beside_the_nearest_one(call, message):
    with pytest.raises(SoftqError) as error:
        call()
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_copy_with_some_settings_changed():
    method = Method(temperature=Dial(0.2, "sac"))
    changed = with_settings(method, {"target_entropy": -3.0, "learning_rate": 0.5})
    assert changed == replace(method, temperature=Dial(0.2, "sac", -3.0), learning_rate=0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; it must be positive."),
        ({"temperature_rule": "sacc"}, "unknown temperature_rule 'sacc'. Did you mean 'sac'?"),
        ({"temperature_every": 0}, "temperature_every is 0; it must be at least 1."),
        ({"learning_rate": 0}, "learning_rate is 0; it must be positive."),
        ({"temprature": 1.0}, "Method has no setting 'temprature'. Did you mean 'temperature'?"),
    ],
)
def test_errors_use_the_flat_names(given, message):
    with pytest.raises(SoftqError) as error:
        built(Method, given)
    assert str(error.value) == message


def test_two_settings_of_one_name_are_a_mistake_of_the_class():
    @pytree
    class Twice:
        temperature_rule: str = "x"
        temperature: Dial = nested(Dial(), "Temperature")

    with pytest.raises(TypeError, match="Twice has two settings that are called temperature_rule"):
        settings_of(Twice)


def test_options_of_what_a_field_holds(capsys):
    given = options_of("--temperature 0.2 --temperature-rule sac --target-entropy -2 --clock-start 1e3")
    assert built(Method, given) == Method(
        temperature=Dial(0.2, "sac", target_entropy=-2.0, clock=Clock(start=1000))
    )
    assert options_of("") == {}
    with pytest.raises(SoftqError, match="choose from"):
        options_of("--temperature-rule sacc")
    with pytest.raises(SystemExit):
        options_of("--help")
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "--temperature X Temperature lambda_0 of the method [0.3]",
        "--temperature-rule {fixed,sac,ddsq} Rule by which the temperature learns [fixed]",
        "--learning-rate X Learning rate of the critics, 100 % of the paper's [0.0001]",
    ):
        assert text in shown
    assert "tune" not in shown and "normalise" not in shown and "cycle" not in shown


def test_scalars_of_numpy_and_jax_become_pythons_own_inside_too():
    held = Dial(np.float32(0.5), learning_rate=jnp.float32(2.0), clock=Clock(np.int64(3)))
    plain = plain_algorithm(Method(jnp.float32(0.25), (np.int32(4),), held))
    assert plain == Method(0.25, (4,), Dial(0.5, learning_rate=2.0, clock=Clock(3)))
    assert [type(x) for x in flat(plain).values()] == [
        *(float, tuple, float, str, float),
        *(float, int, int, bool),
    ]


def test_presets_are_flat_and_those_of_the_class():
    assert preset_of(Method, "paper") == Method.presets["paper"]
    assert preset_of(Method, "code") == {"temperature": 0.7}
    small = preset_of(Method, "small")
    assert small["hidden_sizes"] == (16,) and small["batch_size"] == 128
    made = built(Method, small, TrainConfig)
    assert made.temperature == Dial(0.5) and made.learning_rate == small["learning_rate"]
    with pytest.raises(SoftqError, match="unknown preset 'tiny'; Method has paper, code, small"):
        preset_of(Method, "tiny")
    assert all(name in preset_help(Method) for name in ("paper", "code", "small"))


# Names of softq 0.1.0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--tune", {"temperature_rule": "ddsq"}),
        ("--no-tune", {"temperature_rule": "fixed"}),
        ("--normalise", {"relative": True}),
        ("--no-normalise", {"relative": False}),
        ("--temperature-cycle 9", {"temperature_every": 9}),
        (
            "--temperature-learning-rate 0.1",
            {"temperature_rule": "ddsq", "temperature_learning_rate": 0.1},
        ),
        (
            "--temperature-learning-rate 0.1 --temperature-rule sac",
            {"temperature_rule": "sac", "temperature_learning_rate": 0.1},
        ),
        (
            "--temperature-learning-rate 0.1 --no-tune",
            {"temperature_rule": "fixed", "temperature_learning_rate": 0.1},
        ),
        ("--temperature-learning-rate 0", {"temperature_rule": "fixed"}),
        ("--temperature 0.2", {"temperature": 0.2}),
    ],
)
def test_old_options_still_work(words, expected):
    given = renamed(options_of(words), Method)
    assert given == expected
    values = flat(built(Method, given))
    assert values == flat(Method()) | expected


def test_old_names_in_config_json(monkeypatch):
    """What softq 0.1.0 wrote is read as today's; what is written today too."""
    monkeypatch.setitem(ALGORITHMS, "method", Method)
    hyper = {"class": "Method", "temperature": 0.2, "temperature_learning_rate": 0.0, "normalise": True}
    hyper |= {"target_entropy": -2.0, "temperature_cycle": 100, "hidden_sizes": [4]}
    content = {"train": {"algorithm": "method"}, "algorithm": hyper, "dims": {"obs_dim": 3, "action_dim": 1}}
    algo, config, dims = parsed(content)
    held = Dial(0.2, "fixed", -2.0, clock=Clock(100))
    assert algo == Method(hidden_sizes=(4,), temperature=held, relative=True)
    assert (config.algorithm, dims) == ("method", content["dims"])
    assert writer(content) == "softq 0.1.0 (commit 7346a94)"
    today = described(algo, config, dims)
    assert parsed(today) == (algo, config, dims) and writer(today) is None


@pytest.mark.parametrize("name", ALGORITHMS)
def test_new_names_stay(name):
    """Settings of a method under their own names, as config.json has them, are read as they are."""
    settings = flat(get(name)())
    assert renamed(settings, get(name)) == settings


def test_a_rate_of_nought_stays_where_the_rule_is_given():
    """As in config.json, which holds all settings: a run that is resumed has the rate that it was started with."""
    for given in ({"temperature_rule": rule, "temperature_learning_rate": 0.0} for rule in ("fixed", "sac")):
        assert renamed(given, Method) == given


def test_one_thing_under_two_names_is_refused():
    with pytest.raises(SoftqError, match="tune is the old name of temperature_rule; leave tune out"):
        renamed(options_of("--no-tune --temperature-rule sac"), Method)


def test_a_class_with_the_old_name_keeps_it_and_one_without_the_new_name_has_neither():
    @pytree
    class Old:
        tune: bool = True
        temperature_learning_rate: float = 0.1

    assert renamed({"tune": False, "temperature_learning_rate": 0.1}, Old) == {
        "tune": False,
        "temperature_learning_rate": 0.1,
    }
    assert renamed({"normalise": True, "tune": True}, Dial) == {"normalise": True, "tune": True}
    with pytest.raises(SoftqError, match="unknown option '--normalise'"):
        options_of("--normalise", Dial)


def test_slopes_of_unit_length():
    @pytree
    class Langevin:
        unit_slope: bool = True

    assert renamed({"normalise": False}, Langevin) == {"unit_slope": False}


def test_a_class_that_nothing_tunes_says_so():
    @pytree
    class Fixed:
        temperature: Dial = nested(Dial(), "Temperature")

    assert renamed({"tune": False}, Fixed) == {"temperature_rule": "fixed"}
    with pytest.raises(SoftqError, match="Fixed has no rule that tunes its temperature"):
        renamed({"tune": True}, Fixed)

"""How each paper trained, the presets, and the fields of every method: a help sentence, and wrong values refused."""

import dataclasses
import re

import numpy as np
import pytest

from softq.algorithms import ALGORITHMS, get
from softq.cli import main
from softq.training import TrainConfig, start
from softq.training.config import SMALL, preset_of
from softq.utils.errors import SoftqError
from softq.utils.field_checks import literals
from softq.utils.flat_settings import built, flat, settings_of

# How each paper trained

# Typed from the papers, and from the official code where they are silent:
# num_envs, iterations, warmup, batch_size, buffer_size.
TRAINED = {
    "ddsq": (20, 1_500_000, 200_000, 256, 1_000_000),  # Table 2
    "malaq": (20, 1_500_000, 200_000, 256, 1_000_000),  # ours: as DDSQ
    "lql": (5, 1_000_000, 30_000, 256, 1_000_000),  # Table 5, E.1
    "nclql": (5, 1_000_000, 30_000, 256, 1_000_000),
    "dqs": (1, 250_000, 10_000, 256, 250_000),  # Table 1, Appendix B
    "maxentdp": (1, 1_000_000, 10_000, 256, 1_000_000),  # Table 1, official code
    "sql": (1, 5_000_000, 10_000, 64, 1_000_000),  # D.1
    "sac": (1, 1_500_000, 10_000, 256, 1_000_000),  # Table 1; length as DDSQ
    "mfp": (5, 1_000_000, 30_000, 256, 1_000_000),  # NC-LQL's Table 5
    "ddpg": (1, 1_000_000, 25_000, 256, 1_000_000),  # TD3's repository
    "dipo": (1, 1_000_000, 10_000, 256, 1_000_000),  # its table and `main.py`
    "qvpo": (1, 1_000_000, 10_000, 256, 1_000_000),  # official code, a fork of DIPO's
    "qsm": (1, 1_000_000, 10_000, 256, 1_000_000),  # official code
    "meow": (1, 1_500_000, 5_000, 256, 1_000_000),  # official code's README, Hopper
    "dacer": (20, 1_500_000, 200_000, 256, 1_000_000),  # official code
    "sdac": (5, 200_000, 30_000, 256, 1_000_000),  # official code
    "dpmd": (5, 200_000, 30_000, 256, 1_000_000),
    "s2ac": (1, 500_000, 10_000, 100, 1_000_000),  # main.py and README, Walker2d
    "aca": (5, 1_000_000, 30_000, 256, 1_000_000),  # train_mujoco.py
    "lac": (100, 25_000, 100_000, 256, 50_000),  # main.py: 125 rounds of 20,000
}


class Caught(Exception):
    pass


@pytest.fixture
def config_of(monkeypatch):
    """The `TrainConfig` with which a command or a call would start to train."""

    def catch(algo, config, callbacks):
        raise Caught(config)

    monkeypatch.setattr(start, "Trainer", catch)

    def run(begin):
        with pytest.raises(Caught) as caught:
            begin()
        return caught.value.args[0]

    return run


def trained(config):
    return config.num_envs, config.iterations, config.warmup, config.batch_size, config.buffer_size


@pytest.mark.parametrize("name", TRAINED)
def test_without_settings_a_method_trains_as_its_paper(name, config_of, tmp_path, capsys):
    command = ["train", name, "--env", "MultiGoal", "--no-progress", "--out", str(tmp_path / "run")]
    assert trained(config_of(lambda: main(command))) == TRAINED[name]
    assert trained(config_of(lambda: start.train(name, "MultiGoal"))) == TRAINED[name]
    assert config_of(lambda: main([*command, "--batch-size=7"])).batch_size == 7
    small = get(name).presets["small"].get("batch_size", SMALL["batch_size"])
    assert config_of(lambda: main([*command, "--preset", "small"])).batch_size == small
    given = TrainConfig(batch_size=9)
    expected = dataclasses.replace(given, algorithm=name, env="MultiGoal", warmup=4)
    assert config_of(lambda: start.train(name, "MultiGoal", given, warmup=4)) == expected
    assert main(["train", name, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for what, value in zip(("iterations", "warmup"), TRAINED[name][1:3], strict=True):
        assert f"[{value}]" in shown, what
    tunes = get(name).tuned_by is not None
    assert ("--temperature-rule" in shown) == ("--target-entropy" in shown) == tunes
    assert ("--temperature X" in shown) == (get(name).temperature is not None)


PRESETS = [(name, preset) for name, cls in ALGORITHMS.items() for preset in cls.presets]


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_makes_a_method_and_a_training_of_settings_that_exist(name, preset):
    """Each of its settings has the preset's value in what it makes."""
    cls, given = get(name), preset_of(get(name), preset)
    made = flat(built(cls, given, TrainConfig)) | flat(built(TrainConfig, given, cls))
    assert given.keys() <= made.keys()
    assert {setting: made[setting] for setting in given} == given


def test_every_method_has_the_two_presets_of_the_interface():
    assert {(name, preset) for name in ALGORITHMS for preset in ("paper", "small")} <= set(PRESETS)


def test_one_environment_is_enough():
    """`num_envs` 1, which most papers have."""
    run = start.train(
        get("ddpg")(hidden_sizes=(4,)),
        "MultiGoal",
        iterations=3,
        warmup=2,
        batch_size=2,
        eval_episodes=1,
        progress=False,
    )
    assert run.config.num_envs == 1 and run.finished


# Every field of every method

CLASSES = {"train": TrainConfig} | ALGORITHMS
FREE = ("env", "env_kwargs", "algorithm")  # settings of the training that are looked at where they are used
FIELDS = [(name, field) for name, cls in CLASSES.items() for field in settings_of(cls)]
SWITCHES = [
    (name, field, options)
    for name, field in FIELDS
    if (options := literals(settings_of(CLASSES[name])[field].kind))
]
# switches that a method allows together with others only
NEEDS = {("nclql", "temperature_rule", rule): {"unit_slope": False} for rule in ("sac", "log", "ddsq")}
NEEDS |= {
    (name, "backup", kind): {"unit_slope": False}
    for name in ("lql", "nclql")
    for kind in ("soft", "mellowmax")
}
UNTUNED = ("lql", "sql", "qsm", "meow", "aca", "lac")  # they estimate no entropy, so their rule is "fixed"
# numbers that are out of range, in the fields that most methods have
RANGES = {
    "discount": (-0.1, 1.1),
    "polyak": (-0.1, 1.1),
    "learning_rate": (0.0, -1.0),
    "temperature": (0.0, -1.0),
    "temperature_learning_rate": (-1.0,),
    "temperature_every": (0,),
    "hidden_sizes": ((), (8, 0), (8.5,)),
    "batch_size": (0,),
}


def wrong_values(default):
    """Values of another kind than a setting with this default has, or that no setting of its kind can have."""
    if isinstance(default, bool):
        return 1, "yes", None
    if isinstance(default, int):
        return -1, 1.5, True, "many", None
    if isinstance(default, float):
        return np.nan, np.inf, True, "high", None
    if isinstance(default, tuple):
        return 8, "88", None
    return f"{default}e", 3  # one of several words


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, field in FIELDS if field not in FREE])
def test_a_wrong_value_is_refused_under_the_name_of_its_setting(name, field):
    cls = CLASSES[name]
    default = settings_of(cls)[field].default
    assert flat(built(cls, {field: default})) == flat(cls())
    for value in (*wrong_values(default), *RANGES.get(field, ())):
        with pytest.raises(SoftqError, match=rf"^(unknown )?{re.escape(field)} "):
            built(cls, {field: value})


@pytest.mark.parametrize(("name", "field", "options"), SWITCHES)
def test_a_misspelt_switch_is_told_the_nearest_word(name, field, options):
    for option in options:
        if field == "temperature_rule" and name in UNTUNED and option != "fixed":
            with pytest.raises(SoftqError, match="estimates no entropy to tune its temperature by"):
                built(CLASSES[name], {field: option})
            continue
        given = {field: option} | NEEDS.get((name, field, option), {})
        assert flat(built(CLASSES[name], given))[field] == option
    wrong = f"{options[0]}e"
    with pytest.raises(SoftqError, match=f"^unknown {field} '{wrong}'. Did you mean '{options[0]}'"):
        built(CLASSES[name], {field: wrong})


def test_switches_are_found_where_their_values_stand_in_a_named_type_too():
    assert ("ddsq", "backup", ("boltzmann", "soft", "mellowmax")) in SWITCHES
    assert ("malaq", "temperature_rule", ("fixed", "sac", "log", "ddsq")) in SWITCHES


@pytest.mark.parametrize("name", CLASSES)
def test_every_setting_has_a_sentence_of_its_own(name):
    settings = settings_of(CLASSES[name]).values()
    for setting in settings:
        assert re.fullmatch(r"[A-Z].*\S \S.*\.", setting.help), setting.name
        assert setting.check or setting.name == "env_kwargs", setting.name
    assert len({setting.help for setting in settings}) == len(settings)

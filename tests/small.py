"""Every algorithm small enough to compile quickly, everything else at its default; and with one of its presets."""

from softq.algorithms import Algorithm, get
from softq.training import TrainConfig
from softq.utils.flat_settings import built

SMALL = {
    "ddsq": {
        "num_candidates": 8,
        "num_schedules": 2,
        "num_steps": 3,
        "num_entropy_samples": 16,
    },
    "lql": {"num_steps": 3},
    "nclql": {"num_levels": 3},
    "dqs": {"num_steps": 3, "num_samples": 4},
    "maxentdp": {
        "num_steps": 3,
        "num_samples": 4,
        "num_noises": 2,
        "num_actions": 2,
    },
    "qsm": {"num_steps": 3},
    "dacer": {"num_steps": 3, "num_samples": 4, "temperature_every": 2},
    "sdac": {"num_steps": 3, "num_samples": 4, "num_actions": 2},
    "dpmd": {"num_steps": 3, "num_actions": 2},
    "malaq": {"num_candidates": 4, "num_levels": 2, "num_steps": 2},
    "mfp": {"num_draws": 3},
    "dipo": {"num_steps": 3, "num_ascents": 3},
    "qvpo": {
        "num_steps": 3,
        "num_draws": 4,
        "num_uniform": 3,
        "num_target_actions": 2,
        "num_behaviour_actions": 2,
        "num_actions": 2,
    },
    "meow": {"shift_sizes": (8,)},
    "sql": {"num_particles": 4, "num_updated": 4, "num_value_samples": 4},
    "s2ac": {"actor_hidden_sizes": (8,), "num_particles": 4, "num_steps": 2},
    "aca": {"num_levels": 3, "num_candidates": 3},
    "lac": {"actor_hidden_sizes": (8,), "num_steps": 3},
}


def made(name: str, **settings) -> Algorithm:
    """The algorithm called `name` in its small form, with settings under their flat names."""
    cls = get(name)
    return built(cls, {"hidden_sizes": (8,)} | SMALL.get(name, {}) | settings)


def with_preset(cls: type[Algorithm], preset: str) -> Algorithm:
    """An algorithm of `cls` with the settings of a preset, without those of its training."""
    return built(cls, cls.presets[preset], TrainConfig)

"""Annotations are checked while the tests run: a wrong shape is refused where it is passed.

Without that, most of these calls would return something: a coordinate that is missing is one that is repeated.
"""

from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from softq.envs import Bandit, Maze, MultiGoal
from softq.exact.boltzmann import Boltzmann
from softq.exact.mdp import door
from softq.networks import Critic

KEY = jax.random.key(0)
LAW = Boltzmann(lambda action: action[0] * action[1], 1.0, dim=2, panels=2)
CRITIC = Critic.create(KEY, jnp.zeros(3), jnp.zeros(2), (4, 4))


@pytest.mark.parametrize(
    ("call", "right", "wrong"),
    [
        (LAW.density, np.zeros((5, 2)), np.zeros((5, 1))),
        (lambda action: MultiGoal().step(MultiGoal().reset(KEY)[0], action), jnp.zeros(2), jnp.zeros(1)),
        (lambda action: Maze().step(Maze().reset(KEY)[0], action), jnp.zeros(2), jnp.zeros(1)),
        (lambda action: Bandit().step(jnp.zeros(2), action), jnp.zeros(2), jnp.zeros(1)),
        (Maze().nearest_goal, jnp.zeros(2), jnp.zeros((1, 2))),
        (
            lambda policy: door(1.0, 0.2, 0.9).state_probabilities(policy, 0, 3),
            np.full((2, 2), 0.5),
            np.full(2, 0.5),
        ),
        (CRITIC.at, jnp.zeros(3), jnp.zeros(1)),
        (CRITIC.at(jnp.zeros(3)), jnp.zeros(2), jnp.zeros((1, 2))),
        (CRITIC.at(jnp.zeros(3)), jnp.zeros(2), jnp.zeros(2, int)),
    ],
)
def test_a_wrong_shape_or_type_is_refused(call, right, wrong):
    call(right)
    with pytest.raises(TypeCheckError, match="the parameters of"):
        call(wrong)


def test_what_is_returned_is_checked(monkeypatch):
    monkeypatch.setattr("softq.exact.boltzmann.evaluate", lambda q, actions: np.zeros((len(actions), 1)))
    with pytest.raises(TypeCheckError, match="the return value of"):
        LAW.log_density(np.zeros((5, 2)))


def test_type_checkers_of_other_packages_are_told_of_the_annotations():
    """By the marker of PEP 561, which is installed with the package."""
    assert (files("softq") / "py.typed").is_file()

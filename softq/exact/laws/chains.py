"""Exact laws of Langevin chains in one dimension, and of a selection among several of them."""

from typing import Literal

import numpy as np
from scipy import special, stats

from softq.exact.laws.cells import Function, Law, cell_edges, fold
from softq.utils.checks import one_of
from softq.utils.errors import SoftqError

Boundary = Literal["reflect", "project"]


def chain_law(
    score: Function,
    step_sizes: np.ndarray,
    start_probabilities: np.ndarray | Law,
    cells: int = 2000,
    boundary: Boundary = "reflect",
) -> Law:
    """Exact law after the steps of the Langevin chain `a <- boundary(a + step / 2 * score(a) + sqrt(step) * xi)`.

    `score` is that of the target, the gradient of Q / temperature. `start_probabilities` is a `Law` or the masses of
    the `cells` equal cells, `(cells,)`. Each step uses exact Gaussian probabilities of the cells and takes the drift at
    the centre of a cell. Its error is of the order of the squared width of a cell, and negligible once `sqrt(step)` is
    several cells wide. Raises `SoftqError` for a start of another size or an unknown boundary.
    """
    edges, keep = cell_edges(cells), boundary_map(boundary)
    law = start_probabilities
    if not isinstance(law, Law):
        law = Law(np.asarray(law, float), edges, np.zeros(2))
    if law.probabilities.shape != (cells,):
        shape = law.probabilities.shape
        raise SoftqError(
            f"start_probabilities has shape {shape}, expected ({cells},); pass cells={shape[0]}."
        )
    sources = np.concatenate([(edges[1:] + edges[:-1]) / 2, [-1.0, 1.0]])
    for step in np.asarray(step_sizes, float):
        masses = np.concatenate([law.probabilities, law.atoms])
        means = sources + step / 2 * score(sources)
        held = masses > 0
        if step == 0:
            law = _histogram(keep(means), masses, edges, boundary)
        elif boundary == "reflect":
            law = _reflected(means[held], masses[held], np.sqrt(step), edges)
        else:
            law = _projected(means[held], masses[held], np.sqrt(step), edges)
    return law


def boundary_map(boundary: Boundary) -> Function:
    """The function that puts an action into the box; raises `SoftqError` for an unknown boundary."""
    one_of("boundary", boundary, Boundary)
    return {"reflect": fold, "project": lambda x: np.clip(x, -1.0, 1.0)}[boundary]


def _reflected(means: np.ndarray, masses: np.ndarray, deviation: float, edges: np.ndarray) -> Law:
    """Law of a mixture of reflected Gaussians with `means` and `masses` `(n,)` and one standard `deviation`.

    A reflected Gaussian is the heat kernel of [-1, 1] with reflecting ends, a cosine series whose k-th term decays like
    exp(-(k pi deviation / 2)^2 / 2). The series is summed to rounding: a small deviation takes hundreds of terms.
    """
    modes = np.arange(1, int(np.ceil(5.7 / deviation)) + 2) * np.pi / 2
    decay = np.exp(-((modes * deviation) ** 2) / 2)
    distribution = (edges + 1) / 2
    folded = fold(means)
    for block in np.array_split(np.arange(len(modes)), max(1, len(modes) // 128)):
        k = modes[block, None]
        coefficients = decay[block] * (np.cos(k * (folded + 1)) @ masses)
        distribution = distribution + (coefficients / modes[block]) @ np.sin(k * (edges + 1))
    return Law(np.clip(np.diff(distribution), 0.0, None), edges, np.zeros(2))


def _projected(means: np.ndarray, masses: np.ndarray, deviation: float, edges: np.ndarray) -> Law:
    """Law of a mixture of clipped Gaussians: the mass outside a wall becomes the atom on that wall."""
    distribution = np.zeros_like(edges)
    right = 0.0
    for block in np.array_split(np.arange(len(means)), max(1, len(means) // 256)):
        z = (edges[None, :] - means[block, None]) / deviation
        distribution += masses[block] @ special.ndtr(z)
        right += masses[block] @ special.ndtr(-z[:, -1])
    return Law(np.diff(distribution), edges, np.array([distribution[0], right]))


def _histogram(points: np.ndarray, masses: np.ndarray | None, edges: np.ndarray, boundary: Boundary) -> Law:
    """Law of points with `masses` (None: equal ones); with the boundary "project", points on a wall form its atom."""
    masses = np.full(points.shape, 1 / points.size) if masses is None else masses
    atoms = np.zeros(2)
    if boundary == "project":
        atoms = np.array([masses[points <= -1.0].sum(), masses[points >= 1.0].sum()])
        inside = (points > -1.0) & (points < 1.0)
        points, masses = points[inside], masses[inside]
    return Law(np.histogram(points, edges, weights=masses)[0], edges, atoms)


def selection_law(
    q: Function,
    score: Function,
    schedules: np.ndarray,
    start: Law,
    cells: int = 2000,
    boundary: Boundary = "reflect",
    select: Literal["argmax", "weight", "argmin", "first", "random"] = "argmax",
    shared_noise: bool = True,
    log2_points: int = 21,
    temperature: float = 1.0,
) -> Law:
    """Law of the selection among the chains of `schedules` `(S, T)`, which share start and noises (DDSQ Algorithm 1).

    The output is a deterministic function of the start and the T noises. Their quantiles, a unit cube, are covered by
    2^log2_points points of a scrambled Sobol sequence with a fixed seed, and the outputs are counted. At 2^21 points
    and T = 3 the probability of one of 50 cells is off by about 5e-5. Some values of `select`, and `shared_noise`
    False, describe wrong samplers, which a test should reject; only "weight" depends on the `temperature`.
    """
    schedules = np.asarray(schedules, float)
    num_schedules, num_steps = schedules.shape
    noises = num_steps if shared_noise else num_steps * num_schedules
    sobol = stats.qmc.Sobol(1 + noises, scramble=True, rng=np.random.default_rng(20240501))
    apply = boundary_map(boundary)
    total = np.zeros(cells)
    atoms = np.zeros(2)
    chunk = min(log2_points, 18)
    cdf = start.cdf() / (start.cdf()[-1] + start.atoms[1])
    for _ in range(2 ** (log2_points - chunk)):
        points = np.clip(sobol.random(2**chunk), 2**-40, 1 - 2**-40)
        a0 = np.interp(points[:, 0], cdf, start.edges)
        xi = special.ndtri(points[:, 1:])
        ends = np.empty((num_schedules, len(a0)))
        for i, schedule in enumerate(schedules):
            a = a0
            for t, step in enumerate(schedule):
                noise = xi[:, t if shared_noise else i * num_steps + t]
                a = apply(a + step / 2 * score(a) + np.sqrt(step) * noise)
            ends[i] = a
        if select == "random":
            chosen, weights = ends.ravel(), None
        elif select == "weight":
            chosen, weights = ends.ravel(), special.softmax(q(ends) / temperature, axis=0).ravel()
        else:
            values = q(ends)
            index = {"argmax": values.argmax(0), "argmin": values.argmin(0), "first": np.zeros(len(a0), int)}
            chosen, weights = np.take_along_axis(ends, index[select][None], 0)[0], None
        law = _histogram(chosen, weights, cell_edges(cells), boundary)
        total += law.probabilities
        atoms += law.atoms
    count = 2 ** (log2_points - chunk)
    return Law(total / count, cell_edges(cells), atoms / count)

"""Training a bank: one common ancestor from random starts, then every grid point from it.

Levenberg-Marquardt on the free-running error: the network runs on its own state, as it will in a
render, and the exact derivative of that state by every weight is carried along. Residuals are
normalised per sequence, so that quiet and loud count alike.

The work comes in units that depend on the plan alone (a start, a finish, a grid point), so that the
same seed gives the same bank for any number of workers, and a run can be interrupted after any of
them and resumed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.network import weight_count
from chowtape_cli.neural.bank import ARCHITECTURES
from chowtape_cli.neural.gradient import normal_equations, step_constants
from chowtape_cli.neural.signals import Lessons, lessons

Weights = NDArray[np.float64]

DRIVES = (0.0, 0.02, 0.1, 0.2, 0.4, 0.7, 1.0)
ANCESTOR_SEQUENCES, POINT_SEQUENCES, CHECK_SEQUENCES = 4, 12, 6
# Holds what the data do not decide at the ancestor's values, so that neighbouring grid points
# stay alike and can be interpolated.
PRIOR = 1e-6
# A grid point whose check is worse than this is tried again from other starts.
WANTED_DB = -55.0


@dataclass(frozen=True)
class Effort:
    """How much work goes into a bank.

    Attributes:
        starts: random starts of the ancestor.
        finished: how many of the best starts are trained to the end.
        settings: random settings that the ancestor learns from.
        forced_steps, free_steps: steps of a start, teacher-forced and on its own state.
        finish_steps: most steps of a finish.
        point_steps: most steps of a grid point's first attempt.
        attempts: at a grid point.
    """

    starts: int
    finished: int
    settings: int
    forced_steps: int
    free_steps: int
    finish_steps: int
    point_steps: int
    attempts: int


QUICK = Effort(
    starts=2, finished=1, settings=6, forced_steps=15, free_steps=10, finish_steps=10,
    point_steps=2, attempts=2,
)  # fmt: skip
# wider networks need fewer starts, and more time for each
FULL = {
    name: Effort(
        starts=starts, finished=2, settings=40, forced_steps=30, free_steps=30, finish_steps=120,
        point_steps=12, attempts=3,
    )
    for name, starts in (("2x4", 8), ("2x8", 4), ("3x4", 6))
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a bank is made from; the same plan gives the same bank.

    Attributes:
        architecture: ``2x4``, ``2x8`` or ``3x4``.
        saturations, biases: the nodes of the grid.
        seed: of the random starts and of the training data.
        effort: how much work goes into it.
    """

    architecture: str
    saturations: tuple[float, ...]
    biases: tuple[float, ...]
    seed: int
    effort: Effort

    @property
    def layers(self) -> tuple[int, ...]:
        """Numbers of inputs, units and outputs."""
        return (1, *ARCHITECTURES[self.architecture], 2)


def make_plan(architecture: str, grid: tuple[int, int], seed: int, *, quick: bool = False) -> Plan:
    """Return the plan of an even grid: in saturation, and in the square root of bias.

    The physics is affine in sqrt(bias), and a bias near 0 changes it fast.
    """
    saturations = tuple(float(x) for x in np.linspace(0.0, 1.0, grid[0]))
    biases = tuple(float(x) ** 2 for x in np.linspace(0.0, 1.0, grid[1]))
    effort = QUICK if quick else FULL[architecture]
    return Plan(architecture, saturations, biases, seed, effort)


@dataclass(frozen=True)
class Fit:
    """Trained weights and how well they do.

    Attributes:
        weights: Shape: (weights,).
        error_db: mean energy ratio over the sequences, in dB.
        worst_db: that of the worst sequence, in dB.
        seconds: how long it took.
    """

    weights: Weights
    error_db: float
    worst_db: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fit ready for JSON; floats survive the round trip."""
        return {**self.__dict__, "weights": self.weights.tolist()}

    @staticmethod
    def from_dict(record: dict[str, Any]) -> Fit:
        """Return the fit that `as_dict` made."""
        return Fit(
            np.array(record["weights"]),
            record["error_db"],
            record["worst_db"],
            record["seconds"],
        )


def start(plan: Plan, number: int) -> Fit:
    """Train one random start for a while: teacher-forced first, then on its own state."""
    began = time.perf_counter()
    data = _ancestor_lessons(plan)
    draw = np.random.default_rng((plan.seed, number))
    weights = _random_weights(draw, plan.layers)
    weights = _fit(weights, plan.layers, data, plan.effort.forced_steps, forced=True)
    weights = _fit(weights, plan.layers, data, plan.effort.free_steps)
    return _measured(weights, plan.layers, data, began)


def finish(plan: Plan, begun: Fit) -> Fit:
    """Train a start to the end."""
    began = time.perf_counter()
    data = _ancestor_lessons(plan)
    weights = _fit(begun.weights, plan.layers, data, plan.effort.finish_steps, least_gain=1e-4)
    return _measured(weights, plan.layers, data, began)


def best(fits: Iterator[Fit] | list[Fit], count: int = 1) -> list[Fit]:
    """Return the fits with the smallest error."""
    return sorted(fits, key=lambda fit: fit.error_db)[:count]


def grid_point(plan: Plan, ancestor: Weights, row: int, column: int) -> Fit:
    """Train one network from the ancestor; check it on sequences it has not seen.

    Where the check falls short it is tried again, from the ancestor disturbed and on other data;
    the best attempt wins, and the ancestor itself where nothing is better.
    """
    began = time.perf_counter()
    saturation, bias = plan.saturations[row], plan.biases[column]
    settings = [(drive, saturation, bias) for drive in DRIVES]
    seed = [plan.seed, 1 + row, 1 + column]
    check = lessons(settings, CHECK_SEQUENCES, _number([*seed, 0]))
    champion = _measured(ancestor, plan.layers, check, began)
    for attempt in range(plan.effort.attempts):
        data = lessons(settings, POINT_SEQUENCES, _number([*seed, 1 + attempt]))
        draw = np.random.default_rng([*seed, 1 + attempt])
        first = ancestor + 0.02 * attempt * draw.standard_normal(ancestor.size)
        steps = plan.effort.point_steps * (1 + 2 * attempt)
        weights = _fit(first, plan.layers, data, steps, prior=ancestor)
        rival = _measured(weights, plan.layers, check, began)
        champion = best([champion, rival])[0]
        if champion.error_db <= WANTED_DB:
            break
    return Fit(champion.weights, champion.error_db, champion.worst_db, time.perf_counter() - began)


def _number(parts: list[int]) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _ancestor_lessons(plan: Plan) -> Lessons:
    """Return sequences each group of which has a random drive, saturation and bias."""
    draw = np.random.default_rng((plan.seed, 1_000))
    settings = [
        (
            # even in the logarithm of the field's scale 0.01 + 6 drive
            float((601.0 ** draw.uniform(0.3, 1.0) - 1.0) / 600.0),
            float(draw.choice(plan.saturations)),
            float(draw.choice(plan.biases)),
        )
        for _ in range(plan.effort.settings)
    ]
    return lessons(settings, ANCESTOR_SEQUENCES, plan.seed)


def _random_weights(draw: np.random.Generator, layers: tuple[int, ...]) -> Weights:
    flat = []
    for inputs, outputs in pairwise(layers):
        flat += [
            draw.normal(0.0, 1.2 / np.sqrt(inputs), inputs * outputs),
            draw.normal(0.0, 0.5, outputs),
        ]
    flat[-2] *= 0.2
    flat[-1] = np.array([1.2, 0.33])  # about the middle of what L and L' need
    return np.concatenate(flat)


def _accumulate(
    weights: Weights, layers: tuple[int, ...], data: Lessons, *, forced: bool
) -> tuple[Weights, Weights, Weights]:
    """Return J'J, J'r and each sequence's squared relative error."""
    count = weight_count(layers)
    squares, slope = np.zeros((count, count)), np.zeros(count)
    errors = np.empty(len(data.H))
    sizes = np.array(layers)
    for i, tape in enumerate(data.tapes):
        scale = 1.0 / np.sqrt(np.sum(data.M[i] ** 2))
        constants = step_constants(tape)
        of_one = normal_equations(
            weights, sizes, data.H[i], data.M[i], constants, scale, forced=forced
        )
        squares += of_one[0]
        slope += of_one[1]
        errors[i] = of_one[2]
    return squares / len(errors), slope / len(errors), errors


def _fit(
    weights: Weights,
    layers: tuple[int, ...],
    data: Lessons,
    steps: int,
    *,
    forced: bool = False,
    prior: Weights | None = None,
    least_gain: float = 1e-3,
) -> Weights:
    """Levenberg-Marquardt; stops when three steps in a row gain less than ``least_gain``."""
    strength = 0.0 if prior is None else PRIOR
    anchor = weights if prior is None else prior

    def evaluate(w: Weights) -> tuple[Weights, Weights, float]:
        squares, slope, errors = _accumulate(w, layers, data, forced=forced)
        away = w - anchor
        total = float(errors.mean() + strength * away @ away)
        return squares + strength * np.eye(w.size), slope + strength * away, total

    damping = 1e-3
    squares, slope, total = evaluate(weights)
    slow = 0
    for _ in range(steps):
        diagonal = np.diag(squares) + 1e-6 * np.diag(squares).max()
        for _ in range(6):
            trial = weights - np.linalg.solve(squares + damping * np.diag(diagonal), slope)
            outcome = evaluate(trial)
            if outcome[2] < total:
                break
            damping *= 6.0
        else:
            break
        slow = slow + 1 if 1.0 - outcome[2] / total < least_gain else 0
        weights, (squares, slope, total) = trial, outcome
        damping = max(damping / 4.0, 1e-10)
        if slow >= 3:
            break
    return weights


def _measured(weights: Weights, layers: tuple[int, ...], data: Lessons, began: float) -> Fit:
    """Return the fit as it does free-running, with weights as they will be stored."""
    stored = weights.astype(np.float32).astype(np.float64)
    errors = _accumulate(stored, layers, data, forced=False)[2]
    return Fit(
        stored,
        float(10.0 * np.log10(errors.mean())),
        float(10.0 * np.log10(errors.max())),
        time.perf_counter() - began,
    )

"""The implicit solver (nr4, nr8) in leapfrog form: ``M = p + S``, and the next p is ``M + S``.

The plugin solves ``M = M1 + (T/1.9) (f(M, H, dH/dt) + f(M1, H1, dH1/dt))``. With ``h = T dH/dt``,
``f = (dH/dt) g`` and ``S = h g/1.9`` at the new point, ``p = M1 + S1`` is all that the old point
contributes, and what is left to solve is ``S = (h/1.9) g(p + S, H)``. Everything is odd in
(H, h, p), so that it is solved for a rising field.

alpha is small, so the equation is nearly a quadratic in S. Its closed solution is the first
approximation, and one Newton step on the full equation makes it exact on nearly all audio. A short
block of a lane where that step was long is done again with as many steps as the mode allows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.langevin import (
    W0,
    W1,
    W2,
    coarse_langevin_quotient,
    langevin_quotient,
)
from chowtape_cli.dsp.kernels.runge_kutta import MAGNETISATION_LIMIT
from chowtape_cli.native import inlined, kernel

# The last Newton step may be this long at most: the error it leaves is about 1e-3 of its square.
STEP_LIMIT = 3e-5
# A step that carries D through 0 crosses the gate's kink, and leaves an error of its own length.
CROSSING_LIMIT = 1e-10
BLOCK = 16
SCRATCH_ROWS = 7 + BLOCK
_STEP_SCALE = MAGNETISATION_LIMIT / STEP_LIMIT
_CROSSING_SCALE = MAGNETISATION_LIMIT / CROSSING_LIMIT


@inlined
def _linearised_step(
    p: float, H: float, h: float, tape: Coefficients, one_over_a: float
) -> tuple[float, float]:
    """Return a first approximation of S for a rising field, and dG/dS.

    With ``L`` and ``G = c (M_s/a) L'`` linearised at p and ``A = h/1.9``, ``N = 1 - c``,

        D = D0 - m S,   E = N k - alpha D,   m = 1 - alpha (M_s/a) L'
        shut gate:  T(S) = t1 S - t0 = 0,    t0 = A G,   t1 = 1 - alpha G - A dG/dS
        open gate:  T(S) E(S) = A N D(S)     a quadratic, whose larger root is the physical one

    and the gate is open just when D > 0 at the shut solution.
    """
    N = 1.0 - tape.c
    A = h * (1.0 / 1.9)
    x = (H + tape.alpha * p) * one_over_a
    num, den = coarse_langevin_quotient(x)
    R = num / den
    L = x * R
    L1 = 1.0 - L * L - 2.0 * R
    G_scale = tape.c * tape.M_s * one_over_a
    G = G_scale * L1
    G_S = (G_scale * tape.alpha * one_over_a) * ((L * L1) * (W1 * L1 - R * (W0 + W2 * R)))
    D = tape.M_s * L - p
    m = 1.0 - (tape.M_s * tape.alpha * one_over_a) * L1
    E = N * tape.k - tape.alpha * D
    AN = A * N
    t0 = A * G
    t1 = 1.0 - tape.alpha * G - A * G_S
    E_S = tape.alpha * m
    b = t1 * E - t0 * E_S + AN * m
    d = t0 * E + AN * D
    square = b * b + 4.0 * ((t1 * E_S) * d)
    root = math.sqrt(square if square > 0.0 else 0.0)
    is_open = t1 * D > t0 * m
    S = (2.0 * d if is_open else t0) / (b + root if is_open else t1)
    return S, G_S


@inlined
def _newton_step(
    S: float, G_S: float, p: float, H: float, h: float, tape: Coefficients, one_over_a: float
) -> tuple[float, float]:
    """Return a Newton step on ``(S (1 - alpha G) - A G) E - A N D+ = 0``, and its length.

    That is the equation of S multiplied by its denominators: nothing in it can vanish. Of the
    length, MAGNETISATION_LIMIT is too much for the step to have been the last.
    """
    N = 1.0 - tape.c
    A = h * (1.0 / 1.9)
    M = p + S
    x = (H + tape.alpha * M) * one_over_a
    num, den, z = langevin_quotient(x)
    R = num / den
    L1 = 1.0 - z * (R * R) - 2.0 * R
    D = (tape.M_s * x) * R - M
    G = (tape.c * tape.M_s * one_over_a) * L1
    E = N * tape.k - tape.alpha * D
    AN = A * N
    AN = AN if D > 0.0 else 0.0
    m = 1.0 - (tape.M_s * tape.alpha * one_over_a) * L1
    V = 1.0 - tape.alpha * G
    T = S * V - A * G
    F = T * E - AN * D
    F_S = (V - (tape.alpha * S + A) * G_S) * E + m * (T * tape.alpha + AN)
    step = F / F_S
    crosses = D * (D + m * step) < 0.0
    return step, abs(step) * (_CROSSING_SCALE if crosses else _STEP_SCALE)


@kernel
def _first_approximation(
    H: NDArray[np.float64],
    n: int,
    state: NDArray[np.float64],
    guess: NDArray[np.float64],
    slope: NDArray[np.float64],
    tape: Coefficients,
) -> None:
    """Advance H and h to sample n; fill in S of a rising field and dG/dS for every lane."""
    one_over_a = 1.0 / tape.a
    for lane in range(LANES):
        H1 = H[n, lane]
        h = 1.75 * (H1 - state[0, lane]) - 0.75 * state[1, lane]
        delta = 1.0 if h >= 0.0 else -1.0
        p = delta * state[2, lane]
        guess[lane], slope[lane] = _linearised_step(p, delta * H1, abs(h), tape, one_over_a)
        state[0, lane] = H1
        state[1, lane] = h


@kernel
def _quick(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    state: NDArray[np.float64],
    worst: NDArray[np.float64],
    guess: NDArray[np.float64],
    slope: NDArray[np.float64],
    tape: Coefficients,
) -> None:
    """Solve with one Newton step; ``worst`` grows to each lane's largest |M| or step length."""
    one_over_a = 1.0 / tape.a
    for n in range(H.shape[0]):
        _first_approximation(H, n, state, guess, slope, tape)
        for lane in range(LANES):
            h = state[1, lane]
            delta = 1.0 if h >= 0.0 else -1.0
            p = state[2, lane]
            S = guess[lane]
            step, length = _newton_step(
                S, slope[lane], delta * p, delta * H[n, lane], abs(h), tape, one_over_a
            )
            S = delta * (S - step)
            M = p + S
            M_out[n, lane] = M
            state[2, lane] = M + S
            size = abs(M)
            size = size if size > length else length
            worst[lane] = worst[lane] if worst[lane] > size else size


@kernel
def _careful(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    state: NDArray[np.float64],
    resets: NDArray[np.float64],
    guess: NDArray[np.float64],
    slope: NDArray[np.float64],
    steps: int,
    tape: Coefficients,
) -> None:
    """Solve with ``steps`` Newton steps and the guard: |M| > 20 or NaN sets M and h to 0."""
    one_over_a = 1.0 / tape.a
    for n in range(H.shape[0]):
        _first_approximation(H, n, state, guess, slope, tape)
        for _ in range(steps):
            for lane in range(LANES):
                h = state[1, lane]
                delta = 1.0 if h >= 0.0 else -1.0
                p = delta * state[2, lane]
                field = delta * H[n, lane]
                S = guess[lane]
                step, _ = _newton_step(S, slope[lane], p, field, abs(h), tape, one_over_a)
                guess[lane] = S - step
        for lane in range(LANES):
            h = state[1, lane]
            S = guess[lane] if h >= 0.0 else -guess[lane]
            M = state[2, lane] + S
            sound = abs(M) <= MAGNETISATION_LIMIT
            M = M if sound else 0.0
            M_out[n, lane] = M
            state[1, lane] = h if sound else 0.0
            state[2, lane] = M + S if sound else 0.0
            resets[lane] += 0.0 if sound else 1.0


@kernel
def newton(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    state: NDArray[np.float64],
    resets: NDArray[np.float64],
    scratch: NDArray[np.float64],
    steps: int,
    tape: Coefficients,
) -> None:
    """Solve for every sample; a lane's result depends on that lane alone.

    Args:
        H: field, Shape: (time, LANES).
        M_out: magnetisation, Shape: (time, LANES).
        state: rows H and h of the sample before and p of the next, Shape: (3, LANES).
        resets: counts where |M| > 20 or NaN set M and h to 0, Shape: (LANES,).
        scratch: Shape: (SCRATCH_ROWS, LANES).
        steps: the most Newton steps that a sample may take.
        tape: the coefficients.
    """
    worst, guess, slope, counted = scratch[0], scratch[1], scratch[2], scratch[3]
    before, M_careful = scratch[4:7], scratch[7:SCRATCH_ROWS]
    for start in range(0, H.shape[0], BLOCK):
        stop = min(start + BLOCK, H.shape[0])
        for lane in range(LANES):
            worst[lane] = 0.0
            for row in range(3):
                before[row, lane] = state[row, lane]
        _quick(H[start:stop], M_out[start:stop], state, worst, guess, slope, tape)
        hard = 0
        for lane in range(LANES):
            # a NaN does not show in `worst`, but it stays in p
            sound = worst[lane] <= MAGNETISATION_LIMIT and abs(state[2, lane]) < np.inf
            worst[lane] = 0.0 if sound else 1.0
            hard += 0 if sound else 1
        if hard == 0:
            continue
        counted[:] = 0.0
        _careful(H[start:stop], M_careful, before, counted, guess, slope, steps, tape)
        for lane in range(LANES):
            if worst[lane] > 0.0:
                resets[lane] += counted[lane]
                for row in range(3):
                    state[row, lane] = before[row, lane]
                for n in range(start, stop):
                    M_out[n, lane] = M_careful[n - start, lane]

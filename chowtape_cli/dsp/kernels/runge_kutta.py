"""The explicit solvers: the midpoint rule (rk2) and the classic four stages (rk4).

``f(M, H, dH/dt) = (dH/dt) g(M, H, delta)``, so with ``h = T dH/dt`` the sample rate disappears:
``T f = h g``. Everything is odd in (H, h, M), so that each stage is computed for a rising field and
the gate is ``D > 0``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.langevin import langevin_quotient
from chowtape_cli.native import inlined, kernel

SCRATCH_ROWS = 6
MAGNETISATION_LIMIT = 20.0


@inlined
def _susceptibility(M: float, H: float, tape: Coefficients, one_over_a: float) -> float:
    """Return ``g = dM/dH`` of a rising field, with one division.

    g = (N D+ + G E) / (E (1 - alpha G)),   D = M_s L(Q) - M,   D+ = max(D, 0),
    N = 1 - c,   E = N k - alpha D,   G = c (M_s/a) L'(Q),   L = Q p/q,

    is multiplied through by ``q^3``, so that Langevin's division and this one are the same.
    """
    N = 1.0 - tape.c
    x = (H + tape.alpha * M) * one_over_a
    p, q, z = langevin_quotient(x)
    qq = q * q
    D = (tape.M_s * x) * p - q * M
    E = N * tape.k * q - tape.alpha * D
    G = (tape.c * tape.M_s * one_over_a) * (qq - z * (p * p) - 2.0 * (p * q))
    rising = D if D > 0.0 else 0.0
    return (N * rising * qq + G * E) / (E * (qq - tape.alpha * G))


@inlined
def _increment(h: float, M: float, H: float, tape: Coefficients, one_over_a: float) -> float:
    """Return ``h g(M, H, sign h)``, one stage of a step."""
    delta = 1.0 if h >= 0.0 else -1.0
    return h * _susceptibility(delta * M, delta * H, tape, one_over_a)


@kernel
def rk2(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    state: NDArray[np.float64],
    resets: NDArray[np.float64],
    scratch: NDArray[np.float64],
    tape: Coefficients,
) -> None:
    """Midpoint rule: ``M += h_mid g(M + k1/2, H_mid)`` with ``k1 = h g(M, H)``.

    Args:
        H: field, Shape: (time, LANES).
        M_out: magnetisation, Shape: (time, LANES).
        state: rows H, h, M of the sample before, Shape: (3, LANES).
        resets: counts where |M| > 20 or NaN set M and h to 0, Shape: (LANES,).
        scratch: Shape: (SCRATCH_ROWS, LANES).
        tape: the coefficients.
    """
    one_over_a = 1.0 / tape.a
    k1 = scratch[0]
    for n in range(H.shape[0]):
        # A loop for each stage, not one for all: the core sees further ahead, overlaps more lanes.
        for lane in range(LANES):
            k1[lane] = _increment(state[1, lane], state[2, lane], state[0, lane], tape, one_over_a)
        for lane in range(LANES):
            H0, h0, M0 = state[0, lane], state[1, lane], state[2, lane]
            H1 = H[n, lane]
            h1 = 1.75 * (H1 - H0) - 0.75 * h0
            M_mid = M0 + 0.5 * k1[lane]
            M1 = M0 + _increment(0.5 * (h0 + h1), M_mid, 0.5 * (H0 + H1), tape, one_over_a)
            sound = abs(M1) <= MAGNETISATION_LIMIT
            M1 = M1 if sound else 0.0
            M_out[n, lane] = M1
            state[0, lane] = H1
            state[1, lane] = h1 if sound else 0.0
            state[2, lane] = M1
            resets[lane] += 0.0 if sound else 1.0


@kernel
def rk4(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    state: NDArray[np.float64],
    resets: NDArray[np.float64],
    scratch: NDArray[np.float64],
    tape: Coefficients,
) -> None:
    """The classic four stages, with midpoints of H and h taken as averages; arguments as `rk2`."""
    one_over_a = 1.0 / tape.a
    h_next, h_mid, H_mid = scratch[0], scratch[1], scratch[2]
    k1, k2, k3 = scratch[3], scratch[4], scratch[5]
    for n in range(H.shape[0]):
        for lane in range(LANES):
            H0, h0 = state[0, lane], state[1, lane]
            H1 = H[n, lane]
            h1 = 1.75 * (H1 - H0) - 0.75 * h0
            h_next[lane] = h1
            h_mid[lane] = 0.5 * (h0 + h1)
            H_mid[lane] = 0.5 * (H0 + H1)
            k1[lane] = _increment(h0, state[2, lane], H0, tape, one_over_a)
        for lane in range(LANES):
            M_mid = state[2, lane] + 0.5 * k1[lane]
            k2[lane] = _increment(h_mid[lane], M_mid, H_mid[lane], tape, one_over_a)
        for lane in range(LANES):
            M_mid = state[2, lane] + 0.5 * k2[lane]
            k3[lane] = _increment(h_mid[lane], M_mid, H_mid[lane], tape, one_over_a)
        for lane in range(LANES):
            H1, h1, M0 = H[n, lane], h_next[lane], state[2, lane]
            k4 = _increment(h1, M0 + k3[lane], H1, tape, one_over_a)
            M1 = M0 + (k1[lane] + 2.0 * (k2[lane] + k3[lane]) + k4) * (1.0 / 6.0)
            sound = abs(M1) <= MAGNETISATION_LIMIT
            M1 = M1 if sound else 0.0
            M_out[n, lane] = M1
            state[0, lane] = H1
            state[1, lane] = h1 if sound else 0.0
            state[2, lane] = M1
            resets[lane] += 0.0 if sound else 1.0

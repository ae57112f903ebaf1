"""The state transition network over ``[time, lane]``, in single precision.

The step that nr8 solves for, ``S = (h/1.9) g(p + S, H)``, is nearly closed: all that is
transcendental in it are the curves L and L' of the tape. The network supplies them; the rest is
algebra. In units of M_s, for a rising field, with ``X = H/a``, ``eps = alpha M_s/a`` and
``beta = alpha M_s/((1-c) k)``,

    r = 1/(3 + |X|);   (N0, N1) = network(6 r - 1);   L = X r N0,   L' = (3 r)^2 N1
    w = c (k/a) L',   m = 1 - beta w,   u = (|h|/(1.9 k)) (1 + eps c L'),   D = L - p (1 - eps L')
    gate open:   beta S^2 + B S = C,   B = 1 - beta D + u m,   C = u (D m + w)
    gate shut:   S = u w
    S is the larger of the two;   p' = p + 2 S;   M = (p + p')/2

alpha is so small that ``L((H + alpha p)/a)`` is ``L(H/a) + eps p L'(H/a)`` to 1e-5. So the network
sees the field alone: it is evaluated for a whole block of time before the recursion, which is
short.

Whatever the weights, |p'| is held within a bound, and M is the mean of two such numbers. The bound
is 1.1 M_s once the field has passed 4.2 full scales or moved as fast, and forgets that with the
distance the field travels; below, it opens up to 4 M_s, because nr8 itself overshoots M_s on loud
treble.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.network import BOUND, BOUND_CALM, BOUND_FROM, BOUND_SLOPE
from chowtape_cli.native import inlined, kernel

# samples in time for which the network is evaluated in one go
BLOCK = 32
N = BLOCK * LANES
# One flat scratch array of rows; each has room for the sample before the block. The distances are
# constants, so that the compiler sees what may be vectorised; the 16 keep rows off one cache set.
ROW = (BLOCK + 1) * LANES + 16
FIELD, RATE, PEAK, STATE, CURVE, SLOPE, RECIPROCAL, UNITS_A = (i * ROW for i in range(8))
MOST_UNITS = 8
UNITS_B = UNITS_A + MOST_UNITS * ROW
SCRATCH = (8 + 2 * MOST_UNITS) * ROW
CARRIED = 4  # rows of state: H, h, peak and p

# tanh x ~ A1 x + A3 x^3 + A5 x^5, held beyond CLIP: within 0.017. A5 is folded into the next layer.
A1, A3, A5 = 0.94673444, -0.19555675, 0.01961658
CLIP = 2.1368
KNEE = 3.0

_f = np.float32
_ZERO, _ONE, _FOUR, _KNEE, _TINY = _f(0.0), _f(1.0), _f(4.0), _f(KNEE), _f(1e-9)
_CLIP, _C0, _C1 = _f(CLIP), _f(A1 / A5), _f(A3 / A5)
_NEW, _OLD = _f(1.75), _f(0.75)
# the bound: 1.1 + 10 (4.2 - peak), within 1.1 and 4; the peak: of |H| and 4 |h|, less |h|/16 a step
_BOUND, _BOUND_CALM, _BOUND_SLOPE = _f(BOUND), _f(BOUND_CALM), _f(BOUND_SLOPE)
_BOUND_AT_0 = _f(BOUND + BOUND_SLOPE * BOUND_FROM)
_PEAK_RATE, _PEAK_FORGET = _f(4.0), _f(1.0 / 16.0)

Flat = NDArray[np.float32]


@inlined
def _squash(x: Any) -> Any:
    """Return tanh x, divided by A5."""
    held = min(max(x, -_CLIP), _CLIP)
    square = held * held
    return held * (_C0 + square * (_C1 + square))


@inlined
def _layer(x: Flat, to: int, source: int, inputs: int, units: int, W: Flat, k: int) -> None:
    """Rows ``to`` become squash(W rows ``source`` + b); in W, the matrix at k, then biases."""
    for unit in range(units):
        b = W[k + units * inputs + unit]
        w = k + inputs * unit
        u = to + unit * ROW
        w0 = W[w]
        if inputs == 1:
            for i in range(N):
                x[u + i] = _squash(b + w0 * x[source + i])
            continue
        w1, w2, w3 = W[w + 1], W[w + 2], W[w + 3]
        if inputs == 4:
            for i in range(N):
                v = source + i
                x[u + i] = _squash(
                    b + w0 * x[v] + w1 * x[v + ROW] + w2 * x[v + 2 * ROW] + w3 * x[v + 3 * ROW]
                )
            continue
        w4, w5, w6, w7 = W[w + 4], W[w + 5], W[w + 6], W[w + 7]
        for i in range(N):
            v = source + i
            x[u + i] = _squash(
                b
                + (w0 * x[v] + w1 * x[v + ROW] + w2 * x[v + 2 * ROW] + w3 * x[v + 3 * ROW])
                + (w4 * x[v + 4 * ROW] + w5 * x[v + 5 * ROW])
                + (w6 * x[v + 6 * ROW] + w7 * x[v + 7 * ROW])
            )


@inlined
def _output(x: Flat, source: int, units: int, W: Flat, k: int, i: int) -> Any:
    """Return one output of the last layer at place i, without its bias."""
    u = source + i
    total = W[k] * x[u] + W[k + 1] * x[u + ROW]
    total += W[k + 2] * x[u + 2 * ROW] + W[k + 3] * x[u + 3 * ROW]
    if units == 8:
        total += W[k + 4] * x[u + 4 * ROW] + W[k + 5] * x[u + 5 * ROW]
        total += W[k + 6] * x[u + 6 * ROW] + W[k + 7] * x[u + 7 * ROW]
    return total


@inlined
def _curves(x: Flat, source: int, units: int, W: Flat, k: int) -> None:
    """Fill CURVE with L and SLOPE with L'; 1/a and the 9 are in the weights."""
    b0, b1 = W[k + 2 * units], W[k + 2 * units + 1]
    for i in range(N):
        r = x[RECIPROCAL + i]
        x[CURVE + i] = x[FIELD + LANES + i] * r * (b0 + _output(x, source, units, W, k, i))
        x[SLOPE + i] = r * r * (b1 + _output(x, source, units, W, k + units, i))


@inlined
def _recursion(x: Flat, constants: Flat) -> None:
    """Fill RATE with h, PEAK with the follower of the field, and STATE with p, in time order."""
    reversible, beta, eps = constants[1], constants[2], constants[3]
    rate, rate_slope = constants[4], constants[5]
    four_beta = _FOUR * beta
    for i in range(N):
        H = x[FIELD + LANES + i]
        h = _NEW * (H - x[FIELD + i]) - _OLD * x[RATE + i]
        x[RATE + LANES + i] = h
        speed = abs(h)
        now = max(abs(H), _PEAK_RATE * speed)
        x[PEAK + LANES + i] = max(now, x[PEAK + i] - _PEAK_FORGET * speed)
    for i in range(N):
        h = x[RATE + LANES + i]
        L1 = x[SLOPE + i]
        p = x[STATE + i]
        w = reversible * L1
        m = _ONE - beta * w
        u = abs(h) * (rate + rate_slope * L1)
        delta = math.copysign(_ONE, h)
        D = delta * (x[CURVE + i] - p * (_ONE - eps * L1))
        C = u * (D * m + w)
        B = _ONE - beta * D + u * m
        root = np.sqrt(max(B * B + four_beta * C, _ZERO))
        S = max((C + C) / max(B + root, _TINY), u * w)
        bound = min(max(_BOUND_AT_0 - _BOUND_SLOPE * x[PEAK + LANES + i], _BOUND), _BOUND_CALM)
        x[STATE + LANES + i] = min(max(p + delta * (S + S), -bound), bound)


@cache
def tape_network(depth: int, width: int) -> Callable[..., None]:
    """Return the kernel for hidden layers of a depth (2 or 3) and width (4 or 8).

    The kernel is closed over two integers, which numba can keep on disk.
    """

    @kernel
    def step(
        H: NDArray[np.float64],
        M_out: NDArray[np.float64],
        state: Flat,
        x: Flat,
        W: Flat,
        constants: Flat,
    ) -> None:
        """Step every lane.

        Args:
            H: field, flat, Shape: (time * LANES,).
            M_out: magnetisation, flat, Shape: (time * LANES,).
            state: rows H, h, peak and p of the sample before, Shape: (CARRIED * LANES,).
            x: scratch, Shape: (SCRATCH,).
            W: the weights with the head's factors folded in, Shape: (weights,).
            constants: ``1/a, c k/a, beta, eps, 1/(1.9 k), eps c/(1.9 k), M_s/2``.
        """
        for start in range(0, H.size, N):
            n = min(N, H.size - start)
            source, target = H[start : start + n], M_out[start : start + n]
            for row in range(CARRIED):
                for lane in range(LANES):
                    x[row * ROW + lane] = state[row * LANES + lane]
            for i in range(n):
                x[FIELD + LANES + i] = source[i]
            # from here on always a whole block, even where the last one is shorter: what follows
            # its end is never used
            one_over_a = constants[0]
            for i in range(N):
                x[RECIPROCAL + i] = _ONE / (_KNEE + one_over_a * abs(x[FIELD + LANES + i]))
            _layer(x, UNITS_A, RECIPROCAL, 1, width, W, 0)
            k = 2 * width
            _layer(x, UNITS_B, UNITS_A, width, width, W, k)
            k += width * (width + 1)
            if depth == 2:
                _curves(x, UNITS_B, width, W, k)
            else:
                _layer(x, UNITS_A, UNITS_B, width, width, W, k)
                _curves(x, UNITS_A, width, W, k + width * (width + 1))
            _recursion(x, constants)
            half_M_s = constants[6]
            for i in range(n):
                target[i] = half_M_s * (x[STATE + i] + x[STATE + LANES + i])
            for row in range(CARRIED):
                for lane in range(LANES):
                    state[row * LANES + lane] = x[row * ROW + n + lane]

    return step

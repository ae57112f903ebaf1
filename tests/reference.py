"""The slow, obvious forms: the oracle of everything fast.

The solvers are written as the plugin and the papers print them, in plain Python, one sample and
one channel at a time, with five numbers of state, a sample period, and tanh. Nothing here is shared
with the package but the symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal


class Tape:
    """The Jiles-Atherton equation of one setting."""

    def __init__(self, drive: float, saturation: float, bias: float) -> None:
        self.M_s = 0.5 + 1.5 * (1.0 - saturation)
        self.a = self.M_s / (0.01 + 6.0 * drive)
        self.c = math.sqrt(bias) - 0.01
        self.k = 0.47875
        self.alpha = 1.6e-3

    def rate(self, M: float, H: float, Hd: float) -> tuple[float, float]:
        """Return dM/dt and its derivative by M."""
        Q = (H + self.alpha * M) / self.a
        if abs(Q) > 0.001:
            coth = 1.0 / math.tanh(Q)
            L = coth - 1.0 / Q
            L1 = 1.0 / Q**2 - coth**2 + 1.0
            L2 = 2.0 * coth * (coth**2 - 1.0) - 2.0 / Q**3
        else:
            L, L1, L2 = Q / 3.0, 1.0 / 3.0, -2.0 / 15.0 * Q
        D = self.M_s * L - M
        delta = 1.0 if Hd >= 0.0 else -1.0
        gate = 1.0 if (D > 0) - (D < 0) == delta else 0.0
        den = (1.0 - self.c) * delta * self.k - self.alpha * D
        f1 = gate * (1.0 - self.c) * D / den
        f2 = self.c * self.M_s / self.a * L1
        f3 = 1.0 - self.alpha * f2
        f = Hd * (f1 + f2) / f3
        D_M = self.M_s * L1 * self.alpha / self.a - 1.0
        f1_M = gate * (1.0 - self.c) * (D_M / den + self.alpha * D * D_M / den**2)
        f2_M = self.c * self.M_s / self.a**2 * L2 * self.alpha
        return f, (Hd * (f1_M + f2_M) + f * self.alpha * f2_M) / f3


def hysteresis(
    x: ArrayLike, rate: float, mode: str, drive: float, saturation: float, bias: float
) -> NDArray[np.float64]:
    """Return the magnetisation of one channel, Shape: (time,)."""
    tape = Tape(drive, saturation, bias)
    T = 1.0 / rate
    M1 = H1 = Hd1 = 0.0
    out = []
    for H in map(float, np.asarray(x)):
        Hd = 1.75 / T * (H - H1) - 0.75 * Hd1
        try:
            M = _STEPS[mode](tape, T, H, Hd, M1, H1, Hd1)
        except (OverflowError, ZeroDivisionError):
            M = math.nan
        if not abs(M) <= 20.0:
            M, Hd = 0.0, 0.0
        out.append(M)
        M1, H1, Hd1 = M, H, Hd
    return np.array(out)


def _rk2(tape: Tape, T: float, H: float, Hd: float, M1: float, H1: float, Hd1: float) -> float:
    k1 = T * tape.rate(M1, H1, Hd1)[0]
    return M1 + T * tape.rate(M1 + k1 / 2, (H + H1) / 2, (Hd + Hd1) / 2)[0]


def _rk4(tape: Tape, T: float, H: float, Hd: float, M1: float, H1: float, Hd1: float) -> float:
    H_mid, Hd_mid = (H + H1) / 2, (Hd + Hd1) / 2
    k1 = T * tape.rate(M1, H1, Hd1)[0]
    k2 = T * tape.rate(M1 + k1 / 2, H_mid, Hd_mid)[0]
    k3 = T * tape.rate(M1 + k2 / 2, H_mid, Hd_mid)[0]
    k4 = T * tape.rate(M1 + k3, H, Hd)[0]
    return M1 + k1 / 6 + k2 / 3 + k3 / 3 + k4 / 6


def _newton(steps: int) -> Callable[..., float]:
    def step(tape: Tape, T: float, H: float, Hd: float, M1: float, H1: float, Hd1: float) -> float:
        f1 = tape.rate(M1, H1, Hd1)[0]
        M = M1
        for _ in range(steps):
            f, f_M = tape.rate(M, H, Hd)
            M -= (M - M1 - T / 1.9 * (f + f1)) / (1.0 - T / 1.9 * f_M)
        return M

    return step


_STEPS = {"rk2": _rk2, "rk4": _rk4, "nr4": _newton(4), "nr8": _newton(8)}


def raise_rate(x: NDArray[np.float64], taps: ArrayLike, offset: int) -> NDArray[np.float64]:
    """Double the rate of a whole channel with scipy's upfirdn, its delay taken off."""
    full = signal.upfirdn(2.0 * np.asarray(taps), np.append(x, np.zeros(offset)), up=2)
    return full[offset : offset + 2 * len(x)]


def lower_rate(x: NDArray[np.float64], taps: ArrayLike, offset: int) -> NDArray[np.float64]:
    """Halve the rate of a whole channel with scipy's lfilter, its delay taken off."""
    full = signal.lfilter(np.asarray(taps), [1.0], np.append(x, np.zeros(offset)))
    return full[offset::2][: (len(x) + 1) // 2]

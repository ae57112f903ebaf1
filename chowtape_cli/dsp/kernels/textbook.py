"""The yardstick of the benchmarks: NR8 as it is printed, one channel, scalar, eight fixed steps.

State and steps are those of J. Chowdhury, "Real-time physical modelling for analog tape machines",
DAFx 2019; nothing of what makes the other kernels fast is used here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.native import kernel


@kernel
def _rate(
    M: float, H: float, Hd: float, M_s: float, a: float, c: float, k: float, alpha: float
) -> tuple[float, float]:
    """Return dM/dt and its derivative by M."""
    Q = (H + alpha * M) / a
    if abs(Q) > 0.001:
        coth = 1.0 / math.tanh(Q)
        L = coth - 1.0 / Q
        L1 = 1.0 / (Q * Q) - coth * coth + 1.0
        L2 = 2.0 * coth * (coth * coth - 1.0) - 2.0 / (Q * Q * Q)
    else:
        L = Q / 3.0
        L1 = 1.0 / 3.0
        L2 = -2.0 / 15.0 * Q
    D = M_s * L - M
    delta = 1.0 if Hd >= 0.0 else -1.0
    gate = 1.0 if D * delta > 0.0 else 0.0
    den = (1.0 - c) * delta * k - alpha * D
    f1 = gate * (1.0 - c) * D / den
    f2 = c * M_s / a * L1
    f3 = 1.0 - alpha * f2
    f = Hd * (f1 + f2) / f3
    D_M = M_s * L1 * alpha / a - 1.0
    f1_M = gate * (1.0 - c) * D_M * (1.0 / den + alpha * D / (den * den))
    f2_M = c * M_s / a * L2 * alpha / a
    return f, Hd * (f1_M + f2_M) / f3 + f * alpha * f2_M / f3


@kernel
def textbook_newton(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    M_s: float,
    a: float,
    c: float,
    k: float,
    alpha: float,
    steps: int,
) -> None:
    """Solve for one channel, Shape: (time,), with exactly ``steps`` Newton steps a sample."""
    M1, H1, Hd1 = 0.0, 0.0, 0.0
    for n in range(H.size):
        H0 = H[n]
        Hd = 1.75 * (H0 - H1) - 0.75 * Hd1  # the sample period is 1: it cancels
        f1, _ = _rate(M1, H1, Hd1, M_s, a, c, k, alpha)
        M = M1
        for _ in range(steps):
            f, f_M = _rate(M, H0, Hd, M_s, a, c, k, alpha)
            M -= (M - M1 - (f + f1) / 1.9) / (1.0 - f_M / 1.9)
        if not abs(M) <= 20.0:
            M, Hd = 0.0, 0.0
        M_out[n] = M
        M1, H1, Hd1 = M, H0, Hd

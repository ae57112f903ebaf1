"""A finite impulse response over lanes."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.options import KERNEL


@nb.njit(**KERNEL)
def fir(
    x: NDArray[np.float64],
    first: int,
    x_step: int,
    taps: NDArray[np.float64],
    y: NDArray[np.float64],
    y_first: int,
    y_step: int,
) -> None:
    """Add ``sum_j taps[j] x[first + x_step (n - j)]`` to ``y[y_first + y_step n]`` for every n.

    Args:
        x: Shape: (rows, LANES); holds every row that is asked for.
        first: row of ``x`` that the first tap of the first output reads.
        x_step: rows of ``x`` from one output, and from one tap, to the next.
        taps: Shape: (taps,).
        y: Shape: (outputs, LANES).
        y_first: first row of ``y`` that is added to.
        y_step: rows of ``y`` from one output to the next.
    """
    sums = np.empty(LANES)
    for n in range((y.shape[0] - y_first + y_step - 1) // y_step):
        row = y_first + y_step * n
        for lane in range(LANES):
            sums[lane] = y[row, lane]
        for j in range(taps.size):
            source = first + x_step * (n - j)
            tap = taps[j]
            for lane in range(LANES):
                sums[lane] += tap * x[source, lane]
        for lane in range(LANES):
            y[row, lane] = sums[lane]

"""A finite impulse response over lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.compiling import kernel

TILE = 4  # the number of taps must be a multiple of it


@kernel
def fir(
    x: NDArray[np.float64],
    newest: int,
    x_step: int,
    taps: NDArray[np.float64],
    y: NDArray[np.float64],
    y_first: int,
    y_step: int,
) -> None:
    """Add ``sum_k taps[k] x[newest + x_step (n - k)]`` to ``y[y_first + y_step n]`` for every n.

    Four outputs and four taps are written out: 7 rows are loaded for 16 products, and the window
    that each tile takes of the flat buffers makes every distance a constant for the compiler.

    Args:
        x: Shape: (rows, LANES), C-contiguous; holds every row that is asked for.
        newest: row of ``x`` that the first tap of the first output reads.
        x_step: rows of ``x`` from one output, and from one tap, to the next.
        taps: Shape: (taps,), a multiple of TILE.
        y: Shape: (rows, LANES), C-contiguous.
        y_first: first row of ``y`` that is added to.
        y_step: rows of ``y`` from one output to the next.
    """
    count = (y.shape[0] - y_first + y_step - 1) // y_step
    tiled = count - count % TILE
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    s, t = x_step * LANES, y_step * LANES
    for n in range(0, tiled, TILE):
        first = y_first + y_step * n
        out = flat_y[first * LANES : (first + 3 * y_step + 1) * LANES]
        for k in range(0, taps.size, TILE):
            c0, c1, c2, c3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            first = newest + x_step * (n - k - 3)
            X = flat_x[first * LANES : (first + 6 * x_step + 1) * LANES]
            for i in range(LANES):
                X0, X1, X2, X3 = X[i], X[i + s], X[i + 2 * s], X[i + 3 * s]
                X4, X5, X6 = X[i + 4 * s], X[i + 5 * s], X[i + 6 * s]
                out[i] += c0 * X3 + c1 * X2 + c2 * X1 + c3 * X0
                out[i + t] += c0 * X4 + c1 * X3 + c2 * X2 + c3 * X1
                out[i + 2 * t] += c0 * X5 + c1 * X4 + c2 * X3 + c3 * X2
                out[i + 3 * t] += c0 * X6 + c1 * X5 + c2 * X4 + c3 * X3
    for n in range(tiled, count):
        row = y_first + y_step * n
        for k in range(0, taps.size, TILE):
            c0, c1, c2, c3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            first = newest + x_step * (n - k)
            for lane in range(LANES):
                y[row, lane] += (
                    c0 * x[first, lane]
                    + c1 * x[first - x_step, lane]
                    + c2 * x[first - 2 * x_step, lane]
                    + c3 * x[first - 3 * x_step, lane]
                )

"""A finite impulse response over lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.native import inlined, kernel

TILE = 4  # the number of taps must be a multiple of it


@inlined
def _add(
    x: NDArray[np.float64],
    newest: int,
    x_step: int,
    taps: NDArray[np.float64],
    y: NDArray[np.float64],
    y_first: int,
    y_step: int,
    fresh: bool,
) -> None:
    """Add ``sum_k taps[k] x[newest + x_step (n - k)]`` to ``y[y_first + y_step n]`` for every n.

    Where ``fresh``, y holds nothing yet and is set. Four outputs and four taps are written out: 7
    rows are loaded for 16 products. With the steps constants, and a window of the buffers for each
    tile, so is every distance between rows.
    """
    count = (y.size // LANES - y_first + y_step - 1) // y_step
    if taps.size == 1:
        for n in range(count):
            first = (newest + x_step * n) * LANES
            row = (y_first + y_step * n) * LANES
            X, out = x[first : first + LANES], y[row : row + LANES]
            for i in range(LANES):
                out[i] = taps[0] * X[i] if fresh else out[i] + taps[0] * X[i]
        return
    tiled = count - count % TILE
    s, t = x_step * LANES, y_step * LANES
    for n in range(0, tiled, TILE):
        first = y_first + y_step * n
        out = y[first * LANES : (first + 3 * y_step + 1) * LANES]
        for k in range(0, taps.size, TILE):
            c0, c1, c2, c3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            first = newest + x_step * (n - k - 3)
            X = x[first * LANES : (first + 6 * x_step + 1) * LANES]
            for i in range(LANES):
                X0, X1, X2, X3 = X[i], X[i + s], X[i + 2 * s], X[i + 3 * s]
                X4, X5, X6 = X[i + 4 * s], X[i + 5 * s], X[i + 6 * s]
                y0 = c0 * X3 + c1 * X2 + c2 * X1 + c3 * X0
                y1 = c0 * X4 + c1 * X3 + c2 * X2 + c3 * X1
                y2 = c0 * X5 + c1 * X4 + c2 * X3 + c3 * X2
                y3 = c0 * X6 + c1 * X5 + c2 * X4 + c3 * X3
                if fresh and k == 0:
                    out[i], out[i + t], out[i + 2 * t], out[i + 3 * t] = y0, y1, y2, y3
                else:
                    out[i] += y0
                    out[i + t] += y1
                    out[i + 2 * t] += y2
                    out[i + 3 * t] += y3
    for n in range(tiled, count):
        row = y_first + y_step * n
        if fresh:
            for lane in range(LANES):
                y[row * LANES + lane] = 0.0
        for k in range(taps.size):
            first = newest + x_step * (n - k)
            for lane in range(LANES):
                y[row * LANES + lane] += taps[k] * x[first * LANES + lane]


@kernel
def raise_rate(
    x: NDArray[np.float64],
    newest_even: int,
    even: NDArray[np.float64],
    newest_odd: int,
    odd: NDArray[np.float64],
    y: NDArray[np.float64],
) -> None:
    """Fill ``y[2 n]`` with ``sum_k even[k] x[newest_even + n - k]``, ``y[2 n + 1]`` with the odd.

    Args:
        x: rows one after the other, Shape: (rows * LANES,); holds every row that is asked for.
        newest_even: row of ``x`` that the first tap of the first even output reads.
        even: taps, Shape: (taps,), 1 or a multiple of TILE.
        newest_odd: the same for the odd outputs.
        odd: the same for the odd outputs.
        y: rows in the same way.
    """
    _add(x, newest_even, 1, even, y, 0, 2, True)
    _add(x, newest_odd, 1, odd, y, 1, 2, True)


@kernel
def lower_rate(
    x: NDArray[np.float64],
    newest_even: int,
    even: NDArray[np.float64],
    newest_odd: int,
    odd: NDArray[np.float64],
    y: NDArray[np.float64],
) -> None:
    """Fill ``y[n]`` with ``sum_k even[k] x[newest_even + 2 (n - k)]`` and the same of the odd.

    Arguments as above.
    """
    _add(x, newest_even, 2, even, y, 0, 1, True)
    _add(x, newest_odd, 2, odd, y, 0, 1, False)

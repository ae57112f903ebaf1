"""Between a recording, channel beside channel, and lanes, each with its own stretch of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.native import kernel

TILE = 16  # rows of lanes that stay in the first-level cache while each lane is followed


@kernel
def gather(
    source: NDArray[np.float64],
    starts: NDArray[np.int64],
    channels: NDArray[np.int64],
    gain: float,
    limit: float,
    rows: NDArray[np.float64],
) -> None:
    """Fill the lanes that are used: ``rows[n, lane] = gain source[starts[lane] + n, channel]``.

    What is beyond the source's end is left alone.

    Args:
        source: Shape: (frames, channels).
        starts: Shape: (lanes used,).
        channels: Shape: (lanes used,).
        gain: linear.
        limit: what goes beyond it is clipped.
        rows: Shape: (time, LANES).
    """
    for top in range(0, rows.shape[0], TILE):
        bottom = min(top + TILE, rows.shape[0])
        for lane in range(starts.size):
            first = starts[lane] + top
            rows_left = min(bottom - top, source.shape[0] - first)
            part, to = source[first : first + rows_left], rows[top:bottom]
            channel = channels[lane]
            for n in range(rows_left):
                to[n, lane] = min(max(gain * part[n, channel], -limit), limit)


@kernel
def scatter(
    rows: NDArray[np.float64],
    starts: NDArray[np.int64],
    channels: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    target: NDArray[np.float64],
) -> None:
    """The way back: ``target[starts[lane] + n, channels[lane]] = rows[n, lane]``.

    For n from ``begins[lane]`` to before ``ends[lane]``; the rest of a lane is left alone.
    """
    for top in range(0, rows.shape[0], TILE):
        bottom = min(top + TILE, rows.shape[0])
        for lane in range(starts.size):
            start, channel = starts[lane], channels[lane]
            first, last = max(top, begins[lane]), min(bottom, ends[lane])
            for n in range(first, last):
                target[start + n, channel] = rows[n, lane]


@kernel
def add(
    rows: NDArray[np.float64],
    starts: NDArray[np.int64],
    channels: NDArray[np.int64],
    ends: NDArray[np.int64],
    target: NDArray[np.float64],
) -> None:
    """Add ``rows[n, lane]`` to ``target[starts[lane] + n, channels[lane]]``.

    For n before ``ends[lane]``; a lane that is through already has one that is negative.
    """
    for lane in range(starts.size):
        start, channel = starts[lane], channels[lane]
        for n in range(min(rows.shape[0], ends[lane])):
            target[start + n, channel] += rows[n, lane]

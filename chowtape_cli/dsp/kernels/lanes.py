"""Between a recording, channel beside channel, and lanes, each with its own stretch of time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.native import kernel


@kernel
def gather(
    source: NDArray[np.float64],
    starts: NDArray[np.int64],
    channels: NDArray[np.int64],
    rows: NDArray[np.float64],
) -> None:
    """Fill the lanes that are used: ``rows[n, lane] = source[starts[lane] + n, channels[lane]]``.

    Args:
        source: Shape: (frames, channels).
        starts: Shape: (lanes used,).
        channels: Shape: (lanes used,).
        rows: Shape: (time, LANES).
    """
    for n in range(rows.shape[0]):
        for lane in range(starts.size):
            rows[n, lane] = source[starts[lane] + n, channels[lane]]


@kernel
def scatter(
    rows: NDArray[np.float64],
    starts: NDArray[np.int64],
    channels: NDArray[np.int64],
    target: NDArray[np.float64],
) -> None:
    """Undo `gather`: ``target[starts[lane] + n, channels[lane]] = rows[n, lane]``."""
    for n in range(rows.shape[0]):
        for lane in range(starts.size):
            target[starts[lane] + n, channels[lane]] = rows[n, lane]

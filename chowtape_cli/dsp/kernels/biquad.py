"""A cascade of second-order sections over lanes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.native import kernel


@kernel
def sections(x: NDArray[np.float64], sos: NDArray[np.float64], state: NDArray[np.float64]) -> None:
    """Filter ``x`` in place, in transposed direct form II, as scipy.signal.sosfilt does.

    Args:
        x: Shape: (time, LANES).
        sos: Shape: (sections, 6), rows ``b0 b1 b2 1 a1 a2``.
        state: Shape: (sections, 2, LANES), carried from call to call.
    """
    for section in range(sos.shape[0]):
        b0, b1, b2 = sos[section, 0], sos[section, 1], sos[section, 2]
        a1, a2 = sos[section, 4], sos[section, 5]
        z0, z1 = state[section, 0], state[section, 1]
        for n in range(x.shape[0]):
            row = x[n]
            for lane in range(LANES):
                value = row[lane]
                result = b0 * value + z0[lane]
                z0[lane] = b1 * value - a1 * result + z1[lane]
                z1[lane] = b2 * value - a2 * result
                row[lane] = result

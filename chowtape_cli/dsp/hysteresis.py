"""The tape itself: one solver of the Jiles-Atherton equation as a stage of the signal path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.newton import newton
from chowtape_cli.dsp.kernels.runge_kutta import rk2, rk4

# the plugin's limit of the input of each solver, in full scales
GUARD = {"rk2": 8.0, "rk4": 10.0, "nr4": 12.5, "nr8": 12.5}
NEWTON_STEPS = {"nr4": 4, "nr8": 8}
_EXPLICIT = {"rk2": rk2, "rk4": rk4}


class Hysteresis:
    """Turns field into magnetisation; the sample rate does not matter to it.

    ``h_n = 1.75 (H_n - H_{n-1}) - 0.75 h_{n-1}`` is the sample period times the plugin's derivative
    of the field (the alpha transform, alpha = 0.75); all state starts at 0.
    """

    def __init__(self, mode: str, tape: Coefficients) -> None:
        self._mode = mode
        self._tape = tape
        self._state = np.zeros((3, LANES))
        self._resets = np.zeros(LANES)
        self._out = RowBuffer()

    @property
    def resets(self) -> int:
        """How often |M| passed 20 or was NaN, and M and h were set to 0, so far."""
        return int(self._resets.sum())

    def push(self, H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take the field, Shape: (time, LANES); return the magnetisation until the next call."""
        M = self._out.blank(len(H))
        if self._mode in NEWTON_STEPS:
            newton(H, M, self._state, self._resets, NEWTON_STEPS[self._mode], self._tape)
        else:
            _EXPLICIT[self._mode](H, M, self._state, self._resets, self._tape)
        return M

    def finish(self) -> NDArray[np.float64]:
        """Return no rows: this stage holds nothing back."""
        return np.zeros((0, LANES))

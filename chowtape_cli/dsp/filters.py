"""The DC blocker: a 4th-order Butterworth high-pass as two second-order sections."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.biquad import sections

_AT_ONCE = 4096  # rows: they stay in the cache


def butterworth_high_pass(corner: float, rate: float) -> NDArray[np.float64]:
    """Return the sections of a 4th-order Butterworth high-pass, Shape: (2, 6).

    The poles of the analogue prototype lie at angles of pi/8 and 3 pi/8 from the real axis; the
    bilinear transform with ``w = tan(pi corner / rate)`` and ``q = 2 cos(angle)`` gives for each

        H(z) = (1 - z^-1)^2 / (1 + q w + w^2 + 2 (w^2 - 1) z^-1 + (1 - q w + w^2) z^-2)

    scipy.signal.butter(4, corner, "highpass", fs=rate) gives the same filter.

    Args:
        corner: in Hz, above 0 and below half the rate.
        rate: sample rate in Hz.
    """
    w = math.tan(math.pi * corner / rate)
    rows = []
    for angle in (math.pi / 8.0, 3.0 * math.pi / 8.0):
        q = 2.0 * math.cos(angle)
        norm = 1.0 + q * w + w * w
        rows.append([
            1.0 / norm, -2.0 / norm, 1.0 / norm,
            1.0, 2.0 * (w * w - 1.0) / norm, (1.0 - q * w + w * w) / norm,
        ])  # fmt: skip
    return np.array(rows)


class DCBlocker:
    """Takes the constant that asymmetric loops leave out of a stream of blocks.

    Attributes:
        marked: the state before each row that was asked for, Shape: (STATE, LANES).
    """

    STATE = 4  # numbers: two for each section

    def __init__(self, corner: float, rate: float) -> None:
        self._sos = butterworth_high_pass(corner, rate)
        self._state = np.zeros((len(self._sos), 2, LANES))
        self._row = 0
        self._wanted: list[int] = []
        self.marked: dict[int, NDArray[np.float64]] = {}

    def mark(self, rows: Iterable[int]) -> None:
        """Ask for the state before some rows, counted from the first that is ever pushed."""
        self._wanted = sorted(rows)

    def push(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter rows in place, Shape: (n, LANES), and return them."""
        first = 0
        while self._wanted and self._wanted[0] - self._row <= len(x):
            row = self._wanted.pop(0)
            at = row - self._row
            sections(x[first:at], self._sos, self._state)
            self.marked[row] = self.state()
            first = at
        sections(x[first:], self._sos, self._state)
        self._row += len(x)
        return x

    def state(self) -> NDArray[np.float64]:
        """Return the state of every lane, Shape: (STATE, LANES)."""
        return self._state.reshape(self.STATE, LANES).copy()

    def enter(self, state: NDArray[np.float64]) -> None:
        """Set the state of the first lanes, Shape: (STATE, lanes)."""
        self._state.reshape(self.STATE, LANES)[:, : state.shape[1]] = state


def powers(corner: float, rate: float, rows: Iterable[int]) -> dict[int, NDArray[np.float64]]:
    """Return what so many rows of silence are to a DC blocker's state, a matrix for each number.

    They are made by the filter itself. To multiply its step by itself would lose, for a low corner,
    what is small beside the 1 in it.
    """
    wanted = sorted(rows)
    blocker = DCBlocker(corner, rate)
    blocker.enter(np.eye(DCBlocker.STATE))
    blocker.mark(wanted)
    store = RowBuffer()
    for at in range(0, max(wanted, default=0), _AT_ONCE):
        blocker.push(store.blank(min(_AT_ONCE, wanted[-1] - at)))
    return {row: blocker.marked[row][:, : DCBlocker.STATE] for row in wanted}

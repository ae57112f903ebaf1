"""The null test: one recording subtracted from another, and what is left."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Residual:
    """What is left of two recordings when one is subtracted from the other.

    Attributes:
        residual_db: its energy relative to that of the louder recording, in dB; None where the two
            are the same to the last bit.
        residual_dbfs: its RMS over all channels, in dB over full scale; None as above.
        peak_dbfs: its largest sample, in dB over full scale; None as above.
        peak_frame, peak_channel: where that is, frames from 0 and channels from 1; None as above.
    """

    residual_db: float | None = None
    residual_dbfs: float | None = None
    peak_dbfs: float | None = None
    peak_frame: int | None = None
    peak_channel: int | None = None


class NullTest:
    """Takes two recordings block by block."""

    def __init__(self) -> None:
        self._energies = [0.0, 0.0]
        self._difference = 0.0
        self._peak = 0.0
        self._place = (0, 0)
        self._frames = 0
        self._samples = 0

    def push(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
        """Take the same stretch of both, each Shape: (frames, channels)."""
        if a.size == 0:
            return
        difference = a - b
        for place, samples in enumerate((a, b)):
            self._energies[place] += float(np.vdot(samples, samples))
        self._difference += float(np.vdot(difference, difference))
        size = np.abs(difference)
        at = int(size.argmax())
        if size.flat[at] > self._peak:
            self._peak = float(size.flat[at])
            self._place = (self._frames + at // a.shape[1], at % a.shape[1] + 1)
        self._frames += len(a)
        self._samples += a.size

    def result(self) -> Residual:
        """Return what was left of all that was pushed."""
        if self._peak == 0.0:
            return Residual()
        # the square of a number that is next to nothing may be nothing
        smallest = sys.float_info.min
        left, louder = max(self._difference, smallest), max(*self._energies, smallest)
        return Residual(
            residual_db=10.0 * math.log10(left / louder),
            residual_dbfs=10.0 * math.log10(left / self._samples),
            peak_dbfs=20.0 * math.log10(self._peak),
            peak_frame=self._place[0],
            peak_channel=self._place[1],
        )

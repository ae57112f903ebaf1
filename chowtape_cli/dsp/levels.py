"""Levels of a stream: sample peak, RMS, crest factor, and the true peak between the samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TRUE_PEAK_OVERSAMPLING = 4
_HALF = 10 * TRUE_PEAK_OVERSAMPLING  # taps on each side, as scipy.signal.resample_poly has them
_CONTEXT = 2 * 10 + 1  # frames that one output needs


class LevelMeter:
    """Takes a recording block by block.

    Attributes:
        peak: the largest sample so far, linear.
        frames: how many were taken.
    """

    def __init__(self) -> None:
        self.peak = 0.0
        self.frames = 0
        self._energy = 0.0
        self._samples = 0

    def push(self, x: NDArray[np.float64]) -> None:
        """Take samples, Shape: (frames, channels)."""
        self.peak = max(self.peak, float(np.abs(x).max(initial=0.0)))
        self.frames += len(x)
        self._energy += float(np.vdot(x, x))
        self._samples += x.size

    @property
    def rms(self) -> float:
        """The root of the mean square over all channels, linear; 0 for nothing."""
        return math.sqrt(self._energy / self._samples) if self._samples else 0.0

    @property
    def crest_db(self) -> float | None:
        """Peak over RMS in dB; None for silence."""
        return 20.0 * math.log10(self.peak / self.rms) if self.rms > 0.0 else None


class TruePeakMeter:
    """The peak of the waveform between the samples, by 4x oversampling (ITU-R BS.1770-4, annex 2).

    The interpolation is that of `scipy.signal.resample_poly(x, 4, 1)`; blocks of any size give what
    one block gives.
    """

    def __init__(self, channels: int) -> None:
        from scipy import signal

        cutoff = 1.0 / TRUE_PEAK_OVERSAMPLING
        taps = signal.firwin(2 * _HALF + 1, cutoff, window=("kaiser", 5.0))
        self._taps = TRUE_PEAK_OVERSAMPLING * taps
        self._held = np.zeros((_CONTEXT - 1, channels))
        self._peak = 0.0
        self._late = _HALF // TRUE_PEAK_OVERSAMPLING  # frames that the interpolation lags behind

    def push(self, x: NDArray[np.float64]) -> None:
        """Take samples, Shape: (frames, channels)."""
        if len(x) == 0:
            return
        self._held, waveform = self._interpolated(x)
        skipped = min(self._late, len(x))  # what lies before the first frame
        self._late -= skipped
        self._note(waveform[skipped * TRUE_PEAK_OVERSAMPLING :])

    def _interpolated(
        self, x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the rows to hold for the next block, and the waveform up to this one's end."""
        from scipy import signal

        rows = np.concatenate((self._held, x))
        whole = signal.upfirdn(self._taps, rows, TRUE_PEAK_OVERSAMPLING, axis=0)
        first = (_CONTEXT - 1) * TRUE_PEAK_OVERSAMPLING
        return rows[-(_CONTEXT - 1) :], whole[first : first + len(x) * TRUE_PEAK_OVERSAMPLING]

    def _note(self, waveform: NDArray[np.float64]) -> None:
        self._peak = max(self._peak, float(np.abs(waveform).max(initial=0.0)))

    def dbtp(self) -> float | None:
        """Return the true peak in dB over full scale once all has been pushed; None for silence."""
        rest = np.zeros((_HALF // TRUE_PEAK_OVERSAMPLING, self._held.shape[1]))
        waveform = self._interpolated(rest)[1][self._late * TRUE_PEAK_OVERSAMPLING :]
        self._note(waveform)
        return 20.0 * math.log10(self._peak) if self._peak > 0.0 else None

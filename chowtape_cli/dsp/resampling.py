"""Converting the sample rate of a stream of blocks with scipy's polyphase resampler."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

ATTENUATION_DB = 120.0
# passband edge as a share of the lower rate's half: 20 kHz of 22.05 kHz
PASSBAND = 20.0 / 22.05


LONGEST_PERIOD = 100_000


def awkward(rate_in: int, rate_out: int) -> bool:
    """Say whether a ratio repeats too late for its filter to be held in memory."""
    return max(rate_in, rate_out) // math.gcd(rate_in, rate_out) > LONGEST_PERIOD


class RateConverter:
    """Streams `scipy.signal.resample_poly`: blocks of any size give what one block gives.

    The low-pass is flat to 20/22.05 of the lower rate's half and 120 dB down from there on. With
    n frames in, ceil(n rate_out / rate_in) come out.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int) -> None:
        from scipy import signal

        shared = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // shared, rate_in // shared
        widest = max(self._up, self._down)
        transition = (1.0 - PASSBAND) / widest
        taps, beta = signal.kaiserord(ATTENUATION_DB, transition)
        half = taps // 2 + 1
        cutoff = (1.0 + PASSBAND) / 2.0 / widest
        self._filter = signal.firwin(2 * half + 1, cutoff, window=("kaiser", beta))
        # whole periods of the ratio, so that the blocks' outputs fall on the same grid
        self._context = self._whole_periods(math.ceil(half / self._up) + 1)
        self._rows = np.zeros((0, channels))
        self._start = 0  # the frame that the first row is; always a whole number of periods
        self._taken = 0
        self._given = 0

    def _whole_periods(self, frames: int) -> int:
        return math.ceil(frames / self._down) * self._down

    def push(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take frames, Shape: (n, channels); return those that are ready."""
        self._rows = np.concatenate((self._rows, x))
        self._taken += len(x)
        settled = max(0, self._taken - self._context) // self._down * self._up
        return self._give(settled) if settled > self._given else self._rows[:0]

    def finish(self) -> NDArray[np.float64]:
        """Return the frames that were held back."""
        total = -(-self._taken * self._up // self._down)
        return self._give(total) if total > self._given else self._rows[:0]

    def _give(self, until: int) -> NDArray[np.float64]:
        from scipy import signal

        converted: NDArray[np.float64] = signal.resample_poly(
            self._rows, self._up, self._down, axis=0, window=self._filter
        )
        origin = self._start // self._down * self._up
        ready = converted[self._given - origin : until - origin]
        self._given = until
        keep_from = max(0, until // self._up * self._down - self._context)
        self._rows = self._rows[keep_from - self._start :]
        self._start = keep_from
        return ready

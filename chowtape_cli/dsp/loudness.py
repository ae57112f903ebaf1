"""Integrated loudness (ITU-R BS.1770-4) of a stream, as pyloudnorm measures it of an array.

The filters are pyloudnorm's own, and so are the edges of the 400 ms blocks. What is kept of a
recording is one number per block, ten a second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU below the mean of what passes the absolute gate
LOWEST_RATE = 4_000  # Hz; below it pyloudnorm's shelf at 1.5 kHz is no filter any more
# left, right, centre and the two surrounds
_CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)
_BLOCK = 0.4  # seconds
_STEP = 1.0 - 0.75  # of a block
_OFFSET = -0.691
_ENOUGH = 1e-9  # LU
_TRIES = 100


class LoudnessMeter:
    """Takes a recording block by block; chunks of any size give the same.

    Up to five channels weigh as in pyloudnorm (left, right, centre, surrounds); of more channels,
    which it refuses, each weighs 1.

    Args:
        rate: sample rate in Hz.
        channels: how many.
    """

    def __init__(self, rate: int, channels: int) -> None:
        from pyloudnorm import Meter

        filters = Meter(rate)._filters.values()  # it has no public way to its coefficients
        self._sections = np.array([np.concatenate((f.b, f.a)) for f in filters])
        self._state = np.zeros((len(self._sections), 2, channels))
        alike = channels > len(_CHANNEL_WEIGHTS)
        self._weights = np.ones(channels) if alike else np.array(_CHANNEL_WEIGHTS[:channels])
        self._rate = rate
        self._frames = 0
        self._power = np.zeros(0)  # of the frames from the first unfinished block on
        self._powers: list[float] = []

    def push(self, x: NDArray[np.float64]) -> None:
        """Take samples, Shape: (frames, channels)."""
        if self._rate < LOWEST_RATE or len(x) == 0:
            return
        from scipy import signal

        y, self._state = signal.sosfilt(self._sections, x, axis=0, zi=self._state)
        self._power = np.concatenate((self._power, np.square(y) @ self._weights))
        self._frames += len(x)
        begun = self._frames - len(self._power)
        while (edges := self._edges(len(self._powers)))[1] <= self._frames:
            self._powers.append(self._mean(edges[0] - begun, edges[1] - begun))
        kept_from = self._edges(len(self._powers))[0]
        self._power = self._power[max(0, kept_from - begun) :]

    def blocks(self) -> NDArray[np.float64]:
        """Return the mean weighted power of every block so far; none for less than 0.4 s."""
        seconds = self._frames / self._rate
        if self._frames < _BLOCK * self._rate:
            return np.zeros(0)
        count = int(np.round((seconds - _BLOCK) / (_BLOCK * _STEP)) + 1)
        powers = self._powers[:count]
        begun = self._frames - len(self._power)
        for block in range(len(powers), count):  # cut short by the end
            first, last = self._edges(block)
            powers.append(self._mean(first - begun, last - begun))
        return np.array(powers)

    def _edges(self, block: int) -> tuple[int, int]:
        """Return the frames where a block begins and ends, rounded as in pyloudnorm."""
        return (
            int(_BLOCK * (block * _STEP) * self._rate),
            int(_BLOCK * (block * _STEP + 1) * self._rate),
        )

    def _mean(self, first: int, last: int) -> float:
        return float(self._power[first:last].sum() / (_BLOCK * self._rate))


def integrated(blocks: NDArray[np.float64]) -> float | None:
    """Return the gated loudness of blocks in LUFS; None where nothing passes the gate at -70."""
    heard = blocks[_lufs(blocks) > ABSOLUTE_GATE]
    if heard.size == 0:
        return None
    heard = heard[_lufs(heard) > float(_lufs(heard.mean())) + RELATIVE_GATE]
    return float(_lufs(heard.mean()))


def _lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        level: NDArray[np.float64] = _OFFSET + 10.0 * np.log10(power)
    return level


def gain_towards(blocks: NDArray[np.float64], target: float) -> float:
    """Return the gain in dB, never above 0, that brings the blocks to a loudness in LUFS.

    What a gain brings below the absolute gate no longer counts, so that loudness is no straight
    line over gain: the gain is corrected until it fits, and the best one is taken.
    """
    gain, best, least = 0.0, 0.0, np.inf
    for _ in range(_TRIES):
        reached = integrated(blocks * 10.0 ** (gain / 10.0))
        if reached is None:
            break
        error = reached - target
        if abs(error) < least:
            best, least = gain, abs(error)
        if abs(error) < _ENOUGH:
            break
        gain = min(0.0, gain - error)
    return best

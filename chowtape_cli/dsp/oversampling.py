"""Raising and lowering the sample rate by 2, 4 ... 64, in stages of two, with zero net delay.

Each stage is one low-pass ``h`` between the two rates. With ``u`` the input and zeros between its
samples, raising gives ``y[m] = 2 sum_k h[k] u[m + offset - k]``; lowering gives
``y[n] = sum_k h[k] x[2 n + offset - k]``. ``offset`` is the filter's delay, so nothing is late.
Taps that meet a stuffed zero, and taps that are zero in a half-band filter, are never touched:
every other tap makes a filter of its own (the polyphase components), trimmed of its outer zeros.

The filters are designed in `filter_design`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.filter_design import STAGE_TAPS
from chowtape_cli.dsp.filter_taps import LINEAR, MINIMUM
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.fir import fir

Lanes = NDArray[np.float64]


class _Phase(NamedTuple):
    """Every other tap of a filter: which of the pair of rows, how far ahead it reads, the taps."""

    row: int
    lead: int
    taps: NDArray[np.float64]


class Stage(NamedTuple):
    """One filter of the cascade and the delay, in samples of its upper rate, that it makes good."""

    taps: NDArray[np.float64]
    offset: int


def stages(factor: int, phase: str) -> tuple[list[Stage], list[Stage]]:
    """Return the stages that raise the rate by ``factor`` and those that lower it again.

    A minimum-phase filter delays low frequencies by a fraction of a sample more than an integer;
    the fractions are carried from stage to stage, so that a quarter of a source sample is left at
    most.
    """
    table = {"linear": LINEAR, "minimum": MINIMUM}[phase]
    count = factor.bit_length() - 1
    order = [(2.0**i, STAGE_TAPS[min(i, len(STAGE_TAPS)) - 1]) for i in range(1, count + 1)]
    late = 0.0  # in source samples
    cascade = []
    for rate, size in order + order[::-1]:
        taps = np.array(table[size])
        late += float(np.arange(size) @ taps) / rate
        offset = round(late * rate)
        late -= offset / rate
        cascade.append(Stage(taps, offset))
    return cascade[:count], cascade[count:]


def _trimmed(row: int, lead: int, taps: NDArray[np.float64]) -> _Phase:
    used = np.flatnonzero(taps)
    first, last = int(used[0]), int(used[-1])
    return _Phase(row, lead - first, np.ascontiguousarray(taps[first : last + 1]))


class Interpolator:
    """Doubles the rate of a stream of blocks."""

    def __init__(self, stage: Stage) -> None:
        self._phases = []
        for row in (0, 1):
            parity = (row + stage.offset) % 2
            lead = (row + stage.offset - parity) // 2
            self._phases.append(_trimmed(row, lead, 2.0 * stage.taps[parity::2]))
        self._ahead = max(0, *(phase.lead for phase in self._phases))
        self._past = max(0, *(phase.taps.size - 1 - phase.lead for phase in self._phases))
        self._rows = np.zeros((self._past, LANES))

    def push(self, x: Lanes) -> Lanes:
        """Take rows, Shape: (n, LANES); return those that are ready, Shape: (2 m, LANES)."""
        rows = np.concatenate((self._rows, x))
        ready = max(0, len(rows) - self._past - self._ahead)
        y = np.zeros((2 * ready, LANES))
        for phase in self._phases:
            fir(rows, self._past + phase.lead, 1, phase.taps, y, phase.row, 2)
        self._rows = rows[ready:]
        return y

    def finish(self) -> Lanes:
        """Return the rows that were waiting for what comes after the end: silence."""
        return self.push(np.zeros((self._ahead, LANES)))


class Decimator:
    """Halves the rate of a stream of blocks."""

    def __init__(self, stage: Stage) -> None:
        self._phases = []
        for parity in (0, 1):
            lead = stage.offset - parity
            phase = _trimmed(parity, 0, stage.taps[parity::2])
            self._phases.append(phase._replace(lead=lead + 2 * phase.lead))
        self._ahead = max(0, *(phase.lead for phase in self._phases))
        self._past = max(0, *(2 * (phase.taps.size - 1) - phase.lead for phase in self._phases))
        self._rows = np.zeros((self._past, LANES))

    def push(self, x: Lanes) -> Lanes:
        """Take rows, Shape: (n, LANES); return those that are ready, Shape: (m, LANES)."""
        rows = np.concatenate((self._rows, x))
        ready = max(0, (len(rows) - self._past - self._ahead + 1) // 2)
        y = np.zeros((ready, LANES))
        for phase in self._phases:
            fir(rows, self._past + phase.lead, 2, phase.taps, y, 0, 1)
        self._rows = rows[2 * ready :]
        return y

    def finish(self) -> Lanes:
        """Return the rows that were waiting for what comes after the end: silence."""
        return self.push(np.zeros((self._ahead, LANES)))

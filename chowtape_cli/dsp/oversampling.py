"""Raising and lowering the sample rate by 2, 4 ... 64, in stages of two, with zero net delay.

Each stage is one low-pass ``h`` between the two rates. With ``u`` the input and zeros between its
samples, raising gives ``y[m] = 2 sum_k h[k] u[m + offset - k]``; lowering gives
``y[n] = sum_k h[k] x[2 n + offset - k]``. ``offset`` is the filter's delay, so nothing is late.
Taps that meet a stuffed zero, and taps that are zero in a half-band filter, are never touched:
every other tap makes a filter of its own (the polyphase components), trimmed of its outer zeros,
and filled up to whole tiles of the kernel.

The filters are designed in `filter_design`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import Room, RowBuffer
from chowtape_cli.dsp.filter_taps import LINEAR, MINIMUM
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.fir import TILE, lower_rate, raise_rate

Lanes = NDArray[np.float64]


class _Phase(NamedTuple):
    """Every other tap of a filter, and how far ahead of an output the first of them reads."""

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
    order = [(2.0**i, table[min(i, len(table)) - 1]) for i in range(1, count + 1)]
    late = 0.0  # in source samples
    cascade = []
    for rate, response in order + order[::-1]:
        taps = np.array(response)
        late += float(np.arange(taps.size) @ taps) / rate
        offset = round(late * rate)
        late -= offset / rate
        cascade.append(Stage(taps, offset))
    return cascade[:count], cascade[count:]


def _phase(lead: int, x_step: int, taps: NDArray[np.float64]) -> _Phase:
    used = np.flatnonzero(taps)
    first, last = int(used[0]), int(used[-1])
    trimmed = taps[first : last + 1]
    # a half-band's other phase is one tap: a scaled copy
    filled = trimmed if trimmed.size == 1 else np.append(trimmed, np.zeros(-trimmed.size % TILE))
    return _Phase(lead - x_step * first, filled)


class _RateChanger:
    """What raising and lowering share: rows wait until those ahead of them are there."""

    def __init__(self, phases: list[_Phase], x_step: int, y_step: int) -> None:
        self._phases = phases
        self._x_step = x_step
        self._y_step = y_step
        self._ahead = max(0, *(phase.lead for phase in phases))
        self._past = max(0, *(x_step * (phase.taps.size - 1) - phase.lead for phase in phases))
        self._rows = RowBuffer(self._past)
        self._out = RowBuffer()

    def push(self, x: Lanes) -> Lanes:
        """Take rows, Shape: (n, LANES); return those that are ready, until the next call."""
        self.room(len(x))[:] = x
        return self.pass_on(self._out.room)

    def room(self, rows: int) -> Lanes:
        """Return the rows that come next, to be filled."""
        return self._rows.extend(rows)

    def pass_on(self, room: Room) -> Lanes:
        """Fill and return as many rows of what comes after this as are ready."""
        rows = self._rows.all()
        waiting = len(rows) - self._past - self._ahead
        ready = max(0, -(-waiting // self._x_step))
        y = room(ready * self._y_step)
        change = raise_rate if self._x_step == 1 else lower_rate
        even, odd = self._phases
        change(
            rows.reshape(-1), self._past + even.lead, even.taps, self._past + odd.lead, odd.taps,
            y.reshape(-1),
        )  # fmt: skip
        self._rows.drop(ready * self._x_step)
        return y

    def finish(self) -> Lanes:
        """Return the rows that were waiting for what comes after the end: silence."""
        return self.push(np.zeros((self._ahead, LANES)))


class Interpolator(_RateChanger):
    """Doubles the rate of a stream of blocks."""

    def __init__(self, stage: Stage) -> None:
        phases = []
        for row in (0, 1):
            parity = (row + stage.offset) % 2
            lead = (row + stage.offset - parity) // 2
            phases.append(_phase(lead, 1, 2.0 * stage.taps[parity::2]))
        super().__init__(phases, x_step=1, y_step=2)


class Decimator(_RateChanger):
    """Halves the rate of a stream of blocks."""

    def __init__(self, stage: Stage) -> None:
        phases = [_phase(stage.offset - parity, 2, stage.taps[parity::2]) for parity in (0, 1)]
        super().__init__(phases, x_step=2, y_step=1)

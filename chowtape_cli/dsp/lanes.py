"""The wet path over lanes, from after the guard to before the high-pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.oversampling import Decimator, Interpolator, stages
from chowtape_cli.dsp.path import SignalPath

Rows = NDArray[np.float64]

# Rows of source that go through the path at once, and of the raised rate: few enough for every
# buffer to stay in the second-level cache, and so many that to call the kernels costs little.
MOST_ROWS, CACHE_ROWS = 1024, 4096


class Lanes:
    """Up-sampling, tape and down-sampling, side by side for every lane.

    Args:
        path: what to do.
        rate: sample rate in Hz.
        used: how many lanes are.

    Attributes:
        step: rows that go through at once.
        hysteresis: the tape.
    """

    def __init__(self, path: SignalPath, rate: int, used: int) -> None:
        self.step = step_of(path)
        tape = coefficients(path.drive, path.saturation, path.bias)
        self.hysteresis = Hysteresis(
            path.mode, tape, path.network, rate=rate * path.oversampling, lanes=used
        )
        up, down = stages(path.oversampling, path.phase)
        self._stages: list[Interpolator | Hysteresis | Decimator] = [
            *map(Interpolator, up),
            self.hysteresis,
            *map(Decimator, down),
        ]
        self._out = RowBuffer()

    def room(self, rows: int) -> Rows:
        """Return the rows that come next, Shape: (n, LANES), to be filled.

        Lanes that are not used hold zeros.
        """
        return self._stages[0].room(rows)

    def pass_on(self) -> Rows:
        """Return the rows that are ready, until the next call."""
        rooms = [*(stage.room for stage in self._stages[1:]), self._out.room]
        for stage, room in zip(self._stages, rooms, strict=True):
            rows = stage.pass_on(room)
        return rows


def step_of(path: SignalPath) -> int:
    """Return how many rows of source go through a path at once."""
    return min(MOST_ROWS, CACHE_ROWS // path.oversampling)

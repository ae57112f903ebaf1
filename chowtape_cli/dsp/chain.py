"""The signal path of a render, as a stream of blocks.

    input gain -> clip guard -> up xN -> hysteresis -> makeup -> down xN -> DC blocker
    -> output gain -> dry/wet mix

Each stage takes a block of rows and returns the rows that are ready; blocks of any size give what
one block of everything gives. What comes out of the whole path is aligned with what went in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD, Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients, makeup_gain
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.network import PluginNetwork, TapeNetwork
from chowtape_cli.dsp.oversampling import Decimator, Interpolator, stages

Samples = NDArray[np.float64]

# Rows that the hysteresis sees at once: every buffer of the path stays in the second-level cache.
CACHE_ROWS = 1024


class Stage(Protocol):
    """Something that turns a stream of rows into another one."""

    def push(self, x: Samples) -> Samples:
        """Take rows, Shape: (n, LANES); return those that are ready, until the next call."""

    def finish(self) -> Samples:
        """Return the rows that are still held back."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """What the signal path is made of.

    Attributes:
        mode: the solver of the hysteresis.
        drive, saturation, bias: the tape, each 0 to 1.
        oversampling: 1, 2, 4 ... 64.
        phase: of the oversampling filters, ``linear`` or ``minimum``.
        input_gain, output_gain: linear.
        wet: share of the tape in the output, 0 to 1.
        makeup: whether the makeup gain is applied.
        dc_block: corner in Hz, 0 for none.
        network: for mode ``stn``, the network of this setting.
    """

    mode: str
    drive: float
    saturation: float
    bias: float
    oversampling: int
    phase: str
    input_gain: float
    output_gain: float
    wet: float
    makeup: bool
    dc_block: float
    network: TapeNetwork | PluginNetwork | None = None


class Chain:
    """The signal path for some channels at one sample rate.

    Attributes:
        guard_clips: samples that the guard clipped before the tape, so far.
    """

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        self.guard_clips = 0
        self._path = path
        self._gain = path.output_gain * (
            makeup_gain(path.saturation, path.bias) if path.makeup else 1.0
        )
        self._groups = [
            _LaneGroup(path, rate, range(start, min(start + LANES, channels)))
            for start in range(0, channels, LANES)
        ]
        self._dry = np.zeros((0, channels))

    @property
    def resets(self) -> int:
        """How often a solver ran away and was set back to zero, so far."""
        return sum(group.hysteresis.resets for group in self._groups)

    def push(self, x: Samples) -> Samples:
        """Take samples, Shape: (frames, channels); return those that are ready."""
        frames = max(1, CACHE_ROWS // self._path.oversampling)
        ready = [self._push(x[start : start + frames]) for start in range(0, len(x), frames)]
        return np.concatenate([x[:0], *ready])

    def _push(self, x: Samples) -> Samples:
        self._dry = np.concatenate((self._dry, x))
        driven = x * self._path.input_gain
        limit = GUARD[self._path.mode]
        self.guard_clips += int(np.count_nonzero(np.abs(driven) > limit))
        np.clip(driven, -limit, limit, out=driven)
        return self._mixed(np.hstack([group.push(driven) for group in self._groups]))

    def finish(self) -> Samples:
        """Return the frames that were held back; as many came out, then, as went in."""
        return self._mixed(np.hstack([group.finish() for group in self._groups]))

    def _mixed(self, wet: Samples) -> Samples:
        frames = len(wet)
        dry, self._dry = self._dry[:frames], self._dry[frames:]
        share = self._path.wet
        if share == 0.0:  # exactly the source
            return dry
        return wet * (self._gain * share) + dry * (1.0 - share)


class _LaneGroup:
    """The wet path of up to LANES channels."""

    def __init__(self, path: Path, rate: int, channels: range) -> None:
        self._columns = slice(channels.start, channels.stop)
        self._channels = len(channels)
        self._rows = RowBuffer()
        tape = coefficients(path.drive, path.saturation, path.bias)
        self.hysteresis = Hysteresis(
            path.mode,
            tape,
            path.network,
            rate=rate * path.oversampling,
            lanes=len(channels),
        )
        up, down = stages(path.oversampling, path.phase)
        self._stages: list[Stage] = [
            *map(Interpolator, up),
            self.hysteresis,
            *map(Decimator, down),
        ]
        if path.dc_block > 0.0:
            self._stages.append(DCBlocker(path.dc_block, rate))

    def push(self, x: Samples) -> Samples:
        rows = self._rows.blank(len(x))
        rows[:, : self._channels] = x[:, self._columns]
        for stage in self._stages:
            rows = stage.push(rows)
        return rows[:, : self._channels]

    def finish(self) -> Samples:
        rows = np.zeros((0, LANES))
        for stage in self._stages:
            rows = np.concatenate((stage.push(rows).copy(), stage.finish()))
        return rows[:, : self._channels]

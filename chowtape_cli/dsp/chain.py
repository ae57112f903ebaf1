"""The signal path of a render, for stretches of time that are laid out over lanes.

    input gain -> clip guard -> up xN -> hysteresis -> makeup -> down xN -> DC blocker
    -> output gain -> dry/wet mix

A batch is a run of segments of one recording. Each segment is computed in lanes of its own, one for
each channel, side by side with the others. It starts early: long enough before its own time for
the tape to have forgotten that it was started from rest (`segments.lead_in`), and after that for
the filters to have forgotten everything (`Layout.settle`). Between the two, at the seam, the state
of the tape is compared with what the segment before has there. Where they disagree the segment is
computed again from the state of the one before. So the result is that of one run from the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD, Hysteresis, states_differ
from chowtape_cli.dsp.jiles_atherton import coefficients, makeup_gain
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.lanes import gather, scatter
from chowtape_cli.dsp.oversampling import Decimator, Interpolator, stages
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import Layout, lead_in

Samples = NDArray[np.float64]

# Rows that the hysteresis sees at once: every buffer of the path stays in the second-level cache.
CACHE_ROWS = 2048


@dataclass(frozen=True)
class Batch:
    """What became of a batch.

    Attributes:
        samples: the output, Shape: (frames, channels).
        first_state: the tape's state at the first segment's seam, Shape: (rows, channels).
        last_state: the same at the seam that the next batch begins with.
        guard_clips: input samples that the guard clipped.
        resets: how often a solver ran away and was set back to zero.
        repairs: seams that disagreed.
    """

    samples: Samples
    first_state: Samples
    last_state: Samples
    guard_clips: int
    resets: int
    repairs: int


def render_batch(
    path: SignalPath,
    rate: int,
    layout: Layout,
    region: Samples,
    frames: int,
    before: Samples | None = None,
    *,
    first: bool = False,
) -> Batch:
    """Render a run of segments.

    Args:
        path: what to do.
        rate: sample rate in Hz.
        layout: how the recording is cut.
        region: the source from ``layout.lead`` frames before the batch to ``layout.ahead`` frames
            after its last segment, zeros where there is none, Shape: (region frames, channels).
        frames: how many frames of output are wanted.
        before: the tape's state at the first seam where it is known, Shape: (rows, channels).
        first: whether the recording begins with this batch.
    """
    driven = region * path.input_gain
    limit = GUARD[path.mode]
    own = driven[layout.lead : layout.lead + frames]
    guard_clips = int(np.count_nonzero(np.abs(own) > limit))
    np.clip(driven, -limit, limit, out=driven)
    work = _Work(path, rate, layout, driven, frames, first=first)
    work.run(range(work.segments), {} if before is None else {0: before})
    repairs = 0
    while wrong := work.wrong_seams():
        repairs += len(wrong)
        work.run(wrong, {i: work.ends[i - 1].copy() for i in wrong})
    wet = work.wet[:frames]
    dry = region[layout.lead : layout.lead + frames]
    return Batch(
        samples=_mixed(path, wet, dry),
        first_state=work.begins[0],
        last_state=work.ends[-1],
        guard_clips=guard_clips,
        resets=int(work.resets.sum()),
        repairs=repairs,
    )


def _mixed(path: SignalPath, wet: Samples, dry: Samples) -> Samples:
    if path.wet == 0.0:  # exactly the source
        return dry.copy()
    # the tape is the last that is not linear, so makeup and output gain can wait until here
    makeup = makeup_gain(path.saturation, path.bias) if path.makeup else 1.0
    wet *= makeup * path.output_gain * path.wet
    if path.wet < 1.0:
        wet += dry * (1.0 - path.wet)
    return wet


class _Work:
    """The segments of a batch, the states at their seams, and their output so far."""

    def __init__(
        self,
        path: SignalPath,
        rate: int,
        layout: Layout,
        driven: Samples,
        frames: int,
        *,
        first: bool,
    ) -> None:
        self._path = path
        self._rate = rate
        self._layout = layout
        self._driven = driven
        self._first = first
        self.segments = max(1, -(-frames // layout.segment))
        channels = driven.shape[1]
        self.wet = np.empty((self.segments * layout.segment, channels))
        rows = Hysteresis.state_rows(path.network)
        self.begins = np.zeros((self.segments, rows, channels))
        self.ends = np.zeros((self.segments, rows, channels))
        self.resets = np.zeros((self.segments, channels))
        self._lead_in = lead_in(driven, layout, self.segments)

    def wrong_seams(self) -> list[int]:
        """Return the segments whose state at their seam is not that of the one before."""
        return [
            i for i in range(1, self.segments) if states_differ(self.ends[i - 1], self.begins[i])
        ]

    def run(self, segments: range | list[int], known: dict[int, Samples]) -> None:
        """Compute some segments, those in ``known`` from the state that is given at the seam."""
        channels = self._driven.shape[1]
        pairs = [(segment, channel) for segment in segments for channel in range(channels)]
        for first in range(0, len(pairs), LANES):
            self._run_lanes(pairs[first : first + LANES], known)
        for segment, state in known.items():
            self.begins[segment] = state

    def _run_lanes(self, pairs: list[tuple[int, int]], known: dict[int, Samples]) -> None:
        layout, factor = self._layout, self._path.oversampling
        lanes = _Lanes(self._path, self._rate, len(pairs))
        begin = self._lead_in * factor
        lanes.hysteresis.mark(begin)
        opening = [lane for lane, (segment, _) in enumerate(pairs) if segment == 0]
        if self._first and opening:
            lanes.hysteresis.rest(begin + layout.settle * factor, opening)
        lanes.hysteresis.mark(begin + layout.segment * factor)
        for lane, (segment, channel) in enumerate(pairs):
            if segment in known:
                lanes.hysteresis.enter(begin, lane, known[segment][:, channel])
        segments, channels = (np.array(column) for column in zip(*pairs, strict=True))
        own = segments * layout.segment
        sources = own + layout.lead - layout.settle - self._lead_in
        skip = self._lead_in + layout.settle
        total = skip + layout.segment + layout.ahead
        step = max(1, CACHE_ROWS // factor)
        given = -skip
        for at in range(0, total, step):
            rows = lanes.rows.blank(min(step, total - at))
            gather(self._driven, sources + at, channels, rows)
            ready = lanes.push(rows)
            low, high = max(given, 0), min(given + len(ready), layout.segment)
            if low < high:
                scatter(ready[low - given : high - given], own + low, channels, self.wet)
            given += len(ready)
        marks = lanes.hysteresis.marked
        for lane, (segment, channel) in enumerate(pairs):
            self.begins[segment, :, channel] = marks[0].state[:, lane]
            self.ends[segment, :, channel] = marks[-1].state[:, lane]
            self.resets[segment, channel] = marks[-1].resets[lane] - marks[0].resets[lane]


class _Lanes:
    """The wet path over lanes, from the guard to the DC blocker."""

    def __init__(self, path: SignalPath, rate: int, used: int) -> None:
        tape = coefficients(path.drive, path.saturation, path.bias)
        self.rows = RowBuffer()
        self.hysteresis = Hysteresis(
            path.mode, tape, path.network, rate=rate * path.oversampling, lanes=used
        )
        up, down = stages(path.oversampling, path.phase)
        self._stages: list[Interpolator | Hysteresis | Decimator | DCBlocker] = [
            *map(Interpolator, up),
            self.hysteresis,
            *map(Decimator, down),
        ]
        if path.dc_block > 0.0:
            self._stages.append(DCBlocker(path.dc_block, rate))

    def push(self, rows: Samples) -> Samples:
        """Take rows, Shape: (n, LANES); return those that are ready, until the next call."""
        for stage in self._stages:
            rows = stage.push(rows)
        return rows

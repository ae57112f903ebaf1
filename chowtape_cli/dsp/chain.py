"""The signal path of a render, for stretches of time that are laid out over lanes.

    input gain -> clip guard -> up xN -> hysteresis -> makeup -> down xN -> DC blocker
    -> output gain -> dry/wet mix

A batch is a run of segments of one recording. Each segment is computed in lanes of its own, one for
each channel, side by side with the others. It starts early, long enough before its own time for
the tape to have forgotten that it was started from rest (`segments.lead_in`). There, at the seam,
the state of the tape is compared with what the segment before has. Where they disagree the segment
is computed again from the state of the one before. So the result is that of one run from the start.

The high-pass forgets slowly, but it is linear: started from a wrong state, it is off by what that
state alone rings to in silence. So it runs with the segments, and its states at the seams tell what
to add afterwards. Only a batch's first segment starts early for its sake.

Short recordings are not cut: a channel is a lane, and recordings share them. What a lane gives
depends on nothing beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer, lend
from chowtape_cli.dsp.coding import Coded, Coding, Extent, Packing, Stored, code, extent, unpack
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD, Hysteresis, states_differ
from chowtape_cli.dsp.jiles_atherton import coefficients, makeup_gain
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.lanes import add, gather, scatter
from chowtape_cli.dsp.oversampling import Decimator, Interpolator, stages
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import FILTER_REACH, Layout, cut_batch

Samples = NDArray[np.float64]

# Rows of source that go through the path at once, and of the raised rate: few enough for every
# buffer to stay in the second-level cache, and so many that to call the kernels costs little.
MOST_ROWS, CACHE_ROWS = 1024, 4096


@dataclass(frozen=True)
class Job:
    """How a recording is rendered.

    Attributes:
        path: what to do.
        rate: sample rate in Hz.
        channels: how many it has.
        layout: how it is cut.
        packing: how the source is stored.
        coding: how the output is stored.
    """

    path: SignalPath
    rate: int
    channels: int
    layout: Layout
    packing: Packing
    coding: Coding

    @property
    def rows(self) -> int:
        """Frames of source that a whole batch takes."""
        return self.layout.lead + self.layout.batch + self.layout.ahead


@dataclass(frozen=True)
class Task:
    """One batch: what it needs of the source, and what it makes of it.

    Attributes:
        region: the source from ``layout.lead`` frames before the batch to ``layout.ahead`` frames
            after it, zeros where there is none, packed, Shape: (region frames, bytes).
        frames: of output.
        position: the frame of the recording that the first one is.
    """

    region: NDArray[np.uint8]
    frames: int
    position: int


@dataclass(frozen=True)
class Batch:
    """What became of a batch.

    Attributes:
        output: the samples, as they are stored.
        source: the extent of the source.
        first_state: the tape's state at the first segment's seam, Shape: (rows, channels).
        last_state: the same at the seam that the next batch begins with.
        resets: how often a solver ran away and was set back to zero.
        repairs: seams that disagreed.
    """

    output: Coded
    source: Extent
    first_state: Samples
    last_state: Samples
    resets: int
    repairs: int


def render_batch(
    job: Job, task: Task, before: Samples | None = None, out: Stored | None = None
) -> Batch:
    """Render a run of segments.

    Args:
        job: how.
        task: the batch.
        before: the tape's state at the first seam where it is known, Shape: (rows, channels).
        out: where the samples go to; see `coding.code`.

    Raises:
        SampleError: a sample of the source is unusable; says where.
    """
    path, layout = job.path, job.layout
    region = lend("region", len(task.region), job.channels)
    unpack(task.region, job.packing, region)
    dry = region[layout.lead : layout.lead + task.frames]
    source = extent(dry, task.position, GUARD[path.mode] / path.input_gain)
    work = _Work(job, task, region)
    work.run(range(work.segments), {} if before is None else {0: before})
    repairs = 0
    while wrong := work.wrong_seams():
        repairs += len(wrong)
        work.run(wrong, {i: work.ends[i - 1].copy() for i in wrong})
    if layout.settle:
        work.correct_dc()
    wet = work.wet[layout.settle : layout.settle + task.frames]
    return Batch(
        output=finish(path, job.coding, wet, dry, task.position, out),
        source=source,
        first_state=work.begins[0],
        last_state=work.next_begin,
        resets=int(work.resets.sum()),
        repairs=repairs,
    )


def finish(
    path: SignalPath,
    coding: Coding,
    wet: Samples,
    dry: Samples,
    position: int,
    out: Stored | None = None,
) -> Coded:
    """Return the output: gains and mix, and how it is stored; arguments as in `coding.code`."""
    # the tape is the last that is not linear, so makeup and output gain can wait until here
    makeup = makeup_gain(path.saturation, path.bias) if path.makeup else 1.0
    gain = makeup * path.output_gain * path.wet * path.trim
    if path.wet == 1.0:
        return code(wet, coding, position, gain=gain, out=out)
    return code(
        wet, coding, position, gain=gain, dry=dry, share=(1.0 - path.wet) * path.trim, out=out
    )  # fmt: skip


class _Work:
    """The segments of a batch, the states at their seams, and their output so far.

    Attributes:
        segments: how many.
        wet: the tape's output from ``layout.settle`` frames before the batch on.
        begins, ends: the tape's states at each segment's seams, Shape: (segments, rows, channels).
        next_begin: its state where the first seam of the next batch is, Shape: (rows, channels).
        resets: Shape: (segments, channels).
    """

    def __init__(self, job: Job, task: Task, region: Samples) -> None:
        path, layout = job.path, job.layout
        self._path = path
        self._rate = job.rate
        self._layout = layout
        self._region = region
        self._first = task.position == 0
        self._limit = GUARD[path.mode]
        self._cuts = cut_batch(region, layout, task.frames, path.input_gain, self._limit)
        self.segments = len(self._cuts.lead_ins)
        channels = job.channels
        self.wet = lend("wet", layout.settle + task.frames, channels)
        rows = Hysteresis.state_rows(path.network)
        self.begins = np.zeros((self.segments, rows, channels))
        self.ends = np.zeros((self.segments, rows, channels))
        self.next_begin = np.zeros((rows, channels))
        self.resets = np.zeros((self.segments, channels))
        self._dc_begins = np.zeros((self.segments, DCBlocker.STATE, channels))
        self._dc_ends = np.zeros((self.segments, DCBlocker.STATE, channels))

    def wrong_seams(self) -> list[int]:
        """Return the segments whose state at their seam is not that of the one before."""
        return [
            i for i in range(1, self.segments) if states_differ(self.ends[i - 1], self.begins[i])
        ]

    def run(self, segments: range | list[int], known: dict[int, Samples]) -> None:
        """Compute some segments, those in ``known`` from the state that is given at the seam."""
        channels = self._region.shape[1]
        pairs = [(segment, channel) for segment in segments for channel in range(channels)]
        for first in range(0, len(pairs), LANES):
            self._run_lanes(pairs[first : first + LANES], known)
        for segment, state in known.items():
            self.begins[segment] = state

    def _run_lanes(self, pairs: list[tuple[int, int]], known: dict[int, Samples]) -> None:
        layout, factor = self._layout, self._path.oversampling
        lanes = _Lanes(self._path, self._rate, len(pairs))
        segments, channels = (np.array(column) for column in zip(*pairs, strict=True))
        seams, lead_ins = self._cuts.seams, self._cuts.lead_ins
        begin = lead_ins[segments]  # rows of source from a lane's start to its seam, and to its end
        end = begin + seams[segments + 1] - seams[segments]
        handed_over = begin + seams[-1] - layout.settle - seams[segments]
        holds = (begin < handed_over) & (handed_over <= end)
        for row in {*begin.tolist(), *end.tolist(), *handed_over[holds].tolist()}:
            lanes.hysteresis.mark(row * factor)
        opening = np.flatnonzero(segments == 0).tolist()
        if self._first and opening:
            until = int(begin[opening[0]]) + FILTER_REACH + layout.settle
            lanes.hysteresis.rest(until * factor, opening)
        for lane, (segment, channel) in enumerate(pairs):
            if segment in known:
                row = int(begin[lane]) * factor
                lanes.hysteresis.enter(row, lane, known[segment][:, channel])
        # a lane's seam is where the filters after it begin to hear it
        sources = seams[segments] + layout.lead - begin - FILTER_REACH
        targets = seams[segments] + layout.settle - begin - FILTER_REACH
        total = int(end.max()) + FILTER_REACH + layout.ahead
        step = min(MOST_ROWS, CACHE_ROWS // factor)
        blocker = DCBlocker(self._path.dc_block, self._rate) if layout.settle else None
        heard, ended = begin + FILTER_REACH, end + FILTER_REACH  # rows of the output
        if blocker is not None:
            blocker.mark({*heard.tolist(), *ended.tolist()})
        given = 0
        for at in range(0, total, step):
            rows = lanes.rows.blank(min(step, total - at))
            gather(
                self._region, sources + at, channels, self._path.input_gain, self._limit, rows
            )  # fmt: skip
            ready = lanes.push(rows)
            if self._first and opening:  # what rings before the first frame is no part of it
                ready[: max(0, until - given), opening] = 0.0
            if blocker is not None:
                blocker.push(ready)
            scatter(ready, targets + given, channels, heard - given, ended - given, self.wet)
            given += len(ready)
        for lane, (segment, channel) in enumerate(pairs):
            at_begin = lanes.hysteresis.marked[int(begin[lane]) * factor]
            at_end = lanes.hysteresis.marked[int(end[lane]) * factor]
            self.begins[segment, :, channel] = at_begin.state[:, lane]
            self.ends[segment, :, channel] = at_end.state[:, lane]
            self.resets[segment, channel] = at_end.resets[lane] - at_begin.resets[lane]
            if blocker is not None:
                self._dc_begins[segment, :, channel] = blocker.marked[int(heard[lane])][:, lane]
                self._dc_ends[segment, :, channel] = blocker.marked[int(ended[lane])][:, lane]
            if holds[lane]:
                passed = lanes.hysteresis.marked[int(handed_over[lane]) * factor]
                self.next_begin[:, channel] = passed.state[:, lane]

    def correct_dc(self) -> None:
        """Add what the high-pass of each segment lacks for having started from a wrong state."""
        seams = self._cuts.seams
        lengths = np.diff(seams)
        step = DCBlocker(self._path.dc_block, self._rate).step()
        lacking = np.zeros_like(self._dc_begins)
        for i in range(1, self.segments):
            left = np.linalg.matrix_power(step, int(lengths[i - 1])) @ lacking[i - 1]
            lacking[i] = self._dc_ends[i - 1] + left - self._dc_begins[i]
        channels = self.wet.shape[1]
        pairs = [(i, channel) for i in range(1, self.segments) for channel in range(channels)]
        for first in range(0, len(pairs), LANES):
            segments, lanes = (np.array(c) for c in zip(*pairs[first : first + LANES], strict=True))
            starts = seams[segments] + self._layout.settle
            self._ring(lacking[segments, :, lanes].T, starts, lanes, lengths[segments])

    def _ring(
        self,
        state: Samples,
        starts: NDArray[np.int64],
        channels: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> None:
        """Add to the output what the high-pass rings to in silence from some states."""
        blocker = DCBlocker(self._path.dc_block, self._rate)
        blocker.enter(state)
        store = RowBuffer()
        for at in range(0, self._layout.settle, MOST_ROWS):
            rows = store.blank(min(MOST_ROWS, self._layout.settle - at))
            add(blocker.push(rows), starts + at, channels, ends - at, self.wet)


def render_short(
    path: SignalPath, rate: int, sources: list[Samples], codings: list[Coding]
) -> list[Batch]:
    """Render recordings that are not cut; each gets what it would get alone.

    Args:
        path: what to do.
        rate: sample rate in Hz.
        sources: Shape: (frames, channels) each.
        codings: how the output of each is stored.

    Raises:
        SampleError: a sample of a source is unusable; says where.
    """
    limit = GUARD[path.mode]
    extents = [extent(source, 0, limit / path.input_gain) for source in sources]
    wets = [np.empty(source.shape) for source in sources]
    resets = [0] * len(sources)
    pairs = [(i, channel) for i, x in enumerate(sources) for channel in range(x.shape[1])]
    pairs.sort(key=lambda pair: len(sources[pair[0]]))
    for first in range(0, len(pairs), LANES):
        for i, count in _run_short(path, rate, sources, wets, pairs[first : first + LANES]):
            resets[i] += count
    nothing = np.zeros((0, 0))
    return [
        Batch(finish(path, coding, wet, dry, 0), found, nothing, nothing, count, 0)
        for coding, wet, dry, found, count in zip(
            codings, wets, sources, extents, resets, strict=True
        )
    ]


def _run_short(
    path: SignalPath,
    rate: int,
    sources: list[Samples],
    wets: list[Samples],
    pairs: list[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Fill the output of some channels and return the resets of each recording."""
    lanes = _Lanes(path, rate, len(pairs))
    blocker = DCBlocker(path.dc_block, rate) if path.dc_block > 0.0 else None
    step = min(MOST_ROWS, CACHE_ROWS // path.oversampling)
    # the filters ring before the first frame too; the tape rests until then
    lanes.hysteresis.rest(FILTER_REACH * path.oversampling, list(range(len(pairs))))
    longest = max(len(sources[i]) for i, _ in pairs)
    given = at = -FILTER_REACH
    while given < longest:
        rows = lanes.rows.blank(step)  # always a whole step: the same sums, whoever is beside
        for lane, (i, channel) in enumerate(pairs):
            part = sources[i][max(at, 0) : max(at + step, 0), channel]
            before = min(max(-at, 0), step)
            rows[before : before + len(part), lane] = part
        np.clip(rows * path.input_gain, -GUARD[path.mode], GUARD[path.mode], out=rows)
        ready = lanes.push(rows)
        early = min(max(-given, 0), len(ready))
        ready[:early] = 0.0
        if blocker is not None:
            ready = blocker.push(ready)
        for lane, (i, channel) in enumerate(pairs):
            target = wets[i][max(given, 0) : max(given + len(ready), 0), channel]
            target[:] = ready[early : early + len(target), lane]
        given += len(ready)
        at += step
    counts = lanes.hysteresis.resets
    return [(i, int(counts[lane])) for lane, (i, _) in enumerate(pairs)]


class LateDCBlocker:
    """The high-pass of a corner so low that it runs through a recording in one go, in order."""

    def __init__(self, corner: float, rate: int, channels: int) -> None:
        self._blockers = [DCBlocker(corner, rate) for _ in range(0, channels, LANES)]
        self._rows = RowBuffer()

    def push(self, wet: Samples) -> None:
        """Filter frames in place, Shape: (n, channels)."""
        for start in range(0, len(wet), CACHE_ROWS):
            for i, blocker in enumerate(self._blockers):
                part = wet[start : start + CACHE_ROWS, i * LANES : (i + 1) * LANES]
                rows = self._rows.blank(len(part))
                rows[:, : part.shape[1]] = part
                part[:] = blocker.push(rows)[:, : part.shape[1]]


class _Lanes:
    """The wet path over lanes, from the guard to before the DC blocker."""

    def __init__(self, path: SignalPath, rate: int, used: int) -> None:
        tape = coefficients(path.drive, path.saturation, path.bias)
        self.rows = RowBuffer()
        self.hysteresis = Hysteresis(
            path.mode, tape, path.network, rate=rate * path.oversampling, lanes=used
        )
        up, down = stages(path.oversampling, path.phase)
        self._stages: list[Interpolator | Hysteresis | Decimator] = [
            *map(Interpolator, up),
            self.hysteresis,
            *map(Decimator, down),
        ]

    def push(self, rows: Samples) -> Samples:
        """Take rows, Shape: (n, LANES); return those that are ready, until the next call."""
        for stage in self._stages:
            rows = stage.push(rows)
        return rows

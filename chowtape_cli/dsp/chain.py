"""The signal path of a render, for stretches of time that are laid out over lanes.

    input gain -> clip guard -> up xN -> hysteresis -> makeup -> down xN -> DC blocker
    -> output gain -> dry/wet mix

A batch is a run of segments of one recording. Each segment is computed in lanes of its own, one for
each channel, side by side with the others. It starts early, long enough before its own time for
the tape to have forgotten that it was started from rest. There, at the seam, the state of the tape
is compared with what the segment before has. Where they disagree the segment is computed again from
the state of the one before, until it meets what was computed first. So the result is that of one
run from the start.

The high-pass forgets slowly, but it is linear: started from a wrong state, it is off by what that
state alone rings to in silence. So it runs with the segments, and its states at the seams tell what
to add afterwards. Only a batch's first segment starts early for its sake.

Of a batch nothing is ever held whole: each segment takes its source, and gives its output, a window
at a time. To hand out memory costs a system more time than to filter what is put there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer, lend
from chowtape_cli.dsp.coding import Coded, Coding, Extent, Packing, Put, code, extent, unpack
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD, Hysteresis, states_differ
from chowtape_cli.dsp.jiles_atherton import makeup_gain
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.lanes import add, gather, scatter
from chowtape_cli.dsp.lanes import CACHE_ROWS, MOST_ROWS, Lanes, step_of
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import CELL, FILTER_REACH, Cuts, Layout, cut_batch, travelled

Samples = NDArray[np.float64]
Frames = NDArray[np.int64]
# Gives so many packed frames of the source from one on, Shape: (frames, bytes), until the next
# call; zeros before the first frame and after the last.
Take = Callable[[int, int], NDArray[np.uint8]]

WINDOW = 8192  # frames of each segment that are taken, or given, at once


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
    """One batch.

    Attributes:
        frames: of output.
        position: the frame of the recording that the first one is.
        take: gives the source, from ``layout.lead`` frames before the batch to ``layout.ahead``
            frames after it; what it gives beyond that does not matter.
        put: takes the output.
    """

    frames: int
    position: int
    take: Take
    put: Put


@dataclass(frozen=True)
class Batch:
    """What became of a batch.

    Attributes:
        frames: of output.
        peak: its largest sample, before it was rounded or clipped.
        clipped: samples of it that were beyond full scale.
        source: the extent of the source.
        first_state: the tape's state at the first segment's seam, Shape: (rows, channels).
        last_state: the same at the seam that the next batch begins with.
        resets: how often a solver ran away and was set back to zero.
        repairs: seams that disagreed.
    """

    frames: int
    peak: float
    clipped: int
    source: Extent
    first_state: Samples
    last_state: Samples
    resets: int
    repairs: int


def render_batch(job: Job, task: Task, before: Samples | None = None) -> Batch:
    """Render a run of segments.

    Args:
        job: how.
        task: the batch.
        before: the tape's state at the first seam where it is known, Shape: (rows, channels).

    Raises:
        SampleError: a sample of the source is unusable; says where.
    """
    source, cuts = _survey(job, task)
    work = _Work(job, task, cuts)
    work.run(range(work.segments), {} if before is None else {0: before})
    repairs = 0
    while known := work.wrong_seams():
        repairs += len(known)
        work.repair(known)
    work.correct_dc()
    return Batch(
        frames=task.frames,
        peak=work.peak,
        clipped=work.clipped,
        source=source,
        first_state=work.begins[0],
        last_state=work.next_begin,
        resets=int(work.resets.sum()),
        repairs=repairs,
    )


def _survey(job: Job, task: Task) -> tuple[Extent, Cuts]:
    """Measure the source of a batch, and cut it where that suits it."""
    path, layout = job.path, job.layout
    gain, limit = path.input_gain, GUARD[path.mode]
    rows = layout.lead + task.frames + layout.ahead
    cells = (rows - 1) // CELL  # there has to be a row after the last one
    distances, sizes = np.empty((2, cells, job.channels))
    peak, over = 0.0, 0
    for start in range(0, cells, WINDOW // CELL):
        stop = min(start + WINDOW // CELL, cells)
        at, behind = start * CELL, stop * CELL
        block = lend("survey", behind - at + 1, job.channels)
        unpack(task.take(task.position - layout.lead + at, len(block)), job.packing, block)
        first, last = max(at, layout.lead), min(behind, layout.lead + task.frames)
        if first < last:
            position = task.position - layout.lead + first
            found = extent(block[first - at : last - at], position, limit / gain)
            peak, over = max(peak, found.peak), over + found.over
        travelled(block, gain, limit, distances[start:stop], sizes[start:stop])
    return Extent(peak, over), cut_batch(distances, sizes, layout, task.frames, task.position)


def finish(
    path: SignalPath, coding: Coding, wet: Samples, dry: Samples | None, position: int
) -> Coded:
    """Return the output: gains and mix, and how it is stored; arguments as in `coding.code`.

    ``dry`` may be None where nothing of it is mixed in.
    """
    # the tape is the last that is not linear, so makeup and output gain can wait until here
    makeup = makeup_gain(path.saturation, path.bias) if path.makeup else 1.0
    gain = makeup * path.output_gain * path.wet * path.trim
    if path.wet == 1.0:
        return code(wet, coding, position, gain=gain)
    return code(wet, coding, position, gain=gain, dry=dry, share=(1.0 - path.wet) * path.trim)


class _Group(NamedTuple):
    """Up to LANES channels of segments that run together.

    Attributes:
        lanes: the path.
        blocker: the high-pass; None where it does not run with the segments.
        rows: which of the segments of the run each lane belongs to, Shape: (lanes used,).
        channels: and which of its channels, Shape: (lanes used,).
        opening: lanes that begin with the recording.
    """

    lanes: Lanes
    blocker: DCBlocker | None
    rows: Frames
    channels: Frames
    opening: list[int]


class _Piece(NamedTuple):
    """Some frames of a segment's output, from one before another, and what was counted in them."""

    first: int
    last: int
    peak: float
    clipped: int


@dataclass(frozen=True)
class _Run:
    """Some segments of a batch on their way, in rows from where each starts.

    Attributes:
        segments: which, Shape: (segments run,); so are the following.
        starts: the frame of the recording that the first row of each is.
        begin: the row of its seam.
        end: the row of its end.
        heard: the row of output that each begins with.
        ended: the row of output that each ends before; it may come earlier than was thought.
        groups: the lanes; those of a segment's channels are side by side.
    """

    segments: Frames
    starts: Frames
    begin: Frames
    end: Frames
    heard: Frames
    ended: Frames
    groups: list[_Group]

    def state(self, row: int, tape_row: int | None, channels: int) -> Samples | None:
        """Return the state of a segment's tape at the end of a block, if there is such a block.

        Args:
            row: of the segment in the run.
            tape_row: at the raised rate, from where it starts; the last one of all where None.
            channels: how many.
        """
        states = []
        for lane in range(row * channels, (row + 1) * channels):
            trail = self.groups[lane // LANES].lanes.hysteresis.trail
            all_lanes = trail.get(max(trail) if tape_row is None else tape_row)
            if all_lanes is None:
                return None
            states.append(all_lanes[:, lane % LANES])
        return np.stack(states, axis=1)


class _Work:
    """The segments of a batch, and what is known of each so far.

    Attributes:
        segments: how many.
        begins, ends: the tape's states at each segment's seams, Shape: (segments, rows, channels).
        next_begin: its state where the first seam of the next batch is, Shape: (rows, channels).
        resets: Shape: (segments, channels).
    """

    def __init__(self, job: Job, task: Task, cuts: Cuts) -> None:
        self._job = job
        self._task = task
        self._path = job.path
        self._layout = job.layout
        self._cuts = cuts
        self._first = task.position == 0
        self.segments = len(cuts.lead_ins)
        channels = job.channels
        rows = Hysteresis.state_rows(job.path.network)
        self.begins = np.zeros((self.segments, rows, channels))
        self.ends = np.zeros((self.segments, rows, channels))
        self.next_begin = np.zeros((rows, channels))
        self.resets = np.zeros((self.segments, channels))
        self._pieces: list[list[_Piece]] = [[] for _ in range(self.segments)]
        self._runs: list[list[tuple[_Run, int]]] = [[] for _ in range(self.segments)]
        # what the high-pass still has to be corrected in: the first rows of every segment
        self._heads = np.empty((self.segments, self._layout.settle, channels))
        self._dc_begins = np.zeros((self.segments, DCBlocker.STATE, channels))
        self._dc_ends = np.zeros((self.segments, DCBlocker.STATE, channels))

    @property
    def peak(self) -> float:
        """The largest sample of output, before it was rounded or clipped."""
        return max(piece.peak for pieces in self._pieces for piece in pieces)

    @property
    def clipped(self) -> int:
        """Samples of output that were beyond full scale."""
        return sum(piece.clipped for pieces in self._pieces for piece in pieces)

    def wrong_seams(self) -> dict[int, Samples]:
        """Return the segments whose state at their seam is wrong, and what it has to be."""
        known = {}
        for i in range(1, self.segments):
            if states_differ(self.ends[i - 1], self.begins[i]):
                known[i] = self.ends[i - 1].copy()
                if self._still(i):  # so that a long silence is no long row of repairs
                    self.ends[i] = known[i]
        return known

    def _still(self, segment: int) -> bool:
        """Say whether the tape leaves a segment as it came to it."""
        return bool(self._cuts.silent[segment]) and Hysteresis.keeps_still(self._path.network)

    def run(self, segments: Sequence[int], known: dict[int, Samples]) -> None:
        """Compute some segments, those in ``known`` from the state that is given at the seam."""
        chosen = np.array(segments)
        run = self._prepare(chosen, self._cuts.lead_ins[chosen], known)
        self._push_all(run)
        self._note(run)
        for segment, state in known.items():
            self.begins[segment] = state

    def repair(self, known: dict[int, Samples]) -> None:
        """Compute some segments again from other states, as far as they differ for it."""
        chosen = np.array(sorted(known))
        # blocks end where they did, so that the states after them can be compared
        least = FILTER_REACH
        begin = least + (self._cuts.lead_ins[chosen] - least) % step_of(self._path)
        before = [self._pieces[segment] for segment in chosen]
        for segment in chosen:
            self._pieces[segment] = []
        run = self._prepare(chosen, begin, known)
        self._push_all(run, before)
        self._note(run)
        for row, (segment, pieces) in enumerate(zip(chosen, before, strict=True)):
            stop = run.ended[row] - run.heard[row]
            self._pieces[segment] += [piece for piece in pieces if piece.first >= stop]
            self.begins[segment] = known[segment]
            handed_over = self._handed_over(run)[row]
            if self._still(segment) and run.begin[row] < handed_over <= run.end[row]:
                self.next_begin = known[segment]

    def _prepare(self, chosen: Frames, begin: Frames, known: dict[int, Samples]) -> _Run:
        seams = self._cuts.seams
        run = _Run(
            segments=chosen,
            starts=self._task.position + seams[chosen] - begin - FILTER_REACH,
            begin=begin,
            end=begin + seams[chosen + 1] - seams[chosen],
            heard=begin + FILTER_REACH,
            ended=begin + seams[chosen + 1] - seams[chosen] + FILTER_REACH,
            groups=[],
        )
        pairs = [(row, channel) for row in range(len(chosen)) for channel in range(self._channels)]
        for first in range(0, len(pairs), LANES):
            run.groups.append(self._group(run, pairs[first : first + LANES], known))
        for row, segment in enumerate(chosen):
            self._runs[segment].append((run, row))
        return run

    @property
    def _channels(self) -> int:
        return self._job.channels

    def _handed_over(self, run: _Run) -> Frames:
        """Return the row of each segment where the first seam of the next batch would be."""
        seams = self._cuts.seams
        rows: Frames = run.begin + seams[-1] - self._layout.settle - seams[run.segments]
        return rows

    def _group(self, run: _Run, pairs: list[tuple[int, int]], known: dict[int, Samples]) -> _Group:
        factor = self._path.oversampling
        lanes = Lanes(self._path, self._job.rate, len(pairs))
        rows, channels = (np.array(column) for column in zip(*pairs, strict=True))
        begin, end, handed_over = (x[rows] for x in (run.begin, run.end, self._handed_over(run)))
        holds = (begin < handed_over) & (handed_over <= end)
        for row in {*begin.tolist(), *end.tolist(), *handed_over[holds].tolist()}:
            lanes.hysteresis.mark(row * factor)
        opening = np.flatnonzero(run.segments[rows] == 0).tolist() if self._first else []
        if opening:
            lanes.hysteresis.rest(self._opened(run) * factor, opening)
        for lane, (row, channel) in enumerate(pairs):
            segment = int(run.segments[row])
            if segment in known:
                at = int(run.begin[row]) * factor
                lanes.hysteresis.enter(at, lane, known[segment][:, channel])
        blocker = None
        if self._layout.settle:
            blocker = DCBlocker(self._path.dc_block, self._job.rate)
            blocker.mark({*run.heard[rows].tolist(), *(end + FILTER_REACH).tolist()})
        return _Group(lanes, blocker, rows, channels, opening)

    def _opened(self, run: _Run) -> int:
        """Return the row of the first segment that the recording begins with."""
        return int(run.heard[0])

    def _push_all(self, run: _Run, before: list[list[_Piece]] | None = None) -> None:
        """Send the source through the lanes, and what comes out of them to its place.

        Args:
            run: what to run.
            before: of segments that are run again, the output that is there.
        """
        path, limit, channels = self._path, GUARD[self._path.mode], self._channels
        step = step_of(path)
        room = WINDOW + step
        source = lend("source", len(run.segments) * WINDOW, channels)
        output = lend("output", len(run.segments) * room, channels)
        given = filled = 0
        for at in range(0, int(run.ended.max()) + self._layout.ahead, step):
            if at % WINDOW == 0:
                self._fill(run, at, source)
            ready = 0
            for group in run.groups:
                rows = group.lanes.room(step)
                starts = group.rows * WINDOW + at % WINDOW
                gather(source, starts, group.channels, path.input_gain, limit, rows)
                wet = group.lanes.pass_on()
                if group.opening:  # what rings before the first frame is no part of it
                    wet[: max(0, self._opened(run) - given), group.opening] = 0.0
                if group.blocker is not None:
                    group.blocker.push(wet)
                heard, ended = run.heard[group.rows] - given, run.ended[group.rows] - given
                scatter(wet, group.rows * room + filled, group.channels, heard, ended, output)
                ready = len(wet)
            given += ready
            filled += ready
            if before is not None:
                self._end_early(run, before)
            through = given >= run.ended.max()
            if filled + step > room or through:
                self._give_all(run, given - filled, filled, output.reshape(-1, room, channels))
                filled = 0
            if through:
                return

    def _end_early(self, run: _Run, before: list[list[_Piece]]) -> None:
        """Let segments that are run again end where that makes no difference any more."""
        factor = self._path.oversampling
        for row, segment in enumerate(run.segments.tolist()):
            if run.ended[row] < run.end[row] + FILTER_REACH:
                continue
            met = 0 if self._still(segment) and self._layout.settle else self._met(run, row)
            if met is None:
                continue
            from_here = -(-met // factor) + self._layout.settle  # the high-pass forgets slowly
            stop = min((piece.last for piece in before[row] if piece.last >= from_here), default=0)
            if stop:
                run.ended[row] = min(run.ended[row], run.heard[row] + stop)

    def _met(self, run: _Run, row: int) -> int | None:
        """Return the tape's row, from its seam, where a segment meets what was computed before."""
        factor, segment = self._path.oversampling, int(run.segments[row])
        newest = max(run.groups[0].lanes.hysteresis.trail)
        since = newest - int(run.begin[row]) * factor
        if since < 0:
            return None
        now = run.state(row, newest, self._channels)
        for earlier, at in reversed(self._runs[segment][:-1]):
            then = earlier.state(at, since + int(earlier.begin[at]) * factor, self._channels)
            if then is not None:
                met = now is not None and not states_differ(now, then)
                return since if met else None
        return None

    def _fill(self, run: _Run, at: int, source: Samples) -> None:
        """Fill a window of the source of each segment that is not through."""
        windows = source.reshape(-1, WINDOW, self._channels)
        for row in np.flatnonzero(at < run.end + FILTER_REACH + self._layout.ahead):
            raw = self._task.take(int(run.starts[row]) + at, WINDOW)
            unpack(raw, self._job.packing, windows[row])

    def _give_all(self, run: _Run, given: int, filled: int, output: Samples) -> None:
        """Give what has come of each segment from row ``given`` on, its head excepted."""
        for row, segment in enumerate(run.segments.tolist()):
            heard = int(run.heard[row])
            first = max(given, heard)
            last = min(given + filled, int(run.ended[row]))
            if first >= last:
                continue
            wet, offset = output[row, first - given : last - given], first - heard
            if segment > 0:
                head = self._heads[segment, offset : offset + len(wet)]
                head[:] = wet[: len(head)]
                wet, offset = wet[len(head) :], offset + len(head)
            self._give(segment, offset, wet)

    def _give(self, segment: int, offset: int, wet: Samples) -> None:
        """Finish rows of a segment, and put those that are the batch's own in their place."""
        frame = int(self._cuts.seams[segment]) + offset
        if frame < 0:
            wet, offset, frame = wet[-frame:], offset - frame, 0
        if len(wet) == 0:
            return
        position = self._task.position + frame
        dry = None
        if self._path.wet != 1.0:
            dry = np.empty_like(wet)
            unpack(self._task.take(position, len(wet)), self._job.packing, dry)
        coded = finish(self._path, self._job.coding, wet, dry, position)
        assert coded.samples is not None
        self._task.put(position, coded.samples)
        last = offset + coded.frames
        self._pieces[segment].append(_Piece(offset, last, coded.peak, coded.clipped))

    def _note(self, run: _Run) -> None:
        """Note the states at the seams that the lanes of a run have passed."""
        for group in run.groups:
            for lane, (row, channel) in enumerate(zip(group.rows, group.channels, strict=True)):
                self._note_lane(run, group, lane, int(row), int(channel))

    def _note_lane(self, run: _Run, group: _Group, lane: int, row: int, channel: int) -> None:
        factor, segment = self._path.oversampling, int(run.segments[row])
        marked = group.lanes.hysteresis.marked
        at_begin = marked[int(run.begin[row]) * factor]
        self.begins[segment, :, channel] = at_begin.state[:, lane]
        at_end = marked.get(int(run.end[row]) * factor)
        if at_end is not None:
            self.ends[segment, :, channel] = at_end.state[:, lane]
            self.resets[segment, channel] = at_end.resets[lane] - at_begin.resets[lane]
        handed_over = int(self._handed_over(run)[row])
        passed = marked.get(handed_over * factor)
        if run.begin[row] < handed_over <= run.end[row] and passed is not None:
            self.next_begin[:, channel] = passed.state[:, lane]
        if group.blocker is not None:
            states = group.blocker.marked
            self._dc_begins[segment, :, channel] = states[int(run.heard[row])][:, lane]
            at_end_heard = states.get(int(run.end[row]) + FILTER_REACH)
            if at_end_heard is None and self._still(segment):
                at_end_heard = group.blocker.state()  # nothing changes any more
            if at_end_heard is not None:
                self._dc_ends[segment, :, channel] = at_end_heard[:, lane]

    def correct_dc(self) -> None:
        """Add what the high-pass lacks for having started from a wrong state; give the heads."""
        if self._layout.settle == 0:
            return
        lengths = np.diff(self._cuts.seams)
        step = DCBlocker(self._path.dc_block, self._job.rate).step()
        lacking = np.zeros_like(self._dc_begins)
        for i in range(1, self.segments):
            left = np.linalg.matrix_power(step, int(lengths[i - 1])) @ lacking[i - 1]
            lacking[i] = self._dc_ends[i - 1] + left - self._dc_begins[i]
        pairs = [(i, channel) for i in range(1, self.segments) for channel in range(self._channels)]
        for first in range(0, len(pairs), LANES):
            segments, lanes = (np.array(c) for c in zip(*pairs[first : first + LANES], strict=True))
            self._ring(lacking[segments, :, lanes].T, segments, lanes, lengths[segments])
        for i in range(1, self.segments):
            self._give(i, 0, self._heads[i, : lengths[i]])

    def _ring(self, state: Samples, segments: Frames, channels: Frames, lengths: Frames) -> None:
        """Add to the heads what the high-pass rings to in silence from some states."""
        settle = self._layout.settle
        heads = self._heads.reshape(-1, self._channels)
        blocker = DCBlocker(self._path.dc_block, self._job.rate)
        blocker.enter(state)
        store = RowBuffer()
        for at in range(0, settle, MOST_ROWS):
            rows = store.blank(min(MOST_ROWS, settle - at))
            add(blocker.push(rows), segments * settle + at, channels, lengths - at, heads)


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

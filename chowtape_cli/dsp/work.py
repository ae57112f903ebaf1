"""The segments of a batch on their way through the lanes, and what is done where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chowtape_cli.dsp.buffers import RowBuffer, lend
from chowtape_cli.dsp.coding import unpack
from chowtape_cli.dsp.filters import DCBlocker, powers
from chowtape_cli.dsp.hysteresis import GUARD, Hysteresis, states_differ
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.lanes import add, gather, scatter
from chowtape_cli.dsp.lanes import MOST_ROWS, Lanes, step_of
from chowtape_cli.dsp.path import finish
from chowtape_cli.dsp.segments import FILTER_REACH
from chowtape_cli.dsp.tasks import Batch, Frames, Job, Piece, Samples, Task, Trail

WINDOW = 8192  # frames of each segment that are taken, or given, at once
# the row of a recording's first frame in the segment that begins with it: nothing is before it
_FIRST = FILTER_REACH
_FELT = 1e-13  # states that differ by less say nothing of what difference they make


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
        counted: the row from which its resets are its own; they are to ``end + FILTER_REACH``.
        groups: the lanes; those of a segment's channels are side by side.
    """

    segments: Frames
    starts: Frames
    begin: Frames
    end: Frames
    heard: Frames
    ended: Frames
    counted: Frames
    groups: list[_Group]

    def lanes_of(self, row: int, channels: int) -> list[tuple[_Group, int]]:
        """Return the lane of each channel of a segment, and its group."""
        lanes = range(row * channels, (row + 1) * channels)
        return [(self.groups[lane // LANES], lane % LANES) for lane in lanes]

    def goes_on(self, row: int) -> bool:
        """Say whether a segment is run to its own end."""
        return bool(self.ended[row] == self.end[row] + FILTER_REACH)


def _passed(group: _Group) -> tuple[Frames, Samples, Samples]:
    """Return the rows that a group's lanes have passed, and states and resets there."""
    trail = group.lanes.hysteresis.trail
    marks = [*trail.values()]
    return (
        np.array([*trail]),
        np.stack([mark.state for mark in marks]),
        np.stack([mark.resets for mark in marks]),
    )


class Work:
    """Computes the segments of batches, and those again whose state at their seam was wrong.

    Several batches are of several recordings, and begin with them: their segments run side by side,
    and each gets what it would get alone.

    Args:
        job: how; of each batch's own layout only what they have in common is used.
        tasks: the batches.
        batches: what is known of them; filled.
    """

    def __init__(self, job: Job, tasks: Sequence[Task], batches: Sequence[Batch]) -> None:
        self._job = job
        self._batches = batches
        self._batch = Batch.joined(batches)
        self._path = job.path
        self._layout = job.layout
        self._seams, self._lengths = self._batch.cuts.seams, self._batch.cuts.lengths
        self._segments = len(self._seams)
        counts = [len(batch.cuts.seams) for batch in batches]
        # of each segment: its batch, where the first seam of the next batch would be
        self._tasks = [
            task for task, count in zip(tasks, counts, strict=True) for _ in range(count)
        ]
        ends = [task.frames - self._layout.settle for task in tasks]
        self._next_seams = np.repeat(ends, counts)
        self._first = {sum(counts[:i]) for i in range(len(counts))}  # segments of their batches
        # what the high-pass still has to be corrected in: the first rows of each segment
        heads = lend("heads", self._segments * self._layout.settle, job.channels)
        self._heads = heads.reshape(self._segments, self._layout.settle, job.channels)
        self._computed: set[int] = set()
        self._changed_to_the_end: set[int] = set()

    def run(self, known: dict[int, Samples]) -> None:
        """Compute every segment, those in ``known`` from the state that is given at the seam."""
        run = self._prepare(np.arange(self._segments), self._batch.cuts.lead_ins, known)
        self._push_all(run)
        self._note(run)
        for segment, state in known.items():
            self._batch.begins[segment] = state
        self._repair(self._wrong_seams())
        self._correct_dc()
        self._batch.part(self._batches)

    def correct(self, known: dict[int, Samples]) -> bool:
        """Compute segments of a batch that is there again, from the state that is given.

        Returns:
            False where that is not enough: what was computed first has to be computed again as
            well. The batch is of no use then.
        """
        self._repair(self._wrong_seams(self._keep_still(known)))
        if self._layout.settle:
            # after a segment that is another one to its end, the next one's high-pass is too
            after = {segment + 1 for segment in self._changed_to_the_end}
            if after - self._computed - {self._segments}:
                return False
        self._correct_dc()
        return True

    def _wrong_seams(self, given: dict[int, Samples] | None = None) -> dict[int, Samples]:
        """Return the segments whose state at their seam is wrong, and what it has to be.

        What a segment that starts from another state will end in is foreseen: where the tape
        forgets slowly a long row of seams would else be put right one after the other. The first
        one that is wrong gets a state that is known, so at least that one is right afterwards.

        Args:
            given: segments that are known to be computed again, and from which state.
        """
        known = dict(given or {})
        for i in self._after_seams():
            state = self._foreseen(i - 1, known)
            if states_differ(state, self._batch.begins[i]):
                known |= self._keep_still({i: state})
        return known

    def _foreseen(self, segment: int, known: dict[int, Samples]) -> Samples:
        """Return the state that a segment will end in."""
        batch = self._batch
        end: Samples = batch.ends[segment].copy()
        if segment in known and not self._still(segment):
            end += batch.slopes[segment] * (known[segment] - batch.begins[segment])
        return end

    def _after_seams(self) -> list[int]:
        """Return the segments that another one comes before."""
        return [i for i in range(self._segments) if i not in self._first]

    def _keep_still(self, known: dict[int, Samples]) -> dict[int, Samples]:
        """Note that silence ends in the state that it begins with; return what is given.

        So a long silence is no long row of repairs.
        """
        for segment, state in known.items():
            if self._still(segment):
                self._batch.ends[segment] = state
        return known

    def _still(self, segment: int) -> bool:
        """Say whether the tape leaves a segment as it came to it."""
        silent = bool(self._batch.cuts.silent[segment])
        return silent and Hysteresis.keeps_still(self._path.network)

    def _repair(self, known: dict[int, Samples]) -> None:
        """Compute segments again from other states, as far as they differ for it."""
        while known:
            self._batch.repaired[[*known]] = True
            self._run_again(known)
            known = self._wrong_seams()

    def _run_again(self, known: dict[int, Samples]) -> None:
        batch = self._batch
        chosen = np.array(sorted(known))
        # blocks end where they did, so that the states after them can be compared
        least = FILTER_REACH
        begin = least + (batch.cuts.lead_ins[chosen] - least) % step_of(self._path)
        run = self._prepare(chosen, begin, known)
        before = [batch.pieces[segment] for segment in chosen]
        for segment in chosen:
            batch.pieces[segment] = []
        begins, ends = batch.begins[chosen], batch.ends[chosen]
        self._push_all(run, before)
        self._note(run)
        for segment, state in known.items():
            batch.begins[segment] = state
        # how much of a difference at its seam is left at its end: less of it, of the same sign
        moved, kept = batch.begins[chosen] - begins, batch.ends[chosen] - ends
        slopes = np.divide(kept, moved, out=np.zeros_like(kept), where=np.abs(moved) > _FELT)
        batch.slopes[chosen] = np.clip(slopes, 0.0, 1.0)
        for row, (segment, pieces) in enumerate(zip(chosen.tolist(), before, strict=True)):
            stop = run.ended[row] - run.heard[row]
            batch.pieces[segment] += [piece for piece in pieces if piece.first >= stop]
            if run.goes_on(row) or self._still(segment):
                self._changed_to_the_end.add(segment)
            handed_over = self._handed_over(run)[row]
            if self._still(segment) and run.begin[row] < handed_over <= run.end[row]:
                batch.next_begin = known[segment]

    def _prepare(self, chosen: Frames, begin: Frames, known: dict[int, Samples]) -> _Run:
        end = begin + self._lengths[chosen]
        positions = np.array([self._tasks[segment].position for segment in chosen])
        # what comes before the batch's own frames
        before = np.clip(-self._seams[chosen], 0, self._lengths[chosen])
        run = _Run(
            segments=chosen,
            starts=positions + self._seams[chosen] - begin - FILTER_REACH,
            begin=begin,
            end=end,
            heard=begin + FILTER_REACH,
            ended=end + FILTER_REACH,
            counted=begin + FILTER_REACH + before,
            groups=[],
        )
        channels = range(self._job.channels)
        pairs = [(row, channel) for row in range(len(chosen)) for channel in channels]
        for first in range(0, len(pairs), LANES):
            run.groups.append(self._group(run, pairs[first : first + LANES], known))
        self._computed.update(chosen.tolist())
        return run

    def _group(self, run: _Run, pairs: list[tuple[int, int]], known: dict[int, Samples]) -> _Group:
        factor = self._path.oversampling
        lanes = Lanes(self._path, self._job.rate, len(pairs))
        rows, channels = (np.array(column) for column in zip(*pairs, strict=True))
        begin, end, handed_over = (x[rows] for x in (run.begin, run.end, self._handed_over(run)))
        holds = (begin < handed_over) & (handed_over <= end)
        counted = np.concatenate((run.counted[rows], end + FILTER_REACH))
        for row in {*np.concatenate((begin, end, handed_over[holds], counted)).tolist()}:
            lanes.hysteresis.mark(row * factor)
        opening = [lane for lane, row in enumerate(rows) if self._opens(int(run.segments[row]))]
        if opening:
            lanes.hysteresis.rest(_FIRST * factor, opening)
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

    def _handed_over(self, run: _Run) -> Frames:
        """Return the row of each segment where the first seam of the next batch would be."""
        rows: Frames = run.begin + self._next_seams[run.segments] - self._seams[run.segments]
        return rows

    def _opens(self, segment: int) -> bool:
        """Say whether a segment begins with its recording."""
        return segment in self._first and self._tasks[segment].position == 0

    def _push_all(self, run: _Run, before: list[list[Piece]] | None = None) -> None:
        """Send the source through the lanes, and what comes out of them to its place.

        Args:
            run: what to run.
            before: of segments that are run again, the output that is there.
        """
        step, channels = step_of(self._path), self._job.channels
        room = WINDOW + step
        source = lend("source", len(run.segments) * WINDOW, channels)
        output = lend("output", len(run.segments) * room, channels)
        given = filled = 0
        for at in range(0, int(run.ended.max()) + self._layout.ahead, step):
            if at % WINDOW == 0:
                self._fill(run, at, source)
            ready = 0
            for group in run.groups:
                heard, ended = run.heard[group.rows] - given, run.ended[group.rows] - given
                if (ended <= 0).all():
                    continue
                wet = self._push(group, source, at, given)
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

    def _push(self, group: _Group, source: Samples, at: int, given: int) -> Samples:
        """Return the rows of a group that a step of the source makes ready."""
        path = self._path
        rows = group.lanes.room(group.lanes.step)
        starts = group.rows * WINDOW + at % WINDOW
        gather(source, starts, group.channels, path.input_gain, GUARD[path.mode], rows)
        wet = group.lanes.pass_on()
        if group.opening:  # what rings before the first frame is no part of it
            wet[: max(0, _FIRST - given), group.opening] = 0.0
        if group.blocker is not None:
            group.blocker.push(wet)
        return wet

    def _fill(self, run: _Run, at: int, source: Samples) -> None:
        """Fill a window of the source of each segment that is not through."""
        windows = source.reshape(-1, WINDOW, self._job.channels)
        for row in np.flatnonzero(at < run.end + FILTER_REACH + self._layout.ahead):
            task = self._tasks[run.segments[row]]
            raw = task.take(int(run.starts[row]) + at, WINDOW)
            unpack(raw, self._job.packing, windows[row])

    def _end_early(self, run: _Run, before: list[list[Piece]]) -> None:
        """Let segments that are run again end where that makes no difference any more."""
        factor = self._path.oversampling
        for row, segment in enumerate(run.segments.tolist()):
            if not run.goes_on(row):
                continue
            since = self._since(run, row)
            met = since >= 0 and self._meets(run, row, since)
            from_here = -(-since // factor)
            if self._still(segment) and self._layout.settle:
                met, from_here = True, 0
            if not met:
                continue
            from_here += self._layout.settle  # the high-pass forgets slowly
            stop = min((piece.last for piece in before[row] if piece.last >= from_here), default=0)
            if stop:
                run.ended[row] = min(run.ended[row], run.heard[row] + stop)
                self._count_again(run, row, since)

    def _since(self, run: _Run, row: int) -> int:
        """Return the tape's newest row, from the seam of a segment."""
        group, _ = run.lanes_of(row, self._job.channels)[0]
        return group.lanes.hysteresis.row - int(run.begin[row]) * self._path.oversampling

    def _meets(self, run: _Run, row: int, since: int) -> bool:
        """Say whether a segment has met what was computed before."""
        states = [
            group.lanes.hysteresis.newest().state[:, lane]
            for group, lane in run.lanes_of(row, self._job.channels)
        ]
        then = self._batch.passed(int(run.segments[row]), since)
        return then is not None and not states_differ(np.stack(states, axis=1), then[0])

    def _count_again(self, run: _Run, row: int, since: int) -> None:
        """Count the resets of a segment that ends early: up to there they are others."""
        segment, factor = int(run.segments[row]), self._path.oversampling
        then = self._batch.passed(segment, since)
        if then is None or since < (run.counted[row] - run.begin[row]) * factor:
            return
        for channel, (group, lane) in enumerate(run.lanes_of(row, self._job.channels)):
            tape = group.lanes.hysteresis
            now = tape.newest().resets[lane] - tape.marked[run.counted[row] * factor].resets[lane]
            self._batch.resets[segment, channel] += now - then[1][channel]

    def _give_all(self, run: _Run, given: int, filled: int, output: Samples) -> None:
        """Give what has come of each segment from row ``given`` on, its head excepted."""
        for row, segment in enumerate(run.segments.tolist()):
            heard = int(run.heard[row])
            first = max(given, heard)
            last = min(given + filled, int(run.ended[row]))
            if first >= last:
                continue
            wet, offset = output[row, first - given : last - given], first - heard
            if segment not in self._first:
                head = self._heads[segment, offset : offset + len(wet)]
                head[:] = wet[: len(head)]
                wet, offset = wet[len(head) :], offset + len(head)
            self._give(segment, offset, wet)

    def _give(self, segment: int, offset: int, wet: Samples) -> None:
        """Finish rows of a segment, and put those that are the batch's own in their place."""
        frame = int(self._seams[segment]) + offset
        if frame < 0:
            wet, offset, frame = wet[-frame:], offset - frame, 0
        if len(wet) == 0:
            return
        task = self._tasks[segment]
        position = task.position + frame
        dry = None
        if self._path.wet != 1.0:
            dry = np.empty_like(wet)
            unpack(task.take(position, len(wet)), self._job.packing, dry)
        coded = finish(self._path, self._job.coding, wet, dry, position)
        assert coded.samples is not None
        task.put(position, coded.samples)
        last = offset + coded.frames
        self._batch.pieces[segment].append(Piece(offset, last, coded.peak, coded.clipped))

    def _note(self, run: _Run) -> None:
        """Note the states that the lanes of a run have passed."""
        factor, channels = self._path.oversampling, self._job.channels
        passed = {id(group): _passed(group) for group in run.groups}
        for row, segment in enumerate(run.segments.tolist()):
            begin, counted = int(run.begin[row]) * factor, int(run.counted[row]) * factor
            lanes = run.lanes_of(row, channels)
            rows = min((passed[id(group)][0] for group, _ in lanes), key=len)
            states, resets = [], []
            for channel, (group, lane) in enumerate(lanes):
                self._note_lane(run, row, group, lane, channel)
                before = group.lanes.hysteresis.marked.get(counted)
                _, of_states, of_resets = passed[id(group)]
                states.append(of_states[: len(rows), :, lane])
                resets.append(of_resets[: len(rows), lane] - (before.resets[lane] if before else 0))
            trail = Trail(rows - begin, np.stack(states, axis=-1), np.stack(resets, axis=-1))
            self._batch.trails[segment].append(trail)

    def _note_lane(self, run: _Run, row: int, group: _Group, lane: int, channel: int) -> None:
        batch, factor, segment = self._batch, self._path.oversampling, int(run.segments[row])
        marked = group.lanes.hysteresis.marked
        batch.begins[segment, :, channel] = marked[int(run.begin[row]) * factor].state[:, lane]
        at_end = marked.get(int(run.end[row]) * factor)
        if at_end is not None:
            batch.ends[segment, :, channel] = at_end.state[:, lane]
        counted = marked.get((int(run.end[row]) + FILTER_REACH) * factor)
        if counted is not None:
            before = marked[int(run.counted[row]) * factor].resets[lane]
            batch.resets[segment, channel] = counted.resets[lane] - before
        handed_over = int(self._handed_over(run)[row])
        passed = marked.get(handed_over * factor)
        if run.begin[row] < handed_over <= run.end[row] and passed is not None:
            batch.next_begin[:, channel] = passed.state[:, lane]
        if group.blocker is not None:
            states = group.blocker.marked
            batch.dc_begins[segment, :, channel] = states[int(run.heard[row])][:, lane]
            ended = states.get(int(run.end[row]) + FILTER_REACH)
            if ended is None and self._still(segment):
                ended = group.blocker.state()  # nothing changes any more
            if ended is not None:
                batch.dc_ends[segment, :, channel] = ended[:, lane]

    def _correct_dc(self) -> None:
        """Add what the high-pass lacks for having started from a wrong state; give the heads."""
        if self._layout.settle == 0:
            return
        batch = self._batch
        lengths = self._lengths
        remembered = {*lengths[lengths < 2 * self._layout.settle].tolist()}
        after = powers(self._path.dc_block, self._job.rate, remembered)
        lacking = np.zeros_like(batch.dc_begins)
        for i in self._after_seams():
            lacking[i] = batch.dc_ends[i - 1] - batch.dc_begins[i]
            if lengths[i - 1] in after:
                lacking[i] += after[lengths[i - 1]] @ lacking[i - 1]
        fresh = sorted(self._computed - self._first)
        pairs = [(i, channel) for i in fresh for channel in range(self._job.channels)]
        for first in range(0, len(pairs), LANES):
            segments, lanes = (np.array(c) for c in zip(*pairs[first : first + LANES], strict=True))
            self._ring(lacking[segments, :, lanes].T, segments, lanes, lengths[segments])
        for i in fresh:
            self._give(i, 0, self._heads[i, : lengths[i]])

    def _ring(self, state: Samples, segments: Frames, channels: Frames, lengths: Frames) -> None:
        """Add to the heads what the high-pass rings to in silence from some states."""
        settle = self._layout.settle
        heads = self._heads.reshape(-1, self._job.channels)
        blocker = DCBlocker(self._path.dc_block, self._job.rate)
        blocker.enter(state)
        store = RowBuffer()
        for at in range(0, settle, MOST_ROWS):
            rows = store.blank(min(MOST_ROWS, settle - at))
            add(blocker.push(rows), segments * settle + at, channels, lengths - at, heads)

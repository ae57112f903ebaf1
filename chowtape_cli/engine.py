"""Rendering a recording batch by batch, in order and in bounded memory, here or on workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import Arena, lend
from chowtape_cli.dsp.chain import LateDCBlocker, render_batch
from chowtape_cli.dsp.coding import Coded, Coding, Extent, Packing, code, extent, room, unpack
from chowtape_cli.dsp.hysteresis import states_differ
from chowtape_cli.dsp.path import SignalPath, finish
from chowtape_cli.dsp.segments import FILTER_REACH, Layout, cut, filtered_last, short
from chowtape_cli.dsp.short import render_short
from chowtape_cli.dsp.tasks import Batch, Job, Task
from chowtape_cli.places import Opens, Places, Ticket, into, render_task, within

if TYPE_CHECKING:
    from chowtape_cli.pool import Pool

Samples = NDArray[np.float64]
Raw = NDArray[np.uint8]
# Fills an array, Shape: (frames, bytes), with the packed samples that come next; returns how many
# frames that was. Fewer than were asked for is the end.
Read = Callable[[Raw], int]

_ESTIMATED = 4096  # frames by which a header may be wrong
_DRY_BLOCK = 65_536  # frames that are read at once where nothing is rendered


@dataclass
class Tally:
    """What is counted while a recording is rendered.

    Attributes:
        frames: of the source.
        peak: its largest sample.
        guard_clips: input samples that the guard before the tape clipped.
        resets: how often a solver ran away and was set back to zero.
        seam_repairs: seams between segments that had to be mended.
    """

    frames: int = 0
    peak: float = 0.0
    guard_clips: int = 0
    resets: int = 0
    seam_repairs: int = 0

    def add(self, frames: int, source: Extent, resets: int, repairs: int = 0) -> None:
        """Count what has been rendered."""
        self.frames += frames
        self.peak = max(self.peak, source.peak)
        self.guard_clips += source.over
        self.resets += resets
        self.seam_repairs += repairs


@dataclass(frozen=True)
class Recording:
    """A source.

    Attributes:
        rate: sample rate in Hz.
        channels: how many.
        frames: how many, None where that is not known: they decide how it is cut.
        packing: how it is stored.
        read: gives what comes next.
        place: where its frames lie in a file; None where only ``read`` tells.
    """

    rate: int
    channels: int
    frames: int | None
    packing: Packing
    read: Read
    place: Opens | None = None


class Runner(Protocol):
    """Where the batches of a recording are rendered.

    Attributes:
        depth: how many it takes before the first one's result is wanted.
    """

    depth: int

    def room(self) -> Ticket:
        """Return a ticket for one more batch."""

    def submit(self, ticket: Ticket) -> None:
        """Render a batch; its source is in its place."""

    def result(self, ticket: Ticket) -> Batch:
        """Wait for a batch."""

    def correct(self, ticket: Ticket, before: Samples, earlier: Batch) -> Batch:
        """Render a batch again, as far as it differs for beginning in another state."""

    def release(self, ticket: Ticket) -> None:
        """Let go of a batch whose samples have been used."""


class _Here:
    """Renders in this process; there is one batch at a time."""

    depth = 1

    def __init__(self, job: Job, places: Places) -> None:
        self._job = job
        self._places = places
        region = out = None
        if places.source is None:
            region = np.empty((job.rows, job.channels * job.packing.width), np.uint8)
        if places.output is None:
            out = room(job.layout.batch, job.channels, job.coding)
        self._ticket = Ticket(region, out)

    def room(self) -> Ticket:
        return self._ticket

    def submit(self, ticket: Ticket) -> None:
        """It is rendered when it is asked for."""

    def result(self, ticket: Ticket) -> Batch:
        return render_task(self._job, self._places, ticket)

    def correct(self, ticket: Ticket, before: Samples, earlier: Batch) -> Batch:
        return render_task(self._job, self._places, ticket, before, earlier)

    def release(self, ticket: Ticket) -> None:
        """Nothing is held."""


def render_blocks(
    path: SignalPath,
    recording: Recording,
    coding: Coding,
    tally: Tally,
    pool: Pool | None = None,
    output: Opens | None = None,
) -> Iterator[Coded]:
    """Render a recording; as many frames come out as go in.

    The same bytes come out with any pool or none: how the recording is cut depends on itself and
    the settings alone, and every seam is checked in order. Where nothing of the tape is heard, only
    frames and peak are counted.

    Args:
        path: what to do.
        recording: the source.
        coding: how the output is stored.
        tally: counts on.
        pool: worker processes; None to render here.
        output: where the output goes to if it is not to be yielded.

    Yields:
        The output in order; it holds until the next one is asked for.

    Raises:
        SampleError: a sample is NaN, Inf or absurdly large.
        WorkerError: the workers keep dying.
    """
    if path.wet == 0.0:
        yield from _dry(path, recording, coding, tally)
        return
    frames, rate, channels = recording.frames, recording.rate, recording.channels
    if frames is not None and short(frames, path.oversampling):
        yield from _short(path, recording, coding, tally)
        return
    layout = cut(frames, channels, rate, path.dc_block)
    late = filtered_last(path.dc_block, rate, channels)
    inner = replace(path, makeup=False, output_gain=1.0, wet=1.0, trim=1.0) if late else path
    job = Job(inner, rate, channels, layout, recording.packing, Coding() if late else coding)
    source = None if late or frames is None else recording.place
    places = Places(source, None if late else output)
    end = _late_filter(path, job, coding) if late else None
    with nullcontext(_Here(job, places)) if pool is None else pool.runner(job, places) as runner:
        batches = _read(runner, recording.read, layout)
        if source is not None:
            assert frames is not None
            batches = _named(runner, frames, layout)
        before = None
        for ticket in _ahead(runner, batches):
            batch = runner.result(ticket)
            if before is not None and states_differ(before, batch.begins[0]):
                batch = runner.correct(ticket, before, batch)
            tally.add(batch.frames, batch.source, int(batch.resets.sum()), batch.repairs)
            before = batch.next_begin
            samples = None if ticket.out is None else ticket.out[: batch.frames]
            coded = Coded(samples, batch.frames, batch.peak, batch.clipped)
            yield coded if end is None else end(coded, ticket)
            runner.release(ticket)


def _dry(path: SignalPath, recording: Recording, coding: Coding, tally: Tally) -> Iterator[Coded]:
    """Yield the source itself: where nothing of the tape is heard, none is rendered."""
    channels, packing = recording.channels, recording.packing
    raw = np.empty((_DRY_BLOCK, channels * packing.width), np.uint8)
    size = len(raw)
    while size == len(raw):
        size = recording.read(raw)
        samples = np.empty((size, channels))
        unpack(raw[:size], packing, samples)
        tally.peak = max(tally.peak, extent(samples, tally.frames).peak)
        output = code(samples, coding, tally.frames, gain=path.trim)
        tally.frames += size
        if size:
            yield output


def _short(path: SignalPath, recording: Recording, coding: Coding, tally: Tally) -> Iterator[Coded]:
    frames, channels = recording.frames or 0, recording.channels
    memory = Arena("short", room_for(frames, channels))
    source = read_whole(recording.read, recording.packing, channels, frames, memory)
    done = render_short(path, recording.rate, [source], [coding])[0]
    tally.add(len(source), done.source, done.resets)
    if tally.frames:
        yield done.output


def read_whole(read: Read, packing: Packing, channels: int, frames: int, memory: Arena) -> Samples:
    """Return everything that a source gives, Shape: (frames, channels).

    Args:
        read: gives the source.
        packing: how it is stored.
        channels: how many.
        frames: how many its header promises; an MP3's may be some more, or fewer.
        memory: where the samples go to, with `room_for` it.
    """
    width = channels * packing.width
    most = frames + _ESTIMATED
    store = lend("raw", -(-most * width // 8), 1).reshape(-1).view(np.uint8)
    raw = store[: most * width].reshape(most, width)
    size = read(raw)
    samples = memory.array(size, channels)
    unpack(raw[:size], packing, samples)
    if size < most:
        return samples
    more = read_whole(read, packing, channels, frames, Arena("more", room_for(frames, channels)))
    return np.concatenate((samples, more))


def room_for(frames: int, channels: int) -> int:
    """Return the samples that a source may have whose header promises so many frames."""
    return (frames + _ESTIMATED) * channels


def _late_filter(path: SignalPath, job: Job, coding: Coding) -> Callable[[Coded, Ticket], Coded]:
    """Return what comes after the tape where the high-pass can't run in segments."""
    blocker = LateDCBlocker(path.dc_block, job.rate, job.channels)

    def end(tape: Coded, ticket: Ticket) -> Coded:
        assert tape.samples is not None
        assert ticket.region is not None
        wet = np.array(tape.samples, np.float64)
        blocker.push(wet)
        dry = np.empty(wet.shape)
        unpack(ticket.region[job.layout.lead : job.layout.lead + len(wet)], job.packing, dry)
        return finish(path, coding, wet, dry, ticket.position)

    return end


def _ahead(runner: Runner, batches: Iterator[Ticket]) -> Iterator[Ticket]:
    """Submit batches as far ahead as the runner takes them; yield them in order."""
    waiting: deque[Ticket] = deque()
    for ticket in batches:
        runner.submit(ticket)
        waiting.append(ticket)
        if len(waiting) >= runner.depth:
            yield waiting.popleft()
    yield from waiting


def _named(runner: Runner, frames: int, layout: Layout) -> Iterator[Ticket]:
    """Yield batches that the runner reads by itself."""
    for position in range(0, frames, layout.batch):
        ticket = runner.room()
        ticket.frames, ticket.position = min(layout.batch, frames - position), position
        yield ticket


def _read(runner: Runner, read: Read, layout: Layout) -> Iterator[Ticket]:
    """Read batches; what lies before and after the recording is silence."""
    position, ahead, ended = 0, 0, False
    overlap: Raw | None = None
    while not ended or ahead:
        ticket = runner.room()
        region = ticket.region
        assert region is not None
        shared = layout.lead + layout.ahead
        if overlap is None:
            region[: layout.lead] = 0
            start = layout.lead
        else:
            region[:shared] = overlap
            start = shared
        wanted = len(region) - start
        size = 0 if ended else read(region[start:])
        region[start + size :] = 0
        ended = ended or size < wanted
        there = (0 if overlap is None else ahead) + size
        frames = min(layout.batch, there)
        if frames == 0:
            return
        overlap = region[len(region) - shared :].copy()
        ahead = there - frames
        ticket.frames, ticket.position = frames, position
        yield ticket
        position += frames


def warm(path: SignalPath, packing: Packing, coding: Coding) -> None:
    """Load, or compile, what a path needs, so that workers that are forked have it."""
    job = Job(path, 44_100, 1, Layout(FILTER_REACH, 1, 0), packing, coding)
    source = np.zeros((FILTER_REACH, packing.width), np.uint8)
    out = room(1, 1, coding)
    render_batch(job, Task(1, 0, within(source, 0), into(out, 0)))

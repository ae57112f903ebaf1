"""Rendering a recording batch by batch, in order and in bounded memory, here or on workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.chain import (
    Batch,
    Job,
    LateDCBlocker,
    Task,
    finish,
    render_batch,
    render_short,
)
from chowtape_cli.dsp.coding import Coded, Coding, Packing, code, extent, unpack
from chowtape_cli.dsp.hysteresis import states_differ
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import FILTER_REACH, SHORT, Layout, cut, filtered_last

if TYPE_CHECKING:
    from chowtape_cli.pool import Pool

Samples = NDArray[np.float64]
Raw = NDArray[np.uint8]
# Fills an array, Shape: (frames, bytes), with the packed samples that come next; returns how many
# frames that was. Fewer than were asked for is the end.
Read = Callable[[Raw], int]

_SHORT_BLOCK = 16_384  # frames that are read at once of a recording that may be short
_DRY_BLOCK = 65_536  # and of one that is not rendered


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

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.frames += len(batch.output.samples)
        self.peak = max(self.peak, batch.source.peak)
        self.guard_clips += batch.source.over
        self.resets += batch.resets
        self.seam_repairs += batch.repairs


class Runner(Protocol):
    """Where the batches of a recording are rendered.

    Attributes:
        depth: how many it takes before the first one's result is wanted.
    """

    depth: int

    def room(self) -> tuple[Any, Raw]:
        """Return a ticket for one more batch, and where its source goes to."""

    def submit(self, ticket: Any, frames: int, position: int) -> None:
        """Render a batch; its source is in its place."""

    def result(self, ticket: Any, before: Samples | None = None) -> Batch:
        """Wait for a batch; where ``before`` is given, render it again from that state."""

    def release(self, ticket: Any) -> None:
        """Let go of a batch whose samples have been used."""


class _Here:
    """Renders in this process; there is one batch at a time, and its ticket is nothing."""

    depth = 1

    def __init__(self, job: Job) -> None:
        self._job = job
        self._region = np.empty((job.rows, job.channels * job.packing.width), np.uint8)
        self._place = (0, 0)

    def room(self) -> tuple[None, Raw]:
        return None, self._region

    def submit(self, _ticket: None, frames: int, position: int) -> None:
        self._place = (frames, position)

    def result(self, _ticket: None, before: Samples | None = None) -> Batch:
        return render_batch(self._job, Task(self._region, *self._place), before)

    def release(self, _ticket: None) -> None:
        """Nothing is held."""


def render_blocks(
    path: SignalPath,
    rate: int,
    channels: int,
    frames: int | None,
    read: Read,
    packing: Packing,
    coding: Coding,
    tally: Tally,
    pool: Pool | None = None,
) -> Iterator[Coded]:
    """Render a recording; as many frames come out as go in.

    The same bytes come out with any pool or none: how the recording is cut depends on itself and
    the settings alone, and every seam is checked in order. Where nothing of the tape is heard, only
    frames and peak are counted.

    Args:
        path: what to do.
        rate: sample rate in Hz.
        channels: how many the recording has.
        frames: how long it is, None where that is not known: it decides how it is cut.
        read: gives the recording.
        packing: how it is stored.
        coding: how the output is stored.
        tally: counts on.
        pool: worker processes; None to render here.

    Yields:
        The output in order; it holds until the next one is asked for.

    Raises:
        SampleError: a sample is NaN, Inf or absurdly large.
        WorkerError: the workers keep dying.
    """
    if path.wet == 0.0:
        yield from _dry(path, read, packing, channels, coding, tally)
        return
    if frames is not None and frames <= SHORT:
        yield from _short(path, rate, read_all(read, packing, channels), coding, tally)
        return
    layout = cut(frames, channels, rate, path.dc_block)
    late = filtered_last(path.dc_block, rate)
    inner = replace(path, makeup=False, output_gain=1.0, wet=1.0, trim=1.0) if late else path
    job = Job(inner, rate, channels, layout, packing, Coding() if late else coding)
    end = _late_filter(path, job, coding) if late else None
    with nullcontext(_Here(job)) if pool is None else pool.runner(job) as runner:
        before = None
        for ticket, region, position in _submitted(runner, read, layout):
            batch = runner.result(ticket)
            if before is not None and states_differ(before, batch.first_state):
                tally.seam_repairs += 1
                batch = runner.result(ticket, before)
            tally.add(batch)
            before = batch.last_state
            yield batch.output if end is None else end(batch.output, region, position)
            runner.release(ticket)


def _dry(
    path: SignalPath, read: Read, packing: Packing, channels: int, coding: Coding, tally: Tally
) -> Iterator[Coded]:
    """Yield the source itself: where nothing of the tape is heard, none is rendered."""
    raw = np.empty((_DRY_BLOCK, channels * packing.width), np.uint8)
    size = len(raw)
    while size == len(raw):
        size = read(raw)
        samples = np.empty((size, channels))
        unpack(raw[:size], packing, samples)
        tally.peak = max(tally.peak, extent(samples, tally.frames).peak)
        output = code(samples, coding, tally.frames, gain=path.trim)
        tally.frames += size
        if size:
            yield output


def _short(
    path: SignalPath, rate: int, source: Samples, coding: Coding, tally: Tally
) -> Iterator[Coded]:
    batch = render_short(path, rate, [source], [coding])[0]
    tally.add(batch)
    if tally.frames:
        yield batch.output


def read_all(read: Read, packing: Packing, channels: int) -> Samples:
    """Return everything that a source gives, Shape: (frames, channels)."""
    blocks = []
    while True:
        raw = np.empty((_SHORT_BLOCK, channels * packing.width), np.uint8)
        size = read(raw)
        block = np.empty((size, channels))
        unpack(raw[:size], packing, block)
        blocks.append(block)
        if size < len(raw):
            return np.concatenate(blocks)


def _late_filter(path: SignalPath, job: Job, coding: Coding) -> Callable[[Coded, Raw, int], Coded]:
    """Return what comes after the tape where the high-pass can't run in segments."""
    blocker = LateDCBlocker(path.dc_block, job.rate, job.channels)

    def end(tape: Coded, region: Raw, position: int) -> Coded:
        wet = np.array(tape.samples, np.float64)
        blocker.push(wet)
        dry = np.empty(wet.shape)
        unpack(region[job.layout.lead : job.layout.lead + len(wet)], job.packing, dry)
        return finish(path, coding, wet, dry, position)

    return end


def _submitted(runner: Runner, read: Read, layout: Layout) -> Iterator[tuple[Any, Raw, int]]:
    """Submit batches as far ahead as the runner takes them.

    Yields:
        In order, the ticket of each, its source, and its position.
    """
    waiting: deque[tuple[Any, Raw, int]] = deque()
    for batch in _batches(runner, read, layout):
        waiting.append(batch)
        if len(waiting) >= runner.depth:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _batches(runner: Runner, read: Read, layout: Layout) -> Iterator[tuple[Any, Raw, int]]:
    """Read batches and submit them; what lies before and after the recording is silence."""
    position, ahead, ended = 0, 0, False
    overlap: Raw | None = None
    while not ended or ahead:
        ticket, region = runner.room()
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
        runner.submit(ticket, frames, position)
        yield ticket, region, position
        position += frames


def warm(path: SignalPath, packing: Packing, coding: Coding) -> None:
    """Load, or compile, what a path needs, so that workers that are forked have it."""
    silence = Job(path, 44_100, 1, Layout(FILTER_REACH, 1, 0), packing, coding)
    render_batch(silence, Task(np.zeros((silence.rows, packing.width), np.uint8), 1, 0))

"""Rendering a recording batch by batch, in order and in bounded memory, here or on workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.hysteresis import states_differ
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import Layout, Task, cut

if TYPE_CHECKING:
    from chowtape_cli.dsp.chain import Batch

Samples = NDArray[np.float64]

# Oversampled samples that one process has done before workers have started.
SOON_DONE = 100_000_000


@dataclass
class Tally:
    """What is counted while a recording is rendered.

    Attributes:
        guard_clips: input samples that the guard before the tape clipped.
        resets: how often a solver ran away and was set back to zero.
        seam_repairs: seams between segments that had to be mended.
    """

    guard_clips: int = 0
    resets: int = 0
    seam_repairs: int = 0


def tasks(blocks: Iterator[Samples], channels: int, layout: Layout) -> Iterator[Task]:
    """Gather the blocks of a source into batches; what lies before and after it is silence."""
    held = np.zeros((layout.lead, channels))
    ended, first = False, True
    while True:
        wanted = layout.lead + layout.batch + layout.ahead
        parts = [held]
        size = len(held)
        while size < wanted and not ended:
            block = next(blocks, None)
            if block is None:
                ended = True
            else:
                parts.append(block)
                size += len(block)
        held = np.concatenate(parts)
        frames = min(layout.batch, len(held) - layout.lead)
        if frames <= 0:
            return
        segments = -(-frames // layout.segment)
        needed = layout.lead + segments * layout.segment + layout.ahead
        region = np.zeros((needed, channels))
        available = held[:needed]
        region[: len(available)] = available
        yield Task(region, frames, first)
        first = False
        held = held[layout.batch :] if len(held) > layout.batch else held[:0]
        if ended and len(held) <= layout.lead:
            return


class Runner(AbstractContextManager["Runner"], Protocol):
    """Where batches are rendered.

    Attributes:
        depth: how many it takes before the first one's result is wanted.
    """

    depth: int

    def submit(self, task: Task) -> Any:
        """Take a batch; returns a ticket for it."""

    def result(self, ticket: Any, before: Samples | None = None) -> Batch:
        """Wait for a batch; where ``before`` is given, render it again from that state."""

    def release(self, ticket: Any) -> None:
        """Let go of a batch whose samples have been used."""


class _Here(AbstractContextManager["_Here"]):
    """Renders in this process; the ticket is the task."""

    depth = 1

    def __init__(self, path: SignalPath, rate: int, layout: Layout) -> None:
        self._arguments = (path, rate, layout)

    def __exit__(self, *error: object) -> None:
        """Nothing is left behind."""

    def submit(self, task: Task) -> Task:
        return task

    def result(self, ticket: Task, before: Samples | None = None) -> Batch:
        from chowtape_cli.dsp.chain import render_batch

        return render_batch(
            *self._arguments, ticket.region, ticket.frames, before, first=ticket.first
        )

    def release(self, ticket: Task) -> None:
        """Nothing is held."""


def render_blocks(
    path: SignalPath,
    rate: int,
    channels: int,
    frames: int | None,
    blocks: Iterator[Samples],
    tally: Tally,
    jobs: int = 1,
) -> Iterator[Samples]:
    """Render a recording; as many frames come out as go in.

    The same bytes come out for any number of jobs: how the recording is cut depends on itself and
    the settings alone, and every seam is checked in order.

    Args:
        path: what to do.
        rate: sample rate in Hz.
        channels: how many the recording has.
        frames: how long it is, None where that is not known: it decides how it is cut.
        blocks: the recording, each block Shape: (frames, channels).
        tally: counts on.
        jobs: worker processes; 1 for none, and none are started for what is done sooner without.

    Yields:
        The output in order; a block holds until the next one is asked for.

    Raises:
        WorkerError: the workers keep dying.
    """
    layout = cut(frames, channels, rate, path.dc_block)
    with _runner(path, rate, channels, layout, frames, jobs) as runner:
        before = None
        for ticket in _submitted(runner, tasks(blocks, channels, layout)):
            batch = runner.result(ticket)
            if before is not None and states_differ(before, batch.first_state):
                tally.seam_repairs += 1
                batch = runner.result(ticket, before)
            tally.guard_clips += batch.guard_clips
            tally.resets += batch.resets
            tally.seam_repairs += batch.repairs
            before = batch.last_state
            yield batch.samples
            runner.release(ticket)


def _runner(
    path: SignalPath, rate: int, channels: int, layout: Layout, frames: int | None, jobs: int
) -> Runner:
    short = frames is not None and (
        frames <= layout.batch or frames * channels * path.oversampling < SOON_DONE
    )
    if jobs == 1 or short:
        return _Here(path, rate, layout)
    from chowtape_cli.pool import Pool

    return Pool(path, rate, channels, layout, jobs)


def _submitted(runner: Runner, batches: Iterator[Task]) -> Iterator[Any]:
    """Submit batches as far ahead as the runner takes them; yield their tickets in order."""
    waiting: deque[Any] = deque()
    for task in batches:
        waiting.append(runner.submit(task))
        if len(waiting) >= runner.depth:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()

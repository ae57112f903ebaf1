"""Batches on worker processes: audio goes to and fro in shared memory, and is never pickled."""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import Layout, Task
from chowtape_cli.errors import WorkerError
from chowtape_cli.workers import workers

if TYPE_CHECKING:
    from chowtape_cli.dsp.chain import Batch

Samples = NDArray[np.float64]

LIVES = 2  # how often the workers may die over one batch


@dataclass
class Ticket:
    """A batch that was submitted.

    Attributes:
        slot: which piece of shared memory holds its source and takes its output.
        rows: frames of source.
        frames: frames of output.
        first: whether the recording begins with it.
        before: the state that it is rendered from, where that is known.
        future: what it has become; its samples are in the slot.
        deaths: how often the workers died while it was the first in line.
    """

    slot: int
    rows: int
    frames: int
    first: bool
    before: Samples | None = None
    future: Future[Batch] | None = None
    deaths: int = 0


class Pool(AbstractContextManager["Pool"]):
    """Renders on worker processes, a few batches ahead of what is asked for."""

    def __init__(
        self, path: SignalPath, rate: int, channels: int, layout: Layout, jobs: int
    ) -> None:
        self.depth = jobs + 1
        self._jobs = jobs
        self._path, self._rate, self._layout = path, rate, layout
        self._channels = channels
        self._rows = layout.lead + layout.batch + layout.ahead
        self._memory: list[SharedMemory] = []
        self._free: list[int] = []
        self._pending: list[Ticket] = []
        self._start()

    def _start(self) -> None:
        self._context: AbstractContextManager[ProcessPoolExecutor] = workers(self._jobs)
        self._executor = self._context.__enter__()
        # a worker starts when it is given something to do: let them start now, all of them
        with suppress(BrokenProcessPool):
            for _ in range(self._jobs):
                self._executor.submit(_import_kernels, self._path)

    def __exit__(self, *error: object) -> None:
        """End the workers and remove the shared memory."""
        try:
            self._context.__exit__(*error)  # type: ignore[arg-type]
        finally:
            for memory in self._memory:
                memory.close()
                memory.unlink()

    def submit(self, task: Task) -> Ticket:
        """Copy a batch's source to shared memory and hand it to the workers."""
        if self._free:
            slot = self._free.pop()
        else:
            size = 8 * self._channels * (self._rows + self._layout.batch)
            self._memory.append(SharedMemory(create=True, size=size))
            slot = len(self._memory) - 1
        ticket = Ticket(slot, len(task.region), task.frames, task.first)
        source, _ = _views(self._memory[slot], ticket.rows, ticket.frames, self._channels)
        source[:] = task.region
        self._send(ticket)
        self._pending.append(ticket)
        return ticket

    def _send(self, ticket: Ticket) -> None:
        try:
            ticket.future = self._executor.submit(
                _render,
                self._memory[ticket.slot].name,
                ticket.rows,
                ticket.frames,
                self._channels,
                (self._path, self._rate, self._layout),
                ticket.before,
                ticket.first,
            )
        except BrokenProcessPool as error:  # seen to when the result is asked for
            ticket.future = Future()
            ticket.future.set_exception(error)

    def result(self, ticket: Ticket, before: Samples | None = None) -> Batch:
        """Wait for a batch; where ``before`` is given, render it again from that state."""
        if before is not None:
            ticket.before = before
            self._send(ticket)
        while True:
            assert ticket.future is not None
            try:
                batch = ticket.future.result()
            except BrokenProcessPool as error:
                self._start_again(ticket, error)
                continue
            _, output = _views(
                self._memory[ticket.slot], ticket.rows, ticket.frames, self._channels
            )
            return replace(batch, samples=output)

    def _start_again(self, ticket: Ticket, error: BrokenProcessPool) -> None:
        """A worker was killed, and took all others with it: everything pending is done again."""
        ticket.deaths += 1
        if ticket.deaths >= LIVES:
            raise WorkerError(
                f"a worker process was killed {LIVES} times over the same stretch of audio, "
                "perhaps for want of memory; give fewer --jobs"
            ) from error
        self._context.__exit__(None, None, None)
        self._start()
        for pending in self._pending:
            self._send(pending)

    def release(self, ticket: Ticket) -> None:
        """Use the shared memory of a batch for another one."""
        self._pending.remove(ticket)
        self._free.append(ticket.slot)


def _views(memory: SharedMemory, rows: int, frames: int, channels: int) -> tuple[Samples, Samples]:
    """Return a slot's source, Shape: (rows, channels), and output, Shape: (frames, channels)."""
    source: Samples = np.ndarray((rows, channels), np.float64, memory.buf)
    output: Samples = np.ndarray((frames, channels), np.float64, memory.buf, offset=source.nbytes)
    return source, output


def _import_kernels(path: SignalPath) -> None:
    """In a worker: load, or compile, what the path needs while the source is being read."""
    from chowtape_cli.dsp.chain import render_batch
    from chowtape_cli.dsp.segments import cut

    layout = cut(1, 1, 44_100, path.dc_block)
    silence = np.zeros((layout.lead + layout.segment + layout.ahead, 1))
    render_batch(path, 44_100, layout, silence, 1)


_attached: dict[str, SharedMemory] = {}


def _render(
    name: str,
    rows: int,
    frames: int,
    channels: int,
    arguments: tuple[SignalPath, int, Layout],
    before: Samples | None,
    first: bool,
) -> Batch:
    """In a worker: render a slot's source into its output; returns the batch without samples."""
    from chowtape_cli.dsp.chain import render_batch

    if name not in _attached:
        _attached[name] = SharedMemory(name)
    source, output = _views(_attached[name], rows, frames, channels)
    batch = render_batch(*arguments, source, frames, before, first=first)
    output[:] = batch.samples
    return replace(batch, samples=batch.samples[:0])

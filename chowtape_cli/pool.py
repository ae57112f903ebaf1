"""Work on worker processes; what a killed worker held is done again.

Audio goes to and fro in shared memory, and is never pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.chain import Batch, Job, Task, render_batch
from chowtape_cli.errors import WorkerError
from chowtape_cli.workers import workers

Samples = NDArray[np.float64]
Raw = NDArray[np.uint8]

LIVES = 2  # how often workers may die over one call


class Call:
    """Something that a worker was asked to do.

    Attributes:
        future: what it has become.
        deaths: how often a worker died while it may have been at this.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.future: Future[Any] = Future()
        self.deaths = 0

    def was_broken(self) -> bool:
        """Say whether it has to be done again, for a worker died."""
        return self.future.done() and isinstance(self.future.exception(), BrokenProcessPool)


class Pool(AbstractContextManager["Pool"]):
    """A number of worker processes.

    Attributes:
        jobs: how many.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._calls: list[Call] = []
        self._start()

    def _start(self) -> None:
        self._context: AbstractContextManager[ProcessPoolExecutor] = workers(self.jobs)
        self._executor = self._context.__enter__()

    def __exit__(self, *error: object) -> None:
        """End the workers."""
        self._context.__exit__(*error)  # type: ignore[arg-type]

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Call:
        """Have a worker do something."""
        call = Call(function, arguments)
        self._calls.append(call)
        self._send(call)
        return call

    def _send(self, call: Call) -> None:
        try:
            call.future = self._executor.submit(call.function, *call.arguments)
        except BrokenProcessPool as error:  # seen to when the result is asked for
            call.future = Future()
            call.future.set_exception(error)

    def result(self, call: Call) -> Any:
        """Wait for what a call returns; raises what it raises, or WorkerError."""
        while True:
            wait([call.future])
            if not call.was_broken():
                self._calls.remove(call)
                return call.future.result()
            self.recover()

    def forget(self, call: Call) -> None:
        """Do without the result of a call; nobody does it again."""
        self._calls.remove(call)

    def recover(self) -> None:
        """Start the workers again after one was killed, and do again what they held.

        The executor does not say who was at what. So each call that may have been under way is done
        alone; that which is alone when a worker dies again has failed.
        """
        lost = [call for call in self._calls if call.was_broken() or not call.future.done()]
        self._start_again()
        for call in lost[: self.jobs]:
            call.deaths += 1
            while call.deaths < LIVES:
                self._send(call)
                wait([call.future])
                if not call.was_broken():
                    break
                call.deaths += 1
                self._start_again()
            else:
                call.future = Future()
                call.future.set_exception(
                    WorkerError(
                        f"a worker process was killed {LIVES} times over the same audio, "
                        "perhaps for want of memory; give fewer --jobs"
                    )
                )
        for call in lost[self.jobs :]:
            self._send(call)

    def _start_again(self) -> None:
        self._context.__exit__(None, None, None)
        self._start()

    @contextmanager
    def runner(self, job: Job) -> Iterator[_Runner]:
        """Render the batches of one recording."""
        with ExitStack() as stack:
            yield _Runner(self, job, stack)


@dataclass
class _Ticket:
    """A batch: the shared memory that holds its source and takes its output, and its place."""

    memory: SharedMemory
    frames: int = 0
    position: int = 0
    call: Call | None = None


class _Runner:
    """Renders the batches of a recording on a pool, a few ahead of what is asked for."""

    def __init__(self, pool: Pool, job: Job, stack: ExitStack) -> None:
        self.depth = pool.jobs + 1
        self._pool = pool
        self._job = job
        self._stack = stack
        self._free: list[SharedMemory] = []
        self._under_way: set[Call] = set()
        stack.callback(self._forget)

    def room(self) -> tuple[_Ticket, Raw]:
        """Return a ticket for one more batch, and where its source goes to."""
        if self._free:
            memory = self._free.pop()
        else:
            job = self._job
            source = job.rows * job.channels * job.packing.width
            out = job.layout.batch * job.channels * job.coding.width
            memory = SharedMemory(create=True, size=source + 8 + out)
            self._stack.callback(_remove, memory)
        return _Ticket(memory), _source(memory, self._job)

    def submit(self, ticket: _Ticket, frames: int, position: int) -> None:
        """Render a batch; its source is in its place."""
        ticket.frames, ticket.position = frames, position
        ticket.call = self._submit(ticket, None)

    def _submit(self, ticket: _Ticket, before: Samples | None) -> Call:
        call = self._pool.submit(
            _render, ticket.memory.name, self._job, ticket.frames, ticket.position, before
        )
        self._under_way.add(call)
        return call

    def result(self, ticket: _Ticket, before: Samples | None = None) -> Batch:
        """Wait for a batch; where ``before`` is given, render it again from that state."""
        if before is not None:
            ticket.call = self._submit(ticket, before)
        assert ticket.call is not None
        self._under_way.remove(ticket.call)
        batch: Batch = self._pool.result(ticket.call)
        samples = _output(ticket.memory, self._job, ticket.frames)
        return replace(batch, output=replace(batch.output, samples=samples))

    def release(self, ticket: _Ticket) -> None:
        """Use the shared memory of a batch for another one."""
        self._free.append(ticket.memory)

    def _forget(self) -> None:
        """Do without what was not asked for any more: the recording came to an early end."""
        for call in self._under_way:
            self._pool.forget(call)


def _remove(memory: SharedMemory) -> None:
    memory.unlink()
    # an array may still look into it; the process's end, or the array's, frees it then
    try:
        memory.close()
    except BufferError:
        memory._buf = None  # type: ignore[attr-defined]


def _source(memory: SharedMemory, job: Job) -> Raw:
    """Return the source of a piece of shared memory, Shape: (rows, bytes)."""
    return np.ndarray((job.rows, job.channels * job.packing.width), np.uint8, memory.buf)


def _output(memory: SharedMemory, job: Job, frames: int) -> NDArray[Any]:
    """Return its output, as `Coded.samples`."""
    offset = job.rows * job.channels * job.packing.width
    offset += -offset % 8
    if job.coding.packing is not None:
        width = job.channels * job.coding.width
        return np.ndarray((frames, width), np.uint8, memory.buf, offset)
    kind = np.float64 if job.coding.bits is None else np.int32
    return np.ndarray((frames, job.channels), kind, memory.buf, offset)


_attached: dict[str, SharedMemory] = {}
_ATTACHED_AT_MOST = 8


def attach(name: str) -> SharedMemory:
    """In a worker: return shared memory, and let go of what has not been used for long."""
    memory = _attached.pop(name, None) or SharedMemory(name)
    _attached[name] = memory
    if len(_attached) > _ATTACHED_AT_MOST:
        _attached.pop(next(iter(_attached))).close()
    return memory


def _render(name: str, job: Job, frames: int, position: int, before: Samples | None) -> Batch:
    """In a worker: render a batch in shared memory; return it without its samples."""
    memory = attach(name)
    task = Task(_source(memory, job), frames, position)
    batch = render_batch(job, task, before, _output(memory, job, frames))
    return replace(batch, output=replace(batch.output, samples=batch.output.samples[:0].copy()))

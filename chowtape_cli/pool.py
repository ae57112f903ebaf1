"""Work on worker processes; what a killed worker held is done again.

Audio goes to and fro in shared memory, and is never pickled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.coding import Stored, stored_as
from chowtape_cli.dsp.tasks import Batch, Job
from chowtape_cli.errors import WorkerError
from chowtape_cli.places import Places, Ticket, render_task
from chowtape_cli.workers import ask, signals_held_back, workers

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
            call.future = ask(self._executor, call.function, *call.arguments)
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
    def runner(self, job: Job, places: Places) -> Iterator[_Runner]:
        """Render the batches of one recording."""
        with ExitStack() as stack:
            yield _Runner(self, job, places, stack)


@dataclass
class _Held:
    """The shared memory of a batch, if it needs any, and who is at it."""

    memory: SharedMemory | None
    call: Call | None = None


class _Runner:
    """Renders the batches of a recording on a pool, a few ahead of what is asked for."""

    def __init__(self, pool: Pool, job: Job, places: Places, stack: ExitStack) -> None:
        self.depth = pool.jobs + 1
        self._pool = pool
        self._job = job
        self._places = places
        self._stack = stack
        self._free: list[SharedMemory | None] = []
        self._under_way: set[Call] = set()
        stack.callback(self._forget)

    def room(self) -> Ticket:
        """Return a ticket for one more batch."""
        if not self._free:
            self._free.append(self._new_memory())
        memory = self._free.pop()
        return Ticket(*_views(memory, self._job, self._places), _Held(memory))

    def _new_memory(self) -> SharedMemory | None:
        size = sum(_sizes(self._job, self._places))
        if size == 0:
            return None
        with signals_held_back():  # what is made is removed, whenever that is interrupted
            memory = SharedMemory(create=True, size=size)
            self._stack.callback(_remove, memory)
        return memory

    def submit(self, ticket: Ticket) -> None:
        """Render a batch; its source is in its place."""
        ticket.held.call = self._submit(ticket)

    def _submit(self, ticket: Ticket, *more: Samples | Batch) -> Call:
        name = None if ticket.held.memory is None else ticket.held.memory.name
        call = self._pool.submit(
            _render, name, self._job, self._places, ticket.frames, ticket.position, *more
        )
        self._under_way.add(call)
        return call

    def result(self, ticket: Ticket) -> Batch:
        """Wait for a batch."""
        self._under_way.remove(ticket.held.call)
        batch: Batch = self._pool.result(ticket.held.call)
        return batch

    def correct(self, ticket: Ticket, before: Samples, earlier: Batch) -> Batch:
        """Render a batch again, as far as it differs for beginning in another state."""
        ticket.held.call = self._submit(ticket, before, earlier)
        return self.result(ticket)

    def release(self, ticket: Ticket) -> None:
        """Use the shared memory of a batch for another one."""
        self._free.append(ticket.held.memory)

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


def _sizes(job: Job, places: Places) -> tuple[int, int]:
    """Return the bytes of source, and of output, that a batch has in shared memory."""
    source = 0 if places.source else job.rows * job.channels * job.packing.width
    out = 0 if places.output else job.layout.batch * job.channels * job.coding.width
    return source + -source % 8, out


def _views(
    memory: SharedMemory | None, job: Job, places: Places
) -> tuple[Raw | None, Stored | None]:
    """Return the source of a piece of shared memory, Shape: (rows, bytes), and its output."""
    region = out = None
    if memory is not None and not places.source:
        width = job.channels * job.packing.width
        region = np.ndarray((job.rows, width), np.uint8, memory.buf)
    if memory is not None and not places.output:
        shape, kind = stored_as(job.layout.batch, job.channels, job.coding)
        out = np.ndarray(shape, kind, memory.buf, _sizes(job, places)[0])
    return region, out


_attached: dict[str, SharedMemory] = {}
_ATTACHED_AT_MOST = 8


def attach(name: str) -> SharedMemory:
    """In a worker: return shared memory, and let go of what has not been used for long."""
    memory = _attached.pop(name, None) or _opened(name)
    _attached[name] = memory
    if len(_attached) > _ATTACHED_AT_MOST:
        _attached.pop(next(iter(_attached))).close()
    return memory


def _opened(name: str) -> SharedMemory:
    """In a worker: return shared memory that the parent keeps track of, and the worker does not.

    Were it reported once more after the parent has removed it, for it was interrupted, it would be
    missed at the end, in a warning.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    register = resource_tracker.register
    resource_tracker.register = lambda *_: None
    try:
        return SharedMemory(name)
    finally:
        resource_tracker.register = register


def _render(
    name: str | None, job: Job, places: Places, frames: int, position: int, *more: Any
) -> Batch:
    """In a worker: render a batch; more arguments as in `render_task`."""
    views = _views(None if name is None else attach(name), job, places)
    return render_task(job, places, Ticket(*views, None, frames, position), *more)

"""Who renders units: this process, or worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import AbstractContextManager
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.batch.units import Item, Outcome, Unit, render_unit, without
from chowtape_cli.errors import WorkerError
from chowtape_cli.files import shown
from chowtape_cli.pool import LIVES, Call, Pool, attach

_KILLED = (
    "a worker process was killed {} times over this file, perhaps for want of memory; "
    "give fewer --jobs"
)

_BETWEEN_LOOKS = 0.2  # seconds, at how far workers are
_METER = 24  # bytes

# is told how far a file is: its unit, frames done, frames in all (or None) and the sample rate
Going = Callable[[Unit, int, "int | None", int], None]


class Crew(AbstractContextManager["Crew"], Protocol):
    """Renders units, some at a time."""

    def render(
        self, units: Iterator[Unit], going: Going
    ) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """Yield ``started`` or ``done``, a unit, and what became of it, as it happens.

        The units may come to an early end; what is in the works is finished even so.
        """


class Alone(AbstractContextManager["Alone"]):
    """Renders units in this process, one after the other."""

    def __exit__(self, *error: object) -> None:
        """Nothing is left behind."""

    def render(
        self, units: Iterator[Unit], going: Going
    ) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """See `Crew.render`."""
        for unit in units:
            yield "started", unit, None
            yield "done", unit, render_unit(unit, progress=partial(going, unit))


class _Meter(NamedTuple):
    """Where in shared memory a worker shows how far its file is."""

    memory: str
    place: int


def _numbers(memory: SharedMemory, place: int) -> NDArray[np.int64]:
    """Return what a meter shows: frames done, frames in all (or 0) and the sample rate."""
    return np.ndarray((3,), np.int64, memory.buf, place * _METER)


class Workers(AbstractContextManager["Workers"]):
    """Renders units on a pool of processes, which somebody else ends."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._meters = SharedMemory(create=True, size=(pool.jobs + 1) * _METER)

    def __exit__(self, *error: object) -> None:
        """The pool goes on."""
        self._meters.unlink()
        self._meters.close()

    def render(
        self, units: Iterator[Unit], going: Going
    ) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """See `Crew.render`."""
        again: deque[Unit] = deque()
        waiting: dict[Call, tuple[Unit, _Meter]] = {}
        free = [_Meter(self._meters.name, place) for place in range(self._pool.jobs + 1)]
        while True:
            while free:
                unit = again.popleft() if again else next(units, None)
                if unit is None:
                    break
                yield "started", unit, None
                meter = free.pop()
                _numbers(self._meters, meter.place)[:] = 0, 0, 1
                waiting[self._pool.submit(_render, unit, meter)] = unit, meter
            if not waiting:
                return
            futures = [call.future for call in waiting]
            while not wait(futures, _BETWEEN_LOOKS, return_when=FIRST_COMPLETED).done:
                for unit, meter in waiting.values():
                    done, total, rate = _numbers(self._meters, meter.place).tolist()
                    going(unit, done, total or None, rate)
            if any(call.was_broken() for call in waiting):
                self._pool.recover()
            for call in [call for call in waiting if call.future.done()]:
                unit, meter = waiting.pop(call)
                free.append(meter)
                try:
                    outcome = self._pool.result(call)
                except WorkerError:
                    if len(unit) > 1:  # whose fault it is shows when each is by itself
                        again.extend((item,) for item in unit)
                        continue
                    outcome = killed(unit[0], LIVES)
                yield "done", unit, outcome


def _render(unit: Unit, meter: _Meter) -> Outcome:
    """In a worker: render a unit, and show on a meter how far it is."""

    def show(done: int, total: int | None, rate: int) -> None:
        _numbers(attach(meter.memory), meter.place)[:] = done, total or 0, rate

    return render_unit(unit, progress=show)


def killed(item: Item, times: int) -> Outcome:
    """Return the outcome of a file that kills workers."""
    return Outcome((without(item, "failed", f"{shown(item.source)}: {_KILLED.format(times)}"),))

"""Who renders units: this process, or worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import AbstractContextManager
from typing import Protocol

from chowtape_cli.batch.units import Item, Outcome, Unit, render_unit, without
from chowtape_cli.errors import WorkerError
from chowtape_cli.files import shown
from chowtape_cli.pool import LIVES, Call, Pool

_KILLED = (
    "a worker process was killed {} times over this file, perhaps for want of memory; "
    "give fewer --jobs"
)


class Crew(AbstractContextManager["Crew"], Protocol):
    """Renders units, some at a time."""

    def render(self, units: Iterator[Unit]) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """Yield ``started`` or ``done``, a unit, and what became of it, as it happens.

        The units may come to an early end; what is in the works is finished even so.
        """


class Alone(AbstractContextManager["Alone"]):
    """Renders units in this process, one after the other."""

    def __exit__(self, *error: object) -> None:
        """Nothing is left behind."""

    def render(self, units: Iterator[Unit]) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """See `Crew.render`."""
        for unit in units:
            yield "started", unit, None
            yield "done", unit, render_unit(unit)


class Workers(AbstractContextManager["Workers"]):
    """Renders units on a pool of processes, which somebody else ends."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __exit__(self, *error: object) -> None:
        """The pool goes on."""

    def render(self, units: Iterator[Unit]) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """See `Crew.render`."""
        again: deque[Unit] = deque()
        waiting: dict[Call, Unit] = {}
        while True:
            while len(waiting) < self._pool.jobs + 1:
                unit = again.popleft() if again else next(units, None)
                if unit is None:
                    break
                yield "started", unit, None
                waiting[self._pool.submit(render_unit, unit)] = unit
            if not waiting:
                return
            wait([call.future for call in waiting], return_when=FIRST_COMPLETED)
            if any(call.was_broken() for call in waiting):
                self._pool.recover()
            for call in [call for call in waiting if call.future.done()]:
                unit = waiting.pop(call)
                try:
                    outcome = self._pool.result(call)
                except WorkerError:
                    if len(unit) > 1:  # whose fault it is shows when each is by itself
                        again.extend((item,) for item in unit)
                        continue
                    outcome = killed(unit[0], LIVES)
                yield "done", unit, outcome


def killed(item: Item, times: int) -> Outcome:
    """Return the outcome of a file that kills workers."""
    return Outcome((without(item, "failed", f"{shown(item.source)}: {_KILLED.format(times)}"),))

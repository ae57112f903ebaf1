"""Who renders units: this process, worker processes, or a Dask cluster."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import AbstractContextManager
from typing import Any, Protocol

from chowtape_cli.batch.units import Item, Outcome, Unit, render_unit, without
from chowtape_cli.errors import ChowtapeError, MissingPackageError, WorkerError
from chowtape_cli.pool import Call, Pool

_KILLED = "a worker process was killed {} times over this file, perhaps for want of memory"


class Crew(AbstractContextManager["Crew"], Protocol):
    """Renders units, some at a time."""

    def render(self, units: Iterator[Unit]) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """Yield ``started`` or ``done``, a unit, and what became of it, as it happens."""


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
                waiting[self._pool.submit(render_unit, unit)] = unit
                yield "started", unit, None
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
                    outcome = killed(unit[0], 2)
                yield "done", unit, outcome


def killed(item: Item, times: int) -> Outcome:
    """Return the outcome of a file that kills workers."""
    return Outcome((without(item, "failed", f"{item.source}: {_KILLED.format(times)}"),))


class Dask(AbstractContextManager["Dask"]):
    """Renders units on the workers of a Dask cluster, which see the same files.

    Args:
        address: of its scheduler, or ``local`` for a cluster of processes on this machine.
        jobs: how many processes, for ``local``.

    Raises:
        MissingPackageError: dask.distributed is not installed.
        ChowtapeError: nobody answers at the address.
    """

    def __init__(self, address: str, jobs: int) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise MissingPackageError(
                "--dask needs dask.distributed; install it: pip install 'chowtape[dask]'"
            ) from error
        self._distributed = distributed
        self._cluster: Any = None
        if address == "local":
            self._cluster = distributed.LocalCluster(
                n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None,
                silence_logs=50,
            )  # fmt: skip
        try:
            self._client = distributed.Client(self._cluster or address, timeout=10)
        except (OSError, ValueError, TimeoutError) as error:
            raise ChowtapeError(
                f"--dask {address}: no scheduler answers ({error}); start one, or check the address"
            ) from error

    def __exit__(self, *error: object) -> None:
        """Leave the cluster, and end it if it is our own."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def render(self, units: Iterator[Unit]) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """See `Crew.render`."""
        waiting: dict[Any, Unit] = {}
        done = self._distributed.as_completed()
        again: deque[Unit] = deque()
        while True:
            while len(waiting) < 2 * max(1, len(self._client.nthreads())):
                unit = again.popleft() if again else next(units, None)
                if unit is None:
                    break
                future = self._client.submit(render_unit, unit, pure=False)
                waiting[future] = unit
                done.add(future)
                yield "started", unit, None
            if not waiting:
                return
            future = next(done)
            unit = waiting.pop(future)
            try:
                outcome = future.result()
            except self._distributed.KilledWorker as error:
                if len(unit) > 1:
                    again.extend((item,) for item in unit)
                    continue
                outcome = killed(unit[0], getattr(error, "allowed_failures", 1) + 1)
            yield "done", unit, outcome

"""A crew on many machines: the workers of a Dask cluster, which see the same files."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from chowtape_cli import __version__
from chowtape_cli.batch.crew import Going, killed
from chowtape_cli.batch.units import Item, Outcome, Unit, render_unit
from chowtape_cli.errors import ClusterError, MissingPackageError
from chowtape_cli.files import shown
from chowtape_cli.notices import tell
from chowtape_cli.pool import LIVES
from chowtape_cli.render import FileReport

_PATIENCE = 5  # seconds in which a scheduler has to answer, and to have workers
_BETWEEN_LOOKS = 0.02  # seconds, at what is done


class Dask(AbstractContextManager["Dask"]):
    """Renders units on the workers of a Dask cluster.

    Args:
        address: of its scheduler, or ``local`` for a cluster of processes on this machine.
        jobs: how many processes, for ``local``.

    Raises:
        MissingPackageError: dask.distributed is not installed.
        ClusterError: nobody answers at the address, or its workers have another chowtape.
    """

    def __init__(self, address: str, jobs: int) -> None:
        try:
            self._distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise MissingPackageError(
                "--dask needs dask.distributed; install it: pip install 'chowtape[dask]'"
            ) from error
        for name in logging.root.manager.loggerDict:  # what matters of theirs is reported here
            if name.partition(".")[0] in ("distributed", "tornado"):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        with ExitStack() as stack:
            where: Any = address
            if address == "local":
                where = stack.enter_context(self._local_cluster(jobs))
            self._client = stack.enter_context(self._connected(where, address))
            self._wait_for_a_worker(address)
            self._check_workers(address)
            self._stack = stack.pop_all()

    def _local_cluster(self, jobs: int) -> Any:
        import dask

        # as on a pool: a file that has killed workers so often has failed
        dask.config.set({"distributed.scheduler.allowed-failures": LIVES - 1})
        return self._distributed.LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None,
            memory_limit=None, silence_logs=logging.CRITICAL + 1, preload=[__name__],
        )  # fmt: skip

    def _connected(self, where: Any, address: str) -> Any:
        try:
            with warnings.catch_warnings():  # of versions; what matters is checked below
                warnings.simplefilter("ignore")
                return self._distributed.Client(where, timeout=_PATIENCE)
        except (OSError, ValueError, TypeError, ImportError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ClusterError(
                f"--dask {shown(address)}: no scheduler answers ({shown(reason)}); start one, or "
                "check the address, such as tcp://host:8786"
            ) from error

    def _wait_for_a_worker(self, address: str) -> None:
        try:
            try:
                self._client.wait_for_workers(1, timeout=_PATIENCE)
            except self._distributed.TimeoutError:
                tell(
                    f"the scheduler at {shown(address)} has no workers yet; waiting for one, "
                    "Ctrl-C to give up"
                )
                self._client.wait_for_workers(1)
        except OSError as error:
            raise self._lost(error) from error

    def _check_workers(self, address: str) -> None:
        """Make sure that those who are there now can give the same bytes."""
        try:
            versions = self._client.run(_version)
        except Exception as error:
            raise ClusterError(
                f"--dask {shown(address)}: a worker can't run chowtape ({shown(str(error))}); "
                "install the same version on all of them"
            ) from error
        for worker, version in versions.items():
            if version != __version__:
                raise ClusterError(
                    f"--dask {shown(address)}: the worker {worker} has chowtape {version}, this "
                    f"is {__version__}; install the same version on all of them"
                )

    def __exit__(self, *error: object) -> None:
        """Leave the cluster, and end it if it is our own."""
        self._stack.close()

    def render(
        self, units: Iterator[Unit], _going: Going
    ) -> Iterator[tuple[str, Unit, Outcome | None]]:
        """See `Crew.render`; raises ClusterError if the scheduler goes away.

        How far a file is that is not done, nobody here knows.
        """
        waiting: dict[Any, Unit] = {}
        suspects: deque[Unit] = deque()
        accused: set[Unit] = set()
        done = self._distributed.as_completed()
        room = self._room()
        while True:
            # who may have killed a worker is by itself, so that nobody else is blamed for it
            for unit in _fresh(units, suspects, waiting, room):
                yield "started", unit, None
                future = self._client.submit(render_unit, _absolute(unit), pure=False)
                waiting[future] = unit
                done.add(future)
            if not waiting:
                return
            future = self._next(done)
            unit = waiting.pop(future)
            outcome = self._outcome(future, unit)
            if isinstance(outcome, int):
                if unit not in accused:
                    singles: list[Unit] = [(item,) for item in unit]
                    suspects.extend(singles)
                    accused.update(singles)
                    continue
                outcome = killed(unit[0], outcome)
            room = self._room()
            yield "done", unit, outcome

    def _next(self, done: Any) -> Any:
        """Wait for one that is done; where nobody is left to do it, say so."""
        looked, alone = time.monotonic(), False
        while not done.has_ready():
            time.sleep(_BETWEEN_LOOKS)
            if time.monotonic() - looked > _PATIENCE:
                looked, before = time.monotonic(), alone
                alone = self._workers() == 0
                if alone and not before:
                    tell("the cluster has no workers any more; waiting for one, Ctrl-C to give up")
        return next(done)

    def _room(self) -> int:
        """Return how many units are to be under way."""
        return 2 * max(1, self._workers())

    def _workers(self) -> int:
        try:
            return len(self._client.nthreads())
        except OSError as error:
            raise self._lost(error) from error

    def _outcome(self, future: Any, unit: Unit) -> Outcome | int:
        """Return what became of a unit, or how many workers it has killed."""
        try:
            outcome: Outcome = future.result()
        except self._distributed.KilledWorker as error:
            return getattr(error, "allowed_failures", LIVES - 1) + 1
        except Exception as error:  # the cluster's: what goes wrong with a file is in its report
            raise self._lost(error) from error
        return _as_given(unit, outcome)

    def _lost(self, error: Exception) -> ClusterError:
        return ClusterError(
            f"the Dask cluster is lost ({type(error).__name__}: {shown(str(error))}); the same "
            "command again goes on from here"
        )


def dask_setup(_worker: object) -> None:
    """In a worker of our own cluster: leave Ctrl-C, which reaches the whole group, to us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _version() -> str:
    return __version__


def _fresh(
    units: Iterator[Unit], suspects: deque[Unit], waiting: dict[Any, Unit], room: int
) -> Iterator[Unit]:
    """Yield what is to be submitted now."""
    while len(waiting) < room:
        unit = next(units, None)
        if unit is None:
            break
        yield unit
    if not waiting and suspects:
        yield suspects.popleft()


def _absolute(unit: Unit) -> Unit:
    """Return a unit whose paths mean the same in every working directory."""

    def absolute(item: Item) -> Item:
        settings = item.settings
        if settings.weights is not None and Path(settings.weights).exists():
            settings = replace(settings, weights=os.path.abspath(settings.weights))  # noqa: PTH100
        return replace(
            item,
            source=os.path.abspath(item.source),  # noqa: PTH100
            output=os.path.abspath(item.output),  # noqa: PTH100
            settings=settings,
        )

    return tuple(map(absolute, unit))


def _as_given(unit: Unit, outcome: Outcome) -> Outcome:
    """Return an outcome that speaks of paths as the user did."""
    given = {os.path.abspath(item.output): item for item in unit}  # noqa: PTH100
    full = outcome.full
    for there, item in given.items():
        full = full and full.replace(shown(there), shown(item.output))
    reports = tuple(_retold(report, given[report.output]) for report in outcome.reports)
    return Outcome(reports, full)


def _retold(report: FileReport, item: Item) -> FileReport:
    names = [(report.source, item.source), (report.output, item.output)]

    def told(text: str) -> str:
        for there, here in names:
            text = text.replace(shown(there), shown(here))
        return text

    return replace(
        report,
        source=item.source,
        output=item.output,
        settings=item.settings.as_dict(),
        error=None if report.error is None else told(report.error),
        warnings=[told(warning) for warning in report.warnings],
    )

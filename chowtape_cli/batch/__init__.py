"""A folder of stems: every file that can be rendered is, and a report says which could not."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chowtape_cli.audio_files.formats import INTEGER_BITS
from chowtape_cli.batch.manifest import (
    OUTDATED,
    UNKNOWN,
    UP_TO_DATE,
    Manifest,
    Recipe,
    recipe,
)
from chowtape_cli.batch.sources import (
    Found,
    Sources,
    check_apart,
    check_distinct,
    find_sources,
    place_of,
)
from chowtape_cli.batch.units import Item, Outcome, Unit, render_unit, units_of, without
from chowtape_cli.dsp.coding import FLOAT64, Coding
from chowtape_cli.engine import warm
from chowtape_cli.errors import ChowtapeError, PlanError
from chowtape_cli.files import exists_already, shown
from chowtape_cli.render import FileReport, failed_report, plan_file, signal_path

if TYPE_CHECKING:
    from chowtape_cli.batch.crew import Crew
    from chowtape_cli.pool import Pool
    from chowtape_cli.settings_file import SettingsPlan

__all__ = ["BatchReport", "BatchRequest", "Found", "Sources", "find_sources", "run_batch"]

TOGETHER = 16  # short files that one worker is given at a time
_SHARED_BYTES = 8_000_000  # a smaller file is not worth more than one worker


@dataclass(frozen=True, kw_only=True)
class BatchRequest:
    """What a batch is asked to do.

    Attributes:
        sources: what to render.
        destination: the folder that everything goes to.
        plan: the settings of every file.
        name: template of the outputs' names; None for the sources'.
        extension: of the outputs; None for the sources'.
        overwrite: replace whatever exists.
        update: replace what was made from a source or settings that have changed since.
        skip_existing: leave whatever exists as it is.
        fail_fast: end with the first file that fails.
        headroom: find the one gain that keeps every output from clipping, and apply it to all.
        keep_times: give outputs their sources' modification times.
        dry_run: report what would be done, and do nothing.
        jobs: worker processes.
        dask: address of a Dask scheduler, ``local``, or None.
    """

    sources: Sources
    destination: Path
    plan: SettingsPlan
    name: str | None = None
    extension: str | None = None
    overwrite: bool = False
    update: bool = False
    skip_existing: bool = False
    fail_fast: bool = False
    headroom: bool = False
    keep_times: bool = False
    dry_run: bool = False
    jobs: int = 1
    dask: str | None = None


@dataclass
class BatchReport:
    """What became of a batch.

    Attributes:
        files: one report a source, in order of their places.
        left_alone: how many files were no audio, by extension.
        trim_db: the gain that all outputs got.
        wall_seconds: how long it took.
        stopped: why it ended before it was through, if it did.
    """

    files: list[FileReport]
    left_alone: dict[str, int] = field(default_factory=dict)
    trim_db: float = 0.0
    wall_seconds: float = 0.0
    stopped: str | None = None

    @property
    def failed(self) -> bool:
        """Whether some file is not what was asked for."""
        bad = ("failed", "outdated", "pending")
        return self.stopped is not None or any(file.status in bad for file in self.files)


class Watch:
    """Is told what happens; does nothing with it."""

    def begin(self, what: str, items: Sequence[Item]) -> None:
        """Hear what is going to be done with which files."""

    def started(self, unit: Unit) -> None:
        """Hear that files are in the works."""

    def done(self, unit: Unit, reports: Sequence[FileReport]) -> None:
        """Hear what became of files."""


def run_batch(request: BatchRequest, watch: Watch | None = None) -> BatchReport:
    """Render everything that needs it.

    Raises:
        PlanError: sources and destination do not go together; nothing was rendered.
        FileError: the destination's manifest can't be read or written.
        MissingPackageError: Dask is not installed.
    """
    watch = watch or Watch()
    began = time.perf_counter()
    items = _items(request)
    manifest = Manifest(request.destination)
    if request.dry_run:
        return BatchReport(
            [_planned(request, manifest, item) for item in items], request.sources.left_alone
        )
    run = _Run(request, manifest, watch)
    try:
        with ExitStack() as stack:
            run.open(stack, items)
            trim_db = run.find_headroom(items) if request.headroom else 0.0
            items = [replace(item, trim_db=trim_db) for item in items]
            run.render(items)
    finally:
        manifest.close()
    files = [run.reports.get(item.place) or without(item, "pending") for item in items]
    wall = time.perf_counter() - began
    return BatchReport(files, request.sources.left_alone, trim_db, wall, run.stopped)


def _items(request: BatchRequest) -> list[Item]:
    """Return what is to be rendered, after everything that can be checked beforehand."""
    found = request.sources.files
    if not found:
        raise PlanError("there is no audio file among the sources; check the path and --include")
    if request.destination.exists() and not request.destination.is_dir():
        raise PlanError(
            f"{shown(request.destination)}: is a file, and several sources need a folder; "
            "name another one"
        )
    check_apart(request.sources, request.destination)
    settings = [request.plan.for_file(one.relative) for one in found]
    places = [
        place_of(one, own, number, request.name, request.extension)
        for number, (one, own) in enumerate(zip(found, settings, strict=True), 1)
    ]
    check_distinct(list(zip(found, places, strict=True)))
    return [
        Item(
            source=one.path,
            output=str(request.destination / place),
            place=place,
            size=one.size,
            settings=own,
            keep_times=request.keep_times,
        )
        for one, own, place in zip(found, settings, places, strict=True)
    ]


def _planned(request: BatchRequest, manifest: Manifest, item: Item) -> FileReport:
    decided = _decided(request, manifest, item, _recipe(item))
    if isinstance(decided, FileReport):
        return decided
    try:
        return plan_file(item.source, item.output, item.settings, overwrite=decided.overwrite)
    except ChowtapeError as error:
        return failed_report(item.source, item.output, error, item.settings)


def _recipe(item: Item) -> Recipe:
    return recipe(Path(item.source), item.settings, item.trim_db)


def _decided(
    request: BatchRequest, manifest: Manifest, item: Item, wanted: Recipe
) -> Item | FileReport:
    """Return an item that is to be rendered, or the report of one that is not."""
    if request.overwrite:
        return replace(item, overwrite=True)
    state = manifest.state(item.place, wanted)
    if state in (UP_TO_DATE, OUTDATED, UNKNOWN) and request.skip_existing:
        return without(item, "skipped")
    if state == UP_TO_DATE:
        return without(item, "up to date")
    if state == OUTDATED and not request.update:
        what = f"{shown(item.output)}: was made from another source or settings; give --update"
        return without(item, "outdated", what)
    if state == UNKNOWN:
        return failed_report(
            item.source, item.output, exists_already(Path(item.output)), item.settings
        )
    return replace(item, overwrite=state == OUTDATED)


class _Run:
    """A batch under way.

    Attributes:
        reports: of what is done, by place.
        stopped: why it ended, if it ended before it was through.
    """

    def __init__(self, request: BatchRequest, manifest: Manifest, watch: Watch) -> None:
        self._request = request
        self._manifest = manifest
        self._watch = watch
        self._pool: Pool | None = None
        self.reports: dict[str, FileReport] = {}
        self.stopped: str | None = None

    def open(self, stack: ExitStack, items: Sequence[Item]) -> None:
        """Start those who render."""
        from chowtape_cli.batch.crew import Alone, Dask, Workers

        request = self._request
        if request.dask is not None:
            self._crew: Crew = stack.enter_context(Dask(request.dask, request.jobs))
        elif request.jobs > 1 and len(items) > 1:
            from chowtape_cli.pool import Pool

            for settings in {item.settings for item in items}:
                try:  # what is compiled now, workers need not
                    warm(signal_path(settings), FLOAT64, Coding())
                except ChowtapeError:  # each file says so by itself
                    continue
            self._pool = stack.enter_context(Pool(request.jobs))
            self._crew = stack.enter_context(Workers(self._pool))
        else:
            self._crew = stack.enter_context(Alone())

    def find_headroom(self, items: Sequence[Item]) -> float:
        """Return the gain in dB, 0 at most, that keeps every output from clipping."""
        measured = [replace(item, measured=True) for item in items]
        self._watch.begin("measuring", measured)
        gain = 1.0
        for item, report in self._each(measured):
            if report.status == "failed":
                self.reports[item.place] = report
            elif report.peak_out_dbfs is not None:
                bits = INTEGER_BITS.get(report.subtype or "", 24)
                highest = 1.0 - 2.0 ** (2 - bits)  # a step for rounding, and one for dither
                gain = min(gain, highest / 10.0 ** (report.peak_out_dbfs / 20.0))
        self.stopped = None
        return math.floor(2000.0 * math.log10(gain)) / 100.0 if gain < 1.0 else 0.0

    def render(self, items: Sequence[Item]) -> None:
        """Render what needs it, and note in the manifest what became of it."""
        wanted, recipes = [], {}
        for item in items:
            if item.place in self.reports:  # it could not even be measured
                continue
            recipes[item.place] = _recipe(item)
            decided = _decided(self._request, self._manifest, item, recipes[item.place])
            if isinstance(decided, FileReport):
                self.reports[item.place] = decided
            else:
                wanted.append(decided)
        self._watch.begin("rendering", wanted)
        for item, report in self._each(wanted):
            self.reports[item.place] = report
            self._manifest.note(item.place, recipes[item.place], report.status)

    def _each(self, items: Sequence[Item]) -> Iterator[tuple[Item, FileReport]]:
        """Yield the report of each item, as they come."""
        shared, rest = self._apart(items)
        for item in shared:
            self._watch.started((item,))
            yield from self._heard((item,), self._render_shared(item))
            if self.stopped:
                return
        # no worker should have all the short files while another one has none
        together = min(TOGETHER, -(-len(rest) // self._request.jobs))
        for event, unit, outcome in self._crew.render(units_of(rest, together)):
            if event == "started":
                self._watch.started(unit)
            elif outcome is not None:
                yield from self._heard(unit, outcome)
                if self.stopped:
                    return

    def _heard(self, unit: Unit, outcome: Outcome) -> Iterator[tuple[Item, FileReport]]:
        self._watch.done(unit, outcome.reports)
        by_source = {report.output: report for report in outcome.reports}
        for item in unit:
            if item.output in by_source:
                yield item, by_source[item.output]
        if outcome.full is not None:
            self.stopped = outcome.full
        failed = [report for report in outcome.reports if report.status == "failed"]
        if failed and self._request.fail_fast:
            self.stopped = "stopped at the first file that failed (--fail-fast)"

    def _apart(self, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        """Return the files so big that all workers share one, and the others."""
        if self._pool is None:
            return [], list(items)
        share = sum(item.size for item in items) / (2 * self._pool.jobs)
        big = [item for item in items if item.size > max(share, _SHARED_BYTES)]
        big.sort(key=lambda item: -item.size)
        return big, [item for item in items if item not in big]

    def _render_shared(self, item: Item) -> Outcome:
        return render_unit((item,), self._pool)

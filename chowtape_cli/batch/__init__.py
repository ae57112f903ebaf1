"""A folder of stems: every file that can be rendered is, and a report says which could not."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chowtape_cli.audio_files.formats import INTEGER_BITS
from chowtape_cli.batch.crew import Alone, Workers
from chowtape_cli.batch.manifest import NAME as MANIFEST
from chowtape_cli.batch.manifest import (
    OUTDATED,
    UNKNOWN,
    UP_TO_DATE,
    Manifest,
    Recipe,
)
from chowtape_cli.batch.sources import (
    Found,
    Sources,
    check_apart,
    check_distinct,
    check_report,
    find_sources,
    place_of,
)
from chowtape_cli.batch.units import Item, Outcome, Unit, render_unit, units_of, without
from chowtape_cli.dsp.coding import FLOAT64, Coding
from chowtape_cli.engine import warm
from chowtape_cli.errors import ChowtapeError, ClusterError, DiskFullError, FileError, PlanError
from chowtape_cli.files import (
    exists_already,
    make_folders,
    missing_folders,
    remove_folders,
    remove_part_files,
    shown,
)
from chowtape_cli.notices import tell
from chowtape_cli.render import FileReport, failed_report, plan_file, signal_path

if TYPE_CHECKING:
    from chowtape_cli.batch.crew import Crew
    from chowtape_cli.pool import Pool
    from chowtape_cli.settings import RenderSettings
    from chowtape_cli.settings_file import SettingsPlan

__all__ = ["BatchReport", "BatchRequest", "Found", "Sources", "find_sources", "run_batch"]

TOGETHER = 16  # short files that one worker is given at a time
_FAIL_FAST = "stopped at the first file that failed (--fail-fast)"
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
        report: what is written afterwards, and may be in the way of nothing; None for nothing.
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
    report: Path | None = None


@dataclass
class BatchReport:
    """What became of a batch.

    Attributes:
        files: one report a source, in order of their places.
        left_alone: how many files were no audio, by extension.
        trim_db: the gain that all outputs got; in a dry run, as far as it is known.
        unmeasured: in a dry run, how many files may lower it, for they were not measured yet.
        wall_seconds: how long it took.
        stopped: why it ended before it was through, if it did by itself.
        interrupted: whether the user ended it.
    """

    files: list[FileReport]
    left_alone: dict[str, int] = field(default_factory=dict)
    trim_db: float = 0.0
    unmeasured: int = 0
    wall_seconds: float = 0.0
    stopped: str | None = None
    interrupted: bool = False

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

    def going(self, unit: Unit, done: int, total: int | None, rate: int) -> None:
        """Hear how far a file is: frames done, frames in all (or None) and the sample rate."""

    def done(self, unit: Unit, reports: Sequence[FileReport]) -> None:
        """Hear what became of files."""


def run_batch(request: BatchRequest, watch: Watch | None = None) -> BatchReport:
    """Render everything that needs it.

    Raises:
        PlanError: sources and destination do not go together; nothing was rendered.
        FileError: the destination's manifest can't be read or written.
        BankError: networks can't be read; nothing was rendered.
        MissingPackageError: Dask is not installed.
        ClusterError: it does not answer.
    """
    began = time.perf_counter()
    items = _items(request)
    manifest = Manifest(request.destination)
    if request.dry_run:
        return _dry_run(request, manifest, items)
    run = _Run(request, manifest, watch or Watch())
    interrupted = False
    try:
        run.through(items)
    except KeyboardInterrupt:  # those who render have ended, and their leavings are removed
        interrupted = True
    finally:
        manifest.close()
    files = [run.reports.get(item.place) or run.left(item) for item in items]
    return BatchReport(
        files=_unreadable(request) + files,
        left_alone=request.sources.left_alone,
        trim_db=run.trim_db,
        wall_seconds=time.perf_counter() - began,
        stopped=run.stopped,
        interrupted=interrupted,
    )


def _unreadable(request: BatchRequest) -> list[FileReport]:
    """Return a failure for each folder that could not be searched."""
    return [
        FileReport(
            source=folder,
            output=str(request.destination),
            status="failed",
            error=f"{shown(folder)}: can't be searched ({reason}); check its rights",
        )
        for folder, reason in request.sources.unreadable
    ]


def _items(request: BatchRequest) -> list[Item]:
    """Return what is to be rendered, after everything that can be checked beforehand."""
    found = request.sources.files
    if not found and not request.sources.unreadable:
        given = {"--include": request.sources.include, "--exclude": request.sources.exclude}
        check = " and ".join(
            ["the folder", *(name for name, patterns in given.items() if patterns)]
        )
        raise PlanError(f"there is no audio file among the sources; check {check}")
    if request.destination.exists() and not request.destination.is_dir():
        raise PlanError(
            f"{shown(request.destination)}: is a file, and several sources need a folder; "
            "name another one"
        )
    run = f"{secrets.token_hex(4)}-"
    settings = [request.plan.for_file(*one.paths) for one in found]
    places = [
        place_of(one, own, number, request.name, request.extension)
        for number, (one, own) in enumerate(zip(found, settings, strict=True), 1)
    ]
    check_distinct(list(zip(found, places, strict=True)))
    check_apart(request.sources, request.destination, places)
    if request.report is not None:
        written = [request.destination / place for place in (MANIFEST, *places)]
        check_report(request.report, [*written, *(Path(one.path) for one in found)])
    _check_networks(settings)
    for pattern in request.sources.idle():
        tell(f"warning: --include '{shown(pattern)}' chooses none of these files")
    for pattern in request.plan.idle(one.paths for one in found):
        tell(f'warning: the settings of "{shown(pattern)}" are for none of these files')
    return [
        Item(
            source=one.path,
            output=str(request.destination / place),
            place=place,
            size=one.size,
            settings=own,
            keep_times=request.keep_times,
            run=run,
        )
        for one, own, place in zip(found, settings, places, strict=True)
    ]


def _dry_run(request: BatchRequest, manifest: Manifest, items: Sequence[Item]) -> BatchReport:
    """Return the report of what would be done; a set gets the gain that is known from before."""
    trim_db, unmeasured = 0.0, 0
    if request.headroom:
        known = _known_gains(manifest, {item.place: _recipe(manifest, item) for item in items})
        trim_db, unmeasured = _lowest(known.values()), len(items) - len(known)
        if not unmeasured:
            _check_set(request, manifest, items, trim_db)
    files = [_planned(request, manifest, replace(item, trim_db=trim_db)) for item in items]
    return BatchReport(
        _unreadable(request) + files, request.sources.left_alone, trim_db, unmeasured
    )


def _check_set(
    request: BatchRequest, manifest: Manifest, items: Sequence[Item], trim_db: float
) -> None:
    """Raise FileError where outputs of a set are to stay that have another gain than it has now."""
    if not (request.headroom and request.skip_existing):
        return
    known = (manifest.trim_db(item.place) for item in items)
    others = [gain for gain in known if gain is not None and gain != trim_db]
    if others:
        gains = ", ".join(f"{gain:.2f} dB" for gain in sorted(set(others)))
        raise FileError(
            f"--headroom set: its gain is {trim_db:.2f} dB now, but {len(others)} of the files "
            f"that --skip-existing would leave have {gains}; give --update or --overwrite instead"
        )


def _check_networks(needed: Iterable[RenderSettings]) -> None:
    """Raise BankError for what would be wrong with every file that needs the same networks."""
    names = {settings.weights for settings in needed if settings.mode == "stn"}
    if names:
        from chowtape_cli.neural.catalogue import load_any

        for name in names:
            load_any(name)


def _planned(request: BatchRequest, manifest: Manifest, item: Item) -> FileReport:
    decided = _decided(request, manifest, item, _recipe(manifest, item))
    if isinstance(decided, FileReport):
        return decided
    try:
        plan = plan_file(item.source, item.output, item.settings, overwrite=decided.overwrite)
        return replace(plan, trim_db=item.trim_db)
    except ChowtapeError as error:
        return failed_report(item.source, item.output, error, item.settings)


def _recipe(manifest: Manifest, item: Item) -> Recipe:
    return manifest.recipe(Path(item.source), item.settings, item.trim_db)


def _decided(
    request: BatchRequest, manifest: Manifest, item: Item, wanted: Recipe
) -> Item | FileReport:
    """Return an item that is to be rendered, or the report of one that is not."""
    output = Path(item.output)
    if output.is_dir():
        return failed_report(item.source, item.output, exists_already(output), item.settings)
    if request.overwrite:
        return replace(item, overwrite=True)
    state = manifest.state(item.place, wanted)
    if state == OUTDATED and wanted.made_from is None:  # whoever opens it will say why
        return item
    if state in (UP_TO_DATE, OUTDATED, UNKNOWN) and request.skip_existing:
        return without(item, "skipped", trim_db=manifest.trim_db(item.place))
    if state == UP_TO_DATE:
        return without(item, "up to date", trim_db=item.trim_db)
    if state == OUTDATED and not request.update:
        why = shown(", ".join(manifest.differences(item.place, wanted)))
        what = f"{shown(item.output)}: is outdated ({why}); give --update"
        return without(item, "outdated", what, trim_db=manifest.trim_db(item.place))
    if state == UNKNOWN:
        error = exists_already(output)
        if manifest.changed(item.place):
            what = f"{shown(item.output)}: was changed since it was rendered"
            error = FileError(f"{what}; give --overwrite or another destination")
        return failed_report(item.source, item.output, error, item.settings)
    return replace(item, overwrite=True) if state == OUTDATED else item


class _Run:
    """A batch under way.

    Attributes:
        reports: of what is done, by place.
        trim_db: the gain that all outputs get.
        stopped: why it ended, if it ended before it was through.
    """

    def __init__(self, request: BatchRequest, manifest: Manifest, watch: Watch) -> None:
        self._request = request
        self._manifest = manifest
        self._watch = watch
        self._crew: Crew | None = None
        self._pool: Pool | None = None
        self._settings: dict[RenderSettings, dict[str, object]] = {}
        self.reports: dict[str, FileReport] = {}
        self.trim_db = 0.0
        self.stopped: str | None = None

    def through(self, items: Sequence[Item]) -> None:
        """Do everything."""
        # what is entered last is left first: the workers end before their leavings are removed
        with _Folders(items) as folders, ExitStack() as stack:
            self._stack, self._folders = stack, folders
            try:
                if self._request.headroom:
                    self.trim_db = self._find_headroom(items)
                if self.stopped is None:
                    _check_set(self._request, self._manifest, items, self.trim_db)
                    if self.trim_db:
                        items = [replace(item, trim_db=self.trim_db) for item in items]
                    self._render(items)
            except (DiskFullError, ClusterError) as error:
                if self._crew is None:  # nothing was begun
                    raise
                self.stopped = str(error)

    def left(self, item: Item) -> FileReport:
        """Return the report of a file of which nobody told what became of it."""
        item = replace(item, trim_db=self.trim_db)
        if self._manifest.state(item.place, _recipe(self._manifest, item)) == UP_TO_DATE:
            # a worker had written it, and was interrupted before it could report
            return without(item, "up to date", trim_db=item.trim_db)
        return without(item, "pending")

    def _find_headroom(self, items: Sequence[Item]) -> float:
        """Return the gain in dB, 0 at most, that keeps every output from clipping."""
        recipes = {item.place: _recipe(self._manifest, item) for item in items}
        gains = _known_gains(self._manifest, recipes)
        unknown = [replace(item, measured=True) for item in items if item.place not in gains]
        self._begin("measuring", unknown)
        for item, report in self._each(unknown):
            if report.status == "failed":
                self.reports[item.place] = report
                continue
            gains[item.place] = _gain_of(report)
            self._manifest.note_gain(item.place, recipes[item.place], gains[item.place])
        return _lowest(gains.values())

    def _render(self, items: Sequence[Item]) -> None:
        """Render what needs it, and note in the manifest what became of it."""
        wanted: list[Item] = []
        recipes: dict[str, Recipe] = {}
        for item in items:
            if item.place in self.reports:  # it could not even be measured
                continue
            made = _recipe(self._manifest, item)
            decided = _decided(self._request, self._manifest, item, made)
            if isinstance(decided, FileReport):
                self.reports[item.place] = decided
                if decided.status == "failed" and self._request.fail_fast:
                    self.stopped = _FAIL_FAST
                    return
            else:
                wanted.append(decided)
                recipes[item.place] = made
        self._begin("rendering", wanted)
        for item, report in self._each(wanted, recipes):
            self.reports[item.place] = report
            self._manifest.note(item.place, recipes.pop(item.place), report.status)

    def _begin(self, what: str, items: Sequence[Item]) -> None:
        """Start those who render, if there is something to do and they have not been started."""
        self._watch.begin(what, items)
        if self._crew is not None or not items:
            return
        request = self._request
        if request.dask is not None:
            from chowtape_cli.batch.cluster import Dask

            crew: Crew = Dask(request.dask, request.jobs)
        elif request.jobs > 1 and (len(items) > 1 or items[0].size > _SHARED_BYTES):
            crew = self._workers({item.settings for item in items})
        else:
            crew = Alone()
        self._crew = self._stack.enter_context(crew)
        self._manifest.open()
        self._folders.runs |= self._manifest.interrupted()  # nobody else is at work here

    def _workers(self, settings: Iterable[RenderSettings]) -> Workers:
        from chowtape_cli.pool import Pool

        for one in settings:
            try:  # what is compiled now, workers need not
                warm(signal_path(one), FLOAT64, Coding())
            except ChowtapeError:  # each file says so by itself
                continue
        self._pool = self._stack.enter_context(Pool(self._request.jobs))
        return Workers(self._pool)

    def _each(
        self, items: Sequence[Item], recipes: Mapping[str, Recipe] | None = None
    ) -> Iterator[tuple[Item, FileReport]]:
        """Yield the report of each item, as they come; those with recipes are written."""
        if not items:
            return
        assert self._crew is not None
        shared, rest = self._apart(items)
        # no worker should have all the short files while another one has none
        together = min(TOGETHER, -(-len(rest) // self._request.jobs))
        for item in shared:
            if self.stopped is not None:
                return
            self._started((item,), recipes)
            going = partial(self._watch.going, (item,))
            yield from self._heard((item,), render_unit((item,), self._pool, going))
        units = self._until_stopped(rest, together)
        for event, unit, outcome in self._crew.render(units, self._watch.going):
            if event == "started":
                self._started(unit, recipes)
            elif outcome is not None:
                yield from self._heard(unit, outcome)

    def _until_stopped(self, items: Sequence[Item], together: int) -> Iterator[Unit]:
        """Yield units; what is under way when one fails the batch is still finished."""
        for unit in units_of(items, together):
            if self.stopped is not None:
                return
            yield unit

    def _started(self, unit: Unit, recipes: Mapping[str, Recipe] | None) -> None:
        self._watch.started(unit)
        if recipes is not None:
            for item in unit:
                self._manifest.begin(item.place, recipes[item.place], item.run)
                self._folders.make(item)

    def _heard(self, unit: Unit, outcome: Outcome) -> Iterator[tuple[Item, FileReport]]:
        self._watch.done(unit, outcome.reports)
        by_output = {report.output: report for report in outcome.reports}
        for item in unit:
            if item.output in by_output:
                # thousands of reports would hold as many copies of what is known already
                settings = self._settings.setdefault(item.settings, item.settings.as_dict())
                report = by_output[item.output]
                yield (
                    item,
                    replace(report, source=item.source, output=item.output, settings=settings),
                )
        failed = any(report.status == "failed" for report in outcome.reports)
        if self.stopped is None and failed and self._request.fail_fast:
            self.stopped = _FAIL_FAST
        if outcome.full is not None:
            self.stopped = outcome.full

    def _apart(self, items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
        """Return the files so big that all workers share one, and the others."""
        if self._pool is None:
            return [], list(items)
        share = sum(item.size for item in items) / (2 * self._pool.jobs)
        limit = max(share, _SHARED_BYTES)
        big = sorted((item for item in items if item.size > limit), key=lambda item: -item.size)
        return big, [item for item in items if item.size <= limit]


def _known_gains(manifest: Manifest, recipes: Mapping[str, Recipe]) -> dict[str, float]:
    """Return the gains that outputs bear, by place, where they were measured before."""
    gains = {place: manifest.gain(place, made) for place, made in recipes.items()}
    return {place: gain for place, gain in gains.items() if gain is not None}


def _lowest(gains: Iterable[float]) -> float:
    """Return the lowest of some gains in dB, 0 at most."""
    gain = min(gains, default=1.0)
    return math.floor(2000.0 * math.log10(gain)) / 100.0 if gain < 1.0 else 0.0


def _gain_of(report: FileReport) -> float:
    """Return the gain, 1 at most, with which an output does not clip."""
    if report.peak_out_dbfs is None:
        return 1.0
    bits = INTEGER_BITS.get(report.subtype or "", 24)
    highest = 1.0 - 2.0 ** (2 - bits)  # a step for rounding, and one for dither
    peak: float = 10.0 ** (report.peak_out_dbfs / 20.0)
    return min(1.0, highest / peak)


class _Folders(AbstractContextManager["_Folders"]):
    """The folders that outputs go to: made before workers meet there, and left tidy.

    Attributes:
        runs: whose leavings are to be removed.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self.runs = {item.run for item in items}
        self._made: dict[Path, None] = {}
        self._used: set[Path] = set()

    def make(self, item: Item) -> None:
        """Make the folder of an output."""
        folder = Path(item.output).parent
        if folder in self._used:
            return
        missing = missing_folders(folder)
        try:
            make_folders(folder)
        except DiskFullError:
            raise
        except FileError:  # whoever writes there will say so
            return
        self._used.add(folder)
        self._made.update(dict.fromkeys(reversed(missing)))

    def __exit__(self, *error: object) -> None:
        """Remove what killed workers left, and folders to which nothing came."""
        for folder in self._used:
            for run in self.runs:
                remove_part_files(folder, run)
        remove_folders(list(reversed(self._made)))

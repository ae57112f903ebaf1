"""What a worker is given: a file, or several short ones that share lanes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import Arena, samples_for
from chowtape_cli.dsp.chain import render_beside, survey
from chowtape_cli.dsp.coding import Coded, Stored, extent, stored_as
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import cut, filtered_last, sharing, short
from chowtape_cli.dsp.short import render_short
from chowtape_cli.dsp.tasks import Batch, Job, Task
from chowtape_cli.engine import read_whole, room_for
from chowtape_cli.errors import AudioFileError, ChowtapeError, DiskFullError, SampleError
from chowtape_cli.files import check_not_full, shown
from chowtape_cli.places import into, within
from chowtape_cli.render import FileReport, Preparation, Progress, Tape, failed_report
from chowtape_cli.settings import RenderSettings

if TYPE_CHECKING:
    from chowtape_cli.places import Opens
    from chowtape_cli.pool import Pool

# A file that is no larger may share lanes, its header will say; and so many bytes are a unit.
_SHARING_BYTES, _UNIT_BYTES = 1 << 22, 1 << 25
_PACKED = {".mp3": 8, ".ogg": 8, ".oga": 8, ".opus": 16}  # how many times as many they stand for
_SIDE_BY_SIDE = 5 * LANES  # lanes of files that are cut, at most: their windows take memory


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a batch.

    Attributes:
        source, output: paths.
        place: the output's, from the destination.
        size: of the source, in bytes.
        settings: what to do.
        overwrite: whether an existing output is replaced.
        keep_times: whether the output gets the source's modification time.
        trim_db: gain after everything else.
        measured: whether nothing is written, only measured.
        run: what files in the making are marked with.
    """

    source: str
    output: str
    place: str
    size: int
    settings: RenderSettings
    overwrite: bool = False
    keep_times: bool = False
    trim_db: float = 0.0
    measured: bool = False
    run: str = ""


Unit = tuple[Item, ...]


def units_of(items: Sequence[Item], together: int) -> Iterator[Unit]:
    """Yield items as units, the big ones first; small ones of the same settings share one."""
    gathered: dict[RenderSettings, list[Item]] = {}
    for item in sorted(items, key=lambda item: (-item.size, item.place)):
        if item.size * _PACKED.get(Path(item.source).suffix.lower(), 1) > _SHARING_BYTES:
            yield (item,)
            continue
        group = gathered.setdefault(item.settings, [])
        group.append(item)
        if len(group) == together or sum(one.size for one in group) >= _UNIT_BYTES:
            yield tuple(group)
            group.clear()
    for group in gathered.values():
        if group:
            yield tuple(group)


@dataclass(frozen=True)
class Outcome:
    """What became of a unit.

    Attributes:
        reports: one for each of its items, in their order.
        full: why nothing more can be written, where the disk is full.
    """

    reports: tuple[FileReport, ...]
    full: str | None = None


def render_unit(unit: Unit, pool: Pool | None = None, progress: Progress | None = None) -> Outcome:
    """Render every file of a unit; one that fails leaves the others alone.

    Args:
        unit: what to render.
        pool: worker processes for the segments of each file; None to render here.
        progress: see `render_file`; is called where the unit is one file.
    """
    if len(unit) > 1:
        progress = None
    reports: dict[Item, FileReport] = {}
    try:
        with ExitStack() as stack:
            alike: dict[object, list[tuple[Item, Preparation]]] = {}
            for item in unit:
                ready = _attempted(item, reports, stack)
                if ready is None:
                    continue
                kind = _kind(ready) if len(unit) > 1 else None
                if kind is None:
                    _finish(item, ready, partial(ready.tape, pool), reports, progress)
                else:
                    alike.setdefault(kind, []).append((item, ready))
            for together in alike.values():
                _render_together(together, reports)
    except DiskFullError as error:
        return Outcome(tuple(reports[item] for item in unit if item in reports), str(error))
    return Outcome(tuple(reports[item] for item in unit))


@contextmanager
def _blamed(item: Item, reports: dict[Item, FileReport]) -> Iterator[None]:
    """Report what goes wrong in this context as the failure of one file."""
    try:
        yield
    except DiskFullError:
        raise
    except ChowtapeError as error:
        reports[item] = _failed(item, error)
    except OSError as error:  # the source went away in between, a network drive hangs up
        path = Path(error.filename or item.source)
        check_not_full(path, error)
        reports[item] = _failed(item, AudioFileError(f"{shown(path)}: {error.strerror or error}"))
    except MemoryError:
        reports[item] = _failed(
            item, AudioFileError(f"{shown(item.source)}: memory is not enough; give fewer --jobs")
        )
    except Exception as error:
        if os.environ.get("CHOWTAPE_DEBUG"):
            raise
        what = f"{shown(item.source)}: a bug: {type(error).__name__}: {error}; report it"
        reports[item] = _failed(item, ChowtapeError(what))


def _attempted(item: Item, reports: dict[Item, FileReport], stack: ExitStack) -> Preparation | None:
    """Return a file that is ready to be rendered, or report why it is not."""
    with _blamed(item, reports):
        return stack.enter_context(
            Preparation(
                Path(item.source),
                Path(item.output),
                item.settings,
                overwrite=item.overwrite or item.measured,
                keep_times=item.keep_times,
                trim_db=item.trim_db,
                run=item.run,
                again=True,  # who was killed may have got as far
            )
        )
    return None


def _finish(
    item: Item,
    ready: Preparation,
    tape: Tape,
    reports: dict[Item, FileReport],
    progress: Progress | None = None,
) -> None:
    """Write, or measure, what is rendered."""
    with _blamed(item, reports):
        finish = ready.measure if item.measured else ready.write
        reports[item] = finish(tape, progress)


def _again(rendered: list[Coded], _place: Opens | None) -> Iterator[Coded]:
    """Give what is rendered already."""
    return iter(rendered)


def _failed(item: Item, error: ChowtapeError) -> FileReport:
    return failed_report(item.source, item.output, error, item.settings)


def _kind(ready: Preparation) -> object:
    """Return what files have in common that are rendered side by side; None where one can't be."""
    info, settings = ready.source.info, ready.settings
    if not info.frames or settings.mix == 0.0:
        return None
    if short(info.frames, settings.oversampling):
        return info.rate
    late = filtered_last(settings.dc_block, info.rate, info.channels)
    if late or not sharing(info.frames, info.channels, settings.oversampling):
        return None
    if info.format == "MP3":  # how long one is, is only known when it was read
        return None
    return info.rate, info.channels, ready.source.packing, ready.coding


def _render_together(
    together: list[tuple[Item, Preparation]], reports: dict[Item, FileReport]
) -> None:
    """Render files of a kind."""
    began = time.perf_counter()
    try:
        path = together[0][1].path
    except ChowtapeError as error:
        reports.update({item: _failed(item, error) for item, _ in together})
        return
    frames = together[0][1].source.info.frames or 0
    if short(frames, path.oversampling):
        _render_short(path, together, reports)
    else:
        _render_beside(path, together, reports)
    _share_time(time.perf_counter() - began, [item for item, _ in together], reports)


def _render_short(
    path: SignalPath, together: list[tuple[Item, Preparation]], reports: dict[Item, FileReport]
) -> None:
    """Render files that are not cut."""
    sources, kept = [], []
    infos = [ready.source.info for _, ready in together]
    memory = Arena("short", sum(room_for(info.frames or 0, info.channels) for info in infos))
    for item, ready in together:
        with _blamed(item, reports):
            sources.append(_whole(ready, memory))
            kept.append((item, ready))
    codings = [ready.coding for _, ready in kept]
    rendered = render_short(path, infos[0].rate, sources, codings)
    for (item, ready), done in zip(kept, rendered, strict=True):
        ready.tally.add(done.output.frames, done.source, done.resets)
        _finish(item, ready, partial(_again, [done.output] if done.output.frames else []), reports)


class _Surveyed(NamedTuple):
    """A file whose segments are to be rendered beside those of others."""

    item: Item
    ready: Preparation
    job: Job
    task: Task
    out: Stored
    batch: Batch


def _render_beside(
    path: SignalPath, together: list[tuple[Item, Preparation]], reports: dict[Item, FileReport]
) -> None:
    """Render files that are cut into few segments."""
    left = deque((item, ready, _job(path, ready)) for item, ready in together)
    while left:
        chosen = [left.popleft()]
        lanes = chosen[0][2].lanes
        while left and lanes + left[0][2].lanes <= _SIDE_BY_SIDE:
            chosen.append(left.popleft())
            lanes += chosen[-1][2].lanes
        memory = Arena("beside", sum(_samples(ready, job) for _, ready, job in chosen))
        surveyed: list[_Surveyed] = []
        for item, ready, job in chosen:
            with _blamed(item, reports):
                surveyed.append(_surveyed(item, ready, job, memory))
        if not surveyed:
            continue
        surveyed.sort(key=lambda one: one.batch.cuts.longest)  # alike ones share lanes
        tasks, batches = [one.task for one in surveyed], [one.batch for one in surveyed]
        render_beside(surveyed[0].job, tasks, batches)
        for item, ready, _, task, out, batch in surveyed:
            ready.tally.add(task.frames, batch.source, int(batch.resets.sum()), batch.repairs)
            coded = Coded(out, task.frames, batch.peak, batch.clipped)
            _finish(item, ready, partial(_again, [coded]), reports)


def _job(path: SignalPath, ready: Preparation) -> Job:
    source, info = ready.source, ready.source.info
    layout = cut(info.frames, info.channels, info.rate, path.dc_block)
    return Job(path, info.rate, info.channels, layout, source.packing, ready.coding)


def _samples(ready: Preparation, job: Job) -> int:
    """Return how many samples' memory a source, and a row more, and its output take."""
    frames = ready.source.info.frames or 0
    source, output = (frames + 1) * job.packing.width, frames * job.coding.width
    return samples_for(source * job.channels) + samples_for(output * job.channels)


def _surveyed(item: Item, ready: Preparation, job: Job, memory: Arena) -> _Surveyed:
    """Read a source, and survey it."""
    promised = ready.source.info.frames or 0
    raw = memory.stored((promised + 1, job.channels * job.packing.width), np.uint8)
    frames = ready.source.read_packed(raw)  # asked for a row more, it finds the end
    assert frames <= promised
    out = memory.stored(*stored_as(promised, job.channels, job.coding))
    task = Task(frames, 0, within(raw[:frames], 0), into(out, 0))
    try:
        return _Surveyed(item, ready, job, task, out, survey(job, task))
    except SampleError as error:
        raise ready.source.unusable(error) from error


def _whole(ready: Preparation, memory: Arena) -> NDArray[np.float64]:
    """Return all samples of a short source."""
    source, info = ready.source, ready.source.info
    samples = read_whole(
        source.read_packed, source.packing, info.channels, info.frames or 0, memory
    )
    try:
        extent(samples, 0)
    except SampleError as error:
        raise source.unusable(error) from error
    return samples


def _share_time(wall: float, items: list[Item], reports: dict[Item, FileReport]) -> None:
    """Give each of the files that were rendered side by side its part of the time."""
    done = [item for item in items if reports[item].seconds]
    whole = sum(reports[item].seconds or 0.0 for item in done)
    for item in done:
        share = wall * (reports[item].seconds or 0.0) / whole
        reports[item] = replace(reports[item], wall_seconds=share, realtime=whole / wall)


def without(
    item: Item, status: str, error: str | None = None, *, trim_db: float | None = None
) -> FileReport:
    """Return the report of a file that was not rendered, and of the gain that its output has."""
    report = FileReport(source=item.source, output=item.output, status=status, error=error)
    return replace(report, settings=item.settings.as_dict(), trim_db=trim_db)

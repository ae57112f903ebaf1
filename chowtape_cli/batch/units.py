"""What a worker is given: a file, or several short ones that share lanes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import Arena
from chowtape_cli.dsp.coding import Coded, extent
from chowtape_cli.dsp.segments import SHORT, short
from chowtape_cli.dsp.short import render_short
from chowtape_cli.engine import read_whole, room_for
from chowtape_cli.errors import AudioFileError, ChowtapeError, DiskFullError, SampleError
from chowtape_cli.files import check_not_full, shown
from chowtape_cli.render import FileReport, Preparation, Progress, Tape, failed_report
from chowtape_cli.settings import RenderSettings

if TYPE_CHECKING:
    from chowtape_cli.places import Opens
    from chowtape_cli.pool import Pool

_SHORT_BYTES = 16 * SHORT  # a file that is smaller may be short; its header will say


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
        if item.size > _SHORT_BYTES:
            yield (item,)
            continue
        group = gathered.setdefault(item.settings, [])
        group.append(item)
        if len(group) == together:
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
            alike: dict[int, list[tuple[Item, Preparation]]] = {}
            for item in unit:
                ready = _attempted(item, reports, stack)
                if ready is None:
                    continue
                info = ready.source.info
                is_short = info.frames and short(info.frames, item.settings.oversampling)
                if len(unit) > 1 and is_short and item.settings.mix > 0.0:
                    alike.setdefault(info.rate, []).append((item, ready))
                else:
                    _finish(item, ready, partial(ready.tape, pool), reports, progress)
            for rate, together in alike.items():
                _render_together(together, rate, reports)
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


def _render_together(
    together: list[tuple[Item, Preparation]], rate: int, reports: dict[Item, FileReport]
) -> None:
    began = time.perf_counter()
    sources, kept = [], []
    infos = [ready.source.info for _, ready in together]
    memory = Arena("short", sum(room_for(info.frames or 0, info.channels) for info in infos))
    for item, ready in together:
        with _blamed(item, reports):
            sources.append(_whole(ready, memory))
            kept.append((item, ready))
    if not kept:
        return
    try:
        path = kept[0][1].path
    except ChowtapeError as error:
        reports.update({item: _failed(item, error) for item, _ in kept})
        return
    rendered = render_short(path, rate, sources, [ready.coding for _, ready in kept])
    for (item, ready), done in zip(kept, rendered, strict=True):
        ready.tally.add(done.output.frames, done.source, done.resets)
        _finish(item, ready, partial(_again, [done.output] if done.output.frames else []), reports)
    _share_time(time.perf_counter() - began, [item for item, _ in kept], reports)


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


def without(item: Item, status: str, error: str | None = None) -> FileReport:
    """Return the report of a file that was not rendered."""
    report = FileReport(source=item.source, output=item.output, status=status, error=error)
    return replace(report, settings=item.settings.as_dict(), trim_db=item.trim_db)

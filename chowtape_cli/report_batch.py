"""What the user sees of a batch: progress, a table, JSON, and a CSV file."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from chowtape_cli import __version__
from chowtape_cli.batch import BatchReport, Watch
from chowtape_cli.errors import FileError
from chowtape_cli.files import (
    make_folders,
    make_part_file,
    missing_folders,
    remove_folders,
    shortened,
    shown,
    write_whole,
)
from chowtape_cli.render import FileReport
from chowtape_cli.report import (
    BETWEEN_LOOKS,
    fixed,
    named_settings,
    open_console,
    print_names_whole,
)
from chowtape_cli.settings import RenderSettings

if TYPE_CHECKING:
    from chowtape_cli.batch.units import Item, Unit

_CSV_BEGINS = b"source,output,status,"
_LINES = 50  # of warnings, and of outputs that are outdated
_ROWS = 200  # of the table; more are in --json and --report
# headings of the table: of a dry run, of what was rendered, and what --verbose adds to that
_PLANNED = ("source", "output", "audio", "written as", "settings")
_MADE = ("output", "audio", "time", "x real time", "in", "out", "clips", "repairs")
_COUNTED = ("guard", "resets", "settings")
_TEXTS = ("source", "output", "written as", "settings")
_DONE = ("rendered", "up to date", "skipped")
_THERE = (*_DONE, "planned", "outdated")  # in the end
_NAMES_AT_ONCE = 3
_WIDE = 1000
_WHAT = 9  # characters of "measuring" and "rendering"
_NARROW_BAR, _WIDE_BAR = 10, 30
_WIDE_TERMINAL = 120
_LEAST_NAME = 14


def watching(*, enabled: bool) -> AbstractContextManager[Watch]:
    """Return what shows progress on stderr, if it is a terminal, while its context is open."""
    return _Bar() if enabled and sys.stderr.isatty() else nullcontext(Watch())


class _Bar(Watch, AbstractContextManager["_Bar"]):
    """Files, audio, speed and time left, and what is in the works."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, Task
        from rich.text import Text

        console = Console(stderr=True)
        bar = _NARROW_BAR if console.width < _WIDE_TERMINAL else _WIDE_BAR

        class What(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(task.description.ljust(_WHAT))

        class Rest(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(_fitted(task.fields["text"], console.width - _WHAT - bar - 2))

        self._bar = Progress(
            What(),
            BarColumn(bar),
            Rest(),
            console=console,
            transient=True,
            auto_refresh=False,  # a thread would keep workers from being forked
        )
        self._task = self._bar.add_task("looking", total=None, text="")
        self._works: list[str] = []

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def begin(self, what: str, items: Sequence[Item]) -> None:
        """Start counting."""
        self._files, self._done, self._seconds, self._bytes = len(items), 0, 0.0, 0
        self._under_way: dict[Unit, tuple[float, float]] = {}  # seconds and bytes that are done
        self._began = time.perf_counter()
        size = sum(item.size for item in items)
        self._bar.reset(self._task, total=size or None, description=what)
        self._show()

    def started(self, unit: Unit) -> None:
        """Name what is in the works."""
        self._works += [Path(item.source).name for item in unit]
        self._show()

    def going(self, unit: Unit, done: int, total: int | None, rate: int) -> None:
        """Count the part of a file that is done."""
        share = done / total if total else 0.0
        self._under_way[unit] = (done / rate, share * unit[0].size)
        if time.perf_counter() - self._shown > BETWEEN_LOOKS:
            self._show()

    def done(self, unit: Unit, reports: Sequence[FileReport]) -> None:
        """Count what is done."""
        for item in unit:
            if Path(item.source).name in self._works:
                self._works.remove(Path(item.source).name)
        self._done += len(reports)
        self._seconds += sum(report.seconds or 0.0 for report in reports)
        self._bytes += sum(item.size for item in unit)
        self._under_way.pop(unit, None)
        self._show()

    def _show(self) -> None:
        self._shown = time.perf_counter()
        elapsed = self._shown - self._began
        total = self._bar.tasks[0].total
        seconds = self._seconds + sum(part[0] for part in self._under_way.values())
        completed = self._bytes + sum(part[1] for part in self._under_way.values())
        text = f"{self._done}/{self._files} files, {_duration(seconds)} of audio"
        if elapsed > 0.5 and seconds:
            text += f", {seconds / elapsed:.0f}x real time"
        if elapsed > 0.5 and total and completed:
            left = elapsed * (total - completed) / completed
            text += f", {_duration(left)} left"
        names = ", ".join(map(shown, self._works[:_NAMES_AT_ONCE]))
        more = "…" if len(self._works) > _NAMES_AT_ONCE else ""
        self._bar.update(self._task, completed=completed, text=f"{text}  {names}{more}")
        self._bar.refresh()


def _fitted(text: str, room: int) -> str:
    """Return figures and, after two spaces, names of files, cut so that they take just the room."""
    figures, _, names = text.partition("  ")
    for word in (" of audio", " real time", " files"):
        if len(figures) + _LEAST_NAME > room:
            figures = figures.replace(word, "")
    left = max(room - len(figures) - 2, 0)
    if len(names) > left:
        names = f"{shortened(names.split(', ')[0].rstrip('…'), left - 3)}, …" if left > 3 else ""
    return f"{figures}  {names}"[:room].ljust(room)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_batch(report: BatchReport, *, verbose: bool = False) -> None:
    """Print a table of the files and their sum on stdout."""
    from rich.table import Table

    console = open_console(highlight=False)
    if not console.is_terminal:  # a file has no edge that names would have to be cut at
        console.width = _WIDE
    made = [file for file in report.files if file.status in ("rendered", "planned")]
    table = Table(box=None, padding=(0, 2, 0, 0))
    planned = any(file.status == "planned" for file in made)
    for heading in _PLANNED if planned else (*_MADE, *(_COUNTED if verbose else ())):
        justify: Literal["left", "right"] = "left" if heading in _TEXTS else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for file in made if verbose else made[:_ROWS]:
        table.add_row(*_row(file, verbose=verbose))
    if made:
        print_names_whole(console, table)
    if len(made) > _ROWS and not verbose:
        console.print(f"and {len(made) - _ROWS} more (--verbose shows all)")
    console.print(_sum(report), soft_wrap=True)


def _row(file: FileReport, *, verbose: bool) -> tuple[Any, ...]:
    from rich.text import Text

    length = "?" if file.seconds is None else _duration(file.seconds)
    output, settings = Text(shown(file.output)), Text(named_settings(file.settings or {}))
    if file.status == "planned":
        sound = f"{file.rate} Hz, {file.channels} ch, {file.format} {file.subtype}"
        return Text(shown(file.source)), output, length, sound, settings
    counted = (str(file.guard_clips), str(file.resets), settings)
    return (
        output,
        length,
        f"{file.wall_seconds:.2f} s",
        f"{file.realtime:.0f}",
        _level(file.peak_in_dbfs),
        _level(file.peak_out_dbfs),
        str(file.clipped_samples),
        str(file.seam_repairs),
        *(counted if verbose else ()),
    )


def _level(dbfs: float | None) -> str:
    return "silence" if dbfs is None else f"{fixed(dbfs, 1, signed=True)} dBFS"


def _sum(report: BatchReport) -> str:
    counts: dict[str, int] = {}
    for file in report.files:
        counts[file.status] = counts.get(file.status, 0) + 1
    parts = [f"{count} {status}" for status, count in counts.items()]
    left_alone = sum(report.left_alone.values())
    if left_alone:
        kinds = ", ".join(sorted(map(shown, report.left_alone))[:5])
        parts.append(f"{left_alone} left alone, being no audio ({kinds})")
    line = "; ".join(parts)
    seconds = _rendered_seconds(report)
    if seconds and report.wall_seconds:
        speed = seconds / report.wall_seconds
        line += f"; {_duration(seconds)} of audio in {report.wall_seconds:.1f} s, "
        line += f"{speed:.0f} times real time"
    if report.trim_db:
        line += _turned_down(report)
    if report.unmeasured:
        line += f"; {report.unmeasured} not measured yet, which may lower the gain of the set"
    return line


def _turned_down(report: BatchReport) -> str:
    gains = [file.trim_db for file in report.files if file.status in _THERE]
    others = sum(gain != report.trim_db for gain in gains)
    what = f"turned down by {-report.trim_db:.2f} dB, so that none clips"
    return f"; {what}, but for {others} made before" if others else f"; all {what}"


def _rendered_seconds(report: BatchReport) -> float:
    return sum(file.seconds or 0.0 for file in report.files if file.status == "rendered")


def print_batch_json(report: BatchReport, settings: RenderSettings) -> None:
    """Print the whole report as one JSON object on stdout."""
    wall = report.wall_seconds
    first: dict[str, object] = {"version": __version__, "settings": settings.as_dict()}
    last: dict[str, object] = {
        "left_alone": report.left_alone,
        "trim_db": report.trim_db,
        "unmeasured": report.unmeasured,
        "stopped": report.stopped,
        "wall_seconds": wall,
        "realtime": _rendered_seconds(report) / wall if wall > 0 else None,
    }
    # piece by piece: all of it at once would be a text of many megabytes
    print(_indented(first).removesuffix("\n}") + ',\n  "files": [', end="")
    for number, file in enumerate(report.files):
        text = _indented(file.as_dict()).replace("\n", "\n    ")
        print(",\n    " if number else "\n    ", text, sep="", end="")
    print("\n  ],", _indented(last).removeprefix("{"), sep="")


def _indented(value: dict[str, object]) -> str:
    return json.dumps(value, indent=2, allow_nan=False)


def check_csv(path: Path) -> None:
    """Raise FileError where a report can't be written, or would replace something else."""
    if path.is_dir():
        raise FileError(f"{shown(path)}: is a folder; name a file such as report.csv")
    if path.exists() and not path.is_file():
        raise FileError(f"{shown(path)}: is a pipe or device; name a file such as report.csv")
    try:
        with path.open("rb") as file:
            begins = file.read(len(_CSV_BEGINS))
    except FileNotFoundError:
        _check_room(path)
        return
    except OSError as error:
        message = f"{shown(path)}: can't be read ({error.strerror}); name another file"
        raise FileError(message) from error
    if begins not in (b"", _CSV_BEGINS):
        raise FileError(f"{shown(path)}: exists already and is no report; name another file")
    _check_room(path)


def _check_room(path: Path) -> None:
    """Raise FileError where no file can be made, before hours are spent on what it would say."""
    place = Path(os.path.realpath(path))
    missing = missing_folders(place.parent)
    try:
        make_folders(place.parent)
        make_part_file(place).unlink()
    finally:
        remove_folders(missing)


def write_csv(path: Path, files: Sequence[FileReport]) -> None:
    """Write a line about each file.

    Raises:
        FileError: the file can't be written.
    """
    names = [field.name for field in fields(FileReport)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for file in files:
        known = file.as_dict()
        known["settings"] = json.dumps(known["settings"]) if known["settings"] else ""
        known["warnings"] = " | ".join(file.warnings)
        writer.writerow([known[name] for name in names])
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))


def print_batch_messages(
    report: BatchReport, *, quiet: bool = False, verbose: bool = False
) -> None:
    """Print on stderr, a line each: warnings, unless quiet, what is outdated, and failures last."""
    warnings = [f"warning: {text}" for file in report.files for text in file.warnings]
    outdated = [file.error for file in report.files if file.status == "outdated" and file.error]
    for lines in ([] if quiet else warnings, outdated):
        _complain(lines if verbose else lines[:_LINES])
        if len(lines) > _LINES and not verbose:
            _complain([f"and {len(lines) - _LINES} more like this (--verbose shows all)"])
    _complain([file.error for file in report.files if file.status == "failed" and file.error])
    if report.stopped is not None:
        left = sum(file.status == "pending" for file in report.files)
        print(f"chowtape: {shown(report.stopped)}; {left} files were not begun", file=sys.stderr)


def interruption(report: BatchReport, *, overwrite: bool) -> str:
    """Say how far a batch came that was interrupted, and how it goes on."""
    done = sum(file.status in _DONE for file in report.files)
    again = "--update instead of --overwrite goes" if overwrite else "the same command again goes"
    return (
        f"interrupted, {done} of {len(report.files)} files done; nothing half-written was left "
        f"behind, and {again} on from here"
    )


def _complain(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"chowtape: {shown(line)}", file=sys.stderr)

"""What the user sees: progress while it runs, a report or JSON when it is done."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chowtape_cli import __version__
from chowtape_cli.files import shortened, shown
from chowtape_cli.notices import ignore
from chowtape_cli.settings import RenderSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from rich.table import Table

    from chowtape_cli.neural.bank import Bank
    from chowtape_cli.render import FileReport

_NAME_WIDTH = 60
_LEAST_NAME = 17  # characters; leaves room for the other columns of a batch in 80
_WIDE_TERMINAL = 100
_FIGURES = 34  # characters of a bar's percentage, speed and time left
_BOUNDLESS = 10_000
ProgressCall = Callable[[int, "int | None", int], None]
BETWEEN_LOOKS = 0.1  # seconds: to draw a bar more often would take longer than some work


def open_console(**options: bool) -> Console:
    """Return a console that lets the caller know when its reader has gone.

    rich is imported where something is shown: a quiet run does without.
    """
    from rich.console import Console

    class RaisingConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # where rich would end the process

    return RaisingConsole(**options)  # type: ignore[arg-type]


@contextlib.contextmanager
def to_whoever_listens() -> Iterator[None]:
    """Print in this context; a reader that has gone, as `head` does, is no failure."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def progress(
    name: str, *, first: str | None = None, enabled: bool = True
) -> Iterator[ProgressCall | None]:
    """Show a bar on stderr while the context is open, if stderr is a terminal.

    Args:
        name: of what is done.
        first: of what is done before that.
        enabled: where it is not, nor is any notice shown from here on.

    Yields:
        What to call with frames done, frames in all (or None) and the sample rate; None where
        nothing is to be shown.
    """
    if not enabled:
        ignore()
    if not (enabled and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    console = Console(stderr=True)
    bar_width = 40 if console.width >= _WIDE_TERMINAL else 20
    name_width = max(console.width - bar_width - _FIGURES, _LEAST_NAME)

    class Name(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(shortened(task.description, name_width))

    bar = Progress(
        Name(),
        BarColumn(bar_width),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        auto_refresh=False,  # it takes a thread, and a process that has more than one is not forked
    )
    with bar:
        task = bar.add_task(shown(first or name), total=None, speed="")
        looked = 0.0

        def update(done: int, total: int | None, rate: int) -> None:
            nonlocal looked
            if time.perf_counter() - looked < BETWEEN_LOOKS:
                return
            looked = time.perf_counter()
            elapsed = bar.tasks[0].elapsed or 0.0
            speed = f"{done / rate / elapsed:.0f}x real time" if elapsed > 0 else ""
            bar.update(task, description=shown(name), completed=done, total=total, speed=speed)
            bar.refresh()

        yield update


def print_report(files: Sequence[FileReport], *, verbose: bool = False) -> None:
    """Print a short table about each file on stdout."""
    from rich.table import Table
    from rich.text import Text

    console = open_console(highlight=False, soft_wrap=True)
    for file in files:
        if file.status in ("failed", "skipped"):
            continue
        console.print(Text(f"{shown(file.source)} -> {shown(file.output)}", style="bold"))
        table = Table.grid(padding=(0, 2))
        for label, text in _lines(file, verbose=verbose):
            table.add_row(f"  {label}", text)
        console.print(table)


def _lines(file: FileReport, *, verbose: bool) -> Iterator[tuple[str, str]]:
    length = f"{file.seconds:.2f} s" if file.seconds is not None else "length unknown"
    plural = "s" if file.channels != 1 else ""
    what = f"{file.rate} Hz, {file.channels} channel{plural}, {file.format} {file.subtype}"
    if file.status == "planned":
        yield "would write", f"{length}, {what}"
        if file.settings is not None:
            yield "settings", named_settings(file.settings, every=verbose)
        return
    yield "audio", f"{length}, {what}"
    if file.settings is not None:
        yield "settings", named_settings(file.settings, every=verbose)
    yield "time", f"{file.wall_seconds:.2f} s, {file.realtime:.1f} times real time"
    yield "peak", f"in {_level(file.peak_in_dbfs)}, out {_level(file.peak_out_dbfs)}"
    yield "clipped", f"{file.clipped_samples} samples"
    yield "resets", str(file.resets)
    if verbose:
        yield "guard", f"{file.guard_clips} input samples clipped before the tape"
        yield "seams", f"{file.seam_repairs} repaired"
        yield "frames", str(file.frames)


def named_settings(settings: Mapping[str, object], *, every: bool = False) -> str:
    """Name the settings that made a file: every one, or those that are not the defaults."""
    usual = RenderSettings().as_dict()
    named = [
        f"{name} {shown(str(value))}"
        for name, value in settings.items()
        if every or value != usual[name] or name == "mode"
    ]
    return ", ".join(named)


def _level(dbfs: float | None) -> str:
    return "silence" if dbfs is None else f"{fixed(dbfs, 2, signed=True)} dBFS"


def fixed(value: float, digits: int, *, signed: bool = False) -> str:
    """Return a number with so many digits behind the point; nothing is a negative zero."""
    rounded = round(value, digits) or 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}"


def print_names_whole(console: Console, table: Table) -> None:
    """Print a table whose columns "source" and "output" hold names of files, some of them long.

    A terminal gets long ones cut in the middle, as far as its width demands. Elsewhere they are
    whole, and widen no line but their own.
    """
    from rich.text import Text

    columns = [column for column in table.columns if column.header in ("source", "output")]
    rows = zip(*(column.cells for column in columns), strict=True)
    names = [name for row in rows for name in row if isinstance(name, Text)]
    most = _NAME_WIDTH
    if console.is_terminal:
        wide = console.options.update(width=_BOUNDLESS)
        excess = table.__rich_measure__(console, wide).maximum - console.width
        longest = max((len(name.plain) for name in names), default=0)
        most = max(longest - max(0, -(-excess // len(columns))), _LEAST_NAME)
    cut: list[tuple[str, str]] = []
    for name in names:
        if len(name.plain) > most:
            whole, name.plain = name.plain, shortened(name.plain, most)
            cut.append((name.plain, whole))
    if console.is_terminal:
        for column in table.columns:  # a heading of several words gives way before a figure
            figure = column.justify == "right" and " " not in str(column.header)
            column.no_wrap = column in columns or figure
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    before, text = "", captured.get()
    for short, whole in cut:
        passed, text = text.split(short, 1)
        before += passed + whole
    console.file.write(before + text)


def print_json(files: Sequence[FileReport], settings: RenderSettings) -> None:
    """Print the whole report as one JSON object on stdout."""
    wall = sum(file.wall_seconds or 0.0 for file in files)
    seconds = sum(file.seconds or 0.0 for file in files)
    whole = {
        "version": __version__,
        "settings": settings.as_dict(),
        "files": [file.as_dict() for file in files],
        "wall_seconds": wall,
        "realtime": seconds / wall if wall > 0 else None,
    }
    print(json.dumps(whole, indent=2, allow_nan=False))


def print_messages(files: Sequence[FileReport], *, quiet: bool = False) -> None:
    """Print errors, and unless quiet warnings, on stderr: a line each."""
    for file in files:
        if file.error is not None:
            print(f"chowtape: {shown(file.error)}", file=sys.stderr)
        for warning in () if quiet else file.warnings:
            print(f"chowtape: warning: {shown(warning)}", file=sys.stderr)


@contextlib.contextmanager
def status(text: str, *, enabled: bool = True) -> Iterator[Callable[[str], None]]:
    """Show what is being done on stderr, if it is a terminal; yields what changes the text."""
    if not (enabled and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner

    spinner = Spinner("dots", text=text, style="status.spinner")
    console = Console(stderr=True)
    with Live(spinner, console=console, transient=True, refresh_per_second=12.5) as live:

        def say(text: str) -> None:
            spinner.update(text=text)
            live.refresh()  # at once: what takes less than a turn of the spinner is seen too

        yield say


# error in dB, and the colour that it and everything above is shown in
_SHADES = ((-30.0, "bold red"), (-45.0, "yellow"), (-60.0, "green"), (-1000.0, "cyan"))


def print_bank(path: Path, bank: Bank, level: float) -> None:
    """Print what a bank holds, and its accuracy map at one level as a coloured table."""
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    console = open_console(highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("bank", Text(shown(path)), style="bold")
    form = "chowtape's own form" if bank.form == "tape" else "ChowTape's networks, as in the plugin"
    table.add_row("networks", f"{bank.weights[..., 0].size} of {bank.architecture}, {form}")
    grid = f"{len(bank.saturations)} saturations x {len(bank.biases)} biases"
    table.add_row("grid", f"{grid}, {bank.weights.shape[-1]} weights each")
    for name, value in bank.training.items():
        table.add_row(name, str(value))
    for i, measured in enumerate(bank.accuracy_levels):
        errors = bank.accuracy_db[..., i]
        summary = f"median {np.median(errors):.1f} dB, worst {errors.max():.1f} dB"
        table.add_row(f"at {measured:+g} dBFS", summary)
    console.print(table)
    if level in bank.accuracy_levels:
        _print_map(console, bank, level)


def _print_map(console: Console, bank: Bank, level: float) -> None:
    worst = bank.accuracy_db[..., bank.accuracy_levels.index(level)].max(axis=-1)
    console.print(_map(bank, worst, f"worst over drive, music at {level:+g} dBFS peak"))


def bank_maps(bank: Bank, level: float) -> str:
    """Return a bank's accuracy maps at one level as text, one for each drive."""
    errors = bank.accuracy_db[..., bank.accuracy_levels.index(level)]
    console = open_console(highlight=False)
    with console.capture() as text:
        for place, drive in enumerate(bank.accuracy_drives):
            what = f"drive {drive:g}, music at {level:+g} dBFS peak"
            console.print(_map(bank, errors[:, :, place], what))
    return text.get()


def _map(bank: Bank, errors: NDArray[np.float32], what: str) -> Table:
    from rich.table import Table

    table = Table(
        title=f"error against nr8 in dB, {what}",
        caption="rows: saturation; columns: bias",
        padding=(0, 1, 0, 0),
    )
    table.add_column("", justify="right")
    for bias in bank.biases:
        table.add_column(f"{bias:.2f}", justify="right")
    for saturation, row in zip(bank.saturations, errors, strict=True):
        cells = [f"[{_shade(error)}]{error:.0f}[/]" for error in row]
        table.add_row(f"{saturation:.2f}", *cells)
    return table


def _shade(error: float) -> str:
    return next(colour for least, colour in _SHADES if error >= least)


def print_bank_json(bank: Bank) -> None:
    """Print what a bank holds, but for the weights, as JSON on stdout."""
    held = {
        "version": __version__,
        "form": bank.form,
        "architecture": bank.architecture,
        "saturations": bank.saturations,
        "biases": bank.biases,
        "weights_each": bank.weights.shape[-1],
        "training": bank.training,
        "accuracy_drives": bank.accuracy_drives,
        "accuracy_levels": bank.accuracy_levels,
        "accuracy_db": bank.accuracy_db.tolist(),
    }
    print(json.dumps(held, indent=2, allow_nan=False))


def print_plot_json(name: str, figures: Sequence[Any]) -> None:
    """Print the numbers behind a plot, data classes with arrays in them, as JSON on stdout."""
    import numpy as np

    whole = {"version": __version__, name: [asdict(figure) for figure in figures]}
    print(json.dumps(whole, default=np.ndarray.tolist, allow_nan=False))

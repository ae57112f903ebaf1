"""What the user sees of comparisons: tables, warnings, JSON."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chowtape_cli import __version__
from chowtape_cli.errors import ChowtapeError
from chowtape_cli.files import shown
from chowtape_cli.names import short_names
from chowtape_cli.report import fixed, open_console, to_whoever_listens

if TYPE_CHECKING:
    from chowtape_cli.comparison import Comparison
    from chowtape_cli.measure import Nulled
    from chowtape_cli.settings import RenderSettings

_HARMONICS = range(2, 11)
_COLUMNS = 6  # of a matrix, side by side in 80 characters
_NAME_WIDTH = 16  # in 80 characters; wider screens show more of a name
_BESIDE_NAMES = 64
_DONE = {"status": "done", "error": None}
MANY = 20  # variants, from which on it should be said beforehand what they take
_SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "DOUBLE": 8}
_PAGE_BYTES = 3  # of a sample on the page: FLAC of 24 bit in base64


def print_comparison(folder: Path, comparison: Comparison) -> None:
    """Print the figures of every variant and the matrix of residuals on stdout."""
    console = open_console()
    _print_levels(console, comparison)
    _print_harmonics(console, comparison)
    if len(comparison.variants) - 1 <= MANY:
        _print_nulls(console, comparison)
    else:
        console.print(Text("Null test: too many to print; the page shows it, and --json has it"))
    target = comparison.target_lufs
    how = _matched_by(comparison) if target is None else f"all at {fixed(target, 2)} LUFS"
    if comparison.lowered_db:
        how += f", {comparison.lowered_db:.2f} dB below the quietest so that none clips"
    count = len(comparison.variants)
    console.print(Text(f"{count} files in {shown(folder)}, {comparison.seconds:.2f} s, {how}"))


def _matched_by(comparison: Comparison) -> str:
    turned = any(variant.gain_db for variant in comparison.variants)
    return "matched in RMS" if turned else "not matched in loudness"


def _print_levels(console: Console, comparison: Comparison) -> None:
    table = Table(title="Levels")
    names = _add_names(console, table, comparison)
    for heading in ("gain (dB)", "LUFS", "true peak (dBTP)", "crest (dB)", "time (s)"):
        table.add_column(heading, justify="right")
    for number, row in enumerate(comparison.variants):
        figures = (row.gain_db, row.lufs, row.true_peak_dbtp, row.crest_db, row.wall_seconds)
        cells = (_figure(value, 2) for value in figures)
        table.add_row(*names[number], *cells)
    console.print(table)


def _print_harmonics(console: Console, comparison: Comparison) -> None:
    rows = [row for row in comparison.variants if row.settings is not None]
    # the model is odd: a column for each even harmonic would be empty
    heard = [place for place in range(len(_HARMONICS)) if any(r.harmonics_db[place] for r in rows)]
    table = Table(title="Harmonics of a sine at -6 dBFS, in dB relative to it")
    names = _add_names(console, table, comparison)
    for heading in ("THD", *(f"H{_HARMONICS[place]}" for place in heard)):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, row in enumerate(comparison.variants):
        if row.settings is not None:
            figures = (row.thd_db, *(row.harmonics_db[place] for place in heard))
            table.add_row(*names[number], *(_figure(value, 1) for value in figures))
    console.print(table)


def _print_nulls(console: Console, comparison: Comparison) -> None:
    residuals = {(null.a, null.b): null.residual_db for null in comparison.nulls}
    names = [row.name for row in comparison.variants]
    for first in range(0, len(names) - 1, _COLUMNS):
        columns = range(first, min(first + _COLUMNS, len(names) - 1))
        table = Table(title="Null test, after matching: residual in dB, relative to the louder")
        labels = _add_names(console, table, comparison)
        for column in columns:
            table.add_column(str(column + 1), justify="right", no_wrap=True)
        for row in range(first + 1, len(names)):
            cells = [_residual(residuals[names[c], names[row]]) for c in columns if c < row]
            table.add_row(*labels[row], *cells)
        console.print(table)


def _add_names(console: Console, table: Table, comparison: Comparison) -> list[tuple[str, Text]]:
    """Add the columns of a variant's number, which is its key on the page, and of its name.

    Returns:
        What goes into them, for each variant.
    """
    most = max(_NAME_WIDTH, console.width - _BESIDE_NAMES)
    names = short_names([shown(row.name) for row in comparison.variants], most)
    widest = max(map(len, names))
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("variant", no_wrap=True, min_width=widest, max_width=most)
    return [(str(number), Text(name)) for number, name in enumerate(names, 1)]


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else fixed(value, digits)


def _residual(level: float | None) -> str:
    return "silence" if level is None else fixed(level, 1)


def warn_of_size(source: Path, settings: Mapping[str, RenderSettings], copies: int) -> None:
    """Print on stderr how many files many variants make, and about how large they will be.

    Args:
        source: what they are made of.
        settings: of each variant.
        copies: files of each: 2 where the unmatched ones are kept.

    Raises:
        FileError: the source can't be read.
    """
    from chowtape_cli.audio_files import Source

    with Source(source) as opened:
        info = opened.info
    files = copies * (len(settings) + 1)
    size = ""
    if info.frames is not None:
        one = next(iter(settings.values()))
        samples = info.frames * (one.rate or info.rate) / info.rate * info.channels
        heard = samples * min(info.channels, 2) / info.channels
        total = files * samples * _SAMPLE_BYTES.get(one.subtype or "FLOAT", 4)
        total += (len(settings) + 1) * heard * _PAGE_BYTES
        size = f", about {total / 1e6:.0f} MB with the page" if total >= 1e6 else ""
    print(f"chowtape: warning: {len(settings)} variants: {files} files{size}", file=sys.stderr)


def print_warnings(comparison: Comparison) -> None:
    """Print on stderr what the user should know: a line each, with those it is about."""
    about: dict[str, list[str]] = {}
    for variant in comparison.variants:
        for warning in variant.warnings:
            about.setdefault(warning, []).append(variant.name)
    for warning, names in about.items():
        print(f"chowtape: warning: {shown(', '.join(names))}: {shown(warning)}", file=sys.stderr)


def print_json(comparison: Comparison) -> None:
    """Print the comparison as one JSON object on stdout."""
    _print_json(**_DONE, **comparison.as_dict())


def print_null(nulled: Nulled, tolerance: float | None, *, passed: bool) -> None:
    """Print what is left between two files on stdout."""
    left = nulled.residual
    if left.residual_db is None:
        line = "silence: the samples are the same"
    else:
        line = (
            f"{_figure(left.residual_db, 2)} dB relative to the louder, "
            f"{_figure(left.residual_dbfs, 2)} dBFS RMS"
        )
    table = Table.grid(padding=(0, 2))
    table.add_row("residual", line)
    if left.peak_frame is not None:
        where = f"at {left.peak_frame / nulled.rate:.6f} s (frame {left.peak_frame})"
        level = _figure(left.peak_dbfs, 2)
        table.add_row("peak", f"{level} dBFS {where}, channel {left.peak_channel}")
    if tolerance is not None:
        table.add_row("tolerance", f"{tolerance:g} dB: {'passed' if passed else 'failed'}")
    open_console().print(table)


def print_null_json(nulled: Nulled, tolerance: float | None, *, passed: bool) -> None:
    """Print what is left between two files as JSON on stdout; a tolerance of -inf as a string."""
    finite = tolerance is None or math.isfinite(tolerance)
    _print_json(
        version=__version__,
        **_DONE,
        **nulled.as_dict(),
        tolerance_db=tolerance if finite else str(tolerance),
        passed=passed,
    )


@contextlib.contextmanager
def failure_as_json(enabled: bool, **about: str) -> Iterator[None]:
    """Print what fails in this context as JSON on stdout too, if that is wanted.

    Args:
        enabled: whether it is.
        about: what else the JSON says.
    """
    try:
        yield
    except ChowtapeError as error:
        if enabled:
            with to_whoever_listens():
                _print_json(version=__version__, status="failed", error=str(error), **about)
        raise


def _print_json(**whole: object) -> None:
    print(json.dumps(whole, indent=2, allow_nan=False))

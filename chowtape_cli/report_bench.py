"""What the user sees of benchmarks: tables, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from chowtape_cli import __version__
from chowtape_cli.report import open_console

if TYPE_CHECKING:
    from chowtape_cli.bench.machine import Machine
    from chowtape_cli.bench.paths import PathFigure
    from chowtape_cli.bench.solvers import Figure
    from chowtape_cli.bench.stages import StageFigure
    from chowtape_cli.bench.whole import Benchmark


class _Table(NamedTuple):
    """A title, headings and rows; the first column is of words, the others are of figures."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def _tables(benchmark: Benchmark) -> list[_Table]:
    return [
        _solvers(benchmark.solvers),
        _paths(benchmark.paths, benchmark.seconds),
        _stages(benchmark.stages),
        _arithmetic(benchmark.stages),
    ]


def _solvers(figures: Sequence[Figure]) -> _Table:
    headings = (
        "solver", "seconds", "x real time", "Msamples/s", "x nr8", "x textbook", "error (dB)"
    )  # fmt: skip
    rows = [
        (
            row.name,
            f"{row.wall_seconds:.3f}",
            f"{row.realtime:.1f}",
            f"{row.megasamples:.2f}",
            f"{row.ratio_to_nr8:.2f}",
            f"{row.ratio_to_textbook:.2f}",
            "-" if row.error_db is None else f"{row.error_db:.0f}",
        )
        for row in figures
    ]
    return _Table("Bare hysteresis, one core; error against nr8", headings, rows)


def _paths(figures: Sequence[PathFigure], seconds: float) -> _Table:
    headings = (
        "render", "jobs", "seconds", "x real time", "Msamples/s", "x textbook", "x one job",
        "MiB",
    )  # fmt: skip
    rows = [
        (
            f"{row.mode}, {row.oversampling}x",
            str(row.jobs),
            f"{row.wall_seconds:.2f}",
            f"{row.realtime:.0f}",
            f"{row.megasamples:.1f}",
            f"{row.ratio_to_textbook:.1f}",
            f"{row.ratio_to_one_job:.2f}",
            "-" if row.memory_mib is None else f"{row.memory_mib:.0f}",
        )
        for row in figures
    ]
    title = f"Whole renders of {seconds:.0f} s, from the start of the command to its end"
    return _Table(title, headings, rows)


def _stages(figures: Sequence[StageFigure]) -> _Table:
    rows = [
        (stage, *(f"{100.0 * row.share:.1f}" for row in of_stage))
        for stage, of_stage in _by_stage(figures).items()
    ]
    title = "Share of each stage of a render by one process, in percent"
    return _Table(title, ("stage", *_renders(figures)), rows)


def _arithmetic(figures: Sequence[StageFigure]) -> _Table:
    rows = [
        (
            stage,
            *(f"{row.operations:.0f}, {100.0 * (row.of_peak or 0.0):.0f} %" for row in of_stage),
        )
        for stage, of_stage in _by_stage(figures).items()
        if of_stage[0].operations is not None
    ]
    title = "Operations for a sample of the source, and their speed relative to the core's peak"
    return _Table(title, ("stage", *_renders(figures)), rows)


def _by_stage(figures: Sequence[StageFigure]) -> dict[str, list[StageFigure]]:
    stages: dict[str, list[StageFigure]] = {}
    for row in figures:
        stages.setdefault(row.stage, []).append(row)
    return stages


def _renders(figures: Sequence[StageFigure]) -> list[str]:
    return list(dict.fromkeys(f"{row.mode}, {row.oversampling}x" for row in figures))


def _described(machine: Machine) -> str:
    cores = f"{machine.cores} core{'s' if machine.cores > 1 else ''}"
    peak = f"{machine.peak_gflops:.1f} GFLOPS a core, {machine.peak_gflops_single:.1f} single"
    return f"{machine.processor or 'unknown processor'}, {cores}, at most {peak}"


def print_bench(benchmark: Benchmark) -> None:
    """Print the benchmark as tables on stdout."""
    from rich.table import Table
    from rich.text import Text

    console = open_console(highlight=False)
    console.print(Text(_described(benchmark.machine)))
    for table in _tables(benchmark):
        shown = Table(title=table.title)
        for place, heading in enumerate(table.headings):
            # where there is no room for all, headings of several words wrap, and none is cut
            justify: Literal["left", "right"] = "right" if place else "left"
            shown.add_column(heading, justify=justify, no_wrap=" " not in heading)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def print_bench_markdown(benchmark: Benchmark) -> None:
    """Print the benchmark as tables in Markdown on stdout."""
    print(f"{_described(benchmark.machine)}; chowtape {__version__}.")
    for table in _tables(benchmark):
        ruler = ["---", *("---:" for _ in table.headings[1:])]
        print(f"\n{table.title}:\n")
        for row in (table.headings, ruler, *table.rows):
            print(f"| {' | '.join(row)} |")


def print_bench_json(benchmark: Benchmark) -> None:
    """Print the benchmark as JSON on stdout."""
    whole = {"version": __version__, **benchmark.as_dict()}
    print(json.dumps(whole, indent=2, allow_nan=False))

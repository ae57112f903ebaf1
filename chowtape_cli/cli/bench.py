"""`chowtape bench`: how fast the solvers are on this machine."""

from __future__ import annotations

import math
from pathlib import Path

import click


@click.command(short_help="Measure the solvers on this machine.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600.0),
    default=30.0,
    show_default=True,
    help="Length of the generated stereo audio.",
)
@click.option(
    "--file",
    "source",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Measure on this recording instead.",
)
@click.option("--json", is_flag=True, help="Print the figures as JSON on stdout.")  # fmt: skip
def bench(seconds: float, source: Path | None, json: bool) -> None:
    """Time the bare hysteresis in every mode beside the textbook solver, on one core.

    The textbook solver is NR8 as papers print it: one channel at a time, eight Newton steps a
    sample. Ratios within one run mean more than seconds: machines are noisy.
    """
    if math.isnan(seconds):
        raise click.UsageError("--seconds is not a number; give 0.1 to 3600")
    from chowtape_cli import report
    from chowtape_cli.bench import measure

    with report.status("loading the kernels") as say:
        figures = measure(seconds, source, step=lambda name: say(f"measuring {name}"))
    if json:
        report.print_bench_json(figures)
    else:
        report.print_bench(figures)

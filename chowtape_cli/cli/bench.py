"""`chowtape bench`: how fast it is on this machine."""

from __future__ import annotations

import math
from pathlib import Path

import click

from chowtape_cli.settings import MODES, OVERSAMPLING


@click.command(short_help="Measure the speed on this machine.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 36_000.0),
    default=90.0,
    show_default=True,
    help="Length of the generated stereo music.",
)
@click.option(
    "--file",
    "source",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Measure on this recording instead.",
)
@click.option(
    "--mode",
    "modes",
    type=click.Choice(MODES),
    multiple=True,
    default=("nr8", "stn"),
    show_default=True,
    help="Solver of the whole renders; may be given again.",
)
@click.option(
    "--oversampling",
    "--os",
    "factors",
    type=click.Choice([str(factor) for factor in OVERSAMPLING]),
    multiple=True,
    default=("2", "8"),
    show_default=True,
    help="Factor of the whole renders; may be given again.",
)
@click.option("--json", is_flag=True, help="Print the figures as JSON on stdout.")
@click.option("--markdown", is_flag=True, help="Print the tables in Markdown.")
def bench(
    seconds: float,
    source: Path | None,
    modes: tuple[str, ...],
    factors: tuple[str, ...],
    json: bool,
    markdown: bool,
) -> None:
    """Time the bare solvers, whole renders and their stages, beside the textbook solver.

    The textbook solver is NR8 as papers print it: one channel at a time, eight Newton steps a
    sample. A whole render is the command itself, from its start to its end, on one core and on
    all. Ratios within one run mean more than seconds: machines are noisy.
    """
    if math.isnan(seconds):
        raise click.UsageError("--seconds is not a number; give 0.1 to 36000")
    if json and markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    from chowtape_cli import report, report_bench
    from chowtape_cli.bench.whole import measure

    chosen_factors = list(dict.fromkeys(map(int, factors)))
    with report.status("loading the kernels") as say:
        figures = measure(seconds, source, list(dict.fromkeys(modes)), chosen_factors, say)
    with report.to_whoever_listens():
        if json:
            report_bench.print_bench_json(figures)
        elif markdown:
            report_bench.print_bench_markdown(figures)
        else:
            report_bench.print_bench(figures)

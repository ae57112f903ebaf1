"""`chowtape null`: subtract one file from another and say what is left."""

from __future__ import annotations

import math
from pathlib import Path

import click

_PATH = click.Path(path_type=Path, readable=False)


@click.command(
    short_help="Null test: what is left between two files.",
    epilog="Example: chowtape null before.wav after.wav --tolerance -120",
)
@click.argument("a", metavar="A", type=_PATH)
@click.argument("b", metavar="B", type=_PATH)
@click.option(
    "--tolerance",
    type=float,
    metavar="DB",
    help="Exit with 1 where the residual is above this; -inf asks for the same samples.",
)
@click.option("--json", is_flag=True, help="Print the figures as JSON on stdout.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def null(a: Path, b: Path, tolerance: float | None, json: bool, quiet: bool) -> int:
    """Subtract B from A, sample by sample, and say what is left.

    The residual is its energy relative to that of the louder file, in dB. Nothing is aligned or
    matched first: the files must have the same sample rate, channels and length. Exit code 0 says
    that they null within --tolerance, or that none was given.
    """
    if tolerance is not None and math.isnan(tolerance):
        raise click.UsageError("--tolerance is not a number; give decibels, such as -120")
    from chowtape_cli import report, report_ab
    from chowtape_cli.measure import null_files

    with (
        report_ab.failure_as_json(json, a=str(a), b=str(b)),
        report.progress(f"{a.name} - {b.name}", enabled=not quiet) as progress,
    ):
        tested = null_files(a, b, progress)
    level = tested.residual.residual_db
    passed = tolerance is None or level is None or level <= tolerance
    with report.to_whoever_listens():
        if json:
            report_ab.print_null_json(tested, tolerance, passed=passed)
        elif not quiet:
            report_ab.print_null(tested, tolerance, passed=passed)
    return 0 if passed else 1

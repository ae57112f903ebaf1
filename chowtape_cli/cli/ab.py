"""`chowtape ab`: one source in several settings, matched in loudness and subtracted."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

from chowtape_cli.cli.options import SectionedCommand, option, settings_options
from chowtape_cli.cli.variants import read_variants

_PATH = click.Path(path_type=Path, readable=False)


@click.command(
    cls=SectionedCommand,
    short_help="Compare settings: matched in loudness, null-tested.",
    epilog="Example: chowtape ab mix.wav ab/ --variant A:mode=nr8 --variant B:mode=stn,drive=0.7",
)
@click.argument("source", metavar="SRC", type=_PATH)
@click.argument("folder", metavar="OUTDIR", type=_PATH)
@option(
    "Compare",
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME:KEY=VALUE,...",
    help="A variant, written to OUTDIR/NAME.wav; any option below is a KEY.  [repeatable]",
)
@option(
    "Compare",
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="KEY=FROM:TO:COUNT",
    help="A variant for each of COUNT values, or of KEY=VALUE,VALUE; several sweeps multiply.",
)
@option(
    "Compare",
    "--keep-unmatched",
    is_flag=True,
    help="Write the files without the matching gain too, to OUTDIR/unmatched.",
)
@partial(settings_options, subtype="FLOAT; the dry one always is")
@option(
    "Run",
    "--jobs",
    "-j",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Worker processes; 1 for none.  [default: all cores]",
)
@option("Run", "--overwrite", is_flag=True, help="Replace what an earlier ab wrote into OUTDIR.")
@option("Run", "--json", is_flag=True, help="Print the comparison as JSON on stdout.")
@option("Run", "--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def ab(
    source: Path,
    folder: Path,
    variants: tuple[str, ...],
    sweeps: tuple[str, ...],
    keep_unmatched: bool,
    jobs: int | None,
    overwrite: bool,
    json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Render SRC in several settings into OUTDIR and compare them.

    All files line up to the sample, and each is turned down to the loudness of the quietest, the
    dry source included. They are 32-bit float unless --subtype says otherwise; the other options of
    a render hold for every variant that does not name them itself.
    """
    settings = read_variants(variants, sweeps, options)
    from chowtape_cli import report, report_ab
    from chowtape_cli.comparison import compare

    with report_ab.failure_as_json(json, source=str(source)):
        if len(settings) > report_ab.MANY and not quiet:
            report_ab.warn_of_size(source, settings, copies=2 if keep_unmatched else 1)
        comparison = compare(
            source,
            folder,
            settings,
            keep_unmatched=keep_unmatched,
            overwrite=overwrite,
            jobs=jobs or os.cpu_count() or 1,
            watch=partial(report.progress, enabled=not quiet),
        )
    with report.to_whoever_listens():
        if json:
            report_ab.print_json(comparison)
        elif not quiet:
            report_ab.print_comparison(folder, comparison)
    if not quiet:
        report_ab.print_warnings(comparison)
    return 0

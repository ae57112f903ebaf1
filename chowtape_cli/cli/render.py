"""`chowtape render`: from the command line to one or many rendered files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chowtape_cli.cli.options import (
    SectionedCommand,
    option,
    plan_from,
    settings_file_option,
    settings_options,
)
from chowtape_cli.errors import ChowtapeError

if TYPE_CHECKING:
    from chowtape_cli.settings_file import SettingsPlan


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """Everything `chowtape render` was asked to do."""

    source: Path
    destination: Path
    plan: SettingsPlan
    jobs: int
    overwrite: bool
    keep_times: bool
    dry_run: bool
    json: bool
    quiet: bool
    verbose: bool


@click.command(
    cls=SectionedCommand,
    short_help="Render an audio file through the tape.",
    epilog="Example: chowtape render in.wav out.flac --drive 0.7 --oversampling 4",
)
@click.argument(
    "paths", nargs=-1, metavar="SRC DST", type=click.Path(path_type=Path, readable=False)
)
@settings_options
@settings_file_option
@option(
    "Run",
    "--jobs",
    "-j",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Worker processes; 1 for none.  [default: all cores]",
)
@option("Run", "--overwrite", is_flag=True, help="Replace DST if it exists.")
@option("Run", "--skip-existing", is_flag=True, help="Leave an existing DST as it is.")
@option("Run", "--keep-times", is_flag=True,
        help="Give outputs the modification times of their sources.")  # fmt: skip
@option("Run", "--dry-run", is_flag=True, help="Say what would be written; write nothing.")
@option("Run", "--json", is_flag=True, help="Print the report as JSON on stdout.")
@option("Run", "--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@option("Run", "--verbose", "-v", is_flag=True, help="Report everything that was counted.")
@click.pass_context
def render(
    ctx: click.Context,
    /,
    paths: tuple[Path, ...],
    jobs: int | None,
    overwrite: bool,
    skip_existing: bool,
    keep_times: bool,
    dry_run: bool,
    json: bool,
    quiet: bool,
    verbose: bool,
    settings_file: Path | None,
    **options: Any,
) -> int:
    """Render the audio file SRC through the tape into DST.

    The format of DST follows from its extension; sample format and rate are the source's unless
    told otherwise. Nothing is overwritten without --overwrite, and DST appears only when it is
    whole.
    """
    plan = plan_from(ctx, options, settings_file)
    if len(paths) < 2:
        raise click.UsageError("name a source and a destination: chowtape render in.wav out.wav")
    if len(paths) > 2 or paths[0].is_dir():
        raise click.UsageError("folders and several sources are not rendered yet: name one file")
    if skip_existing:
        raise click.UsageError("--skip-existing is not offered yet: leave it out")
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    request = RenderRequest(
        source=paths[0],
        destination=paths[1],
        plan=plan,
        jobs=jobs or os.cpu_count() or 1,
        overwrite=overwrite,
        keep_times=keep_times,
        dry_run=dry_run,
        json=json,
        quiet=quiet,
        verbose=verbose,
    )
    return run(request)


def run(request: RenderRequest) -> int:
    """Render, report, and return the exit code."""
    from chowtape_cli import report
    from chowtape_cli.render import failed_report, plan_file, render_file

    source, destination = request.source, request.destination
    settings = request.plan.for_file(source.name)
    exit_code = 0
    with report.progress(source.name, enabled=not request.quiet) as progress:
        try:
            if request.dry_run:
                outcome = plan_file(source, destination, settings, overwrite=request.overwrite)
            else:
                outcome = render_file(
                    source,
                    destination,
                    settings,
                    overwrite=request.overwrite,
                    jobs=request.jobs,
                    keep_times=request.keep_times,
                    progress=progress,
                )
        except ChowtapeError as error:
            outcome = failed_report(source, destination, error, settings)
            exit_code = error.exit_code
    with report.to_whoever_listens():
        if request.json:
            report.print_json([outcome], request.plan.base)
        elif not request.quiet:
            report.print_report([outcome], verbose=request.verbose)
    report.print_messages([outcome], quiet=request.quiet)
    return exit_code

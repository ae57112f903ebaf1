"""`chowtape render`: from the command line to one or many rendered files."""

from __future__ import annotations

import os
import re
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
from chowtape_cli.errors import ChowtapeError, ClusterError, InterruptedBatchError

if TYPE_CHECKING:
    from chowtape_cli.batch import BatchRequest
    from chowtape_cli.settings_file import SettingsPlan

# options that only mean something where there are several files
_FOR_FOLDERS = {
    "include": "--include", "exclude": "--exclude", "name": "--name", "extension": "--format",
    "update": "--update", "fail_fast": "--fail-fast", "headroom": "--headroom", "dask": "--dask",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """Everything `chowtape render` was asked to do.

    Attributes:
        paths: the sources, and last the destination.
        plan: the settings of every file.
        files_from: a list of more sources, ``-`` for standard input, or None.
        include, exclude, name, extension, update, fail_fast, headroom, dask: see `batch`.
        report: where a CSV file goes to, or None.
    """

    paths: tuple[str, ...]
    plan: SettingsPlan
    files_from: str | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    name: str | None
    extension: str | None
    headroom: bool
    jobs: int
    dask: str | None
    overwrite: bool
    update: bool
    skip_existing: bool
    fail_fast: bool
    keep_times: bool
    dry_run: bool
    report: Path | None
    json: bool
    quiet: bool
    verbose: bool

    @property
    def is_batch(self) -> bool:
        """Whether the destination is a folder: it is a file for one source file."""
        several = self.files_from is not None or len(self.paths) != 2
        source = self.paths[0]
        if several or Path(source).is_dir():
            return True
        from chowtape_cli.patterns import is_glob

        return is_glob(source) and not os.path.lexists(source)


@click.command(
    cls=SectionedCommand,
    short_help="Render audio files through the tape.",
    epilog="Examples: chowtape render in.wav out.flac --drive 0.7; "
    "chowtape render stems/ printed/ --jobs 8",
)
@click.argument("paths", nargs=-1, metavar="SRC... DST")
@settings_options
@option(
    "Files",
    "--files-from",
    metavar="LIST",
    help="Render the files that a text file names, a path a line; - reads standard input.",
)
@option(
    "Files",
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Only files like this, such as '*.wav' or 'drums/**'; may be given again.",
)
@option(
    "Files",
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="No files like this; may be given again.",
)
@option(
    "Files",
    "--name",
    metavar="TEMPLATE",
    help="Name of each output, such as '{stem}-{mode}{ext}'.  [default: the source's]",
)
@option(
    "Files",
    "--format",
    "extension",
    metavar="EXT",
    help="Container of the outputs: wav, flac, aiff ...  [default: the source's]",
)
@option(
    "Files",
    "--headroom",
    type=click.Choice(["set"]),
    help="Find the one gain that keeps every output from clipping, and apply it to all.",
)
@settings_file_option
@option(
    "Run",
    "--jobs",
    "-j",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Worker processes; 1 for none.  [default: all cores]",
)
@option(
    "Run",
    "--dask",
    metavar="ADDRESS",
    help="Render on the workers of this Dask scheduler, or of a `local` cluster.",
)
@option("Run", "--overwrite", is_flag=True, help="Replace what exists.")
@option(
    "Run",
    "--update",
    is_flag=True,
    help="Replace what was made from a source or settings that have changed since.",
)
@option("Run", "--skip-existing", is_flag=True, help="Leave what exists as it is.")
@option("Run", "--fail-fast", is_flag=True, help="End with the first file that fails.")
@option(
    "Run",
    "--keep-times",
    is_flag=True,
    help="Give outputs the modification times of their sources.",
)
@option("Run", "--dry-run", is_flag=True, help="Say what would be rendered; render nothing.")
@option(
    "Run",
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Write a line about each file to a CSV file; an earlier report is replaced.",
)
@option("Run", "--json", is_flag=True, help="Print the report as JSON on stdout.")
@option("Run", "--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@option(
    "Run",
    "--verbose",
    "-v",
    is_flag=True,
    help="Report everything that was counted, on every file.",
)
@click.pass_context  # fmt: skip
def render(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    files_from: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    name: str | None,
    extension: str | None,
    headroom: str | None,
    jobs: int | None,
    dask: str | None,
    overwrite: bool,
    update: bool,
    skip_existing: bool,
    fail_fast: bool,
    keep_times: bool,
    dry_run: bool,
    report: Path | None,
    json: bool,
    quiet: bool,
    verbose: bool,
    settings_file: Path | None,
    **options: Any,
) -> int:
    """Render the audio files SRC through the tape into DST.

    SRC is a file, a folder with all below it, or a quoted glob such as 'stems/**/*.wav'. For one
    file DST is a file, and its extension chooses the format, or a folder, with a / at its end, that
    it goes into. Otherwise DST is a folder that mirrors the sources; the same command again renders
    what is missing or failed.

    Sample format and rate are the source's unless told otherwise. Nothing is overwritten without
    --overwrite, and an output appears only when it is whole.
    """
    plan = plan_from(ctx, options, settings_file)
    if len(paths) < (1 if files_from else 2):
        raise click.UsageError("name a source and a destination: chowtape render in.wav out.wav")
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    if skip_existing and (overwrite or update):
        other = "--overwrite" if overwrite else "--update"
        raise click.UsageError(f"{other} and --skip-existing exclude each other")
    if dask is not None and not re.fullmatch(r"local|\w+://.+|.+:\d+", dask):
        raise ClusterError(
            f"--dask {dask}: no scheduler answers, as this is no address; give local, or one such "
            "as tcp://host:8786"
        )
    if report is not None:
        from chowtape_cli.report_batch import check_csv

        check_csv(report)
    request = RenderRequest(
        paths=paths,
        plan=plan,
        files_from=files_from,
        include=include,
        exclude=exclude,
        name=name,
        extension=_extension(extension),
        headroom=headroom == "set",
        jobs=jobs or os.cpu_count() or 1,
        dask=dask,
        overwrite=overwrite,
        update=update,
        skip_existing=skip_existing,
        fail_fast=fail_fast,
        keep_times=keep_times,
        dry_run=dry_run,
        report=report,
        json=json,
        quiet=quiet,
        verbose=verbose,
    )
    if request.is_batch:
        return run_batch(request)
    given = [text for name, text in _FOR_FOLDERS.items() if getattr(request, name)]
    if given:
        raise click.UsageError(f"{given[0]} goes with a folder or several sources")
    return run_file(request)


def _extension(given: str | None) -> str | None:
    """Return an extension without its dot; raise UsageError where no container has it."""
    if given is None:
        return None
    from chowtape_cli.audio_files.formats import EXTENSIONS

    extension = given.lower().lstrip(".")
    if extension not in EXTENSIONS:
        known = " ".join(sorted(EXTENSIONS))
        raise click.UsageError(f"--format {given} is not known; there are: {known}")
    return extension


def run_file(request: RenderRequest) -> int:
    """Render one file, report, and return the exit code."""
    from chowtape_cli import report
    from chowtape_cli.render import FileReport, failed_report, plan_file, render_file

    source, destination = map(Path, request.paths)
    if request.paths[1].endswith(("/", os.sep)):  # a folder, even if it is not there yet
        destination /= source.name
    if request.report is not None:
        from chowtape_cli.batch.sources import check_report

        check_report(request.report, (source, destination))
    settings = request.plan.for_file(source.name)
    exit_code = 0
    first = "loading the kernels"
    with report.progress(source.name, first=first, enabled=not request.quiet) as progress:
        try:
            if request.skip_existing and os.path.lexists(destination):
                outcome = FileReport(
                    source=str(source),
                    output=str(destination),
                    status="skipped",
                    settings=settings.as_dict(),
                )
            elif request.dry_run:
                if settings.mode == "stn":
                    from chowtape_cli.neural.catalogue import load_any

                    load_any(settings.weights)
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
    if request.report is not None:
        from chowtape_cli.report_batch import write_csv

        write_csv(request.report, [outcome])
    return exit_code


def run_batch(request: RenderRequest) -> int:
    """Render many files, report, and return the exit code."""
    from chowtape_cli import notices, report_batch
    from chowtape_cli.batch import run_batch as render_all
    from chowtape_cli.report import to_whoever_listens

    if request.quiet:
        notices.ignore()
    with report_batch.watching(enabled=not request.quiet) as watch:
        result = render_all(_batch_request(request), watch)
    with to_whoever_listens():
        if request.json:
            report_batch.print_batch_json(result, request.plan.base)
        elif not (request.quiet or result.interrupted):
            report_batch.print_batch(result, verbose=request.verbose)
    report_batch.print_batch_messages(result, quiet=request.quiet, verbose=request.verbose)
    if request.report is not None:
        report_batch.write_csv(request.report, result.files)
    if result.interrupted:
        raise InterruptedBatchError(report_batch.interruption(result, overwrite=request.overwrite))
    return 1 if result.failed else 0


def _batch_request(request: RenderRequest) -> BatchRequest:
    from chowtape_cli.batch import BatchRequest, find_sources

    return BatchRequest(
        sources=find_sources(
            request.paths[:-1],
            files_from=request.files_from,
            include=request.include,
            exclude=request.exclude,
        ),
        destination=Path(request.paths[-1]),
        plan=request.plan,
        name=request.name,
        extension=request.extension,
        overwrite=request.overwrite,
        update=request.update,
        skip_existing=request.skip_existing,
        fail_fast=request.fail_fast,
        headroom=request.headroom,
        keep_times=request.keep_times,
        dry_run=request.dry_run,
        jobs=request.jobs,
        dask=request.dask,
        report=request.report,
    )

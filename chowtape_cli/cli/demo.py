"""`chowtape demo`: hear it without having a file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make a few stems and print them to tape.")
@click.argument("folder", default="chowtape-demo", metavar="[OUTDIR]",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier demo.")
@click.option("--json", is_flag=True, help="Print the report as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def demo(folder: Path, overwrite: bool, json: bool, quiet: bool) -> None:
    """Synthesise ten seconds of drums, bass and keys, and print them to tape.

    The dry stems go to OUTDIR/dry, the same stems from tape to OUTDIR/tape. OUTDIR is chowtape-demo
    unless named.
    """
    from chowtape_cli import notices, report
    from chowtape_cli.demo import SETTINGS, make_demo

    if quiet:
        notices.ignore()
    with report.status("loading the kernels", enabled=not quiet) as say:
        files = make_demo(folder, overwrite=overwrite, step=lambda name: say(f"rendering {name}"))
    if json:
        report.print_json(files, SETTINGS)
    elif not quiet:
        report.print_report(files)
        click.echo(f"\nListen: {folder / 'dry'} is the source, {folder / 'tape'} is from tape.")
    report.print_messages(files, quiet=quiet)

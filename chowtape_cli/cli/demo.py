"""`chowtape demo`: hear it without having a file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make a few stems and print them to tape.")
@click.argument("folder", default="chowtape-demo", metavar="[OUTDIR]",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier demo.")
def demo(folder: Path, overwrite: bool) -> None:
    """Synthesise ten seconds of drums, bass and keys, and print them to tape.

    The dry stems go to OUTDIR/dry, the same stems from tape to OUTDIR/tape. OUTDIR is chowtape-demo
    unless named.
    """
    from chowtape_cli import report
    from chowtape_cli.demo import make_demo

    with report.status("loading the kernels") as say:
        files = make_demo(folder, overwrite=overwrite, step=lambda name: say(f"rendering {name}"))
    report.print_report(files)
    click.echo(f"\nListen: {folder / 'dry'} is the source, {folder / 'tape'} is from tape.")

"""`chowtape bank`: look at banks of networks, check them, and exchange them with RTNeural."""

from __future__ import annotations

from pathlib import Path

import click

from chowtape_cli.errors import BankError, FileError
from chowtape_cli.files import exists_already

_PATH = click.Path(path_type=Path)


@click.group(short_help="Show, check, import or export banks of networks.")
def bank() -> None:
    """Look at banks of state transition networks, and exchange them with RTNeural.

    BANK is a file, or 2x4, 2x8 or 3x4 for one that came with chowtape.
    """


@bank.command(short_help="Say what a bank holds, with its accuracy map.")
@click.argument("name", metavar="[BANK]", required=False)
@click.option(
    "--level",
    type=float,
    metavar="DBFS",
    help="Show the map of music at this peak level.  [default: -2]",
)
@click.option("--json", is_flag=True, help="Print everything but the weights as JSON.")  # fmt: skip
def show(name: str | None, level: float | None, json: bool) -> None:
    """Show what BANK holds and how far it is from nr8, in dB, over saturation and bias."""
    from chowtape_cli import report
    from chowtape_cli.neural import bank as banks
    from chowtape_cli.neural.catalogue import find

    path = find(name)
    held = banks.load(path)
    if json:
        report.print_bank_json(held)
        return
    levels = held.accuracy_levels
    wanted = -2.0 if level is None else level
    if levels and wanted not in levels:
        listed = ", ".join(f"{x:g}" for x in levels)
        raise click.UsageError(f"--level {wanted:g} was not measured; give one of {listed}")
    report.print_bank(path, held, wanted)


@bank.command(short_help="Check a bank's format and hash, and measure its map again.")
@click.argument("name", metavar="[BANK]", required=False)
def check(name: str | None) -> None:
    """Check BANK: its format, its hash, and its accuracy map, measured again."""
    from tqdm import tqdm

    from chowtape_cli.neural import accuracy
    from chowtape_cli.neural import bank as banks
    from chowtape_cli.neural.catalogue import find

    path = find(name)
    held = banks.load(path)
    click.echo(f"{path}: format and hash are good")
    if held.accuracy_db.size == 0:
        click.echo("it holds no accuracy map")
        return
    with tqdm(total=held.weights[..., 0].size, unit="network", dynamic_ncols=True) as bar:
        difference = accuracy.disagreement(held, accuracy.measure(held, bar.update))
    if difference > accuracy.TOLERANCE_DB:
        raise BankError(f"{path}: the map it holds is off by {difference:.2f} dB")
    click.echo(f"the map is what was measured again, within {difference:.2f} dB")


@bank.command("import", short_help="Turn ChowTape's networks into one file.")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.argument("out", metavar="BANK", type=_PATH)
@click.option("--overwrite", is_flag=True, help="Replace BANK if it exists.")
def import_(folder: Path, out: Path, overwrite: bool) -> None:
    """Read ChowTape's RTNeural JSON files in DIR and write them as one BANK."""
    from chowtape_cli.neural import bank as banks
    from chowtape_cli.neural import rtneural

    held = rtneural.import_plugin(folder)
    if out.exists() and not overwrite:
        raise exists_already(out)
    banks.save(held, out)
    click.echo(f"{out}: {held.weights[..., 0].size} networks, {out.stat().st_size} bytes")


@bank.command(short_help="Write our networks as RTNeural JSON.")
@click.argument("name", metavar="BANK")
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--overwrite", is_flag=True, help="Replace files in DIR.")
def export(name: str, folder: Path, overwrite: bool) -> None:
    """Write BANK as RTNeural JSON files into DIR, a dense model for each grid point.

    The documentation's page "Networks in other programs" says how to run the recursion around them.
    """
    from chowtape_cli.neural import bank as banks
    from chowtape_cli.neural import rtneural
    from chowtape_cli.neural.catalogue import find

    held = banks.load(find(name))
    if not overwrite and folder.exists() and any(folder.iterdir()):
        raise FileError(f"{folder}: is not empty; give --overwrite or another folder")
    paths = rtneural.export(held, folder)
    click.echo(f"{folder}: {len(paths)} files with {held.weights[..., 0].size} networks")

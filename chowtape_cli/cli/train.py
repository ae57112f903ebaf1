"""`chowtape train`: one command makes a bank of networks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from chowtape_cli.errors import FileError

ARCHITECTURES = ("2x4", "2x8", "3x4")


@click.command(short_help="Train a bank of state transition networks.")
@click.option(
    "--arch",
    type=click.Choice(ARCHITECTURES),
    default="2x4",
    show_default=True,
    help="Hidden layers x width.",
)
@click.option(
    "--grid", default="20x10", show_default=True, metavar="SxB", help="Nodes of saturation x bias."
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Worker processes.  [default: all cores]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The bank to write.  [default: stn_ARCH.npz]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=1,
    show_default=True,
    help="The same seed gives the same bank.",
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted training stopped.")
@click.option("--quick", is_flag=True, help="A rough bank in a fraction of the time.")
@click.option(
    "--only",
    multiple=True,
    metavar="S,B",
    help="Train just the grid point nearest to saturation S and bias B of the bank again; may be "
    "given several times.",
)
@click.option("--overwrite", is_flag=True, help="Replace the bank, or what is begun of it.")
def train(
    arch: str,
    grid: str,
    jobs: int | None,
    out: Path | None,
    seed: int,
    resume: bool,
    quick: bool,
    only: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Train networks to make the steps of nr8, and write them as one bank.

    Makes its own training data, trains every network, checks it running on its own state, and
    measures the bank's accuracy map. A 2x4 bank takes a few minutes on two cores. It can be
    interrupted at any moment and goes on with --resume; beside the bank, a .log has a line for
    every network.
    """
    out = out or Path(f"stn_{arch}.npz")
    jobs = jobs or os.cpu_count() or 1
    nodes = _grid(grid)
    from tqdm import tqdm

    from chowtape_cli.neural import schedule
    from chowtape_cli.neural.training import make_plan

    plan = make_plan(arch, nodes, seed, quick=quick)
    if only:
        _redo(out, only, seed, jobs, quick=quick)
        return
    _check_place(out, resume=resume, overwrite=overwrite)
    command = f"chowtape train --arch {arch} --grid {grid} --seed {seed}{' --quick' * quick}"
    with tqdm(total=schedule.unit_count(plan), unit="network", dynamic_ncols=True) as bar:

        def unit_done(line: str) -> None:
            bar.set_postfix_str(line.split(",")[0] if line.startswith(("start", "finish")) else "")
            bar.update()

        bank = schedule.train(
            plan, out, jobs=jobs, command=command, resume=resume, unit_done=unit_done
        )
    median, worst = _summary(bank.accuracy_db)
    click.echo(f"{out}: {bank.weights[..., 0].size} networks, median {median} dB, worst {worst} dB")


def _redo(out: Path, only: tuple[str, ...], seed: int, jobs: int, *, quick: bool) -> None:
    from chowtape_cli.neural import bank as banks
    from chowtape_cli.neural import schedule
    from chowtape_cli.neural.training import FULL, QUICK, Plan

    held = banks.load(out)
    if held.form != banks.TAPE_FORM:
        raise click.UsageError(f"{out} holds ChowTape's networks; there is nothing to train")
    effort = QUICK if quick else FULL[held.architecture]
    plan = Plan(held.architecture, held.saturations, held.biases, seed, effort)
    points = [_point(text, plan.saturations, plan.biases) for text in only]
    schedule.retrain(plan, out, sorted(set(points)), jobs=jobs, unit_done=click.echo)


def _grid(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not all(2 <= int(n) <= 200 for n in match.groups()):
        raise click.UsageError(f"--grid is {text}, but must be like 20x10, each 2 to 200")
    return int(match[1]), int(match[2])


def _point(text: str, saturations: tuple[float, ...], biases: tuple[float, ...]) -> tuple[int, int]:
    try:
        saturation, bias = map(float, text.split(","))
    except ValueError as error:
        raise click.UsageError(f"--only is {text}, but must be like 0.5,0.25") from error
    if not (0.0 <= saturation <= 1.0 and 0.0 <= bias <= 1.0):
        raise click.UsageError(f"--only is {text}, but both numbers must be 0 to 1")
    return _nearest(saturations, saturation), _nearest(biases, bias)


def _nearest(nodes: tuple[float, ...], x: float) -> int:
    return min(range(len(nodes)), key=lambda i: abs(nodes[i] - x))


def _check_place(out: Path, *, resume: bool, overwrite: bool) -> None:
    if overwrite:
        return
    begun = out.with_suffix(".progress")
    if begun.exists() and not resume:
        raise FileError(f"{begun}: a training was begun; give --resume, or --overwrite to restart")
    if out.exists():
        raise FileError(f"{out}: exists already; give --overwrite or another --out")


def _summary(accuracy_db: object) -> tuple[str, str]:
    import numpy as np

    array = np.asarray(accuracy_db)
    return f"{np.median(array):.1f}", f"{array.max():.1f}"

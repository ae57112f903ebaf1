"""Running the units of a training on worker processes, with a progress file that outlives them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from chowtape_cli.errors import BankError
from chowtape_cli.files import shown
from chowtape_cli.neural import accuracy, training
from chowtape_cli.neural.bank import TAPE_FORM, Bank, load, save, with_points
from chowtape_cli.neural.training import Fit, Plan
from chowtape_cli.workers import workers

# a unit's name, and the call that does it: a function of `training` and its arguments
Units = Mapping[str, tuple[Callable[..., Fit], tuple[Any, ...]]]
Record = Callable[[str, Fit], None]

LIVES = 3  # how often the workers may die before the training gives up


class Progress:
    """What is done of a training, in a file of one JSON record a line; the first is the plan.

    Attributes:
        done: the fit of every unit that is done, by its name.
    """

    def __init__(self, path: Path, plan: Plan, *, resume: bool) -> None:
        self._path = path
        self.done: dict[str, Fit] = {}
        mine = json.loads(json.dumps(asdict(plan)))  # as a file would hold it
        if resume and path.exists():
            self._read(mine)
        else:
            path.unlink(missing_ok=True)
            self._append(mine)

    def _read(self, mine: dict[str, Any]) -> None:
        # a line that an interruption cut off has no end; what it held is done again
        whole = [line for line in self._path.read_bytes().splitlines(True) if line.endswith(b"\n")]
        try:
            records = [json.loads(line) for line in whole]
        except ValueError as error:
            raise BankError(f"{shown(self._path)}: is damaged; remove it") from error
        if not records or records[0] != mine:
            raise BankError(
                f"{shown(self._path)}: belongs to another training; "
                "give the same --arch, --grid and --seed, or remove it"
            )
        with self._path.open("r+b") as file:
            file.truncate(sum(map(len, whole)))
        self.done = {record.pop("unit"): Fit.from_dict(record) for record in records[1:]}

    def add(self, unit: str, fit: Fit) -> None:
        """Record a finished unit at once."""
        self.done[unit] = fit
        self._append({"unit": unit, **fit.as_dict()})

    def _append(self, record: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove the file: the bank is whole."""
        self._path.unlink()


def unit_count(plan: Plan) -> int:
    """Return how many units a whole training has."""
    grid = len(plan.saturations) * len(plan.biases)
    return plan.effort.starts + plan.effort.finished + grid


def train(
    plan: Plan,
    out: Path,
    *,
    jobs: int,
    command: str,
    resume: bool = False,
    unit_done: Callable[[str], None] = lambda _: None,
) -> Bank:
    """Train a whole bank and write it.

    Args:
        plan: what to train.
        out: where the bank goes; beside it ``.progress`` keeps what is done until it is whole, and
            ``.log`` a line a network.
        jobs: worker processes.
        command: what to note as the command that made it.
        resume: whether to go on from the progress file.
        unit_done: called with a line after every unit.

    Raises:
        BankError: the progress file belongs to another training, or the workers keep dying.
        FileError: the bank can't be written.
    """
    began = time.perf_counter()
    progress = Progress(out.with_suffix(".progress"), plan, resume=resume)
    log = out.with_suffix(".log")
    if not progress.done:
        log.unlink(missing_ok=True)
        _write_line(log, command)
    for unit in progress.done:
        unit_done(f"{unit}: done before")

    def record(unit: str, fit: Fit) -> None:
        progress.add(unit, fit)
        line = _line(unit, fit)
        _write_line(log, line)
        unit_done(line)

    done = progress.done
    starts = {f"start {n}": (training.start, (plan, n)) for n in range(plan.effort.starts)}
    _run(starts, done, record, jobs)
    promising = training.best([done[unit] for unit in starts], plan.effort.finished)
    finishes = {f"finish {n}": (training.finish, (plan, fit)) for n, fit in enumerate(promising)}
    _run(finishes, done, record, jobs)
    ancestor = training.best([done[unit] for unit in finishes])[0].weights
    points = _point_units(plan, ancestor, _grid(plan))
    _run(points, done, record, jobs)
    weights = np.array([done[unit].weights for unit in points], np.float32)
    bank = _measured(
        Bank(
            form=TAPE_FORM,
            architecture=plan.architecture,
            saturations=plan.saturations,
            biases=plan.biases,
            weights=weights.reshape(len(plan.saturations), len(plan.biases), -1),
            ancestor=ancestor.astype(np.float32),
            accuracy_db=np.zeros(0, np.float32),
            training={"command": command, "seed": plan.seed},
        )
    )
    save(bank, out)
    progress.remove()
    work = sum(fit.seconds for fit in done.values())
    elapsed = time.perf_counter() - began
    _write_line(log, f"done: {work:.0f} s of work, {elapsed:.0f} s on the clock with {jobs} jobs")
    return bank


def retrain(
    plan: Plan,
    out: Path,
    points: list[tuple[int, int]],
    *,
    jobs: int,
    unit_done: Callable[[str], None] = lambda _: None,
) -> Bank:
    """Train some grid points of a finished bank again, with the plan's seed, and write it.

    Raises:
        BankError: there is no such bank, or the workers keep dying.
        FileError: the bank can't be written.
    """
    bank = load(out)
    done: dict[str, Fit] = {}

    def record(unit: str, fit: Fit) -> None:
        done[unit] = fit
        line = _line(unit, fit)
        _write_line(out.with_suffix(".log"), f"again, with seed {plan.seed}: {line}")
        unit_done(line)

    units = _point_units(plan, bank.ancestor.astype(np.float64), points)
    _run(units, done, record, jobs)
    trained = [done[unit].weights.astype(np.float32) for unit in units]
    bank = _measured(with_points(bank, dict(zip(points, trained, strict=True))))
    save(bank, out)
    return bank


def _grid(plan: Plan) -> list[tuple[int, int]]:
    return [(i, j) for i in range(len(plan.saturations)) for j in range(len(plan.biases))]


def _point_units(
    plan: Plan, ancestor: training.Weights, points: list[tuple[int, int]]
) -> dict[str, tuple[Callable[..., Fit], tuple[Any, ...]]]:
    return {
        f"saturation {plan.saturations[i]:.4f}, bias {plan.biases[j]:.4f}": (
            training.grid_point,
            (plan, ancestor, i, j),
        )
        for i, j in points
    }


def _measured(bank: Bank) -> Bank:
    return replace(
        bank,
        accuracy_db=accuracy.measure(bank),
        accuracy_drives=accuracy.DRIVES,
        accuracy_levels=accuracy.LEVELS_DBFS,
    )


def _line(unit: str, fit: Fit) -> str:
    return (
        f"{unit}: {fit.error_db:.1f} dB, worst sequence {fit.worst_db:.1f} dB, {fit.seconds:.1f} s"
    )


def _write_line(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _run(units: Units, done: Mapping[str, Fit], record: Record, jobs: int) -> None:
    """Do the units that are not done yet; a killed worker costs its unit another try."""
    for _ in range(LIVES):
        left = {unit: call for unit, call in units.items() if unit not in done}
        if not left:
            return
        try:
            with workers(jobs) as pool:
                futures = {
                    pool.submit(function, *arguments): unit
                    for unit, (function, arguments) in left.items()
                }
                for future in as_completed(futures):
                    record(futures[future], future.result())
        except BrokenProcessPool:
            continue
    if any(unit not in done for unit in units):
        raise BankError(
            f"a worker process was killed {LIVES} times, perhaps for want of memory; "
            "go on with --resume and fewer --jobs"
        )

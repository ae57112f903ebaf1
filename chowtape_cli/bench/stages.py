"""Where the time of a render goes: the share of each stage, and how much it computes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import Source
from chowtape_cli.bench.machine import Machine
from chowtape_cli.bench.paths import timed
from chowtape_cli.bench.timer import STARTING
from chowtape_cli.dsp.oversampling import stages

REPEATS = 3
# Additions, multiplications, divisions and roots for a sample of the oversampled signal, as they
# stand in the kernels (a test counts them); a comparison, a choice or an absolute value is none.
# Of nr4 and nr8 the quick way, which nearly every sample takes.
SOLVER_OPERATIONS = {"rk2": 140, "rk4": 278, "nr4": 162, "nr8": 162, "stn": 143}
SINGLE_PRECISION = ("stn",)
HIGH_PASS_OPERATIONS = 18  # two sections: five multiplications and four additions each


@dataclass(frozen=True, kw_only=True)
class StageFigure:
    """One stage of a whole render by one process.

    Attributes:
        mode, oversampling: settings of the render.
        stage: its name.
        seconds: how long it took, of the fastest render.
        share: of the whole process, from its start to its end; all together are 1.
        operations: additions and multiplications for a sample of the source; None where it is not
            arithmetic that takes the time.
        of_peak: those that it did in a second as a share of what the core can do; None as above.
    """

    mode: str
    oversampling: int
    stage: str
    seconds: float
    share: float
    operations: float | None
    of_peak: float | None


def measure_stages(
    source: Path,
    folder: Path,
    modes: Sequence[str],
    factors: Sequence[int],
    machine: Machine,
    step: Callable[[str], None] = lambda _: None,
) -> list[StageFigure]:
    """Render a file with a clock on every stage, in every mode and at every factor.

    Raises:
        ChowtapeError: a render failed; says why.
    """
    with Source(source) as opened:
        samples = (opened.info.frames or 0) * opened.info.channels
    rows = []
    for mode in modes:
        for factor in factors:
            step(f"timing the stages: {mode}, {factor}x")
            taken = min(
                (_timed_stages(source, folder, mode, factor) for _ in range(REPEATS)),
                key=lambda seconds: sum(seconds.values()),
            )
            rows += _rows(mode, factor, taken, samples, machine)
    return rows


def _timed_stages(source: Path, folder: Path, mode: str, factor: int) -> dict[str, float]:
    """Return the seconds of each stage; all together are those of the process."""
    figures, output = folder / "stages.json", folder / "staged.wav"
    whole = timed([
        *(sys.executable, "-m", "chowtape_cli.bench.timer", str(figures)),
        *("render", str(source), str(output), "--jobs", "1", "--quiet", "--overwrite"),
        *("--mode", mode, "--oversampling", str(factor)),
    ])  # fmt: skip
    seconds: dict[str, float] = json.loads(figures.read_text(encoding="utf-8"))
    for path in (figures, output):
        path.unlink()
    seconds[STARTING] += whole - sum(seconds.values())  # before and after what was clocked
    return seconds


def _rows(
    mode: str, factor: int, seconds: dict[str, float], samples: int, machine: Machine
) -> list[StageFigure]:
    whole = sum(seconds.values())
    operations = operations_of(mode, factor)
    rows = []
    for stage, taken in seconds.items():
        each = operations.get(stage)
        single = stage == "hysteresis" and mode in SINGLE_PRECISION
        peak = machine.peak_gflops_single if single else machine.peak_gflops
        speed = each * samples / taken / 1e9 if each is not None and taken > 0.0 else None
        rows.append(
            StageFigure(
                mode=mode,
                oversampling=factor,
                stage=stage,
                seconds=taken,
                share=taken / whole,
                operations=each,
                of_peak=None if speed is None else speed / peak,
            )
        )
    return rows


def operations_of(mode: str, factor: int) -> dict[str, float]:
    """Return the additions and multiplications of each stage for a sample of the source.

    A multiply-add counts as two. Of the filters only taps that are not zero count: those of a
    stage, for every two samples of its upper rate.
    """
    up, down = stages(factor, "linear")
    return {
        "up-sampling": _of_filters([stage.taps for stage in up]),
        "hysteresis": float(SOLVER_OPERATIONS[mode] * factor),
        "down-sampling": _of_filters([stage.taps for stage in reversed(down)]),
        "high-pass": float(HIGH_PASS_OPERATIONS),
    }


def _of_filters(taps: list[NDArray[np.float64]]) -> float:
    """Return the operations of filters, that of the lowest rate first."""
    return float(sum(2 * 2**i * np.count_nonzero(response) for i, response in enumerate(taps)))

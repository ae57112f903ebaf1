"""Timing whole renders: the real command in a process of its own, from its start to the file."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chowtape_cli.audio_files import Destination, OutputFormat, Source
from chowtape_cli.bench.memory import Memory, watch
from chowtape_cli.bench.solvers import run_textbook
from chowtape_cli.dsp.synthesis import mix
from chowtape_cli.errors import ChowtapeError

RATE = 44_100
REPEATS = 3
MODES = ("nr8", "stn")
FACTORS = (2, 8)
_PIECE = 30.0  # seconds of music; a longer file repeats it
_YARDSTICK = 0.5  # seconds of music for the textbook solver, right before and after each render


@dataclass(frozen=True, kw_only=True)
class PathFigure:
    """One kind of whole render; the medians of the repeats.

    Attributes:
        mode, oversampling: its settings; the others are the defaults.
        jobs: worker processes; 1 for none.
        wall_seconds: from the start of the process to its end.
        realtime: audio seconds per wall second.
        megasamples: million oversampled samples a second, counting every channel.
        ratio_to_textbook: the same relative to what the textbook solver does on one core, measured
            right before and after each render.
        ratio_to_one_job: how many times as fast as one job.
        memory_mib: most memory of all processes together, with what they share counted once (their
            proportional set sizes); None where the system does not tell.
        resident_mib: the same with what they share counted for each (their resident set sizes).
    """

    mode: str
    oversampling: int
    jobs: int
    wall_seconds: float
    realtime: float
    megasamples: float
    ratio_to_textbook: float
    ratio_to_one_job: float
    memory_mib: float | None
    resident_mib: float | None


@dataclass(frozen=True)
class _Kind:
    mode: str
    factor: int
    jobs: int

    def command(self, source: Path, output: Path) -> list[str]:
        """Return the command line."""
        return [
            *(sys.executable, "-m", "chowtape_cli", "render", str(source), str(output)),
            *("--mode", self.mode, "--oversampling", str(self.factor), "--jobs", str(self.jobs)),
            "--quiet",
        ]


@dataclass
class _Runs:
    """What was measured of one kind, a figure for each repeat."""

    walls: list[float]
    ratios: list[float]
    memory: Memory | None


def make_music(path: Path, seconds: float) -> None:
    """Write a 24-bit stereo WAV file; one longer than half a minute repeats itself."""
    piece = mix(min(seconds, _PIECE), RATE)
    left = round(seconds * RATE)
    with Destination(path, OutputFormat("WAV", "PCM_24", RATE, 2)) as output:
        while left:
            output.write(piece[:left])
            left -= len(piece[:left])


def measure_paths(
    source: Path,
    folder: Path,
    modes: Sequence[str],
    factors: Sequence[int],
    step: Callable[[str], None] = lambda _: None,
) -> list[PathFigure]:
    """Render a file in every mode, at every factor, on one core and on all.

    A first round is watched for its memory and not timed. Then the kinds take turns, for machines
    drift. The output is a new file every time: to free the old one takes the system a while.

    Args:
        source: the file.
        folder: where output may go to.
        modes: of the solver.
        factors: of oversampling.
        step: called with what is about to be measured.

    Raises:
        ChowtapeError: a render failed; says why.
    """
    cores = os.cpu_count() or 1
    jobs = (1, cores) if cores > 1 else (1,)
    kinds = [_Kind(mode, factor, n) for mode in modes for factor in factors for n in jobs]
    output = folder / "rendered.wav"
    runs = {}
    for kind in kinds:
        step(f"rendering: {_named(kind)}")
        if kind.jobs == 1:
            timed(kind.command(source, output))  # kernels may have to be compiled
            output.unlink()
        runs[kind] = _Runs([], [], _watched(kind.command(source, output)))
        output.unlink()
    with Source(source) as opened:
        frames, rate, channels = opened.info.frames or 0, opened.info.rate, opened.info.channels
    for repeat in range(REPEATS):
        for kind in kinds:
            step(f"rendering: {_named(kind)}, {repeat + 1} of {REPEATS}")
            before = _textbook_rate()
            wall = timed(kind.command(source, output))
            output.unlink()
            textbook = 0.5 * (before + _textbook_rate())
            runs[kind].walls.append(wall)
            runs[kind].ratios.append(frames * channels * kind.factor / wall / textbook)
    return [
        _figure(kind, run, runs[_Kind(kind.mode, kind.factor, 1)], frames, rate, channels)
        for kind, run in runs.items()
    ]


def _named(kind: _Kind) -> str:
    return f"{kind.mode}, {kind.factor}x, {kind.jobs} job{'s' if kind.jobs > 1 else ''}"


def _figure(
    kind: _Kind, run: _Runs, alone: _Runs, frames: int, rate: int, channels: int
) -> PathFigure:
    wall = statistics.median(run.walls)
    gains = [one / other for one, other in zip(alone.walls, run.walls, strict=True)]
    return PathFigure(
        mode=kind.mode,
        oversampling=kind.factor,
        jobs=kind.jobs,
        wall_seconds=wall,
        realtime=frames / rate / wall,
        megasamples=frames * channels * kind.factor / wall / 1e6,
        ratio_to_textbook=statistics.median(run.ratios),
        ratio_to_one_job=statistics.median(gains),
        memory_mib=run.memory.shared_out if run.memory else None,
        resident_mib=run.memory.resident if run.memory else None,
    )


def _textbook_rate() -> float:
    """Return how many samples a second the textbook solver does."""
    samples = mix(_YARDSTICK, RATE)
    began = time.perf_counter()
    run_textbook(samples)
    return samples.size / (time.perf_counter() - began)


def timed(command: list[str]) -> float:
    """Run a command and return how long it took in seconds.

    Raises:
        ChowtapeError: it failed; says why.
    """
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wall = time.perf_counter() - began
    _check(done.returncode, done.stderr)
    return wall


def _watched(command: list[str]) -> Memory | None:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        memory = watch(process)
        assert process.stderr is not None
        _check(process.returncode, process.stderr.read())
    return memory


def _check(exit_code: int, complaint: str) -> None:
    if exit_code:
        last = (complaint.strip().splitlines() or [f"exit code {exit_code}"])[-1]
        raise ChowtapeError(f"a render of the benchmark failed: {last.removeprefix('chowtape: ')}")

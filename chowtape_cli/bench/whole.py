"""The whole benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from chowtape_cli.bench.machine import Machine, look_at_machine
from chowtape_cli.bench.paths import PathFigure, make_music, measure_paths
from chowtape_cli.bench.solvers import Figure, measure_solvers
from chowtape_cli.bench.stages import StageFigure, measure_stages


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Everything that was measured, in one run on one machine.

    Attributes:
        seconds: of audio.
        machine: what it ran on.
        solvers: the bare solvers.
        paths: whole renders.
        stages: where the time of the renders by one process went.
    """

    seconds: float
    machine: Machine
    solvers: list[Figure]
    paths: list[PathFigure]
    stages: list[StageFigure]

    def as_dict(self) -> dict[str, object]:
        """Return every figure by its name, ready for JSON."""
        return asdict(self)


def measure(
    seconds: float,
    source: Path | None,
    modes: Sequence[str],
    factors: Sequence[int],
    step: Callable[[str], None] = lambda _: None,
) -> Benchmark:
    """Time everything on generated stereo music, or on a recording.

    Args:
        seconds: length of the generated music.
        source: a recording to use instead.
        modes: of the solver, for whole renders.
        factors: of oversampling, for whole renders.
        step: called with what is about to be measured.

    Raises:
        AudioFileError: the recording can't be read.
        BankError: the networks can't be read.
        ChowtapeError: a render failed.
    """
    with tempfile.TemporaryDirectory(prefix="chowtape-bench-") as name:
        folder = Path(name)
        if source is None:
            step("making music")
            source = folder / "music.wav"
            make_music(source, seconds)
        machine = look_at_machine()
        solvers = measure_solvers(source, step)
        paths = measure_paths(source, folder, modes, factors, step)
        return Benchmark(
            seconds=paths[0].realtime * paths[0].wall_seconds,
            machine=machine,
            solvers=solvers,
            paths=paths,
            stages=measure_stages(source, folder, modes, factors, machine, step),
        )

"""What the tests share: the real command, real files, and the golden vectors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray
from processes import CHOWTAPE, COMPILING, PATIENCE, Start

DATA = Path(__file__).parent / "data"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def chowtape(tmp_path: Path) -> Run:
    """Run the real command in a process of its own, in the test's folder.

    What it says of compiling is left out, for it depends on what ran before.
    """

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **dict(options.pop("env", {}))}  # type: ignore[call-overload]
        done = subprocess.run(
            [*CHOWTAPE, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=PATIENCE,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        done.stderr = done.stderr.replace(COMPILING, "")
        return done

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the real command in the test's folder and go on; it ends with the test."""
    with Start(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def golden() -> dict[str, NDArray[np.float64]]:
    """Outputs of the hysteresis core of the ChowTape plugin 2.11.4; see data/README.md."""
    with np.load(DATA / "hysteresis_golden.npz") as file:
        return dict(file)


def music(seconds: float, rate: int, channels: int = 2, seed: int = 0) -> NDArray[np.float64]:
    """Notes with harmonics, hits and noise, Shape: (frames, channels), peak -2 dBFS."""
    noise = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    out = np.zeros((t.size, channels))
    for channel in range(channels):
        for _ in range(6):
            start = noise.uniform(0, max(seconds - 0.05, 0.01))
            pitch = 55.0 * 2 ** noise.uniform(0, 5)
            since = np.maximum(t - start, 0.0)
            body = sum(np.sin(2 * np.pi * k * pitch * since) / k for k in range(1, 5))
            out[:, channel] += body * np.exp(-since * noise.uniform(2, 12)) * (t >= start)
        out[:, channel] += 0.02 * noise.standard_normal(t.size)
    peak = np.abs(out).max(initial=0.0)
    return out * (0.8 / peak) if peak else out


def write_wav(path: Path, samples: NDArray[np.float64], rate: int = 44_100, **how: str) -> Path:
    """Write samples with the reference library, as DOUBLE unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, rate, **{"subtype": "DOUBLE", **how})
    return path

"""Measuring audio files, block by block: levels of one, and what is left between two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import AudioInfo, Source
from chowtape_cli.dsp.levels import LevelMeter, TruePeakMeter
from chowtape_cli.dsp.loudness import LoudnessMeter, integrated
from chowtape_cli.dsp.null_test import NullTest, Residual
from chowtape_cli.errors import AudioFileError
from chowtape_cli.files import shown

Progress = Callable[[int, "int | None", int], None]  # frames done, frames in all, sample rate
Samples = NDArray[np.float64]

# of all files together that are in memory at once
_SAMPLES_AT_ONCE = 1 << 20
_LEAST_FRAMES = 1 << 10


@dataclass(frozen=True)
class Levels:
    """Levels of a recording.

    Attributes:
        lufs: integrated loudness; None where it is shorter than 0.4 s or nothing passes the gate.
        true_peak_dbtp: None for silence.
        crest_db: sample peak over RMS; None for silence.
    """

    lufs: float | None
    true_peak_dbtp: float | None
    crest_db: float | None


def measure_together(
    paths: Sequence[Path], progress: Progress | None = None
) -> tuple[list[Levels], dict[tuple[int, int], Residual]]:
    """Measure files of one shape in a single pass.

    Returns:
        The levels of each file, and the residual of each pair by their places in ``paths``.

    Raises:
        AudioFileError: a file can't be read, or differs in rate, channels or length.
        SampleError: a sample is NaN or Inf.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(Source(path)) for path in paths]
        info = sources[0].info
        loudness = [LoudnessMeter(info.rate, info.channels) for _ in paths]
        peaks = [TruePeakMeter(info.channels) for _ in paths]
        levels = [LevelMeter() for _ in paths]
        nulls = {pair: NullTest() for pair in combinations(range(len(paths)), 2)}
        for blocks in _side_by_side(sources):
            for place, block in enumerate(blocks):
                loudness[place].push(block)
                peaks[place].push(block)
                levels[place].push(block)
            for (a, b), null in nulls.items():
                null.push(blocks[a], blocks[b])
            if progress is not None:
                progress(levels[0].frames, info.frames, info.rate)
    measured = [
        Levels(integrated(loud.blocks()), peak.dbtp(), level.crest_db)
        for loud, peak, level in zip(loudness, peaks, levels, strict=True)
    ]
    return measured, {pair: null.result() for pair, null in nulls.items()}


@dataclass(frozen=True, kw_only=True)
class Nulled:
    """Two files and what is left between them.

    Attributes:
        a, b: paths as they were given.
        rate, channels, frames: of both.
        residual: what is left.
    """

    a: str
    b: str
    rate: int
    channels: int
    frames: int
    residual: Residual

    def as_dict(self) -> dict[str, object]:
        """Return every figure by its name, ready for JSON."""
        figures = asdict(self)
        residual = figures.pop("residual")
        return {**figures, **residual}


def null_files(a: Path, b: Path, progress: Progress | None = None) -> Nulled:
    """Subtract one file from another.

    Raises:
        AudioFileError: a file can't be read, or they differ in rate, channels or length.
        SampleError: a sample is NaN or Inf.
    """
    null = NullTest()
    frames = 0
    with Source(a) as first, Source(b) as second:
        info = first.info
        for one, other in _side_by_side([first, second]):
            null.push(one, other)
            frames += len(one)
            if progress is not None:
                progress(frames, info.frames, info.rate)
    return Nulled(
        a=str(a),
        b=str(b),
        rate=info.rate,
        channels=info.channels,
        frames=frames,
        residual=null.result(),
    )


def _side_by_side(sources: Sequence[Source]) -> Iterator[list[Samples]]:
    """Yield the same stretch of every file; raise AudioFileError where they differ in shape."""
    for source in sources[1:]:
        _check_alike(sources[0].info, source.info)
    channels = sources[0].info.channels
    frames = max(_LEAST_FRAMES, _SAMPLES_AT_ONCE // (len(sources) * channels))
    streams = [source.blocks(frames) for source in sources]
    nothing = np.zeros((0, channels))
    done = [0] * len(sources)
    while True:
        blocks = [next(stream, nothing) for stream in streams]
        done = [count + len(block) for count, block in zip(done, blocks, strict=True)]
        for source, count in zip(sources, done, strict=True):
            if count != done[0]:  # what no header said
                raise _differ(sources[0].info, source.info, "length", "not the same", "")
        if len(blocks[0]) == 0:
            return
        yield blocks


def _check_alike(a: AudioInfo, b: AudioInfo) -> None:
    if a.rate != b.rate:
        raise _differ(a, b, "sample rate", f"{a.rate} Hz and {b.rate} Hz", "; convert one of them")
    if a.channels != b.channels:
        raise _differ(a, b, "channels", f"{a.channels} and {b.channels}", "; give both as many")
    estimated = "MP3" in (a.format, b.format)  # whose header may be wrong
    if not estimated and None not in (a.frames, b.frames) and a.frames != b.frames:
        raise _differ(
            a, b, "length", f"{a.frames} and {b.frames} frames", "; trim or align them first"
        )


def _differ(a: AudioInfo, b: AudioInfo, what: str, how: str, advice: str) -> AudioFileError:
    return AudioFileError(
        f"{shown(a.path)} and {shown(b.path)} can't be subtracted: they differ in {what} "
        f"({how}){advice}"
    )

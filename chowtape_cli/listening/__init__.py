"""The listening page: variants of one recording side by side in a browser, and a blind test.

A page that is opened from disk may not fetch its audio, but it may run scripts that lie beside it.
So the audio comes as scripts: each variant in pieces of a few seconds, each piece a FLAC file in
base64. Pieces keep memory bounded here and there, and let the page show how far it has come. Each
is labelled 48 kHz, whatever its rate, and decoded as such: so no browser resamples it, and FLAC,
which ends at 655 kHz, holds it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import Source, as_flac
from chowtape_cli.files import write_whole
from chowtape_cli.names import short_names

Progress = Callable[[int, "int | None", int], None]  # frames done, frames in all, sample rate

PIECE_FRAMES = 1 << 19
NAME_WIDTH = 24  # characters on a button or over a column
_BLOCK_FRAMES = 1 << 16
_LABEL_RATE = 48_000
_HERE = Path(__file__).parent
_STATIC = sorted(path for path in _HERE.iterdir() if path.suffix in (".css", ".js"))


def write_page(
    folder: Path, comparison: Mapping[str, Any], progress: Progress | None = None
) -> None:
    """Write index.html and what it needs into a folder that holds the variants' audio.

    Files of an earlier page are replaced; index.html comes last, once all it needs is there.

    Args:
        folder: where the page goes; each variant's ``path`` is relative to it.
        comparison: what ``chowtape ab --json`` prints: ``version``, ``source``, ``rate`` (Hz),
            ``channels``, ``frames``, ``seconds``, ``target_lufs``, ``variants`` and ``nulls``.
        progress: called with frames done, frames in all and the sample rate in Hz.

    Raises:
        AudioFileError: a variant's audio can't be read.
        SampleError: a sample is NaN or Inf.
        FileError: the page can't be written.
    """
    page = folder / "page"
    written = set()
    highest = 0.0
    done, total = 0, comparison["frames"] * len(comparison["variants"])
    for number, variant in enumerate(comparison["variants"]):
        for place, piece in enumerate(_pieces(folder / variant["path"])):
            peak = float(np.abs(piece).max(initial=0.0))
            highest = max(highest, peak)
            script = page / "audio" / f"{number}-{place}.js"
            write_whole(script, _audio_script(number, place, piece, peak))
            written.add(script)
            done += len(piece)
            if progress is not None:
                progress(done, total, comparison["rate"])
    for stale in set((page / "audio").glob("*.js")) - written:
        stale.unlink()
    for path in _STATIC:
        write_whole(page / path.name, path.read_bytes())
    write_whole(page / "comparison.js", _comparison_script(comparison, highest))
    write_whole(folder / "index.html", (_HERE / "page.html").read_bytes())


def _pieces(path: Path) -> Iterator[NDArray[np.float64]]:
    """Yield the audio as the page plays it, Shape: (up to PIECE_FRAMES, 1 or 2)."""
    with Source(path) as source:
        held: list[NDArray[np.float64]] = []
        for block in source.blocks(_BLOCK_FRAMES):
            held.append(_for_two_ears(block))
            if len(held) * _BLOCK_FRAMES == PIECE_FRAMES:
                yield np.concatenate(held)
                held = []
        if held:
            yield np.concatenate(held)


def _for_two_ears(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one or two channels as they are, and more as their mean."""
    return block if block.shape[1] <= 2 else block.mean(axis=1, keepdims=True)


def _audio_script(variant: int, place: int, piece: NDArray[np.float64], peak: float) -> bytes:
    """Return the script of one piece; over full scale it is halved until FLAC can hold it."""
    halvings = max(0, math.floor(math.log2(peak)) + 1) if peak >= 1.0 else 0
    audio = base64.b64encode(as_flac(piece * 0.5**halvings, _LABEL_RATE))
    return b'listening.audio(%d, %d, %d, "%b");\n' % (variant, place, 2**halvings, audio)


def _comparison_script(comparison: Mapping[str, Any], highest: float) -> bytes:
    """Return the script of everything but the audio."""
    peaks = [variant["true_peak_dbtp"] for variant in comparison["variants"]]
    peaks.append(20.0 * math.log10(highest) if highest > 0.0 else None)
    page = {
        "names": short_names([variant["name"] for variant in comparison["variants"]], NAME_WIDTH),
        "piece_frames": PIECE_FRAMES,
        "label_rate": _LABEL_RATE,
        "channels": comparison["channels"] if comparison["channels"] <= 2 else 1,
        "peak_db": max((peak for peak in peaks if peak is not None), default=None),
    }
    text = json.dumps({**comparison, "page": page}, allow_nan=False)
    return f"var listening = {{ comparison: {text} }};\n".encode()

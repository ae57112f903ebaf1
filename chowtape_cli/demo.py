"""The demo: a few seconds of stems that need no file, printed to tape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chowtape_cli.audio_files import Destination, OutputFormat, check_destination
from chowtape_cli.dsp.synthesis import stems
from chowtape_cli.render import FileReport, render_file
from chowtape_cli.settings import RenderSettings

RATE = 44_100
SECONDS = 10.0
SETTINGS = RenderSettings(drive=0.7, saturation=0.6, output_gain=-4.0)


def make_demo(
    folder: Path, *, overwrite: bool = False, step: Callable[[str], None] = lambda _: None
) -> list[FileReport]:
    """Write dry stems to ``folder/dry`` and the same stems from tape to ``folder/tape``.

    Args:
        folder: is made where it is missing.
        overwrite: whether files of an earlier demo are replaced.
        step: called with the name of each stem before it is made.

    Raises:
        AudioFileError: a file exists already or can't be written.
    """
    plan = OutputFormat("WAV", "PCM_24", RATE, 2)
    pieces = stems(SECONDS, RATE)
    for name in pieces:
        for kind in ("dry", "tape"):
            path = folder / kind / f"{name}.wav"
            check_destination(path, overwrite=overwrite)
    reports = []
    for name, samples in pieces.items():
        step(name)
        dry, tape = folder / "dry" / f"{name}.wav", folder / "tape" / f"{name}.wav"
        with Destination(dry, plan, overwrite=overwrite) as output:
            output.write(samples)
        reports.append(render_file(dry, tape, SETTINGS, overwrite=overwrite))
    return reports

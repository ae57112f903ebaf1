"""Every touch of soundfile and of the file system."""

from chowtape_cli.audio_files.destination import Destination, check_destination, coding_of
from chowtape_cli.audio_files.encoded import as_flac
from chowtape_cli.audio_files.formats import AudioInfo, OutputFormat, plan_output
from chowtape_cli.audio_files.source import Source

__all__ = [
    "AudioInfo",
    "Destination",
    "OutputFormat",
    "Source",
    "as_flac",
    "check_destination",
    "coding_of",
    "plan_output",
]

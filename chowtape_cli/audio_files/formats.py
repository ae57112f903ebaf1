"""What a source is, what a destination will be, and which containers hold what."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import soundfile as sf

from chowtape_cli.audio_files.metadata import Metadata
from chowtape_cli.dsp.coding import Packing
from chowtape_cli.errors import AudioFileError
from chowtape_cli.files import shown

EXTENSIONS = {
    "aif": "AIFF", "aifc": "AIFF", "aiff": "AIFF", "au": "AU", "avr": "AVR", "caf": "CAF",
    "flac": "FLAC", "htk": "HTK", "iff": "SVX", "mat": "MAT5", "mp3": "MP3", "mpc": "MPC2K",
    "nist": "NIST", "oga": "OGG", "ogg": "OGG", "opus": "OGG", "paf": "PAF", "pvf": "PVF",
    "rf64": "RF64", "sds": "SDS", "sf": "IRCAM", "snd": "AU", "sph": "NIST", "svx": "SVX",
    "voc": "VOC", "w64": "W64", "wav": "WAV", "wave": "WAV", "wve": "WVE", "xi": "XI",
}  # fmt: skip
WAV_FAMILY = ("WAV", "WAVEX", "RF64")

# subtypes whose samples are integers, and how wide they are
INTEGER_BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
    "ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32,
    "DWVW_12": 12, "DWVW_16": 16, "DWVW_24": 24, "DPCM_8": 8, "DPCM_16": 16,
}  # fmt: skip
# codecs that take 16-bit integers and code them in fewer bits; dither would only be coded as noise
SIXTEEN_BIT_CODECS = frozenset({
    "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "G721_32", "G723_24",
    "G723_40", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32",
})  # fmt: skip
FLOAT_BITS = {"FLOAT": 25, "DOUBLE": 54}
_FOUR_GIB = (1 << 32) - (1 << 20)  # less what the other chunks may take
_HIGHEST_RATE = {"VORBIS": 200_000}  # Hz; above, libsndfile does not refuse, but crashes
# MPEG-1, 2 and 2.5; libsndfile can't always read so short a trial back
_MP3_RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
LOSSY_BITS = 24  # what a decoded lossy source is kept at where its own coding can't be


@dataclass(frozen=True)
class AudioInfo:
    """What a source is.

    Attributes:
        path: where it is.
        rate: sample rate in Hz.
        channels: how many.
        frames: how many its header promises, or None where it does not say.
        format: libsndfile's name of the container (``WAV``, ``FLAC`` ...).
        subtype: libsndfile's name of the sample format (``PCM_16`` ...).
        metadata: tags, markers and the like.
    """

    path: Path
    rate: int
    channels: int
    frames: int | None
    format: str
    subtype: str
    metadata: Metadata = field(default_factory=Metadata)


@dataclass(frozen=True)
class OutputFormat:
    """How a destination is written: container, sample format, rate (Hz) and channels."""

    format: str
    subtype: str
    rate: int
    channels: int


# how samples lie in the files of these containers, which are little-endian
_PACKED_CONTAINERS = (*WAV_FAMILY, "W64")
_PACKINGS = {"PCM_16": "i2", "PCM_24": "i3", "PCM_32": "i4", "FLOAT": "f4", "DOUBLE": "f8"}


def packing_of(container: str, subtype: str) -> Packing | None:
    """Return how samples lie in a file, where that is plain; None where libsndfile must say."""
    if container not in _PACKED_CONTAINERS or sys.byteorder != "little":
        return None
    kind = _PACKINGS.get(subtype)
    return None if kind is None else Packing(kind)


def reason_of(error: sf.LibsndfileError) -> str:
    """Return what libsndfile says went wrong, without its punctuation."""
    return str(error.error_string).rstrip(". ").removeprefix("Error : ") or "unknown reason"


def plan_output(
    source: AudioInfo, destination: Path, subtype: str | None = None, rate: int | None = None
) -> OutputFormat:
    """Choose how a destination is written: container from its extension, the rest as the source.

    Where the container can't hold the source's sample format, the narrowest one that loses nothing
    takes its place, or the widest there is.

    Raises:
        AudioFileError: an unknown extension, or a subtype, rate or channel count that the
            container can't hold.
    """
    extension = destination.suffix.lower().lstrip(".")
    if extension not in EXTENSIONS:
        known = " ".join(sorted(EXTENSIONS))
        what = f"the extension .{extension} is not known" if extension else "has no extension"
        raise AudioFileError(f"{shown(destination)}: {what}; choose one of: {known}")
    container = EXTENSIONS[extension]
    if container == "WAV" and source.format in WAV_FAMILY:
        container = source.format
    held = _held(container)
    if subtype is not None and subtype not in held:
        raise AudioFileError(
            f"{shown(destination)}: {container} can't hold {subtype}; choose one of: "
            + " ".join(sorted(held))
        )
    if subtype is None and extension == "opus":
        subtype = "OPUS"
    rate = rate or source.rate
    wanted = [subtype] if subtype else _nearest_subtypes(source.subtype, container)
    for name in wanted:
        plan = OutputFormat(container, name, rate, source.channels)
        if _can_hold(plan):
            return _for_its_size(plan, source, destination)
    raise AudioFileError(
        f"{shown(destination)}: {container} {wanted[0]} can't hold {source.channels} "
        f"channel{'s' * (source.channels != 1)} at {rate} Hz; choose another extension, "
        "--rate or --subtype"
    )


def _for_its_size(plan: OutputFormat, source: AudioInfo, destination: Path) -> OutputFormat:
    """Return the plan, as RF64 where a WAV would pass 4 GiB; raise where there is no such way."""
    if source.frames is None or plan.format not in ("WAV", "WAVEX", "AIFF", "AU"):
        return plan
    bits = (INTEGER_BITS | {"FLOAT": 32, "DOUBLE": 64}).get(plan.subtype, 16)
    frames = source.frames * plan.rate // source.rate
    if frames * plan.channels * ((bits + 7) // 8) < _FOUR_GIB:
        return plan
    if plan.format in ("AIFF", "AU"):
        raise AudioFileError(
            f"{shown(destination)}: {plan.format} ends at 4 GiB, and this would be longer; "
            "name it .wav, .w64 or .caf"
        )
    return replace(plan, format="RF64")


# what libsndfile can do does not change, and thousands of files ask for the same
@cache
def _held(container: str) -> tuple[str, ...]:
    return tuple(sf.available_subtypes(container))


@cache
def _nearest_subtypes(subtype: str, container: str) -> list[str]:
    """Return what a container could hold a subtype as, best first.

    That is the subtype itself, then what loses nothing (the narrowest first), then the widest of
    what loses something, then what libsndfile takes by default.
    """
    held = _held(container)
    precision = INTEGER_BITS | FLOAT_BITS
    needed = precision.get(subtype, LOSSY_BITS)
    ranked = sorted((precision[name], name) for name in held if name in precision)
    enough = [name for bits, name in ranked if bits >= needed]
    too_few = [name for bits, name in reversed(ranked) if bits < needed]
    itself = [subtype] if subtype in held else []
    return [*itself, *enough, *too_few, str(sf.default_subtype(container))]


@cache
def _can_hold(plan: OutputFormat) -> bool:
    """Try in memory what libsndfile makes of it; some containers only fail when read back."""
    if plan.format == "MP3":
        return plan.rate in _MP3_RATES and plan.channels <= 2
    if plan.rate > _HIGHEST_RATE.get(plan.subtype, plan.rate):
        return False
    memory = io.BytesIO()
    try:
        with sf.SoundFile(
            memory, "w", plan.rate, plan.channels, plan.subtype, format=plan.format
        ) as trial:
            trial.write(np.zeros((64, plan.channels)))
        memory.seek(0)
        with sf.SoundFile(memory) as trial:
            return (trial.samplerate, trial.channels) == (plan.rate, plan.channels)
    except (sf.LibsndfileError, ValueError):
        return False

"""What a render is asked to do: frozen, validated settings and the ranges they may take."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from chowtape_cli.errors import SettingsError

MODES = ("rk2", "rk4", "nr4", "nr8", "stn")
OVERSAMPLING = (1, 2, 4, 8, 16, 32, 64)
PHASES = ("linear", "minimum")

# libsndfile's names of sample formats
SUBTYPES = (
    "PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW",
    "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32",
    "G721_32", "G723_24", "G723_40", "DWVW_12", "DWVW_16", "DWVW_24", "DPCM_8", "DPCM_16",
    "ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32", "VORBIS", "OPUS", "MPEG_LAYER_I",
    "MPEG_LAYER_II", "MPEG_LAYER_III",
)  # fmt: skip

# name: (lowest, highest, unit), both ends included
RANGES: dict[str, tuple[float, float, str]] = {
    "drive": (0.0, 1.0, ""),
    "saturation": (0.0, 1.0, ""),
    "bias": (0.0, 1.0, ""),
    "input_gain": (-120.0, 120.0, " dB"),
    "output_gain": (-120.0, 120.0, " dB"),
    "mix": (0.0, 100.0, " %"),
    "dc_block": (0.0, 1000.0, " Hz"),
    "rate": (1000, 768_000, " Hz"),
}
CHOICES: dict[str, tuple[object, ...]] = {
    "mode": MODES,
    "oversampling": OVERSAMPLING,
    "phase": PHASES,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderSettings:
    """The settings of one render; each is checked when the object is made.

    Attributes:
        mode: the solver of the hysteresis equation: ``rk2``, ``rk4``, ``nr4``, ``nr8``,
            or ``stn``, a network that makes nr8's step.
        drive: how hard the tape is driven, 0 to 1.
        saturation: how early it saturates, 0 to 1.
        bias: how much of the magnetisation is reversible, 0 to 1.
        oversampling: factor of the rate at which the hysteresis runs: 1, 2, 4 ... 64.
        phase: phase of the oversampling filters: ``linear`` or ``minimum``.
        input_gain: gain before the tape, in dB.
        output_gain: gain after the tape and before the mix, in dB.
        mix: share of the tape in the output, in percent; 0 is the source itself.
        makeup: whether the level that the settings take is given back.
        dc_block: corner of the high-pass after the tape, in Hz; 0 switches it off.
        rate: sample rate of the output in Hz; None keeps the source's.
        subtype: sample format of the output (``PCM_24``, ``FLOAT`` ...); None keeps the source's.
        dither: whether integer outputs of 16 bits or fewer are dithered.
        weights: for mode ``stn``, which networks: a bank's path, ``2x4``, ``2x8`` or ``3x4`` for
            one that came with chowtape, or a folder of ChowTape's RTNeural JSON files; None for
            ``2x4``.

    Raises:
        SettingsError: a value out of its range, not a number, or not one of the choices.
    """

    mode: str = "nr8"
    drive: float = 0.5
    saturation: float = 0.5
    bias: float = 0.5
    oversampling: int = 2
    phase: str = "linear"
    input_gain: float = 0.0
    output_gain: float = 0.0
    mix: float = 100.0
    makeup: bool = True
    dc_block: float = 35.0
    rate: int | None = None
    subtype: str | None = None
    dither: bool = True
    weights: str | None = None

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                listed = ", ".join(map(str, choices))
                raise SettingsError(
                    f"--{name} is {getattr(self, name)!s}, but must be one of {listed}"
                )
        for name in RANGES:
            if getattr(self, name) is not None:
                _check_range(name, getattr(self, name))
        if self.subtype is not None and self.subtype not in SUBTYPES:
            raise SettingsError(
                f"--subtype is {self.subtype}, but must be one of {', '.join(SUBTYPES)}"
            )
        if self.weights is not None and self.mode != "stn":
            raise SettingsError(f"--weights goes with --mode stn, not with --mode {self.mode}")
        for name in ("makeup", "dither"):
            if not isinstance(getattr(self, name), bool):
                raise SettingsError(
                    f"--{name} is {getattr(self, name)!r}, but must be true or false"
                )

    def as_dict(self) -> dict[str, object]:
        """Return every setting by its name, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _check_range(name: str, value: object) -> None:
    lowest, highest, unit = RANGES[name]
    option = "--" + name.replace("_", "-")
    allowed = f"{lowest:g} to {highest:g}{unit}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise SettingsError(f"{option} is {value!s}, which is not a number; give {allowed}")
    if not lowest <= value <= highest:
        raise SettingsError(f"{option} is {value:g}{unit}, but must be {allowed}")


def decibels_to_gain(decibels: float) -> float:
    """Return the linear gain of a level in dB (20 log10)."""
    return float(10.0 ** (decibels / 20.0))

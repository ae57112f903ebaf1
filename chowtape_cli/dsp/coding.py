"""From samples to what is stored: gain and mix, TPDF dither, rounding, and a count of what clips.

Dither whose density is triangular over +-1 LSB makes the first two moments of the rounding error
independent of the signal (Lipshitz, Wannamaker and Vanderkooy, "Quantization and Dither", JAES 40,
1992). A sample that already lies on the integer grid needs no rounding and so gets no dither:
digital silence stays silent, and an unprocessed sample comes out as it went in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.errors import SampleError

Samples = NDArray[np.float64]
Stored = NDArray[Any]  # float64, or integers left-justified in int32; or packed, in uint8
# Takes frames, a few at a time and in any order: the first one's place in the recording, and them.
Put = Callable[[int, Stored], None]

DITHER_SEED = 1 << 40  # where in the stream of noise the first sample of a file is
LARGEST = 1e30  # full scales; past that single precision overflows once gains are applied
_AT_ONCE = 16_384  # frames: what is between two steps stays in the cache


@dataclass(frozen=True)
class Packing:
    """How samples lie in a file: little-endian, channel beside channel.

    Attributes:
        kind: ``i2``, ``i3`` or ``i4`` for integers of so many bytes, ``f4`` or ``f8`` for floating
            point.
    """

    kind: str

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return int(self.kind[1:])


FLOAT64 = Packing("f8")


@dataclass(frozen=True)
class Coding:
    """How samples are stored.

    Attributes:
        bits: width of the integers, 2 to 32; None for floating point.
        dither: whether integers are dithered.
        limited: whether floating point that is over full scale counts as clipped.
        packing: how they lie in the file, where that is known; None leaves it to who writes them.
    """

    bits: int | None = None
    dither: bool = False
    limited: bool = False
    packing: Packing | None = None

    @property
    def width(self) -> int:
        """Bytes of a stored sample."""
        return self.packing.width if self.packing else 8 if self.bits is None else 4


@dataclass(frozen=True)
class Coded:
    """Samples as they are stored.

    Attributes:
        samples: float64, full scale +-1, or integers left-justified in 32 bits, Shape: (frames,
            channels); or packed, as uint8, Shape: (frames, bytes). None where they are in their
            place already.
        frames: how many.
        peak: the largest sample before it was rounded or clipped.
        clipped: how many samples were beyond full scale.
    """

    samples: Stored | None
    frames: int
    peak: float
    clipped: int


@dataclass(frozen=True)
class Extent:
    """What is known of samples: the largest, and how many a limit would clip."""

    peak: float
    over: int


def extent(samples: Samples, position: int, limit: float = LARGEST) -> Extent:
    """Measure samples, C-contiguous.

    Args:
        samples: Shape: (frames, channels).
        position: the frame that the first one is.
        limit: what is above it is counted.

    Raises:
        SampleError: a sample is NaN, Inf or absurdly large; says where.
    """
    from chowtape_cli.dsp.kernels.samples import ACCUMULATORS, measure

    found = np.zeros(ACCUMULATORS)
    measure(samples.reshape(-1), LARGEST, limit, found)
    if found[2].any():
        raise SampleError(_first_unusable(samples, position))
    return Extent(float(found[0].max()), int(found[1].sum()))


def _first_unusable(samples: Samples, position: int) -> str:
    frame, channel = np.argwhere(~(np.abs(samples) <= LARGEST))[0]
    value = samples[frame, channel]
    kind = "NaN" if np.isnan(value) else "Inf" if np.isinf(value) else f"{value:.2g}"
    return f"channel {channel + 1}, frame {position + frame} is {kind}"


def unpack(raw: NDArray[np.uint8], packing: Packing, out: Samples) -> None:
    """Fill ``out``, Shape: (frames, channels), from packed samples, Shape: (frames, bytes)."""
    if packing.kind == "i3":
        from chowtape_cli.dsp.kernels.samples import unpack_24

        unpack_24(raw.reshape(-1), out.reshape(-1))
        return
    samples = raw.view(f"<{packing.kind}")
    scale = 1.0 if packing.kind[0] == "f" else 2.0 ** (1 - 8 * packing.width)
    np.multiply(samples, scale, out=out)


def _pack(samples: Stored, packing: Packing, out: NDArray[np.uint8]) -> None:
    """Fill ``out``, Shape: (frames, bytes), from what is coded, Shape: (frames, channels)."""
    if packing.kind == "i3":
        from chowtape_cli.dsp.kernels.samples import pack_24

        pack_24(samples.reshape(-1), out.reshape(-1))
        return
    as_stored = out.view(f"<{packing.kind}")
    as_stored[:] = samples >> 16 if packing.kind == "i2" else samples


def code(
    wet: Samples,
    coding: Coding,
    position: int,
    *,
    gain: float = 1.0,
    dry: Samples | None = None,
    share: float = 0.0,
) -> Coded:
    """Return ``gain wet + share dry`` as it is stored.

    Args:
        wet: Shape: (frames, channels), C-contiguous, full scale +-1.
        coding: how it is stored.
        position: the frame of its file that the first one is: the dither depends on it.
        gain: linear.
        dry: in the shape of ``wet``, or None for nothing.
        share: linear.
    """
    from chowtape_cli.dsp.kernels.samples import ACCUMULATORS

    frames, channels = wet.shape
    out = room(frames, channels, coding)
    dry = wet if dry is None else dry
    found = np.zeros(ACCUMULATORS)
    clipped = 0
    for start in range(0, frames, _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        mixed = (wet[block], dry[block], gain, share)
        if coding.packing is None:
            clipped += _code(*mixed, coding, position + start, out[block], found)
        else:
            stored = room(len(wet[block]), channels, replace(coding, packing=None))
            clipped += _code(*mixed, coding, position + start, stored, found)
            _pack(stored, coding.packing, out[block])
    return Coded(out, frames, float(found[0].max()), clipped)


def stored_as(frames: int, channels: int, coding: Coding) -> tuple[tuple[int, int], type]:
    """Return the shape and type of `Coded.samples`."""
    if coding.packing is not None:
        return (frames, channels * coding.width), np.uint8
    return (frames, channels), np.float64 if coding.bits is None else np.int32


def room(frames: int, channels: int, coding: Coding) -> Stored:
    """Return an array for what is coded, with anything in it."""
    return np.empty(*stored_as(frames, channels, coding))


def _code(
    wet: Samples,
    dry: Samples,
    gain: float,
    share: float,
    coding: Coding,
    position: int,
    out: Stored,
    found: Samples,
) -> int:
    """Fill ``out``, note the peak in ``found``, and return how many samples were clipped."""
    from chowtape_cli.dsp.kernels.samples import (
        FIRST_COUNT,
        mix,
        mix_to_dithered_integers,
        mix_to_integers,
    )

    found[FIRST_COUNT] = 0.0
    a, b = wet.reshape(-1), dry.reshape(-1)
    if coding.bits is None:
        mix(a, b, gain, share, out.reshape(-1), found)
        return int(found[FIRST_COUNT].sum()) if coding.limited else 0
    full_scale = 2.0 ** (coding.bits - 1)
    if coding.dither:
        number = DITHER_SEED + position * wet.shape[1]
        mix_to_dithered_integers(a, b, gain, share, full_scale, number, out.reshape(-1), found)
    else:
        mix_to_integers(a, b, gain, share, full_scale, out.reshape(-1), found)
    return int(found[FIRST_COUNT].sum())

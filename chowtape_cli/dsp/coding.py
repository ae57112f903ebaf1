"""From samples to what is stored: gain and mix, TPDF dither, rounding, and a count of what clips.

Dither whose density is triangular over +-1 LSB makes the first two moments of the rounding error
independent of the signal (Lipshitz, Wannamaker and Vanderkooy, "Quantization and Dither", JAES 40,
1992). A sample that already lies on the integer grid needs no rounding and so gets no dither:
digital silence stays silent, and an unprocessed sample comes out as it went in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.errors import SampleError

Samples = NDArray[np.float64]
Stored = NDArray[Any]  # float64, or integers left-justified in int32

DITHER_SEED = 0x7A9E
LARGEST = 1e30  # full scales; past that single precision overflows once gains are applied
_DITHERED_AT_ONCE = 16_384  # frames


@dataclass(frozen=True)
class Coding:
    """How samples are stored.

    Attributes:
        bits: width of the integers, 2 to 32; None for floating point.
        dither: whether integers are dithered.
        limited: whether floating point that is over full scale counts as clipped.
    """

    bits: int | None = None
    dither: bool = False
    limited: bool = False


@dataclass(frozen=True)
class Coded:
    """Samples as they are stored.

    Attributes:
        samples: float64, full scale +-1, or integers left-justified in 32 bits.
        peak: the largest before it was rounded or clipped.
        clipped: how many were beyond full scale.
    """

    samples: Stored
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


def empty(frames: int, channels: int, coding: Coding) -> Stored:
    """Return room for coded samples, Shape: (frames, channels)."""
    return np.empty((frames, channels), np.float64 if coding.bits is None else np.int32)


def code(
    wet: Samples,
    coding: Coding,
    position: int,
    *,
    gain: float = 1.0,
    dry: Samples | None = None,
    share: float = 0.0,
    out: Stored | None = None,
) -> Coded:
    """Return ``gain wet + share dry`` as it is stored.

    Args:
        wet: Shape: (frames, channels), C-contiguous, full scale +-1.
        coding: how it is stored.
        position: the frame of its file that the first one is: the dither depends on it.
        gain: linear.
        dry: in the shape of ``wet``, or None for nothing.
        share: linear.
        out: where it goes to, see `empty`; made where None.
    """
    from chowtape_cli.dsp.kernels import samples as kernels

    out = empty(wet.shape[0], wet.shape[1], coding) if out is None else out
    dry = wet if dry is None else dry
    a, b = wet.reshape(-1), dry.reshape(-1)
    found = np.zeros(kernels.ACCUMULATORS)
    if coding.bits is None:
        kernels.mix(a, b, gain, share, out.reshape(-1), found)
        clipped = int(found[1].sum()) if coding.limited else 0
        return Coded(out, float(found[0].max()), clipped)
    full_scale = 2.0 ** (coding.bits - 1)
    if not coding.dither:
        kernels.mix_to_integers(a, b, gain, share, full_scale, out.reshape(-1), found)
        return Coded(out, float(found[0].max()), int(found[1].sum()))
    mixed = np.empty(wet.shape)
    kernels.mix(a, b, gain, share, mixed.reshape(-1), found)
    clipped = _dithered(mixed, coding.bits, position, out)
    return Coded(out, float(found[0].max()), clipped)


def _dithered(samples: Samples, bits: int, position: int, out: Stored) -> int:
    """Fill ``out`` with rounded samples and return how many were clipped."""
    frames, channels = samples.shape
    # one stream of random numbers dithers a file from its first sample on, two for each
    bit_generator = np.random.PCG64(DITHER_SEED)
    bit_generator.advance(2 * channels * position)
    random = np.random.Generator(bit_generator)
    lowest, highest = -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1.0
    clipped = 0
    for start in range(0, frames, _DITHERED_AT_ONCE):
        scaled = samples[start : start + _DITHERED_AT_ONCE] * 2.0 ** (bits - 1)
        rounded = np.rint(scaled)
        triangular = random.random((*scaled.shape, 2)) @ np.array([1.0, -1.0])
        rounded = np.where(rounded == scaled, rounded, np.rint(scaled + triangular))
        held = np.clip(rounded, lowest, highest)
        clipped += int(np.count_nonzero(held != rounded))
        out[start : start + len(held)] = held * 2.0 ** (32 - bits)
    return clipped

"""Loops over samples that lie one after the other: what is known of a source, and what is written.

Every loop has its sums and maxima side by side in an accumulator for each of LANES samples: the
order of a sum is fixed, and so the compiler can't make them so by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.native import inlined, kernel

# rows of the accumulators
PEAK, FIRST_COUNT, SECOND_COUNT = 0, 1, 2
ACCUMULATORS = (3, LANES)


@kernel
def measure(
    x: NDArray[np.float64], largest: float, limit: float, found: NDArray[np.float64]
) -> None:
    """Note the largest sample, and count what is above ``limit`` and what is not to ``largest``.

    Args:
        x: Shape: (samples,).
        largest: what is above it, or NaN, is unusable and counted second.
        limit: what is above it is counted first.
        found: Shape: ACCUMULATORS, added to.
    """
    for start in range(0, x.size, LANES):
        row = x[start : start + LANES]
        for i in range(row.size):
            size = abs(row[i])
            found[PEAK, i] = size if size > found[PEAK, i] else found[PEAK, i]
            found[FIRST_COUNT, i] += 1.0 if size > limit else 0.0
            found[SECOND_COUNT, i] += 0.0 if size <= largest else 1.0


@kernel
def mix(
    wet: NDArray[np.float64],
    dry: NDArray[np.float64],
    gain: float,
    share: float,
    out: NDArray[np.float64],
    found: NDArray[np.float64],
) -> None:
    """``out = gain wet + share dry``, Shape: (samples,) each; count first what is over 1."""
    for start in range(0, wet.size, LANES):
        a, b = wet[start : start + LANES], dry[start : start + LANES]
        to = out[start : start + LANES]
        for i in range(a.size):
            value = gain * a[i] + share * b[i]
            size = abs(value)
            found[PEAK, i] = size if size > found[PEAK, i] else found[PEAK, i]
            found[FIRST_COUNT, i] += 1.0 if size > 1.0 else 0.0
            to[i] = value


@kernel
def mix_to_integers(
    wet: NDArray[np.float64],
    dry: NDArray[np.float64],
    gain: float,
    share: float,
    full_scale: float,
    out: NDArray[np.int32],
    found: NDArray[np.float64],
) -> None:
    """The same, rounded to multiples of ``1/full_scale`` and left-justified in 32 bits.

    What is beyond the integers' range is clipped and counted first.
    """
    step = 2147483648.0 / full_scale
    highest = full_scale - 1.0
    for start in range(0, wet.size, LANES):
        a, b = wet[start : start + LANES], dry[start : start + LANES]
        to = out[start : start + LANES]
        for i in range(a.size):
            value = gain * a[i] + share * b[i]
            size = abs(value)
            found[PEAK, i] = size if size > found[PEAK, i] else found[PEAK, i]
            rounded = np.rint(value * full_scale)
            held = min(max(rounded, -full_scale), highest)
            found[FIRST_COUNT, i] += 0.0 if held == rounded else 1.0
            to[i] = np.int32(held * step)


@inlined
def _triangular(number: int) -> float:
    """Return the number-th value of a noise whose density is a triangle over +-1.

    The two halves of what SplitMix64 gives at that place, one less the other (G. Steele, D. Lea and
    C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014): any place of the
    stream is as near as the next one.
    """
    z = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    one, other = np.int64(z >> np.uint64(32)), np.int64(z & np.uint64(0xFFFFFFFF))
    return (one - other) * (1.0 / 4294967296.0)


@kernel
def mix_to_dithered_integers(
    wet: NDArray[np.float64],
    dry: NDArray[np.float64],
    gain: float,
    share: float,
    full_scale: float,
    number: int,
    out: NDArray[np.int32],
    found: NDArray[np.float64],
) -> None:
    """The same, dithered but for samples that are integers already.

    ``number`` is the place of the first sample in its file: the noise depends on it alone.
    """
    step = 2147483648.0 / full_scale
    highest = full_scale - 1.0
    for start in range(0, wet.size, LANES):
        a, b = wet[start : start + LANES], dry[start : start + LANES]
        to = out[start : start + LANES]
        for i in range(a.size):
            value = gain * a[i] + share * b[i]
            size = abs(value)
            found[PEAK, i] = size if size > found[PEAK, i] else found[PEAK, i]
            scaled = value * full_scale
            noise = _triangular(number + start + i)
            rounded = np.rint(scaled)
            rounded = rounded if rounded == scaled else np.rint(scaled + noise)
            held = min(max(rounded, -full_scale), highest)
            found[FIRST_COUNT, i] += 0.0 if held == rounded else 1.0
            to[i] = np.int32(held * step)


@kernel
def unpack_24(raw: NDArray[np.uint8], out: NDArray[np.float64]) -> None:
    """Fill ``out`` with the integers of three bytes each in ``raw``, full scale +-1."""
    for i in range(out.size):
        low, middle, high = np.int32(raw[3 * i]), np.int32(raw[3 * i + 1]), np.int32(raw[3 * i + 2])
        value = np.int32((high << 24) | (middle << 16) | (low << 8))
        out[i] = value * (1.0 / 2147483648.0)


@kernel
def pack_24(samples: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    """Fill ``out`` with the upper three bytes of every integer."""
    for i in range(samples.size):
        value = samples[i]
        out[3 * i] = (value >> 8) & 0xFF
        out[3 * i + 1] = (value >> 16) & 0xFF
        out[3 * i + 2] = (value >> 24) & 0xFF


@kernel
def travel(
    source: NDArray[np.float64],
    channels: int,
    gain: float,
    limit: float,
    cell: int,
    sums: NDArray[np.float64],
    travelled: NDArray[np.float64],
    loudest: NDArray[np.float64],
) -> None:
    """Measure how far the field travels, and how large it is, in every cell of time.

    Args:
        source: channel beside channel, Shape: (rows * channels,), at least a row after the cells.
        channels: how many.
        gain: of the source; what follows
        limit: is the field.
        cell: rows of a cell, a multiple of 8.
        sums: scratch, Shape: (2, 8 * channels).
        travelled: sum of the field's steps, Shape: (cells, channels).
        loudest: Shape: (cells, channels).
    """
    side = 8 * channels  # sums side by side, for the compiler to vectorise
    for i in range(travelled.shape[0]):
        for j in range(side):
            sums[0, j] = 0.0
            sums[1, j] = 0.0
        for first in range(i * cell * channels, (i + 1) * cell * channels, side):
            now, after = source[first : first + side], source[first + channels :]
            for j in range(side):
                field = min(max(gain * now[j], -limit), limit)
                then = min(max(gain * after[j], -limit), limit)
                sums[0, j] += abs(then - field)
                sums[1, j] = max(sums[1, j], abs(field))
        for channel in range(channels):
            total, largest = 0.0, 0.0
            for j in range(channel, side, channels):
                total += sums[0, j]
                largest = max(largest, sums[1, j])
            travelled[i, channel] = total
            loudest[i, channel] = largest

"""From samples to integers: TPDF dither, rounding, and a count of what clips.

Dither whose density is triangular over +-1 LSB makes the first two moments of the rounding error
independent of the signal (Lipshitz, Wannamaker and Vanderkooy, "Quantization and Dither", JAES 40,
1992). A sample that already lies on the integer grid needs no rounding and so gets no dither:
digital silence stays silent, and an unprocessed sample comes out as it went in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DITHER_SEED = 0x7A9E
LARGEST = 1e30  # full scales; past that single precision overflows once gains are applied


def first_unusable(block: NDArray[np.float64], position: int = 0) -> str | None:
    """Say where the first sample is that is NaN, Inf or absurdly large; None where all are good.

    Args:
        block: Shape: (frames, channels).
        position: the frame that the first one of the block is.
    """
    good = np.abs(block) <= LARGEST
    if good.all():
        return None
    frame, channel = np.argwhere(~good)[0]
    value = block[frame, channel]
    kind = "NaN" if np.isnan(value) else "Inf" if np.isinf(value) else f"{value:.2g}"
    return f"channel {channel + 1}, frame {position + frame} is {kind}"


def dither_source() -> np.random.Generator:
    """Return the generator whose stream dithers one file from its first sample on."""
    return np.random.Generator(np.random.PCG64(DITHER_SEED))


def quantise(
    samples: NDArray[np.float64], bits: int, dither: np.random.Generator | None
) -> tuple[NDArray[np.int32], int]:
    """Round samples to integers of the given width.

    Args:
        samples: Shape: (frames, channels), full scale +-1.
        bits: width of the integers, 2 to 32.
        dither: where the dither comes from, or None for none. Consecutive blocks of one file that
            share the generator give what one call on the whole file gives.

    Returns:
        The integers, left-justified in 32 bits, in the shape of ``samples``; and how many of them
        had to be clipped.
    """
    scaled = samples * 2.0 ** (bits - 1)
    rounded = np.rint(scaled)
    if dither is not None:
        triangular = dither.random((*samples.shape, 2)) @ np.array([1.0, -1.0])
        rounded = np.where(rounded == scaled, rounded, np.rint(scaled + triangular))
    lowest, highest = -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1.0
    clipped = int(np.count_nonzero((rounded < lowest) | (rounded > highest)))
    integers = np.clip(rounded, lowest, highest).astype(np.int64) << (32 - bits)
    return integers.astype(np.int32), clipped

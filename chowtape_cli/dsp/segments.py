"""Where a recording is cut, and how early a segment of it must start.

The tape forgets, with the distance that the field travels: the gate being open, a step of h takes
``exp(-2 |h|/(1.9 k))`` off what was different. The filters forget with time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import COERCIVITY
from chowtape_cli.dsp.kernels import LANES

# A recording that is no longer is not cut; nor is one of twice that where it is quickly done.
SHORT = 65_536
_QUICK = 4  # times oversampled at most
# Frames of a segment: long, so that little is computed twice, but a batch still fits in memory.
LONGEST = 131_072
# Segments need not be shorter than about this, though lanes are left: what starts early is computed
# twice, and other recordings take those lanes. One whose segments would be longer is more than one
# batch, for workers to share.
AMPLE = 65_536
# Batches of a longer recording come in multiples of this, so that two workers share evenly.
EVEN_SHARES = 2
# Frames that the oversampling filters look ahead, or back, at most.
FILTER_REACH = 128
# What a filter's past may still contribute, and how the tape is trusted to have forgotten.
FORGOTTEN = 1e-10
TRAVEL = 60.0 * COERCIVITY
LONGEST_LEAD_IN = 65_536
# Silent frames after which the filters have rung out, and the tape keeps the state it is in.
SILENT_BEFORE = 1024
# Seams lie between cells of so many frames, and may move by this part of a segment.
CELL = 64
FREEDOM = 4
# A high-pass that takes a larger part of a batch to forget runs through the recording in one go,
# after everything.
MOST_SETTLING = 1 / 8


@dataclass(frozen=True)
class Layout:
    """How a recording is cut; it depends on the recording and the settings alone.

    A batch of n segments makes ``n segment - settle`` frames: the first one starts early by as much
    as the high-pass takes to forget. (That of the recording's first batch need not.)

    Attributes:
        segment: frames of a segment.
        per_batch: segments of a batch, but for the last one.
        settle: frames in which the high-pass forgets; 0 where there is none in the segments.
    """

    segment: int
    per_batch: int
    settle: int

    @property
    def batch(self) -> int:
        """Frames that a whole batch makes."""
        return self.segment * self.per_batch - self.settle

    @property
    def lead(self) -> int:
        """Frames of source that a batch needs before the first one it makes."""
        return self.settle + FILTER_REACH + LONGEST_LEAD_IN

    @property
    def ahead(self) -> int:
        """Frames of source that it needs after the last one."""
        return FILTER_REACH

    def segments(self, frames: int) -> int:
        """Return how many segments make that many frames."""
        return -(-(frames + self.settle) // self.segment)


def cut(frames: int | None, channels: int, rate: int, dc_block: float) -> Layout:
    """Return how a recording is cut.

    Args:
        frames: how long it is; None where that is not known.
        channels: how many it has.
        rate: sample rate in Hz.
        dc_block: corner of the high-pass in Hz, 0 for none.
    """
    settle = 0 if filtered_last(dc_block, rate, channels) else _settling(dc_block, rate)
    settle += -settle % CELL  # seams lie on the grid of cells
    per_batch = _per_batch(channels)
    segment = LONGEST
    if frames is not None:
        batches = max(1, -(-frames // (per_batch * LONGEST - settle)))
        if batches > 1 or frames > per_batch * AMPLE:
            batches = -(-batches // EVEN_SHARES) * EVEN_SHARES
        else:
            per_batch = -(-frames // AMPLE)
        segment = -(-(-(-frames // batches) + settle) // per_batch)
        segment = min(segment, LONGEST)
    return Layout(segment, per_batch, settle)


def short(frames: int, oversampling: int) -> bool:
    """Say whether a recording is not cut: each channel is a lane, beside other recordings."""
    return frames <= (2 * SHORT if oversampling <= _QUICK else SHORT)


def sharing(frames: int, channels: int, oversampling: int) -> bool:
    """Say whether a recording is cut into one batch that leaves lanes to others."""
    return not short(frames, oversampling) and frames <= _per_batch(channels) * AMPLE


def filtered_last(dc_block: float, rate: int, channels: int) -> bool:
    """Say whether the high-pass takes so long to forget that it can't run in segments."""
    return _settling(dc_block, rate) > MOST_SETTLING * LONGEST * _per_batch(channels)


def _per_batch(channels: int) -> int:
    return max(1, LANES // channels)


def _settling(corner: float, rate: int) -> int:
    """Return after how many frames the high-pass has forgotten: its slowest poles decide."""
    if corner <= 0.0:
        return 0
    decay = 2.0 * math.pi * corner * math.cos(3.0 * math.pi / 8.0)
    return math.ceil(-math.log(FORGOTTEN) / decay * rate)


class Cuts(NamedTuple):
    """Where a batch is cut, in frames from its first one.

    Attributes:
        seams: where each segment's output begins; the first is ``-settle``, or 0 where the
            recording begins, Shape: (segments,).
        lengths: of their output, Shape: (segments,).
        lead_ins: how many frames before its seam each starts, Shape: (segments,).
        silent: whether its source is silence, from SILENT_BEFORE frames before it to what the
            filters look ahead, Shape: (segments,).
    """

    seams: NDArray[np.int64]
    lengths: NDArray[np.int64]
    lead_ins: NDArray[np.int64]
    silent: NDArray[np.bool_]

    @property
    def longest(self) -> int:
        """Frames of the longest segment, with what it starts early."""
        return int((self.lead_ins + self.lengths).max())


def travelled(
    block: NDArray[np.float64],
    gain: float,
    limit: float,
    distances: NDArray[np.float64],
    sizes: NDArray[np.float64],
) -> None:
    """Measure how far the field travels, and how large it is, in every cell.

    Args:
        block: source, and a frame after the last cell, Shape: (frames, channels).
        gain: of the source; what follows
        limit: is the field.
        distances: filled with the sum of the field's steps, Shape: (cells, channels).
        sizes: filled with the largest magnitude of the field, in the same shape.
    """
    from chowtape_cli.dsp.kernels.samples import travel

    channels = block.shape[1]
    scratch = np.empty((2, 8 * channels))
    travel(block.reshape(-1), channels, gain, limit, CELL, scratch, distances, sizes)


def cut_batch(
    distances: NDArray[np.float64],
    sizes: NDArray[np.float64],
    layout: Layout,
    frames: int,
    position: int,
) -> Cuts:
    """Cut a batch into segments that take equally long, lead-in and all.

    A segment starts as early as its field takes to travel TRAVEL, in the channel that takes
    longest, and LONGEST_LEAD_IN at most: in silence the tape never forgets, and the seam will have
    to be repaired. A seam is laid where that is soon, not far from where it would be in turn.

    Args:
        distances: of the cells, from ``layout.lead`` before the first frame; see `travelled`.
        sizes: likewise.
        layout: how the recording is cut.
        frames: how many the batch makes.
        position: the frame of the recording that the first one is.
    """
    needed = _lead_ins(distances, sizes)
    early = layout.settle if position else 0
    first = (layout.lead - early) // CELL  # the cell of the first seam
    last = first + -(-(frames + early) // CELL)
    segments = layout.segments(frames)

    def cells(longest: int) -> list[int]:
        """Return the seams of segments that take so long, lead-in and all, as far as they get."""
        seams = [first]
        while seams[-1] < last and len(seams) <= segments:
            here = seams[-1]
            end = here + max(1, longest - needed[here])
            if end >= last:
                return [*seams, last]
            start = max(here + 1, end - (end - here) // FREEDOM)
            candidates = np.arange(start, end + 1)
            seams.append(int(candidates[np.argmax(candidates - needed[start : end + 1])]))
        return seams

    low, high = 0, last - first + int(needed.max(initial=0))
    while high - low > 1:
        middle = (low + high) // 2
        tried = cells(middle)
        if tried[-1] == last and len(tried) <= segments + 1:
            high = middle
        else:
            low = middle
    chosen = np.array(cells(high))
    seams = (chosen - first) * CELL - early
    seams[-1] = frames
    sounding = np.concatenate(([0], np.cumsum(sizes.any(axis=1))))
    ends = np.minimum(chosen[1:] + layout.ahead // CELL, len(sizes))
    silent = sounding[ends] == sounding[chosen[:-1] - SILENT_BEFORE // CELL]
    return Cuts(seams[:-1], np.diff(seams), needed[chosen[:-1]] * CELL, silent)


def _lead_ins(distances: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many cells before each cell a segment that begins there has to start."""
    most = LONGEST_LEAD_IN // CELL
    here = np.arange(len(distances))
    needed = np.zeros(len(distances), np.int64)
    for distance, size in zip(distances.T, sizes.T, strict=True):
        so_far = np.concatenate(([0.0], np.cumsum(distance)))[:-1]
        start = np.searchsorted(so_far, so_far - TRAVEL, side="right") - 1
        back = np.minimum(here - start, most)
        # silence for so long: nothing to forget, or nothing to forget it by
        sounding = np.concatenate(([0], np.cumsum(size > 0.0)))[:-1]
        silent = sounding == sounding[np.maximum(here - most, 0)]
        needed = np.maximum(needed, np.where(silent, 0, back))
    return needed

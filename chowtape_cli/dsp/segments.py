"""Where a recording is cut, and how early a segment of it must start.

The tape forgets, with the distance that the field travels: the gate being open, a step of h takes
``exp(-2 |h|/(1.9 k))`` off what was different. The filters forget with time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import COERCIVITY
from chowtape_cli.dsp.kernels import LANES

# Frames of a segment: long, so that little is computed twice, but a batch still fits in memory.
LONGEST, SHORTEST = 131_072, 16_384
# Batches of a longer recording come in multiples of this, so that two workers share evenly.
EVEN_SHARES = 2
# Frames that the oversampling filters look ahead, or back, at most.
FILTER_REACH = 128
# What a filter's past may still contribute, and how the tape is trusted to have forgotten.
FORGOTTEN = 1e-10
TRAVEL = 60.0 * COERCIVITY
LONGEST_LEAD_IN = 65_536


@dataclass(frozen=True)
class Layout:
    """How a recording is cut; it depends on the recording and the settings alone.

    Attributes:
        segment: frames of a segment.
        per_batch: segments of a batch, but for the last one.
        settle: frames from a seam to its segment, in which the filters settle.
        lead: frames of source that a batch needs before its first segment.
        ahead: frames of source that it needs after its last one.
    """

    segment: int
    per_batch: int
    settle: int
    lead: int
    ahead: int

    @property
    def batch(self) -> int:
        """Frames of a whole batch."""
        return self.segment * self.per_batch


@dataclass(frozen=True)
class Task:
    """One batch: what it needs of the source, and how many frames it makes.

    Attributes:
        region: see `dsp.chain.render_batch`.
        frames: of output.
        first: whether the recording begins with it.
    """

    region: NDArray[np.float64]
    frames: int
    first: bool


def cut(frames: int | None, channels: int, rate: int, dc_block: float) -> Layout:
    """Return how a recording is cut.

    Args:
        frames: how long it is; None where that is not known.
        channels: how many it has.
        rate: sample rate in Hz.
        dc_block: corner of the high-pass in Hz, 0 for none.
    """
    if frames is not None and frames <= SHORTEST:  # one segment: there is no past to settle from
        segment = max(frames, FILTER_REACH)
        return Layout(segment, 1, FILTER_REACH, FILTER_REACH + LONGEST_LEAD_IN, FILTER_REACH)
    settle = FILTER_REACH + _settling(dc_block, rate)
    per_batch = max(1, LANES // channels)
    longest = max(LONGEST, 2 * settle)
    segment = longest
    if frames is not None:
        batches = -(-frames // (per_batch * longest))
        if batches > 1:
            batches = -(-batches // EVEN_SHARES) * EVEN_SHARES
        segment = -(-frames // (per_batch * max(1, batches)))
        segment = min(max(segment, SHORTEST, settle), longest)
    # a very low corner makes long segments; fewer of them keep a batch in memory
    per_batch = max(1, min(per_batch, per_batch * LONGEST // segment))
    return Layout(segment, per_batch, settle, settle + LONGEST_LEAD_IN, FILTER_REACH)


def _settling(corner: float, rate: int) -> int:
    """Return after how many frames the high-pass has forgotten: its slowest poles decide."""
    if corner <= 0.0:
        return 0
    decay = 2.0 * math.pi * corner * math.cos(3.0 * math.pi / 8.0)
    return math.ceil(-math.log(FORGOTTEN) / decay * rate)


def lead_in(driven: NDArray[np.float64], layout: Layout, segments: int) -> int:
    """Return how many frames before its seam each segment starts.

    As many as the field takes to travel TRAVEL, in the lane that takes longest, and LONGEST_LEAD_IN
    at most: in silence the tape never forgets, and the seam will have to be repaired.

    Args:
        driven: the field, from ``layout.lead`` before the first segment, Shape: (frames, channels).
        layout: how the recording is cut.
        segments: how many the batch has.
    """
    longest = 1
    for segment in range(segments):
        seam = layout.lead - layout.settle + segment * layout.segment
        size = 2_048
        while size < LONGEST_LEAD_IN:
            past = driven[max(0, seam - size) : seam]
            if not past.any():  # nothing to forget, or nothing to forget it by
                size = 1
                break
            if np.abs(np.diff(past, axis=0)).sum(axis=0).min(initial=np.inf) >= TRAVEL:
                break
            size *= 2
        longest = max(longest, min(size, LONGEST_LEAD_IN))
    return longest

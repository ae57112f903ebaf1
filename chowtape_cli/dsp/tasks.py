"""What is rendered at once: a run of segments of one recording, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.coding import Coding, Extent, Packing, Put
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.segments import Cuts, Layout

Samples = NDArray[np.float64]
Frames = NDArray[np.int64]
# Gives so many packed frames of the source from one on, Shape: (frames, bytes), until the next
# call; zeros before the first frame and after the last.
Take = Callable[[int, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Job:
    """How a recording is rendered.

    Attributes:
        path: what to do.
        rate: sample rate in Hz.
        channels: how many it has.
        layout: how it is cut.
        packing: how the source is stored.
        coding: how the output is stored.
    """

    path: SignalPath
    rate: int
    channels: int
    layout: Layout
    packing: Packing
    coding: Coding

    @property
    def rows(self) -> int:
        """Frames of source that a whole batch takes."""
        return self.layout.lead + self.layout.batch + self.layout.ahead

    @property
    def lanes(self) -> int:
        """Lanes that a whole batch takes."""
        return self.layout.per_batch * self.channels


@dataclass(frozen=True)
class Task:
    """One batch.

    Attributes:
        frames: of output.
        position: the frame of the recording that the first one is.
        take: gives the source, from ``layout.lead`` frames before the batch to ``layout.ahead``
            frames after it; what it gives beyond that does not matter.
        put: takes the output.
    """

    frames: int
    position: int
    take: Take
    put: Put


# what a batch has of each segment
_OF_SEGMENTS = (
    "begins", "ends", "dc_begins", "dc_ends", "resets", "slopes", "repaired", "pieces", "trails",
)  # fmt: skip


class Piece(NamedTuple):
    """Some frames of a segment's output, from one before another, and what was counted in them."""

    first: int
    last: int
    peak: float
    clipped: int


class Trail(NamedTuple):
    """The states of the tape that a segment has passed.

    Attributes:
        rows: of the raised rate, from the seam, Shape: (states,).
        states: those before the rows, Shape: (states, rows of a state, channels).
        resets: how often a solver was set back, from where the segment's are counted to there,
            Shape: (states, channels).
    """

    rows: Frames
    states: Samples
    resets: Samples

    def at(self, row: int) -> tuple[Samples, Samples] | None:
        """Return the state before a row and the resets so far, None where they were not noted."""
        place = int(np.searchsorted(self.rows, row))
        if place < len(self.rows) and self.rows[place] == row:
            return self.states[place], self.resets[place]
        return None


@dataclass
class Batch:
    """What became of a batch, segment by segment: enough to compute some of them again.

    Attributes:
        frames: of output.
        source: the extent of the source.
        cuts: where its segments lie.
        begins: the tape's state at each segment's seam, Shape: (segments, rows, channels).
        ends: the same at its end.
        next_begin: that at the seam that the next batch begins with, Shape: (rows, channels).
        dc_begins: that of the high-pass at each seam, Shape: (segments, STATE, channels).
        dc_ends: the same at its end.
        resets: how often a solver ran away and was set back to zero, Shape: (segments, channels).
        slopes: of each segment's end state by that at its seam, as far as it is known, else 0, in
            the shape of both.
        repaired: whether each segment was computed again, Shape: (segments,).
        pieces: the output of each segment.
        trails: of each segment, the newest last.
    """

    frames: int
    source: Extent
    cuts: Cuts
    begins: Samples
    ends: Samples
    next_begin: Samples
    dc_begins: Samples
    dc_ends: Samples
    resets: Samples
    slopes: Samples
    repaired: NDArray[np.bool_]
    pieces: list[list[Piece]]
    trails: list[list[Trail]]

    @classmethod
    def empty(cls, job: Job, frames: int, source: Extent, cuts: Cuts) -> Batch:
        """Return a batch of which nothing is known yet."""
        segments = len(cuts.lead_ins)
        tape = (Hysteresis.state_rows(job.path.network), job.channels)
        high_pass = (DCBlocker.STATE, job.channels)
        return cls(
            frames=frames,
            source=source,
            cuts=cuts,
            begins=np.zeros((segments, *tape)),
            ends=np.zeros((segments, *tape)),
            next_begin=np.zeros(tape),
            dc_begins=np.zeros((segments, *high_pass)),
            dc_ends=np.zeros((segments, *high_pass)),
            resets=np.zeros((segments, job.channels)),
            slopes=np.zeros((segments, *tape)),
            repaired=np.zeros(segments, np.bool_),
            pieces=[[] for _ in range(segments)],
            trails=[[] for _ in range(segments)],
        )

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Return the segments of several batches as those of one."""
        if len(batches) == 1:
            return batches[0]
        cuts = Cuts(*map(np.concatenate, zip(*(batch.cuts for batch in batches), strict=True)))
        whole = replace(batches[0], cuts=cuts, frames=sum(batch.frames for batch in batches))
        for name in _OF_SEGMENTS:
            each = [getattr(batch, name) for batch in batches]
            lists = isinstance(each[0], list)
            setattr(whole, name, [*chain(*each)] if lists else np.concatenate(each))
        return whole

    def part(self, batches: Sequence[Batch]) -> None:
        """Give back to batches that were joined what has become of their segments."""
        first = 0
        for batch in batches:
            last = first + len(batch.cuts.seams)
            for name in _OF_SEGMENTS:
                setattr(batch, name, getattr(self, name)[first:last])
            first = last

    def passed(self, segment: int, row: int) -> tuple[Samples, Samples] | None:
        """Return what a segment's newest trail has noted of a row; see `Trail.at`."""
        found = (trail.at(row) for trail in reversed(self.trails[segment]))
        return next((noted for noted in found if noted is not None), None)

    @property
    def repairs(self) -> int:
        """Seams that disagreed."""
        return int(self.repaired.sum())

    @property
    def peak(self) -> float:
        """The largest sample of output, before it was rounded or clipped."""
        return max(piece.peak for pieces in self.pieces for piece in pieces)

    @property
    def clipped(self) -> int:
        """Samples of output that were beyond full scale."""
        return sum(piece.clipped for pieces in self.pieces for piece in pieces)

"""Where a batch finds its source and leaves its output: in memory, or in files by itself."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.chain import render_batch
from chowtape_cli.dsp.coding import Put, Stored
from chowtape_cli.dsp.tasks import Batch, Job, Take, Task

Samples = NDArray[np.float64]
Raw = NDArray[np.uint8]


class Opens(Protocol):
    """Samples in a file; every process opens it for itself."""

    def open(self) -> AbstractContextManager[Any]:
        """Open it; what comes is a `Take` of a source, a `Put` of an output."""


@dataclass(frozen=True)
class Places:
    """Where the workers find the source and put the output; None where it goes through us."""

    source: Opens | None
    output: Opens | None


def within(region: Raw, position: int) -> Take:
    """Return what gives frames of a part of a recording that begins at a frame of it."""

    def take(first: int, count: int) -> Raw:
        at = first - position
        if at >= 0 and at + count <= len(region):
            return region[at : at + count]
        frames = np.zeros((count, region.shape[1]), np.uint8)
        part = region[max(at, 0) : max(at + count, 0)]
        frames[max(-at, 0) :][: len(part)] = part
        return frames

    return take


def into(out: Stored, position: int) -> Put:
    """Return what puts frames into an array that begins at a frame of the recording."""

    def put(first: int, samples: Stored) -> None:
        out[first - position : first - position + len(samples)] = samples

    return put


@dataclass
class Ticket:
    """A batch that is on its way.

    Attributes:
        region: its source, from ``layout.lead`` frames before it; None where it has a place.
        out: its output, likewise.
        held: what its runner knows of it.
        frames: of output.
        position: of the first one.
    """

    region: Raw | None
    out: Stored | None
    held: Any = None
    frames: int = 0
    position: int = 0


def render_task(
    job: Job,
    places: Places,
    ticket: Ticket,
    before: Samples | None = None,
    earlier: Batch | None = None,
) -> Batch:
    """Render a batch whose source, and output, are either in memory or have places in files.

    Arguments as in `render_batch`.
    """
    position = ticket.position
    with ExitStack() as stack:
        if places.source is not None:
            take = stack.enter_context(places.source.open())
        else:
            assert ticket.region is not None
            take = within(ticket.region, position - job.layout.lead)
        if places.output is not None:
            put = stack.enter_context(places.output.open())
        else:
            assert ticket.out is not None
            put = into(ticket.out, position)
        return render_batch(job, Task(ticket.frames, position, take, put), before, earlier)

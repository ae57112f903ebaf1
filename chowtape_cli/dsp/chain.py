"""The signal path of a render, for stretches of time that are laid out over lanes.

    input gain -> clip guard -> up xN -> hysteresis -> makeup -> down xN -> DC blocker
    -> output gain -> dry/wet mix

A batch is a run of segments of one recording. Each segment is computed in lanes of its own, one for
each channel, side by side with the others. It starts early, long enough before its own time for
the tape to have forgotten that it was started from rest. There, at the seam, the state of the tape
is compared with what the segment before has. Where they disagree the segment is computed again from
the state of the one before, until it meets what was computed first. So the result is that of one
run from the start.

The high-pass forgets slowly, but it is linear: started from a wrong state, it is off by what that
state alone rings to in silence. So it runs with the segments, and its states at the seams tell what
to add afterwards. Only a batch's first segment starts early for its sake.

Of a batch nothing is ever held whole: each segment takes its source, and gives its output, a window
at a time. To hand out memory costs a system more time than to filter what is put there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chowtape_cli.dsp.buffers import RowBuffer, lend
from chowtape_cli.dsp.coding import Extent, extent, unpack
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.lanes import CACHE_ROWS
from chowtape_cli.dsp.segments import CELL, cut_batch, travelled
from chowtape_cli.dsp.tasks import Batch, Job, Samples, Task
from chowtape_cli.dsp.work import Work

_SURVEYED = 32_768  # frames that are measured at once: they stay in the second-level cache


def render_batch(
    job: Job, task: Task, before: Samples | None = None, earlier: Batch | None = None
) -> Batch:
    """Render a run of segments.

    Args:
        job: how.
        task: the batch.
        before: the tape's state at the first seam where it is known, Shape: (rows, channels).
        earlier: what became of it when that was not known; its output is still in its place. It
            is used up.

    Raises:
        SampleError: a sample of the source is unusable; says where.
    """
    known = {} if before is None else {0: before}
    if earlier is not None and Work(job, [task], [earlier]).correct(known):
        return earlier
    batch = survey(job, task)
    Work(job, [task], [batch]).run(known)
    return batch


def render_beside(job: Job, tasks: Sequence[Task], batches: Sequence[Batch]) -> None:
    """Render recordings that are a batch each, and have been surveyed, in lanes side by side.

    Each gets what `render_batch` gives it.

    Args:
        job: how; they differ in their layout at most.
        tasks: the batches.
        batches: what is known of them; filled.
    """
    Work(job, tasks, batches).run({})


def survey(job: Job, task: Task) -> Batch:
    """Measure the source of a batch, and cut it where that suits it; nothing is rendered yet.

    Raises:
        SampleError: a sample of the source is unusable; says where.
    """
    path, layout = job.path, job.layout
    gain, limit = path.input_gain, GUARD[path.mode]
    rows = layout.lead + task.frames + layout.ahead
    cells = (rows - 1) // CELL  # there has to be a row after the last one
    distances, sizes = np.empty((2, cells, job.channels))
    peak, over = 0.0, 0
    # nothing is before the recording; the cell before its first frame has a step to it
    unheard = max(0, (layout.lead - task.position) // CELL - 1)
    distances[:unheard] = sizes[:unheard] = 0.0
    for start in range(unheard, cells, _SURVEYED // CELL):
        stop = min(start + _SURVEYED // CELL, cells)
        at, behind = start * CELL, stop * CELL
        block = lend("survey", behind - at + 1, job.channels)
        unpack(task.take(task.position - layout.lead + at, len(block)), job.packing, block)
        first, last = max(at, layout.lead), min(behind, layout.lead + task.frames)
        if first < last:
            position = task.position - layout.lead + first
            found = extent(block[first - at : last - at], position, limit / gain)
            peak, over = max(peak, found.peak), over + found.over
        travelled(block, gain, limit, distances[start:stop], sizes[start:stop])
    cuts = cut_batch(distances, sizes, layout, task.frames, task.position)
    return Batch.empty(job, task.frames, Extent(peak, over), cuts)


class LateDCBlocker:
    """The high-pass of a corner so low that it runs through a recording in one go, in order."""

    def __init__(self, corner: float, rate: int, channels: int) -> None:
        self._blockers = [DCBlocker(corner, rate) for _ in range(0, channels, LANES)]
        self._rows = RowBuffer()

    def push(self, wet: Samples) -> None:
        """Filter frames in place, Shape: (n, channels)."""
        for start in range(0, len(wet), CACHE_ROWS):
            for i, blocker in enumerate(self._blockers):
                part = wet[start : start + CACHE_ROWS, i * LANES : (i + 1) * LANES]
                rows = self._rows.blank(len(part))
                rows[:, : part.shape[1]] = part
                part[:] = blocker.push(rows)[:, : part.shape[1]]

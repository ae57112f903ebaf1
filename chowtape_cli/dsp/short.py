"""Recordings that are not cut: a channel is a lane, and recordings share them.

What a lane gives depends on nothing beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import Arena, lend
from chowtape_cli.dsp.coding import Coded, Coding, Extent, extent
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.lanes import gather, scatter
from chowtape_cli.dsp.lanes import Lanes
from chowtape_cli.dsp.path import SignalPath, finish
from chowtape_cli.dsp.segments import FILTER_REACH

Samples = NDArray[np.float64]


class Short(NamedTuple):
    """What became of a short recording.

    Attributes:
        output: the samples, as they are stored.
        source: the extent of the source.
        resets: how often a solver ran away and was set back to zero.
    """

    output: Coded
    source: Extent
    resets: int


def render_short(
    path: SignalPath, rate: int, sources: list[Samples], codings: list[Coding]
) -> list[Short]:
    """Render recordings that are not cut; each gets what it would get alone.

    Args:
        path: what to do.
        rate: sample rate in Hz.
        sources: Shape: (frames, channels) each.
        codings: how the output of each is stored.

    Raises:
        SampleError: a sample of a source is unusable; says where.
    """
    limit = GUARD[path.mode]
    extents = [extent(source, 0, limit / path.input_gain) for source in sources]
    memory = Arena("wet", sum(source.size for source in sources))
    wets = [memory.array(*source.shape) for source in sources]
    resets = [0] * len(sources)
    pairs = [(i, channel) for i, x in enumerate(sources) for channel in range(x.shape[1])]
    pairs.sort(key=lambda pair: len(sources[pair[0]]))
    for first in range(0, len(pairs), LANES):
        for i, count in _run(path, rate, sources, wets, pairs[first : first + LANES]):
            resets[i] += count
    return [
        Short(finish(path, coding, wet, dry, 0), found, count)
        for coding, wet, dry, found, count in zip(
            codings, wets, sources, extents, resets, strict=True
        )
    ]


def _run(
    path: SignalPath,
    rate: int,
    sources: list[Samples],
    wets: list[Samples],
    pairs: list[tuple[int, int]],
) -> list[tuple[int, int]]:
    """Fill the output of some channels and return the resets of each recording."""
    lanes = Lanes(path, rate, len(pairs))
    blocker = DCBlocker(path.dc_block, rate) if path.dc_block > 0.0 else None
    # the filters ring before the first frame too; the tape rests until then
    lanes.hysteresis.rest(FILTER_REACH * path.oversampling, list(range(len(pairs))))
    longest = max(len(sources[i]) for i, _ in pairs)
    # one channel after the other, each with silence around it; always whole steps, so that it
    # makes no difference who is beside
    steps = -(-(longest + 2 * FILTER_REACH) // lanes.step)
    span = steps * lanes.step
    given_rows, wet_rows = (
        lend("source", len(pairs) * span, 1),
        lend("output", len(pairs) * span, 1),
    )
    given_rows[:] = 0.0
    for lane, (i, channel) in enumerate(pairs):
        first = lane * span + FILTER_REACH
        given_rows[first : first + len(sources[i]), 0] = sources[i][:, channel]
    starts = np.arange(len(pairs)) * span
    first_channel, begins = np.zeros_like(starts), np.zeros_like(starts)
    given = 0
    for at in range(0, span, lanes.step):
        rows = lanes.room(lanes.step)
        gather(given_rows, starts + at, first_channel, path.input_gain, GUARD[path.mode], rows)
        ready = lanes.pass_on()
        ready[: max(0, FILTER_REACH - given)] = 0.0
        if blocker is not None:
            blocker.push(ready)
        ends = np.full_like(starts, len(ready))
        scatter(ready, starts + given, first_channel, begins, ends, wet_rows)
        given += len(ready)
    for lane, (i, channel) in enumerate(pairs):
        first = lane * span + FILTER_REACH
        wets[i][:, channel] = wet_rows[first : first + len(wets[i]), 0]
    counts = lanes.hysteresis.resets
    return [(i, int(counts[lane])) for lane, (i, _) in enumerate(pairs)]

"""Recordings that are not cut: a channel is a lane, and recordings share them.

What a lane gives depends on nothing beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.chain import finish
from chowtape_cli.dsp.coding import Coded, Coding, Extent, extent
from chowtape_cli.dsp.filters import DCBlocker
from chowtape_cli.dsp.hysteresis import GUARD
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.lanes import Lanes
from chowtape_cli.dsp.path import SignalPath
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
    wets = [np.empty(source.shape) for source in sources]
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
    given = at = -FILTER_REACH
    while given < longest:
        # always a whole step: the same sums, whoever is beside
        rows = lanes.room(lanes.step)
        rows[:] = 0.0
        for lane, (i, channel) in enumerate(pairs):
            part = sources[i][max(at, 0) : max(at + lanes.step, 0), channel]
            before = min(max(-at, 0), lanes.step)
            rows[before : before + len(part), lane] = part
        np.clip(rows * path.input_gain, -GUARD[path.mode], GUARD[path.mode], out=rows)
        ready = lanes.pass_on()
        early = min(max(-given, 0), len(ready))
        ready[:early] = 0.0
        if blocker is not None:
            ready = blocker.push(ready)
        for lane, (i, channel) in enumerate(pairs):
            target = wets[i][max(given, 0) : max(given + len(ready), 0), channel]
            target[:] = ready[early : early + len(target), lane]
        given += len(ready)
        at += lanes.step
    counts = lanes.hysteresis.resets
    return [(i, int(counts[lane])) for lane, (i, _) in enumerate(pairs)]

"""The command, with a clock on every stage of its render; a process of its own.

``python -m chowtape_cli.bench.timer FIGURES render ...`` runs ``chowtape render ...`` as always and
writes to the file FIGURES how many seconds each stage took. The clock goes around the functions
that are named here, in this process alone: a render that is not measured knows nothing of it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OTHER = "other"
STARTING = "start-up"
# What makes up each stage. Where one calls another, the time is the inner one's.
FUNCTIONS = {
    "chowtape_cli.native:_Kernel._prepare": STARTING,
    "chowtape_cli.render:signal_path": STARTING,
    "chowtape_cli.audio_files.source:Source.read_packed": "reading",
    "chowtape_cli.audio_files.place:SourcePlace._read": "reading",
    "chowtape_cli.dsp.chain:unpack": "reading",
    "chowtape_cli.dsp.work:unpack": "reading",
    "chowtape_cli.dsp.chain:extent": "reading",
    "chowtape_cli.dsp.short:extent": "reading",
    "chowtape_cli.dsp.chain:cut_batch": "cutting",
    "chowtape_cli.dsp.chain:travelled": "cutting",
    "chowtape_cli.dsp.work:gather": "lanes",
    "chowtape_cli.dsp.work:scatter": "lanes",
    "chowtape_cli.dsp.short:gather": "lanes",
    "chowtape_cli.dsp.short:scatter": "lanes",
    "chowtape_cli.dsp.oversampling:Interpolator.pass_on": "up-sampling",
    "chowtape_cli.dsp.hysteresis:Hysteresis.pass_on": "hysteresis",
    "chowtape_cli.dsp.oversampling:Decimator.pass_on": "down-sampling",
    "chowtape_cli.dsp.work:Work._correct_dc": "high-pass",
    "chowtape_cli.dsp.filters:DCBlocker.push": "high-pass",
    "chowtape_cli.dsp.work:finish": "coding",
    "chowtape_cli.dsp.short:finish": "coding",
    "chowtape_cli.audio_files.place:OutputPlace._write": "writing",
    "chowtape_cli.audio_files.destination:Destination.write_coded": "writing",
    "chowtape_cli.audio_files.destination:Destination._commit": "writing",
    "chowtape_cli.render:render_file": OTHER,
}


class Clock:
    """Counts the time of the stage that is running, and of no other.

    Attributes:
        seconds: of each stage so far.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(FUNCTIONS.values(), 0.0)
        self._running: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Let a stage run in this context."""
        self._settle()
        self._running.append(stage)
        try:
            yield
        finally:
            self._settle()
            self._running.pop()

    def _settle(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def put_on(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """Return a function that runs as a stage."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.of(stage):
                return function(*arguments, **named)

        return timed


def put_clocks_on(clock: Clock) -> None:
    """Put the clock around every function that is a stage, in this process."""
    for place, stage in FUNCTIONS.items():
        module, _, path = place.partition(":")
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        setattr(owner, name, clock.put_on(getattr(owner, name), stage))


def main() -> None:
    """Run the command and write the figures; end as it ends."""
    figures, *sys.argv[1:] = sys.argv[1:]
    clock = Clock()
    put_clocks_on(clock)
    try:
        runpy.run_module("chowtape_cli", run_name="__main__", alter_sys=True)
    finally:
        Path(figures).write_text(json.dumps(clock.seconds), encoding="utf-8")


if __name__ == "__main__":
    main()

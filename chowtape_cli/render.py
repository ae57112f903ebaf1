"""One recording: read -> signal path -> write, block by block, in bounded memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chowtape_cli.audio_files import (
    AudioInfo,
    Destination,
    Source,
    check_destination,
    coding_of,
    plan_output,
)
from chowtape_cli.dsp.coding import FLOAT64, Coded, Coding, code
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.resampling import RateConverter, awkward
from chowtape_cli.engine import Read, Recording, Tally, render_blocks, warm
from chowtape_cli.errors import ChowtapeError, SampleError
from chowtape_cli.files import shown
from chowtape_cli.settings import RenderSettings, decibels_to_gain

if TYPE_CHECKING:
    from chowtape_cli.places import Opens
    from chowtape_cli.pool import Pool

# Oversampled samples that one process has rendered before workers have started.
SOON_DONE = 10_000_000

_COUNTS = ("clipped_samples", "guard_clips", "resets", "seam_repairs")

Progress = Callable[[int, "int | None", int], None]  # frames done, frames in all, sample rate
# Renders; what comes has no samples where they could be put into the place that is given.
Tape = Callable[["Opens | None"], "Iterator[Coded]"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReport:
    """What became of one file.

    Attributes:
        source, output: paths as they were given.
        status: ``rendered``, ``planned`` (a dry run) or ``failed``; in a batch also ``skipped`` (it
            exists), ``up to date``, ``outdated`` (made from another source or settings) or
            ``pending`` (the batch ended before).
        error: what went wrong, for ``failed`` and ``outdated``.
        settings: those that made it, by their names; None where they are not known.
        trim_db: gain after everything else that the output has, the same for all files of a set;
            None where there is no output, or it is not known.
        rate: sample rate of the output in Hz.
        channels, frames: of the output.
        format, subtype: of the output, by libsndfile's names.
        seconds: duration of the audio.
        wall_seconds: how long the render took.
        realtime: ``seconds / wall_seconds``.
        peak_in_dbfs, peak_out_dbfs: largest sample, None for silence.
        clipped_samples: output samples that full scale clipped.
        guard_clips: input samples that the guard before the tape clipped.
        resets: how often a solver ran away and was set back to zero.
        seam_repairs: seams between segments that had to be mended.
        warnings: what the user should know, a line each.
    """

    source: str
    output: str
    status: str
    error: str | None = None
    settings: dict[str, object] | None = None
    trim_db: float | None = None
    rate: int | None = None
    channels: int | None = None
    frames: int | None = None
    format: str | None = None
    subtype: str | None = None
    seconds: float | None = None
    wall_seconds: float | None = None
    realtime: float | None = None
    peak_in_dbfs: float | None = None
    peak_out_dbfs: float | None = None
    clipped_samples: int = 0
    guard_clips: int = 0
    resets: int = 0
    seam_repairs: int = 0
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return every figure by its name, ready for JSON; None is what nobody counted."""
        known = asdict(self)
        if self.wall_seconds is None:
            known.update(dict.fromkeys(_COUNTS))
        return known


@dataclass(frozen=True, kw_only=True)
class ArrayRender:
    """A rendered array and what was counted on the way.

    Attributes:
        samples: in the shape that was given, but for the frames of another ``rate``.
        rate: sample rate of ``samples`` in Hz.
        guard_clips: input samples that the guard before the tape clipped.
        resets: how often a solver ran away and was set back to zero.
        seam_repairs: seams between segments that had to be mended.
    """

    samples: NDArray[np.float64]
    rate: int
    guard_clips: int
    resets: int
    seam_repairs: int


def check_rates(settings: RenderSettings, rate: int) -> None:
    """Raise SampleError where a setting does not go with the sample rate of the source (Hz)."""
    if settings.dc_block >= rate / 2:
        raise SampleError(
            f"--dc-block {settings.dc_block:g} Hz must be below half the sample rate of "
            f"{rate} Hz; give a lower one, or 0 for none"
        )
    if settings.rate is not None and awkward(rate, settings.rate):
        raise SampleError(
            f"--rate {settings.rate} has too little in common with the source's {rate} Hz to "
            "convert between them; give a rounder one"
        )


def signal_path(settings: RenderSettings, trim_db: float = 0.0) -> SignalPath:
    """Return what the signal path is made of, the network of mode stn included.

    Args:
        settings: what to do.
        trim_db: gain after the mix.

    Raises:
        BankError: the networks can't be read.
    """
    network = None
    if settings.mode == "stn":
        from chowtape_cli.neural.catalogue import load_any

        network = load_any(settings.weights).at(settings.saturation, settings.bias)
    return SignalPath(
        mode=settings.mode,
        drive=settings.drive,
        saturation=settings.saturation,
        bias=settings.bias,
        oversampling=settings.oversampling,
        phase=settings.phase,
        input_gain=decibels_to_gain(settings.input_gain),
        output_gain=decibels_to_gain(settings.output_gain),
        wet=settings.mix / 100.0,
        makeup=settings.makeup,
        dc_block=settings.dc_block,
        trim=decibels_to_gain(trim_db),
        network=network,
    )


def render_array(
    samples: ArrayLike, rate: int, settings: RenderSettings | None = None
) -> ArrayRender:
    """Render samples through the tape.

    Args:
        samples: Shape: (frames,) or (frames, channels), full scale +-1.
        rate: their sample rate in Hz.
        settings: what to do; the defaults where None. ``subtype`` and ``dither`` do not apply.

    Raises:
        SampleError: NaN, Inf, another shape, or a rate that a setting does not go with.
        BankError: the networks of mode stn can't be read.
    """
    settings = settings or RenderSettings()
    given = np.asarray(samples, dtype=np.float64)
    if given.ndim not in (1, 2):
        raise SampleError(f"samples have {given.ndim} dimensions; give (frames, channels)")
    x = given[:, None] if given.ndim == 1 else given
    if x.shape[1] == 0:
        raise SampleError("samples have no channels; give (frames, channels)")
    check_rates(settings, rate)
    tally = Tally()
    path = signal_path(settings)
    recording = Recording(rate, x.shape[1], len(x), FLOAT64, array_reader(x))
    tape = render_blocks(path, recording, Coding(), tally)
    y = np.concatenate([x[:0], *_converted(tape, settings, rate, x.shape[1])])
    return ArrayRender(
        samples=y if given.ndim == 2 else y[:, 0],
        rate=settings.rate or rate,
        guard_clips=tally.guard_clips,
        resets=tally.resets,
        seam_repairs=tally.seam_repairs,
    )


def array_reader(x: NDArray[np.float64]) -> Read:
    """Return what reads an array from its beginning, Shape: (frames, channels)."""
    position = 0

    def read(out: NDArray[np.uint8]) -> int:
        nonlocal position
        part = x[position : position + len(out)]
        out.view(np.float64)[: len(part)] = part
        position += len(part)
        return len(part)

    return read


def _converted(
    tape: Iterator[Coded], settings: RenderSettings, rate: int, channels: int
) -> Iterator[NDArray[np.float64]]:
    """Return floating-point output at the rate that was asked for."""
    if settings.rate in (None, rate):
        for coded in tape:
            yield np.array(coded.samples, np.float64)  # it is filled anew for the next one
        return
    converter = RateConverter(rate, settings.rate or rate, channels)
    for coded in tape:
        yield converter.push(np.asarray(coded.samples, np.float64))
    yield converter.finish()


class Preparation(AbstractContextManager["Preparation"]):
    """A source that is open, and all that is settled before it is rendered.

    Args:
        source: any file that libsndfile reads.
        destination: what to write; the extension chooses the container.
        settings: what to do.
        overwrite: whether an existing destination is replaced.
        keep_times: whether the destination gets the modification time of the source.
        trim_db: gain after the mix.
        run: what the file in the making is marked with.
        again: whether the destination may be there from an attempt that was cut short; what is not
            the same to the byte is not replaced even so.

    Raises:
        AudioFileError: the source can't be read, or the destination can't be written so.
        SampleError: a setting does not go with the sample rate.

    Attributes:
        source: the open source.
        coding: how the engine has to store its output.
        tally: counts what is rendered.
    """

    def __init__(
        self,
        source: Path,
        destination: Path,
        settings: RenderSettings,
        *,
        overwrite: bool = False,
        keep_times: bool = False,
        trim_db: float = 0.0,
        run: str = "",
        again: bool = False,
    ) -> None:
        self._began = time.perf_counter()
        self.settings = settings
        self.trim_db = trim_db
        self._destination = destination
        self._overwrite = overwrite
        self._keep_times = keep_times
        self._run = run
        self._again = again
        self.tally = Tally()
        self.source = Source(source)
        try:
            info = self.source.info
            check_destination(destination, source, overwrite=overwrite or again)
            self._plan = plan_output(info, destination, settings.subtype, settings.rate)
            check_rates(settings, info.rate)
        except SampleError as error:
            self.source.__exit__()
            raise SampleError(f"{shown(source)}: {error}") from error
        except BaseException:
            self.source.__exit__()
            raise
        self._converted = settings.rate not in (None, info.rate)
        self.coding = Coding() if self._converted else coding_of(self._plan, dither=settings.dither)

    def __exit__(self, *error: object) -> None:
        self.source.__exit__()

    def planned(self) -> FileReport:
        """Return the report of what would be written."""
        info, plan = self.source.info, self._plan
        frames = info.frames
        return FileReport(
            source=str(info.path),
            output=str(self._destination),
            status="planned",
            settings=self.settings.as_dict(),
            trim_db=self.trim_db,
            rate=plan.rate,
            channels=plan.channels,
            frames=None if frames is None else -(-frames * plan.rate // info.rate),
            format=plan.format,
            subtype=plan.subtype,
            seconds=None if frames is None else frames / info.rate,
        )

    @cached_property
    def path(self) -> SignalPath:
        """What is done; raises BankError where the networks of mode stn can't be read."""
        return signal_path(self.settings, self.trim_db)

    def tape(self, pool: Pool | None, output: Opens | None = None) -> Iterator[Coded]:
        """Render the source, with worker processes or without; see `render_blocks`."""
        info = self.source.info
        source = self.source
        recording = Recording(
            info.rate, info.channels, info.frames, source.packing, source.read_packed, source.place
        )
        return render_blocks(self.path, recording, self.coding, self.tally, pool, output)

    def write(self, tape: Tape, progress: Progress | None = None) -> FileReport:
        """Write what is rendered and report on it."""
        info = self.source.info
        stat = info.path.stat()
        with Destination(
            self._destination,
            self._plan,
            metadata=info.metadata,
            times=(stat.st_atime_ns, stat.st_mtime_ns) if self._keep_times else None,
            dither=self.settings.dither,
            overwrite=self._overwrite,
            run=self._run,
            again=self._again,
        ) as output:
            place = None if self._converted else output.place
            for block in self._final(tape(place)):
                output.write_coded(block)
                self._show(progress)
        warnings = _warnings(self._destination, output, self.tally.resets, self.settings)
        report = self._report("rendered", output.peak, output.clipped, output.frames)
        return replace(report, warnings=warnings)

    def measure(self, tape: Tape, progress: Progress | None = None) -> FileReport:
        """Report on what is rendered, and write nothing."""
        peak, clipped, frames = 0.0, 0, 0
        for block in self._final(tape(None)):
            peak = max(peak, block.peak)
            clipped += block.clipped
            frames += block.frames
            self._show(progress)
        return self._report("measured", peak, clipped, frames)

    def _final(self, tape: Iterator[Coded]) -> Iterator[Coded]:
        """Convert what was rendered to its rate, and say whose samples can't be rendered."""
        info = self.source.info
        try:
            if not self._converted:
                yield from tape
                return
            coding = coding_of(self._plan, dither=self.settings.dither)
            position = 0
            for block in _converted(tape, self.settings, info.rate, info.channels):
                yield code(np.ascontiguousarray(block), coding, position)
                position += len(block)
        except SampleError as error:
            raise self.source.unusable(error) from error

    def _show(self, progress: Progress | None) -> None:
        if progress is not None:
            progress(self.tally.frames, self.source.info.frames, self.source.info.rate)

    def _report(self, status: str, peak: float, clipped: int, frames: int) -> FileReport:
        tally = self.tally
        wall = time.perf_counter() - self._began
        seconds = tally.frames / self.source.info.rate
        return replace(
            self.planned(),
            status=status,
            frames=frames,
            seconds=seconds,
            wall_seconds=wall,
            realtime=seconds / wall,
            peak_in_dbfs=_dbfs(tally.peak),
            peak_out_dbfs=_dbfs(peak),
            clipped_samples=clipped,
            guard_clips=tally.guard_clips,
            resets=tally.resets,
            seam_repairs=tally.seam_repairs,
        )


def plan_file(
    source: Path | str,
    destination: Path | str,
    settings: RenderSettings | None = None,
    *,
    overwrite: bool = False,
) -> FileReport:
    """Check everything that `render_file` would and report what it would write; write nothing.

    Raises:
        AudioFileError: the source can't be read, or the destination can't be written so.
        SampleError: a setting does not go with the sample rate.
    """
    settings = settings or RenderSettings()
    with Preparation(Path(source), Path(destination), settings, overwrite=overwrite) as ready:
        return ready.planned()


def render_file(
    source: Path | str,
    destination: Path | str,
    settings: RenderSettings | None = None,
    *,
    overwrite: bool = False,
    keep_times: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> FileReport:
    """Render an audio file through the tape into another one.

    Args:
        source: any file that libsndfile reads.
        destination: what to write; the extension chooses the container.
        settings: what to do; the defaults where None.
        overwrite: whether an existing destination is replaced.
        keep_times: whether the destination gets the modification time of the source.
        jobs: worker processes; the bytes of the output do not depend on it.
        progress: called after every block with the frames done, the frames in all (None where the
            header does not say) and the sample rate in Hz.

    Raises:
        AudioFileError: the source can't be read or the destination can't be written.
        SampleError: a sample is NaN or Inf, or a setting does not go with the sample rate.
        BankError: the networks of mode stn can't be read.
        WorkerError: worker processes keep being killed.
    """
    settings = settings or RenderSettings()
    with (
        Preparation(
            Path(source),
            Path(destination),
            settings,
            overwrite=overwrite,
            keep_times=keep_times,
        ) as ready,
        ExitStack() as stack,
    ):
        pool = None
        if jobs > 1 and _worth_workers(ready.path, ready.source.info):
            from chowtape_cli.pool import Pool

            warm(ready.path, ready.source.packing, ready.coding)
            pool = stack.enter_context(Pool(jobs))
        return ready.write(partial(ready.tape, pool), progress)


def _worth_workers(path: SignalPath, info: AudioInfo) -> bool:
    """Say whether a recording takes longer to render than workers take to start."""
    if path.wet == 0.0:
        return False
    return info.frames is None or info.frames * info.channels * path.oversampling > SOON_DONE


def failed_report(
    source: Path | str,
    destination: Path | str,
    error: ChowtapeError,
    settings: RenderSettings | None = None,
) -> FileReport:
    """Return the report of a file that could not be rendered."""
    return FileReport(
        source=str(source),
        output=str(destination),
        status="failed",
        error=str(error),
        settings=None if settings is None else settings.as_dict(),
    )


def _dbfs(peak: float) -> float | None:
    return 20.0 * math.log10(peak) if peak > 0.0 else None


def _warnings(
    destination: Path, output: Destination, resets: int, settings: RenderSettings
) -> list[str]:
    lines = []
    if output.clipped:
        level = 20.0 * math.log10(output.peak)
        gain = math.floor((settings.output_gain - level) * 10.0 - 1e-9) / 10.0
        advice = f"--output-gain {gain:.1f} avoids it"
        if settings.mix < 100.0:  # that gain acts on the wet part alone
            advice = "turn the source down, or lower --output-gain"
        lines.append(
            f"{shown(destination)}: {output.clipped} samples clipped at a peak of "
            f"{level:+.2f} dBFS; {advice}"
        )
    if resets:
        other = "" if settings.mode in ("nr4", "nr8") else ", or take --mode nr8"
        lines.append(
            f"{shown(destination)}: the solver ran away and was reset {resets} times; "
            f"lower --input-gain, --drive or --bias{other}"
        )
    if output.lost_tags:
        lines.append(
            f"{shown(destination)}: its format can't hold these tags: {', '.join(output.lost_tags)}"
        )
    if output.lost_pieces:
        lines.append(f"{shown(destination)}: its format can't hold {', '.join(output.lost_pieces)}")
    if output.too_large:
        lines.append(
            f"{shown(destination)}: was left without {', '.join(output.too_large)}, "
            "as no more than 64 MiB are carried along"
        )
    return lines

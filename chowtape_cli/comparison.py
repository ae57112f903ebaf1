"""Comparing settings: one source in several renders, matched in loudness and subtracted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from chowtape_cli import __version__
from chowtape_cli.audio_files import (
    AudioInfo,
    Destination,
    OutputFormat,
    Source,
    check_destination,
    plan_output,
)
from chowtape_cli.character import HARMONICS, Harmonics, harmonics, hysteresis_loop
from chowtape_cli.dsp.null_test import Residual
from chowtape_cli.errors import AudioFileError, SettingsError
from chowtape_cli.files import remove_folders, shown
from chowtape_cli.folders import check_folder, remove_stale, whole_folder
from chowtape_cli.listening import write_page
from chowtape_cli.listening.earlier import earlier_files
from chowtape_cli.matching import Match, Take, listen, match
from chowtape_cli.measure import Levels, Progress, measure_together
from chowtape_cli.render import FileReport, check_rates, render_file
from chowtape_cli.settings import RenderSettings, decibels_to_gain

DRY = "dry"
TAKES = "takes"  # the folder of renders before they are matched; none is left
UNMATCHED = "unmatched"  # the folder of the files without the matching gain
SUBTYPE = "FLOAT"  # nothing clips, and rounding stays 150 dB below the signal
UNLIMITED = ("FLOAT", "DOUBLE")
CEILING_DBFS = -0.3  # of all others: the dither of 8 bits stays below full scale
MATCHED_WITHIN = 0.05  # LU
FAR_DOWN_DB = 20.0  # what turns the source down by more leaves little to hear

# opens a display of progress under a name
Watch = Callable[[str], AbstractContextManager["Progress | None"]]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to render the source, and what came of it.

    Attributes:
        name: as it was given; ``dry`` for the source itself.
        settings: of its render; None for the source itself.
        path: of the file, from the folder of the comparison.
        gain_db: what matched its loudness, never above 0.
        lufs_before, lufs: integrated loudness without and with that gain; None where it is shorter
            than 0.4 s or below -70 LUFS.
        true_peak_dbtp: of the matched file; None for silence.
        crest_db: sample peak over RMS; None for silence.
        harmonics_db, thd_db: H2 to H10 of a sine, and all of them; see `character.Harmonics`.
        wall_seconds: how long the render took; None for the source.
        realtime: seconds of audio in a second of rendering; None for the source.
        unmatched_path: of the file without the gain, from the folder; None where it was not kept.
        loop: the hysteresis loop, see `character.hysteresis_loop`; None for the source.
        clipped_samples: samples of the matched file that full scale clipped.
        guard_clips, resets, seam_repairs: see `render.FileReport`.
        warnings: what the user should know, a line each.
    """

    name: str
    settings: dict[str, object] | None
    path: str
    gain_db: float
    lufs_before: float | None
    lufs: float | None
    true_peak_dbtp: float | None
    crest_db: float | None
    harmonics_db: list[float | None]
    thd_db: float | None
    wall_seconds: float | None
    realtime: float | None
    unmatched_path: str | None
    loop: dict[str, list[float]] | None
    clipped_samples: int = 0
    guard_clips: int = 0
    resets: int = 0
    seam_repairs: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Null:
    """What is left between the matched files of two variants; see `dsp.null_test.Residual`."""

    a: str
    b: str
    residual_db: float | None
    residual_dbfs: float | None
    peak_dbfs: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A source and its variants.

    Attributes:
        version: of chowtape.
        source: its path as it was given.
        rate, channels, frames, seconds: of every file.
        target_lufs: the loudness that all are matched to; None where none could be measured.
        lowered_db: how much lower that is than the quietest, so that none clips in its subtype.
        variants: the source first, then the others in their order.
        nulls: each two of them once.
    """

    version: str
    source: str
    rate: int
    channels: int
    frames: int
    seconds: float
    target_lufs: float | None
    lowered_db: float
    variants: list[Variant]
    nulls: list[Null]

    def as_dict(self) -> dict[str, object]:
        """Return every figure by its name, ready for JSON."""
        return asdict(self)


def compare(
    source: Path | str,
    folder: Path | str,
    settings: Mapping[str, RenderSettings],
    *,
    keep_unmatched: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
    watch: Watch = lambda _: nullcontext(None),
) -> Comparison:
    """Render a source in several ways into a folder, each as loud as the quietest of them.

    A page beside the files plays them: see `listening`.

    Args:
        source: any file that libsndfile reads.
        folder: where ``dry.wav`` goes, and ``NAME.wav`` of each variant.
        settings: of each variant, by a name that does as that of a file.
        keep_unmatched: whether the files without the matching gain are kept too.
        overwrite: whether what an earlier comparison wrote into the folder is replaced: files of
            the same names, and its audio that is not made again is removed.
        jobs: worker processes of a render; the bytes of the files do not depend on it.
        watch: opens a display of progress under a name.

    Raises:
        SettingsError: the variants would have different sample rates.
        FileError: the source can't be read or has no frames, or the folder can't be written.
        SampleError: a sample is NaN or Inf, or a setting does not go with the sample rate.
        BankError: the networks of mode stn can't be read.
        WorkerError: worker processes keep being killed.
    """
    source, folder = Path(source), Path(folder)
    with Source(source) as opened:
        info = opened.info
    plans = _plans(info, folder, settings)
    check_folder(folder, overwrite=overwrite)
    for name in plans:
        for path in _places(folder, name, keep_unmatched):
            check_destination(path, source, overwrite=overwrite)
    with watch("measuring a sine"):  # which also loads the kernels, before renders are timed
        sines = {name: _sine(one, info.rate) for name, one in settings.items()}
    earlier = earlier_files(folder)
    with whole_folder(folder, overwrite=overwrite) as part:
        takes = [_dry_take(info, plans[DRY].rate, part, watch)]
        if takes[0].heard.frames == 0:
            raise AudioFileError(f"{shown(source)}: has no frames; there is nothing to hear")
        takes += [_take(name, info, one, part, jobs, watch) for name, one in settings.items()]
        limits = [_limit(plans[take.name]) for take in takes]
        matched = match([take.heard for take in takes], limits)
        clipped = [
            _write(take, gain, info, plans[take.name], part, keep_unmatched, watch)
            for take, gain in zip(takes, matched.gains_db, strict=True)
        ]
        with watch("subtracting") as progress:
            paths = [part / f"{take.name}.wav" for take in takes]
            levels, residuals = measure_together(paths, progress)
        variants = [
            _described(
                take,
                sine=sines.get(take.name),
                gain_db=matched.gains_db[place],
                level=levels[place],
                clipped=clipped[place],
                unmatched=keep_unmatched,
                warnings=_warnings(take, matched, place, levels[place], clipped[place]),
            )
            for place, take in enumerate(takes)
        ]
        remove_folders([part / TAKES])
        comparison = _summed_up(source, info, takes, matched, variants, residuals)
        with watch("writing the page") as progress:
            write_page(part, comparison.as_dict(), progress)
        written = {path.relative_to(part) for path in part.rglob("*")}
    remove_stale(folder, earlier, keep=written, source=source)
    return comparison


@dataclass(frozen=True, kw_only=True)
class _Recording:
    """A render before it is matched: a file in double precision, or the source itself."""

    name: str
    path: Path
    heard: Take
    settings: RenderSettings | None = None
    report: FileReport | None = None


@dataclass(frozen=True)
class _Sine:
    """What a setting does to a sine."""

    harmonics: Harmonics
    loop: dict[str, list[float]]


def _sine(settings: RenderSettings, rate: int) -> _Sine:
    return _Sine(harmonics(settings, rate), hysteresis_loop(settings, rate))


def _plans(
    info: AudioInfo, folder: Path, settings: Mapping[str, RenderSettings]
) -> dict[str, OutputFormat]:
    """Return how each file is written; raise where one can't be, or where rates differ."""
    plans: dict[str, OutputFormat] = {}
    for name, one in settings.items():
        check_rates(one, info.rate)
        rate = one.rate or info.rate
        plans[name] = plan_output(info, folder / f"{name}.wav", one.subtype or SUBTYPE, rate)
    rates = {name: plan.rate for name, plan in plans.items()}
    for name, rate in rates.items():
        first = next(iter(rates))
        if rate != rates[first]:
            raise SettingsError(
                f"variants {shown(first)} and {shown(name)} would have {rates[first]} Hz and "
                f"{rate} Hz; all must have the same: give --rate once, for all of them"
            )
    rate = next(iter(rates.values()), info.rate)
    return {DRY: plan_output(info, folder / f"{DRY}.wav", SUBTYPE, rate), **plans}


def _limit(plan: OutputFormat) -> float:
    """Return the highest sample that a file may have, linear."""
    return math.inf if plan.subtype in UNLIMITED else decibels_to_gain(CEILING_DBFS)


def _places(folder: Path, name: str, keep_unmatched: bool) -> list[Path]:
    matched = folder / f"{name}.wav"
    return [matched, folder / UNMATCHED / matched.name] if keep_unmatched else [matched]


def _dry_take(info: AudioInfo, rate: int, part: Path, watch: Watch) -> _Recording:
    if rate == info.rate:
        return _Recording(name=DRY, path=info.path, heard=_heard(DRY, info.path, watch))
    nothing_but_the_rate = RenderSettings(mix=0.0, oversampling=1, dc_block=0.0, rate=rate)
    take = _take(DRY, info, nothing_but_the_rate, part, 1, watch)
    return replace(take, settings=None, report=None)


def _take(
    name: str, info: AudioInfo, settings: RenderSettings, part: Path, jobs: int, watch: Watch
) -> _Recording:
    path = part / TAKES / f"{name}.wav"
    exact = replace(settings, subtype="DOUBLE")
    with watch(f"rendering {name}") as progress:
        report = render_file(info.path, path, exact, jobs=jobs, progress=progress)
    heard = _heard(name, path, watch)
    return _Recording(name=name, path=path, heard=heard, settings=settings, report=report)


def _heard(name: str, path: Path, watch: Watch) -> Take:
    with watch(f"listening to {name}") as progress:
        return listen(path, progress)


def _write(
    take: _Recording,
    gain_db: float,
    info: AudioInfo,
    plan: OutputFormat,
    part: Path,
    keep_unmatched: bool,
    watch: Watch,
) -> int:
    """Write a take with its gain, and without if that is wanted; return what was clipped."""
    gains = (decibels_to_gain(gain_db), 1.0)
    dither = take.settings is None or take.settings.dither
    done = 0
    with ExitStack() as stack:
        progress = stack.enter_context(watch(f"matching {take.name}"))
        source = stack.enter_context(Source(take.path))
        outputs = [
            stack.enter_context(Destination(path, plan, metadata=info.metadata, dither=dither))
            for path in _places(part, take.name, keep_unmatched)
        ]
        for block in source.blocks():
            for gain, output in zip(gains, outputs, strict=False):
                output.write(gain * block)
            done += len(block)
            if progress is not None:
                progress(done, take.heard.frames, plan.rate)
    if take.path != info.path:
        take.path.unlink()
    return outputs[0].clipped


def _described(
    take: _Recording,
    *,
    sine: _Sine | None,
    gain_db: float,
    level: Levels,
    clipped: int,
    unmatched: bool,
    warnings: list[str],
) -> Variant:
    report = take.report
    return Variant(
        name=take.name,
        settings=take.settings.as_dict() if take.settings else None,
        path=f"{take.name}.wav",
        gain_db=gain_db,
        lufs_before=take.heard.lufs,
        lufs=level.lufs,
        true_peak_dbtp=level.true_peak_dbtp,
        crest_db=level.crest_db,
        harmonics_db=sine.harmonics.levels_db if sine else [None] * len(HARMONICS),
        thd_db=sine.harmonics.thd_db if sine else None,
        wall_seconds=report.wall_seconds if report else None,
        realtime=report.realtime if report else None,
        unmatched_path=f"{UNMATCHED}/{take.name}.wav" if unmatched else None,
        loop=sine.loop if sine else None,
        clipped_samples=clipped,
        guard_clips=report.guard_clips if report else 0,
        resets=report.resets if report else 0,
        seam_repairs=report.seam_repairs if report else 0,
        warnings=warnings,
    )


def _warnings(
    take: _Recording, matched: Match, place: int, level: Levels, clipped: int
) -> list[str]:
    lines = []
    if take.report:  # each begins with the path of a file that is gone
        prefix = f"{shown(take.path)}: "
        lines += [line.removeprefix(prefix) for line in take.report.warnings]
    if clipped:
        lines.append(f"{clipped} samples clipped; --subtype FLOAT avoids it")
    about = matched.warnings[place]
    if about is not None:
        lines.append(about)
    elif matched.target_lufs is not None and (
        level.lufs is None or abs(level.lufs - matched.target_lufs) > MATCHED_WITHIN
    ):
        coarse = take.settings is not None and take.settings.subtype not in (None, *UNLIMITED)
        lines.append(
            f"could not be matched within {MATCHED_WITHIN} LU: "
            + (
                "the subtype is too coarse for so quiet a sound; take another one"
                if coarse
                else "too much of it is near -70 LUFS, where loudness is cut off; "
                "turn the source up"
            )
        )
    if matched.quietest_lufs is not None and matched.quietest_lufs == take.heard.lufs:
        down = -matched.gains_db[0] - matched.lowered_db
        if down > FAR_DOWN_DB:
            lines.append(
                f"{down:.1f} dB quieter than the source, and all were turned down to that; "
                "leave out, or give an --output-gain"
            )
    return lines


def _summed_up(
    source: Path,
    info: AudioInfo,
    takes: list[_Recording],
    matched: Match,
    variants: list[Variant],
    residuals: dict[tuple[int, int], Residual],
) -> Comparison:
    rate = takes[0].heard.rate
    frames = takes[0].heard.frames
    return Comparison(
        version=__version__,
        source=str(source),
        rate=rate,
        channels=info.channels,
        frames=frames,
        seconds=frames / rate,
        target_lufs=matched.target_lufs,
        lowered_db=matched.lowered_db,
        variants=variants,
        nulls=[
            _null(takes[a].name, takes[b].name, residual) for (a, b), residual in residuals.items()
        ],
    )


def _null(a: str, b: str, residual: Residual) -> Null:
    return Null(
        a=a,
        b=b,
        residual_db=residual.residual_db,
        residual_dbfs=residual.residual_dbfs,
        peak_dbfs=residual.peak_dbfs,
    )

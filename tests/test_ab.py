"""`ab` and `null`: every figure against an independent measurement of the files, and bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from numpy.typing import NDArray
from processes import Start, said, wait_until
from scipy.signal import resample_poly
from test_errors import check_one_line, listing

from chowtape_cli.dsp.levels import TruePeakMeter
from chowtape_cli.dsp.loudness import LoudnessMeter, gain_towards, integrated
from chowtape_cli.report import fixed

VARIANT_KEYS = {
    "name", "settings", "path", "gain_db", "lufs_before", "lufs", "true_peak_dbtp", "crest_db",
    "harmonics_db", "thd_db", "wall_seconds", "unmatched_path", "loop", "clipped_samples",
    "guard_clips", "resets", "seam_repairs",
}  # fmt: skip


def compared(chowtape: Run, *arguments: object) -> dict[str, Any]:
    """Run ab; return its JSON with the variants by name and the residuals by pair."""
    result = chowtape("ab", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    whole: dict[str, Any] = json.loads(result.stdout)
    whole["by_name"] = {variant["name"]: variant for variant in whole["variants"]}
    whole["residuals"] = {(n["a"], n["b"]): n["residual_db"] for n in whole["nulls"]}
    whole["stderr"] = result.stderr
    return whole


def wavs(folder: Path) -> list[str]:
    return [name for name in listing(folder) if name.endswith(".wav")]


def null_of(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    louder = max(np.sum(a**2), np.sum(b**2))
    return float(10 * np.log10(np.sum((a - b) ** 2) / louder))


@pytest.mark.parametrize(
    ("rate", "channels", "seconds"),
    [(44_100, 2, 3.0), (8_000, 1, 2.3), (96_000, 5, 1.0), (384_000, 2, 0.6), (11_025, 64, 1.0)],
)
def test_the_figures_are_those_of_the_files(
    chowtape: Run, tmp_path: Path, rate: int, channels: int, seconds: float
) -> None:
    write_wav(tmp_path / "mix.wav", music(seconds, rate, channels), rate, subtype="PCM_24")
    whole = compared(
        chowtape, "mix.wav", "ab", "--variant", "A:drive=0.9", "--variant", "B:mode=stn,sat=0.8"
    )
    assert (whole["source"], whole["rate"], whole["channels"]) == ("mix.wav", rate, channels)
    assert whole["frames"] == round(seconds * rate)
    assert [variant["name"] for variant in whole["variants"]] == ["dry", "A", "B"]
    assert wavs(tmp_path / "ab") == ["A.wav", "B.wav", "dry.wav"]
    files = {}
    for variant in whole["variants"]:
        assert variant.keys() >= VARIANT_KEYS
        info = sf.info(tmp_path / "ab" / variant["path"])
        assert (info.subtype, info.samplerate, info.frames) == ("FLOAT", rate, whole["frames"])
        samples = sf.read(tmp_path / "ab" / variant["path"], always_2d=True)[0]
        files[variant["name"]] = samples
        assert variant["gain_db"] <= 0.0
        assert variant["lufs"] == pytest.approx(whole["target_lufs"], abs=0.05)
        if channels <= 5:
            loudness = pyloudnorm.Meter(rate).integrated_loudness(samples)
            assert variant["lufs"] == pytest.approx(loudness, abs=1e-6)
        true_peak = 20 * np.log10(np.abs(resample_poly(samples, 4, 1, axis=0)).max())
        assert variant["true_peak_dbtp"] == pytest.approx(true_peak, abs=1e-6)
        crest = 20 * np.log10(np.abs(samples).max() / np.sqrt(np.mean(samples**2)))
        assert variant["crest_db"] == pytest.approx(crest, abs=1e-6)
    quietest = min(variant["lufs_before"] for variant in whole["variants"])
    assert (whole["target_lufs"], whole["lowered_db"]) == (quietest, 0.0)
    assert max(variant["gain_db"] for variant in whole["variants"]) == 0.0
    for (a, b), residual in whole["residuals"].items():
        assert residual == pytest.approx(null_of(files[a], files[b]), abs=1e-6)
    assert set(whole["residuals"]) == {("dry", "A"), ("dry", "B"), ("A", "B")}


def test_same_settings_null_to_silence_and_newton_steps_nearly(
    chowtape: Run, tmp_path: Path
) -> None:
    write_wav(tmp_path / "mix.wav", music(4.0, 44_100))
    whole = compared(
        chowtape, "mix.wav", "ab",
        "--variant", "A:drive=0.8,mode=nr8", "--variant", "B:mode=nr8,drive=0.8",
        "--variant", "C:mode=nr4,drive=0.8", "--variant", "D:mode=stn,drive=0.8",
        "--variant", "E:mix=0",
    )  # fmt: skip
    assert whole["residuals"]["A", "B"] is None
    assert whole["residuals"]["dry", "E"] is None  # no tape at all is the source itself
    newton = whole["residuals"]["A", "C"]
    assert newton is None or newton < -150.0
    assert -100.0 < whole["residuals"]["A", "D"] < -25.0
    assert whole["residuals"]["dry", "A"] > -40.0
    a, b = (tmp_path / "ab" / f"{name}.wav" for name in "AB")
    assert a.read_bytes() == b.read_bytes()


def test_a_render_keeps_its_samples_in_place(chowtape: Run, tmp_path: Path) -> None:
    """The file is the render of the same settings times the gain, sample for sample."""
    write_wav(tmp_path / "mix.wav", music(1.0, 48_000), 48_000)
    whole = compared(
        chowtape, "mix.wav", "ab", "--variant", "A:drive=0.9", "--keep-unmatched", "--bias", "0.2"
    )
    chowtape("render", "mix.wav", "alone.wav", "--drive", "0.9", "--bias", "0.2")
    alone = sf.read(tmp_path / "alone.wav")[0]
    variant = whole["by_name"]["A"]
    assert variant["settings"]["bias"] == 0.2
    gain = 10 ** (variant["gain_db"] / 20)
    matched = sf.read(tmp_path / "ab" / "A.wav")[0]
    unmatched = sf.read(tmp_path / "ab" / variant["unmatched_path"])[0]
    np.testing.assert_allclose(matched, gain * alone, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(unmatched, alone, rtol=1e-7, atol=1e-12)
    loudness = pyloudnorm.Meter(48_000).integrated_loudness(unmatched)
    assert variant["lufs_before"] == pytest.approx(loudness, abs=1e-5)


def test_sweeps_make_variants(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    whole = compared(
        chowtape, "mix.wav", "ab", "--sweep", "drive=0:1:3", "--sweep", "mode=rk2,nr8",
        "--variant", "own:os=1,no-makeup,dc-block=0",
    )  # fmt: skip
    expected = [f"drive-{drive}_mode-{mode}" for drive in (0, 0.5, 1) for mode in ("rk2", "nr8")]
    assert [variant["name"] for variant in whole["variants"]] == ["dry", "own", *expected]
    own = whole["by_name"]["own"]["settings"]
    assert (own["oversampling"], own["makeup"], own["dc_block"]) == (1, False, 0.0)
    swept = whole["by_name"]["drive-0.5_mode-rk2"]["settings"]
    assert (swept["drive"], swept["mode"]) == (0.5, "rk2")
    assert len(whole["nulls"]) == 8 * 7 // 2
    drives = [whole["by_name"][f"drive-{drive}_mode-nr8"]["thd_db"] for drive in (0, 0.5, 1)]
    assert all(less < more for less, more in pairwise(drives))


def test_harmonics_are_those_of_a_rendered_sine(chowtape: Run, tmp_path: Path) -> None:
    rate = 48_000
    t = np.arange(3 * rate) / rate
    write_wav(tmp_path / "sine.wav", 0.5 * np.sin(2 * np.pi * 997 * t)[:, None], rate)
    whole = compared(chowtape, "sine.wav", "ab", "--variant", "A:drive=0.9,bias=0.3")
    samples = sf.read(tmp_path / "ab" / "A.wav")[0][rate : 2 * rate]
    spectrum = np.abs(np.fft.rfft(samples))
    variant = whole["by_name"]["A"]
    assert len(variant["harmonics_db"]) == 9
    for k in (3, 5, 7, 9):
        level = 20 * np.log10(spectrum[k * 997] / spectrum[997])
        assert variant["harmonics_db"][k - 2] == pytest.approx(level, abs=0.01)
    assert variant["harmonics_db"][0] is None or variant["harmonics_db"][0] < -180  # it is odd
    odd = [variant["harmonics_db"][k - 2] for k in (3, 5, 7, 9)]
    together = 10 * np.log10(sum(10 ** (level / 10) for level in odd))
    assert variant["thd_db"] == pytest.approx(together, abs=1e-6)
    field, magnetisation = (np.array(variant["loop"][axis]) for axis in "hm")
    assert len(field) == len(magnetisation) <= 400
    area = np.sum(magnetisation * (np.roll(field, -1) - field))
    assert abs(area) > 0.05  # a loop, not a line
    assert whole["by_name"]["dry"]["settings"] is whole["by_name"]["dry"]["loop"] is None


@pytest.mark.parametrize(
    "samples",
    [np.zeros((30_000, 1)), 0.5 * np.ones((1, 1)), music(0.2, 44_100)],
    ids=["silence", "one frame", "shorter than a block"],
)
def test_sources_without_a_loudness(
    chowtape: Run, tmp_path: Path, samples: NDArray[np.float64]
) -> None:
    write_wav(tmp_path / "mix.wav", samples)
    whole = compared(chowtape, "mix.wav", "ab", "--variant", "A:drive=1")
    assert whole["target_lufs"] is None
    assert whole["frames"] == len(samples)
    levels = []
    for variant in whole["variants"]:
        assert variant["lufs"] is None
        assert variant["gain_db"] <= 0.0
        written = sf.read(tmp_path / "ab" / variant["path"], always_2d=True)[0]
        assert len(written) == len(samples)
        levels.append(np.sqrt(np.mean(written**2)) if written.any() else 0.0)
    assert levels[0] == pytest.approx(levels[1], rel=1e-6)
    if samples.any():
        assert "RMS was matched" in whole["stderr"]
    else:
        assert whole["residuals"]["dry", "A"] is None


def test_a_variant_next_to_silence_does_not_pull_the_others_down(
    chowtape: Run, tmp_path: Path
) -> None:
    write_wav(tmp_path / "mix.wav", music(2.0, 44_100))
    whole = compared(
        chowtape, "mix.wav", "ab", "--variant", "A:drive=0.3", "--variant", "gone:output-gain=-110"
    )
    assert whole["target_lufs"] > -40.0
    assert whole["by_name"]["A"]["lufs"] == pytest.approx(whole["by_name"]["dry"]["lufs"], abs=0.05)
    assert (whole["by_name"]["gone"]["lufs"], whole["by_name"]["gone"]["gain_db"]) == (None, 0.0)
    assert "gone: below -70 LUFS" in whole["stderr"]


def test_all_share_one_rate_and_a_subtype_may_be_chosen(chowtape: Run, tmp_path: Path) -> None:
    loud = 6.0 * music(1.0, 44_100)  # the quietest, as it is, would clip in 16 bits
    write_wav(tmp_path / "mix.wav", loud)
    whole = compared(
        chowtape, "mix.wav", "ab", "--rate", 48_000, "--variant", "A:subtype=pcm_16",
        "--variant", "B:mode=stn,weights=3x4,output-gain=6", "--keep-unmatched",
    )  # fmt: skip
    assert whole["rate"] == 48_000
    quietest = min(variant["lufs_before"] for variant in whole["variants"])
    assert whole["lowered_db"] > 3.0
    assert whole["target_lufs"] == pytest.approx(quietest - whole["lowered_db"], abs=1e-9)
    for variant in whole["variants"]:
        assert variant["lufs"] == pytest.approx(whole["target_lufs"], abs=0.01)
        assert variant["clipped_samples"] == 0
    assert np.abs(sf.read(tmp_path / "ab" / "unmatched" / "A.wav")[0]).max() > 0.9999
    assert np.abs(sf.read(tmp_path / "ab" / "A.wav")[0]).max() == pytest.approx(0.966, abs=0.001)
    for name, subtype in (("dry", "FLOAT"), ("A", "PCM_16"), ("B", "FLOAT")):
        info = sf.info(tmp_path / "ab" / f"{name}.wav")
        assert (info.samplerate, info.frames, info.subtype) == (48_000, 48_000, subtype)
    dry = sf.read(tmp_path / "ab" / "dry.wav")[0]
    gain = 10 ** (whole["by_name"]["dry"]["gain_db"] / 20)
    chowtape("render", "mix.wav", "rate.wav", "--mix", "0", "--rate", 48_000)
    np.testing.assert_allclose(dry, gain * sf.read(tmp_path / "rate.wav")[0], rtol=0, atol=1e-7)
    mixed = chowtape("ab", "mix.wav", "two", "--variant", "A:rate=48000", "--variant", "B:")
    check_one_line(mixed, 2, "A and B", "48000 Hz and 44100 Hz", "--rate")
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("--variant",)),
        (("--variant", "A:drive=7"), ("--variant A:", "--drive is 7", "0 to 1")),
        (("--variant", "A:drive=hot"), ("--variant A:", "hot", "0 to 1")),
        (("--variant", "A:os=3"), ("--variant A:", "--oversampling is 3", "64")),
        (("--variant", "A:os=1.5"), ("--variant A:", "--oversampling is 1.5")),
        (("--variant", "A:rate=44.1k"), ("--variant A:", "--rate is 44.1k")),
        (("--variant", "A:mode=nr16"), ("--variant A:", "nr16", "nr8")),
        (("--variant", "A:weights=3x4"), ("--variant A:", "--mode stn")),
        (("--variant", "A:makeup=maybe"), ("--variant A:", "--makeup is maybe")),
        (("--variant", "A:volume=7"), ("--variant A:", "volume", "drive")),
        (("--variant", "A:drive"), ("--variant A:", "--drive needs a value")),
        (("--variant", "A:drive=0.1,drive=0.2"), ("--variant A:", "--drive is given twice")),
        (("--variant", "A:", "--variant", "a:"), ("--variant a:", "taken")),
        (("--variant", "Dry:"), ("--variant Dry:", "dry source's")),
        (("--variant", ":drive=1"), ("has no name",)),
        (("--variant", "../up:drive=1"), ("--variant ../up:", "dot")),
        (("--variant", "a/b:drive=1"), ("--variant a/b:", "file")),
        (("--variant", "a\nb:drive=1"), (r"a\nb", "file")),
        (("--variant", "x" * 300 + ":drive=1"), ("too long",)),
        (("--drive", "7", "--variant", "A:"), ("chowtape: --drive is 7",)),
        (("--variant", "con.1:"), ("--variant con.1:", "Windows")),
        (("--sweep", "drive"), ("--sweep drive:", "from:to:count")),
        (("--sweep", "drive="), ("--sweep drive=:", "missing", "from:to:count")),
        (("--sweep", "drive=0:1"), ("from:to:count",)),
        (("--sweep", "drive=0:1:0"), ("from:to:count",)),
        (("--sweep", "drive=0:1:5000"), ("count of 1 to",)),
        (("--sweep", "drive=0:2:3"), ("--sweep drive-2:", "--drive is 2")),
        (("--sweep", "drive=0:1:20", "--sweep", "bias=0:1:20"), ("400 variants",)),
        (("--sweep", "drive=0,1", "--sweep", "drive=0,1"), ("swept twice",)),
        (("--sweep", "volume=0:1:3"), ("volume",)),
    ],
)
def test_a_variant_that_is_wrong_is_a_usage_error(
    chowtape: Run, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write_wav(tmp_path / "mix.wav", music(0.05, 44_100))
    check_one_line(chowtape("ab", "mix.wav", "ab", *arguments), 2, *words)
    assert listing(tmp_path) == ["mix.wav"]


def test_names_and_values_of_every_kind(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    names = ["[red]naïve ♪", "A B", "A B.wav", "c=d", "takes", "unmatched", "--x".strip("-") + "%s"]
    options = [word for name in names for word in ("--variant", f"{name}: drive = 0.2 ,makeup=OFF")]
    table = chowtape("ab", "mix.wav", "ab", *options)
    assert table.returncode == 0, table.stderr
    for name in names:
        assert (tmp_path / "ab" / f"{name}.wav").exists()
        assert name.split()[0] in table.stdout
    missing = chowtape("ab", "mix.wav", "no", "--variant", r"A:mode=stn,weights=a\,b.npz")
    check_one_line(missing, 1, "a,b.npz")


def test_weights_for_all_go_with_those_that_use_them(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    whole = compared(
        chowtape, "mix.wav", "ab", "--weights", "2x8", "--variant", "A:mode=stn", "--variant", "B"
    )
    assert whole["by_name"]["A"]["settings"]["weights"] == "2x8"
    assert whole["by_name"]["B"]["settings"]["weights"] is None


def test_files_that_cannot_be_read_or_written(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    (tmp_path / "file").write_text("here")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    write_wav(tmp_path / "own" / "dry.wav", music(0.5, 44_100))
    nan = np.zeros((50_000, 1))
    nan[40_000] = np.nan
    write_wav(tmp_path / "nan.wav", nan)
    write_wav(tmp_path / "empty.wav", nan[:0])
    before = listing(tmp_path)
    for source, folder, *words in (
        ("missing.wav", "ab", "missing.wav", "no such file"),
        ("mix.wav", "file", "file: is not a folder"),
        ("mix.wav", "file/ab", "file", "is not a folder"),
        ("mix.wav", "full", "full: is not empty", "--overwrite"),
        ("nan.wav", "new/ab", "frame 40000 is NaN"),
        ("empty.wav", "new/ab", "empty.wav: has no frames; there is nothing to hear"),
    ):
        check_one_line(chowtape("ab", source, folder, "--variant", "A:drive=0.1"), 1, *words)
    itself = chowtape("ab", "own/dry.wav", "own", "--variant", "A:", "--overwrite")
    check_one_line(itself, 1, "is the source itself")
    assert listing(tmp_path) == before


def test_overwrite_replaces_its_own_files_alone(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    assert chowtape("ab", "mix.wav", "ab", "--variant", "A:drive=0.1", "-q").stdout == ""
    (tmp_path / "ab" / "notes.txt").write_text("mine")
    first = (tmp_path / "ab" / "A.wav").read_bytes()
    again = ("ab", "mix.wav", "ab", "--variant", "A:drive=0.9", "--keep-unmatched")
    assert chowtape(*again).returncode == 1
    assert (tmp_path / "ab" / "A.wav").read_bytes() == first
    assert chowtape(*again, "--overwrite").returncode == 0
    assert (tmp_path / "ab" / "A.wav").read_bytes() != first
    assert (tmp_path / "ab" / "notes.txt").read_text() == "mine"
    unmatched = ["unmatched/A.wav", "unmatched/dry.wav"]
    assert wavs(tmp_path / "ab") == ["A.wav", "dry.wav", *unmatched]


def test_overwrite_takes_away_what_an_earlier_comparison_wrote(
    chowtape: Run, tmp_path: Path
) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    folder = tmp_path / "ab"
    five = ("A", "B", "c", "D", "E")
    earlier = [word for name in five for word in ("--variant", f"{name}:drive=0.1")]
    assert chowtape("ab", "mix.wav", "ab", *earlier, "--keep-unmatched", "-q").returncode == 0
    mine = ["F.wav", "notes.txt", "unmatched/mine.wav", "page/audio/mine.js", "page/audio/9-0.js"]
    for name in mine:
        (folder / name).write_text("mine")
    failed = chowtape("ab", "missing.wav", "ab", "--variant", "Q", "--overwrite")
    assert failed.returncode == 1
    assert {f"{name}.wav" for name in five} < set(listing(folder))
    # one of the earlier files is the source now, and another differs in capitals alone
    again = chowtape("ab", "ab/A.wav", "ab", "--variant", "Q", "--variant", "C", "--overwrite")
    assert again.returncode == 0, again.stderr
    left = set(listing(folder))
    assert {"Q.wav", "C.wav", "A.wav", "dry.wav", *mine} <= left
    assert not left & {"B.wav", "D.wav", "E.wav", "unmatched/A.wav", "unmatched/dry.wav"}
    scripts = {name for name in left if name.startswith("page/audio/")}
    assert scripts == {f"page/audio/{n}.js" for n in ("0-0", "1-0", "2-0", "9-0", "mine")}


@pytest.mark.parametrize(
    "record", ["", "var listening = { comparison: [1] };\n", "../../notes.txt", "\xff"]
)
def test_a_record_that_is_none_takes_nothing_away(
    chowtape: Run, tmp_path: Path, record: str
) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    (tmp_path / "notes.wav").write_text("mine")
    (tmp_path / "ab" / "page").mkdir(parents=True)
    (tmp_path / "ab" / "old.wav").write_text("mine")
    if record.startswith(".."):
        paths = [{"path": path} for path in ("../notes.wav", str(tmp_path / "notes.wav"), 3)]
        record = f"var listening = {{ comparison: {json.dumps({'variants': paths})} }};\n"
    (tmp_path / "ab" / "page" / "comparison.js").write_text(record, encoding="latin-1")
    result = chowtape("ab", "mix.wav", "ab", "--variant", "A", "--overwrite")
    assert result.returncode == 0, result.stderr
    assert {"notes.wav", "ab/old.wav"} < set(listing(tmp_path))


def test_what_pulls_all_far_down_is_named_once(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(1.0, 44_100))
    result = chowtape("ab", "mix.wav", "ab", "--sweep", "drive=0:1:3", "-j", "1")
    (warning,) = result.stderr.splitlines()
    assert "drive-0: 5" in warning
    assert "--output-gain" in warning
    assert "─" in result.stdout
    assert "…" not in result.stdout  # all of it fits 80 characters


def test_long_names_leave_out_what_they_share_in_every_table(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(0.5, 44_100))
    sweeps = ("--sweep", "drive=0.25,1", "--sweep", "mode=nr8,stn", "-j", "1")
    result = chowtape("ab", "mix.wav", "ab", *sweeps, env={"COLUMNS": "80"})
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    for name in ("…0.25…nr8", "…0.25…stn", "…1…nr8", "…1…stn"):
        assert result.stdout.count(f" {name} ") == 3
    record = (tmp_path / "ab" / "page" / "comparison.js").read_text()
    assert r'"names": ["dry", "drive-0.25_mode-nr8"' in record  # there is more room on the page


@pytest.mark.parametrize("there", [False, True])
def test_an_interrupted_comparison_leaves_nothing(
    start: Start, tmp_path: Path, there: bool
) -> None:
    write_wav(tmp_path / "mix.wav", np.tile(music(10.0, 44_100), (10, 1)), subtype="PCM_16")
    if there:
        (tmp_path / "ab").mkdir()
    before = listing(tmp_path)
    process = start("ab", "mix.wav", "ab", "--variant", "A:os=64")
    wait_until(lambda: list(tmp_path.rglob(".chowtape-*.part/*/*")), process)  # it has begun
    process.send_signal(signal.SIGINT)
    _, stderr = said(process)
    assert process.returncode == 130, stderr
    assert "nothing half-written" in stderr
    assert listing(tmp_path) == before


def test_any_number_of_jobs_gives_the_same_bytes(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(1.0, 44_100))
    for jobs in (1, 2):
        done = chowtape("ab", "mix.wav", f"ab{jobs}", "--variant", "A:drive=0.9", "-j", jobs)
        assert done.returncode == 0
    for name in ("A.wav", "dry.wav"):
        assert (tmp_path / "ab1" / name).read_bytes() == (tmp_path / "ab2" / name).read_bytes()


def test_null_measures_two_files_and_tells_scripts(chowtape: Run, tmp_path: Path) -> None:
    x = music(1.5, 48_000, 3)
    y = x.copy()
    y[30_000, 1] += 0.25
    write_wav(tmp_path / "a.wav", x, 48_000)
    write_wav(tmp_path / "b.wav", y, 48_000)
    result = chowtape("null", "a.wav", "b.wav", "--json")
    assert result.returncode == 0
    left = json.loads(result.stdout)
    assert left["residual_db"] == pytest.approx(null_of(x, y), abs=1e-9)
    rms = 10 * np.log10(np.mean((x - y) ** 2))
    assert left["residual_dbfs"] == pytest.approx(rms, abs=1e-9)
    assert left["peak_dbfs"] == pytest.approx(20 * np.log10(0.25), abs=1e-9)
    assert (left["peak_frame"], left["peak_channel"]) == (30_000, 2)
    level = left["residual_db"]
    for tolerance, code in ((level + 0.1, 0), (level - 0.1, 1), ("-inf", 1), (0, 0)):
        assert chowtape("null", "a.wav", "b.wav", "--tolerance", tolerance).returncode == code
    same = chowtape("null", "a.wav", "a.wav", "--tolerance", "-inf")
    assert (same.returncode, "silence" in same.stdout) == (0, True)
    assert json.loads(chowtape("null", "a.wav", "a.wav", "--json").stdout)["residual_db"] is None
    table = chowtape("null", "a.wav", "b.wav")
    for words in (f"{level:.2f} dB", "0.625000 s", "channel 2"):
        assert words in table.stdout
    quiet = chowtape("null", "a.wav", "b.wav", "-q", "--tolerance", -200)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")


def test_null_refuses_what_cannot_be_subtracted(chowtape: Run, tmp_path: Path) -> None:
    x = music(0.5, 44_100)
    write_wav(tmp_path / "a.wav", x)
    write_wav(tmp_path / "short.wav", x[:-1])
    write_wav(tmp_path / "mono.wav", x[:, :1])
    write_wav(tmp_path / "rate.wav", x, 48_000)
    write_wav(tmp_path / "nan.wav", np.full_like(x, np.nan))
    write_wav(tmp_path / "silence.wav", np.zeros((0, 2)))
    for other, *words in (
        ("short.wav", "22050 and 22049 frames"),
        ("mono.wav", "mono.wav can't be subtracted", "2 and 1", "give both as many"),
        ("rate.wav", "44100 Hz and 48000 Hz"),
        ("nan.wav", "NaN"),
        ("missing.wav", "no such file"),
    ):
        check_one_line(chowtape("null", "a.wav", other), 1, other, *words)
    check_one_line(chowtape("null", "a.wav", "a.wav", "--tolerance", "nan"), 2, "not a number")
    assert chowtape("null", "silence.wav", "silence.wav", "--tolerance", "-inf").returncode == 0


def test_what_fails_is_in_the_json_too(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", music(0.5, 44_100))
    write_wav(tmp_path / "b.wav", music(0.4, 44_100))
    nan = np.zeros((50_000, 1))
    nan[40_000] = np.nan
    write_wav(tmp_path / "nan.wav", nan)
    variant = ("--variant", "A:drive=0.1")
    for arguments, about, words in (
        (("ab", "missing.wav", "ab", *variant), {"source": "missing.wav"}, "no such file"),
        (("ab", "nan.wav", "ab", *variant), {"source": "nan.wav"}, "frame 40000 is NaN"),
        (("ab", "a.wav", "ab", "--variant", "A:weights=none.npz,mode=stn"), {}, "none.npz"),
        (("null", "a.wav", "b.wav"), {"a": "a.wav", "b": "b.wav"}, "differ in length"),
    ):
        result = chowtape(*arguments, "--json")
        whole = json.loads(result.stdout)
        assert whole["status"] == "failed"
        assert whole.items() >= about.items()
        assert words in whole["error"]
        check_one_line(chowtape(*arguments, "--json", "-q"), 1, words)
    for arguments in (("ab", "a.wav", "ab", *variant), ("null", "a.wav", "a.wav")):
        whole = json.loads(chowtape(*arguments, "--json").stdout)
        assert (whole["status"], whole["error"]) == ("done", None)


def in_chunks(samples: NDArray[np.float64], seed: int) -> list[NDArray[np.float64]]:
    sizes = np.random.default_rng(seed).integers(0, 5000, 2 * len(samples) // 2500 + 2)
    return np.split(samples, np.minimum(np.cumsum(sizes), len(samples)))


@pytest.mark.parametrize("rate", [4_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("seconds", [0.4, 0.4499, 0.47, 1.234, 7.0])
def test_the_streaming_meter_is_pyloudnorm(rate: int, seconds: float) -> None:
    samples = (
        music(seconds, rate, 3, seed=rate) * np.linspace(0.001, 1, round(seconds * rate))[:, None]
    )
    samples = samples[: round(seconds * rate)]
    meter = LoudnessMeter(rate, 3)
    for chunk in in_chunks(samples, rate):
        meter.push(chunk)
    if len(samples) < 0.4 * rate:
        assert meter.blocks().size == 0
        return
    expected = pyloudnorm.Meter(rate).integrated_loudness(samples)
    measured = integrated(meter.blocks())
    assert measured == pytest.approx(expected, abs=1e-6)
    assert integrated(meter.blocks()) == measured  # asking changes nothing


def test_a_gain_finds_its_loudness_through_the_gate() -> None:
    """Half of the recording is near -70 LUFS, where a gain takes it out of the measurement."""
    rate = 48_000
    loud = music(10.0, rate, 2)
    samples = np.concatenate([loud * 0.01, loud * 0.0008, loud * 0.0004])
    meter = LoudnessMeter(rate, 2)
    meter.push(samples)
    for target in (-62.0, -64.3, -66.0):
        gain = 10 ** (gain_towards(meter.blocks(), target) / 20)
        assert gain <= 1.0
        reached = pyloudnorm.Meter(rate).integrated_loudness(samples * gain)
        assert reached == pytest.approx(target, abs=0.05)


@pytest.mark.parametrize("frames", [0, 1, 3, 9, 10, 11, 21, 30, 20_000])
def test_the_streaming_true_peak_is_that_of_the_whole(frames: int) -> None:
    samples = music(1.0, 44_100, 2)[5_000 : 5_000 + frames]
    meter = TruePeakMeter(2)
    for chunk in [*in_chunks(samples, frames), samples[:0]]:
        meter.push(chunk)
    measured = meter.dbtp()
    if frames == 0:
        assert measured is None
        return
    whole = 20 * np.log10(np.abs(resample_poly(samples, 4, 1, axis=0)).max())
    assert measured == pytest.approx(whole, abs=1e-9)


def test_a_sine_between_its_samples_has_its_true_peak() -> None:
    n = np.arange(48_000)
    samples = 0.5 * np.sin(np.pi / 2 * n + np.pi / 4)[:, None]  # every sample is 3 dB below it
    samples *= np.hanning(len(n))[:, None]
    meter = TruePeakMeter(1)
    meter.push(samples)
    assert meter.dbtp() == pytest.approx(-6.02, abs=0.1)


def test_help_of_both_needs_nothing_heavy() -> None:
    for command in ("ab", "null"):
        code = (
            "import sys\nfrom chowtape_cli.__main__ import run\n"
            f"run([{command!r}, '--help'])\n"
            "heavy = {'numpy', 'scipy', 'numba', 'soundfile', 'rich', 'pyloudnorm'}"
            " & set(sys.modules)\nassert not heavy, heavy"
        )
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env=os.environ
        )


@pytest.mark.parametrize("rate", [1, 2, 3])
def test_a_recording_of_a_few_hertz_is_compared_without_harmonics(
    chowtape: Run, tmp_path: Path, rate: int
) -> None:
    write_wav(tmp_path / "low.wav", music(10.0, rate, 1), rate)
    result = chowtape("ab", "low.wav", "o", "--variant", "A:dc-block=0", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["variants"][1]["thd_db"] is None


def test_many_variants_are_announced_with_the_size_that_they_will_have(
    chowtape: Run, tmp_path: Path
) -> None:
    write_wav(tmp_path / "mix.wav", music(3.0, 44_100))
    result = chowtape("ab", "mix.wav", "ab", "--sweep", "drive=0.5:1:21")
    assert result.returncode == 0, result.stderr
    first = result.stderr.splitlines()[0]
    assert first.startswith("chowtape: warning: 21 variants: 22 files, about "), first
    files = [path for path in (tmp_path / "ab").rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    assert float(first.split("about ")[1].split(" MB")[0]) == pytest.approx(size, rel=0.25)
    assert "Null test: too many to print" in result.stdout
    few = chowtape("ab", "mix.wav", "few", "--sweep", "drive=0.5:1:3")
    assert (few.returncode, few.stderr) == (0, "")


def test_no_figure_is_a_negative_zero(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "mix.wav", music(1.0, 44_100))
    same = ("--variant", "A:mix=0,dc-block=0", "--variant", "B:mix=0,dc-block=0,output-gain=-0.001")
    result = chowtape("ab", "mix.wav", "ab", *same)
    assert result.returncode == 0, result.stderr
    assert "0.00" in result.stdout
    assert not re.search(r"-0\.0+\b(?!\d)", result.stdout)


@pytest.mark.parametrize(("value", "text"), [(-0.001, "0.00"), (0.0, "0.00"), (-0.006, "-0.01"),
                                             (0.014, "+0.01")])  # fmt: skip
def test_a_level_near_zero_has_no_sign(value: float, text: str) -> None:
    assert fixed(value, 2, signed=True) == text


@pytest.mark.parametrize(
    ("sweep", "value"),
    [
        ("drive=0.5:0.5:3", "0.5"),
        ("drive=0.1,0.1", "0.1"),
        ("drive=0.1,0.2,0.10", "0.10"),
        ("drive=0.5:0.50000001:2", "0.5"),
        ("mode=nr8,NR8", "NR8"),
        ("dither=on,true", "true"),
    ],
)
def test_a_sweep_that_repeats_a_value_says_so(
    chowtape: Run, tmp_path: Path, sweep: str, value: str
) -> None:
    write_wav(tmp_path / "mix.wav", music(0.1, 44_100))
    result = chowtape("ab", "mix.wav", "ab", "--sweep", sweep)
    advice = "further apart" if ":" in sweep else "leave one out"
    check_one_line(result, 2, f"--sweep {sweep}: {value} is there twice; ", advice)
    assert "name" not in result.stderr
    assert not (tmp_path / "ab").exists()

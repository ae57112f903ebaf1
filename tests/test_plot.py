"""`chowtape plot`: pictures that are whole and labelled, and numbers that are right."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, music, write_wav
from numpy.typing import NDArray
from PIL import Image

from chowtape_cli import RenderSettings, render_array
from chowtape_cli.neural.bank import load
from chowtape_cli.neural.catalogue import bundled

LABELS = {
    "loop": ["field H (full scale of the input = 1)", "magnetisation M (saturation Mₛ = 1)"],
    "harmonics": ["frequency (kHz)", "level (dBFS)", "harmonic", "alias"],
    "curve": ["peak level of the sine (dBFS)", "gain (dB)", "drive 0.1", "drive 0.9"],
    "spectrum": ["frequency (Hz)", "level in a third of an octave (dBFS)", "a.wav", "b $x$.flac"],
    "bank": ["bias (0 to 1)", "saturation (0 to 1)", "error against nr8 (dB)"],
}


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    write_wav(tmp_path / "a.wav", music(1.5, 44_100))
    write_wav(tmp_path / "b $x$.flac", music(0.01, 8_000, 1, seed=1), 8_000, subtype="PCM_16")
    return ["a.wav", "b $x$.flac"]


def numbers(chowtape: Run, *arguments: object) -> Any:
    result = chowtape("plot", *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((samples - samples.mean()) ** 2)))


@pytest.mark.parametrize("kind", LABELS)
def test_a_picture_is_whole_labelled_and_the_same_every_time(
    chowtape: Run, tmp_path: Path, recordings: list[str], kind: str
) -> None:
    files = recordings if kind == "spectrum" else []
    for name in ("p.svg", "new/again.svg"):
        result = chowtape("plot", kind, *files, "--output", name)
        assert (result.returncode, result.stderr) == (0, ""), result.stderr
        assert name in result.stdout
    svg = (tmp_path / "p.svg").read_bytes()
    assert svg == (tmp_path / "new" / "again.svg").read_bytes()
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314
    # text is drawn as paths, and stands beside them as comments
    written = re.findall(r"<!-- (.*?) -->", svg.decode())
    for label in LABELS[kind]:
        assert label in written
    assert not re.search(r"<dc:date>|href=\"http", svg.decode())


@pytest.mark.parametrize("flag", [None, "--dark"])
def test_a_png_is_a_white_card_or_a_dark_one(
    chowtape: Run, tmp_path: Path, flag: str | None
) -> None:
    assert chowtape("plot", "loop", *filter(None, [flag])).returncode == 0
    with Image.open(tmp_path / "loop.png") as png:
        grey = np.asarray(png.convert("L"))
    assert min(grey.shape) > 500
    if flag:
        assert np.median(grey) < 40
        assert grey.max() > 200
    else:
        assert np.median(grey) == 255
        assert grey.min() < 60


def test_nothing_is_overwritten_unasked(
    chowtape: Run, tmp_path: Path, recordings: list[str]
) -> None:
    (tmp_path / "p.svg").write_text("mine")
    refused = chowtape("plot", "spectrum", *recordings, "-o", "p.svg")
    assert refused.returncode == 1
    assert "p.svg: exists already; give --overwrite" in refused.stderr
    assert (tmp_path / "p.svg").read_text() == "mine"
    assert chowtape("plot", "spectrum", *recordings, "-o", "p.svg", "--overwrite").returncode == 0
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("loop", "-o", "p.jpg"), 2, "p.jpg: pictures are PNG or SVG; name it p.png or p.svg"),
        (("loop", "-o", "."), 2, "PNG or SVG"),
        (("loop", "-o", "file/p.png"), 1, "choose another"),
        (("loop", "--drive", "1.5"), 2, "--drive is 1.5, but must be 0 to 1"),
        (("loop", "--drive", "nan"), 2, "--drive"),
        (("loop", "--level", "nan"), 2, "not a number"),
        (("loop", "--weights", "2x8"), 2, "--mode stn"),
        (("curve", "--mode", "nr8", "--mode", "rk2", "--bias", "0", "--bias", "1"), 2, "at most 8"),
        (("curve", "--levels", "0", "0.5"), 2, "--levels"),
        (
            ("harmonics", "-o", "a.svg", "--frequency", "21000"),
            2,
            "--frequency is 21000 Hz, but must be",
        ),
        (("harmonics", "--frequency", "nan"), 2, "--frequency"),
        (("harmonics", "--rate", "8000", "--frequency", "900", "--os", "3"), 2, "'3'"),
        (("spectrum",), 2, "FILE"),
        (("spectrum", "missing.wav"), 1, "missing.wav: there is no such file"),
        (("spectrum", "noise.wav"), 1, "noise.wav: is not audio"),
        (("spectrum", "a.wav", "empty.wav"), 1, "empty.wav: has no frames"),
        (("spectrum", *["a.wav"] * 9), 2, "at most 8"),
        (("bank", "--level", "3"), 2, "--level 3 was not measured; give one of -32, -2, 12"),
        (("bank", "--weights", "missing.npz"), 1, "missing.npz: can't be read"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    chowtape: Run,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no audio at all")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "a.svg").write_text("here already, which is told once the options are right")
    write_wav(tmp_path / "empty.wav", np.zeros((0, 2)))
    before = sorted(tmp_path.iterdir())
    result = chowtape("plot", *arguments)
    assert result.returncode == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("package", "flag", "words"),
    [
        ("matplotlib", "--dark", "plots need matplotlib: pip install 'chowtape[plots]'"),
        ("plotille", "--terminal", "need plotille: pip install 'chowtape[plots]'"),
    ],
)
def test_a_missing_package_is_named(
    chowtape: Run, tmp_path: Path, package: str, flag: str, words: str
) -> None:
    """In a real process in which the package can't be imported."""
    blocker = tmp_path / "without"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    path = os.pathsep.join([str(blocker), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = chowtape("plot", "loop", flag, env={"PYTHONPATH": path})
    assert result.returncode == 1
    assert result.stderr == f"chowtape: {result.stderr.split(': ', 1)[1]}"
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "loop.png").exists()
    # the numbers need neither
    assert chowtape("plot", "loop", "--json", env={"PYTHONPATH": path}).returncode == 0


def test_the_loop_is_the_bare_hysteresis(chowtape: Run) -> None:
    knobs = ("--drive", 0.8, "--sat", 0.3, "--bias", 0.2, "--cycles", 3, "--level", 0)
    found = numbers(chowtape, "loop", "--mode", "nr8", "--mode", "stn", *knobs)["loops"]
    assert [loop["label"] for loop in found] == ["nr8", "stn"]
    H, M = (np.array(found[0][axis]) for axis in "HM")
    assert np.abs(H).max() == pytest.approx(1.0, abs=1e-3)
    crests = [np.abs(part).max() for part in np.array_split(H, 4)]
    # grows in proportion to time, and stays
    assert np.allclose(crests, [0.25, 0.5833, 0.9167, 1.0], atol=0.01)
    bare = RenderSettings(
        drive=0.8, saturation=0.3, bias=0.2, oversampling=1, makeup=False, dc_block=0.0
    )
    M_s = 0.5 + 1.5 * 0.7
    np.testing.assert_allclose(M, render_array(H, 96_000, bare).samples / M_s, rtol=0, atol=1e-12)
    np.testing.assert_allclose(M, found[1]["M"], rtol=0, atol=1e-3)


def test_harmonics_are_those_of_an_independent_measurement(chowtape: Run) -> None:
    arguments = ("--os", 4, "--drive", 0.9, "--level", -6, "--frequency", 1000, "--rate", 48_000)
    (found,) = numbers(chowtape, "harmonics", *arguments)["harmonics"]
    f = found["frequency"]
    assert f == pytest.approx(1000, abs=2)
    x = 10 ** (-6 / 20) * np.sin(2 * np.pi * f * np.arange(3 * 48_000) / 48_000)
    y = render_array(x, 48_000, RenderSettings(oversampling=4, drive=0.9)).samples[48_000:]
    t = np.arange(y.size) / 48_000
    # least squares, not a transform
    waves = [g(2 * np.pi * n * f * t) for n in range(1, 8) for g in (np.sin, np.cos)]
    fit = np.linalg.lstsq(np.stack(waves, axis=1), y, rcond=None)[0]
    levels = 20 * np.log10(np.hypot(fit[::2], fit[1::2]))
    measured = np.array(found["harmonics"])
    np.testing.assert_allclose(measured[:7:2, 1], levels[::2], rtol=0, atol=0.01)
    np.testing.assert_allclose(measured[:7, 0], f * np.arange(1, 8))
    assert measured[1::2, 1].max() < -180  # the model is odd: no even harmonics
    distortion = 10 * np.log10(np.sum(10 ** ((levels[2::2] - levels[0]) / 10)))
    assert found["harmonics_db"] == pytest.approx(distortion, abs=0.05)


@pytest.mark.parametrize(("level", "lowest"), [(-120, -200), (22, -100)])
def test_the_axes_of_harmonics_follow_the_data(
    chowtape: Run, tmp_path: Path, level: float, lowest: int
) -> None:
    sine = ("--level", level, "--drive", 1, "--os", 2)
    assert chowtape("plot", "harmonics", *sine, "-o", "p.svg").returncode == 0
    written = re.findall(r"<!-- (.*?) -->", (tmp_path / "p.svg").read_text())
    ticks = [int(text[1:]) for text in written if re.fullmatch("\u2212\\d+", text)]
    assert -max(ticks) == lowest


def test_oversampling_pushes_the_aliases_down(chowtape: Run) -> None:
    found = numbers(chowtape, "harmonics", "--frequency", 5000)["harmonics"]
    assert [one["label"] for one in found] == ["1x", "2x", "4x", "8x"]
    floors = [one["aliases_db"] for one in found]
    assert floors == sorted(floors, reverse=True)
    assert floors[0] - floors[3] > 20
    for one in found:
        lines = np.array(one["aliases"])
        # the listed lines hold the power; each is a fold of some odd multiple of the sine
        total = 10 * np.log10(np.sum(10 ** (lines[:, 1] / 10))) - one["harmonics"][0][1]
        assert total == pytest.approx(one["aliases_db"], abs=0.1)
        orders = np.arange(1, 2001, 2) * one["frequency"]
        folds = np.abs((orders + 22_050) % 44_100 - 22_050)
        loud = lines[lines[:, 1] > -110, 0]
        assert np.abs(loud[:, None] - folds).min(axis=1).max() < 1e-6


def test_a_dry_mix_has_neither_gain_nor_harmonics(chowtape: Run) -> None:
    (found,) = numbers(chowtape, "harmonics", "--mix", 0, "--os", 2)["harmonics"]
    assert found["harmonics"][0][1] == pytest.approx(-2.0, abs=1e-6)
    assert np.array(found["harmonics"])[1:, 1].max() < -180
    assert found["aliases"] == []
    (curve,) = numbers(chowtape, "curve", "--mix", 0, "--drive", 0.5)["curves"]
    np.testing.assert_allclose(curve["gain"], 0.0, atol=1e-6)


def test_the_curve_is_the_gain_of_each_level(chowtape: Run) -> None:
    found = numbers(chowtape, "curve", "--levels", -30, 12, "--drive", 0.2, "--drive", 0.8)
    assert [curve["label"] for curve in found["curves"]] == ["drive 0.2", "drive 0.8"]
    curve = found["curves"][1]
    assert curve["levels"][0] == -30
    assert curve["levels"][-1] == 12
    for place in (0, 30, 42):
        x = np.sin(2 * np.pi * curve["frequency"] * np.arange(44_100) / 44_100)
        x *= 10 ** (curve["levels"][place] / 20)
        y = render_array(x, 44_100, RenderSettings(drive=0.8)).samples
        gain = 20 * np.log10(rms(y[-22_050:]) / rms(x[-22_050:]))
        assert curve["gain"][place] == pytest.approx(gain, abs=0.01)
    assert curve["gain"][-1] < curve["gain"][0] - 6  # saturated


def test_a_spectrum_has_the_power_where_it_is(chowtape: Run, tmp_path: Path) -> None:
    t = np.arange(3 * 48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    write_wav(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), 48_000)
    noise = 0.1 * np.random.default_rng(0).standard_normal((200_000, 2))
    write_wav(tmp_path / "noise.wav", noise, 48_000)
    tone_, noise_ = numbers(chowtape, "spectrum", "tone.wav", "noise.wav")["spectra"]
    centres, levels = (np.array(tone_[name]) for name in ("frequencies", "levels"))
    assert tone_["level"] == pytest.approx(20 * np.log10(0.5), abs=0.01)
    near = np.abs(np.log2(centres / 1000)) < 0.15
    np.testing.assert_allclose(levels[near], 20 * np.log10(0.5), atol=0.05)
    assert levels[np.abs(np.log2(centres / 1000)) > 1.0].max() < -50
    mean_square = np.mean(noise**2)
    assert noise_["level"] == pytest.approx(10 * np.log10(2 * mean_square), abs=1e-6)
    width = centres * (2 ** (1 / 6) - 2 ** (-1 / 6)) / 24_000
    expected = 10 * np.log10(2 * mean_square * width)
    high = centres > 500
    np.testing.assert_allclose(np.array(noise_["levels"])[high], expected[high], atol=0.6)
    assert (noise_["rate"], noise_["frames"]) == (48_000, 200_000)


def test_files_of_one_name_are_told_apart(chowtape: Run, tmp_path: Path) -> None:
    for folder in ("dry", "tape"):
        write_wav(tmp_path / "mix" / folder / "drums.wav", music(0.1, 44_100))
    files = ("mix/dry/drums.wav", "mix/tape/drums.wav")
    assert chowtape("plot", "spectrum", *files, "-o", "p.svg").returncode == 0
    written = re.findall(r"<!-- (.*?) -->", (tmp_path / "p.svg").read_text())
    assert "dry/drums.wav" in written
    assert "tape/drums.wav" in written


def test_the_map_is_the_banks_own(chowtape: Run) -> None:
    bank = load(bundled())
    found = numbers(chowtape, "bank")
    np.testing.assert_array_equal(np.float32(found["accuracy_db"]), bank.accuracy_db)


@pytest.mark.parametrize("kind", LABELS)
def test_the_terminal_gets_a_sketch_and_no_file(
    chowtape: Run, tmp_path: Path, recordings: list[str], kind: str
) -> None:
    before = sorted(tmp_path.iterdir())
    files = recordings if kind == "spectrum" else []
    result = chowtape("plot", kind, *files, "--terminal", env={"COLUMNS": "80", "LINES": "30"})
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout  # no colours in a pipe
    lines = result.stdout.splitlines()
    assert len(lines) >= 20
    assert max(map(len, lines)) <= 80
    assert "dB" in result.stdout or kind == "loop"
    assert sorted(tmp_path.iterdir()) == before


def test_a_solver_that_ran_away_is_named(chowtape: Run) -> None:
    result = chowtape(
        "plot", "curve", "--mode", "rk2", "--mode", "nr8", "--drive", 1, "--bias", 1, "--sat", 1,
        "--os", 1, "--frequency", 15_000, "--levels", 10, 12, "--json",
    )  # fmt: skip
    assert result.returncode == 0
    assert all(one["resets"] > 0 for one in json.loads(result.stdout)["curves"])
    rk2, nr8 = result.stderr.splitlines()
    assert "warning: rk2: the solver ran away" in rk2
    assert rk2.endswith("or take --mode nr8")
    assert nr8.endswith("lower the level, --drive or --bias")


def test_a_legend_has_every_name_whatever_it_begins_with(chowtape: Run, tmp_path: Path) -> None:
    for name in ("a.wav", "_hidden.wav", "$b_1$.wav"):
        write_wav(tmp_path / name, music(0.2, 8_000, 1), 8_000)
    result = chowtape("plot", "spectrum", "a.wav", "_hidden.wav", "$b_1$.wav", "-o", "p.svg")
    assert (result.returncode, result.stderr) == (0, "")
    svg = (tmp_path / "p.svg").read_text()
    assert all(f"<!-- {name} -->" in svg for name in ("a.wav", "_hidden.wav", "$b_1$.wav"))


@pytest.mark.parametrize(("rate", "fits"), [(1, False), (30, False), (99, False), (100, True)])
def test_a_sample_rate_too_low_for_a_spectrum_is_named(
    chowtape: Run, tmp_path: Path, rate: int, fits: bool
) -> None:
    write_wav(tmp_path / "low.wav", music(200.0 / rate, rate, 1), rate)
    result = chowtape("plot", "spectrum", "low.wav", "-o", "p.svg")
    assert result.returncode == (0 if fits else 1)
    assert (tmp_path / "p.svg").exists() is fits
    refused = f"chowtape: low.wav: a sample rate of {rate} Hz is too low"
    assert result.stderr.startswith("" if fits else refused)
    assert result.stderr.count("\n") == (0 if fits else 1)


def test_the_last_loop_is_closed(chowtape: Run) -> None:
    for loop in numbers(chowtape, "loop", "--bias", 0, "--bias", 1, "--cycles", 2)["loops"]:
        H, M = np.array(loop["H"])[-961:], np.array(loop["M"])[-961:]
        assert H[0] == pytest.approx(H[-1], abs=1e-9)
        assert abs(M[0] - M[-1]) < 0.01 * np.ptp(M)


def test_more_loops_than_can_be_told_apart_get_panels(chowtape: Run, tmp_path: Path) -> None:
    drives = [part for drive in (0.1, 0.3, 0.5, 0.7, 0.9) for part in ("--drive", drive)]
    for count, panels in ((4, 1), (5, 5)):
        name = f"{count}.svg"
        assert chowtape("plot", "loop", *drives[: 2 * count], "-o", name).returncode == 0
        svg = (tmp_path / name).read_text()
        assert len(re.findall(r'<g id="axes_\d+"', svg)) == panels
        for text in (*(f"drive {drive}" for drive in drives[1 : 2 * count : 2]), *LABELS["loop"]):
            assert svg.count(f"<!-- {text} -->") == 1, text


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_a_sketch_has_round_ticks(chowtape: Run, tmp_path: Path, columns: str) -> None:
    write_wav(tmp_path / "a.wav", music(0.5, 44_100))
    for command in (("loop",), ("curve",), ("spectrum", "a.wav")):
        result = chowtape("plot", *command, "--terminal", env={"COLUMNS": columns})
        assert result.returncode == 0, result.stderr
        sketch = result.stdout.split("Legend")[0].splitlines()
        up = [float(line.split("|")[0]) for line in sketch if re.match(r"\s*-?[\d.]+ \|", line)]
        along = [line for line in sketch if line.startswith("           | ")][-1].split()[1:]
        assert len(up) >= 4
        assert len(along) >= 2
        for text in (*map(str, up), *along):
            assert len(re.sub(r"^0+|[^\d]", "", text).strip("0")) <= 3, text
        steps = -np.diff(up)
        assert np.allclose(steps, steps[0])
        assert f"{steps[0]:e}"[0] in "125"
        assert f"{steps[0]:.9e}"[1:11] == ".000000000"
        assert max(map(len, sketch)) <= int(columns)

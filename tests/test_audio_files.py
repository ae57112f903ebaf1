"""Every format in and out, through the real command and read back by the reference library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from processes import PEAK, needs_proc, wait_until

from chowtape_cli import render_file
from chowtape_cli.settings import RenderSettings

BARE = ("--oversampling", 1, "--no-makeup", "--dc-block", 0)

# extension, subtype, channels, rate: a tour of what libsndfile writes
TOUR = [
    ("wav", "PCM_U8", 2, 44_100), ("wav", "PCM_16", 2, 44_100), ("wav", "PCM_24", 6, 96_000),
    ("wav", "PCM_32", 1, 384_000), ("wav", "FLOAT", 64, 48_000), ("wav", "DOUBLE", 2, 8_000),
    ("wav", "ULAW", 1, 8_000), ("wav", "ALAW", 2, 8_000), ("wav", "IMA_ADPCM", 2, 44_100),
    ("wav", "MS_ADPCM", 1, 22_050), ("wav", "GSM610", 1, 8_000), ("rf64", "PCM_24", 2, 44_100),
    ("w64", "FLOAT", 2, 44_100), ("aiff", "PCM_16", 2, 44_100), ("aif", "PCM_24", 2, 48_000),
    ("aiff", "FLOAT", 1, 48_000), ("flac", "PCM_16", 2, 44_100), ("flac", "PCM_24", 8, 192_000),
    ("flac", "PCM_S8", 1, 44_100), ("caf", "ALAC_16", 2, 44_100), ("caf", "ALAC_24", 2, 44_100),
    ("caf", "FLOAT", 2, 44_100), ("ogg", "VORBIS", 2, 44_100), ("opus", "OPUS", 2, 48_000),
    ("mp3", "MPEG_LAYER_III", 2, 44_100), ("au", "PCM_16", 2, 44_100), ("voc", "PCM_16", 2, 44_100),
    ("mat", "DOUBLE", 2, 44_100), ("paf", "PCM_24", 2, 44_100), ("pvf", "PCM_16", 2, 44_100),
    ("svx", "PCM_16", 1, 22_050), ("nist", "PCM_16", 2, 16_000), ("avr", "PCM_16", 2, 44_100),
    ("sf", "FLOAT", 2, 44_100), ("htk", "PCM_16", 1, 16_000), ("sds", "PCM_16", 1, 8_000),
    ("mpc", "PCM_16", 2, 44_100), ("xi", "DPCM_16", 1, 44_100), ("wve", "ALAW", 1, 8_000),
]  # fmt: skip


@pytest.mark.parametrize(("extension", "subtype", "channels", "rate"), TOUR)
def test_a_format_is_written_and_read_again(
    tmp_path: Path, extension: str, subtype: str, channels: int, rate: int
) -> None:
    """The output holds what a render to floats holds, to the precision of its format."""
    x = 0.4 * music(0.3, rate, channels)
    source = write_wav(tmp_path / "in.wav", x, rate)
    exact = tmp_path / "exact.wav"
    render_file(source, exact, RenderSettings())
    first, second = tmp_path / f"one.{extension}", tmp_path / f"two.{extension}"
    report = render_file(source, first, RenderSettings(subtype=subtype))
    assert (report.subtype, report.frames) == (subtype, len(x))
    info = sf.info(first)
    assert (info.samplerate, info.channels, info.subtype) == (rate, channels, subtype)
    blocky = subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610")
    assert info.frames == len(x) or (blocky and info.frames >= len(x))
    lossy = subtype in ("VORBIS", "OPUS", "MPEG_LAYER_III", "GSM610", "IMA_ADPCM", "MS_ADPCM",
                        "ULAW", "ALAW", "DPCM_16")  # fmt: skip
    steps = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "ALAC_16": 16, "PCM_24": 24, "ALAC_24": 24}
    bits = steps.get(subtype, 24)
    written, exactly = (
        sf.read(first, always_2d=True)[0][: len(x)],
        sf.read(exact, always_2d=True)[0],
    )
    error = np.abs(written - exactly)
    if lossy:
        correlation = np.corrcoef(written.ravel(), exactly.ravel())[0, 1]
        assert correlation > 0.7
    else:
        assert error.max() <= 1.51 * 2.0 ** (1 - bits)
    again = render_file(first, second, RenderSettings())  # what it wrote, it reads
    assert again.subtype == subtype


def test_every_extension_is_reachable_by_some_source() -> None:
    from chowtape_cli.audio_files.formats import EXTENSIONS

    toured = {extension for extension, *_ in TOUR}
    containers = {EXTENSIONS[extension] for extension in toured}
    assert containers == set(EXTENSIONS.values())


@pytest.mark.parametrize(
    ("extension", "subtype"),
    [("wav", "FLOAT"), ("aiff", "FLOAT"), ("ogg", "VORBIS"), ("mat", "DOUBLE"), ("mp3", None),
     ("wav", "PCM_16"), ("flac", None)],
)  # fmt: skip
def test_the_same_command_twice_gives_the_same_bytes(
    chowtape: Run, tmp_path: Path, extension: str, subtype: str | None
) -> None:
    write_wav(tmp_path / "in.wav", 0.4 * music(0.3, 44_100), subtype="PCM_16")
    asked = () if subtype is None else ("--subtype", subtype)
    one, two = f"one.{extension}", f"two.{extension}"
    assert chowtape("render", "in.wav", one, *asked).returncode == 0
    second = int(time.time())  # a time stamp's
    wait_until(lambda: int(time.time()) > second)
    assert chowtape("render", "in.wav", two, *asked).returncode == 0
    assert (tmp_path / one).read_bytes() == (tmp_path / two).read_bytes()


def test_an_ogg_with_its_serial_number_rewritten_is_still_whole(tmp_path: Path) -> None:
    """A page with a wrong checksum would be dropped: every sample must still decode."""
    x = 0.4 * music(5.0, 44_100)
    source = write_wav(tmp_path / "in.wav", x)
    render_file(source, tmp_path / "out.ogg", RenderSettings())
    decoded, _ = sf.read(tmp_path / "out.ogg")
    assert len(decoded) == len(x)
    assert (tmp_path / "out.ogg").read_bytes()[14:18] == b"tape"


@pytest.mark.parametrize("frames", [0, 1, 2])
@pytest.mark.parametrize("factor", [1, 2, 64])
def test_the_shortest_files(tmp_path: Path, frames: int, factor: int) -> None:
    source = write_wav(tmp_path / "in.wav", np.full((frames, 2), 0.25))
    report = render_file(source, tmp_path / "out.wav", RenderSettings(oversampling=factor))
    assert report.frames == frames == sf.info(tmp_path / "out.wav").frames


def test_the_subtype_of_the_source_is_kept(chowtape: Run, tmp_path: Path) -> None:
    for subtype in ("PCM_16", "PCM_24", "FLOAT"):
        write_wav(tmp_path / "in.wav", music(0.1, 44_100), subtype=subtype)
        assert chowtape("render", "in.wav", f"{subtype}.wav").returncode == 0
        assert sf.info(tmp_path / f"{subtype}.wav").subtype == subtype


@pytest.mark.parametrize(
    ("subtype", "extension", "expected"),
    [
        ("FLOAT", "flac", "PCM_24"),
        ("DOUBLE", "aiff", "DOUBLE"),
        ("PCM_U8", "flac", "PCM_S8"),
        ("PCM_U8", "caf", "PCM_S8"),
        ("PCM_32", "flac", "PCM_24"),
        ("PCM_24", "ogg", "VORBIS"),
        ("PCM_16", "mp3", "MPEG_LAYER_III"),
        ("ULAW", "flac", "PCM_24"),
    ],
)
def test_a_subtype_that_does_not_fit_becomes_the_nearest(
    tmp_path: Path, subtype: str, extension: str, expected: str
) -> None:
    source = write_wav(tmp_path / "in.wav", music(0.1, 44_100), subtype=subtype)
    report = render_file(source, tmp_path / f"out.{extension}", RenderSettings())
    assert report.subtype == expected


def test_wav_variants_stay_what_they_are(tmp_path: Path) -> None:
    for container in ("WAV", "WAVEX", "RF64"):
        source = write_wav(tmp_path / "in.wav", music(0.1, 44_100), format=container)
        report = render_file(source, tmp_path / f"{container}.wav", RenderSettings())
        assert report.format == container == sf.info(tmp_path / f"{container}.wav").format


def test_tags_are_carried(chowtape: Run, tmp_path: Path) -> None:
    tags = {"title": "Tape ♪", "artist": "Ampex", "album": "Reel", "date": "1948"}
    with sf.SoundFile(tmp_path / "in.flac", "w", 44_100, 2) as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(music(0.1, 44_100))
    assert chowtape("render", "in.flac", "out.ogg").returncode == 0
    with sf.SoundFile(tmp_path / "out.ogg") as file:
        assert {name: getattr(file, name) for name in tags} == tags
    lost = chowtape("render", "in.flac", "out.w64")
    assert lost.returncode == 0
    assert "can't hold these tags: title, " in lost.stderr


def test_silence_stays_silent_in_16_bits(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", np.zeros((5000, 2)), subtype="PCM_16")
    report = render_file(source, tmp_path / "out.wav", RenderSettings())
    assert not sf.read(tmp_path / "out.wav", dtype="int16")[0].any()
    assert report.peak_in_dbfs is None
    assert report.peak_out_dbfs is None


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_mix_0_gives_back_the_source_to_the_bit(tmp_path: Path, subtype: str) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (3000, 2))
    x[0] = (1.0, -1.0)
    source = write_wav(tmp_path / "in.wav", x, subtype=subtype)
    render_file(source, tmp_path / "out.wav", RenderSettings(mix=0))
    np.testing.assert_array_equal(sf.read(source)[0], sf.read(tmp_path / "out.wav")[0])


def test_dither_is_triangular_and_can_be_switched_off(tmp_path: Path) -> None:
    x = 0.3 * music(2.0, 44_100, 1)
    source = write_wav(tmp_path / "in.wav", x)
    render_file(source, tmp_path / "exact.wav", RenderSettings())
    exact = sf.read(tmp_path / "exact.wav")[0] * 32768
    errors = {}
    for dither in (True, False):
        out = tmp_path / f"{dither}.wav"
        render_file(source, out, RenderSettings(subtype="PCM_16", dither=dither))
        errors[dither] = sf.read(out, dtype="int16")[0] - exact
    # rounding alone: variance 1/12; TPDF dither of +-1 LSB adds 1/6
    assert np.var(errors[False]) == pytest.approx(1 / 12, rel=0.05)
    assert np.var(errors[True]) == pytest.approx(1 / 12 + 1 / 6, rel=0.05)
    assert np.abs(errors[False]).max() <= 0.5 + 1e-6
    assert abs(np.mean(errors[True])) < 0.01


def test_dither_does_not_depend_on_the_blocks() -> None:
    from chowtape_cli.dsp.coding import Coding, code

    x, coding = music(0.2, 44_100), Coding(16, dither=True)
    whole = code(x, coding, 0).samples
    parts = [code(x[i : i + 1000], coding, i).samples for i in range(0, len(x), 1000)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("bits", [2, 8, 16, 24, 32])
def test_rounding_is_that_of_numpy(bits: int) -> None:
    from chowtape_cli.dsp.coding import Coding, code

    x = 1.5 * music(0.1, 44_100) + 1e-7
    coded = code(x, Coding(bits), 0)
    full_scale = 2.0 ** (bits - 1)
    rounded = np.rint(x * full_scale)
    held = np.clip(rounded, -full_scale, full_scale - 1.0)
    np.testing.assert_array_equal(coded.samples, held.astype(np.int64) << (32 - bits))
    assert coded.clipped == np.count_nonzero(held != rounded) > 0
    assert coded.peak == np.abs(x).max()


def test_clipping_is_counted_and_the_advice_is_right(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.5, 44_100), subtype="PCM_16")
    result = chowtape("render", "in.wav", "hot.wav", "--output-gain", 9, "--json")
    file = json.loads(result.stdout)["files"][0]
    assert file["clipped_samples"] > 0
    assert file["peak_out_dbfs"] > 0
    samples = sf.read(tmp_path / "hot.wav", dtype="int16")[0]
    assert file["clipped_samples"] <= np.count_nonzero((samples == 32767) | (samples == -32768))
    advice = result.stderr.split("--output-gain ")[1].split()[0]
    calm = chowtape("render", "in.wav", "calm.wav", "--output-gain", advice, "--json")
    figures = json.loads(calm.stdout)["files"][0]
    assert figures["clipped_samples"] == 0
    assert -0.2 < figures["peak_out_dbfs"] <= 0
    floats = chowtape(
        "render", "in.wav", "f.wav", "--output-gain", 9, "--subtype", "FLOAT", "--json"
    )
    assert json.loads(floats.stdout)["files"][0]["clipped_samples"] == 0


def test_bare_doubles_match_the_oracle(chowtape: Run, tmp_path: Path) -> None:
    """What an outside check does: several channels, bare hysteresis, through the command."""
    import reference

    x = np.hstack([music(0.03, 96_000, 2), 3.0 * music(0.03, 96_000, 1, seed=5)])
    write_wav(tmp_path / "in.wav", x, 96_000)
    for mode, tolerance in (("rk2", 1e-7), ("rk4", 1e-7), ("nr4", 1e-6), ("nr8", 1e-7)):
        knobs = (0.3, 0.2, 0.7)
        options = zip(("--drive", "--sat", "--bias"), knobs, strict=True)
        done = chowtape("render", "in.wav", f"{mode}.wav", "--mode", mode, *BARE,
                        "--subtype", "DOUBLE", *(o for pair in options for o in pair))  # fmt: skip
        assert done.returncode == 0, done.stderr
        ours = sf.read(tmp_path / f"{mode}.wav")[0]
        for channel in range(3):
            theirs = reference.hysteresis(x[:, channel], 96_000, mode, *knobs)
            np.testing.assert_allclose(ours[:, channel], theirs, rtol=0, atol=tolerance)


@needs_proc
def test_a_long_file_is_streamed_in_bounded_memory(tmp_path: Path) -> None:
    """Peak memory for twenty minutes is what it is for ten, whose segments are as long."""
    peaks = []
    minute = 0.3 * music(60.0, 8_000, 1)
    for minutes in (10, 20):
        source = tmp_path / f"{minutes}.wav"
        with sf.SoundFile(source, "w", 8_000, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
        code = (
            "import sys; from chowtape_cli import render_file\n"
            "render_file(sys.argv[1], sys.argv[2])\n"
            f"{PEAK}print(peak)"
        )
        out = subprocess.run(
            [sys.executable, "-c", code, source, tmp_path / f"{minutes}-out.wav"],
            capture_output=True, text=True, check=True, env=dict(os.environ),
        )  # fmt: skip
        peaks.append(int(out.stdout))
    assert peaks[1] < 1.1 * peaks[0]

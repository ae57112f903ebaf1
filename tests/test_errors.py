"""Bad input: one line that says what is wrong and what to do, an exit code, nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import COMPILING, Run, music, write_wav
from processes import Start, parts, said, wait_until, written


def check_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    lines = result.stderr.replace(COMPILING, "").strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("chowtape: ")
    for word in words:
        assert word in lines[0]


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_sources_that_cannot_be_read(chowtape: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "notes.wav").write_text("this is not audio\n" * 50)
    (tmp_path / "notes.au").write_text("nor is this\n" * 50)
    (tmp_path / "notes.raw").write_text("nor is this\n" * 50)
    (tmp_path / "a\nb.wav").write_text("nor is this")
    before = listing(tmp_path)
    for name, *words in (
        ("missing.wav", "no such file", "check the path"),
        ("empty.wav", "is empty"),
        ("notes.wav", "is not audio", "convert"),
        ("notes.au", "is not audio"),
        ("notes.raw", "is not audio"),
        ("a\nb.wav", r"a\nb.wav"),
    ):
        check_one_line(chowtape("render", name, "out.wav"), 1, *words)
    assert listing(tmp_path) == before


CUT = [
    ("wav", "PCM_16"), ("wav", "FLOAT"), ("aiff", "PCM_24"), ("flac", "PCM_16"), ("w64", "PCM_16"),
    ("rf64", "PCM_16"), ("au", "PCM_16"), ("caf", "PCM_16"), ("ogg", "VORBIS"),
    ("mp3", "MPEG_LAYER_III"),
]  # fmt: skip


@pytest.mark.parametrize(("extension", "subtype"), CUT)
def test_a_cut_off_file_is_refused(
    chowtape: Run, tmp_path: Path, extension: str, subtype: str
) -> None:
    whole = tmp_path / f"whole.{extension}"
    format_ = {"rf64": "RF64"}.get(extension)
    sf.write(whole, music(1.0, 44_100), 44_100, subtype=subtype, format=format_)
    content = whole.read_bytes()
    whole.unlink()
    (tmp_path / f"in.{extension}").write_bytes(content[: len(content) * 2 // 3])
    result = chowtape("render", f"in.{extension}", "out.wav")
    assert result.returncode == 1
    assert "whole copy" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert listing(tmp_path) == [f"in.{extension}"]


def test_a_wav_from_a_pipe_is_not_taken_for_cut_off(chowtape: Run, tmp_path: Path) -> None:
    """Programs that write to a pipe leave the length at its largest: that means unknown."""
    source = write_wav(tmp_path / "in.wav", music(0.2, 44_100), subtype="PCM_16")
    content = bytearray(source.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    source.write_bytes(content)
    assert chowtape("render", "in.wav", "out.wav").returncode == 0
    assert sf.info(tmp_path / "out.wav").frames == 8820


def test_a_short_ogg_is_not_taken_for_cut_off(chowtape: Run, tmp_path: Path) -> None:
    """libsndfile says of one of few pages that its end is missing, though it is there."""
    tone = 0.125 * np.sin(2.0 * np.pi * 440.0 * np.arange(44_100) / 44_100)
    sf.write(tmp_path / "in.ogg", tone, 44_100)
    result = chowtape("render", "in.ogg", "out.flac")
    assert result.returncode == 0, result.stderr
    assert sf.info(tmp_path / "out.flac").frames == 44_100


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "Inf"), (-np.inf, "Inf")])
def test_a_sample_that_is_no_number_is_named(
    chowtape: Run, tmp_path: Path, value: float, name: str
) -> None:
    x = np.zeros((100_000, 3))
    x[70_001, 1] = value
    write_wav(tmp_path / "in.wav", x, subtype="FLOAT")
    result = chowtape("render", "in.wav", "sub/out.wav")
    check_one_line(result, 1, f"channel 2, frame 70001 is {name}")
    assert listing(tmp_path) == ["in.wav"]


def test_destinations_that_cannot_be_written(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    write_wav(tmp_path / "many.wav", music(0.1, 44_100, 12))
    write_wav(tmp_path / "there.wav", music(0.05, 44_100))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.wav").symlink_to("in.wav")
    there = (tmp_path / "there.wav").read_bytes()
    before = listing(tmp_path)
    for source, destination, *words in (
        ("in.wav", "there.wav", "exists already", "--overwrite"),
        ("in.wav", "in.wav", "is the source itself"),
        ("in.wav", "link.wav", "is the source itself"),
        ("in.wav", "folder", "is a folder", "name a file"),
        ("in.wav", "out.xyz", "extension .xyz is not known", "wav"),
        ("in.wav", "out", "has no extension"),
        ("in.wav", "there.wav/out.wav", "is not a folder"),
        ("in.wav", "/proc/out.wav", "/proc"),
        ("many.wav", "out.mp3", "MP3", "12 channels"),
        ("many.wav", "out.flac", "FLAC", "12 channels"),
        ("folder", "out.wav", "folder"),
        ("in.wav", "x" * 300 + ".wav", "too long"),
    ):
        result = chowtape("render", source, destination)
        assert result.returncode in (1, 2)
        check_one_line(result, result.returncode, *words)
    # --overwrite replaces other files, but never the source
    check_one_line(chowtape("render", "in.wav", "in.wav", "--overwrite"), 1, "source itself")
    assert listing(tmp_path) == before
    assert (tmp_path / "there.wav").read_bytes() == there
    assert chowtape("render", "in.wav", "there.wav", "--overwrite").returncode == 0
    assert sf.info(tmp_path / "there.wav").frames == 4410


def test_a_subtype_that_the_format_cannot_hold(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    result = chowtape("render", "in.wav", "out.flac", "--subtype", "DOUBLE")
    check_one_line(result, 1, "FLAC can't hold DOUBLE", "PCM_24")
    check_one_line(chowtape("render", "in.wav", "out.mp3", "--rate", 96_000), 1, "MP3", "96000 Hz")
    vorbis = ("render", "in.wav", "out.ogg", "--rate")
    for options in ((), ("--dry-run",)):  # libsndfile would crash
        check_one_line(chowtape(*vorbis, 200_001, *options), 1, "VORBIS", "200001 Hz")
    assert chowtape(*vorbis, 200_000).returncode == 0
    assert sf.info(tmp_path / "out.ogg").samplerate == 200_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--drive", "1.01"), ("--drive", "0 to 1")),
        (("--drive", "nan"), ("--drive", "not a number")),
        (("--sat", "-0.1"), ("--saturation", "0 to 1")),
        (("--bias", "much"), ("--bias", "much")),
        (("--mix", "101"), ("--mix", "0 to 100")),
        (("--input-gain", "inf"), ("--input-gain", "-120 to 120")),
        (("--output-gain", "loud"), ("--output-gain", "loud")),
        (("--dc-block", "-1"), ("--dc-block", "0 to 1000")),
        (("--oversampling", "3"), ("--oversampling", "64")),
        (("--mode", "nr16"), ("--mode", "nr8")),
        (("--phase", "zero"), ("--phase", "minimum")),
        (("--rate", "10"), ("--rate", "1000 to")),
        (("--rate", "44.1k"), ("--rate", "44.1k")),
        (("--subtype", "PCM_12"), ("--subtype", "PCM_16")),
        (("--nonsense",), ("--nonsense",)),
        (("-q", "-v"), ("--quiet", "--verbose")),
    ],
)
def test_a_setting_that_is_wrong_is_a_usage_error(
    chowtape: Run, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    check_one_line(chowtape("render", "in.wav", "out.wav", *arguments), 2, *words)
    assert listing(tmp_path) == ["in.wav"]


def test_too_few_arguments(chowtape: Run) -> None:
    check_one_line(chowtape("render", "in.wav"), 2, "source and a destination")
    check_one_line(chowtape("rendr"), 2, "rendr")


def test_a_dc_blocker_above_half_the_rate(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", np.zeros((10, 1)), 1_000)
    check_one_line(chowtape("render", "in.wav", "out.wav", "--dc-block", 600), 1, "half the sample")


def test_a_failure_is_in_the_json_as_well(chowtape: Run) -> None:
    result = chowtape("render", "missing.wav", "out.wav", "--json")
    assert result.returncode == 1
    file = json.loads(result.stdout)["files"][0]
    assert (file["status"], file["output"]) == ("failed", "out.wav")
    assert "no such file" in file["error"]


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files fails the write in the middle, as a full disk does."""
    write_wav(tmp_path / "in.wav", music(5.0, 44_100))
    result = subprocess.run(
        [sys.executable, "-m", "chowtape_cli", "render", "in.wav", "new/out.wav"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
        env={**os.environ, "CHOWTAPE_CACHE_DIR": str(tmp_path.parent / "cache")},
    )  # fmt: skip
    check_one_line(result, 1, "new/out.wav", "can't be written", "make room")
    assert listing(tmp_path) == ["in.wav"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a small file system to fill")  # noqa: S108
def test_a_really_full_disk_is_named(chowtape: Run, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mount],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a file system needs root")
    try:
        write_wav(tmp_path / "in.wav", music(5.0, 44_100))
        result = chowtape("render", "in.wav", "small/out.wav")
        check_one_line(result, 1, "the disk is full")
        assert listing(mount) == []
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_render_leaves_nothing(
    start: Start, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    write_wav(tmp_path / "in.wav", np.tile(music(10.0, 44_100), (10, 1)), subtype="PCM_16")
    process = start("render", "in.wav", "out.wav", "--os", 16)
    wait_until(lambda: written(tmp_path) > 1_000, process)  # more than a header
    process.send_signal(sent)
    _, stderr = said(process)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert listing(tmp_path) == ["in.wav"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("render", "a", "b", "--headroom"), ("--headroom [set]", "render --help")),
        (("render", "a", "b", "--drive"), ("--drive X",)),
        (("render", "a", "b", "--jobs", "0"), ("is 0, but must be 1 to 1024",)),
        (("render", "a", "b", "--drive", "x"), ("'x' is not a number;",)),
        (("ab", "a", "b", "--jobs", "1.5"), ("'1.5' is not a whole number;",)),
        (("bench", "--seconds", "0"), ("is 0.0, but must be 0.1 to 36000.0",)),
    ],
)
def test_options_that_are_wrong_are_told_in_plain_words(
    chowtape: Run, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    check_one_line(chowtape(*arguments), 2, *words)


def test_an_address_that_is_none(chowtape: Run) -> None:
    refused = chowtape("render", "in", "out", "--dask", "nonsense")
    check_one_line(
        refused,
        1,
        "--dask nonsense: no scheduler answers, as this is no address",
        "tcp://host:8786",
    )


def test_a_folder_where_an_output_should_go(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in" / "a.wav", music(0.02, 44_100))
    (tmp_path / "out" / "a.wav").mkdir(parents=True)
    for more in ((), ("--overwrite",), ("--dry-run",)):
        check_one_line(chowtape("render", "in", "out", *more), 1, "out/a.wav: is a folder; rename")


def test_a_comparison_that_fails_names_no_folder_of_ours(tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(3.0, 44_100))
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "from chowtape_cli.__main__ import run\n"
        "sys.exit(run(['ab', 'in.wav', 'compared', '--variant', 'A:drive=0.7', '--jobs', '1']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    check_one_line(done, 1, "compared/", "can't be written")
    assert ".part" not in done.stderr
    assert listing(tmp_path) == ["in.wav"]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("what", ["became shorter", "was replaced"])
def test_a_source_that_changes_while_it_is_rendered(
    start: Start, tmp_path: Path, what: str, jobs: int
) -> None:
    source = write_wav(tmp_path / "in.wav", np.tile(music(20.0, 44_100), (9, 1)), subtype="PCM_16")
    other = write_wav(tmp_path / "other.wav", music(1.0, 44_100), subtype="PCM_16")
    process = start("render", source, "out.wav", "--os", 64, "--jobs", jobs, "-q")
    wait_until(lambda: written(tmp_path) > 1_000, process)  # more than a header
    if what == "became shorter":
        os.truncate(source, 1_000)
    else:
        other.rename(source)
    _, stderr = said(process)
    assert process.returncode == 1
    (line,) = stderr.splitlines()
    assert f"in.wav: {what} while it was being rendered" in line
    assert not (tmp_path / "out.wav").exists()
    assert not parts(tmp_path)

"""What people do to a command: pipes, closed streams, signals, strange names and rights."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from processes import PATIENCE, Start, parts, said, wait_until


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("chowtape", f"{sys.executable} -m chowtape_cli")],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_streams_that_are_closed_or_unread(tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    for line in (
        "chowtape render in.wav out.wav 2>&-",
        "chowtape render in.wav out.wav >&-",
        "chowtape render in.wav out.wav | head -c 0; exit ${PIPESTATUS[0]}",
    ):
        result = shell(line, tmp_path)
        assert result.returncode == 0, (line, result.stderr)
        assert "Traceback" not in result.stderr
        (tmp_path / "out.wav").unlink()
    result = shell("chowtape | true", tmp_path)
    assert result.stderr == ""


def test_pipes_and_devices_are_refused_and_do_not_hang(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    os.mkfifo(tmp_path / "pipe.wav")
    for source, destination in (("pipe.wav", "out.wav"), ("in.wav", "pipe.wav")):
        result = chowtape("render", source, destination, "--overwrite")
        assert result.returncode == 1
        assert "pipe or device" in result.stderr
    assert chowtape("render", "in.wav", "/dev/null", "--overwrite").returncode == 1


def test_without_a_place_for_compiled_kernels(chowtape: Run, tmp_path: Path) -> None:
    """Neither the package's folder nor the user's can be written: it compiles, and renders."""
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    nowhere = {"CHOWTAPE_CACHE_DIR": "/proc/nowhere", "HOME": "/nonexistent"}
    result = chowtape("render", "in.wav", "out.wav", env=nowhere)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["x[bold]y[/].wav", r"back\[slash.wav", ":smile:.wav"])
def test_names_that_look_like_markup_are_shown_as_they_are(
    chowtape: Run, tmp_path: Path, name: str
) -> None:
    write_wav(tmp_path / name, music(0.05, 44_100))
    result = chowtape("render", name, f"out {name}")
    assert result.returncode == 0, result.stderr
    assert f"{name} -> out {name}" in result.stdout


def test_an_error_stays_on_one_line(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    for arguments in (("in.wav", "b.x\ny"), ("in.wav", "b.wav", "--subtype", "x\ny")):
        assert len(chowtape("render", *arguments).stderr.splitlines()) == 1


def test_samples_too_large_for_any_output_are_refused(chowtape: Run, tmp_path: Path) -> None:
    x = np.zeros((100, 2))
    x[60, 1] = 1e308
    write_wav(tmp_path / "in.wav", x)
    result = chowtape("render", "in.wav", "out.wav", "--mix", 0, "--subtype", "FLOAT")
    assert result.returncode == 1
    assert "channel 2, frame 60 is 1e+308" in result.stderr


def test_very_hot_files_render(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", 1e6 * music(0.1, 44_100))
    assert chowtape("render", "in.wav", "out.wav", "--input-gain", 60).returncode == 0
    assert np.isfinite(sf.read(tmp_path / "out.wav")[0]).all()


def test_an_unfinished_recording_is_refused(chowtape: Run, tmp_path: Path) -> None:
    """A recorder that died leaves a header that says 0 frames, and the audio behind it."""
    source = write_wav(tmp_path / "in.wav", music(1.0, 44_100), subtype="PCM_16")
    content = bytearray(source.read_bytes())
    content[40:44] = bytes(4)
    source.write_bytes(content)
    result = chowtape("render", "in.wav", "out.wav")
    assert result.returncode == 1
    assert "was not finished" in result.stderr


@pytest.mark.parametrize(("name", "subtype"), [("in.ogg", "VORBIS"), ("in.flac", "PCM_16")])
def test_a_file_that_is_damaged_inside_is_refused(
    chowtape: Run, tmp_path: Path, name: str, subtype: str
) -> None:
    source = write_wav(tmp_path / name, music(5.0, 44_100), subtype=subtype)
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 5_000] = bytes(5_000)
    source.write_bytes(content)
    result = chowtape("render", name, "out.wav")
    assert result.returncode == 1
    assert "whole copy" in result.stderr
    after = re.search(r"after frame (\d+)", result.stderr)
    assert (after is not None) == (name == "in.flac")
    if after is not None:  # where it is damaged, to a block of FLAC's
        assert 80_000 < int(after[1]) < 120_000


def test_a_rate_with_nothing_in_common_is_refused(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 191_999), 191_999)
    for dry in ((), ("--dry-run",)):
        result = chowtape("render", "in.wav", "out.wav", "--rate", 767_999, *dry)
        assert result.returncode == 1
        assert "rounder" in result.stderr


def test_a_wav_past_4_gib_becomes_rf64(chowtape: Run, tmp_path: Path) -> None:
    """The source is a hole in the file system: 64 channels of 8 bits, sparse on disk."""
    frames = 20_000_000
    with sf.SoundFile(tmp_path / "in.wav", "w", 48_000, 64, "PCM_U8") as file:
        file.write(np.zeros((16, 64)))
    header = bytearray((tmp_path / "in.wav").read_bytes()[: -16 * 64])
    size = frames * 64
    header[-4:] = size.to_bytes(4, "little")
    header[4:8] = (size + len(header) - 8).to_bytes(4, "little")
    with (tmp_path / "in.wav").open("wb") as hole:
        hole.write(header)
        hole.truncate(len(header) + size)
    planned = chowtape("render", "in.wav", "out.wav", "--subtype", "FLOAT", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "RF64 FLOAT" in planned.stdout
    too_long = chowtape("render", "in.wav", "out.aiff", "--subtype", "FLOAT", "--dry-run")
    assert too_long.returncode == 1
    assert "4 GiB" in too_long.stderr


def test_rights_of_a_replaced_file_are_kept(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    old = write_wav(tmp_path / "out.wav", music(0.05, 44_100))
    old.chmod(0o600)
    assert chowtape("render", "in.wav", "out.wav", "--overwrite").returncode == 0
    assert old.stat().st_mode & 0o777 == 0o600


def test_a_link_is_written_through(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    write_wav(tmp_path / "real.wav", music(0.02, 44_100))
    (tmp_path / "link.wav").symlink_to("real.wav")
    assert chowtape("render", "in.wav", "link.wav", "--overwrite").returncode == 0
    assert (tmp_path / "link.wav").is_symlink()
    assert sf.info(tmp_path / "real.wav").frames == 2205


@pytest.mark.parametrize("extension", ["svx", "mpc"])
def test_no_temporary_name_gets_into_a_file(chowtape: Run, tmp_path: Path, extension: str) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100, 1), subtype="PCM_16")
    contents = []
    for _ in range(2):
        done = chowtape("render", "in.wav", f"out.{extension}", "--overwrite")
        assert done.returncode == 0, done.stderr
        contents.append((tmp_path / f"out.{extension}").read_bytes())
    assert contents[0] == contents[1]
    assert b".chowtape-" not in contents[0]


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_ends_it_leaves_nothing(
    start: Start, tmp_path: Path, sent: signal.Signals
) -> None:
    write_wav(tmp_path / "in.wav", np.tile(music(10.0, 44_100), (10, 1)))
    process = start("render", "in.wav", "new/out.wav", "--os", 64)
    wait_until(lambda: parts(tmp_path), process)
    process.send_signal(sent)
    said(process)
    assert process.returncode == 128 + sent
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_two_renders_to_one_place_do_not_mix(start: Start, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.5, 44_100))
    both = [start("render", "in.wav", "out.wav", "-q") for _ in range(2)]
    for process in both:
        said(process)
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sf.info(tmp_path / "out.wav").frames == 22_050
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.wav"]

"""A folder of stems: everything that can be rendered is, whole, and nothing else is touched."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from processes import (
    PEAK,
    Start,
    kill,
    kill_until_end,
    needs_proc,
    parts,
    said,
    seen,
    those_with,
    wait_until,
)

MANIFEST = ".chowtape.jsonl"
FOLDERS = ("", "Drums & Bass", "Drums & Bass/naïve ♪", "a b/c d", "Überraschung")


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the manifest, by its place."""
    return {name: (folder / name).read_bytes() for name in listing(folder) if name != MANIFEST}


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns)
        for name in listing(folder)
    }


def statuses(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    files = json.loads(result.stdout)["files"]
    return {file["source"]: file["status"] for file in files}


def stem(path: Path, seconds: float = 0.1, channels: int = 1, **how: object) -> Path:
    rate = int(how.pop("rate", 44_100))  # type: ignore[call-overload]
    seed = int(how.pop("seed", 0))  # type: ignore[call-overload]
    return write_wav(path, music(seconds, rate, channels, seed), rate, **how)  # type: ignore[arg-type]


def good_stems(folder: Path, count: int) -> list[Path]:
    """Stems of several lengths, rates, widths and subtypes, in folders below each other."""
    subtypes, rates = ("PCM_16", "PCM_24", "FLOAT"), (44_100, 48_000, 96_000)
    return [
        stem(
            folder / FOLDERS[i % 5] / f"stém {i}.wav",
            (0.05, 0.3, 1.0)[i % 3] if i % 20 else 2.5,
            1 + i % 2,
            seed=i,
            rate=rates[i % 3],
            subtype=subtypes[i // 3 % 3],
        )
        for i in range(count)
    ]


def broken_stems(folder: Path) -> list[Path]:
    whole = stem(folder / "cut off.wav", 1.0).read_bytes()
    (folder / "cut off.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "Drums & Bass" / "garbage.wav").write_bytes(b"no audio at all " * 99)
    (folder / "a b" / "empty.flac").touch()
    x = music(0.2, 44_100)
    x[5000, 1] = np.nan
    write_wav(folder / "a b" / "not a number.wav", x)
    x = music(3.0, 44_100)
    x[-1, 0] = np.inf
    write_wav(folder / "long and infinite.wav", x)
    (folder / "nowhere.wav").symlink_to("there is nothing here")
    return [
        folder / name
        for name in (
            "cut off.wav",
            "Drums & Bass/garbage.wav",
            "a b/empty.flac",
            "a b/not a number.wav",
            "long and infinite.wav",
            "nowhere.wav",
        )
    ]


def test_what_can_be_rendered_is_and_the_rest_is_reported(chowtape: Run, tmp_path: Path) -> None:
    good, broken = good_stems(tmp_path / "in", 60), broken_stems(tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("left alone")
    (tmp_path / "in" / "a b" / "._stem 1.wav").write_bytes(b"a Mac's")
    result = chowtape("render", "in", "out", "--jobs", 2, "--json")
    assert result.returncode == 1
    found = statuses(result)
    assert len(found) == 66
    for path in good:
        assert found[str(path.relative_to(tmp_path))] == "rendered"
    for path in broken:
        assert found[str(path.relative_to(tmp_path))] == "failed"
    rendered = [str(path.relative_to(tmp_path / "in")) for path in good]
    assert listing(tmp_path / "out") == sorted([MANIFEST, *rendered])
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    for path in broken:
        assert any(str(path.relative_to(tmp_path)) in line for line in lines)
    assert json.loads(result.stdout)["left_alone"] == {".txt": 1, "hidden": 1}
    for path in good:
        ours, theirs = sf.info(tmp_path / "out" / path.relative_to(tmp_path / "in")), sf.info(path)
        assert (ours.frames, ours.samplerate, ours.subtype) == (
            theirs.frames,
            theirs.samplerate,
            theirs.subtype,
        )

    failed = [file for file in json.loads(result.stdout)["files"] if file["status"] == "failed"]
    assert {file["clipped_samples"] for file in failed} == {None}  # nobody counted any

    before = state(tmp_path / "out")
    again = chowtape("render", "in", "out", "--skip-existing", "--json")
    assert again.returncode == 1
    assert sorted(statuses(again).values()) == ["failed"] * 6 + ["skipped"] * 60
    assert state(tmp_path / "out") == before
    again = chowtape("render", "in", "out", "--json")
    assert sorted(statuses(again).values()) == ["failed"] * 6 + ["up to date"] * 60
    assert state(tmp_path / "out") == before


@pytest.mark.parametrize("mode", ["nr8", "stn"])
def test_a_batch_gives_each_file_the_bytes_that_it_gets_alone(
    chowtape: Run, tmp_path: Path, mode: str
) -> None:
    sources = good_stems(tmp_path / "in", 22)
    stem(tmp_path / "in" / "silence.wav", 0.0)
    stem(tmp_path / "in" / "big.wav", 30.0, 2, subtype="FLOAT")  # more than one worker's share
    for jobs in (1, 2, 3):
        done = chowtape("render", "in", f"out{jobs}", "--mode", mode, "--jobs", jobs)
        assert done.returncode == 0, done.stderr
    together = contents(tmp_path / "out1")
    assert len(together) == 24
    assert together == contents(tmp_path / "out2") == contents(tmp_path / "out3")
    for source in [*sources[::3], sources[20], tmp_path / "in" / "big.wav"]:
        done = chowtape("render", source, "alone.wav", "--mode", mode, "--overwrite")
        assert done.returncode == 0, done.stderr
        place = str(source.relative_to(tmp_path / "in"))
        assert together[place] == (tmp_path / "alone.wav").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--mode", "stn", "--os", "8", "--dc-block", "0", "--mix", "50"),
        ("--mode", "rk4", "--dc-block", "2", "--rate", "32000", "--input-gain", "20"),
    ],
    ids=["as it comes", "stn", "another rate"],
)
def test_files_that_share_lanes_segment_beside_segment_get_what_they_get_alone(
    chowtape: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Some seconds each: so short that each leaves lanes to others, so long that it is cut."""
    sources = []
    for i, suffix in enumerate((".wav", ".flac", ".wav", ".aiff", ".wav", ".wav", ".wav", ".wav")):
        x = 0.5 * music(3.2 + 0.7 * i, 44_100, 1 + (i == 2), i)
        if i in (2, 4):  # silence, in which the tape forgets nothing: seams have to be repaired
            x[30_000:130_000] = 0.0
        if i == 5:
            x[:90_000] *= 1e-4
        if i == 6:
            x[150_000] = np.nan
        sources.append(tmp_path / "in" / f"{i}{suffix}")
        write_wav(sources[-1], x, subtype="FLOAT" if i == 6 else "PCM_24")
    runs = [
        chowtape("render", "in", f"out{jobs}", "--json", "--jobs", jobs, *options)
        for jobs in (1, 2)
    ]
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
    assert len(contents(tmp_path / "out1")) == 7
    for run in runs:
        (line,) = [line for line in run.stderr.splitlines() if "warning" not in line]
        assert "in/6.wav: channel 1, frame 150000 is NaN" in line
    (tmp_path / "alone").mkdir()
    reports = {file["source"]: file for file in json.loads(runs[0].stdout)["files"]}
    for source in sources:
        if source.name == "6.wav":
            continue
        place = str(source.relative_to(tmp_path))
        alone = chowtape("render", place, f"alone/{source.name}", "--json", *options)
        assert alone.returncode == 0, alone.stderr
        rendered = (tmp_path / "alone" / source.name).read_bytes()
        assert rendered == contents(tmp_path / "out1")[source.name]
        (report,) = json.loads(alone.stdout)["files"]
        counted = ("frames", "peak_in_dbfs", "peak_out_dbfs", "clipped_samples", "guard_clips",
                   "resets", "seam_repairs")  # fmt: skip
        assert {name: report[name] for name in counted} == {
            name: reports[place][name] for name in counted
        }
    assert reports["in/4.wav"]["seam_repairs"]


def test_nothing_that_exists_is_replaced_unasked(chowtape: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        stem(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.wav").write_text("mine")
    for options in ((), ("--update",)):
        result = chowtape("render", "in", "out", "--json", *options)
        assert result.returncode == 1
        assert statuses(result)["in/b.wav"] == "failed"
        assert "out/b.wav: exists already; give --overwrite" in result.stderr
        assert (tmp_path / "out" / "b.wav").read_text() == "mine"
    # what we rendered, and somebody changed since, is theirs
    stem(tmp_path / "out" / "c.wav", 0.3)
    theirs = (tmp_path / "out" / "c.wav").read_bytes()
    result = chowtape("render", "in", "out", "--update", "--drive", 0.9, "--json")
    assert statuses(result) == {
        "in/a.wav": "rendered", "in/b.wav": "failed", "in/c.wav": "failed",
    }  # fmt: skip
    assert (tmp_path / "out" / "c.wav").read_bytes() == theirs
    done = chowtape("render", "in", "out", "--overwrite")
    assert done.returncode == 0
    assert sf.info(tmp_path / "out" / "b.wav").frames == 4410


def test_what_has_changed_is_named_and_replaced_when_asked(chowtape: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        stem(tmp_path / "in" / f"{name}.wav")
    assert chowtape("render", "in", "out").returncode == 0
    stem(tmp_path / "in" / "b.wav", 0.2)
    before = state(tmp_path / "out")
    result = chowtape("render", "in", "out", "--json")
    assert result.returncode == 1
    assert statuses(result) == {"in/a.wav": "up to date", "in/b.wav": "outdated"}
    assert "out/b.wav" in result.stderr
    assert "--update" in result.stderr
    assert state(tmp_path / "out") == before
    result = chowtape("render", "in", "out", "--update", "--json")
    assert result.returncode == 0
    assert statuses(result) == {"in/a.wav": "up to date", "in/b.wav": "rendered"}
    result = chowtape("render", "in", "out", "--drive", 0.7, "--json")
    assert set(statuses(result).values()) == {"outdated"}
    # a source that has become unusable leaves the old output, and the manifest still knows it
    (tmp_path / "in" / "b.wav").write_text("nothing")
    result = chowtape("render", "in", "out", "--update", "--json")
    assert statuses(result) == {"in/a.wav": "up to date", "in/b.wav": "failed"}
    assert sf.info(tmp_path / "out" / "b.wav").frames == 8820
    stem(tmp_path / "in" / "b.wav", 0.3)
    assert chowtape("render", "in", "out", "--update").returncode == 0
    assert sf.info(tmp_path / "out" / "b.wav").frames == 13_230


def rendered_so_far(folder: Path) -> int:
    return len(list(folder.rglob("*.wav")))


def many_seconds(folder: Path, count: int, seconds: float = 2.0) -> None:
    x = music(seconds, 44_100, 2)
    for i in range(count):
        write_wav(folder / f"{i // 8}" / f"{i}.wav", np.roll(x, 100 * i, axis=0), subtype="PCM_16")


STEMS = 40  # more than two workers take at once
HARD_WORK = ("--os", 64)  # so that there is a middle to be interrupted in


@pytest.fixture(scope="module")
def hard_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with stems, and with what comes of them when nobody disturbs."""
    folder = tmp_path_factory.mktemp("hard")
    many_seconds(folder / "in", STEMS, 1.6)
    with Start(folder) as start:
        process = start("render", "in", "whole", *HARD_WORK)
        said(process)
    assert process.returncode == 0
    return folder


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_batch_is_taken_up_where_it_was(
    chowtape: Run, start: Start, tmp_path: Path, hard_work: Path, sent: signal.Signals
) -> None:
    (tmp_path / "in").symlink_to(hard_work / "in")
    process = start("render", "in", "out", "--jobs", 2, "--json", "--report", "r.csv", *HARD_WORK)
    wait_until(lambda: rendered_so_far(tmp_path / "out") >= 3, process)
    os.killpg(process.pid, sent)
    stdout, stderr = said(process)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(sent, -9)
    if sent == signal.SIGINT:
        found = [file["status"] for file in json.loads(stdout)["files"]]
        assert set(found) <= {"rendered", "up to date", "pending"}  # known to be, or just written
        done = rendered_so_far(tmp_path / "out")
        assert found.count("pending") == STEMS - done
        assert (tmp_path / "r.csv").read_text().count("pending") == STEMS - done
        assert f"chowtape: interrupted, {done} of {STEMS} files done" in stderr
    if sent != signal.SIGKILL:
        assert "Traceback" not in stderr
        assert not parts(tmp_path)
        folders = [folder for folder in (tmp_path / "out").iterdir() if folder.is_dir()]
        assert all(any(folder.iterdir()) for folder in folders)
    before = state(tmp_path / "out")
    there = {name for name in before if name.endswith(".wav")}
    assert 3 <= len(there) < STEMS
    result = chowtape("render", "in", "out", *HARD_WORK, "--json")
    assert result.returncode == 0, result.stderr
    found = statuses(result)
    for name in there:
        assert found[f"in/{name}"] == "up to date"
        assert state(tmp_path / "out")[name] == before[name]
    assert list(found.values()).count("rendered") == STEMS - len(there)
    assert not parts(tmp_path)
    assert contents(tmp_path / "out") == contents(hard_work / "whole")


@needs_proc
def test_a_killed_worker_costs_nothing_but_time(
    start: Start, tmp_path: Path, hard_work: Path
) -> None:
    (tmp_path / "in").symlink_to(hard_work / "in")
    process = start("render", "in", "out", "--jobs", 2, "--json", *HARD_WORK)

    sources = sorted((hard_work / "in").rglob("*.wav"))

    def busy() -> list[int]:
        return [pid for source in sources for pid in those_with(source, process.pid)]

    assert kill(wait_until(busy, process)[0])
    stdout, stderr = said(process)
    assert (process.returncode, stderr) == (0, "")
    assert {file["status"] for file in json.loads(stdout)["files"]} == {"rendered"}
    assert contents(tmp_path / "out") == contents(hard_work / "whole")


@needs_proc
@pytest.mark.parametrize("subtype", ["DOUBLE", "PCM_U8"], ids=["by itself", "among others"])
def test_a_file_that_kills_workers_twice_is_the_one_that_fails(
    start: Start, tmp_path: Path, subtype: str
) -> None:
    many_seconds(tmp_path / "in", 12, 0.3)
    # takes too long to be missed; as PCM_U8 it is small enough to share a worker with others
    deadly = stem(tmp_path / "in" / "0" / "5.wav", 5.5, subtype=subtype)
    process = start("render", "in", "out", "--jobs", 2, "--json", *HARD_WORK)
    killed = kill_until_end(process, lambda: those_with(deadly, process.pid))
    stdout, stderr = said(process)
    assert process.returncode == 1, stderr
    assert len(killed) >= 2
    found = {file["source"]: file for file in json.loads(stdout)["files"]}
    assert {name for name, file in found.items() if file["status"] != "rendered"} == {"in/0/5.wav"}
    assert found["in/0/5.wav"]["status"] == "failed"
    assert "killed 2 times" in stderr
    assert len(stderr.splitlines()) == 1
    assert len(listing(tmp_path / "out")) == 12  # eleven, and the manifest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield mount
    subprocess.run(["umount", mount], check=True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_stops_the_batch_with_one_message(
    chowtape: Run, tmp_path: Path, small_disk: Path, jobs: int
) -> None:
    many_seconds(tmp_path / "in", 30)
    result = chowtape("render", "in", "small/out", "--json", "--jobs", jobs)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "the disk is full" in line
    found = list(statuses(result).values())
    assert set(found) == {"rendered", "pending"}
    assert f"{found.count('pending')} files" in line
    assert 2 <= found.count("rendered") <= 5
    assert not parts(small_disk)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    result = chowtape("render", "in", "small/out", "--json")
    assert result.returncode == 0
    assert list(statuses(result).values()).count("up to date") == found.count("rendered")


def test_fail_fast_ends_with_the_first_failure(chowtape: Run, tmp_path: Path) -> None:
    many_seconds(tmp_path / "in", 160, 0.4)  # some are in the works with it, and are finished
    x = music(0.5, 44_100, 2)
    x[99] = np.nan
    write_wav(tmp_path / "in" / "0" / "0.wav", x)  # the biggest, which comes first
    for jobs in (1, 2):
        result = chowtape(
            "render", "in", f"out{jobs}", "--fail-fast", "--jobs", jobs, "--json", *HARD_WORK
        )
        assert result.returncode == 1
        found = list(statuses(result).values())
        assert found.count("failed") == 1
        assert found.count("pending") >= 60
        assert len(listing(tmp_path / f"out{jobs}")) == found.count("rendered") + bool(
            found.count("rendered")
        )
        assert "--fail-fast" in result.stderr


def test_a_dry_run_plans_and_writes_nothing(chowtape: Run, tmp_path: Path) -> None:
    good_stems(tmp_path / "in", 5)
    broken_stems(tmp_path / "in")
    result = chowtape("render", "in", "out", "--dry-run", "--json", "--format", "flac")
    assert result.returncode == 1
    found = json.loads(result.stdout)["files"]
    planned = [file for file in found if file["status"] == "planned"]
    assert len(planned) == 7  # what is wrong with two of them shows when they are read
    assert all(file["output"].endswith(".flac") for file in planned)
    assert all(file["frames"] is not None for file in planned)
    assert not (tmp_path / "out").exists()
    chowtape("render", "in", "out")
    before = state(tmp_path / "out")
    result = chowtape("render", "in", "out", "--dry-run", "--json", "--drive", 0.6)
    assert list(statuses(result).values()).count("outdated") == 5
    assert state(tmp_path / "out") == before


def test_outputs_may_keep_the_times_of_their_sources(chowtape: Run, tmp_path: Path) -> None:
    for i in range(3):
        os.utime(stem(tmp_path / "in" / f"{i}.wav"), (1e9 + i, 1e9 + i))
    assert chowtape("render", "in", "out", "--keep-times").returncode == 0
    for i in range(3):
        assert (tmp_path / "out" / f"{i}.wav").stat().st_mtime == 1e9 + i
    assert set(statuses(chowtape("render", "in", "out", "--json")).values()) == {"up to date"}


def test_patterns_of_a_settings_file_choose_by_place(chowtape: Run, tmp_path: Path) -> None:
    for name in ("drums/kick.wav", "drums/low/tom.wav", "bass.wav"):
        stem(tmp_path / "stems" / name)
    (tmp_path / "tape.toml").write_text('drive = 0.4\n["drums/**"]\ndrive = 0.7\n')
    result = chowtape("render", "stems", "out", "--settings", "tape.toml", "--json")
    assert result.returncode == 0, result.stderr
    whole = json.loads(result.stdout)
    drives = {file["source"]: file["settings"]["drive"] for file in whole["files"]}
    assert drives == {
        "stems/drums/kick.wav": 0.7, "stems/drums/low/tom.wav": 0.7, "stems/bass.wav": 0.4,
    }  # fmt: skip
    assert whole["settings"]["drive"] == 0.4
    chowtape("render", "stems/drums/kick.wav", "alone.wav", "--drive", 0.7)
    assert (tmp_path / "alone.wav").read_bytes() == (
        tmp_path / "out" / "drums" / "kick.wav"
    ).read_bytes()


def hot_set(folder: Path, subtype: str) -> None:
    for i, level in enumerate((1.0, 0.3, 0.01)):
        write_wav(folder / f"{i}.wav", music(0.5, 44_100, 2, i) * level, subtype=subtype)


@pytest.mark.parametrize(
    ("subtype", "options"),
    [
        ("PCM_24", ()),
        ("PCM_16", ("--mix", 60)),
        ("PCM_16", ("--rate", 48_000)),
        ("FLOAT", ("--subtype", "PCM_16")),
        ("PCM_16", ("--mode", "stn", "--jobs", 2)),
    ],
)
def test_one_gain_keeps_a_whole_set_from_clipping(
    chowtape: Run, tmp_path: Path, subtype: str, options: tuple[object, ...]
) -> None:
    hot_set(tmp_path / "in", subtype)
    hot = (*options, "--output-gain", 9)
    clipped = chowtape("render", "in", "clipped", "--json", *hot)
    assert sum(file["clipped_samples"] for file in json.loads(clipped.stdout)["files"]) > 0
    result = chowtape("render", "in", "out", "--headroom", "set", "--json", *hot)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    whole = json.loads(result.stdout)
    assert [file["clipped_samples"] for file in whole["files"]] == [0, 0, 0]
    assert {file["trim_db"] for file in whole["files"]} == {whole["trim_db"]}
    assert -15 < whole["trim_db"] < 0
    loudest = max(file["peak_out_dbfs"] for file in whole["files"])
    assert -0.02 < loudest <= 0  # no more than it takes
    floats = (*hot, "--subtype", "DOUBLE")  # the same without anything to clip or to round
    assert chowtape("render", "in", "exact", "--json", *floats).returncode == 0
    gain = 10 ** (whole["trim_db"] / 20)
    for i in range(3):
        ours, exact = (sf.read(tmp_path / kind / f"{i}.wav")[0] for kind in ("out", "exact"))
        assert ours.shape == exact.shape
        np.testing.assert_allclose(ours, exact * gain, rtol=0, atol=2.1 / 32768)
    again = chowtape("render", "in", "out", "--headroom", "set", "--json", *hot)
    assert set(statuses(again).values()) == {"up to date"}
    assert json.loads(again.stdout)["trim_db"] == whole["trim_db"]


def test_a_dry_run_knows_the_gain_of_a_set_as_far_as_it_was_measured(
    chowtape: Run, tmp_path: Path
) -> None:
    hot_set(tmp_path / "in", "PCM_24")
    hot = ("render", "in", "out", "--headroom", "set", "--output-gain", 9)
    first = chowtape(*hot, "--dry-run", "--json")
    whole = json.loads(first.stdout)
    assert (whole["trim_db"], whole["unmeasured"]) == (0.0, 3)
    assert set(statuses(first).values()) == {"planned"}
    made = json.loads(chowtape(*hot, "--json").stdout)
    assert made["trim_db"] < 0
    again = chowtape(*hot, "--dry-run", "--json")
    whole = json.loads(again.stdout)
    assert (whole["trim_db"], whole["unmeasured"]) == (made["trim_db"], 0)
    assert set(statuses(again).values()) == {"up to date"}
    plain = chowtape("render", "in", "out", "--output-gain", 9, "--dry-run", "--json")
    assert set(statuses(plain).values()) == {"outdated"}
    stem(tmp_path / "in" / "new.wav")
    more = chowtape(*hot, "--dry-run")
    assert "3 up to date" in more.stdout
    assert "1 not measured yet" in more.stdout


def test_a_set_keeps_one_gain_whatever_is_skipped(chowtape: Run, tmp_path: Path) -> None:
    hot_set(tmp_path / "in", "PCM_24")
    hot = ("render", "in", "out", "--headroom", "set", "--output-gain", 9)
    first = json.loads(chowtape(*hot, "--json").stdout)["trim_db"]
    (tmp_path / "out" / "0.wav").unlink()
    write_wav(tmp_path / "in" / "0.wav", music(0.5, 44_100) * 0.7, subtype="PCM_24")
    before = contents(tmp_path / "out")
    for options in ((), ("--dry-run",)):  # which goes by what the first one has measured
        refused = chowtape(*hot, "--skip-existing", "--json", *options)
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert f"2 of the files that --skip-existing would leave have {first:.2f} dB" in line
        assert contents(tmp_path / "out") == before
    partly = chowtape(*hot)
    assert "2 outdated" in partly.stdout
    assert "so that none clips, but for 2 made before" in partly.stdout
    skipped = chowtape("render", "in", "out", "--skip-existing", "--json")
    gains = [file["trim_db"] for file in json.loads(skipped.stdout)["files"]]
    assert gains[0] != first
    assert gains[1:] == [first, first]
    assert "; all turned down" in chowtape(*hot, "--update").stdout


def test_a_set_that_does_not_clip_is_left_at_its_level(chowtape: Run, tmp_path: Path) -> None:
    hot_set(tmp_path / "in", "PCM_24")
    result = chowtape("render", "in", "out", "--headroom", "set", "--json", "--output-gain", -9)
    assert json.loads(result.stdout)["trim_db"] == 0.0
    assert chowtape("render", "in", "plain", "--output-gain", -9).returncode == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_the_report_and_the_table_say_what_became_of_every_file(
    chowtape: Run, tmp_path: Path
) -> None:
    good_stems(tmp_path / "in", 4)
    (tmp_path / "in" / 'so, "called".wav').write_text("audio")
    result = chowtape("render", "in", "out", "--report", "report.csv")
    assert result.returncode == 1
    assert "4 rendered" in result.stdout
    assert "1 failed" in result.stdout
    assert "times real time" in result.stdout
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    asked = json.loads(chowtape("render", "in", "other", "--json").stdout)["files"]
    assert [row["source"] for row in rows] == [file["source"] for file in asked]
    for row, file in zip(rows, asked, strict=True):
        assert row["status"] == file["status"]
        if file["status"] == "rendered":
            assert int(row["frames"]) == file["frames"]
            assert float(row["peak_out_dbfs"]) == file["peak_out_dbfs"]
            assert json.loads(row["settings"]) == file["settings"]
    # the same command again replaces its report, and nothing else
    assert chowtape("render", "in", "out", "--report", "report.csv").returncode == 1
    kick = stem(tmp_path / "kick.wav")
    result = chowtape("render", "in", "out", "--report", kick)
    assert result.returncode == 1
    assert "is no report" in result.stderr
    assert sf.info(kick).frames == 4410


def test_a_terminal_sees_how_far_a_batch_is(start: Start, tmp_path: Path) -> None:
    many_seconds(tmp_path / "in", 8, 8.0)
    text = seen(start, "render", "in", "out", "--jobs", 2, *HARD_WORK, columns=140)
    assert re.search(r"\b4/8 files", text)
    assert re.search(r"0:\d\d of audio", text)
    assert re.search(r"\d+x real time", text)
    assert re.search(r"0:\d\d left", text)
    assert re.search(r"\b\d+\.wav", text)


@pytest.mark.parametrize(
    ("count", "seconds", "jobs"), [(1, 90.0, 2), (2, 90.0, 2), (1, 90.0, 1)],
    ids=["shared by all workers", "each in a worker", "without workers"],
)  # fmt: skip
def test_a_terminal_sees_how_far_a_file_of_a_batch_is(
    start: Start, tmp_path: Path, count: int, seconds: float, jobs: int
) -> None:
    for i in range(count):
        stem(tmp_path / "in" / f"{i}.wav", seconds, subtype="FLOAT")
    shown = seen(start, "render", "in", "out", *HARD_WORK, "--jobs", jobs, columns=140)
    assert re.search(rf"\b0/{count} files, [\d:]+ of audio, \d+x real time, 0:\d\d left", shown)


def peak_memory(folder: Path, *arguments: object) -> int:
    """The largest resident size of the command's own process, in KiB."""
    code = (
        "import sys\n"
        "from chowtape_cli.__main__ import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        f"{PEAK}print(peak, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(result.stderr.splitlines()[-1])


@needs_proc
def test_memory_hardly_grows_with_the_number_of_files(tmp_path: Path) -> None:
    source = stem(tmp_path / "source.wav", 0.01)
    for count in (200, 2000):
        for i in range(count):
            place = tmp_path / str(count) / str(i // 100) / f"{i}.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, place)
    few, many = (
        peak_memory(tmp_path, "render", count, f"out{count}", "--jobs", 1, "--json")
        for count in ("200", "2000")
    )
    assert many - few < 10_000  # KiB: reports of what was done, at 5 KiB each at most


def test_an_unreadable_folder_is_reported_and_the_others_rendered(
    chowtape: Run, tmp_path: Path
) -> None:
    for name in ("open/a.wav", "shut/b.wav"):
        stem(tmp_path / "in" / name)
    (tmp_path / "in" / "shut").chmod(0)
    command = [sys.executable, "-m", "chowtape_cli", "render", "in", "out", "--json"]
    if os.geteuid() == 0:  # who may read everything, unless that right is taken away
        if shutil.which("setpriv") is None:
            pytest.skip("root can read everything")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    try:
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    finally:
        (tmp_path / "in" / "shut").chmod(0o755)
    assert result.returncode == 1, result.stderr
    assert statuses(result) == {"in/shut": "failed", "in/open/a.wav": "rendered"}
    (line,) = result.stderr.splitlines()
    assert "in/shut: can't be searched (Permission denied)" in line
    again = chowtape("render", "in", "out", "--json")
    assert statuses(again) == {"in/shut/b.wav": "rendered", "in/open/a.wav": "up to date"}


def test_two_commands_do_not_render_into_one_folder_at_once(
    start: Start, tmp_path: Path, chowtape: Run
) -> None:
    many_seconds(tmp_path / "in", 16, 10.0)
    process = start("render", "in", "out", "--jobs", 1, *HARD_WORK)
    wait_until(lambda: parts(tmp_path / "out"), process)
    second = chowtape("render", "in", "out")
    assert process.poll() is None  # it was still at work
    assert second.returncode == 1
    assert "another chowtape is rendering" in second.stderr


def test_a_limit_on_files_fails_files_and_not_the_batch(tmp_path: Path) -> None:
    stem(tmp_path / "in" / "long.wav", 3.0)
    stem(tmp_path / "in" / "short.wav", 0.05)
    result = subprocess.run(
        [sys.executable, "-m", "chowtape_cli", "render", "in", "out", "--json"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )  # fmt: skip
    assert result.returncode == 1
    assert statuses(result) == {"in/long.wav": "failed", "in/short.wav": "rendered"}
    assert listing(tmp_path / "out") == [MANIFEST, "short.wav"]


def test_a_worker_that_is_killed_after_it_wrote_costs_nothing(tmp_path: Path) -> None:
    """Its outputs are there when they are made again, and are the same."""
    from chowtape_cli import RenderSettings
    from chowtape_cli.batch.units import Item, render_unit

    item = Item(
        source=str(write_wav(tmp_path / "in.wav", music(0.2, 44_100))),
        output=str(tmp_path / "out.wav"),
        place="out.wav",
        size=1,
        settings=RenderSettings(),
    )
    assert [report.status for report in render_unit((item,)).reports] == ["rendered"]
    assert [report.status for report in render_unit((item,)).reports] == ["rendered"]
    (tmp_path / "out.wav").write_text("mine")
    (report,) = render_unit((item,)).reports
    assert report.status == "failed"
    assert "exists already" in str(report.error)
    assert (tmp_path / "out.wav").read_text() == "mine"


def test_what_has_changed_is_said(chowtape: Run, tmp_path: Path) -> None:
    hot_set(tmp_path / "in", "PCM_16")
    assert chowtape("render", "in", "out", "--mode", "stn").returncode == 0

    def told(*arguments: object) -> str:
        result = chowtape("render", "in", "out", *arguments)
        assert result.returncode == 1
        return result.stderr.splitlines()[0]

    assert "(drive 0.5 -> 0.7, weights unset -> 2x8)" in told(
        "--mode", "stn", "--drive", 0.7, "--weights", "2x8"
    )
    hot = told("--mode", "stn", "--output-gain", 20, "--headroom", "set")
    assert re.search(r"output_gain 0\.0 -> 20\.0, the set's gain 0\.0 -> -\d+\.\d+ dB", hot)
    manifest = tmp_path / "out" / MANIFEST
    text = manifest.read_text()
    manifest.write_text(re.sub(r'"version": "[^"]*"', '"version": "0.0.1"', text).replace(
        json.loads(text.splitlines()[0])["recipe"], "0123456789abcdef"))  # fmt: skip
    assert "(chowtape 0.0.1 -> " in told("--mode", "stn")
    manifest.write_text(text)
    stem(tmp_path / "in" / "0.wav", 0.2)
    assert "out/0.wav: is outdated (its source has changed); give --update" in told("--mode", "stn")
    shutil.copy(tmp_path / "in" / "1.wav", tmp_path / "out" / "0.wav")
    assert "out/0.wav: was changed since it was rendered; give --overwrite" in told("--mode", "stn")
    (tmp_path / "in").rename(tmp_path / "moved")
    moved = chowtape("render", "moved", "out", "--mode", "stn").stderr.splitlines()[0]
    assert f"out/1.wav: is outdated (its source was {tmp_path}/in/1.wav)" in moved


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe\n",
        b'{"output": "a.wav", "sou',
        b"[" * 100_000 + b"\n",
        b"[1]\n",
        b'{"output": "c.wav", "status": "begun"}\n',
        b'{"measured": "a.wav"}\n',
        b'{"recipe": []}\n',
    ],
)
def test_a_damaged_line_of_the_manifest_is_skipped(
    chowtape: Run, tmp_path: Path, damage: bytes
) -> None:
    for name in ("a", "b"):
        stem(tmp_path / "in" / f"{name}.wav")
    assert chowtape("render", "in", "out").returncode == 0
    with (tmp_path / "out" / MANIFEST).open("ab") as file:
        file.write(damage)
    stem(tmp_path / "in" / "b.wav", 0.2)
    result = chowtape("render", "in", "out", "--update", "--headroom", "set", "--json")
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert "warning: out/.chowtape.jsonl: skipped 1 line that is damaged" in line
    assert statuses(result) == {"in/a.wav": "up to date", "in/b.wav": "rendered"}
    again = chowtape("render", "in", "out", "--headroom", "set")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_manifest_that_is_no_file_is_refused(chowtape: Run, tmp_path: Path) -> None:
    stem(tmp_path / "in" / "a.wav")
    (tmp_path / "out").mkdir()
    for make in (os.mkfifo, Path.mkdir):
        make(tmp_path / "out" / MANIFEST)
        result = chowtape("render", "in", "out")
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert "is no file" in line
        if make is os.mkfifo:
            (tmp_path / "out" / MANIFEST).unlink()


@pytest.mark.parametrize("left", [0, 4096, 65_536])
@pytest.mark.parametrize("command", ["demo", "render"])
def test_a_disk_without_any_room_is_named_as_such(
    chowtape: Run, tmp_path: Path, small_disk: Path, command: str, left: int
) -> None:
    stem(tmp_path / "in.wav", 3.0)
    room = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - left))
    arguments = ("in.wav", "small/out.wav") if command == "render" else ("small/demo",)
    result = chowtape(command, *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "the disk is full; make room or choose another place" in line
    assert listing(small_disk) == ["filler"]


LONG = f"{'first-' * 20}{'last-' * 20}.wav"


def on_a_terminal(start: Start, columns: int, *arguments: str) -> list[str]:
    """Return every line that a command wrote to a terminal of some width, without colours."""
    written = seen(start, *arguments, columns=columns, results=True)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_of_a_batch_keeps_its_columns_whatever_the_names(
    start: Start, tmp_path: Path, columns: int
) -> None:
    stem(tmp_path / "in" / LONG)
    stem(tmp_path / "in" / "short.wav")
    lines = on_a_terminal(start, columns, "render", "in", "out", "--jobs", "1")
    bars = [line for line in lines if re.match(r"rendering\s", line)]
    assert {len(line) for line in bars} == {columns}
    assert all(re.match(r"rendering [━╸╺]{10,} (\d/2| )", line) for line in bars)
    assert any("firs" in line and ".wav" in line and "…" in line for line in bars)
    table = [line for line in lines if line.startswith("out")]
    assert max(map(len, lines)) <= columns
    assert [re.sub(r"\s.*", "", line) for line in table[::2]] == ["output", "out/short.wav"]
    assert re.match(r"out/fi\S*…\S*\.wav  ", table[1])
    assert "dBFS" in table[1]  # all of it in one line


def test_a_long_name_widens_no_line_of_a_piped_table_but_its_own(
    chowtape: Run, tmp_path: Path
) -> None:
    stem(tmp_path / "in" / "a.wav")
    stem(tmp_path / "in" / LONG)
    stem(tmp_path / "in" / LONG.replace("last-last", "last=last"))
    result = chowtape("render", "in", "out")
    assert result.returncode == 0, result.stderr
    long = [line for line in result.stdout.splitlines() if "first-" in line]
    assert any(line.startswith(f"out/{LONG}  ") for line in long)
    assert len({line.split("  ")[0] for line in long}) == 2
    assert all(len(line) < 140 for line in result.stdout.splitlines() if line not in long)


def test_the_bar_of_a_file_is_whole_whatever_its_name(start: Start, tmp_path: Path) -> None:
    stem(tmp_path / LONG, 20.0)
    lines = on_a_terminal(start, 80, "render", LONG, "out.wav", "--os", "8")
    bars = [line for line in lines if "real time" in line and "first" in line]
    assert bars
    for line in bars:
        assert re.match(r"first-\S*…\S*last-\.wav [━╸╺]{20}\s+\d+% \d+x real time \S+:\S+", line)
        assert len(line) <= 80

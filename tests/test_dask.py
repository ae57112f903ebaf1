"""A batch on the workers of a Dask cluster: the same bytes, the same report, the same faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, music, write_wav
from processes import (
    COMPILING,
    Process,
    Start,
    kill,
    kill_until_end,
    needs_proc,
    parts,
    said,
    those_with,
    wait_until,
)

MANIFEST = ".chowtape.jsonl"
HARD_WORK = ("--os", 64)  # so that there is a middle to be interrupted in


class Cluster:
    """A scheduler and workers, each a process, in a folder of their own."""

    def __init__(self, start: Start, folder: Path, workers: int) -> None:
        folder.mkdir()
        self._start, self._folder = start, folder
        where = folder / "where"
        scheduler = self._begin(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", "where"
        )
        wait_until(lambda: where.exists() and where.read_text().strip().endswith("}"), scheduler)
        self.address: str = json.loads(where.read_text())["address"]
        self.workers = [self.begin_worker() for _ in range(workers)]

    def begin_worker(self) -> Process:
        """Start one more worker."""
        return self._begin("worker", self.address, "--nthreads", "1", "--no-nanny")

    def _begin(self, what: str, *options: str) -> Process:
        return self._start.program(
            [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *options],
            cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
        )  # fmt: skip


@pytest.fixture
def cluster(start: Start, tmp_path: Path) -> Cluster:
    return Cluster(start, tmp_path / "cluster", 3)


def many_stems(folder: Path) -> None:
    for i in range(40):
        seconds = 6.0 if i % 8 == 0 else 0.2
        x = music(seconds, 44_100, 1 + i % 2, i)
        write_wav(folder / f"däsk {i % 4}" / f"{i}.wav", x, subtype="PCM_16")
    (folder / "garbage.wav").write_bytes(b"no audio" * 99)
    x = music(0.2, 44_100)
    x[99] = np.nan
    write_wav(folder / "däsk 1" / "nan.wav", x)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


def told(stdout: str) -> list[dict[str, object]]:
    """What is said of every file, but for how long it took and where it went."""
    files: list[dict[str, object]] = json.loads(stdout)["files"]
    for file in files:
        for name in ("wall_seconds", "realtime", "output"):
            del file[name]
    return files


def test_a_cluster_gives_the_same_bytes_and_the_same_report(
    chowtape: Run, tmp_path: Path, cluster: Cluster
) -> None:
    many_stems(tmp_path / "in")
    (tmp_path / "bank.npz").write_bytes(
        (Path(__file__).parents[1] / "weights" / "stn_2x4.npz").read_bytes()
    )
    how = ("--mode", "stn", "--weights", "bank.npz", "--json")  # a path of its own
    here = chowtape("render", "in", "here", *how, "--jobs", 1)
    there = chowtape("render", "in", "there", *how, "--dask", cluster.address)
    assert here.returncode == there.returncode == 1
    assert told(here.stdout) == told(there.stdout)
    assert here.stderr == there.stderr
    assert len(there.stderr.splitlines()) == 2
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert len(contents(tmp_path / "there")) == 40
    again = chowtape("render", "in", "there", *how)  # here, what was rendered there
    statuses = [file["status"] for file in told(again.stdout)]
    assert sorted(map(str, statuses)) == ["failed"] * 2 + ["up to date"] * 40


def test_a_killed_worker_of_a_cluster_costs_nothing_but_time(
    chowtape: Run, start: Start, tmp_path: Path, cluster: Cluster
) -> None:
    many_stems(tmp_path / "in")
    options = ("--json", "--exclude", "garbage.wav", "--exclude", "nan.wav", *HARD_WORK)
    process = start("render", "in", "out", "--dask", cluster.address, *options)
    wait_until(lambda: list((tmp_path / "out").rglob("*.wav")), process)
    assert kill(cluster.workers[0].pid)
    stdout, stderr = said(process)
    assert (process.returncode, stderr) == (0, "")
    assert {file["status"] for file in told(stdout)} == {"rendered"}
    assert chowtape("render", "in", "undisturbed", *options).returncode == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@needs_proc
def test_a_file_that_kills_workers_of_a_cluster_is_the_one_that_fails(
    start: Start, tmp_path: Path
) -> None:
    for i in range(12):
        # one takes too long to be missed, but is small enough to share a worker with others
        x = music(5.5 if i == 5 else 0.2, 44_100, 1, i)
        write_wav(tmp_path / "in" / f"{i}.wav", x, subtype="PCM_U8" if i == 5 else "PCM_16")
    deadly = tmp_path / "in" / "5.wav"
    process = start("render", "in", "out", "--dask", "local", "--jobs", 2, "--json", "--os", 64)
    killed = kill_until_end(process, lambda: those_with(deadly, process.pid))
    stdout, stderr = said(process)
    assert process.returncode == 1, stderr
    assert len(killed) >= 2
    failed = [file for file in told(stdout) if file["status"] != "rendered"]
    assert [file["source"] for file in failed] == ["in/5.wav"]
    assert "killed 2 times" in stderr
    assert len(stderr.splitlines()) == 1
    assert len(contents(tmp_path / "out")) == 11


def test_a_cluster_on_this_machine_leaves_nothing(chowtape: Run, tmp_path: Path) -> None:
    for i in range(6):
        write_wav(tmp_path / "in" / f"{i}.wav", music(0.1, 44_100, 2, i), subtype="PCM_16")
    done = chowtape("render", "in", "out", "--dask", "local", "--jobs", 2, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert chowtape("render", "in", "here", "--jobs", 1).returncode == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


def test_an_interrupted_run_on_a_cluster_is_taken_up(
    chowtape: Run, start: Start, tmp_path: Path
) -> None:
    many_stems(tmp_path / "in")
    options = ("--json", "--exclude", "garbage.wav", "--exclude", "nan.wav", *HARD_WORK)
    process = start("render", "in", "out", "--dask", "local", "--jobs", 2, *options)
    wait_until(lambda: list((tmp_path / "out").rglob("*.wav")), process)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = said(process)
    assert process.returncode == 130
    assert len(stderr.splitlines()) == 1
    assert not parts(tmp_path)
    result = chowtape("render", "in", "out", *options)
    assert result.returncode == 0, result.stderr
    statuses = {file["status"] for file in told(result.stdout)}
    assert statuses == {"rendered", "up to date"}


@pytest.mark.parametrize("comes", [True, False], ids=["one comes", "none comes"])
def test_one_line_says_that_a_cluster_has_no_workers(
    start: Start, tmp_path: Path, comes: bool
) -> None:
    write_wav(tmp_path / "in" / "a.wav", music(0.1, 44_100))
    cluster = Cluster(start, tmp_path / "cluster", 0)
    process = start("render", "in", "out", "--dask", cluster.address)
    assert process.stderr is not None
    line = process.stderr.readline().replace(COMPILING, "") or process.stderr.readline()
    assert line.startswith(f"chowtape: the scheduler at {cluster.address} has no workers yet")
    if comes:
        cluster.begin_worker()
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, stderr = said(process)
    assert process.returncode == (0 if comes else 130)
    assert len(stderr.splitlines()) == (0 if comes else 1)
    assert (tmp_path / "out" / "a.wav").exists() == comes


def test_one_line_says_that_a_cluster_has_lost_its_workers(
    chowtape: Run, start: Start, tmp_path: Path
) -> None:
    for i in range(6):
        write_wav(tmp_path / "in" / f"{i}.wav", music(5.0, 44_100, 1, i))
    cluster = Cluster(start, tmp_path / "cluster", 1)
    process = start("render", "in", "out", "--dask", cluster.address, *HARD_WORK)
    wait_until(lambda: list((tmp_path / "out").rglob("*.wav")), process)
    assert kill(cluster.workers[0].pid)
    assert process.stderr is not None
    line = process.stderr.readline().replace(COMPILING, "") or process.stderr.readline()
    assert line.startswith("chowtape: the cluster has no workers any more")
    cluster.begin_worker()
    _, stderr = said(process)
    assert (process.returncode, stderr) == (0, "")
    assert chowtape("render", "in", "here", *HARD_WORK).returncode == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense", "tcp://no.such.host.invalid:1"]
)
def test_an_address_where_nobody_answers(chowtape: Run, tmp_path: Path, address: str) -> None:
    write_wav(tmp_path / "in" / "a.wav", music(0.1, 44_100))
    result = chowtape("render", "in", "out", "--dask", address)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"chowtape: --dask {address}: no scheduler answers")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_without_the_package_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    write_wav(tmp_path / "in" / "a.wav", music(0.1, 44_100))
    code = (
        "import sys\n"
        "sys.modules['distributed'] = None\n"
        "from chowtape_cli.__main__ import run\n"
        "sys.exit(run(['render', 'in', 'out', '--dask', 'local']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "pip install 'chowtape[dask]'" in line
    assert not (tmp_path / "out").exists()

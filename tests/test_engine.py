"""Segments, seams and workers: the same as one run from the beginning, on however many cores."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import COMPILING, Run, music, write_wav
from numpy.typing import NDArray

from chowtape_cli import RenderSettings, render_array
from chowtape_cli.dsp import segments
from chowtape_cli.dsp.coding import FLOAT64, Coding
from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.textbook import textbook_newton
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.engine import Tally, render_blocks
from chowtape_cli.errors import SampleError
from chowtape_cli.neural.catalogue import load_any
from chowtape_cli.pool import Call, Pool
from chowtape_cli.render import signal_path

MODES = ("rk2", "rk4", "nr4", "nr8", "stn")
BARE = {"oversampling": 1, "makeup": False, "dc_block": 0.0}
RATE = 44_100


def serial(x: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    """The bare hysteresis of every channel from the first sample to the last in one go."""
    rows = np.zeros((len(x), LANES))
    rows[:, : x.shape[1]] = x
    network = load_any(None).at(0.5, 0.5) if mode == "stn" else None
    solver = Hysteresis(mode, coefficients(0.5, 0.5, 0.5), network)
    parts = [solver.push(rows[i : i + 4096]).copy() for i in range(0, len(rows), 4096)]
    return np.concatenate(parts)[:, : x.shape[1]]


def hard_case(name: str) -> NDArray[np.float64]:
    """Long enough for several segments."""
    seconds = 8.0
    x = music(seconds, RATE, 2)
    t = np.arange(len(x))[:, None] / RATE
    loud_then_silent = np.where(t < 1.0, x, 0.0)
    clicks = np.zeros_like(x)
    clicks[RATE // 2 :: 2 * RATE] = 0.9
    return {
        "music": x,
        "hot": 10.0 * x,
        "faint": 1e-4 * x,
        "loud, then digital silence": loud_then_silent,
        "digital silence, then loud": loud_then_silent[::-1].copy(),
        "a long fade": x * 10.0 ** (-5.0 * t / seconds),
        "an offset with a faint signal": 0.5 + 1e-5 * x,
        "single clicks": clicks,
        "loud, then faint": np.where(t < 1.0, x, 1e-5 * x),
    }[name]


CASES = (
    "music", "hot", "faint", "loud, then digital silence", "digital silence, then loud",
    "a long fade", "an offset with a faint signal", "single clicks", "loud, then faint",
)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES)
def test_segments_give_what_one_run_gives(mode: str, case: str) -> None:
    x = hard_case(case)
    assert len(x) > 8 * segments.SHORTEST
    if mode.startswith("rk") and case == "hot":
        x = x / 5.0  # past that the explicit solvers are chaotic: a last bit decides what follows
    result = render_array(x, RATE, RenderSettings(mode=mode, **BARE))
    np.testing.assert_allclose(result.samples, serial(x, mode), rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_segments_give_what_the_textbook_gives(case: str) -> None:
    """The textbook solver: one channel after the other, eight fixed Newton steps."""
    x = hard_case(case)
    exact = np.empty(x.T.shape)
    for channel, field in enumerate(np.ascontiguousarray(x.T)):
        textbook_newton(field, exact[channel], *coefficients(0.5, 0.5, 0.5), 8)
    result = render_array(x, RATE, RenderSettings(mode="nr8", **BARE))
    np.testing.assert_allclose(result.samples, exact.T, rtol=0, atol=1e-7)


def test_a_seam_that_disagrees_is_repaired_and_counted() -> None:
    silent = render_array(hard_case("loud, then digital silence"), RATE, RenderSettings(**BARE))
    assert silent.seam_repairs > 0
    plain = render_array(hard_case("music"), RATE, RenderSettings(**BARE))
    assert plain.seam_repairs == 0


@pytest.mark.parametrize("dc_block", [0.0, 1.0, 15.0, 35.0])
@pytest.mark.parametrize("factor", [1, 4])
def test_every_filter_gets_the_past_it_needs(
    monkeypatch: pytest.MonkeyPatch, dc_block: float, factor: int
) -> None:
    """The whole path in short segments is what it is in one."""
    x = hard_case("music")[: 3 * RATE] + 0.2
    settings = RenderSettings(oversampling=factor, dc_block=dc_block)
    pieces = render_array(x, RATE, settings).samples
    monkeypatch.setattr(segments, "SHORT", len(x))
    monkeypatch.setattr("chowtape_cli.engine.SHORT", len(x))
    whole = render_array(x, RATE, settings).samples
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-8)


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes, at 8x long enough that workers are started."""
    folder = tmp_path_factory.mktemp("long")
    x = np.tile(music(20.0, RATE, 2), (9, 1))
    x[60 * RATE : 90 * RATE] = 0.0
    return write_wav(folder / "long.wav", x, RATE, subtype="PCM_16")


def render(source: Path, out: str, *options: object) -> list[str]:
    return [sys.executable, "-m", "chowtape_cli", "render", str(source), out, "--os", "8",
            *map(str, options)]  # fmt: skip


@pytest.mark.parametrize("mode", ["nr8", "stn"])
def test_the_same_bytes_for_any_number_of_workers(
    chowtape: Run, tmp_path: Path, long_file: Path, mode: str
) -> None:
    contents = set()
    for jobs in (1, 2, 5):
        out = f"{jobs}.wav"
        done = chowtape(
            "render", long_file, out, "--os", 8, "--mode", mode, "--jobs", jobs, "--json"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"][0]["frames"] == sf.info(long_file).frames
        contents.add((tmp_path / out).read_bytes())
    assert len(contents) == 1


def worker_pids(parent: int) -> list[int]:
    """Children that compute: the process of Python's resource tracker is none."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(status[1]) == parent and "resource_tracker" not in command:
            found.append(int(folder.name))
    return found


def wait_for_workers(parent: int) -> list[int]:
    deadline = time.monotonic() + 60
    while not (found := worker_pids(parent)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")  # noqa: S108
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_a_killed_worker_costs_a_retry_and_not_the_render(
    chowtape: Run, tmp_path: Path, long_file: Path
) -> None:
    before = shared_memory()
    process = subprocess.Popen(render(long_file, "out.wav", "--jobs", 2, "-q"), cwd=tmp_path)
    time.sleep(1.0)
    os.kill(wait_for_workers(process.pid)[0], signal.SIGKILL)
    assert process.wait(timeout=120) == 0
    assert chowtape("render", long_file, "calm.wav", "--os", 8, "--jobs", 1).returncode == 0
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "calm.wav").read_bytes()
    assert shared_memory() <= before


def test_a_recording_that_fails_leaves_nothing_to_be_done_for_the_next_one() -> None:
    """A worker that is killed later would cost a try of what nobody asks for any more."""
    good = np.tile(music(20.0, RATE, 1), (8, 1))
    bad = good.copy()
    bad[len(bad) // 4] = np.nan
    path = signal_path(RenderSettings())
    with Pool(2) as pool:
        with pytest.raises(SampleError, match=f"frame {len(bad) // 4} is NaN"):
            rendered(path, bad, pool)
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, Call)]
        np.testing.assert_array_equal(rendered(path, good, pool), rendered(path, good, None))


def rendered(path: SignalPath, x: NDArray[np.float64], pool: Pool | None) -> NDArray[np.float64]:
    """Render samples, Shape: (frames, channels), batch by batch."""
    position = 0

    def read(out: NDArray[np.uint8]) -> int:
        nonlocal position
        part = x[position : position + len(out)]
        out.view(np.float64)[: len(part)] = part
        position += len(part)
        return len(part)

    shape = (len(x), x.shape[1])
    blocks = render_blocks(path, RATE, shape[1], shape[0], read, FLOAT64, Coding(), Tally(), pool)
    return np.concatenate([block.samples.copy() for block in blocks])


def test_workers_that_keep_dying_end_the_render_in_one_line(
    tmp_path: Path, long_file: Path
) -> None:
    process = subprocess.Popen(
        render(long_file, "out.wav", "--jobs", 2, "-q"),
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        for pid in worker_pids(process.pid):
            with contextlib.suppress(ProcessLookupError):  # it may have been buried meanwhile
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.count("\n") == 1
    assert "was killed" in stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_everything_and_leaves_nothing(tmp_path: Path, long_file: Path) -> None:
    before = shared_memory()
    process = subprocess.Popen(
        render(long_file, "out.wav", "--jobs", 2),
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    pids = wait_for_workers(process.pid)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.replace(COMPILING, "").strip().splitlines() == [
        "chowtape: interrupted; nothing half-written was left behind"
    ]
    assert list(tmp_path.iterdir()) == []
    assert shared_memory() <= before
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_program_with_threads_gets_spawned_workers(
    chowtape: Run, tmp_path: Path, long_file: Path
) -> None:
    """A fork of a process with threads may never wake up."""
    (tmp_path / "program.py").write_text(
        "import sys, threading\n"
        "from chowtape_cli import RenderSettings, render_file\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "    settings = RenderSettings(oversampling=8)\n"
        "    print(render_file(sys.argv[1], 'threads.wav', settings, jobs=2).status)\n"
    )
    program = [sys.executable, "program.py", str(long_file)]
    done = subprocess.run(
        program, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout.split() == ["rendered"], done.stderr
    assert chowtape("render", long_file, "calm.wav", "--os", 8, "--jobs", 1).returncode == 0
    assert (tmp_path / "threads.wav").read_bytes() == (tmp_path / "calm.wav").read_bytes()


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path, long_file: Path) -> None:
    process = subprocess.Popen(render(long_file, "out.wav", "--jobs", 2, "-q"), cwd=tmp_path)
    pids = wait_for_workers(process.pid)
    process.kill()
    process.wait(timeout=20)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False

"""Segments, seams and workers: the same as one run from the beginning, on however many cores."""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from numpy.typing import NDArray
from processes import (
    Start,
    alive,
    at_work,
    kill,
    kill_until_end,
    needs_proc,
    said,
    shared_memory,
    wait_until,
    workers,
    written,
)

from chowtape_cli import RenderSettings, render_array
from chowtape_cli.dsp import segments
from chowtape_cli.dsp.coding import FLOAT64, Coding
from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.textbook import textbook_newton
from chowtape_cli.dsp.path import SignalPath
from chowtape_cli.dsp.work import Work
from chowtape_cli.engine import Recording, Tally, render_blocks
from chowtape_cli.errors import SampleError
from chowtape_cli.neural.catalogue import load_any
from chowtape_cli.pool import Call, Pool
from chowtape_cli.render import array_reader, signal_path

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
def test_segments_give_what_one_run_gives(
    monkeypatch: pytest.MonkeyPatch, mode: str, case: str
) -> None:
    x = hard_case(case)
    monkeypatch.setattr(segments, "AMPLE", len(x) // 16)
    if mode.startswith("rk") and case == "hot":
        x = x / 5.0  # past that the explicit solvers are chaotic: a last bit decides what follows
    result = render_array(x, RATE, RenderSettings(mode=mode, **BARE))
    np.testing.assert_allclose(result.samples, serial(x, mode), rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_segments_give_what_the_textbook_gives(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """The textbook solver: one channel after the other, eight fixed Newton steps."""
    x = hard_case(case)
    monkeypatch.setattr(segments, "AMPLE", len(x) // 16)
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


@pytest.mark.parametrize(
    ("dc_block", "channels"), [(0.0, 2), (1.0, 1), (1.0, 2), (15.0, 2), (35.0, 2)]
)
@pytest.mark.parametrize("factor", [1, 4])
def test_every_filter_gets_the_past_it_needs(
    monkeypatch: pytest.MonkeyPatch, dc_block: float, channels: int, factor: int
) -> None:
    """The whole path in short segments is what it is in one."""
    x = hard_case("music")[: 3 * RATE, :channels] + 0.2
    monkeypatch.setattr(segments, "AMPLE", 16_384)
    monkeypatch.setattr(segments, "SHORT", 16_384)
    settings = RenderSettings(oversampling=factor, dc_block=dc_block)
    pieces = render_array(x, RATE, settings).samples
    monkeypatch.setattr(segments, "SHORT", len(x))
    whole = render_array(x, RATE, settings).samples
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-8)


def phrases(frames: int, seed: int) -> NDArray[np.float64]:
    """Music with gaps of digital silence, and one of hardly anything, in stereo."""
    chance = np.random.default_rng(seed)
    x = np.resize(music(4.0, RATE, 2, seed), (frames, 2))
    at = 0
    while at < frames:
        sound, gap = chance.integers(2_000, (40_000, 150_000))
        quiet = chance.choice([0.0, 0.0, 0.0, 1e-5])
        x[at + sound : at + sound + gap] *= quiet
        at += sound + gap
    return x


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dc_block", [0.0, 35.0, 400.0])
@pytest.mark.parametrize("mode", ["nr8", "stn", "rk2"])
def test_what_is_repaired_is_as_one_run_would_have_it(
    monkeypatch: pytest.MonkeyPatch, mode: str, dc_block: float, seed: int
) -> None:
    """In silence the tape forgets nothing: seams are wrong there, between batches too."""
    x = phrases(8 * RATE, seed)
    settings = RenderSettings(mode=mode, dc_block=dc_block)
    monkeypatch.setattr(segments, "LONGEST", 8192)  # so that there are several batches
    pieces = render_array(x, RATE, settings)
    assert pieces.seam_repairs > 3
    monkeypatch.setattr(segments, "SHORT", len(x))
    whole = render_array(x, RATE, settings)
    np.testing.assert_allclose(pieces.samples, whole.samples, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dc_block", [0.0, 35.0])
@pytest.mark.parametrize(
    ("mode", "knob", "gain"), [("stn", 1.0, 23.0), ("nr8", 0.5, 24.0), ("rk2", 0.5, 40.0)]
)
def test_at_the_loudest_seams_hold_and_each_reset_is_counted_once(
    monkeypatch: pytest.MonkeyPatch, mode: str, knob: float, gain: float, dc_block: float
) -> None:
    """There the networks' bound depends on how loud it was, and the solvers run away."""
    x = music(8.0, RATE, 2, 1)
    x[::2] += np.random.default_rng(0).normal(0.0, 1.0, (len(x) // 2, 2)) * (mode == "nr8")
    settings = RenderSettings(
        mode=mode, drive=knob, saturation=knob, bias=knob, input_gain=gain, dc_block=dc_block,
        oversampling=1,
    )  # fmt: skip
    monkeypatch.setattr(segments, "LONGEST", 8192)
    pieces = render_array(x, RATE, settings)
    monkeypatch.setattr(segments, "SHORT", len(x))
    whole = render_array(x, RATE, settings)
    np.testing.assert_allclose(pieces.samples, whole.samples, rtol=0, atol=1e-8)
    assert pieces.resets == whole.resets
    assert (whole.resets > 0) == (mode != "stn")


def test_where_the_tape_hardly_forgets_a_few_passes_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a segment ends in is foreseen; else each pass would put one seam right."""
    x = 0.3 + np.random.default_rng(0).normal(0.0, 1e-5, (20 * RATE, 1))
    monkeypatch.setattr(segments, "AMPLE", len(x) // 30)
    passes: list[int] = []
    prepare = Work._prepare
    monkeypatch.setattr(
        Work, "_prepare", lambda *given: (passes.append(len(given[1])), prepare(*given))[1]
    )
    result = render_array(x, RATE, RenderSettings(**BARE))
    assert result.seam_repairs > 25
    assert len(passes) <= 6, passes
    np.testing.assert_allclose(result.samples, serial(x, "nr8"), rtol=0, atol=1e-8)


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes, at 8x long enough that workers are started."""
    folder = tmp_path_factory.mktemp("long")
    x = np.tile(music(20.0, RATE, 2), (9, 1))
    x[60 * RATE : 90 * RATE] = 0.0
    return write_wav(folder / "long.wav", x, RATE, subtype="PCM_16")


@pytest.fixture(scope="module")
def calm(long_file: Path) -> bytes:
    """What comes of it at 8x in one process that nobody disturbs."""
    out = long_file.with_name("calm.wav")
    with Start(long_file.parent) as start:
        process = start("render", long_file, out, "--os", 8, "--jobs", 1)
        assert said(process)[1] == ""
    return out.read_bytes()


ENDLESS = ("--os", 64)  # takes so long that it is far from its end whenever it is interrupted


@pytest.mark.parametrize("mode", ["nr8", "stn"])
def test_the_same_bytes_for_any_number_of_workers(
    chowtape: Run, tmp_path: Path, long_file: Path, calm: bytes, mode: str
) -> None:
    contents = {calm} if mode == "nr8" else set()
    for jobs in (2, 5) if mode == "nr8" else (1, 2, 5):
        out = f"{jobs}.wav"
        done = chowtape(
            "render", long_file, out, "--os", 8, "--mode", mode, "--jobs", jobs, "--json"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["files"][0]["frames"] == sf.info(long_file).frames
        contents.add((tmp_path / out).read_bytes())
    assert len(contents) == 1


# WAV files are written by the workers themselves; other output goes through shared memory
either_way = pytest.mark.parametrize("out", ["out.wav", "out.flac"])


@needs_proc
@either_way
def test_a_killed_worker_costs_a_retry_and_not_the_render(
    start: Start, tmp_path: Path, long_file: Path, calm: bytes, out: str
) -> None:
    process = start("render", long_file, out, "--os", 8, "--jobs", 2, "-q")
    wait_until(lambda: written(tmp_path) > 1_000, process)  # more than a header
    memory = shared_memory(process.pid)
    before = workers(process.pid)
    assert bool(memory) == (out == "out.flac")
    assert kill(before[0])
    wait_until(lambda: set(workers(process.pid)) - set(before), process)
    assert said(process) == ("", "")
    assert process.returncode == 0
    expected, _ = sf.read(io.BytesIO(calm), dtype="int16")
    np.testing.assert_array_equal(sf.read(tmp_path / out, dtype="int16")[0], expected)
    assert not any(piece.exists() for piece in memory)


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
    recording = Recording(RATE, x.shape[1], len(x), FLOAT64, array_reader(x))
    blocks = render_blocks(path, recording, Coding(), Tally(), pool)
    return np.concatenate([block.samples.copy() for block in blocks])


@needs_proc
def test_workers_that_keep_dying_end_the_render_in_one_line(
    start: Start, tmp_path: Path, long_file: Path
) -> None:
    process = start("render", long_file, "out.wav", *ENDLESS, "--jobs", 2, "-q")
    wait_until(lambda: len(workers(process.pid)) == 2, process)
    killed = kill_until_end(process, lambda: workers(process.pid))
    _, stderr = said(process)
    assert len(killed) >= 2
    assert process.returncode == 1
    assert stderr.count("\n") == 1
    assert "was killed" in stderr
    assert list(tmp_path.iterdir()) == []


@needs_proc
@either_way
def test_ctrl_c_ends_everything_and_leaves_nothing(
    start: Start, tmp_path: Path, long_file: Path, out: str
) -> None:
    process = start("render", long_file, out, *ENDLESS, "--jobs", 2)
    pids = wait_until(lambda: at_work(process.pid, 2), process)
    memory = shared_memory(process.pid)
    assert bool(memory) == (out == "out.flac")
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = said(process)
    assert process.returncode == 130
    assert stderr.strip().splitlines() == [
        "chowtape: interrupted; nothing half-written was left behind"
    ]
    assert list(tmp_path.iterdir()) == []
    assert not any(piece.exists() for piece in memory)
    wait_until(lambda: not any(alive(pid) for pid in pids))


def test_a_program_with_threads_gets_spawned_workers(
    start: Start, tmp_path: Path, long_file: Path, calm: bytes
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
    process = start.program(
        [sys.executable, "program.py", str(long_file)],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    out, complaints = said(process)
    assert out.split() == ["rendered"], complaints
    assert (tmp_path / "threads.wav").read_bytes() == calm


@needs_proc
@either_way
def test_workers_end_with_a_parent_that_was_killed(start: Start, long_file: Path, out: str) -> None:
    process = start("render", long_file, out, *ENDLESS, "--jobs", 2, "-q")
    pids = wait_until(lambda: at_work(process.pid, 2), process)
    memory = shared_memory(process.pid)
    assert bool(memory) == (out == "out.flac")
    process.kill()
    wait_until(lambda: not any(alive(pid) for pid in pids))
    wait_until(lambda: not any(piece.exists() for piece in memory))

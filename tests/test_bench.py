"""`chowtape bench`: what it measures, and that its figures hang together."""

from __future__ import annotations

import json
import math
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Run, music, write_wav

from chowtape_cli.bench.stages import SOLVER_OPERATIONS, operations_of
from chowtape_cli.dsp.jiles_atherton import Coefficients, coefficients
from chowtape_cli.dsp.kernels import LANES, newton, runge_kutta, tape_network
from chowtape_cli.dsp.stepper import TapeStepper
from chowtape_cli.neural.catalogue import load_any

QUICK = ("--mode", "stn", "--oversampling", "2")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "chowtape_cli", "bench", "--seconds", "1", "--json", *QUICK],
        capture_output=True, text=True, cwd=tmp_path_factory.mktemp("bench"), timeout=300,
        check=True,
    )  # fmt: skip
    whole: dict[str, Any] = json.loads(done.stdout)
    return whole


def test_the_solvers_are_timed_and_compared(figures: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in figures["solvers"]}
    assert rows.keys() >= {"textbook", "rk2", "rk4", "nr4", "nr8", "stn 2x4"}
    assert rows["nr8"]["ratio_to_nr8"] == rows["textbook"]["ratio_to_textbook"] == 1.0
    for row in rows.values():
        assert row["realtime"] == pytest.approx(1.0 / row["wall_seconds"])
        assert row["megasamples"] == pytest.approx(2 * 44_100 / row["wall_seconds"] / 1e6)
        assert row["ratio_to_textbook"] > 0.0
    nr4, stn = (rows[name]["error_db"] for name in ("nr4", "stn 2x4"))
    assert nr4 is None or nr4 < -150.0
    assert -120.0 < stn < -60.0


def test_whole_renders_are_timed_on_one_core_and_on_all(figures: dict[str, Any]) -> None:
    cores = os.cpu_count() or 1
    rows = figures["paths"]
    assert [row["jobs"] for row in rows] == sorted({1, cores})
    for row in rows:
        assert (row["mode"], row["oversampling"]) == ("stn", 2)
        assert row["realtime"] == pytest.approx(1.0 / row["wall_seconds"])
        assert row["megasamples"] == pytest.approx(4 * 44_100 / row["wall_seconds"] / 1e6)
        assert row["ratio_to_textbook"] > 0.0
        if sys.platform == "linux":
            assert 20.0 < row["memory_mib"] <= row["resident_mib"] < 700.0
    assert rows[0]["ratio_to_one_job"] == 1.0


def test_the_stages_make_up_the_whole_process(figures: dict[str, Any]) -> None:
    rows = {row["stage"]: row for row in figures["stages"]}
    assert rows.keys() == {
        "start-up", "reading", "cutting", "lanes", "up-sampling", "hysteresis", "down-sampling",
        "high-pass", "coding", "writing", "other",
    }  # fmt: skip
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1.0)
    # a second is one segment, and short
    assert all((row["seconds"] > 0.0) == (name != "cutting") for name, row in rows.items())
    for stage in ("up-sampling", "hysteresis", "down-sampling", "high-pass"):
        assert 0.0 < rows[stage]["of_peak"] < 1.0
        assert rows[stage]["operations"] == operations_of("stn", 2)[stage]
    assert rows["writing"]["of_peak"] is None


def test_the_machine_is_named(figures: dict[str, Any]) -> None:
    machine = figures["machine"]
    assert machine["cores"] == os.cpu_count()
    assert 0.1 < machine["peak_gflops"] < machine["peak_gflops_single"]


def test_tables_and_a_recording_of_ones_own(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.5, 48_000, channels=1), 48_000)
    table = chowtape("bench", "--file", "in.wav", *QUICK, "--markdown")
    assert table.returncode == 0, table.stderr
    for words in ("| textbook | ", "| stn, 2x | 1 | ", "| hysteresis | ", "Whole renders of 0 s"):
        assert words in table.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]
    missing = chowtape("bench", "--file", "missing.wav")
    assert missing.returncode == 1
    assert "missing.wav: there is no such file" in missing.stderr
    assert len(missing.stderr.splitlines()) == 1
    assert chowtape("bench", "--json", "--markdown").returncode == 2


class Counted:
    """A number that counts what is done with numbers like it."""

    done = 0

    def __init__(self, value: float) -> None:
        self.value = float(value)

    def __float__(self) -> float:
        return self.value

    def _counting(operation: Callable[[float, float], float], *, swapped: bool = False) -> Any:  # noqa: N805
        def operate(self: Counted, other: Any) -> Counted:
            Counted.done += 1
            one, two = float(self), float(other)
            return Counted(operation(two, one) if swapped else operation(one, two))

        return operate

    __add__, __radd__ = _counting(operator.add), _counting(operator.add)
    __mul__, __rmul__ = _counting(operator.mul), _counting(operator.mul)
    __sub__, __rsub__ = _counting(operator.sub), _counting(operator.sub, swapped=True)
    __truediv__ = _counting(operator.truediv)
    __rtruediv__ = _counting(operator.truediv, swapped=True)

    def __neg__(self) -> Counted:
        return Counted(-self.value)

    def __abs__(self) -> Counted:
        return Counted(abs(self.value))

    def __lt__(self, other: Any) -> bool:
        return self.value < float(other)

    def __le__(self, other: Any) -> bool:
        return self.value <= float(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > float(other)

    def __ge__(self, other: Any) -> bool:
        return self.value >= float(other)

    def sqrt(self) -> Counted:
        Counted.done += 1
        return Counted(math.sqrt(self.value))


_COUNTING = SimpleNamespace(
    sqrt=lambda x: x.sqrt(),
    copysign=lambda size, sign: Counted(math.copysign(float(size), float(sign))),
    float32=float,
)


def counted(values: Any) -> Any:
    """Return an array of numbers that count."""
    out = np.empty(np.shape(values), object)
    for place, value in np.ndenumerate(np.asarray(values, float)):
        out[place] = Counted(value)
    return out


def operations(mode: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """Run a kernel as plain Python on numbers that count; return how much it does a sample."""
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setattr(newton, "math", _COUNTING)
    monkeypatch.setattr(tape_network, "math", _COUNTING)
    monkeypatch.setattr(tape_network, "np", _COUNTING)
    usual = coefficients(0.5, 0.5, 0.5)
    tape = Coefficients(*map(Counted, usual))  # type: ignore[arg-type]
    walk = 0.1 * np.random.default_rng(0).standard_normal((32, LANES)).cumsum(axis=0)
    H, M, state, lane = map(counted, (walk, 0 * walk, np.zeros((3, LANES)), np.zeros(LANES)))
    scratch = counted(np.zeros((6, LANES)))
    stepper = TapeStepper(load_any(None).at(0.5, 0.5), usual)  # type: ignore[arg-type]
    x, carried = counted(np.zeros(tape_network.SCRATCH)), counted(np.zeros(4 * LANES))
    weights, constants = counted(stepper._weights), counted(stepper._constants)
    monkeypatch.setattr(newton._first_approximation, "_call", None)
    Counted.done = 0
    if mode.startswith("nr"):
        newton._quick.function(H, M, state, lane, scratch[0], scratch[1], tape)  # type: ignore[attr-defined]
    elif mode == "stn":
        kernel = stepper._kernel.function  # type: ignore[attr-defined]
        kernel(H.reshape(-1), M.reshape(-1), carried, x, weights, constants)
    else:
        solver = getattr(runge_kutta, mode).function
        solver(H, M, state, np.zeros(LANES), scratch, tape)
    return Counted.done / walk.size


@pytest.mark.parametrize("mode", SOLVER_OPERATIONS)
def test_the_operations_are_those_of_the_kernels(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert operations(mode, monkeypatch) == pytest.approx(SOLVER_OPERATIONS[mode], abs=1.0)


def test_a_half_band_filter_costs_nothing_for_its_zeros() -> None:
    """Of 159, 31 and 15 taps 81, 17 and 9 are not zero, and they run once, twice and four times."""
    work = operations_of("nr8", 8)
    assert work["up-sampling"] == work["down-sampling"] == 2 * (81 + 2 * 17 + 4 * 9)
    assert operations_of("nr8", 1)["up-sampling"] == 0


def test_no_heading_is_cut_at_80_columns(chowtape: Run) -> None:
    options = ("--seconds", 0.1, "--mode", "nr8", "--os", 2)
    result = chowtape("bench", *options, env={"COLUMNS": "80"})
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Msamples/s") == 2
    assert "…" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80

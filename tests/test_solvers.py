"""The solvers are right: against the plugin's own output, and against the textbook form."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import reference
from conftest import music
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.langevin import langevin_quotient

MODES = ("rk2", "rk4", "nr4", "nr8")
TOLERANCE = {"rk2": 1e-7, "rk4": 1e-7, "nr4": 1e-6, "nr8": 1e-7}


def solve(
    x: NDArray[np.float64], mode: str, tape: tuple[float, float, float], block: int | None = None
) -> NDArray[np.float64]:
    """Magnetisation of the channels of x, Shape: (time, channels), by the package's kernels."""
    solver = Hysteresis(mode, coefficients(*tape))
    rows = np.zeros((len(x), LANES))
    rows[:, : x.shape[1]] = x
    size = block or max(1, len(x))
    parts = [solver.push(rows[start : start + size]).copy() for start in range(0, len(x), size)]
    return np.concatenate([np.zeros((0, LANES)), *parts])[:, : x.shape[1]]


def before_leaving(y: NDArray[np.float64], mode: str, tape: tuple[float, float, float]) -> int:
    """Samples until an explicit solver leaves 2 M_s; past that it is chaotic."""
    if mode.startswith("nr"):
        return len(y)
    left = np.flatnonzero(np.abs(y) >= 2.0 * coefficients(*tape).M_s)
    return int(left[0]) if left.size else len(y)


@pytest.mark.parametrize("mode", MODES)
def test_kernels_follow_the_plugin(golden: dict[str, NDArray[np.float64]], mode: str) -> None:
    row = list(golden["modes"]).index(mode)
    for j, tape in enumerate(golden["params"].tolist()):
        ours = solve(golden["x"].T, mode, tuple(tape)).T
        for mine, theirs in zip(ours, golden["y"][row, j], strict=True):
            n = before_leaving(theirs, mode, tuple(tape))
            np.testing.assert_allclose(mine[:n], theirs[:n], rtol=0, atol=TOLERANCE[mode])


@pytest.mark.parametrize("mode", MODES)
def test_oracle_follows_the_plugin(golden: dict[str, NDArray[np.float64]], mode: str) -> None:
    row = list(golden["modes"]).index(mode)
    for j in (0, 2, 6):
        tape = tuple(golden["params"][j].tolist())
        for x, theirs in zip(golden["x"], golden["y"][row, j], strict=True):
            n = before_leaving(theirs, mode, tape)
            ours = reference.hysteresis(x, float(golden["fs"]), mode, *tape)
            np.testing.assert_allclose(ours[:n], theirs[:n], rtol=0, atol=1e-9)


knob = st.floats(0.0, 1.0)


@pytest.mark.parametrize("mode", MODES)
@given(drive=knob, saturation=knob, bias=knob, level=st.floats(-60, 12), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_kernels_follow_the_textbook(
    mode: str, drive: float, saturation: float, bias: float, level: float, seed: int
) -> None:
    tape = (drive, saturation, bias)
    x = music(0.01, 48_000, 1, seed) * 10 ** (level / 20)
    theirs = reference.hysteresis(x[:, 0], 48_000, mode, *tape)
    n = before_leaving(theirs, mode, tape)
    ours = solve(x, mode, tape)[:, 0]
    np.testing.assert_allclose(ours[:n], theirs[:n], rtol=0, atol=TOLERANCE[mode])


@pytest.mark.parametrize("mode", MODES)
def test_blocks_of_any_size_give_the_same_bytes(mode: str) -> None:
    x = music(0.05, 44_100) * 4.0
    whole = solve(x, mode, (0.8, 0.5, 0.9))
    for size in (1, 7, 16, 1000):
        np.testing.assert_array_equal(solve(x, mode, (0.8, 0.5, 0.9), block=size), whole)


@pytest.mark.parametrize("mode", MODES)
def test_a_lane_depends_on_itself_alone(mode: str) -> None:
    x = np.hstack([music(0.05, 44_100), np.full((2205, 1), 12.0), np.zeros((2205, 1))])
    x[::2, 2] *= -1.0
    together = solve(x, mode, (1.0, 1.0, 1.0))
    for channel in range(x.shape[1]):
        alone = solve(x[:, [channel]], mode, (1.0, 1.0, 1.0))
        np.testing.assert_array_equal(together[:, [channel]], alone)


@pytest.mark.parametrize("mode", MODES)
@given(drive=knob, saturation=knob, bias=knob)
@settings(max_examples=20, deadline=None)
def test_odd_symmetry(mode: str, drive: float, saturation: float, bias: float) -> None:
    x = music(0.02, 44_100, 1)
    plus = solve(x, mode, (drive, saturation, bias))
    minus = solve(-x, mode, (drive, saturation, bias))
    np.testing.assert_allclose(plus, -minus, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_silence_in_silence_out(mode: str) -> None:
    assert not solve(np.zeros((500, 2)), mode, (0.5, 0.5, 0.5)).any()


@pytest.mark.parametrize("mode", MODES)
@given(
    drive=st.sampled_from([0.0, 0.5, 1.0]),
    saturation=st.sampled_from([0.0, 0.5, 1.0]),
    bias=st.sampled_from([0.0, 0.5, 1.0]),
    shape=st.sampled_from(["square", "noise", "sine", "steps"]),
)
@settings(max_examples=30, deadline=None)
def test_the_hottest_input_stays_finite_and_guarded(
    mode: str, drive: float, saturation: float, bias: float, shape: str
) -> None:
    n = np.arange(2000)
    noise = np.random.default_rng(3)
    x = {
        "square": np.sign(np.sin(n / 3.0)),
        "noise": noise.uniform(-1, 1, n.size),
        "sine": np.sin(n / 10.0),
        "steps": noise.integers(0, 2, n.size) * 2.0 - 1.0,
    }[shape]
    y = solve(12.5 * x[:, None], mode, (drive, saturation, bias))
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 20.0


def test_langevin_quotient_is_right_to_the_last_digits() -> None:
    with mpmath.workdps(40):
        for x in map(mpmath.mpf, (1.1e-3, 0.02, 0.3, 1.0, 3.7, 17.49, 17.51, 250.0, 1e6)):
            p, q, z = langevin_quotient(float(x))
            exact = mpmath.coth(x) - 1 / x
            assert abs(float(x) * p / q - exact) <= 2e-14 * exact, x
            slope = 1 / x**2 - mpmath.csch(x) ** 2
            assert abs((1 - z * (p / q) ** 2 - 2 * p / q) - slope) <= 3e-14, x

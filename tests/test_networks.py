"""State transition networks: right, bounded, continuous; ChowTape's own as in the plugin."""

from __future__ import annotations

import json
import math
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from processes import Start, end, wait_until
from scipy import signal

from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels import tape_network as kernel
from chowtape_cli.dsp.network import TapeNetwork, weight_count
from chowtape_cli.neural import bank as banks
from chowtape_cli.neural import catalogue, gradient

ARCHITECTURES = ("2x4", "2x8", "3x4")
BARE = ("--oversampling", 1, "--no-makeup", "--dc-block", 0, "--subtype", "DOUBLE")
Setting = tuple[float, float, float]


def solve(x: NDArray[np.float64], mode: str, setting: Setting, bank: str = "2x4") -> NDArray:
    _, saturation, bias = setting
    network = catalogue.load_any(bank).at(saturation, bias) if mode == "stn" else None
    rows = np.zeros((len(x), LANES))
    rows[:, : x.shape[1]] = x
    return Hysteresis(mode, coefficients(*setting), network).push(rows)[:, : x.shape[1]].copy()


def error_db(measured: NDArray, exact: NDArray) -> NDArray:
    return 10 * np.log10(np.sum((measured - exact) ** 2, axis=0) / np.sum(exact**2, axis=0) + 1e-30)


def reference_network(network: TapeNetwork, u: float) -> list[float]:
    """The dense layers in plain Python."""
    values, first = [u], 0
    layers = (1, *network.hidden, 2)
    for place, (inputs, outputs) in enumerate(pairwise(layers)):
        sums = []
        for j in range(outputs):
            row = network.weights[first + j * inputs : first + (j + 1) * inputs]
            sums.append(float(row @ values + network.weights[first + inputs * outputs + j]))
        first += inputs * outputs + outputs
        if place < len(layers) - 2:
            held = [min(max(s, -kernel.CLIP), kernel.CLIP) for s in sums]
            sums = [s * (kernel.A1 + s * s * (kernel.A3 + s * s * kernel.A5)) for s in held]
        values = sums
    return values


def reference_stn(x: NDArray, network: TapeNetwork, setting: Setting) -> NDArray:
    """The step as the docs print it, one channel, plain Python, double precision."""
    tape = coefficients(*setting)
    eps = tape.alpha * tape.M_s / tape.a
    beta = tape.alpha * tape.M_s / ((1 - tape.c) * tape.k)
    p = h = H1 = peak = 0.0
    out = []
    for H in map(float, x):
        h, H1 = 1.75 * (H - H1) - 0.75 * h, H
        delta = math.copysign(1.0, h)
        X, q = delta * H / tape.a, delta * p
        r = 1 / (3 + abs(X))
        N0, N1 = reference_network(network, 6 * r - 1)
        L, L1 = X * r * N0, (3 * r) ** 2 * N1
        w = tape.c * tape.k / tape.a * L1
        m = 1 - beta * w
        u = abs(h) / (1.9 * tape.k) * (1 + eps * tape.c * L1)
        D = L - q * (1 - eps * L1)
        C, B = u * (D * m + w), 1 - beta * D + u * m
        S = max(2 * C / (B + math.sqrt(max(B * B + 4 * beta * C, 0))), u * w)
        peak = max(abs(H), 4 * abs(h), peak - abs(h) / 16)
        bound = min(max(1.1 + 10 * (4.2 - peak), 1.1), 4.0)
        before, p = p, delta * min(max(q + 2 * S, -bound), bound)
        out.append(tape.M_s * (before + p) / 2)
    return np.array(out)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("setting", [(0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (0.3, 0.0, 0.0)])
def test_single_precision_is_90_db_below_the_signal(architecture: str, setting: Setting) -> None:
    network = catalogue.load_any(architecture).at(*setting[1:])
    for level in (0.01, 1.0, 4.0):
        x = level * music(0.03, 88_200, 1)
        exact = reference_stn(x[:, 0], network, setting)
        made = solve(x, "stn", setting, architecture)[:, 0]
        assert error_db(made, exact) < -90.0


def test_blocks_of_any_size_give_the_same_bytes() -> None:
    network = catalogue.load_any(None).at(0.5, 0.5)
    rows = np.tile(4.0 * music(0.05, 44_100, 1), (1, LANES))
    whole = Hysteresis("stn", coefficients(0.5, 0.5, 0.5), network).push(rows).copy()
    for size in (1, 31, 32, 500):
        solver = Hysteresis("stn", coefficients(0.5, 0.5, 0.5), network)
        parts = [solver.push(rows[i : i + size]).copy() for i in range(0, len(rows), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


LIMITS = {  # level in dBFS: median and worst of 2x4, worst of 2x8
    -2.0: (-50.0, -38.0, -32.0),
    -32.0: (-48.0, -36.0, -30.0),
    12.0: (-46.0, -34.0, -28.0),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("level", LIMITS)
def test_a_bank_follows_nr8_on_and_off_its_grid(architecture: str, level: float) -> None:
    draw = np.random.default_rng(11)
    corners = [(d, s, b) for d in (0.1, 1.0) for s in (0.0, 1.0) for b in (0.0, 1.0)]
    between = [(draw.uniform(0.1, 1.0), *draw.uniform(0, 1, 2)) for _ in range(30)]
    x = music(0.3, 44_100, 4, seed=3)
    x = signal.resample_poly(x / np.abs(x).max(axis=0), 2, 1, axis=0) * 10 ** (level / 20)
    errors = np.array(
        [
            error_db(solve(x, "stn", setting, architecture), solve(x, "nr8", setting))
            for setting in corners + between
        ]
    )
    median, worst, _ = LIMITS[level]
    assert np.median(errors) < median
    assert errors.max() < worst


@pytest.mark.parametrize("rate", [88_200, 192_000, 352_800])
@pytest.mark.parametrize("setting", [(0.5, 0.5, 0.5), (0.1, 0.9, 0.0), (1.0, 0.3, 1.0)])
def test_sines_keep_the_level_of_nr8(rate: int, setting: Setting) -> None:
    t = np.arange(rate // 10)[:, None] / rate
    x = 0.5 * np.sin(2 * np.pi * np.array([40.0, 200, 1_000, 5_000, 10_000, 15_000]) * t)
    half = len(x) // 2
    made, exact = (solve(x, mode, setting)[half:].std(axis=0) for mode in ("stn", "nr8"))
    assert np.abs(20 * np.log10(made / exact)).max() < 0.5


@given(
    drive=st.floats(0, 0.99), saturation=st.floats(0, 0.99), bias=st.floats(0, 0.99),
    knob=st.integers(0, 2),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_step_when_a_knob_moves(drive: float, saturation: float, bias: float, knob: int) -> None:
    """What a move of 0.01 changes is what it changes in nr8, to -60 dB of the signal."""
    here = (drive, saturation, bias)
    there = tuple(x + 0.01 * (i == knob) for i, x in enumerate(here))
    x = music(0.05, 88_200, 1)
    moved = solve(x, "stn", there) - solve(x, "stn", here)
    should = solve(x, "nr8", there) - solve(x, "nr8", here)
    scale = np.sum(solve(x, "nr8", here) ** 2)
    assert np.sum((moved - should) ** 2) <= 10 ** (-60 / 10) * scale


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("level", [12.5, 20.0])
def test_the_hottest_input_stays_within_the_bound(architecture: str, level: float) -> None:
    n = np.arange(8_000)
    noise = np.random.default_rng(2)
    signals = np.stack([
        np.sign(np.sin(2 * np.pi * n / 100)),
        np.sign(np.sin(2 * np.pi * n / 8)),
        np.sin(2 * np.pi * n / 50),
        np.sin(2 * np.pi * n / 4.1),
        noise.uniform(-1, 1, n.size),
        np.sign(noise.standard_normal(n.size)),
        np.sin(2 * np.pi * np.cumsum(np.geomspace(2e-4, 0.49, n.size))),
    ], axis=1)  # fmt: skip
    for drive in (0.0, 1.0):
        for saturation in (0.0, 1.0):
            for bias in (0.0, 1.0):
                setting = (drive, saturation, bias)
                y = solve(level * signals, "stn", setting, architecture)
                assert np.isfinite(y).all()
                assert np.abs(y).max() <= 1.1 * coefficients(*setting).M_s * (1 + 1e-6)


def test_no_weights_whatever_make_it_run_away() -> None:
    noise = np.random.default_rng(4)
    rows = 20.0 * noise.uniform(-1, 1, (2_000, LANES))
    for _ in range(5):
        weights = 30.0 * noise.standard_normal(weight_count((1, 4, 4, 2)))
        tape = coefficients(1.0, 1.0, 1.0)
        y = Hysteresis("stn", tape, TapeNetwork((4, 4), weights)).push(rows)
        assert np.abs(y).max() <= 4.0 * tape.M_s * (1 + 1e-6)


def test_silence_and_odd_symmetry() -> None:
    assert not solve(np.zeros((200, 2)), "stn", (0.5, 0.5, 0.5)).any()
    x = music(0.05, 88_200)
    np.testing.assert_array_equal(
        solve(x, "stn", (0.7, 0.2, 0.4)), -solve(-x, "stn", (0.7, 0.2, 0.4))
    )


def test_the_gradient_of_training_is_exact() -> None:
    noise = np.random.default_rng(0)
    layers = np.array([1, 4, 4, 2])
    weights = catalogue.load_any("2x4").at(0.4, 0.3).weights + 0.05 * noise.standard_normal(38)
    tape = coefficients(0.6, 0.4, 0.3)
    H = 2.0 * music(0.004, 88_200, 1)[:, 0]
    target = np.zeros_like(H)
    constants = gradient.step_constants(tape)

    def cost(w: NDArray) -> tuple[float, NDArray]:
        _, slope, total = gradient.normal_equations(
            w, layers, H, target, constants, 1.0, forced=False
        )
        return total, 2.0 * slope

    _, exact = cost(weights)
    for i in range(38):
        nudge = np.zeros(38)
        nudge[i] = 1e-6
        numeric = (cost(weights + nudge)[0] - cost(weights - nudge)[0]) / 2e-6
        assert numeric == pytest.approx(exact[i], rel=1e-4, abs=1e-6 * np.abs(exact).max())


# ChowTape's own networks


def plugin_json(folder: Path, seed: int = 0) -> None:
    """Files as ChowTape's, with random networks in them."""
    noise = np.random.default_rng(seed)
    folder.mkdir()
    for width in range(0, 101, 10):
        models = {}
        for s in range(0, 101, 5):
            layers = []
            for inputs, outputs, kind in ((5, 4, "tanh"), (4, 4, "tanh"), (4, 1, "")):
                matrix = np.float32(0.4 * noise.standard_normal((inputs, outputs))).tolist()
                biases = np.float32(0.05 * noise.standard_normal(outputs)).tolist()
                layers.append({
                    "type": "dense", "activation": kind, "shape": [None, outputs],
                    "weights": [matrix, biases],
                })  # fmt: skip
            models[f"drive_{s}_{width}"] = {"in_shape": [None, 5], "layers": layers}
        (folder / f"hyst_width_{width}.json").write_text(json.dumps(models))


def reference_plugin(x: NDArray, rate: float, folder: Path, setting: Setting) -> NDArray:
    """The plugin's recursion around a network, in plain Python."""
    _, saturation, bias = setting
    s = int(np.float32(20) * np.float32(saturation)) * 5
    w = int(np.float32(10) * np.float32(1.0 - bias)) * 10
    model = json.loads((folder / f"hyst_width_{w}.json").read_text())[f"drive_{s}_{w}"]
    a = coefficients(*setting).a
    M = H1 = Hd1 = 0.0
    out = []
    for H in map(float, x):
        Hd = 1.75 * rate * (H - H1) - 0.75 * Hd1
        values = np.array([H, Hd / 6e4, H1, Hd1 / 6e4]) * 0.7071 / a
        values = np.append(values, M)
        for layer in model["layers"]:
            values = values @ np.array(layer["weights"][0]) + layer["weights"][1]
            if layer["activation"] == "tanh":
                values = np.tanh(values)
        M += values[0] * 96_000 / rate
        if not abs(M) <= 20.0:
            M = Hd = 0.0
        out.append(M)
        H1, Hd1 = H, Hd
    return np.array(out)


@pytest.mark.parametrize("setting", [(0.5, 0.5, 0.5), (0.2, 1.0, 0.0), (1.0, 0.33, 0.87)])
@pytest.mark.parametrize("rate", [44_100, 96_000, 192_000])
def test_chowtapes_networks_run_as_in_the_plugin(
    chowtape: Run, tmp_path: Path, setting: Setting, rate: int
) -> None:
    plugin_json(tmp_path / "plugin")
    x = music(0.01, rate, 2)
    write_wav(tmp_path / "in.wav", x, rate)
    knobs = [o for pair in zip(("--drive", "--sat", "--bias"), setting, strict=True) for o in pair]
    assert chowtape("bank", "import", "plugin", "one.npz").returncode == 0
    for weights in ("plugin", "one.npz"):
        done = chowtape("render", "in.wav", "out.wav", "--mode", "stn", "--weights", weights,
                        "--overwrite", *BARE, *knobs)  # fmt: skip
        assert done.returncode == 0, done.stderr
        ours = sf.read(tmp_path / "out.wav")[0]
        for channel in range(2):
            theirs = reference_plugin(x[:, channel], rate, tmp_path / "plugin", setting)
            np.testing.assert_allclose(ours[:, channel], theirs, rtol=0, atol=1e-6)


def test_a_network_that_runs_away_is_reset_and_counted(chowtape: Run, tmp_path: Path) -> None:
    plugin_json(tmp_path / "plugin")
    for path in (tmp_path / "plugin").iterdir():
        models = json.loads(path.read_text())
        for model in models.values():
            model["layers"][2]["weights"][1] = [5.0]
        path.write_text(json.dumps(models))
    write_wav(tmp_path / "in.wav", music(0.01, 44_100, 1))
    done = chowtape("render", "in.wav", "out.wav", "--mode", "stn", "--weights", "plugin", "--json")
    assert json.loads(done.stdout)["files"][0]["resets"] > 0


# banks as files


def test_the_banks_are_small_and_say_how_they_were_made(chowtape: Run) -> None:
    for architecture in ARCHITECTURES:
        path = catalogue.bundled(architecture)
        assert path.stat().st_size < 2_000_000
        held = banks.load(path)
        assert held.weights.shape[:2] == (20, 10)
        assert held.training["command"].startswith(f"chowtape train --arch {architecture}")
        assert held.accuracy_db.shape == (20, 10, 5, 3)
        shown = chowtape("bank", "show", architecture)
        assert shown.returncode == 0
        for words in ("200 of", "20 saturations x 10 biases", "seed", "dBFS"):
            assert words in shown.stdout
    figures = json.loads(chowtape("bank", "show", "--json").stdout)
    assert figures["architecture"] == "2x4"


def test_bank_check_finds_the_stored_map(chowtape: Run) -> None:
    result = chowtape("bank", "check")
    assert result.returncode == 0, result.stderr
    assert "format and hash are good" in result.stdout
    assert "what was measured again" in result.stdout


def rewritten(path: Path, out: Path, **changes: object) -> Path:
    """A bank with parts of it replaced, its hash made good again unless given."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"]))
    for name, value in changes.items():
        if name in arrays:
            arrays[name] = value
        else:
            header[name] = value
    arrays["header"] = np.array(json.dumps(header))
    np.savez(out, **arrays)
    return out


def test_files_that_are_no_bank_are_named_in_one_line(chowtape: Run, tmp_path: Path) -> None:
    good = catalogue.bundled("2x4")
    weights = banks.load(good).weights
    content = good.read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.npz").write_text("not a bank")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    nans = weights.copy()
    nans[0, 0, 3] = np.nan
    altered = weights.copy()
    altered[0, 0, 0] += 0.5
    rewritten(good, tmp_path / "nan.npz", weights=nans)
    rewritten(good, tmp_path / "altered.npz", weights=altered)
    rewritten(good, tmp_path / "shape.npz", weights=weights[:, :, :-1])
    rewritten(good, tmp_path / "newer.npz", format_version=99)
    rewritten(good, tmp_path / "kind.npz", architecture="9x9")
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    for name, words in (
        ("missing.npz", "can't be read"),
        ("cut.npz", "is not a bank"),
        ("text.npz", "is not a bank"),
        ("empty.npz", "is not a bank"),
        ("other.npz", "is not a bank"),
        ("nan.npz", "NaN"),
        ("altered.npz", "hash"),
        ("shape.npz", "shape"),
        ("newer.npz", "version 99"),
        ("kind.npz", "kind"),
    ):
        for command in (
            ("bank", "show", name),
            ("bank", "check", name),
            ("render", "in.wav", "out.wav", "--mode", "stn", "--weights", name),
        ):
            result = chowtape(*command)
            assert result.returncode == 1
            assert len(result.stderr.strip().splitlines()) == 1, result.stderr
            assert words in result.stderr
            assert name in result.stderr
    assert not (tmp_path / "out.wav").exists()


def test_json_that_is_not_chowtapes_is_named(chowtape: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert "hyst_width" in chowtape("bank", "import", "nothing", "out.npz").stderr
    plugin_json(tmp_path / "holes")
    (tmp_path / "holes" / "hyst_width_50.json").unlink()
    assert "missing" in chowtape("bank", "import", "holes", "out.npz").stderr
    plugin_json(tmp_path / "cut")
    path = tmp_path / "cut" / "hyst_width_50.json"
    path.write_text(path.read_text()[:5000])
    result = chowtape("bank", "import", "cut", "out.npz")
    assert result.returncode == 1
    assert "hyst_width_50.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out.npz").exists()


def test_weights_go_with_mode_stn_alone(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    result = chowtape("render", "in.wav", "out.wav", "--weights", "2x8")
    assert result.returncode == 2
    assert "--mode stn" in result.stderr


def test_exported_networks_are_the_banks(chowtape: Run, tmp_path: Path) -> None:
    """A dense model as another program would run it gives what the bank's network gives."""
    assert chowtape("bank", "export", "2x8", "out").returncode == 0
    held = catalogue.load_any("2x8")
    files = sorted((tmp_path / "out").iterdir())
    assert len(files) == len(held.biases)
    label = round(1000 * held.biases[4])
    models = json.loads((tmp_path / "out" / f"stn_bias_{label}.json").read_text())
    assert len(models) == len(held.saturations)
    model = models[f"saturation_{round(1000 * held.saturations[7])}_{label}"]
    network = held.at(held.saturations[7], held.biases[4])
    for u in (-0.9, 0.0, 0.7):
        values = np.array([u])
        for layer in model["layers"]:
            values = values @ np.array(layer["weights"][0]) + layer["weights"][1]
            if layer["activation"] == "tanh":
                held_values = np.clip(values, -kernel.CLIP, kernel.CLIP)
                square = held_values**2
                values = held_values * (kernel.A1 + square * (kernel.A3 + square * kernel.A5))
        np.testing.assert_allclose(values, reference_network(network, u), rtol=1e-6)
    assert chowtape("bank", "export", "2x8", "out").returncode == 1  # not empty


# training


def test_training_can_be_killed_resumed_and_spread_and_gives_the_same_bank(
    chowtape: Run, start: Start, tmp_path: Path
) -> None:
    quick = ("train", "--quick", "--grid", "2x2", "--seed", 5)
    whole = chowtape(*quick, "--jobs", 2, "--out", "whole.npz")
    assert whole.returncode == 0, whole.stderr
    lines = (tmp_path / "whole.log").read_text().splitlines()
    assert sum(line.startswith("saturation") for line in lines) == 4

    process = start(*quick, "--jobs", 1, "--out", "parts.npz", stderr=subprocess.DEVNULL)
    progress = tmp_path / "parts.progress"
    wait_until(lambda: progress.exists() and progress.read_bytes().count(b"\n") >= 3, process)
    end(process)
    with progress.open("ab") as file:
        file.write(b'{"unit": "cut off')  # as if killed in the middle of a line
    assert "--resume" in chowtape(*quick, "--out", "parts.npz").stderr
    other = chowtape(
        "train", "--quick", "--grid", "2x2", "--seed", 6, "--out", "parts.npz", "--resume"
    )
    assert "another training" in other.stderr
    resumed = chowtape(*quick, "--jobs", 1, "--out", "parts.npz", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not progress.exists()

    before = banks.load(tmp_path / "whole.npz")
    again = chowtape("train", "--quick", "--only", "0.1,0.9", "--out", "whole.npz", "--seed", 7)
    assert again.returncode == 0, again.stderr
    after = banks.load(tmp_path / "whole.npz")
    changed = np.argwhere((before.weights != after.weights).any(axis=-1)).tolist()
    assert changed == [[0, 1]]
    assert chowtape(*quick, "--out", "whole.npz").returncode == 1  # exists already


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--grid", "20"), "--grid"),
        (("--grid", "1x5"), "--grid"),
        (("--arch", "5x5"), "--arch"),
        (("--only", "2,2", "--out", "bank.npz"), "0 to 1"),
        (("--jobs", "0"), "--jobs"),
    ],
)
def test_training_options_that_are_wrong(
    chowtape: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "bank.npz").write_bytes(catalogue.bundled("2x4").read_bytes())
    result = chowtape("train", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_networks_are_looked_at_before_a_batch_begins(
    chowtape: Run, tmp_path: Path, more: tuple[str, ...]
) -> None:
    for name in ("a", "b"):
        write_wav(tmp_path / "in" / f"{name}.wav", music(0.02, 44_100))
    (tmp_path / "tape.toml").write_text('["b.wav"]\nmode = "stn"\nweights = "nope"\n')
    for arguments, *words in (
        (("in", "out", "--mode", "stn", "--weights", "nope"), "nope: can't be read", "2x8, 3x4"),
        (("in", "out", "--settings", "tape.toml"), "nope: can't be read", "2x8, 3x4"),
        (("in/a.wav", "out.wav", "--mode", "stn", "--weights", "nope"), "nope: can't be read"),
        (("in", "out", "--mode", "stn", "--weights", "/dev/zero"), "/dev/zero: is no file"),
        (("in", "out", "--mode", "stn", "--weights", "in"), "in: holds no hyst_width"),
    ):
        result = chowtape("render", *arguments, *more)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        for word in words:
            assert word in line
        assert result.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"in", "tape.toml"}
    done = chowtape("render", "in/a.wav", "out.wav", "--settings", "tape.toml", *more)
    assert done.returncode == 0, done.stderr


def test_a_file_far_too_large_for_networks_is_not_read(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.02, 44_100))
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder" / "hyst_width_0.json").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("folder", "folder/hyst_width_0.json"):
        refused = chowtape("render", "in.wav", "out.wav", "--mode", "stn", "--weights", name)
        assert refused.returncode == 1
        assert "is too large for networks" in refused.stderr


def test_the_path_of_a_bank_is_shown_whole_however_narrow_the_terminal(
    chowtape: Run, tmp_path: Path
) -> None:
    bank = tmp_path / ("folder-" * 12) / "bank.npz"
    bank.parent.mkdir()
    bank.write_bytes(catalogue.bundled("2x4").read_bytes())
    result = chowtape("bank", "show", bank, env={"COLUMNS": "80"})
    assert result.returncode == 0, result.stderr
    assert str(bank) in result.stdout.replace("\n", "").replace(" ", "")

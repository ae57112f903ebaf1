"""Oversampling, filters, mix, rate conversion: against scipy, and as a person would hear them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import reference
from conftest import music
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from chowtape_cli import RenderSettings, SampleError, render_array
from chowtape_cli.dsp import filter_design, oversampling
from chowtape_cli.dsp.filters import DCBlocker, butterworth_high_pass
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.resampling import RateConverter

FACTORS = (2, 4, 8, 16, 32, 64)
PHASES = ("linear", "minimum")


def test_the_taps_are_what_scipy_designs() -> None:
    made = io.StringIO()
    filter_design.write_module(made)
    namespace: dict[str, tuple[tuple[float, ...], ...]] = {}
    exec(made.getvalue(), namespace)  # noqa: S102 (our own generated module)
    # the tolerances are what the versions of scipy differ by
    for name, tolerance in (("LINEAR", 1e-10), ("MINIMUM", 5e-5)):
        for taps, again in zip(getattr(oversampling, name), namespace[name], strict=True):
            np.testing.assert_allclose(taps, again, rtol=0, atol=tolerance)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("factor", FACTORS)
def test_filters_meet_their_specification(phase: str, factor: int) -> None:
    """For 44.1 kHz: flat to 0.01 dB up to 20 kHz, up and down; images below -110 dB."""
    up, down = oversampling.stages(factor, phase)
    for cascade, rates in ((up, 2), (down[::-1], 2)):
        level_in_band = np.zeros(2000)
        band = np.linspace(0.0, 20_000.0, 2000)
        for i, stage in enumerate(cascade):
            rate = 44_100.0 * rates ** (i + 1)
            _, in_band = signal.freqz(stage.taps, worN=band, fs=rate)
            level_in_band += 20 * np.log10(np.abs(in_band))
            images = np.linspace(rate / 2 - 20_000.0, rate / 2, 4000)
            _, stopped = signal.freqz(stage.taps, worN=images, fs=rate)
            assert 20 * np.log10(np.abs(stopped).max()) < -110.0
        assert np.abs(level_in_band).max() < 0.01


def lanes(x: np.ndarray) -> np.ndarray:
    rows = np.zeros((len(x), LANES))
    rows[:, : x.shape[1]] = x
    return rows


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("frames", [1, 2, 3, 50, 1001])
def test_raising_and_lowering_equal_scipy(phase: str, frames: int) -> None:
    x = music(1.0, 48_000, 2)[:frames]
    up, down = oversampling.stages(16, phase)
    ours, theirs = lanes(x), x
    for stage in up:
        block = oversampling.Interpolator(stage)
        ours = np.concatenate((block.push(ours).copy(), block.finish()))
        theirs = np.stack(
            [reference.raise_rate(c, stage.taps, stage.offset) for c in theirs.T], axis=1
        )
        np.testing.assert_allclose(ours[:, :2], theirs, rtol=0, atol=1e-10)
    for stage in down:
        block = oversampling.Decimator(stage)
        ours = np.concatenate((block.push(ours).copy(), block.finish()))
        theirs = np.stack(
            [reference.lower_rate(c, stage.taps, stage.offset) for c in theirs.T], axis=1
        )
        np.testing.assert_allclose(ours[:, :2], theirs, rtol=0, atol=1e-10)
    assert len(ours) == frames


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("factor", FACTORS)
def test_up_and_down_again_is_where_it_was(phase: str, factor: int) -> None:
    """A click stays in its place: exactly with linear phase, to half a sample with minimum."""
    x = np.zeros((400, 1))
    x[200] = 1.0
    rows = lanes(x)
    up, down = oversampling.stages(factor, phase)
    for block in [*map(oversampling.Interpolator, up), *map(oversampling.Decimator, down)]:
        rows = np.concatenate((block.push(rows).copy(), block.finish()))
    y = rows[:, 0]
    spectrum = np.fft.rfft(y)[1:40] / np.fft.rfft(x[:, 0])[1:40]
    delay = -np.polyfit(np.arange(1, 40) * 2 * np.pi / 400, np.unwrap(np.angle(spectrum)), 1)[0]
    assert abs(delay) < (1e-9 if phase == "linear" else 0.5)


def test_dc_blocker_equals_scipy() -> None:
    x = music(0.3, 44_100, 3) + 0.5
    for corner, rate in ((35.0, 44_100), (20.0, 8_000), (35.0, 384_000), (900.0, 8_000)):
        sos = signal.butter(4, corner, "highpass", fs=rate, output="sos")
        w, ours = signal.freqz_sos(butterworth_high_pass(corner, rate), 4096)
        np.testing.assert_allclose(ours, signal.freqz_sos(sos, w)[1], rtol=0, atol=1e-9)
        filtered = DCBlocker(corner, rate).push(lanes(x))[:, :3]
        theirs = signal.sosfilt(butterworth_high_pass(corner, rate), x, axis=0)
        np.testing.assert_allclose(filtered, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "rates",
    [(44_100, 48_000), (48_000, 44_100), (8_000, 384_000), (96_000, 8_000), (44_100, 44_101)],
)
def test_rate_conversion_in_blocks_equals_scipy_at_once(rates: tuple[int, int]) -> None:
    x = music(0.3, rates[0], 2)
    converter = RateConverter(*rates, 2)
    theirs = signal.resample_poly(
        x, converter._up, converter._down, axis=0, window=converter._filter
    )
    blocks = [converter.push(x[i : i + 777]) for i in range(0, len(x), 777)]
    ours = np.concatenate([*blocks, converter.finish()])
    assert len(ours) == -(-len(x) * rates[1] // rates[0])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_rate_conversion_is_flat_and_clean() -> None:
    n = np.arange(44_100)
    for frequency in (1_000.0, 19_000.0):
        x = np.sin(2 * np.pi * frequency * n / 44_100)[:, None]
        converter = RateConverter(44_100, 48_000, 1)
        y = np.concatenate([converter.push(x), converter.finish()])[4_000:44_000, 0]
        ideal = np.sin(2 * np.pi * frequency * np.arange(4_000, 44_000) / 48_000)
        assert 20 * np.log10(np.abs(y - ideal).max()) < -100.0


@given(
    frames=st.integers(0, 700),
    factor=st.sampled_from([1, 2, 8]),
    phase=st.sampled_from(PHASES),
    channels=st.sampled_from([1, 2, 40]),
    rate=st.sampled_from([None, 48_000, 22_050]),
)
@settings(max_examples=25, deadline=None)
def test_as_many_frames_out_as_in(
    frames: int, factor: int, phase: str, channels: int, rate: int | None
) -> None:
    x = np.random.default_rng(frames).uniform(-1, 1, (frames, channels))
    result = render_array(x, 44_100, RenderSettings(oversampling=factor, phase=phase, rate=rate))
    expected = frames if rate is None else -(-frames * rate // 44_100)
    assert result.samples.shape == (expected, channels)
    assert np.isfinite(result.samples).all()


@pytest.mark.parametrize("phase", PHASES)
def test_renders_at_different_factors_line_up_within_half_a_sample(phase: str) -> None:
    x = music(0.5, 44_100, 1)
    renders = {
        factor: render_array(x, 44_100, RenderSettings(oversampling=factor, phase=phase)).samples
        for factor in (2, 4, 16)
    }
    for factor in (4, 16):
        fine_a = signal.resample(renders[2][:, 0], 20 * len(x))
        fine_b = signal.resample(renders[factor][:, 0], 20 * len(x))
        correlation = signal.correlate(fine_a, fine_b, method="fft")
        lag = int(np.argmax(correlation)) - (len(fine_a) - 1)
        assert abs(lag) / 20 <= 0.5


def test_mix_0_is_the_source_and_50_is_halfway() -> None:
    x = music(0.2, 44_100)
    dry = render_array(x, 44_100, RenderSettings(mix=0)).samples
    wet = render_array(x, 44_100, RenderSettings(mix=100)).samples
    half = render_array(x, 44_100, RenderSettings(mix=50)).samples
    np.testing.assert_array_equal(dry, x)
    np.testing.assert_allclose(half, (x + wet) / 2, rtol=0, atol=1e-12)


def test_gains_are_in_db_and_in_their_places() -> None:
    x = music(0.2, 44_100) * 0.1
    louder = render_array(x * 10 ** (6 / 20), 44_100, RenderSettings()).samples
    gained = render_array(x, 44_100, RenderSettings(input_gain=6.0)).samples
    np.testing.assert_allclose(gained, louder, rtol=0, atol=1e-12)
    plain = render_array(x, 44_100, RenderSettings()).samples
    after = render_array(x, 44_100, RenderSettings(output_gain=-20.0)).samples
    np.testing.assert_allclose(after, plain / 10, rtol=0, atol=1e-12)


def test_makeup_is_the_plugins_gain() -> None:
    x = music(0.2, 44_100)
    knobs = {"saturation": 0.3, "bias": 0.8}
    with_makeup = render_array(x, 44_100, RenderSettings(**knobs)).samples
    without = render_array(x, 44_100, RenderSettings(**knobs, makeup=False)).samples
    gain = (1 + 0.6 * (1 - 0.8)) / (0.5 + 1.5 * (1 - 0.3))
    np.testing.assert_allclose(with_makeup, without * gain, rtol=0, atol=1e-12)


def test_the_guard_clips_and_counts() -> None:
    x = np.zeros((100, 1))
    x[50:60] = 13.0
    bare = {"oversampling": 1, "makeup": False, "dc_block": 0.0}
    hot = render_array(x, 44_100, RenderSettings(mode="nr8", **bare))
    clipped = render_array(np.minimum(x, 12.5), 44_100, RenderSettings(mode="nr8", **bare))
    assert (hot.guard_clips, clipped.guard_clips) == (10, 0)
    np.testing.assert_array_equal(hot.samples, clipped.samples)


def test_the_sample_rate_does_not_matter_to_the_tape() -> None:
    bare = RenderSettings(oversampling=1, makeup=False, dc_block=0.0)
    x = music(0.1, 44_100)
    np.testing.assert_array_equal(
        render_array(x, 8_000, bare).samples, render_array(x, 384_000, bare).samples
    )


def test_one_dimension_in_one_dimension_out() -> None:
    x = music(0.05, 44_100, 1)
    np.testing.assert_array_equal(
        render_array(x[:, 0], 44_100).samples, render_array(x, 44_100).samples[:, 0]
    )


def test_arrays_that_cannot_be_rendered_are_named() -> None:
    x = np.zeros((10, 2))
    x[7, 1] = np.nan
    with pytest.raises(SampleError, match=r"channel 2, frame 7 is NaN"):
        render_array(x, 44_100)
    with pytest.raises(SampleError, match="3 dimensions"):
        render_array(np.zeros((2, 2, 2)), 44_100)
    with pytest.raises(SampleError, match="half the sample rate"):
        render_array(np.zeros(10), 1_000, RenderSettings(dc_block=600.0))

"""A small stem set made of nothing: drums, bass and keys, for the demo and the benchmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

TEMPO = 96.0  # beats per minute
# one chord a bar, as MIDI note numbers: Am7, Fmaj7, Cmaj7, G6
CHORDS = ((57, 60, 64, 67), (53, 57, 60, 64), (48, 55, 59, 64), (55, 59, 62, 64))
_SEED = 1935  # the year of the first tape recorder


def stems(seconds: float, rate: int) -> dict[str, Samples]:
    """Return drums, bass and keys of one piece, each Shape: (frames, 2), peak at -3 dBFS.

    The same arguments give the same samples.
    """
    frames = round(seconds * rate)
    parts = {"drums": _drums, "bass": _bass, "keys": _keys}
    made = {}
    for name, part in parts.items():
        samples = part(frames, rate)
        peak = np.abs(samples).max(initial=0.0)
        made[name] = samples * (10.0 ** (-3.0 / 20.0) / peak) if peak > 0.0 else samples
    return made


def mix(seconds: float, rate: int) -> Samples:
    """Return the stems summed, Shape: (frames, 2), peak at -2 dBFS."""
    total = np.sum(list(stems(seconds, rate).values()), axis=0)
    peak = np.abs(total).max(initial=0.0)
    mixed: Samples = total * (10.0 ** (-2.0 / 20.0) / peak) if peak > 0.0 else total
    return mixed


def _place(track: Samples, event: Samples, at: float, rate: int, pan: float = 0.0) -> None:
    """Add a mono event to a stereo track at a time in seconds; pan is -1 (left) to 1."""
    start = round(at * rate)
    event = event[: max(0, len(track) - start)]
    angle = (pan + 1.0) * np.pi / 4.0
    track[start : start + len(event), 0] += np.cos(angle) * event
    track[start : start + len(event), 1] += np.sin(angle) * event


def _beats(frames: int, rate: int, per_beat: int = 1) -> range:
    return range(int(frames / rate * TEMPO / 60.0 * per_beat) + 1)


def _drums(frames: int, rate: int) -> Samples:
    noise = np.random.default_rng(_SEED)
    track = np.zeros((frames, 2))
    t = np.arange(int(0.4 * rate)) / rate
    kick = np.sin(2 * np.pi * (48.0 * t + 3.2 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.13)
    beat = 60.0 / TEMPO
    for n in _beats(frames, rate):
        if n % 2 == 0:
            _place(track, kick, n * beat, rate)
        else:
            snare = noise.standard_normal(t.size) * np.exp(-t / 0.07) * 0.35
            _place(track, snare + 0.4 * np.sin(2 * np.pi * 190.0 * t) * np.exp(-t / 0.08),
                   n * beat, rate, -0.1)  # fmt: skip
    for n in _beats(frames, rate, per_beat=2):
        hiss = noise.standard_normal(int(0.08 * rate))
        hat = np.diff(hiss, prepend=0.0) * np.exp(-np.arange(hiss.size) / (0.018 * rate))
        _place(track, 0.12 * hat, n * beat / 2.0, rate, 0.35)
    return track


def _tone(pitch: float, seconds: float, rate: int, partials: int, decay: float) -> Samples:
    t = np.arange(int(seconds * rate)) / rate
    frequency = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    tone = np.zeros_like(t)
    for k in range(1, partials + 1):
        if k * frequency < 0.45 * rate:
            tone += np.sin(2 * np.pi * k * frequency * t) * np.exp(-t * k / decay) / k
    attack = np.minimum(1.0, t / 0.004)
    return tone * attack * np.minimum(1.0, (seconds - t) / 0.01)


def _bass(frames: int, rate: int) -> Samples:
    track = np.zeros((frames, 2))
    half = 30.0 / TEMPO
    for n in _beats(frames, rate, per_beat=2):
        chord = CHORDS[n // 8 % len(CHORDS)]
        pitch = chord[0] - 24 + (12 if n % 8 in (3, 6) else 0)
        _place(track, _tone(pitch, half * 0.95, rate, 9, 0.9), n * half, rate)
    return track


def _keys(frames: int, rate: int) -> Samples:
    track = np.zeros((frames, 2))
    bar = 240.0 / TEMPO
    for n in range(int(frames / rate / bar) + 1):
        for voice, pitch in enumerate(CHORDS[n % len(CHORDS)]):
            tone = _tone(pitch + 12, bar, rate, 6, 1.6)
            _place(track, tone, n * bar + 0.012 * voice, rate, pan=voice / 1.5 - 1.0)
    return track

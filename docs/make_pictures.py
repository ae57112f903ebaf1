"""Make the pictures of the README and the docs again: `python docs/make_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
import numpy as np

from chowtape_cli import RenderSettings, render_array

PICTURES = Path(__file__).parent / "pictures"
RATE = 48_000
INK = "#7a7a7a"  # readable on white and on black


def _loop_and_spectrum(path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    t = np.arange(RATE // 10) / RATE
    bare = RenderSettings(oversampling=16, makeup=False, dc_block=0.0, drive=0.8, bias=0.3)
    steps = np.repeat([0.15, 0.3, 0.5, 0.75, 1.0], t.size // 5)
    growing = steps * np.sin(2 * np.pi * 50 * t)
    left.plot(growing, render_array(growing, RATE, bare).samples, lw=1.0, color="#c0504d")
    left.set(xlabel="field H (full scale)", ylabel="magnetisation M", xticks=[-1, -0.5, 0, 0.5, 1])
    left.set_title("50 Hz in five steps of level, drive 0.8, bias 0.3")
    t = np.arange(RATE) / RATE
    sine = 0.8 * np.sin(2 * np.pi * 1000 * t)
    window = np.hanning(RATE) * 4 / RATE
    for place, (drive, colour) in enumerate(((0.9, "#c0504d"), (0.5, "#4f81bd"), (0.1, "#77933c"))):
        y = render_array(sine, RATE, RenderSettings(oversampling=8, drive=drive)).samples
        level = 20 * np.log10(np.abs(np.fft.rfft(y * window)) + 1e-9)
        kilohertz = np.arange(1, 16, 2)
        right.bar(kilohertz + 0.5 * (place - 1), level[kilohertz * 1000] + 120, 0.45, -120,
                  color=colour, label=f"drive {drive}")  # fmt: skip
    right.set(ylim=(-120, 6), xticks=kilohertz, xlabel="frequency (kHz)", ylabel="level (dBFS)")
    right.set_title("Harmonics of a 1 kHz sine at -2 dBFS")
    right.legend(frameon=False, labelcolor=INK)
    for axes in (left, right):
        axes.tick_params(colors=INK)
        for part in (axes.xaxis.label, axes.yaxis.label, axes.title):
            part.set_color(INK)
        for spine in axes.spines.values():
            spine.set_color(INK)
        axes.patch.set_alpha(0.0)
    figure.savefig(path, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    mpl.rcParams["svg.hashsalt"] = "chowtape"
    PICTURES.mkdir(exist_ok=True)
    _loop_and_spectrum(PICTURES / "loop.svg")

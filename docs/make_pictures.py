"""Make every picture of the README and the docs again: `python docs/make_pictures.py`."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "pictures"

# what the pictures of recordings need, after `chowtape demo`
RENDERS = (
    "chowtape-demo/dry/bass.wav half.wav --mix 50",
    "chowtape-demo/dry/bass.wav half-5hz.wav --mix 50 --dc-block 5",
)

# name of the picture: what follows `chowtape plot`, in a folder where `chowtape demo` has been run
PICTURES = {
    "loop.svg": "loop --mode nr8 --mode stn --drive 0.8 --bias 0.1",
    "harmonics.svg": "harmonics --drive 0.8",
    "curve.svg": "curve",
    "spectrum.svg": "spectrum chowtape-demo/dry/drums.wav chowtape-demo/tape/drums.wav",
    "bank.svg": "bank --level 12",
    "drive.svg": "loop --drive 0.2 --drive 0.5 --drive 0.9 --cycles 2",
    "saturation.svg": "curve --saturation 0 --saturation 0.5 --saturation 1 --drive 0.7",
    "bias.svg": "curve --bias 0 --bias 0.1 --bias 0.5 --bias 1 --drive 0.7",
    "mix.svg": "spectrum chowtape-demo/dry/bass.wav half.wav half-5hz.wav",
    "solvers.svg": "harmonics --os 2 --mode nr8 --mode stn --mode rk4 --mode rk2 --frequency 5000",
}


def _chowtape(folder: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "chowtape_cli", *arguments]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603


def main() -> None:
    """Run the commands."""
    with tempfile.TemporaryDirectory() as folder:
        _chowtape(folder, "demo")
        for arguments in RENDERS:
            _chowtape(folder, "render", *shlex.split(arguments))
        for name, arguments in PICTURES.items():
            output = ["--output", str(FOLDER / name), "--overwrite"]
            _chowtape(folder, "plot", *shlex.split(arguments), *output)


if __name__ == "__main__":
    main()

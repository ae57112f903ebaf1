"""Make every picture of the README and the docs again: `python docs/make_pictures.py`."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "pictures"

# name of the picture: what follows `chowtape plot`, in a folder where `chowtape demo` has been run
PICTURES = {
    "loop.svg": "loop --mode nr8 --mode stn --drive 0.8 --bias 0.1",
    "harmonics.svg": "harmonics --drive 0.8",
    "curve.svg": "curve",
    "spectrum.svg": "spectrum chowtape-demo/dry/drums.wav chowtape-demo/tape/drums.wav",
    "bank.svg": "bank --level 12",
}


def _chowtape(folder: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "chowtape_cli", *arguments]
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603


def main() -> None:
    """Run the commands."""
    with tempfile.TemporaryDirectory() as folder:
        _chowtape(folder, "demo")
        for name, arguments in PICTURES.items():
            output = ["--output", str(FOLDER / name), "--overwrite"]
            _chowtape(folder, "plot", *shlex.split(arguments), *output)


if __name__ == "__main__":
    main()

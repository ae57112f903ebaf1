"""Which networks are meant: a bank's path, one that came with chowtape, or a folder of JSON."""

from __future__ import annotations

from pathlib import Path

from chowtape_cli.errors import BankError
from chowtape_cli.neural.bank import ARCHITECTURES, Bank, load
from chowtape_cli.neural.rtneural import import_plugin

DEFAULT_ARCHITECTURE = "2x4"


def bundled(architecture: str = DEFAULT_ARCHITECTURE) -> Path:
    """Return where the bank of an architecture is that came with the package."""
    package = Path(__file__).parents[1]
    for folder in (package / "weights", package.parent / "weights"):  # installed, or a checkout
        path = folder / f"stn_{architecture}.npz"
        if path.is_file():
            return path
    raise BankError(f"stn_{architecture}.npz did not come with this installation; reinstall it")


def find(name: str | None) -> Path:
    """Return the bank that is meant: a path, an architecture's name, or None for the default."""
    if name is None:
        return bundled()
    if name in ARCHITECTURES and not Path(name).exists():
        return bundled(name)
    return Path(name)


def load_any(name: str | None) -> Bank:
    """Read a bank, or ChowTape's networks where the name is a folder; see `find` and `load`."""
    path = find(name)
    if path.is_dir():
        return import_plugin(path)
    return load(path)

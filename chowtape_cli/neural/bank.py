"""Banks of networks: one file with the weights of every grid point and how good they are.

A bank is a NumPy archive of plain arrays and a JSON header. `weights[saturation, bias, weight]` are
the networks; `accuracy_db[saturation, bias, drive, level]` is what was measured when it was made;
the header says the rest, and holds a hash of it all.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.network import PluginNetwork, TapeNetwork, weight_count
from chowtape_cli.errors import BankError
from chowtape_cli.files import shown, write_whole

FORMAT_VERSION = 1
ARCHITECTURES = {"2x4": (4, 4), "2x8": (8, 8), "3x4": (4, 4, 4)}
TAPE_FORM = "tape"  # our own networks
PLUGIN_FORM = "plugin"  # ChowTape's networks, imported
PLUGIN_LAYERS = (5, 4, 4, 1)
_ARRAYS = ("weights", "accuracy_db", "ancestor")
_MOST_BYTES = 64 << 20  # a bank is below 2 MiB, a file of ChowTape's below 1
_CHOICE = f"name a bank, a folder of ChowTape's, or one of {', '.join(ARCHITECTURES)}"


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Networks on a grid over saturation and bias.

    Attributes:
        form: ``tape`` for ours, ``plugin`` for ChowTape's.
        architecture: ``2x4``, ``2x8`` or ``3x4``: hidden layers x width.
        saturations, biases: the grid's nodes, ascending from 0 to 1.
        weights: Shape: (saturations, biases, weights), float32.
        ancestor: the network that all were trained from, Shape: (weights,), float32.
        accuracy_db: error-to-signal energy ratio against nr8 in dB,
            Shape: (saturations, biases, drives, levels); empty where it was not measured.
        accuracy_drives, accuracy_levels: the drives and peak levels (dBFS) it was measured at.
        training: the command, seed, time and settings that made it.
    """

    form: str
    architecture: str
    saturations: tuple[float, ...]
    biases: tuple[float, ...]
    weights: NDArray[np.float32]
    ancestor: NDArray[np.float32]
    accuracy_db: NDArray[np.float32]
    accuracy_drives: tuple[float, ...] = ()
    accuracy_levels: tuple[float, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)

    def at(self, saturation: float, bias: float) -> TapeNetwork | PluginNetwork:
        """Return the network of a setting.

        Ours are interpolated: linearly in saturation and in sqrt(bias), of which the physics is an
        affine function; drive needs no axis, because it enters the step exactly. ChowTape's are
        those of the grid point below, as in the plugin, which knows no drive either.
        """
        if self.form == PLUGIN_FORM:
            # the plugin computes the indices in single precision
            row = int(np.float32(len(self.saturations) - 1) * np.float32(saturation))
            column = int(np.float32(len(self.biases) - 1) * np.float32(1.0 - bias))
            flat = self.weights[row, len(self.biases) - 1 - column].astype(np.float64)
            return PluginNetwork(PLUGIN_LAYERS, flat)
        across = _hat(saturation, self.saturations)
        along = _hat(math.sqrt(bias), [math.sqrt(node) for node in self.biases])
        flat = np.einsum("i,j,ijk->k", across, along, self.weights.astype(np.float64))
        return TapeNetwork(ARCHITECTURES[self.architecture], flat)


def _hat(x: float, nodes: Sequence[float]) -> NDArray[np.float64]:
    """Return the weights of linear interpolation between ascending nodes, Shape: (nodes,)."""
    return np.array([float(np.interp(x, nodes, row)) for row in np.eye(len(nodes))])


def save(bank: Bank, path: Path) -> None:
    """Write a bank beside its place and rename it; an existing file is replaced."""
    memory = io.BytesIO()
    header = json.dumps({**_header(bank), "sha256": digest(bank)})
    # np.savez stamps every member with the time; the same bank must give the same bytes
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (
            ("header", np.array(header)),
            *((n, getattr(bank, n)) for n in _ARRAYS),
        ):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED
            )
    write_whole(path, memory.getvalue())


def load(path: Path) -> Bank:
    """Read a bank and check it.

    Raises:
        BankError: missing, not a bank, cut off, of a newer format, of other shapes, with NaNs, or
            altered since it was made.
    """
    content = read_limited(path)
    try:
        arrays = _unpacked(content)
        header = json.loads(str(arrays.pop("header")))
        version = header["format_version"]
    except (
        ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise BankError(f"{shown(path)}: is not a bank of networks, or is cut off") from error
    if version != FORMAT_VERSION:
        raise BankError(
            f"{shown(path)}: is of format version {version}, this chowtape reads {FORMAT_VERSION}; "
            "update chowtape"
        )
    try:
        bank = Bank(
            form=header["form"],
            architecture=header["architecture"],
            saturations=tuple(header["saturations"]),
            biases=tuple(header["biases"]),
            accuracy_drives=tuple(header["accuracy_drives"]),
            accuracy_levels=tuple(header["accuracy_levels"]),
            training=dict(header["training"]),
            **arrays,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BankError(f"{shown(path)}: its header is damaged ({error})") from error
    _check(bank, path)
    if header.get("sha256") != digest(bank):
        raise BankError(
            f"{shown(path)}: its hash does not match its content; it was altered or damaged"
        )
    return bank


def _unpacked(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        if sum(member.file_size for member in archive.zip.infolist()) > _MOST_BYTES:
            raise ValueError("far too large")
        return {name: archive[name] for name in ("header", *_ARRAYS)}


def read_limited(path: Path) -> bytes:
    """Return what is in a file of networks.

    Raises:
        BankError: it can't be read, is a device or pipe, or far too large for what it should be.
    """
    try:
        if path.exists() and not path.is_file():
            raise BankError(f"{shown(path)}: is no file; {_CHOICE}")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BankError(f"{shown(path)}: can't be read ({error.strerror}); {_CHOICE}") from error
    if len(content) > _MOST_BYTES:
        raise BankError(f"{shown(path)}: is too large for networks; {_CHOICE}")
    return content


def _check(bank: Bank, path: Path) -> None:
    if bank.form not in (TAPE_FORM, PLUGIN_FORM) or bank.architecture not in ARCHITECTURES:
        raise BankError(f"{shown(path)}: holds networks of a kind this chowtape does not know")
    grid = (len(bank.saturations), len(bank.biases))
    expected = (*grid, _expected_weights(bank.form, bank.architecture))
    if bank.weights.shape != expected or bank.weights.dtype != np.float32:
        raise BankError(
            f"{shown(path)}: has {bank.weights.dtype} weights of shape {bank.weights.shape}, "
            f"but its header says float32 of shape {expected}"
        )
    if not np.isfinite(bank.weights).all():
        raise BankError(f"{shown(path)}: holds weights that are NaN or Inf")
    for nodes in (bank.saturations, bank.biases):
        ascending = len(nodes) > 0 and all(a < b for a, b in pairwise(nodes))
        if not ascending or nodes[0] < 0.0 or nodes[-1] > 1.0:
            raise BankError(f"{shown(path)}: its grid is not ascending within 0 to 1")


def _expected_weights(form: str, architecture: str) -> int:
    if form == PLUGIN_FORM:
        return weight_count(PLUGIN_LAYERS)
    return weight_count((1, *ARCHITECTURES[architecture], 2))


def _header(bank: Bank) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "form": bank.form,
        "architecture": bank.architecture,
        "saturations": list(bank.saturations),
        "biases": list(bank.biases),
        "accuracy_drives": list(bank.accuracy_drives),
        "accuracy_levels": list(bank.accuracy_levels),
        "training": bank.training,
    }


def digest(bank: Bank) -> str:
    """Return the hash of everything a bank holds (SHA-256, hexadecimal)."""
    total = hashlib.sha256(json.dumps(_header(bank), sort_keys=True).encode())
    for name in _ARRAYS:
        array = np.ascontiguousarray(getattr(bank, name))
        total.update(str((name, array.dtype.str, array.shape)).encode())
        total.update(array.tobytes())
    return total.hexdigest()


def with_points(bank: Bank, points: dict[tuple[int, int], NDArray[np.float32]]) -> Bank:
    """Return a bank with the weights of some grid points replaced."""
    weights = bank.weights.copy()
    for (row, column), flat in points.items():
        weights[row, column] = flat
    return replace(bank, weights=weights)

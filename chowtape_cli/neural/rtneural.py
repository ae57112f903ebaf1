"""RTNeural's JSON: ChowTape's own networks in, ours out.

A model is ``{"in_shape": [null, inputs], "layers": [...]}``; a dense layer holds its activation,
its shape, and ``weights = [matrix (inputs x outputs), biases]``.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.errors import BankError
from chowtape_cli.files import shown, write_whole
from chowtape_cli.neural.bank import (
    ARCHITECTURES,
    PLUGIN_FORM,
    PLUGIN_LAYERS,
    TAPE_FORM,
    Bank,
    read_limited,
)

_FILE = re.compile(r"hyst_width_(\d+)\.json")


def import_plugin(folder: Path) -> Bank:
    """Read ChowTape's networks, ``hyst_width_{W}.json`` with models ``drive_{S}_{W}``.

    W is 100 times the width, 1 - bias; S, for all its name, 100 times the saturation.

    Raises:
        BankError: a file or a model is missing or damaged, or the grid has holes.
    """
    if not folder.is_dir():
        raise BankError(f"{shown(folder)}: is not a folder of RTNeural JSON files")
    files = {int(m[1]): path for path in folder.iterdir() if (m := _FILE.fullmatch(path.name))}
    if not files:
        raise BankError(f"{shown(folder)}: holds no hyst_width_*.json; name ChowTape's folder")
    widths = sorted(files)
    models = {width: _models(files[width], width) for width in widths}
    saturations = sorted(models[widths[0]])
    for width in widths:
        if sorted(models[width]) != saturations:
            raise BankError(f"{shown(files[width])}: holds other saturations than the other files")
    if not _even(widths) or not _even(saturations):
        raise BankError(f"{shown(folder)}: its grid is not even from 0 to 100; files are missing")
    grid = [[models[width][s] for width in reversed(widths)] for s in saturations]
    return Bank(
        form=PLUGIN_FORM,
        architecture="2x4",
        saturations=tuple(s / 100.0 for s in saturations),
        biases=tuple(1.0 - width / 100.0 for width in reversed(widths)),
        weights=np.array(grid, np.float32),
        ancestor=np.zeros(0, np.float32),
        accuracy_db=np.zeros((0,), np.float32),
        training={"source": "ChowTape's networks, imported from RTNeural JSON"},
    )


def _even(nodes: list[int]) -> bool:
    return len(nodes) > 1 and np.allclose(nodes, np.linspace(0.0, 100.0, len(nodes)))


def _models(path: Path, width: int) -> dict[int, NDArray[np.float64]]:
    try:
        content = json.loads(read_limited(path).decode())
        named = {name: _weights(model) for name, model in content.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise BankError(f"{shown(path)}: is not RTNeural JSON, or is cut off ({reason})") from error
    by_saturation = {}
    for name, flat in named.items():
        match = re.fullmatch(rf"drive_(\d+)_{width}", name)
        if not match:
            raise BankError(f"{shown(path)}: holds a model of another name, {name}")
        by_saturation[int(match[1])] = flat
    return by_saturation


def _weights(model: dict[str, Any]) -> NDArray[np.float64]:
    """Return a model's weights in our order, Shape: (weights,)."""
    flat = []
    shapes = [int(model["in_shape"][-1])]
    layers = model["layers"]
    for place, layer in enumerate(layers):
        matrix, biases = (np.array(part, np.float64) for part in layer["weights"])
        wanted = "" if place == len(layers) - 1 else "tanh"
        if layer["type"] != "dense" or layer["activation"] != wanted:
            raise ValueError(f"layer {place + 1} is not dense with activation {wanted!r}")
        if matrix.shape != (shapes[-1], biases.size):
            raise ValueError(f"layer {place + 1} has a matrix of shape {matrix.shape}")
        if not (np.isfinite(matrix).all() and np.isfinite(biases).all()):
            raise ValueError(f"layer {place + 1} holds NaN or Inf")
        shapes.append(biases.size)
        flat += [matrix.T.ravel(), biases]
    if tuple(shapes) != PLUGIN_LAYERS:
        raise ValueError(f"layers are {shapes}, not {list(PLUGIN_LAYERS)}")
    return np.concatenate(flat)


def export(bank: Bank, folder: Path) -> list[Path]:
    """Write one of our banks as RTNeural JSON: a file per bias, one dense model per saturation.

    Returns:
        The files, ``stn_bias_{B}.json`` with models ``saturation_{S}_{B}``, both in thousandths.

    Raises:
        BankError: the bank is not one of ours.
        FileError: a file can't be written.
    """
    if bank.form != TAPE_FORM:
        raise BankError("ChowTape's own networks are RTNeural JSON already; export one of ours")
    paths = []
    layers = (1, *ARCHITECTURES[bank.architecture], 2)
    for j, bias in enumerate(bank.biases):
        label = round(1000 * bias)
        models = {
            f"saturation_{round(1000 * saturation)}_{label}": _model(bank.weights[i, j], layers)
            for i, saturation in enumerate(bank.saturations)
        }
        path = folder / f"stn_bias_{label}.json"
        write_whole(path, json.dumps(models, indent=1).encode())
        paths.append(path)
    return paths


def _model(flat: NDArray[np.float32], layers: tuple[int, ...]) -> dict[str, Any]:
    made = []
    first = 0
    for place, (inputs, outputs) in enumerate(pairwise(layers)):
        matrix = flat[first : first + inputs * outputs].reshape(outputs, inputs)
        first += inputs * outputs
        biases = flat[first : first + outputs]
        first += outputs
        made.append(
            {
                "type": "dense",
                "activation": "" if place == len(layers) - 2 else "tanh",
                "shape": [None, outputs],
                "weights": [matrix.T.astype(float).tolist(), biases.astype(float).tolist()],
            }
        )
    return {"in_shape": [None, layers[0]], "layers": made}

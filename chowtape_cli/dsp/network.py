"""Networks as arrays: what a solver of mode stn is given."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# |p| is held within BOUND + BOUND_SLOPE (BOUND_FROM - peak), and that within BOUND and BOUND_CALM
BOUND, BOUND_CALM, BOUND_FROM, BOUND_SLOPE = 1.1, 4.0, 4.2, 10.0


class TapeNetwork(NamedTuple):
    """One of our networks: 1 input, tanh layers, 2 outputs.

    Attributes:
        hidden: widths of the hidden layers.
        weights: layer by layer, the matrix (outputs x inputs) by rows and then the biases,
            Shape: (weights,), float64.
    """

    hidden: tuple[int, ...]
    weights: NDArray[np.float64]


class PluginNetwork(NamedTuple):
    """One of ChowTape's networks: inputs ``H, dH/dt, H1, dH1/dt, M1``, output ``M - M1``.

    Attributes:
        layers: numbers of inputs, of units of the tanh layers, and of outputs.
        weights: as in TapeNetwork.
    """

    layers: tuple[int, ...]
    weights: NDArray[np.float64]


def weight_count(layers: tuple[int, ...]) -> int:
    """Return how many weights dense layers of these widths have, inputs first."""
    return sum(inputs * outputs + outputs for inputs, outputs in pairwise(layers))

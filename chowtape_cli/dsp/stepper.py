"""One of our networks as a solver."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.tape_network import A5, CARRIED, SCRATCH, tape_network
from chowtape_cli.dsp.network import TapeNetwork


class TapeStepper:
    """Runs one of our networks on a stream of blocks; see `kernels.tape_network` for the step."""

    def __init__(self, network: TapeNetwork, tape: Coefficients) -> None:
        self._kernel = tape_network(len(network.hidden), network.hidden[0])
        self._weights = _folded(network, tape.a).astype(np.float32)
        eps = tape.alpha * tape.M_s / tape.a
        rate = 1.0 / (1.9 * tape.k)
        constants = (
            1.0 / tape.a,
            tape.c * tape.k / tape.a,
            tape.alpha * tape.M_s / ((1.0 - tape.c) * tape.k),
            eps,
            rate,
            rate * eps * tape.c,
            0.5 * tape.M_s,
        )
        self._constants = np.array(constants, np.float32)
        self._state = np.zeros(CARRIED * LANES, np.float32)
        self._scratch = np.zeros(SCRATCH, np.float32)

    def push(self, H: NDArray[np.float64], M_out: NDArray[np.float64]) -> None:
        """Step every lane of a block, Shape: (time, LANES) both."""
        if len(H) == 0:
            return
        flat_H, flat_M = H.reshape(-1), M_out.reshape(-1)
        self._kernel(flat_H, flat_M, self._state, self._scratch, self._weights, self._constants)

    def state(self) -> NDArray[np.float64]:
        """Return H, h, the peak and p of every lane, Shape: (4, LANES)."""
        return self._state.reshape(CARRIED, -1).astype(np.float64)

    def enter(self, lane: int, state: NDArray[np.float64]) -> None:
        """Set the state of a lane, Shape: (4,)."""
        self._state.reshape(CARRIED, -1)[:, lane] = state


def _folded(network: TapeNetwork, a: float) -> NDArray[np.float64]:
    """Return the weights with constant factors of the step folded in.

    The input ``6 r - 1`` goes into the first layer, the activation's A5 into every layer after it,
    and ``1/a`` and 9 into the rows of the last one.
    """
    W = network.weights.copy()
    first = network.hidden[0]
    W[first : 2 * first] -= W[:first]
    W[:first] *= 6.0
    at = 2 * first
    for inputs, outputs in pairwise((*network.hidden, 2)):
        W[at : at + inputs * outputs] *= A5
        at += (inputs + 1) * outputs
    last = network.hidden[-1]
    matrix = W[-2 * last - 2 : -2].reshape(2, last)
    matrix *= np.array([[1.0 / a], [9.0]])
    W[-2:] *= np.array([1.0 / a, 9.0])
    return W

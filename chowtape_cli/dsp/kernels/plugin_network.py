"""ChowTape's own state transition networks, exactly as the plugin runs them.

With ``g = 1/60000`` and ``s = 0.7071/a``, the inputs are ``s H, s g dH/dt, s H1, s g dH1/dt, M1``,
and ``M = M1 + net 96000/rate``: the networks were trained at 96 kHz, and the plugin scales the step
they make to other rates.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels.runge_kutta import MAGNETISATION_LIMIT
from chowtape_cli.native import kernel

TRAINING_RATE = 96_000.0
DERIVATIVE_SCALE = 1.0 / 6.0e4
FIELD_SCALE = 0.7071


@kernel
def plugin_network(
    H: NDArray[np.float64],
    M_out: NDArray[np.float64],
    state: NDArray[np.float64],
    resets: NDArray[np.float64],
    scratch: NDArray[np.float64],
    lanes: int,
    layers: NDArray[np.int64],
    weights: NDArray[np.float64],
    a: float,
    rate: float,
) -> None:
    """Step every lane that is used.

    Args:
        H: field, Shape: (time, LANES).
        M_out: magnetisation, Shape: (time, LANES).
        state: rows H, h and M of the sample before, Shape: (3, LANES), ``h = dH/dt / rate``.
        resets: counts where |M| > 20 or NaN set M and h to 0, Shape: (LANES,).
        scratch: Shape: (2, widest layer).
        lanes: how many of the lanes are used; tanh is too dear to be spent on the others.
        layers: numbers of inputs, units and outputs, Shape: (layers + 1,).
        weights: layer by layer, the matrix (outputs x inputs) by rows, then the biases.
        a: shape of the anhysteretic curve.
        rate: sample rate in Hz.
    """
    values, sums = scratch[0], scratch[1]
    scale = FIELD_SCALE / a
    to_derivative = rate * DERIVATIVE_SCALE
    for n in range(H.shape[0]):
        for lane in range(lanes):
            H0, h0, M0 = state[0, lane], state[1, lane], state[2, lane]
            H1 = H[n, lane]
            h1 = 1.75 * (H1 - H0) - 0.75 * h0
            values[0] = H1 * scale
            values[1] = h1 * to_derivative * scale
            values[2] = H0 * scale
            values[3] = h0 * to_derivative * scale
            values[4] = M0
            first = 0
            for layer in range(layers.size - 1):
                inputs, outputs = layers[layer], layers[layer + 1]
                biases = first + inputs * outputs
                for j in range(outputs):
                    total = weights[biases + j]
                    for i in range(inputs):
                        total += weights[first + j * inputs + i] * values[i]
                    sums[j] = total
                first = biases + outputs
                last = layer == layers.size - 2
                for j in range(outputs):
                    values[j] = sums[j] if last else math.tanh(sums[j])
            M1 = M0 + values[0] * (TRAINING_RATE / rate)
            sound = abs(M1) <= MAGNETISATION_LIMIT
            M1 = M1 if sound else 0.0
            M_out[n, lane] = M1
            state[0, lane] = H1
            state[1, lane] = h1 if sound else 0.0
            state[2, lane] = M1
            resets[lane] += 0.0 if sound else 1.0

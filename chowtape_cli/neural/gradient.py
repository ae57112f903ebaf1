"""One step of a network with its exact derivatives, and the normal equations of a sequence.

The step is that of `dsp.kernels.tape_network`, in double precision, one sequence at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels.tape_network import (
    A1,
    A3,
    A5,
    CLIP,
    KNEE,
)
from chowtape_cli.dsp.network import BOUND
from chowtape_cli.native import inlined, kernel

Array = NDArray[np.float64]


@inlined
def _activation(x: float) -> tuple[float, float]:
    """Return the network's tanh and its slope."""
    inside = abs(x) <= CLIP
    x = min(max(x, -CLIP), CLIP)
    xx = x * x
    slope = A1 + xx * (3.0 * A3 + xx * 5.0 * A5)
    return x * (A1 + xx * (A3 + xx * A5)), slope if inside else 0.0


@kernel
def _forward(weights: Array, layers: NDArray[np.int64], values: Array, slopes: Array) -> None:
    """Run the network on ``values[0]``; row l holds what layer l puts out."""
    first = 0
    last = layers.size - 2
    for layer in range(layers.size - 1):
        inputs, outputs = layers[layer], layers[layer + 1]
        biases = first + inputs * outputs
        for j in range(outputs):
            total = weights[biases + j]
            for i in range(inputs):
                total += weights[first + j * inputs + i] * values[layer, i]
            if layer == last:
                values[layer + 1, j], slopes[layer + 1, j] = total, 1.0
            else:
                values[layer + 1, j], slopes[layer + 1, j] = _activation(total)
        first = biases + outputs


@kernel
def _backward(
    weights: Array,
    layers: NDArray[np.int64],
    values: Array,
    slopes: Array,
    deltas: Array,
    gradient: Array,
) -> None:
    """Fill the derivatives by each weight of the outputs, weighed by the last row of deltas."""
    first = weights.size
    for layer in range(layers.size - 2, -1, -1):
        inputs, outputs = layers[layer], layers[layer + 1]
        biases = first - outputs
        first = biases - inputs * outputs
        deltas[layer, :inputs] = 0.0
        for j in range(outputs):
            delta = deltas[layer + 1, j] * slopes[layer + 1, j]
            gradient[biases + j] = delta
            for i in range(inputs):
                gradient[first + j * inputs + i] = delta * values[layer, i]
                deltas[layer, i] += delta * weights[first + j * inputs + i]


@inlined
def _head(
    X: float, v: float, q: float, N0: float, N1: float, constants: tuple[float, ...]
) -> tuple[float, float, float, float]:
    """Return S and its derivatives by N0, N1 and q; the names are those of the kernel."""
    beta, eps, cr, c = constants[0], constants[1], constants[2], constants[3]
    r = 1.0 / (KNEE + abs(X))
    z = X * r
    yy = KNEE * KNEE * r * r
    L1 = yy * N1
    E = 1.0 - eps * L1
    D = z * N0 - q * E
    w = cr * L1
    m = 1.0 - beta * w
    u = v * (1.0 / 1.9) * (1.0 + eps * c * L1)
    C = u * (D * m + w)
    B = 1.0 - beta * D + u * m
    root = math.sqrt(max(B * B + 4.0 * beta * C, 0.0))
    opened = 2.0 * C / max(B + root, 1e-9)
    shut = u * w
    u_1 = v * (1.0 / 1.9) * eps * c
    if opened < shut:
        return shut, 0.0, (u_1 * w + u * cr) * yy, 0.0
    # beta S^2 + B S = C: dS (B + 2 beta S) = dC - S dB, and B + 2 beta S is the root
    by_root = 1.0 / max(root, 1e-9)
    m_1 = -beta * cr
    C_1 = u_1 * (D * m + w) + u * (q * eps * m + D * m_1 + cr)
    B_1 = -beta * q * eps + u_1 * m + u * m_1
    return (
        opened,
        by_root * (u * m + opened * beta) * z,
        by_root * (C_1 - opened * B_1) * yy,
        -by_root * (u * m + opened * beta) * E,
    )


def step_constants(tape: Coefficients) -> tuple[float, ...]:
    """Return what a step needs of the tape: beta, eps, c k/a, c, 1/a and 1/k."""
    return (
        tape.alpha * tape.M_s / ((1.0 - tape.c) * tape.k),
        tape.alpha * tape.M_s / tape.a,
        tape.c * tape.k / tape.a,
        tape.c,
        1.0 / tape.a,
        1.0 / tape.k,
    )


def normal_equations(
    weights: Array,
    layers: NDArray[np.int64],
    H: Array,
    target: Array,
    constants: tuple[float, ...],
    scale: float,
    *,
    forced: bool,
) -> tuple[Array, Array, float]:
    """Run a sequence; return J'J, J'r and r'r.

    ``r_n = scale (M_n - target_n)``, and row n of J is its derivative by the weights.

    Args:
        weights: Shape: (weights,).
        layers: numbers of inputs, units and outputs.
        H: the field, Shape: (time,).
        target: nr8's magnetisation in units of M_s, Shape: (time,).
        constants: see `step_constants`.
        scale: of the residuals.
        forced: whether the state is set to nr8's before every step.
    """
    nodes = np.zeros((3, layers.size, layers.max()))
    by_weight = np.zeros((2, weights.size))
    jacobian, residuals = np.empty((H.size, weights.size)), np.empty(H.size)
    _run(weights, layers, H, target, constants, int(forced), nodes, by_weight, jacobian, residuals)
    jacobian *= scale
    residuals *= scale
    return jacobian.T @ jacobian, residuals @ jacobian, float(residuals @ residuals)


@kernel
def _run(
    weights: Array,
    layers: NDArray[np.int64],
    H: Array,
    target: Array,
    constants: tuple[float, ...],
    forced: int,
    nodes: Array,
    by_weight: Array,
    jacobian: Array,
    residuals: Array,
) -> None:
    """Fill residuals and their derivatives, which are carried through the recursion.

    That is ``p' = p + 2 delta S``, dp'/dW = dp/dW (1 + 2 dS/dq) + 2 delta dS/dW.
    """
    values, slopes, deltas = nodes[0], nodes[1], nodes[2]
    moved, gradient = by_weight[0], by_weight[1]
    last = layers.size - 1
    p, h, H1, exact_p = 0.0, 0.0, 0.0, 0.0
    for n in range(H.size):
        h = 1.75 * (H[n] - H1) - 0.75 * h
        H1 = H[n]
        if forced:
            p = exact_p
            moved[:] = 0.0
        exact_p = 2.0 * target[n] - exact_p
        delta = 1.0 if h >= 0.0 else -1.0
        X = delta * H1 * constants[4]
        values[0, 0] = 2.0 * KNEE / (KNEE + abs(X)) - 1.0
        _forward(weights, layers, values, slopes)
        N0, N1 = values[last, 0], values[last, 1]
        S, S_0, S_1, S_q = _head(X, abs(h) * constants[5], delta * p, N0, N1, constants)
        deltas[last, 0], deltas[last, 1] = S_0, S_1
        _backward(weights, layers, values, slopes, deltas, gradient)
        p_next = delta * p + 2.0 * S
        free = abs(p_next) <= BOUND
        p_next = delta * min(max(p_next, -BOUND), BOUND)
        residuals[n] = 0.5 * (p + p_next) - target[n]
        for i in range(weights.size):
            before = moved[i]
            moved[i] = before * (1.0 + 2.0 * S_q) + 2.0 * delta * gradient[i] if free else 0.0
            jacobian[n, i] = 0.5 * (before + moved[i])
        p = p_next

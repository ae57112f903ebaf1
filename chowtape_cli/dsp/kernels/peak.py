"""What the processor can do at most: nothing but multiply-adds on numbers in its nearest cache.

Two chains side by side for each item: one alone waits for its own results.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from chowtape_cli.native import kernel

STEPS = 32
OPERATIONS = 4 * STEPS  # for each item and round


def _peak(x: NDArray[Any], rounds: int, constants: NDArray[Any]) -> None:
    """Do ``rounds`` times STEPS double steps of Horner's rule for every item, in place.

    Args:
        x: an even number of items, Shape: (items,).
        rounds: how often.
        constants: Shape: (2,).
    """
    a, b = constants[0], constants[1]
    half = x.size // 2
    for _ in range(rounds):
        for i in range(half):
            u, v = x[i], x[i + half]
            y, z = u, v
            for _step in range(STEPS):
                y = (y * u + a) * u + b
                z = (z * v + a) * v + b
            x[i], x[i + half] = y, z


double_peak, single_peak = kernel(_peak), kernel(_peak)  # a kernel is of one precision

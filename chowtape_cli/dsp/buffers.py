"""Rows of lanes in memory that vector registers load from quickly."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chowtape_cli.dsp.kernels import LANES

ALIGNMENT = 64  # bytes of a cache line; a load that straddles two costs as much as two
_ITEM = np.dtype(np.float64).itemsize


Rows = NDArray[np.float64]
Room = Callable[[int], Rows]  # gives so many rows to be filled, Shape: (n, LANES)


class RowBuffer:
    """A growing block of rows, Shape: (n, LANES), aligned and used again and again.

    What its methods return are views that hold until the next call.
    """

    def __init__(self, rows: int = 0) -> None:
        self._used = rows
        self._store = _aligned_zeros(rows)

    def room(self, rows: int) -> NDArray[np.float64]:
        """Return that many rows, with anything in them."""
        self._reserve(rows, keep=0)
        self._used = rows
        return self._store[:rows]

    def blank(self, rows: int) -> NDArray[np.float64]:
        """Return that many rows of zeros."""
        blank = self.room(rows)
        blank[:] = 0.0
        return blank

    def all(self) -> NDArray[np.float64]:
        """Return everything that is there."""
        return self._store[: self._used]

    def extend(self, rows: int) -> NDArray[np.float64]:
        """Add that many rows behind what is there and return them, with anything in them."""
        total = self._used + rows
        self._reserve(total, keep=self._used)
        added = self._store[self._used : total]
        self._used = total
        return added

    def drop(self, rows: int) -> None:
        """Forget the first rows; the others move to the front."""
        kept = self._used - rows
        if rows:
            self._store[:kept] = self._store[rows : self._used].copy()
        self._used = kept

    def _reserve(self, rows: int, keep: int) -> None:
        if rows > len(self._store):
            grown = _aligned_zeros(rows)
            grown[:keep] = self._store[:keep]
            self._store = grown


def _aligned_zeros(rows: int) -> NDArray[np.float64]:
    spare = ALIGNMENT // _ITEM
    memory = np.zeros(rows * LANES + spare)
    first = -(memory.ctypes.data // _ITEM) % spare
    return memory[first : first + rows * LANES].reshape(rows, LANES)


_lent = threading.local()


def lend(purpose: str, rows: int, channels: int) -> NDArray[np.float64]:
    """Return memory with anything in it, the same for a purpose until the thread's next call.

    Fresh memory of that size costs the system as long to hand out as a filter takes to run.
    """
    size = rows * channels
    memory: NDArray[np.float64] = getattr(_lent, purpose, np.empty(0))
    if memory.size < size:
        memory = np.empty(size)
        setattr(_lent, purpose, memory)
    return memory[:size].reshape(rows, channels)


class Arena:
    """Arrays side by side in memory that is lent; they hold until the next arena of a purpose.

    Args:
        purpose: see `lend`.
        samples: of all arrays together, at most.
    """

    def __init__(self, purpose: str, samples: int) -> None:
        self._memory = lend(purpose, samples, 1).reshape(-1)
        self._used = 0

    def array(self, rows: int, channels: int) -> NDArray[np.float64]:
        """Return an array with anything in it, Shape: (rows, channels)."""
        first, self._used = self._used, self._used + rows * channels
        return self._memory[first : self._used].reshape(rows, channels)

    def stored(self, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """Return an array of another shape and type; it takes whole samples of the memory."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        memory = self.array(samples_for(size), 1).reshape(-1).view(np.uint8)
        return memory[:size].view(kind).reshape(shape)


def samples_for(size: int) -> int:
    """Return how many samples take as much memory as so many bytes."""
    return -(-size // _ITEM)

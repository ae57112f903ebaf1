"""How every kernel is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba as nb

Function = TypeVar("Function", bound=Callable[..., Any])

# contract: a * b + c in one rounding; nsz: the sign of zero may be lost. Nothing else is relaxed:
# NaN and Inf must stay visible to the guards. The numpy error model makes x / 0 Inf, not a branch.
_FASTMATH = {"contract", "nsz"}


def kernel(function: Function) -> Function:
    """Compile a loop over arrays at its first call, and keep the machine code on disk."""
    try:
        compiled = nb.njit(error_model="numpy", fastmath=_FASTMATH, cache=True)(function)
    except RuntimeError:  # nowhere to keep it: neither this folder nor the user's can be written
        compiled = nb.njit(error_model="numpy", fastmath=_FASTMATH)(function)
    return cast("Function", compiled)


def inlined(function: Function) -> Function:
    """Compile a function of numbers into each kernel that calls it, so that it vectorises."""
    compiled = nb.njit(error_model="numpy", fastmath=_FASTMATH, forceinline=True)(function)
    return cast("Function", compiled)

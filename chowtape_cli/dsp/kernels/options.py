"""How every kernel is compiled."""

from __future__ import annotations

# contract: a * b + c in one rounding; nsz: the sign of zero may be lost. Nothing else is relaxed:
# NaN and Inf must stay visible to the guards. The numpy error model makes x / 0 Inf, not a branch.
KERNEL = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "cache": True}
# a function that only ever runs inside a kernel's lane loop, which vectorises once it is inlined
INLINED = {"error_model": "numpy", "fastmath": {"contract", "nsz"}, "forceinline": True}

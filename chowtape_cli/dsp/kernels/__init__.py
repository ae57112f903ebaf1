"""Compiled inner loops over `[time, lane]`; they only compute into the buffers they are given.

A lane is one channel of one segment. The number of lanes is a constant, so that the compiler can
keep them side by side in vector registers.
"""

LANES = 32

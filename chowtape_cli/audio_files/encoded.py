"""Audio as bytes in memory, for what carries it in a file of another kind."""

from __future__ import annotations

import io

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from chowtape_cli.dsp.coding import Coding, code

_BITS = 24


def as_flac(samples: NDArray[np.float64], rate: int) -> bytes:
    """Return samples as a FLAC file of 24 bits.

    Args:
        samples: Shape: (frames, up to 8 channels), at least one frame; what is over full scale
            is clipped.
        rate: sample rate in Hz.
    """
    integers = code(np.ascontiguousarray(samples), Coding(_BITS), 0).samples
    memory = io.BytesIO()
    sf.write(memory, integers, rate, format="FLAC", subtype=f"PCM_{_BITS}")
    return memory.getvalue()

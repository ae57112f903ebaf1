"""What the signal path of a render is made of, and its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.coding import Coded, Coding, code
from chowtape_cli.dsp.jiles_atherton import makeup_gain
from chowtape_cli.dsp.network import PluginNetwork, TapeNetwork

Samples = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SignalPath:
    """The signal path's settings.

    Attributes:
        mode: the solver of the hysteresis.
        drive, saturation, bias: the tape, each 0 to 1.
        oversampling: 1, 2, 4 ... 64.
        phase: of the oversampling filters, ``linear`` or ``minimum``.
        input_gain, output_gain: linear.
        wet: share of the tape in the output, 0 to 1.
        makeup: whether the makeup gain is applied.
        dc_block: corner in Hz, 0 for none.
        trim: linear gain after the mix.
        network: for mode ``stn``, the network of this setting.
    """

    mode: str
    drive: float
    saturation: float
    bias: float
    oversampling: int
    phase: str
    input_gain: float
    output_gain: float
    wet: float
    makeup: bool
    dc_block: float
    trim: float = 1.0
    network: TapeNetwork | PluginNetwork | None = None


def finish(
    path: SignalPath, coding: Coding, wet: Samples, dry: Samples | None, position: int
) -> Coded:
    """Return the output: gains and mix, and how it is stored; arguments as in `coding.code`.

    ``dry`` may be None where nothing of it is mixed in.
    """
    # the tape is the last that is not linear, so makeup and output gain can wait until here
    makeup = makeup_gain(path.saturation, path.bias) if path.makeup else 1.0
    gain = makeup * path.output_gain * path.wet * path.trim
    if path.wet == 1.0:
        return code(wet, coding, position, gain=gain)
    return code(wet, coding, position, gain=gain, dry=dry, share=(1.0 - path.wet) * path.trim)

"""What the signal path of a render is made of."""

from __future__ import annotations

from dataclasses import dataclass

from chowtape_cli.dsp.network import PluginNetwork, TapeNetwork


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

"""The tape itself: one solver of the Jiles-Atherton equation as a stage of the signal path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.network import PluginNetwork, TapeNetwork, TapeStepper

# the plugin's limit of the input of each solver, in full scales
GUARD = {"rk2": 8.0, "rk4": 10.0, "nr4": 12.5, "nr8": 12.5, "stn": 20.0}
NEWTON_STEPS = {"nr4": 4, "nr8": 8}


class Hysteresis:
    """Turns field into magnetisation; the sample rate does not matter to it.

    ``h_n = 1.75 (H_n - H_{n-1}) - 0.75 h_{n-1}`` is the sample period times the plugin's derivative
    of the field (the alpha transform, alpha = 0.75); all state starts at 0. Only ChowTape's own
    networks know a rate: the one they were trained at.

    Args:
        mode: ``rk2``, ``rk4``, ``nr4``, ``nr8`` or ``stn``.
        tape: the coefficients.
        network: for mode ``stn``, the network of this setting.
        rate: sample rate of the field in Hz, for ChowTape's own networks.
        lanes: how many of the lanes are used.
    """

    def __init__(
        self,
        mode: str,
        tape: Coefficients,
        network: TapeNetwork | PluginNetwork | None = None,
        *,
        rate: float = 1.0,
        lanes: int = LANES,
    ) -> None:
        self._mode = mode
        self._tape = tape
        self._network = network
        self._rate = float(rate)
        self._lanes = lanes
        self._state = np.zeros((3, LANES))
        self._resets = np.zeros(LANES)
        self._out = RowBuffer()
        if isinstance(network, TapeNetwork):
            self._stepper = TapeStepper(network, tape)

    @property
    def resets(self) -> int:
        """How often |M| passed 20 or was NaN, and M and h were set to 0, so far."""
        return int(self._resets.sum())

    def push(self, H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take the field, Shape: (time, LANES); return the magnetisation until the next call."""
        M = self._out.blank(len(H))
        # each solver is loaded, and compiled, when it is used
        if self._mode in NEWTON_STEPS:
            from chowtape_cli.dsp.kernels.newton import newton

            newton(H, M, self._state, self._resets, NEWTON_STEPS[self._mode], self._tape)
        elif self._mode in ("rk2", "rk4"):
            from chowtape_cli.dsp.kernels.runge_kutta import rk2, rk4

            solver = rk2 if self._mode == "rk2" else rk4
            solver(H, M, self._state, self._resets, self._tape)
        elif isinstance(self._network, PluginNetwork):
            self._push_plugin(H, M, self._network)
        else:
            self._stepper.push(H, M)
        return M

    def _push_plugin(
        self, H: NDArray[np.float64], M: NDArray[np.float64], network: PluginNetwork
    ) -> None:
        from chowtape_cli.dsp.kernels.plugin_network import plugin_network

        layers = np.array(network.layers)
        plugin_network(
            H, M, self._state, self._resets, self._lanes, layers, network.weights,
            self._tape.a, self._rate,
        )  # fmt: skip

    def finish(self) -> NDArray[np.float64]:
        """Return no rows: this stage holds nothing back."""
        return np.zeros((0, LANES))

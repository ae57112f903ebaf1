"""The tape itself: one solver of the Jiles-Atherton equation as a stage of the signal path."""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.buffers import Room, RowBuffer
from chowtape_cli.dsp.jiles_atherton import Coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.network import (
    BOUND,
    BOUND_CALM,
    BOUND_FROM,
    BOUND_SLOPE,
    PluginNetwork,
    TapeNetwork,
)

# the plugin's limit of the input of each solver, in full scales
GUARD = {"rk2": 8.0, "rk4": 10.0, "nr4": 12.5, "nr8": 12.5, "stn": 20.0}
NEWTON_STEPS = {"nr4": 4, "nr8": 8}
# Where nothing is forgotten, what seams leave adds up: far below the 1e-9 that matter.
SEAM_TOLERANCE = 1e-12
# The peak below which our networks' bound is as wide as it gets; what is below stays so until a
# higher one comes.
_CALM_BELOW = BOUND_FROM - (BOUND_CALM - BOUND) / BOUND_SLOPE


class Mark(NamedTuple):
    """What was noted before a marked row.

    Attributes:
        state: Shape: (rows, LANES); see `Hysteresis.effect`.
        resets: of each lane so far, Shape: (LANES,).
    """

    state: NDArray[np.float64]
    resets: NDArray[np.float64]


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

    Attributes:
        marked: the marks that have been passed, by their row.
        trail: the same after every block of rows, by the row that follows.
        row: how many have been pushed.
        resets: how often each lane was set back, Shape: (LANES,).
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
        self.resets = np.zeros(LANES)
        self._field = RowBuffer()
        self._out = RowBuffer()
        self._scratch = RowBuffer()
        self.row = 0
        self._wanted: list[int] = []
        self._entries: dict[int, list[tuple[int, NDArray[np.float64]]]] = {}
        self.marked: dict[int, Mark] = {}
        self.trail: dict[int, Mark] = {}
        self._rest_until = 0
        self._resting: list[int] = []
        if isinstance(network, TapeNetwork):
            from chowtape_cli.dsp.stepper import TapeStepper

            self._stepper = TapeStepper(network, tape)

    def mark(self, row: int) -> None:
        """Ask for the state before a row, counted from the first row that is ever pushed."""
        bisect.insort(self._wanted, row)

    def enter(self, row: int, lane: int, state: NDArray[np.float64]) -> None:
        """Set the state of a lane before a marked row, after what was there has been noted."""
        self._entries.setdefault(row, []).append((lane, state))

    def rest(self, until: int, lanes: list[int]) -> None:
        """Keep lanes at rest until a row: their recording begins there, whatever comes before.

        To a solver silence is rest; ChowTape's networks drift in it.
        """
        self.mark(until)
        self._rest_until, self._resting = until, lanes
        for lane in lanes:
            self.enter(until, lane, np.zeros(len(self._get_state())))

    def push(self, H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take the field, Shape: (time, LANES); return the magnetisation until the next call."""
        return self._magnetise(H, self._out.room)

    def room(self, rows: int) -> NDArray[np.float64]:
        """Return rows for the field that comes next, to be filled."""
        return self._field.room(rows)

    def pass_on(self, room: Room) -> NDArray[np.float64]:
        """Fill and return as many rows with the magnetisation."""
        return self._magnetise(self._field.all(), room)

    def _magnetise(self, H: NDArray[np.float64], room: Room) -> NDArray[np.float64]:
        M = room(len(H))
        if isinstance(self._network, PluginNetwork):
            M[:] = 0.0  # these leave the lanes that are not used as they are
        first = 0
        while self._wanted and self._wanted[0] - self.row <= len(H):
            row = self._wanted.pop(0)
            at = row - self.row
            self._solve(H[first:at], M[first:at])
            self.marked[row] = Mark(self._get_state(), self.resets.copy())
            for lane, state in self._entries.get(row, ()):
                self._set_state(lane, state)
            first = at
        self._solve(H[first:], M[first:])
        M[: max(0, self._rest_until - self.row), self._resting] = 0.0
        self.row += len(H)
        self.trail[self.row] = Mark(self._get_state(), self.resets.copy())
        return M

    def _solve(self, H: NDArray[np.float64], M: NDArray[np.float64]) -> None:
        # each solver is loaded, and compiled, when it is used
        if self._mode in NEWTON_STEPS:
            from chowtape_cli.dsp.kernels.newton import SCRATCH_ROWS, newton

            scratch = self._scratch.room(SCRATCH_ROWS)
            steps = NEWTON_STEPS[self._mode]
            newton(H, M, self._state, self.resets, scratch, steps, self._tape)
        elif self._mode in ("rk2", "rk4"):
            from chowtape_cli.dsp.kernels.runge_kutta import SCRATCH_ROWS, rk2, rk4

            solver = rk2 if self._mode == "rk2" else rk4
            solver(H, M, self._state, self.resets, self._scratch.room(SCRATCH_ROWS), self._tape)
        elif isinstance(self._network, PluginNetwork):
            self._push_plugin(H, M, self._network)
        else:
            self._stepper.push(H, M)

    def _push_plugin(
        self, H: NDArray[np.float64], M: NDArray[np.float64], network: PluginNetwork
    ) -> None:
        from chowtape_cli.dsp.kernels.plugin_network import plugin_network

        layers = np.array(network.layers)
        scratch = np.empty((2, max(network.layers)))
        plugin_network(
            H, M, self._state, self.resets, scratch, self._lanes, layers, network.weights,
            self._tape.a, self._rate,
        )  # fmt: skip

    def newest(self) -> Mark:
        """Return what was noted last of all."""
        return self.trail[self.row]

    def _get_state(self) -> NDArray[np.float64]:
        if isinstance(self._network, TapeNetwork):
            return self._stepper.state()
        return self._state.copy()

    def _set_state(self, lane: int, state: NDArray[np.float64]) -> None:
        if isinstance(self._network, TapeNetwork):
            self._stepper.enter(lane, state)
        else:
            self._state[:, lane] = state

    @staticmethod
    def keeps_still(network: TapeNetwork | PluginNetwork | None) -> bool:
        """Say whether the tape keeps its state in silence; ChowTape's networks drift."""
        return not isinstance(network, PluginNetwork)

    @staticmethod
    def state_rows(network: TapeNetwork | PluginNetwork | None) -> int:
        """Return how many numbers the state of a lane is."""
        return 4 if isinstance(network, TapeNetwork) else 3

    @staticmethod
    def effect(state: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return of a state what the output depends on, to compare it with another.

        That is the state itself (H, h and p or M), but that our networks' peak follower changes
        nothing as long as it is low.
        """
        if len(state) == 3:
            return state
        return np.concatenate((state[:2], np.maximum(state[2:3], _CALM_BELOW), state[3:]))


def states_differ(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Say whether two states of the tape lead to different output."""
    difference = np.abs(Hysteresis.effect(one) - Hysteresis.effect(other))
    return not bool((difference <= SEAM_TOLERANCE).all())

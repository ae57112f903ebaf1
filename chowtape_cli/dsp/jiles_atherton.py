"""The settings of the tape as coefficients of the Jiles-Atherton model.

The mapping and its constants are those of the ChowTape plugin 2.11.4; the model is D. C. Jiles and
D. L. Atherton, "Theory of ferromagnetic hysteresis", J. Magn. Magn. Mater. 61, 1986, in the form of
J. Chowdhury, "Real-time physical modelling for analog tape machines", DAFx 2019:

    Q = (H + alpha M) / a,   L(x) = coth x - 1/x,   D = M_s L(Q) - M
    delta = sign(dH/dt),     gate = 1 if sign(D) == delta else 0
    dM/dH = ( gate (1-c) D / ((1-c) delta k - alpha D)  +  c (M_s/a) L'(Q) )
            / ( 1 - alpha c (M_s/a) L'(Q) )
"""

from __future__ import annotations

import math
from typing import NamedTuple

COERCIVITY = 0.47875
MEAN_FIELD_COUPLING = 1.6e-3


class Coefficients(NamedTuple):
    """Coefficients of the Jiles-Atherton equation, in the plugin's arbitrary units.

    Attributes:
        M_s: saturation magnetisation, 0.5 to 2.
        a: shape of the anhysteretic curve, the field at which it bends.
        c: reversibility, the share of the magnetisation that follows the field at once.
        k: coercivity, the width of the loop.
        alpha: mean-field coupling of the domains.
    """

    M_s: float
    a: float
    c: float
    k: float
    alpha: float


def coefficients(drive: float, saturation: float, bias: float) -> Coefficients:
    """Return the coefficients of a setting of the tape; each knob is in [0, 1]."""
    M_s = 0.5 + 1.5 * (1.0 - saturation)
    return Coefficients(
        M_s=M_s,
        a=M_s / (0.01 + 6.0 * drive),
        c=math.sqrt(bias) - 0.01,
        k=COERCIVITY,
        alpha=MEAN_FIELD_COUPLING,
    )


def makeup_gain(saturation: float, bias: float) -> float:
    """Return the linear gain that gives back the level which saturation and bias take."""
    return (1.0 + 0.6 * (1.0 - bias)) / (0.5 + 1.5 * (1.0 - saturation))

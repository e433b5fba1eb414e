"""InfoNCE as distributionally robust optimisation over an anchor's negatives.

Run as ``python -m theory.dro``. With f the similarities of the negatives, Q0 their distribution and τ the
temperature,

    sup {E_Q f : KL(Q‖Q0) <= η} = min_(τ>0) τη + τ·log E_Q0 e^(f/τ),

so the temperature of InfoNCE is the multiplier of a robust radius η. One τ for all anchors is one ball for the mean
divergence (``joint``); other divergences make other losses (``divergences``); and ADNCE is InfoNCE with a temperature
that depends on the cosine (``weighting``). Everything is computed relative to max f, so no exponential overflows.
"""

from theory.dro.chi2 import chi2_worst_case
from theory.dro.divergences import (
    DIVERGENCES,
    Divergence,
    phi_divergence,
    phi_soft_maximum,
    phi_soft_maximum_expansion,
    phi_worst_case,
)
from theory.dro.expansions import (
    Expansion,
    TemperatureAccuracy,
    soft_maximum_expansion,
    temperature_accuracy,
    temperature_expansion,
)
from theory.dro.information import MutualInformation, gaussian_infonce
from theory.dro.joint import JointWorstCase, joint_radius, joint_temperature, joint_worst_case
from theory.dro.kl import (
    WithPositive,
    kl_worst_case,
    radius_limit,
    radius_with_positive,
    robust_radius,
    robust_temperature,
    soft_maximum,
    tilted,
)
from theory.dro.reference import WorstCase
from theory.dro.variational import (
    ScaledVariational,
    Variational,
    scaled_variational_estimate,
    variational_estimate,
)
from theory.dro.weighting import (
    NegativeDistribution,
    adnce,
    adnce_peak,
    equal_radius_temperature,
    local_temperature,
)

__all__ = [
    "DIVERGENCES",
    "Divergence",
    "Expansion",
    "JointWorstCase",
    "MutualInformation",
    "NegativeDistribution",
    "ScaledVariational",
    "TemperatureAccuracy",
    "Variational",
    "WithPositive",
    "WorstCase",
    "adnce",
    "adnce_peak",
    "chi2_worst_case",
    "equal_radius_temperature",
    "gaussian_infonce",
    "joint_radius",
    "joint_temperature",
    "joint_worst_case",
    "kl_worst_case",
    "local_temperature",
    "phi_divergence",
    "phi_soft_maximum",
    "phi_soft_maximum_expansion",
    "phi_worst_case",
    "radius_limit",
    "radius_with_positive",
    "robust_radius",
    "robust_temperature",
    "scaled_variational_estimate",
    "soft_maximum",
    "soft_maximum_expansion",
    "temperature_accuracy",
    "temperature_expansion",
    "tilted",
    "variational_estimate",
]

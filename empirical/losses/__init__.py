"""Contrastive losses with a per-pair margin, temperature or removal, in log space.

Cosines (``pairs``) become ``logits``, where a remedy changes the flagged pairs; a loss is a function of the logits.
``Objective`` is one of them with its parameters, ``ContrastiveLoss`` a module for a loop of one's own.
"""

from __future__ import annotations

from empirical.choices import LOSSES
from empirical.losses.adnce import adnce, adnce_graph, adnce_sentence, equal_radius_temperature
from empirical.losses.logits import NO_REMEDY, diagnostics, pair_logits
from empirical.losses.mixing import Mixture, draw_mixture, mixed_negatives, with_mixed
from empirical.losses.module import ContrastiveLoss
from empirical.losses.nce import debiased, hard_negative, info_nce
from empirical.losses.objective import Objective
from empirical.losses.own import own_loss
from empirical.losses.pairs import (
    PairCosines,
    cosine_similarities,
    opposite_pairs,
    queue_pairs,
    two_view_pairs,
    unit_rows,
)
from empirical.losses.spectral import spectral

__all__ = [
    "LOSSES",
    "NO_REMEDY",
    "ContrastiveLoss",
    "Mixture",
    "Objective",
    "PairCosines",
    "adnce",
    "adnce_graph",
    "adnce_sentence",
    "cosine_similarities",
    "debiased",
    "diagnostics",
    "draw_mixture",
    "equal_radius_temperature",
    "hard_negative",
    "info_nce",
    "mixed_negatives",
    "opposite_pairs",
    "own_loss",
    "pair_logits",
    "queue_pairs",
    "spectral",
    "two_view_pairs",
    "unit_rows",
    "with_mixed",
]

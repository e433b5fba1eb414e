"""What runs and measurements can be made of: names, ranges and defaults, known before torch is imported."""

from __future__ import annotations

from theory.checks import Range
from theory.code import OpenNames

LOSSES = (
    "nt_xent",
    "debiased",
    "hcl",
    "adnce",
    "adnce_sentence",
    "adnce_graph",
    "equal_radius",
    "mochi",
    "spectral",
    "spectral_opposite",
)
LOSS_NAMES = OpenNames((*LOSSES, "MODULE:FUNCTION"))
SPECTRAL = ("spectral", "spectral_opposite")
OPPOSITE = ("adnce_sentence", "adnce_graph", "spectral_opposite")  # compare first views with second ones alone
ENCODERS = ("convnet", "resnet10", "resnet18", "resnet50", "vit", "adapter")
LIBRARIES = ("timm", "torchvision")  # whose networks are encoders too, LIBRARY:NAME
PROTOCOLS = ("lbfgs", "lbfgs-c1", "sgd", "both", "paper", "adnce")  # of the linear probe
SCORES = ("doubt", "gap", "contrast", "flags", "sas")  # what makes a sample difficult, see docs/selection.md
BEST, BEST_UNLABELLED = "doubt", "contrast"  # with labels and without, by what people find ambiguous
NEED_LABELS = ("doubt", "gap")
SHARE = 0.08  # of each class that counts as difficult (Zhang et al., ICLR 2026)
FEWEST_ROWS = 20  # that are measured; fewer leave the bootstrap without pairs
ROUNDS = 10  # random partitions into batches in which pairs are flagged

POSITIVE, NOT_NEGATIVE = Range(0, above=True), Range(0)
FRACTION = Range(0, 1)
COUNT = Range(1, whole=True)
OBJECTIVE = {  # of a loss's parameters
    "tau": Range(1e-6),  # below, logits and their gradients leave float32
    "prior": Range(0, 1, below=True),
    "concentration": NOT_NEGATIVE,
    "adnce_mu": Range(),
    "adnce_sigma": Range(1e-6),  # below, a Gaussian's exponent leaves float32
    "mochi_share": Range(0, 0.5, above=True),
}
VIEWS = {"smallest_crop": Range(0, 1, above=True), "jitter": NOT_NEGATIVE, "grey": FRACTION, "blur": FRACTION}


def of_library(encoder: str) -> bool:
    """Whether an encoder is one of a library, ``timm:NAME`` or ``torchvision:NAME``."""
    library, colon, _ = encoder.partition(":")
    return bool(colon) and library in LIBRARIES


def is_code(encoder: str) -> bool:
    """Whether an encoder is one of a user's own, ``MODULE:FACTORY``, which is imported and called."""
    return ":" in encoder and not of_library(encoder)

"""The protocol in code: what is trained, on which data, with which seeds. docs/protocol.md gives the reasons."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from empirical.arms import NOTHING_GIVEN, Given
from empirical.paper import STATED

MARGIN = 0.002  # equivalence margin, in accuracy: .2 points
LEVEL = 0.05
LEAST_ORACLE = 0.005  # what leaving out the negatives of the anchor's own class must bring, or the instrument is broken
TUNING_SEEDS = range(10)
CHUNK = 10  # seeds of one task
PRIMARY_SEEDS, SEEDS, MORE_SEEDS = range(10, 50), range(10, 20), range(10, 30)  # more where there are fewer sets
OWN = "own"  # C of a probe that is chosen for it alone
REMOVED = 0.2  # share of the images that removal arms leave out

# --- data ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """How the images of a data set are used.

    Parameters
    ----------
    train : int
        Images of a training set.
    sets : int
        Disjoint training sets.
    extra : int
        Training images that are in no set and are evaluated beside the test images.
    """

    train: int
    sets: int = 1
    extra: int = 0


SPLITS = {"cifar10": Split(5_000, 7, 5_000), "cifar100": Split(10_000), "trashnet": Split(2_020)}


@dataclass(frozen=True)
class Bench:
    """Cached views that a frozen encoder made of a data set.

    Parameters
    ----------
    data : str
        A key of ``SPLITS``.
    stated : str
        The data set whose constants the paper's arms take, a key of ``empirical.paper.STATED``.
    omega, imbalance : float
        Share of mixed training images; largest over smallest class.
    sets : int or None
        Training sets, the split's first ones; by default all of them.
    """

    data: str
    stated: str = "cifar10"
    omega: float = 0.0
    imbalance: float = 1.0
    sets: int | None = None

    @property
    def split(self) -> Split:
        """How the data are used."""
        return SPLITS[self.data]

    @property
    def tau(self) -> float:
        """The paper's temperature."""
        return STATED[self.stated].tau


BENCHES = {
    "cifar10": Bench("cifar10"),
    **{f"cifar10-mixed{w}": Bench("cifar10", omega=w / 100, sets=3) for w in (10, 20, 30)},
    "cifar10-tail": Bench("cifar10", imbalance=50),
    "cifar100": Bench("cifar100", "cifar100"),
    "trashnet": Bench("trashnet"),
}

# --- what is trained -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What is trained on a bench.

    Parameters
    ----------
    arm : str
        A key of ``empirical.arms.ARMS``.
    tau : {"stated", "best"} or float
        The paper's temperature, the one chosen on the tuning seeds, or a given one.
    sizes : {"stated", "derived", "tuned"}
        Whence σ and ρ: the paper's constants, the plan of a run's own profile, or the choice on the tuning seeds.
    given : Given
        Values in place of these.
    settings : mapping
        Other fields of ``Settings``.
    drop : str or None
        Which images are left out: ``hardest``, ``easiest``, ``random``, ``sas0``, ``sas1``, ``sas2`` or ``mixed``.
    c : float, "own" or None
        Of the probe, in place of the bench's; "own" is chosen anew for every run, on its training rows.
    frozen : bool
        Nothing is trained: the cached features themselves, or with ``untrained`` the adapter as it begins.
    """

    arm: str = "baseline"
    tau: str | float = "stated"
    sizes: str = "stated"
    given: Given = NOTHING_GIVEN
    settings: Mapping[str, Any] = field(default_factory=dict)
    drop: str | None = None
    c: float | str | None = None
    frozen: bool = False
    untrained: bool = False


PAPER_ARMS = ("paper_margin", "paper_temperature", "paper_combined", "paper_removal")
RIVALS = ("debiased", "hcl", "mochi", "glofnd", "adnce", "equal_radius")
SAS = ("sas0", "sas1", "sas2")
MIXED = ("cifar10-mixed10", "cifar10-mixed20", "cifar10-mixed30")
# The values of the paper's curves on CIFAR-100 (P, Table 9, Figures 5 and 4), the stated ones among them.
RHOS = (0.7, 1.0, 10.0, 100.0, 1000.0, 1e9)
FIGURE_5_SIGMA, FIGURE_5_RHO = (0.0, 0.05, 0.1, 0.15, 0.2), (1.0, 0.9, 0.8, 0.7, 0.6)
FIGURE_4_HIGH, FIGURE_4_LOW = (0.013, 0.025, 0.0375, 0.05), (0.13, 0.25, 0.38, 0.5, 0.63)

_COMMON = {
    "baseline": Entry(),
    "oracle": Entry("oracle"),
    **{arm: Entry(arm) for arm in PAPER_ARMS},
    "paper_combined_random": Entry("paper_combined_random"),
    "best_tau": Entry(tau="best"),
    "paper_combined-best_tau": Entry("paper_combined", tau="best"),
    "frozen": Entry(frozen=True),
    "untrained": Entry(untrained=True),
}
_PRIMARY = {
    **{name: entry for name, entry in _COMMON.items() if not entry.frozen and not entry.untrained},
    "hardest_removed": Entry(drop="hardest"),
    "random_removed": Entry(drop="random"),
}
_GIVEN = Given("paper", STATED["cifar10"].sigma, STATED["cifar10"].rho, stated="cifar10")
_OURS = {  # our arms, which leave positives alone, at the paper's constants
    f"{arm}-stated": Entry(arm, given=_GIVEN) for arm in ("margin", "temperature", "combined")
}
_TABLES = {
    **{f"{arm}_all": Entry(f"{arm}_all") for arm in ("paper_margin", "paper_temperature")},
    **{f"{arm}_random": Entry(f"{arm}_random") for arm in ("paper_margin", "paper_temperature", "paper_removal")},
    "paper_combined_projector": Entry("paper_combined_projector"),
    "paper_combined-row": Entry("paper_combined", given=Given(ranking="row")),
    **_OURS,
    "oracle-best_tau": Entry("oracle", tau="best"),
    "moco": Entry(settings={"framework": "moco", "queue": 1024}),
    "moco-paper_combined": Entry("paper_combined", settings={"framework": "moco", "queue": 1024}),
    "easiest_removed": Entry(drop="easiest"),
    **{f"{name}_removed": Entry(drop=name) for name in SAS},
    "frozen": Entry(frozen=True),
    "untrained": Entry(untrained=True),
}
_RIVALS = {
    **{arm: Entry(arm) for arm in RIVALS},
    **{f"{arm}-best_tau": Entry(arm, tau="best") for arm in RIVALS},
}
_SIZES = {
    # The plans have no temperature here: β̂ <= 0 after the projector.
    "margin-derived": Entry("margin", sizes="derived"),
    **{f"{arm}-tuned": Entry(arm, sizes="tuned") for arm in ("margin", "temperature", "combined")},
}
_SCANNED = STATED["cifar100"]


def scanned(arm: str, constant: str, values: Sequence[float]) -> tuple[str, ...]:
    """Names of an arm's entries with these values of a constant; with the stated one it is the arm itself."""
    return tuple(arm if value == getattr(_SCANNED, constant) else f"{arm}-{constant}{value:g}" for value in values)


def _scan(arm: str, constant: str, values: Sequence[float]) -> dict[str, Entry]:
    found = zip(scanned(arm, constant, values), values, strict=True)
    return {name: Entry(arm, given=_with(constant, value)) for name, value in found if name != arm}


def _with(constant: str, value: float) -> Given:
    if constant == "sigma":
        return Given(sigma=value)
    if constant == "rho":
        return Given(rho=value)
    band = {"pos_high": _SCANNED.pos_high, "pos_low": _SCANNED.pos_low, constant: value}
    return Given(f"{band['pos_high']:g},{band['pos_low']:g}")


_SCANS = {
    **_scan("paper_temperature", "rho", RHOS),
    **_scan("paper_combined", "sigma", FIGURE_5_SIGMA),
    **_scan("paper_combined", "rho", FIGURE_5_RHO),
    **_scan("paper_combined", "pos_high", FIGURE_4_HIGH),
    **_scan("paper_combined", "pos_low", FIGURE_4_LOW),
    "paper_combined_projector": Entry("paper_combined_projector"),
}
_MIXED = {
    **{name: _COMMON[name] for name in ("baseline", "paper_margin", "paper_temperature", "paper_combined", "best_tau")},
    "mixed_removed": Entry(drop="mixed"),
    "random_removed": Entry(drop="random"),
}

_AFTER = {  # thought of after the primary claims had been seen
    "paper_combined_known": Entry("paper_combined_known"),
    "paper_combined_random-best_tau": Entry("paper_combined_random", tau="best"),
    "combined_random-stated": Entry("combined_random", given=_GIVEN),
}
_ASKED = ("baseline", "oracle", "paper_combined", "paper_combined_random", "best_tau")
_OTHERWISE: dict[str, dict[str, Any]] = {  # other settings of the instrument, and what they replace
    "long": {"settings": {"epochs": 25}},
    "slow": {"settings": {"lr": 2.5e-3}},
    "fast": {"settings": {"lr": 1e-2}},
    "c0.03": {"c": 0.03},
    "c0.3": {"c": 0.3},
    "own_c": {"c": OWN},
}
_ROBUSTNESS = {
    f"{name}-{how}": replace(({**_COMMON, **_AFTER})[name], **changed)
    for how, changed in _OTHERWISE.items()
    for name in (*_ASKED, *(("paper_combined_known",) if "c" in changed else ()))
}


@dataclass(frozen=True)
class Part:
    """Entries that are trained together.

    Parameters
    ----------
    question : str
    bench : str
        A key of ``BENCHES``.
    entries : mapping of str to Entry
    seeds : range
    sets : int or None
        Training sets, the bench's first ones; by default all of them.
    """

    question: str
    bench: str
    entries: Mapping[str, Entry]
    seeds: range = SEEDS
    sets: int | None = None


PARTS = {
    "primary": Part("do the paper's remedies help, and is it their selection?", "cifar10", _PRIMARY, PRIMARY_SEEDS),
    "tables": Part("the paper's other tables, and removal of images", "cifar10", _TABLES),
    "rivals": Part("other losses at the stated and at the best temperature", "cifar10", _RIVALS),
    "sizes": Part("derived against tuned σ and ρ", "cifar10", _SIZES),
    "after": Part("questions that the primary claims raised", "cifar10", _AFTER),
    "robustness": Part("other steps, rates and C", "cifar10", _ROBUSTNESS, SEEDS, 3),
    **{name.partition("-")[2]: Part("mixed images as difficult examples", name, _MIXED, MORE_SEEDS) for name in MIXED},
    "tail": Part("a long tail", "cifar10-tail", _COMMON),
    "cifar100": Part("100 classes, the paper's wide band", "cifar100", {**_COMMON, **_SCANS}, MORE_SEEDS),
    "trashnet": Part("photographs of materials that look alike", "trashnet", _COMMON, MORE_SEEDS),
}

SCRATCH_SEEDS = range(8)
SCRATCH = {  # instrument B; "best" is the preset's own temperature
    **{name: _COMMON[name] for name in ("baseline", "oracle", "paper_temperature", "paper_combined")},
    **{name: _COMMON[name] for name in ("paper_combined_random", "best_tau", "paper_combined-best_tau")},
    "hardest_removed": Entry(drop="hardest"),
    "random_removed": Entry(drop="random"),
    "mixed20": Entry(settings={"omega": 0.2}),
    "mixed20-removed": Entry(settings={"omega": 0.2}, drop="mixed"),
}


class Planned(NamedTuple):
    """What is to be run of an entry: the most seeds and training sets that a part gives it."""

    entry: Entry
    seeds: range
    sets: int


@cache
def planned() -> dict[str, Planned]:
    """The plan of every ``BENCH/ENTRY``, instrument B's too."""
    found = {f"scratch/{name}": Planned(entry, SCRATCH_SEEDS, 1) for name, entry in SCRATCH.items()}
    for part in PARTS.values():
        bench = BENCHES[part.bench]
        sets = part.sets or bench.sets or bench.split.sets
        for name, entry in part.entries.items():
            key = f"{part.bench}/{name}"
            before = found.get(key, Planned(entry, part.seeds, sets))
            found[key] = Planned(entry, max(before.seeds, part.seeds, key=len), max(before.sets, sets))
    return found


# --- claims ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """A statement that one entry is more accurate than another.

    Parameters
    ----------
    text : str
    larger, smaller : str
        ``BENCH/ENTRY``.
    where : str
        Who says so; empty for a control of ours.
    published : float or None
        The difference there, in points.
    """

    text: str
    larger: str
    smaller: str
    where: str = ""
    published: float | None = None


@cache
def families() -> dict[str, tuple[Claim, ...]]:
    """The claims that are judged together, ``primary`` first."""
    document = tomllib.loads((Path(__file__).parent / "claims.toml").read_text(encoding="utf-8"))
    return {name: tuple(Claim(**entry) for entry in entries) for name, entries in document.items()}


HURT = "negatives of the anchor's own class hurt"
CHECKS = {  # of an instrument on a bench
    bench: Claim(HURT, f"{bench}/oracle", f"{bench}/baseline")
    for bench in ("cifar10", "cifar10-tail", "cifar100", "trashnet", "scratch")
}
IDENTITY = Claim("the margin on all pairs changes nothing", "cifar10/paper_margin_all", "cifar10/baseline")  # eq. 14

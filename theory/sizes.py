"""How strong a margin and a lower temperature have to be: as the theorems prescribe, and for NT-Xent's optimum.

The margin and temperature theorems speak about the spectral loss, whose optimum is a normalised adjacency. NT-Xent's
is s = τ·log(w/(π·π′)) + c: a margin σ on a pair lowers its cosine by σ, and a temperature ρ·τ brings it to
ρ·(s + τ·log ρ), with c held fixed. So the sizes that close the gap γ̂_z − β̂_z between difficult pairs and the other
pairs of different classes follow from the projector's cosines alone. Pure numbers; ``theory.plan`` has the documents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from theory.checks import is_finite, require, require_share
from theory.command import format_number
from theory.files import check_keys
from theory.kinds import Graph, Number, PerKind, has_gamma

SPLIT = 0.5  # share of a combined correction that the margin makes
THEOREM, OPTIMUM, PERFECT = "theorem", "optimum", "perfect"
LABELS = {
    THEOREM: "theorem (spectral)",
    OPTIMUM: "optimum (NT-Xent)",
    PERFECT: "optimum (NT-Xent), perfect selector",
}


@dataclass(frozen=True)
class Sizes:
    """The strengths of the remedies; None where there is none.

    Parameters
    ----------
    margin_sigma : float or None
        σ >= 0, added to the cosine of flagged pairs, for the margin alone.
    temperature_rho : float or None
        ρ in (0, 1], the factor on the temperature of flagged pairs, for the temperature alone.
    combined_sigma, combined_rho : float or None
        Both together, for one correction of the same size.
    """

    margin_sigma: float | None = None
    temperature_rho: float | None = None
    combined_sigma: float | None = None
    combined_rho: float | None = None

    @classmethod
    def from_json(cls, where: str, document: Any) -> Sizes:
        """Check and convert."""
        check_keys(where, document, set(NAMES))
        for name, value in document.items():
            if value is None:
                continue
            place = f"{name} of {where}"
            require(is_finite(value) and value >= 0, place, value, "a number >= 0")
            if name.endswith("rho"):
                require(0 < value <= 1, place, value, f"0 < {name} <= 1")
        return cls(**document)


NAMES = tuple(field.name for field in fields(Sizes))
COMBINED = ("combined_sigma", "combined_rho")
NO_REMEDY = Sizes(0.0, 1.0, 0.0, 1.0)
UNKNOWN_TAU = "the temperature of the loss is not known (--tau)"
Reasons = dict[str, str]  # why an entry of ``Sizes`` is None, by its name


@dataclass(frozen=True)
class Selector:
    """What the pair selector flags in random batches, measured where classes are known.

    Parameters
    ----------
    precision : float
        Share of the flagged pairs that are difficult; the rest are other pairs of different classes, and of one class.
    recall : float
        q, share of the difficult pairs that are flagged.
    false_alarms : float
        f, share of the other pairs of different classes that are flagged.
    difficult_cosine, reference_cosine : float
        Mean cosine, in the space that the loss sees, of the flagged difficult pairs and of the flagged others;
        0 where there are none.
    """

    precision: float
    recall: float
    false_alarms: float
    difficult_cosine: float
    reference_cosine: float

    @classmethod
    def from_json(cls, where: str, document: Any) -> Selector:
        """Check and convert."""
        check_keys(where, document, {field.name for field in fields(cls)})
        for name in ("precision", "recall", "false_alarms"):
            require_share(f"{where}.{name}", document[name])
        for name in ("difficult_cosine", "reference_cosine"):
            value = document[name]
            require(is_finite(value) and -1 <= value <= 1, f"{where}.{name}", value, "a cosine in [-1, 1]")
        return cls(**document)


def size_lines(sizes: Mapping[str, Mapping[str, float | None]], form: str = ".4g") -> list[str]:
    """A table in plain text, one line a source of ``LABELS``: σ and ρ alone, and σ and ρ together."""
    columns = ("margin σ", "temperature ρ", "both: σ", "both: ρ")
    lines = [f"{'':<38}" + "".join(f"{column:>15}" for column in columns)]
    for source, label in LABELS.items():
        cells = "".join(f"{format_number(sizes[source][name], form):>15}" for name in NAMES)
        lines.append(f"{label:<38}{cells}")
    return lines


# --- theorems --------------------------------------------------------------------------------------


def joint(sigma: Number, rho: Number, split: float) -> tuple[Number, Number]:
    """Margin and temperature for one correction together, from those that make all of it alone.

    On difficult pairs ρ·γ − σ = γ − σ* = ρ*·γ, in units of the weights (``theory.mitigation``: T∘Ā − M̄): every
    (split·σ*, 1 − (1 − split)(1 − ρ*)) satisfies it.

    Parameters
    ----------
    sigma, rho : float or Fraction
        σ*, ρ* of theorems 4.3 and 4.5.
    split : float
        Share of the correction that the margin makes, 0 <= split <= 1.
    """
    return split * sigma, 1 - (1 - split) * (1 - rho)


# --- NT-Xent's optimum -----------------------------------------------------------------------------


class Cosines(NamedTuple):
    """Mean cosines in the space that the loss sees.

    Parameters
    ----------
    difficult, reference : float
        γ̂_z of difficult pairs, β̂_z of the other pairs of different classes.
    """

    difficult: float
    reference: float

    @property
    def gap(self) -> float:
        """γ̂_z − β̂_z."""
        return self.difficult - self.reference


def perfect(cosines: Cosines) -> Selector:
    """The selector that flags the difficult pairs and no others."""
    return Selector(1.0, 1.0, 0.0, cosines.difficult, 0.0)


def temperature(level: float, target: float, tau: float) -> float:
    """The ρ in (0, 1] at which ρ·(level + τ·log ρ) = target.

    With y = level/τ + log ρ that is y + log y = level/τ + log(target/τ), whose solution is Wright's ω function.

    Parameters
    ----------
    level, target : float
        Cosine before and after, 0 < target <= level.
    tau : float
        Temperature of the loss, > 0.
    """
    from scipy.special import wrightomega

    y = float(wrightomega(level / tau + math.log(target / tau)))
    return min(1.0, target / (tau * y))


def closed_gap(selector: Selector, tau: float, sigma: float = 0.0, rho: float = 1.0) -> float:
    """By how much margin and temperature narrow the gap γ̂_z − β̂_z at NT-Xent's optimum.

    A flagged pair's cosine s becomes ρ·(s + τ·log ρ) − σ. Over the difficult pairs, of which the share q is flagged,
    the mean falls by q times what flagged ones fall by; over the others by f times. Exact while no flagged cosine
    is brought below 0 by the temperature, which acts on positive ones only.
    """

    def fall(cosine: float) -> float:
        return cosine - rho * (cosine + tau * math.log(rho)) + sigma

    difficult, others = (fall(cosine) for cosine in (selector.difficult_cosine, selector.reference_cosine))
    return selector.recall * difficult - selector.false_alarms * others


def optimum(
    cosines: Cosines, selector: Selector | None, tau: float | None, split: float = SPLIT, response: float = 1.0
) -> tuple[Sizes, Reasons]:
    """The sizes that close the gap at NT-Xent's optimum, and why one is None.

    A margin closes (q − f)·σ of it, a temperature (q − f)·[level − ρ(level + τ·log ρ)], level = (q·γ_F − f·β_F)/(q − f)
    with γ_F, β_F the mean cosines of flagged difficult and flagged other pairs: an imperfect selector is a perfect one
    with the gap (γ̂_z − β̂_z)/(q − f).

    Parameters
    ----------
    cosines : Cosines
    selector : Selector or None
        None where it was not measured.
    tau : float or None
        Temperature of the loss, > 0; None where it is not known.
    split : float
        Share of the combined correction that the margin makes, 0 <= split <= 1.
    response : float
        The share of the gap that sizes derived with response 1 were seen to close, > 0: less or more than all of it
        where embeddings cannot take every matrix of cosines.

    Raises
    ------
    ParameterError
        If tau, split or response is outside its range.
    """
    require(tau is None or (is_finite(tau) and tau > 0), "tau", tau, "tau > 0")
    require_share("split", split)
    require(is_finite(response) and response > 0, "response", response, "response > 0")
    if selector is None:
        return _none("the selector's precision and recall were not measured: that needs labels")
    if cosines.gap <= 0:
        values = f"{cosines.difficult:.4g} of difficult pairs is not above {cosines.reference:.4g} of the others"
        return _none(f"there is no gap to close: the mean cosine {values}")
    apart = selector.recall - selector.false_alarms
    flags = f"the selector flags {selector.recall:.2%} of the difficult pairs and {selector.false_alarms:.2%} of others"
    if apart <= 0:
        return _none(f"{flags}: it cannot tell them apart, so that no size closes the gap")
    correction = cosines.gap / (apart * response)
    found: dict[str, float | None] = dict.fromkeys(NAMES)
    reasons: Reasons = {}
    for names, share in ((("margin_sigma", None), 1.0), ((None, "temperature_rho"), 0.0), (COMBINED, split)):
        sigma, rho, reason = _pair(selector, correction, tau, share)
        for name, value in zip(names, (sigma, rho), strict=True):
            if name is not None:
                found[name] = None if reason else value
                if reason:
                    reasons[name] = reason if apart == 1 else f"{flags}; {reason}"
    return Sizes(**found), reasons


def _none(reason: str) -> tuple[Sizes, Reasons]:
    return Sizes(), dict.fromkeys(NAMES, reason)


def _pair(selector: Selector, correction: float, tau: float | None, share: float) -> tuple[float, float, str | None]:
    """σ for the share of a correction, ρ for the rest, and what makes them impossible."""
    q, f, flagged = selector.recall, selector.false_alarms, selector.difficult_cosine
    sigma, rho = share * correction, 1.0
    if share < 1:
        if tau is None:
            return sigma, rho, UNKNOWN_TAU
        level = (q * flagged - f * selector.reference_cosine) / (q - f)
        target = level - (1 - share) * correction
        lowest = min(flagged, selector.reference_cosine) if f > 0 else flagged
        if min(lowest, target) > 0:
            rho = temperature(level, target, tau)
        if min(lowest, target) <= 0 or rho < math.exp(-lowest / tau):
            return sigma, rho, _stops(flagged, target)
    if sigma > 1 + flagged:
        limit = f"flagged cosines of {flagged:.3g} can fall by {1 + flagged:.3g} at most"
        return sigma, rho, f"a margin of {sigma:.3g} would be needed, and {limit}"
    return sigma, rho, None


def _stops(flagged: float, target: float) -> str:
    wanted = f"flagged cosines of {flagged:.3g} would have to fall to {target:.3g}"
    return f"a lower temperature acts on positive cosines and brings none below 0; {wanted}"


def free_gap(p: Graph, tau: float) -> float | None:
    """The gap of a graph's difficult pairs at the optimum of a critic without constraints, in units of cosines.

    s = τ·log(w/(c·c′)) + constant, with degrees c: the mean over difficult pairs less that over the other pairs of
    different classes. Unit vectors, above all few dimensions, have another; None where a weight is not positive.
    """
    w, easy = p.weights, p.n - p.n_d
    own = {"easy": p.degrees.easy, "difficult": p.degrees.difficult}
    pairs = {  # of two classes: how many, of what, how alike
        "paired": (p.n_d, ("difficult", "difficult"), w.paired),
        "unpaired_both_difficult": (p.n_d * (p.n_d - 1), ("difficult", "difficult"), w.unpaired_both_difficult),
        "different_class_one_difficult": (2 * easy * p.n_d, ("easy", "difficult"), w.different_class_one_difficult),
        "different_class_both_easy": (easy * easy, ("easy", "easy"), w.different_class_both_easy),
    }
    joined: PerKind = has_gamma(p.pairing)  # type: ignore[attr-defined]
    means = []
    for difficult in (True, False):
        chosen = [pair for kind, pair in pairs.items() if getattr(joined, kind) is difficult and pair[0]]
        if not chosen or any(weight <= 0 for _, _, weight in chosen):
            return None
        logs = [count * (math.log(weight) - sum(math.log(own[kind]) for kind in of)) for count, of, weight in chosen]
        means.append(sum(logs) / sum(count for count, _, _ in chosen))
    return float(tau * (means[0] - means[1]))

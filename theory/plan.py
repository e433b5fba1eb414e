"""Profile (what was measured) and plan (what to do): the two documents between measuring and training.

A measured graph may violate the similarity model. That is a finding: the entries of the plan that
rest on the violated condition are None and ``reasons`` says why; nothing raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from theory import formulas
from theory.bounds import SOURCES as BOUNDS
from theory.bounds import Bound, error_bounds
from theory.checks import ParameterError, is_finite, require, require_integer, require_share
from theory.files import check_keys, has_schema, read_document, write_json
from theory.kinds import Number, Pairing, neighbours
from theory.pairs import ClassPair, Overlap
from theory.params import GraphParameters, Levels, SixLevels
from theory.sizes import (
    COMBINED,
    NAMES,
    NO_REMEDY,
    OPTIMUM,
    PERFECT,
    SPLIT,
    THEOREM,
    UNKNOWN_TAU,
    Cosines,
    Selector,
    Sizes,
    free_gap,
    joint,
    optimum,
    perfect,
)

PROFILE_SCHEMA = "difficult-examples/profile/6"
_SINCE_6: dict[str, Any] = {"pairs": [], "overlap": None}
_SINCE_5: dict[str, Any] = {"same_class": None, "reading": None, **_SINCE_6}
_SINCE_4: dict[str, Any] = {"selector": {}, "tau": None, **_SINCE_5}
EARLIER_PROFILES: dict[str, dict[str, Any]] = {
    "difficult-examples/profile/5": _SINCE_6,
    "difficult-examples/profile/4": _SINCE_5,
    "difficult-examples/profile/3": _SINCE_4,
    "difficult-examples/profile/2": {"predicted_probe": None, **_SINCE_4},
}
PLAN_SCHEMA, EARLIER_PLAN = "difficult-examples/plan/3", "difficult-examples/plan/2"
SPACES = ("encoder", "projector")
LEVELS = ("alpha", "beta", "gamma", "epsilon")
THREE_LEVEL: tuple[Pairing, ...] = ("block", "any", "matched")  # readings of measured levels
MEASURED = "measured"  # the six levels themselves, where bounds are told apart by pairing
SOURCES = (THEOREM, OPTIMUM, PERFECT)  # of a remedy's size
REMEDIES = (*SOURCES, "pos_high", "pos_low", "removal_fraction")


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def from_json(cls, where: str, fields: Any) -> Estimate:
        """Check and convert ``{"value", "low", "high"}``."""
        check_keys(where, fields, {"value", "low", "high"})
        for name, number in fields.items():
            require(is_finite(number), f"{where}.{name}", number, "a finite number")
        return cls(**fields)


@dataclass(frozen=True)
class Triple:
    """Levels between two easy samples, an easy and a difficult one, and two difficult ones."""

    easy: Estimate
    mixed: Estimate
    difficult: Estimate

    @classmethod
    def from_json(cls, where: str, fields: Any) -> Triple:
        """Check and convert."""
        names = tuple(cls.__dataclass_fields__)
        check_keys(where, fields, set(names))
        return cls(**{name: Estimate.from_json(f"{where}.{name}", fields[name]) for name in names})

    @property
    def values(self) -> Levels:
        """Without the intervals."""
        return Levels(self.easy.value, self.mixed.value, self.difficult.value)


@dataclass(frozen=True)
class Space:
    """Similarities measured in one feature space, with intervals over resampled samples.

    Parameters
    ----------
    width : int
        Dimension of the features.
    within, across : Triple
        Mean cosine over the pairs of a class and over those of different classes: six levels.
    alpha, beta, gamma : Estimate
        As the paper measures them (A.5): mean cosine over same-class pairs, over different-class pairs without a
        difficult sample, and over those with one or two.
    gap : Estimate
        gamma − beta.
    welch_t : float or None
        The paper's t of beta against gamma (Table 11), which takes pairs for independent; None without difficult
        pairs. Pairs share samples, so that it says nothing that ``gap``'s interval does not.
    epsilon : Estimate
        Standard deviation of the cosine within same-class pairs, pairs of difficult samples and others.
    """

    width: int
    within: Triple
    across: Triple
    alpha: Estimate
    beta: Estimate
    gamma: Estimate
    gap: Estimate
    welch_t: float | None
    epsilon: Estimate

    @classmethod
    def from_json(cls, where: str, fields: Any) -> Space:
        """Check and convert."""
        check_keys(where, fields, set(cls.__dataclass_fields__))
        t = fields["welch_t"]
        require(t is None or is_finite(t), f"{where}.welch_t", t, "a finite number or null")
        read: dict[str, Any] = {"width": require_integer(f"{where}.width", fields["width"], 1), "welch_t": t}
        read |= {name: Triple.from_json(f"{where}.{name}", fields[name]) for name in ("within", "across")}
        read |= {name: Estimate.from_json(f"{where}.{name}", fields[name]) for name in (*LEVELS, "gap")}
        return cls(**read)


@dataclass(frozen=True)
class PredictedProbe:
    """Accuracy that a linear probe on the features will have, from the training features alone.

    Parameters
    ----------
    accuracy : Estimate or None
        On new samples; None where κ is too large for a number.
    kappa : float
        Dimensions per degree of freedom, >= 0.
    reason : str or None
        Why there is no number.
    """

    accuracy: Estimate | None
    kappa: float
    reason: str | None = None

    @classmethod
    def from_json(cls, where: str, fields: Any) -> PredictedProbe:
        """Check and convert."""
        check_keys(where, fields, set(cls.__dataclass_fields__))
        accuracy, kappa, reason = (fields[name] for name in ("accuracy", "kappa", "reason"))
        require(is_finite(kappa) and kappa >= 0, f"{where}.kappa", kappa, "kappa >= 0")
        require((accuracy is None) == isinstance(reason, str), f"{where}.reason", reason, "a reason for no number only")
        found = None if accuracy is None else Estimate.from_json(f"{where}.accuracy", accuracy)
        if found is not None:
            require_share(f"{where}.accuracy", found.value)
        return cls(found, kappa, reason)


@dataclass(frozen=True)
class Profile:
    """What was measured on a data set.

    Parameters
    ----------
    source : str
        Where the features came from.
    labels : {"given", "clusters"}
        Whether classes are true classes or clusters.
    samples_per_class : int
        Harmonic mean of the class sizes.
    classes, difficult : int
        Number of classes; difficult samples per class.
    dim : int
        Output width of the network the loss is applied to: the theory's k.
    delta : Estimate or None
        Labelling error: how often the probe labels two augmented views differently; None if there
        was nothing to augment.
    spaces : mapping
        ``encoder`` (pre-projector, or the features given) and, if there is one, ``projector``.
    warnings : tuple of str
        What a reader should know about the measurement.
    predicted_probe : PredictedProbe or None
        Of the encoder's features with all labels; None without labels, and in documents before version 3.
    selector : mapping
        What the pair selector flags, by the three-level reading whose band it has; empty without labels or difficult
        samples, and in documents before version 4.
    tau : float or None
        Temperature of the loss that trained the features, > 0; None where it is not known or there is none.
    same_class : float or None
        Σp² over the classes' shares p of the samples, at least 1/classes: the share of pairs that are of one class.
        None where classes are equally large, and in documents before version 5.
    reading : mapping or None
        What was read, what was left out and converted, as plain data; None where nobody said, and in documents before
        version 5.
    pairs : tuple of ClassPair
        Pairs of classes in the encoder's space, the worst first: all, or those that were looked at (``overlap`` has
        the count of all). Empty without labels, and in documents before version 6.
    overlap : Overlap or None
        What they come to; None where they are empty.
    """

    source: str
    labels: str
    samples_per_class: int
    classes: int
    difficult: int
    dim: int
    delta: Estimate | None
    spaces: Mapping[str, Space]
    warnings: tuple[str, ...] = ()
    predicted_probe: PredictedProbe | None = None
    selector: Mapping[str, Selector] = field(default_factory=dict)
    tau: float | None = None
    same_class: float | None = None
    reading: Mapping[str, Any] | None = None
    pairs: tuple[ClassPair, ...] = ()
    overlap: Overlap | None = None

    def __post_init__(self) -> None:
        require(self.labels in ("given", "clusters"), "labels", self.labels, "one of given, clusters")
        require_integer("samples_per_class", self.samples_per_class, 1)
        require_integer("classes", self.classes, 2)
        require_integer("difficult", self.difficult, 0, self.samples_per_class)
        require_integer("dim", self.dim, 1)
        require("encoder" in self.spaces, "spaces", list(self.spaces), "encoder among the spaces")
        require(set(self.spaces) <= set(SPACES), "spaces", list(self.spaces), "only " + " and ".join(SPACES))
        require(
            set(self.selector) <= set(THREE_LEVEL), "selector", list(self.selector), "only " + ", ".join(THREE_LEVEL)
        )
        require(self.tau is None or (is_finite(self.tau) and self.tau > 0), "tau", self.tau, "tau > 0 or null")
        if self.delta is not None:
            require_share("delta", self.delta.value)
        if self.same_class is not None:
            inside = is_finite(self.same_class) and 1 / self.classes <= self.same_class * (1 + 1e-5) < 1 + 1e-5
            require(inside, "same_class", self.same_class, f"1/{self.classes} <= same_class < 1, or null")
        require(
            self.reading is None or isinstance(self.reading, Mapping), "reading", self.reading, "a JSON object or null"
        )

    @property
    def loss_space(self) -> str:
        """The space whose cosines the loss sees: the projector, or the only one there is."""
        return "projector" if "projector" in self.spaces else "encoder"

    def cosines(self, pairing: Pairing) -> Cosines:
        """γ̂_z and β̂_z of a three-level reading, in the space that the loss sees."""
        _, beta, gamma = self.levels(self.loss_space, pairing)
        return Cosines(gamma, beta)

    def measured(self, space: str) -> SixLevels:
        """The measured graph of six levels; ParameterError if a degree is not positive."""
        s = self.spaces[space]
        return SixLevels(s.within.values, s.across.values, self.samples_per_class, self.classes, self.difficult)

    def levels(self, space: str, pairing: Pairing) -> tuple[float, float, float]:
        """α, β, γ of a three-level reading: ``any`` as the paper measures them, else γ of two difficult samples.

        For ``block`` and ``matched`` β is then the mean over all other pairs of different classes, to six digits as
        the levels that it is made of.
        """
        s, d = self.spaces[space], self.difficult
        if pairing == "any" or d == 0:
            return s.alpha.value, s.beta.value, s.gamma.value
        easy, mixed, both = s.across.values
        e = self.samples_per_class - d
        others = (e * easy + 2 * d * mixed) / (e + 2 * d) if e else both
        return s.alpha.value, float(f"{others:.6g}"), both

    def graph(self, space: str, pairing: Pairing) -> GraphParameters:
        """The measured three-level graph; ParameterError if the levels are not in the paper's order."""
        graph = GraphParameters(
            *self.levels(space, pairing), self.samples_per_class, self.classes, self.difficult, pairing
        )
        require(
            self.difficult == 0 or graph.gamma > graph.beta,
            "gamma",
            graph.gamma,
            f"gamma > beta = {graph.beta}: difficult pairs are no more alike than others",
        )
        return graph

    def violation(self, space: str, pairing: Pairing = "block") -> str | None:
        """The first condition of the three-level graph that a space violates, or None."""
        try:
            self.graph(space, pairing)
        except ParameterError as error:
            return f"{space}: {error}"
        return None

    def to_json(self) -> dict[str, Any]:
        """The document."""
        document = {"schema": PROFILE_SCHEMA, **asdict(self)}
        document["warnings"] = list(self.warnings)
        document["pairs"] = list(document["pairs"])
        return document

    def save(self, path: Path) -> None:
        """Write the document."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read and check a document; ParameterError if anything in it is not as written by ``save``."""
        names = set(cls.__dataclass_fields__)
        document = read_document(path, PROFILE_SCHEMA, names, EARLIER_PROFILES)
        fields = {name: document[name] for name in names}
        require(isinstance(fields["spaces"], dict), f"spaces of {path}", fields["spaces"], "a JSON object")
        spaces = {name: Space.from_json(f"{path}: {name}", space) for name, space in fields["spaces"].items()}
        delta = fields["delta"]
        fields["delta"] = None if delta is None else Estimate.from_json(f"{path}: delta", delta)
        require(isinstance(fields["warnings"], list), f"warnings of {path}", fields["warnings"], "a list")
        predicted = fields["predicted_probe"]
        if predicted is not None:
            fields["predicted_probe"] = PredictedProbe.from_json(f"{path}: predicted_probe", predicted)
        require(isinstance(fields["selector"], dict), f"selector of {path}", fields["selector"], "a JSON object")
        fields["selector"] = {
            pairing: Selector.from_json(f"{path}: selector.{pairing}", found)
            for pairing, found in fields["selector"].items()
        }
        require(isinstance(fields["pairs"], list), f"pairs of {path}", fields["pairs"], "a list")
        where = f"{path}: pairs"
        pairs = tuple(ClassPair.from_json(f"{where}[{i}]", pair) for i, pair in enumerate(fields["pairs"]))
        overlap = fields["overlap"]
        fields["overlap"] = None if overlap is None else Overlap.from_json(f"{path}: overlap", overlap)
        return cls(**{**fields, "spaces": spaces, "warnings": tuple(fields["warnings"]), "pairs": pairs})


@dataclass(frozen=True)
class Plan:
    """What the theory prescribes for one data set.

    Parameters
    ----------
    theorem : Sizes
        What theorems 4.3 and 4.5 prescribe, for the spectral loss: σ* from the similarities that the loss sees, ρ* from
        the encoder's.
    optimum : Sizes
        What closes the gap of the projector's mean cosines at NT-Xent's optimum, with the selector as it was measured.
    perfect : Sizes
        The same for a selector that flags the difficult pairs and no others: what closes the gap of flagged pairs.
    pos_high, pos_low : float
        The selector's band: pairs ranked by similarity between these shares are difficult.
    removal_fraction : float or None
        Share of each class to remove as the most difficult samples.
    predictions : mapping
        Error bounds for the measured six levels (``measured``) and by three-level reading, then by name, then the
        fields of ``theory.bounds.Bound``; a reading whose order of levels the measurement violates has None.
    reasons : mapping
        Why an entry is None, by its name, such as ``optimum.temperature_rho``.
    parameters : mapping
        The graph's parameters with ``dim``, ``delta``, ``tau`` and ``split``.
    """

    theorem: Sizes
    optimum: Sizes
    perfect: Sizes
    pos_high: float
    pos_low: float
    removal_fraction: float | None
    predictions: Mapping[str, Mapping[str, Mapping[str, Any]] | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remedies(self) -> dict[str, Any]:
        """What the trainer uses, as plain data."""
        return {name: asdict(value) if name in SOURCES else value for name, value in self._values().items()}

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in REMEDIES}

    def source(self, entry: str, loss: str) -> str:
        """Where a loss's size comes from, one of ``SOURCES``: the theorem for spectral ones, else NT-Xent's optimum.

        That with the measured selector, and where there is none, for a perfect one: it closes the gap of the pairs
        that are flagged, not the mean gap.
        """
        if loss.startswith("spectral"):
            return THEOREM
        return PERFECT if getattr(self.optimum, entry) is None else OPTIMUM

    def sizes(self, loss: str) -> Sizes:
        """The sizes for a loss of ``empirical.choices.LOSSES``, each from its ``source``."""
        return Sizes(**{name: getattr(getattr(self, self.source(name, loss)), name) for name in NAMES})

    def reason(self, entry: str, loss: str) -> str:
        """Why an entry, or a loss's size, is None."""
        name = f"{self.source(entry, loss)}.{entry}" if entry in NAMES else entry
        return self.reasons.get(name, f"the plan has no {entry}")

    def save(self, path: Path) -> None:
        """Write the document."""
        write_json(path, {"schema": PLAN_SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read and check a document, of the version before too; ParameterError if a remedy is out of range."""
        names = set(cls.__dataclass_fields__)
        if has_schema(path, EARLIER_PLAN):
            document = _renewed(read_document(path, EARLIER_PLAN, names - set(SOURCES) | set(NAMES) - set(COMBINED)))
        else:
            document = read_document(path, PLAN_SCHEMA, names)
        document.pop("schema")
        for name in ("predictions", "reasons", "parameters"):
            require(isinstance(document[name], dict), f"{name} of {path}", document[name], "a JSON object")
        _check_predictions(f"predictions of {path}", document["predictions"])
        for name in SOURCES:
            document[name] = Sizes.from_json(f"{name} of {path}", document[name])
        for name in ("pos_high", "pos_low", "removal_fraction"):
            if document[name] is not None or name != "removal_fraction":
                require_share(f"{name} of {path}", document[name])
        require(
            document["pos_high"] <= document["pos_low"],
            f"pos_low of {path}",
            document["pos_low"],
            "pos_low >= pos_high",
        )
        return cls(**document)


def _check_predictions(where: str, predictions: dict[str, Any]) -> None:
    """Refuse what is no bound where reports read one."""
    for reading, by_name in predictions.items():
        if by_name is None:
            continue
        place = f"{where}: {reading}"
        every = isinstance(by_name, dict) and set(BOUNDS) <= set(by_name)
        require(every, place, by_name, "null or the bounds " + ", ".join(BOUNDS))
        for name in BOUNDS:
            fields = by_name[name] if isinstance(by_name[name], dict) else {}
            values = [fields.get(field, ...) for field in ("bound", "excess_over_clean")]
            numbers = all(value is None or is_finite(value) for value in values)
            flags = all(isinstance(fields.get(field), bool) for field in ("applies", "vacuous"))
            require(numbers and flags, f"{place}.{name}", by_name[name], "a bound as theory.bounds writes it")


def _renewed(earlier: dict[str, Any]) -> dict[str, Any]:
    """A document of version 2 as one of version 3: its sizes were the theorems', whatever the loss."""
    alone = {name: earlier.pop(name) for name in NAMES if name not in COMBINED}
    numbers = all(is_finite(value) for value in alone.values())
    together = joint(alone["margin_sigma"], alone["temperature_rho"], SPLIT) if numbers else (None, None)
    why = dict(earlier["reasons"]) if isinstance(earlier["reasons"], dict) else {}
    reasons = {f"{THEOREM}.{name}" if name in alone else name: reason for name, reason in why.items()}
    if not numbers:
        reasons |= {f"{THEOREM}.{name}": next(iter(why.values()), "made by an earlier version") for name in COMBINED}
    again = "made by an earlier version: derive the plan again"
    reasons |= {f"{source}.{name}": again for source in (OPTIMUM, PERFECT) for name in NAMES}
    sizes = {THEOREM: alone | dict(zip(COMBINED, together, strict=True))}
    sizes |= {source: dict.fromkeys(NAMES) for source in (OPTIMUM, PERFECT)}
    return {**earlier, **sizes, "reasons": reasons}


def grouped(reasons: Mapping[str, str]) -> dict[str, str]:
    """Reasons in words, each once: ``optimum, perfect`` or ``theorem temperature rho`` and what holds of it."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    found = {}
    for reason, entries in names.items():
        for source in SOURCES:
            whole = [f"{source}.{name}" for name in NAMES]
            if set(whole) <= set(entries):
                entries = [name for name in entries if name not in whole] + [source]
        found[", ".join(entry.replace(".", " ").replace("_", " ") for entry in entries)] = reason
    return found


def plan_from_parameters(
    p: GraphParameters | SixLevels, dim: int, delta: float, tau: float | None = None, split: float = SPLIT
) -> Plan:
    """The plan for a graph given by its parameters.

    NT-Xent's sizes come from cosines, and weights fix these up to the zero of their scale only: with tau there is the
    margin of a critic without constraints (``theory.sizes.free_gap``), and no temperature.

    Parameters
    ----------
    p : GraphParameters or SixLevels
    dim : int
        k >= 1.
    delta : float
        Labelling error in [0, 1].
    tau : float, optional
        Temperature of the loss, > 0.
    split : float
        Share of a combined correction that the margin makes, 0 <= split <= 1.

    Raises
    ------
    ParameterError
        If dim, delta, tau or split is outside its range.
    """
    require(tau is None or (is_finite(tau) and tau > 0), "tau", tau, "tau > 0")
    bounds = error_bounds(p, dim, delta)
    parameters = _described(p) | {"dim": dim, "delta": delta, "tau": tau, "split": split}
    reasons = {f"{OPTIMUM}.{name}": "the selector was not measured: that needs features" for name in NAMES}
    if p.is_clean:
        return _plan(p, p, (NO_REMEDY, NO_REMEDY), {parameters["pairing"]: bounds}, {}, parameters)
    reasons |= {f"{PERFECT}.{name}": "weights do not say where a cosine is 0: measure features" for name in NAMES}
    sigma = None if tau is None else free_gap(p, tau)
    if tau is None:
        reasons[f"{PERFECT}.margin_sigma"] = UNKNOWN_TAU
    elif sigma is None or sigma < 0:
        sigma = None
        reasons[f"{PERFECT}.margin_sigma"] = (
            "a critic without constraints makes difficult pairs no more alike than others"
        )
    else:
        del reasons[f"{PERFECT}.margin_sigma"]
    return _plan(p, p, (Sizes(), Sizes(sigma)), {parameters["pairing"]: bounds}, reasons, parameters)


def _described(p: GraphParameters | SixLevels) -> dict[str, Any]:
    """A graph's parameters as plain data; of six levels the paper's three too, and ``measured`` for the pairing."""
    if isinstance(p, GraphParameters):
        return p.as_dict()
    levels = {"alpha": p.alpha, "beta": p.beta, "gamma": p.gamma}
    sizes = {name: getattr(p, name) for name in ("samples_per_class", "classes", "difficult")}
    return {**levels, **sizes, "pairing": MEASURED, "within": list(p.within), "across": list(p.across)}


def graph_of(parameters: Mapping[str, Any]) -> GraphParameters | SixLevels:
    """The graph of a plan's parameters."""
    sizes = {name: parameters[name] for name in ("samples_per_class", "classes", "difficult")}
    if parameters["pairing"] == MEASURED:
        return SixLevels(Levels(*parameters["within"]), Levels(*parameters["across"]), **sizes)
    levels = {name: parameters[name] for name in ("alpha", "beta", "gamma", "pairing")}
    return GraphParameters(**levels, **sizes)


def plan_from_profile(
    profile: Profile,
    pairing: Pairing = "block",
    dim: int | None = None,
    delta: float | None = None,
    tau: float | None = None,
    split: float = SPLIT,
) -> Plan:
    """The plan for measured data.

    Bounds and the theorems' ρ* use the encoder's similarities, σ* and NT-Xent's sizes those of the projector, whose
    cosines the loss sees; with one space only, all come from that.

    Parameters
    ----------
    profile : Profile
    pairing : {"block", "any", "matched"}
        The three-level reading that σ*, ρ* and the band assume; bounds are given for the measured six levels and
        for all three readings.
    dim, delta : int, float, optional
        The profile's own by default; delta .01 if the profile has none.
    tau : float, optional
        Temperature of the loss, > 0; the profile's own by default.
    split : float
        Share of a combined correction that the margin makes, 0 <= split <= 1.

    Raises
    ------
    ParameterError
        If dim, delta, tau or split is outside its range.
    """
    dim = profile.dim if dim is None else dim
    if delta is None:
        delta = 0.01 if profile.delta is None else profile.delta.value
    bounds: dict[str, dict[str, Bound] | None] = {}
    reasons: dict[str, str] = {}
    graphs: dict[str, Callable[[], GraphParameters | SixLevels]] = {MEASURED: partial(profile.measured, "encoder")}
    graphs |= {which: partial(profile.graph, "encoder", which) for which in THREE_LEVEL}
    for which, graph in graphs.items():
        try:
            bounds[which] = error_bounds(graph(), dim, delta)
        except ParameterError as error:
            bounds[which] = None
            reasons[f"{which} bounds"] = f"encoder: {error}"
    violation = profile.violation("encoder", pairing)
    encoder = None if violation else profile.graph("encoder", pairing)
    if violation:
        reasons[f"{THEOREM}.temperature_rho"] = violation
    projector, violation = _margin_graph(profile, profile.loss_space, pairing)
    if violation:
        reasons[f"{THEOREM}.margin_sigma"] = violation
    tau = profile.tau if tau is None else tau
    cosines, found = profile.cosines(pairing), {OPTIMUM: NO_REMEDY, PERFECT: NO_REMEDY}
    if profile.difficult > 0:
        selectors = {OPTIMUM: profile.selector.get(pairing), PERFECT: perfect(cosines)}
        for source, selector in selectors.items():
            found[source], why = optimum(cosines, selector, tau, split)
            reasons |= {f"{source}.{name}": f"{profile.loss_space}: {reason}" for name, reason in why.items()}
    s = profile.spaces["encoder"]
    parameters = {
        **dict(zip(("alpha", "beta", "gamma"), profile.levels("encoder", pairing), strict=True)),
        "samples_per_class": profile.samples_per_class,
        "classes": profile.classes,
        "difficult": profile.difficult,
        "pairing": pairing,
        "within": list(s.within.values),
        "across": list(s.across.values),
        "dim": dim,
        "delta": delta,
        "tau": tau,
        "split": split,
    }
    if profile.same_class is not None:
        parameters["same_class"] = profile.same_class
    return _plan(encoder, projector, (found[OPTIMUM], found[PERFECT]), bounds, reasons, parameters)


class _Levels:
    """Parameters for ``formulas`` without the model's ordering: β may be negative."""

    def __init__(self, space: str, profile: Profile, pairing: Pairing) -> None:
        self.alpha, self.beta, self.gamma = profile.levels(space, pairing)
        self.n, self.r, self.n_d = profile.samples_per_class, profile.classes - 1, profile.difficult
        self.pairing, self.neighbours = pairing, neighbours(self.n_d, pairing)


def _margin_graph(profile: Profile, space: str, pairing: Pairing) -> tuple[Any, str | None]:
    """The graph for σ*, or why there is none.

    A slightly negative β̂ is the rule in the projector's space, where the loss pushes the mean cosine
    towards zero. The margin theorem is an identity between normalised adjacencies and needs positive
    degrees, not positive weights; so a negative β̂ alone does not void σ*, as it does ρ* and the bounds.
    """
    graph = _Levels(space, profile, pairing)
    if graph.n_d == 0:
        return graph, None
    if graph.beta >= 0:
        return graph, profile.violation(space, pairing)
    level = graph.alpha + graph.r * graph.beta
    for holds, name, value, condition in (
        (graph.gamma > graph.beta, "gamma", graph.gamma, f"gamma > beta = {graph.beta}"),
        (graph.gamma < graph.alpha, "gamma", graph.gamma, f"gamma < alpha = {graph.alpha}"),
        (level > 0, "beta", graph.beta, f"positive degrees: alpha + r beta = {level:.6g} > 0"),
    ):
        if not holds:
            return None, f"{space}: {ParameterError(name, value, condition)}"
    return graph, None


def _plan(
    encoder: Any,
    projector: Any,
    nt_xent: tuple[Sizes, Sizes],
    bounds: Mapping[str, Mapping[str, Bound] | None],
    reasons: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> Plan:
    """``encoder`` and ``projector`` are the graphs for ρ* and σ*; ``nt_xent`` the sizes of its optimum."""
    n, n_d, classes = (parameters[name] for name in ("samples_per_class", "difficult", "classes"))
    require_share("split", parameters["split"])
    reasons = dict(reasons)
    theorem = _theorem(encoder, projector, parameters["split"], reasons)
    if n_d == n:
        reasons["removal_fraction"] = "every sample is difficult: removal would leave none"
    for name, bound in (bounds.get(parameters["pairing"]) or {}).items():
        if bound.reason:
            reasons[f"{name} bound"] = bound.reason
    reading: Pairing = "block" if parameters["pairing"] == MEASURED else parameters["pairing"]
    pos_high, pos_low = band_of_sizes(n, classes, n_d, reading, parameters.get("same_class"))
    predictions = {
        pairing: None if by_name is None else {name: bound.to_json() for name, bound in by_name.items()}
        for pairing, by_name in bounds.items()
    }
    return Plan(
        theorem=theorem,
        optimum=nt_xent[0],
        perfect=nt_xent[1],
        pos_high=pos_high,
        pos_low=pos_low,
        removal_fraction=None if n_d == n else n_d / n,
        predictions=predictions,
        reasons=reasons,
        parameters=dict(parameters),
    )


def band(profile: Profile, pairing: Pairing) -> tuple[float, float]:
    """``pos_high`` and ``pos_low`` of the plan for a reading: the share of same-class pairs, and with difficult ones.

    Of equal classes these are 1/(r+1) and ``formulas.difficult_pair_share``, of which r/(r+1) is the share of pairs of
    different classes. Both shares are counts of pairs: of unequal classes they are Σp² and 1 − Σp², whatever the rest
    of the theory assumes.
    """
    sizes = profile.samples_per_class, profile.classes, profile.difficult
    return band_of_sizes(*sizes, pairing, profile.same_class)


def band_of_sizes(
    n: Number, classes: Number, n_d: Number, pairing: Pairing, same_class: Number = None
) -> tuple[Any, Any]:
    """``band`` of n samples a class of which n_d are difficult; of unequal classes with the share of their pairs."""
    difficult = formulas.difficult_pair_share(SimpleNamespace(n=n, n_d=n_d, r=classes - 1, pairing=pairing))
    if same_class is None:
        return 1 / classes, 1 / classes + difficult
    return same_class, same_class + difficult * (1 - same_class) / (1 - 1 / classes)


def _theorem(encoder: Any, projector: Any, split: float, reasons: dict[str, str]) -> Sizes:
    """The theorems' sizes; why there is none is added to the reasons."""
    sigma = rho = None
    if encoder is not None:
        if encoder.gamma == encoder.beta or encoder.n_d == 0:
            rho = 1.0
        elif encoder.beta > 0 and encoder.gamma > 0:
            rho = formulas.temperature_rho(encoder)
        else:
            less, more = ("beta", "gamma") if encoder.beta == 0 else ("gamma", "beta")
            why = f"{less} = 0 < {more}: no positive temperature turns gamma into beta"
            reasons[f"{THEOREM}.temperature_rho"] = why
    if projector is not None and f"{THEOREM}.margin_sigma" not in reasons:
        sigma = 0.0 if projector.n_d == 0 else formulas.margin_sigma(projector)
    if sigma is None or rho is None:
        why = reasons[f"{THEOREM}.{'margin_sigma' if sigma is None else 'temperature_rho'}"]
        reasons.update({f"{THEOREM}.{name}": why for name in COMBINED})
        return Sizes(sigma, rho)
    return Sizes(sigma, rho, *joint(sigma, rho, split))

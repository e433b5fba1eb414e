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
from theory.bounds import Bound, error_bounds
from theory.checks import ParameterError, is_finite, require, require_integer, require_share
from theory.files import check_keys, read_document, write_json
from theory.kinds import Pairing, neighbours
from theory.params import GraphParameters, Levels, SixLevels

PROFILE_SCHEMA = "difficult-examples/profile/3"
EARLIER_PROFILES: dict[str, dict[str, Any]] = {"difficult-examples/profile/2": {"predicted_probe": None}}
PLAN_SCHEMA = "difficult-examples/plan/2"
SPACES = ("encoder", "projector")
LEVELS = ("alpha", "beta", "gamma", "epsilon")
THREE_LEVEL: tuple[Pairing, ...] = ("block", "any", "matched")  # readings of measured levels
MEASURED = "measured"  # the six levels themselves, where bounds are told apart by pairing
REMEDIES = ("margin_sigma", "temperature_rho", "pos_high", "pos_low", "removal_fraction")


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

    def __post_init__(self) -> None:
        require(self.labels in ("given", "clusters"), "labels", self.labels, "one of given, clusters")
        require_integer("samples_per_class", self.samples_per_class, 1)
        require_integer("classes", self.classes, 2)
        require_integer("difficult", self.difficult, 0, self.samples_per_class)
        require_integer("dim", self.dim, 1)
        require("encoder" in self.spaces, "spaces", list(self.spaces), "encoder among the spaces")
        require(set(self.spaces) <= set(SPACES), "spaces", list(self.spaces), "only " + " and ".join(SPACES))
        if self.delta is not None:
            require_share("delta", self.delta.value)

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
        return cls(**{**fields, "spaces": spaces, "warnings": tuple(fields["warnings"])})


@dataclass(frozen=True)
class Plan:
    """What the theory prescribes for one data set.

    Parameters
    ----------
    margin_sigma : float or None
        σ*, added to the cosine of difficult pairs; in the space whose cosines the loss sees.
    temperature_rho : float or None
        ρ*, the factor on the temperature of difficult pairs.
    pos_high, pos_low : float
        The selector's band: pairs ranked by similarity between these shares are difficult.
    removal_fraction : float or None
        Share of each class to remove as the most difficult samples.
    predictions : mapping
        Error bounds for the measured six levels (``measured``) and by three-level reading, then by name, then the
        fields of ``theory.bounds.Bound``; a reading whose order of levels the measurement violates has None.
    reasons : mapping
        Why an entry is None, by its name.
    parameters : mapping
        The graph's parameters with ``dim`` and ``delta``.
    """

    margin_sigma: float | None
    temperature_rho: float | None
    pos_high: float
    pos_low: float
    removal_fraction: float | None
    predictions: Mapping[str, Mapping[str, Mapping[str, Any]] | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remedies(self) -> dict[str, float | None]:
        """The five numbers that the trainer uses."""
        return {name: getattr(self, name) for name in REMEDIES}

    def save(self, path: Path) -> None:
        """Write the document."""
        write_json(path, {"schema": PLAN_SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read and check a document; ParameterError if a remedy is out of range."""
        document = read_document(path, PLAN_SCHEMA, set(cls.__dataclass_fields__))
        document.pop("schema")
        for name in ("predictions", "reasons", "parameters"):
            require(isinstance(document[name], dict), f"{name} of {path}", document[name], "a JSON object")
        for name in REMEDIES:
            value = document[name]
            nullable = name not in ("pos_high", "pos_low")
            if value is None and nullable:
                continue
            require(is_finite(value) and value >= 0, f"{name} of {path}", value, "a number >= 0")
            require(value <= 1 or name == "margin_sigma", f"{name} of {path}", value, f"{name} <= 1")
        require(document["temperature_rho"] != 0, f"temperature_rho of {path}", 0, "temperature_rho > 0")
        require(
            document["pos_high"] <= document["pos_low"],
            f"pos_low of {path}",
            document["pos_low"],
            "pos_low >= pos_high",
        )
        return cls(**document)


def plan_from_parameters(p: GraphParameters | SixLevels, dim: int, delta: float) -> Plan:
    """The plan for a graph given by its parameters.

    Raises
    ------
    ParameterError
        If dim or delta is outside its range.
    """
    bounds = error_bounds(p, dim, delta)
    parameters = _described(p) | {"dim": dim, "delta": delta}
    return _plan(p, p, {parameters["pairing"]: bounds}, {}, parameters)


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
    profile: Profile, pairing: Pairing = "block", dim: int | None = None, delta: float | None = None
) -> Plan:
    """The plan for measured data.

    Bounds and ρ* use the encoder's similarities, σ* those of the projector, whose cosines the loss
    sees; with one space only, all come from that.

    Parameters
    ----------
    profile : Profile
    pairing : {"block", "any", "matched"}
        The three-level reading that σ*, ρ* and the band assume; bounds are given for the measured six levels and
        for all three readings.
    dim, delta : int, float, optional
        The profile's own by default; delta .01 if the profile has none.
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
        reasons["temperature_rho"] = violation
    loss_space = "projector" if "projector" in profile.spaces else "encoder"
    projector, violation = _margin_graph(profile, loss_space, pairing)
    if violation:
        reasons["margin_sigma"] = violation
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
    }
    return _plan(encoder, projector, bounds, reasons, parameters)


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
    bounds: Mapping[str, Mapping[str, Bound] | None],
    reasons: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> Plan:
    n, n_d, classes = (parameters[name] for name in ("samples_per_class", "difficult", "classes"))
    reasons = dict(reasons)
    rho = None
    if encoder is not None:
        if encoder.gamma == encoder.beta or n_d == 0:
            rho = 1.0
        elif encoder.beta > 0:
            rho = formulas.temperature_rho(encoder)
        else:
            reasons["temperature_rho"] = "beta = 0 < gamma: no positive temperature turns gamma into beta"
    sigma = None
    if projector is not None and "margin_sigma" not in reasons:
        sigma = 0.0 if n_d == 0 else formulas.margin_sigma(projector)
    if n_d == n:
        reasons["removal_fraction"] = "every sample is difficult: removal would leave none"
    for name, bound in (bounds.get(parameters["pairing"]) or {}).items():
        if bound.reason:
            reasons[f"{name} bound"] = bound.reason
    pos_high = 1 / classes
    pairing = "block" if parameters["pairing"] == MEASURED else parameters["pairing"]
    shape = SimpleNamespace(n=n, n_d=n_d, r=classes - 1, pairing=pairing)
    pair_share = formulas.difficult_pair_share(shape)
    predictions = {
        pairing: None if by_name is None else {name: bound.to_json() for name, bound in by_name.items()}
        for pairing, by_name in bounds.items()
    }
    return Plan(
        margin_sigma=sigma,
        temperature_rho=rho,
        pos_high=pos_high,
        pos_low=pos_high + pair_share,
        removal_fraction=None if n_d == n else n_d / n,
        predictions=predictions,
        reasons=reasons,
        parameters=dict(parameters),
    )

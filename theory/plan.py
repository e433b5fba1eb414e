"""Profile (what was measured) and plan (what to do): the two documents between measuring and training.

A measured graph may violate the similarity model. That is a finding: the entries of the plan that
rest on the violated condition are None and ``reasons`` says why; nothing raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from theory import formulas
from theory.bounds import Bound, error_bounds
from theory.checks import ParameterError, is_finite, require, require_integer, require_share
from theory.files import check_keys, read_document, write_json
from theory.kinds import Pairing, neighbours
from theory.params import GraphParameters

PROFILE_SCHEMA = "difficult-examples/profile/1"
PLAN_SCHEMA = "difficult-examples/plan/2"
SPACES = ("encoder", "projector")
LEVELS = ("alpha", "beta", "gamma", "epsilon")
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
class Space:
    """Similarities measured in one feature space.

    Parameters
    ----------
    width : int
        Dimension of the features.
    alpha, beta, gamma, epsilon : Estimate
        Mean cosine over same-class pairs, over different-class pairs, over different-class pairs of
        difficult samples, and the standard deviation within these groups.
    """

    width: int
    alpha: Estimate
    beta: Estimate
    gamma: Estimate
    epsilon: Estimate


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

    def graph(self, space: str, pairing: Pairing) -> GraphParameters:
        """The measured similarity graph; ParameterError if it violates the model."""
        s = self.spaces[space]
        graph = GraphParameters(
            s.alpha.value,
            s.beta.value,
            s.gamma.value,
            self.samples_per_class,
            self.classes,
            self.difficult,
            pairing,
        )
        require(
            self.difficult == 0 or graph.gamma > graph.beta,
            "gamma",
            graph.gamma,
            f"gamma > beta = {graph.beta}: difficult pairs are no more alike than others",
        )
        return graph

    def violation(self, space: str, pairing: Pairing = "block") -> str | None:
        """The first condition of the similarity model that a space violates, or None."""
        try:
            self.graph(space, pairing)
        except ParameterError as error:
            return f"{space}: {error}"
        return None

    @property
    def violations(self) -> tuple[str, ...]:
        """What each space violates of the model with the paper's pairing."""
        return tuple(v for space in self.spaces if (v := self.violation(space)) is not None)

    def to_json(self) -> dict[str, Any]:
        """The document, with ``valid`` and ``reasons`` spelled out for its readers."""
        document = {"schema": PROFILE_SCHEMA, **asdict(self)}
        document["warnings"] = list(self.warnings)
        return {**document, "valid": not self.violations, "reasons": list(self.violations)}

    def save(self, path: Path) -> None:
        """Write the document."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read and check a document; ParameterError if anything in it is not as written by ``save``."""
        names = set(cls.__dataclass_fields__)
        document = read_document(path, PROFILE_SCHEMA, names | {"valid", "reasons"})
        fields = {name: document[name] for name in names}
        require(isinstance(fields["spaces"], dict), f"spaces of {path}", fields["spaces"], "a JSON object")
        spaces = {}
        for name, space in fields["spaces"].items():
            check_keys(f"{path}: {name}", space, {"width", *LEVELS})
            levels = {level: Estimate.from_json(f"{path}: {name}.{level}", space[level]) for level in LEVELS}
            spaces[name] = Space(width=require_integer(f"{name}.width", space["width"], 1), **levels)
        delta = fields["delta"]
        fields["delta"] = None if delta is None else Estimate.from_json(f"{path}: delta", delta)
        require(isinstance(fields["warnings"], list), f"warnings of {path}", fields["warnings"], "a list")
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
        Error bounds by pairing, then by name, then the fields of ``theory.bounds.Bound``; a pairing
        that the measurement violates has None.
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


def plan_from_parameters(p: GraphParameters, dim: int, delta: float) -> Plan:
    """The plan for a graph given by its parameters.

    Raises
    ------
    ParameterError
        If dim or delta is outside its range.
    """
    bounds = error_bounds(p, dim, delta)
    return _plan(p, p, {p.pairing: bounds}, {}, {**p.as_dict(), "dim": dim, "delta": delta})


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
        The pairing that σ* and ρ* assume; bounds are given under all.
    dim, delta : int, float, optional
        The profile's own by default; delta .01 if the profile has none.
    """
    dim = profile.dim if dim is None else dim
    if delta is None:
        delta = 0.01 if profile.delta is None else profile.delta.value
    reasons: dict[str, str] = {}
    bounds: dict[str, dict[str, Bound] | None] = {}
    nodes = profile.samples_per_class * profile.classes
    for which in ("block", "any", "matched"):
        violation = profile.violation("encoder", which)
        if violation is None and dim >= nodes:
            violation = f"k = {dim} violates k < {nodes}, the number of samples"
        if violation is None:
            bounds[which] = error_bounds(profile.graph("encoder", which), dim, delta)
        else:
            bounds[which] = None
            reasons[f"{which} bounds"] = violation
    violation = profile.violation("encoder", pairing)
    encoder = None if violation else profile.graph("encoder", pairing)
    if violation:
        reasons["temperature_rho"] = violation
    loss_space = "projector" if "projector" in profile.spaces else "encoder"
    projector, violation = _margin_graph(profile, loss_space, pairing)
    if violation:
        reasons["margin_sigma"] = violation
    levels = {name: getattr(profile.spaces["encoder"], name).value for name in ("alpha", "beta", "gamma")}
    parameters = {
        **levels,
        "samples_per_class": profile.samples_per_class,
        "classes": profile.classes,
        "difficult": profile.difficult,
        "pairing": pairing,
        "dim": dim,
        "delta": delta,
    }
    return _plan(encoder, projector, bounds, reasons, parameters)


class _Levels:
    """Parameters for ``formulas`` without the model's ordering: β may be negative."""

    def __init__(self, space: Space, profile: Profile, pairing: Pairing) -> None:
        self.alpha, self.beta, self.gamma = space.alpha.value, space.beta.value, space.gamma.value
        self.n, self.r, self.n_d = profile.samples_per_class, profile.classes - 1, profile.difficult
        self.pairing, self.neighbours = pairing, neighbours(self.n_d, pairing)


def _margin_graph(profile: Profile, space: str, pairing: Pairing) -> tuple[Any, str | None]:
    """The graph for σ*, or why there is none.

    A slightly negative β̂ is the rule in the projector's space, where the loss pushes the mean cosine
    towards zero. The margin theorem is an identity between normalised adjacencies and needs positive
    degrees, not positive weights; so a negative β̂ alone does not void σ*, as it does ρ* and the bounds.
    """
    graph = _Levels(profile.spaces[space], profile, pairing)
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
    shape = SimpleNamespace(n=n, n_d=n_d, r=classes - 1, pairing=parameters["pairing"])
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

"""What a simulation from samples is: its settings, and experiments of many in TOML files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from theory.channel import Channel
from theory.checks import LARGEST, RUNS, ParameterError, is_finite, require, require_integer
from theory.files import read_toml
from theory.mitigation import target
from theory.params import GraphParameters

LOSSES = ("spectral", "infonce", "adnce")
REMEDIES = ("nothing", "margin", "temperature")
LARGEST_WORLD = 4096  # nodes; tables over all pairs and dense eigenvectors beyond would take gigabytes
REQUIRED = ("alpha", "beta", "gamma", "samples_per_class", "classes", "difficult", "dim")


@dataclass(frozen=True)
class Settings:
    """Everything that determines a simulation; stored beside its results.

    Parameters
    ----------
    graph : GraphParameters
        A positive semidefinite graph of at most 4096 nodes, at least two samples per class.
    dim : int
        k, width of the embeddings, 1 <= k < N, or N with a cosine loss.
    loss : {"spectral", "infonce", "adnce"}
    remedy : {"nothing", "margin", "temperature"}
        On the spectral loss the theorems' margins or temperatures of every pair, on the others the theorems' σ* or ρ*
        on paired difficult negatives; ``closing`` has the sizes for the optimum of InfoNCE.
    steps, batch : int
        Steps of stochastic gradient; natural data in each, two views of each.
    lr : float
        Learning rate of the first step, falling linearly to zero; in units of the table F.
    tau, mu, sigma : float
        Temperature of InfoNCE and ADNCE; centre and width of ADNCE's weights over the cosine.
    seeds : int
        Runs with seeds 0, 1, …: start of the table and draws.

    Raises
    ------
    ParameterError
        If a value is outside its range, or the remedy does not exist for the graph.
    """

    graph: GraphParameters
    dim: int
    loss: str = "spectral"
    remedy: str = "nothing"
    steps: int = 2000
    batch: int = 256
    lr: float = 0.05
    tau: float = 0.5
    mu: float = 0.7
    sigma: float = 1.0
    seeds: int = 3

    def __post_init__(self) -> None:
        p = self.graph
        Channel(p)
        require_integer("samples_per_class", p.n, 2)
        nodes = p.nodes
        require(nodes <= LARGEST_WORLD, "samples_per_class * classes", nodes, f"at most {LARGEST_WORLD} nodes")
        require(self.loss in LOSSES, "loss", self.loss, "one of " + ", ".join(LOSSES))
        most = nodes - (self.loss == "spectral")  # unit vectors leave one dimension to their mean
        require_integer(
            "dim", self.dim, 1, most, limit=f", {'fewer than' if most < nodes else 'at most'} the N = {nodes} nodes"
        )
        require(self.remedy in REMEDIES, "remedy", self.remedy, "one of " + ", ".join(REMEDIES))
        require_integer("steps", self.steps, 1)
        require_integer("batch", self.batch, 2)
        for name in ("steps", "batch"):
            value = getattr(self, name)
            require(value <= LARGEST, name, value, f"at most {LARGEST:g}")
        RUNS.require("seeds", self.seeds)
        for name in ("lr", "tau", "sigma"):
            value = getattr(self, name)
            require(is_finite(value) and value > 0, name, value, f"a finite {name} > 0")
        require(is_finite(self.mu), "mu", self.mu, "a finite number")
        if self.remedy != "nothing":
            getattr(target(p), self.remedy)()  # raises where there is no such remedy

    def to_json(self) -> dict[str, Any]:
        """The settings as plain data, the graph's among them."""
        fields = asdict(self)
        return {**{k: v if isinstance(v, str | int) else float(v) for k, v in fields.pop("graph").items()}, **fields}

    @property
    def pairs_per_step(self) -> int:
        """Pairs of views whose similarity enters the loss of a batch of B natural data, each counted once.

        Spectral: B positive pairs and the B(B−1) of a first and a second view of different data. InfoNCE and
        ADNCE: B positive pairs and the 2B(B−1) of any two views of different data.
        """
        negatives = self.batch * (self.batch - 1)
        return self.batch + (negatives if self.loss == "spectral" else 2 * negatives)


def load_experiment(path: Path) -> list[Settings]:
    """The runs of a TOML file: every combination of its lists.

    Parameters
    ----------
    path : Path
        Keys are the fields of ``GraphParameters`` and ``Settings``, values single or lists.

    Raises
    ------
    ParameterError
        If the file cannot be read, has unknown keys or lacks one without a default, or a run's settings are
        outside their range.
    """
    document = read_toml(path)
    own = set(Settings.__dataclass_fields__) - {"graph"}
    unknown = sorted(set(document) - own - set(GraphParameters.__dataclass_fields__))
    if unknown:
        raise ParameterError(f"{path} has unknown {', '.join(unknown)}")
    missing = [name for name in REQUIRED if name not in document]
    if missing:
        raise ParameterError(f"{path} lacks {', '.join(missing)}")
    lists = [value if isinstance(value, list) else [value] for value in document.values()]
    require(all(lists), str(path), "an empty list", "at least one value for every key")
    return [settings_from(dict(zip(document, values, strict=True))) for values in product(*lists)]


def settings_from(fields: dict[str, Any]) -> Settings:
    """Settings from the fields of the graph and their own, by name."""
    names = set(GraphParameters.__dataclass_fields__)
    graph = GraphParameters(**{name: value for name, value in fields.items() if name in names})
    return Settings(graph, **{name: value for name, value in fields.items() if name not in names})

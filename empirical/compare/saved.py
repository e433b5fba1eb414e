"""What the folder of an experiment holds beside its runs: the experiment, and why arms are not applicable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empirical.compare.presets import Experiment
from empirical.data.digests import digests
from empirical.evaluate import protocol
from empirical.train.settings import Settings
from theory import files
from theory.checks import require, sound
from theory.files import read_document, write_json

EXPERIMENT_SCHEMA = "difficult-examples/experiment/2"
# Read for a report; not gone on with, for its arms would get other sizes, views and probes.
EARLIER: dict[str, dict[str, Any]] = {
    "difficult-examples/experiment/1": {
        "sigma": None,
        "rho": None,
        "ranking": "batch",
        "stated": None,
        "redundancy": 0.0,
        "protocol": protocol.EARLIER.probe,
        "knn_k": protocol.EARLIER.k,
        "knn_tau": None,
    }
}
REASONS, REASONS_SCHEMA = "inapplicable.json", "difficult-examples/inapplicable/1"


def folder(out: Path, omega: float) -> Path:
    """Folder of one condition."""
    return out / f"omega-{float(omega)!r}"


def claim(experiment: Experiment, out: Path) -> None:
    """Record the experiment and its data in its folder; refuse one that holds others, naming the difference."""
    refusal, data = files.belongs_to("experiment", out), experiment.base.original_data_set()
    begun = digests(data) | experiment.base.beginning(data.x_train.shape[1:])
    files.claim(out / "experiment.json", experiment.to_json(), refusal, EXPERIMENT_SCHEMA, begun)


def load_experiment(out: Path) -> Experiment:
    """The experiment recorded in a folder."""
    keys = set(Experiment.__dataclass_fields__)
    found = read_document(out / "experiment.json", EXPERIMENT_SCHEMA, keys, EARLIER, {files.DATA})
    with sound(str(out / "experiment.json")):
        fields = {name: found[name] for name in keys}
        lists = {"arms": tuple(fields["arms"]), "omegas": tuple(fields["omegas"])}
        return Experiment(**{**fields, **lists, "base": Settings.from_json(fields["base"])})


def write_reasons(out: Path, omega: float, reasons: Mapping[str, str]) -> None:
    """Record why some arms are not applicable at ω, by arm."""
    write_json(folder(out, omega) / REASONS, {"schema": REASONS_SCHEMA, "reasons": dict(reasons)})


def read_reasons(out: Path, omega: float) -> dict[str, str]:
    """Why some arms are not applicable at ω, by arm; ParameterError if the arms have not been planned yet."""
    path = folder(out, omega) / REASONS
    missing = f"a planned experiment: {path} is missing, the command that began it writes it"
    require(path.exists(), "out", out, missing)
    return dict(read_document(path, REASONS_SCHEMA, {"reasons"})["reasons"])

"""The study behind docs/study.md: every claim of the paper as conditions × seeds: ``python -m empirical.study PART``.

One pilot run → its profile → the theory's plan → one run per condition and seed, nothing tuned. Each run's final
encoder is profiled too, so that every condition has its own α̂, β̂, γ̂, λₖ₊₁ and bound beside its accuracy. Parts share
runs: a finished one is never repeated, and the same command goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from empirical.arms import NotApplicable
from empirical.compare.experiment import PILOT_SEED, check_data, task
from empirical.compare.presets import Experiment
from empirical.compare.saved import claim, load_experiment
from empirical.data.arrays import require_arrays
from empirical.evaluate.protocol import Protocol
from empirical.runs import PILOT, Task, dropped, pilot_folder, run_tasks
from empirical.study.parts import PARTS, Condition, Part
from empirical.train.logs import read_result
from empirical.train.settings import ALONE, Running, Settings
from theory.arrays import read_npz
from theory.bounds import error_bounds
from theory.checks import RUNS, ParameterError, require_known, sound
from theory.engine import HERE, Pool
from theory.files import json_text, read_json, read_table, write_together
from theory.plan import LEVELS, SPACES, THREE_LEVEL, Plan, Profile
from theory.spectrum import nth_mode, spectrum
from theory.tables import csv_text

SCHEMA = "difficult-examples/study/1"
STABILITY_BATCHES = (64, 128, 256, 512, 1024)

# --- runs ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """A folder of runs on one data set.

    Parameters
    ----------
    base : Settings
        Settings that all conditions share.
    out : Path
    running : Running
    protocol, knn_k, knn_tau
        How runs are evaluated, see ``Experiment``.
    """

    base: Settings
    out: Path
    running: Running = ALONE
    protocol: str = Protocol.probe
    knn_k: int = Protocol.k
    knn_tau: float | None = None

    @property
    def experiment(self) -> Experiment:
        """What ``empirical.compare`` records and checks."""
        one = Experiment(self.base, ("baseline",), scores="gap")  # the paper's, as in the published tables
        return replace(one, protocol=self.protocol, knn_k=self.knn_k, knn_tau=self.knn_tau)

    @property
    def pilot(self) -> Task:
        """The run that is profiled for the plan; its seed is no other run's."""
        settings = replace(self.base, seed=PILOT_SEED)
        return task(self.experiment, PILOT, settings, pilot_folder(self.out), self.running)

    @property
    def plan(self) -> Plan:
        """The theory's plan, after the pilot."""
        return Plan.load(self.pilot.out / "plan.json")

    def folder(self, condition: Condition, seed: int) -> Path:
        """Where a run is."""
        return self.out / condition.name / str(seed)

    def task(self, condition: Condition, seed: int) -> Task:
        """One run; NotApplicable if the plan has no value for it."""
        base = replace(self.base, **{"omega": condition.omega, "seed": seed, **condition.settings})
        place = self.folder(condition, seed)
        if condition.arm == "untrained":
            return task(self.experiment, "untrained", base, place, self.running, measured=True)
        from empirical.arms import ARMS

        loss = ARMS[condition.arm].loss or base.loss
        remedy = condition.remedy(self.plan, loss)
        drop = dropped(condition.arm, base, self.pilot.out, seed)
        settings = replace(base, arm=condition.arm, loss=loss, remedy=remedy, drop=drop)
        return task(self.experiment, "arm", settings, place, self.running, measured=True)

    def tasks(self, part: Part, seeds: int) -> Iterator[Task]:
        """The part's applicable runs, seed by seed."""
        for seed in range(seeds):
            for condition in part.conditions:
                try:
                    yield self.task(condition, seed)
                except NotApplicable:
                    continue


def run_part(study: Study, name: str, seeds: int | None = None, pool: Pool = HERE) -> None:
    """Run a part's conditions that are not finished.

    Parameters
    ----------
    study : Study
    name : str
        A key of ``PARTS``.
    seeds : int, optional
        Runs per condition; by default the part's.
    pool : Pool
        Where, see ``theory.workers.workers``; by default in this process.

    Raises
    ------
    ParameterError
        If a value is out of range, or the folder holds a study with other settings.
    """
    part, seeds = PARTS[name], check_part(study, name, seeds)
    claim(study.experiment, study.out)
    study.base.original_data_set().reading.tell(study.out)
    run_tasks([study.pilot], pool, "pilot")
    run_tasks(list(study.tasks(part, seeds)), pool, name)


def check_part(study: Study, name: str, seeds: int | None = None) -> int:
    """Refuse, before anything is written, a part that could not be run to its end; returns its runs per condition.

    Parameters and errors are those of ``run_part``.
    """
    require_known("part", name, PARTS)
    part = PARTS[name]
    check_data(study.experiment, study.running)
    for condition in part.conditions:
        settings = replace(study.base, omega=condition.omega, **condition.settings)  # which checks them
        if condition.settings:
            check_data(replace(study.experiment, base=settings), study.running)
    runs = part.seeds if seeds is None else seeds
    RUNS.require("seeds", runs)
    return runs


# --- results ---------------------------------------------------------------------------------------


def conditions_by_name() -> dict[str, Condition]:
    """Every condition of every part once."""
    return {condition.name: condition for part in PARTS.values() for condition in part.conditions}


def load_study(out: Path) -> Study:
    """The study recorded in a folder; ParameterError if there is none."""
    found = load_experiment(out)
    return Study(found.base, Path(out), ALONE, found.protocol, found.knn_k, found.knn_tau)


def collect(study: Study) -> pd.DataFrame:
    """One row for every finished run: what it was, its accuracies, its measured graph and the bound."""
    rows = []
    for name, condition in conditions_by_name().items():
        for path in sorted((study.out / name).glob("*/result.json"), key=lambda p: int(p.parent.name)):
            result = read_result(path)
            remedy = result["settings"]["remedy"] or {}
            row: dict[str, Any] = {"condition": name, "arm": condition.arm, "omega": condition.omega}
            row |= {key: result["settings"][key] for key in ("seed", "batch", "tau", "loss")}
            row |= {key: remedy.get(key) for key in ("sigma", "rho", "pos_high", "pos_low")}
            row |= {"dropped": len(result["settings"]["drop"]), **result["metrics"], **_training(path.parent)}
            row |= _graph(path.parent, result["settings"]["dim"])
            rows.append({**row, "protocol": result["protocol"].probe, "seconds": result["seconds"]})
    if not rows:
        raise ParameterError("out", study.out, "a folder with finished runs of the study")
    return pd.DataFrame(rows)


def _training(place: Path) -> dict[str, float]:
    """Means over the last epoch."""
    path = place / "metrics.csv"
    if not path.exists():
        return {}
    names = ("loss", "flagged_share", "robust_radius", "effective_negatives", "alignment", "uniformity")
    last = read_table(path, *names).iloc[-1]
    return {f"train_{name}": float(last[name]) for name in names}


def _graph(place: Path, dim: int) -> dict[str, float | None]:
    """The measured graph of a run's final encoder: levels, λₖ₊₁ measured and of the model, bounds."""
    path = place / "profile.json"
    if not path.exists():
        return {}
    profile = Profile.load(path)
    row: dict[str, float | None] = {"delta": None if profile.delta is None else profile.delta.value}
    for space in SPACES:
        row |= {f"{space}_{level}": getattr(profile.spaces[space], level).value for level in LEVELS}
    measured = read_json(place / "spectrum.json", "eigenvalues")["eigenvalues"]
    row["lambda_measured"] = measured[dim] if measured and dim < len(measured) else None
    for pairing in THREE_LEVEL:
        row |= dict.fromkeys((f"lambda_{pairing}", f"bound_{pairing}"))
        if profile.violation("encoder", pairing) is None and row["delta"] is not None:
            graph = profile.graph("encoder", pairing)
            exact = nth_mode(spectrum(graph), dim + 1).eigenvalue
            row[f"lambda_{pairing}"] = exact
            row[f"bound_{pairing}"] = error_bounds(graph, dim, row["delta"])["difficult"].bound
    return row


def selection_stability(features: Any, pos_high: float, pos_low: float, seed: int = 0) -> list[dict[str, float]]:
    """How well a batch's band agrees with that of all images, by batch size.

    Parameters
    ----------
    features : ndarray
        Pre-projector features of N images, shape (N, d).
    pos_high, pos_low : float
        The band.
    seed : int
        Of the random batches.

    Returns
    -------
    list of dict
        ``batch``; ``low_spread``, the standard deviation over batches of the band's lower end;
        ``agreement``, the Jaccard index of the pairs that a batch flags and those that the band of all pairs does.
    """
    import torch

    from empirical.losses import cosine_similarities
    from empirical.selection import in_band, rank_band

    similarities = cosine_similarities(torch.from_numpy(np.asarray(features, dtype=np.float32)))
    similarities.fill_diagonal_(-torch.inf)
    everywhere = rank_band(similarities, pos_high, pos_low)
    generator = np.random.default_rng(seed)
    rows = []
    for batch in STABILITY_BATCHES:
        if batch > len(similarities):
            continue
        lows, both, either = [], 0, 0
        for _ in range(max(4, 8192 // batch)):
            chosen = torch.from_numpy(generator.permutation(len(similarities))[:batch])
            part = similarities[chosen][:, chosen]
            band = rank_band(part, pos_high, pos_low)
            here, there = in_band(part, band), in_band(part, everywhere)
            both, either = both + int((here & there).sum()), either + int((here | there).sum())
            lows.append(float(band[0]))
        rows.append({"batch": batch, "low_spread": float(np.std(lows)), "agreement": both / max(1, either)})
    return rows


def summary(study: Study) -> dict[str, Any]:
    """The study's plan, profile, settings and environment, and which runs exist, as plain data."""
    plan, place = study.plan, study.pilot.out
    evidence = read_npz(place / "evidence.npz")
    require_arrays(place / "evidence.npz", evidence, ("features",))
    data = study.base.data
    reasons = {}
    for name, condition in conditions_by_name().items():
        try:
            if condition.arm != "untrained":
                condition.remedy(plan, study.base.loss)
        except NotApplicable as reason:
            reasons[name] = str(reason)
    return {
        "schema": SCHEMA,
        "settings": study.base.to_json() | {"data": Path(data.partition(":")[2]).name or data},
        "protocol": study.pilot.protocol.to_json(),
        "environment": read_json(place / "environment.json"),
        "parts": {
            name: {"question": p.question, "seeds": p.seeds, "conditions": [c.name for c in p.conditions]}
            for name, p in PARTS.items()
        },
        "not_applicable": reasons,
        "plan": plan.remedies,
        "predictions": plan.predictions,
        "profile": Profile.load(place / "profile.json").to_json(),
        "selection_stability": selection_stability(evidence["features"], plan.pos_high, plan.pos_low),
    }


def publish(study: Study, stem: Path) -> tuple[Path, Path]:
    """Write ``stem``.csv, one row a run, and ``stem``.json, the summary; returns the two paths."""
    table, document = stem.with_suffix(".csv"), stem.with_suffix(".json")
    with sound(f"results in {study.out}"):
        written, found = csv_text(collect(study), "%.6g"), json_text(summary(study))
    write_together({table: written, document: found})
    return table, document

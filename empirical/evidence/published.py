"""The results of the evidence: a table with a row a run, and what the errors of the claims' differences need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from empirical.data.arrays import require_arrays
from empirical.evidence.crossed import Effect, Paired, crossed_effect
from empirical.evidence.design import CHECKS, IDENTITY, Claim, families, planned
from empirical.published import read_published
from empirical.runs import pilot_folder
from theory.arrays import read_npz
from theory.checks import ParameterError, require
from theory.files import json_text, read_json, write_together
from theory.tables import csv_text

SCHEMA = "difficult-examples/evidence/1"
ENVIRONMENT = "environment.json"  # in the folder of all results, of the machine that began them
KEY = ["bench", "entry", "set", "seed"]
FEWEST_SEEDS = 2
ENOUGH_SETS = 3  # training sets for a verdict: fewer leave the variance between them unknown

# --- from runs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """Finished runs in a folder."""

    out: Path

    def files(self, bench: str, entry: str) -> Iterator[tuple[int, Path]]:
        """Files of ten seeds of an entry with the number of their training set."""
        for path in sorted((self.out / "runs" / bench / entry).glob("[0-9]*-*.npz")):
            yield int(path.name.partition("-")[0]), path

    def runs(self) -> pd.DataFrame:
        """One row a run."""
        rows = []
        for folder in sorted((self.out / "runs").glob("*/*")):
            bench, entry = folder.parent.name, folder.name
            for number, path in self.files(bench, entry):
                found = read_npz(path)
                require_arrays(path, found, ("seeds", "accuracy", "correct", "images"))
                columns = {name: found[name] for name in found if name not in ("correct", "images")}
                part = pd.DataFrame(columns).rename(columns={"seeds": "seed"})
                rows.append(part.assign(bench=bench, entry=entry, set=number))
        if not rows:
            raise ParameterError("out", self.out, "a folder with finished runs of the evidence")
        table = pd.concat(rows).sort_values(KEY)
        return table[[*KEY, *(name for name in table if name not in KEY)]]

    def right(self, name: str) -> dict[tuple[int, int], NDArray[np.bool_]]:
        """Which images each run of an entry, ``BENCH/ENTRY``, got right, by training set and seed."""
        return _right(self, name)

    def paired(self, claim: Claim) -> tuple[Paired, list[int], list[int]] | None:
        """What a claim's runs need, with their sets and seeds; None where there are too few."""
        larger, smaller = self.right(claim.larger), self.right(claim.smaller)
        return compare(larger, smaller)


@lru_cache(maxsize=4)
def _right(results: Results, name: str) -> dict[tuple[int, int], NDArray[np.bool_]]:
    bench, _, entry = name.partition("/")
    found = {}
    for number, path in results.files(bench, entry):
        content = read_npz(path)
        require_arrays(path, content, ("seeds", "correct", "images"))
        images = int(content["images"])
        for seed, bits in zip(content["seeds"].tolist(), content["correct"], strict=True):
            found[number, seed] = np.unpackbits(bits, count=images).astype(bool)
    return found


Runs = dict[tuple[int, int], NDArray[np.bool_]]


def compare(larger: Runs, smaller: Runs) -> tuple[Paired, list[int], list[int]] | None:
    """The runs that two entries share, as a whole table of training sets and seeds; None below two seeds."""
    both = larger.keys() & smaller.keys()
    sets = sorted({number for number, _ in both})
    seeds = sorted(set.intersection(*({s for n, s in both if n == number} for number in sets)) if sets else set())
    if len(seeds) < FEWEST_SEEDS:
        return None
    a, b = (np.stack([[runs[n, s] for s in seeds] for n in sets]) for runs in (larger, smaller))
    return Paired.of(a, b), sets, seeds


def publish(out: Path, stem: Path) -> list[Path]:
    """Write ``stem``.csv, a row a run, and ``stem``.json, what the claims' errors need; returns the paths.

    What the parts ``theory`` and ``people`` have found is written beside them.
    """
    from empirical.evidence.choices import FILE

    results = Results(out)
    runs = results.runs()
    document = {
        "schema": SCHEMA,
        "choices": read_json(FILE),
        "environment": read_json(out / ENVIRONMENT),
        "checks": {bench: _needed(results, claim) for bench, claim in CHECKS.items()},
        "identity": _needed(results, IDENTITY),
        "claims": {name: [_needed(results, claim) for claim in claims] for name, claims in families().items()},
    }
    pilot = pilot_folder(out / "scratch") / "c.json"
    if pilot.exists():
        document["scratch"] = read_json(pilot) | {"environment": read_json(out / "scratch" / ENVIRONMENT)}
    table, summary = stem.with_suffix(".csv"), stem.with_suffix(".json")
    write_together({table: csv_text(runs, "%.6g"), summary: json_text(document)})
    written = [table, summary]
    if (out / "theory").is_dir():
        from empirical.evidence.theory import publish_theory

        written += publish_theory(out, stem)
    if (out / "people").is_dir():
        from empirical.evidence.people import publish_people

        written.append(publish_people(out, stem))
    return written


def _needed(results: Results, claim: Claim) -> dict[str, Any]:
    found = {"larger": claim.larger, "smaller": claim.smaller}
    paired = results.paired(claim)
    if paired is None:
        return found
    p, sets, seeds = paired
    images = {"images": p.images, "image_variance": p.image_variance, "discordant": p.discordant}
    return {**found, "sets": sets, "seeds": seeds, **images}


# --- from files ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """Published results.

    Parameters
    ----------
    runs : DataFrame
        A row a run.
    document : dict
    """

    runs: pd.DataFrame
    document: dict[str, Any]

    def effect(self, needed: dict[str, Any]) -> Effect | None:
        """The effect of a claim from its entry in the document; None where it has not been run."""
        if "images" not in needed:
            return None
        larger, smaller = (self._accuracy(needed[side], needed) for side in ("larger", "smaller"))
        return crossed_effect(
            Paired(larger - smaller, needed["images"], needed["image_variance"], needed["discordant"])
        )

    def effects(self, family: str) -> list[Effect | None]:
        """The effects of a family's claims; None where runs are missing."""
        return [self.effect(n) if finished(n) else None for n in self.document["claims"][family]]

    def check(self, bench: str) -> Effect | None:
        """The effect of the oracle on a bench; None where runs are missing."""
        needed = self.document["checks"][bench]
        return self.effect(needed) if finished(needed) else None

    def _accuracy(self, name: str, needed: dict[str, Any]) -> NDArray[np.float64]:
        bench, _, entry = name.partition("/")
        chosen = self.runs[(self.runs.bench == bench) & (self.runs.entry == entry)]
        table = chosen.pivot(index="set", columns="seed", values="accuracy")
        return np.asarray(table.loc[needed["sets"], needed["seeds"]], dtype=float)


def finished(needed: dict[str, Any]) -> bool:
    """Whether a claim has all its seeds, on all training sets or on ``ENOUGH_SETS`` of them."""
    plans = [planned()[needed[side]] for side in ("larger", "smaller")]
    seeds = set(plans[0].seeds) & set(plans[1].seeds)
    sets = min(ENOUGH_SETS, *(plan.sets for plan in plans))
    return seeds <= set(needed.get("seeds", ())) and len(needed["sets"]) >= sets


def load_evidence(stem: Path) -> Evidence:
    """Published results; ParameterError if they are not there, or of another design."""
    runs, document = read_published(stem, SCHEMA, "set", "seed", "accuracy")
    for name, claims in families().items():
        found = [(c["larger"], c["smaller"]) for c in document["claims"].get(name, ())]
        wanted = [(c.larger, c.smaller) for c in claims]
        require(found == wanted, f"claims of {stem}.json", name, "those of the protocol: publish again")
    return Evidence(runs, document)

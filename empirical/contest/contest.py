"""A contest of metrics: feature sets of very different quality, what is measured on each, and who foretold it.

Every step of every set is a file in the contest's folder, so that the same command goes on where it was interrupted.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from empirical.contest.makers import MAKERS, Bench, encoded
from empirical.contest.rivals import FEW
from empirical.contest.scores import DRAWS, PROTOCOL, Data, Row, bounded, foretold, measured
from empirical.contest.sets import UNLIKE, Recipe
from empirical.contest.table import table
from empirical.data import take
from empirical.data.arrays import save_array
from empirical.data.digests import digests
from empirical.pretrained import PACKAGE, weights_path
from empirical.train.checkpoint import load_network
from empirical.train.logs import environment
from theory.arrays import read_array
from theory.checks import ParameterError, require
from theory.engine import HERE, Pool, report
from theory.files import belongs_to, claim, json_text, read_json, write_json, write_together
from theory.tables import csv_text, restored

SCHEMA, SETTINGS_SCHEMA = "difficult-examples/contest/1", "difficult-examples/contest-settings/1"
VIEWED, VIEWS = 2_000, 3  # labelled images of which augmented views are encoded, views of each
PARTS: dict[str, Callable[[Data], Row]] = {"measured": measured, "bounded": bounded, "foretold": foretold}

# --- features --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Making:
    """The task of one encoder: its feature sets, each in a folder of its own."""

    bench: Bench
    recipe: Recipe

    @property
    def record(self) -> Path:
        """The file that is written last: the names of its sets."""
        return self.bench.out / "made" / f"{self.recipe.name}.json"

    @property
    def finished(self) -> bool:
        """Whether the record is there, and whole."""
        return _whole(self.record, "sets")


def make(task: Making) -> None:
    """Make an encoder and its features: labelled training images, test images, and views of some of the former."""
    if task.finished:
        return
    started, bench, recipe = time.perf_counter(), task.bench, task.recipe
    images = bench.images
    labelled = take(images.x_train, torch.arange(bench.scale.labelled))
    drawn, view = torch.Generator().manual_seed(0), bench.settings.augmentation
    encode = MAKERS[recipe.family](bench, recipe, lambda step, steps, _: report(step / max(steps, 1)))
    parts = {"train": encoded(encode, labelled), "test": encoded(encode, images.x_test)}
    views = [encoded(encode, labelled[:VIEWED], lambda x: view(x, drawn)) for _ in range(VIEWS)]
    parts["views"] = {space: np.stack([one[space] for one in views]) for space in views[0]}
    names = {space: f"{recipe.name}-{space}" if space else recipe.name for space in views[0]}
    for part, features in parts.items():
        for space, name in names.items():
            save_array(bench.out / "sets" / name / f"{part}.npy", features[space])
    write_json(task.record, {"sets": list(names.values()), "seconds": time.perf_counter() - started})


# --- numbers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measuring:
    """The task of one feature set: what is measured on it, and what is foretold of it."""

    bench: Bench
    name: str

    def record(self, part: str) -> Path:
        """The file of one of ``PARTS``."""
        return self.bench.out / "sets" / self.name / f"{part}.json"

    @property
    def missing(self) -> list[str]:
        """Parts that are not on disk, or damaged."""
        return [part for part in PARTS if not _whole(self.record(part))]


def measure_set(task: Measuring) -> None:
    """Do the missing parts of a set."""
    if not task.missing:
        return
    images, count = task.bench.images, task.bench.scale.labelled
    train, test, views = (read_array(task.bench.out / "sets" / task.name / f"{part}.npy") for part in _FILES)
    data = Data(train, images.y_train[:count].numpy(), test, images.y_test.numpy(), views)
    for part in task.missing:
        write_json(task.record(part), PARTS[part](data))


_FILES = ("train", "test", "views")

# --- contest ---------------------------------------------------------------------------------------


def run_contest(bench: Bench, recipes: Sequence[Recipe], pool: Pool = HERE) -> dict[str, str]:
    """Make and measure all feature sets that are not finished; returns families that are left out, and why.

    Parameters
    ----------
    bench : Bench
    recipes : sequence of Recipe
    pool : Pool
        Where, see ``theory.workers.workers``; by default in this process.

    Raises
    ------
    ParameterError
        If the folder holds a contest on other data, the data do not suit it, or a checkpoint cannot be used.
    """
    if bench.data == "digits" and any(recipe.family == "checkpoint" for recipe in recipes):
        raise ParameterError("checkpoints of digits have trained on images that are tested here")
    for recipe in recipes:
        if recipe.path is not None and not Making(bench, recipe).record.exists():
            load_network(recipe.path, bench.trusted)  # which refuses what it cannot use before anything is done
    images = bench.images  # which checks them
    fewest = int(np.bincount(images.y_train[: bench.scale.labelled].numpy(), minlength=images.classes).min())
    require(fewest >= FEW, "labelled", bench.scale.labelled, f"{FEW} images of every class (found {fewest})")
    refusal, data = belongs_to("contest", bench.out), digests(images)
    claim(bench.out / "contest.json", _settings(bench), refusal, SETTINGS_SCHEMA, data)
    images.reading.tell(bench.out)
    skipped = left_out(images.x_train.shape[1])
    suiting = [
        recipe for recipe in recipes if recipe.family not in skipped and suits(recipe, *images.x_train.shape[2:])
    ]
    made = [Making(bench, recipe) for recipe in suiting]
    _run(pool, make, [task for task in made if not task.finished], "encoders")
    names = [name for task in made for name in _sets(task)]
    _run(pool, measure_set, [task for name in names if (task := Measuring(bench, name)).missing], "feature sets")
    return {family: reason for family, reason in skipped.items() if any(r.family == family for r in recipes)}


def left_out(channels: int) -> dict[str, str]:
    """Families that cannot take part here, and why."""
    if channels != 3:
        return {"pretrained": f"it takes images of 3 channels, these have {channels}"}
    return {} if weights_path() is not None else {"pretrained": f"the package {PACKAGE} is not installed"}


def suits(recipe: Recipe, height: int, width: int) -> bool:
    """Whether a recipe makes sense for images of this size: pixels are averaged, not repeated."""
    return recipe.family != "pixels" or int(recipe.value) <= min(height, width)


def _run(pool: Pool, function: Any, tasks: Sequence[Any], description: str) -> None:
    if tasks:
        pool.run(function, tasks, [1] * len(tasks), desc=description, unit="set")


def _sets(task: Making) -> list[str]:
    names: list[str] = read_json(task.record, "sets")["sets"]
    return names


def _whole(record: Path, *keys: str) -> bool:
    """Whether a record is there and can be read; a damaged one is done again."""
    if not record.exists():
        return False
    try:
        require(bool(read_json(record, *keys)), str(record), "{}", "a record")
        return True
    except ParameterError as error:
        warnings.warn(f"{error}: it is done again", stacklevel=2)
        return False


def _settings(bench: Bench) -> dict[str, Any]:
    """What all sets of a folder share; the recipes may grow."""
    return {
        "data": bench.data,
        "test": bench.test,
        "labelled": bench.scale.labelled,
        "others": bench.scale.others,
        "networks": bench.scale.networks,
    }


def collect(bench: Bench, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """One row for every finished feature set: its family, what was measured, and what was foretold."""
    rows = []
    for recipe in recipes:
        task = Making(bench, recipe)
        for name in _sets(task) if task.finished else []:
            of = Measuring(bench, name)
            if not of.missing:
                row: Row = {"name": name, "family": recipe.family, "value": recipe.value}
                for part in PARTS:
                    row |= read_json(of.record(part))
                rows.append(row)
    return pd.DataFrame(rows)


def publish(bench: Bench, recipes: Sequence[Recipe], skipped: dict[str, str], stem: Path) -> tuple[Path, Path]:
    """Write ``stem``.csv, one row a set, and ``stem``.json: settings, what was left out, the tables; the two paths."""
    written = csv_text(collect(bench, recipes), "%.6g")
    rows = restored(pd.read_csv(StringIO(written)))  # so that the table follows from the file
    settings = _settings(bench)
    likes = rows[~rows.family.isin(UNLIKE)]
    document = {
        "schema": SCHEMA,
        "settings": settings | {"data": Path(bench.data.partition(":")[2]).name or bench.data},
        "test_images": len(bench.images.y_test),
        "protocol": PROTOCOL.to_json(),
        "few": {"labels_per_class": FEW, "draws": DRAWS},
        "views": {"images": min(VIEWED, bench.scale.labelled), "of_each": VIEWS},
        "environment": environment(torch.device("cpu")),
        "sets": len(likes),
        "counted_apart": len(rows) - len(likes),
        "left_out": skipped,
        "table": table(likes),
    }
    paths = stem.with_suffix(".csv"), stem.with_suffix(".json")
    write_together({paths[0]: written, paths[1]: json_text(document)})
    return paths

"""Run the parts of the protocol that are not finished: caches, pilot runs, tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from empirical.arms import NotApplicable
from empirical.evidence import tuning
from empirical.evidence.adapters import Task, execute, pilot, prepare, remedy_of
from empirical.evidence.caches import cache, tuning_cache
from empirical.evidence.choices import FILE, read_choices
from empirical.evidence.design import BENCHES, CHUNK, PARTS, Entry, Part
from empirical.evidence.published import ENVIRONMENT
from theory.checks import ParameterError
from theory.engine import Pool
from theory.files import json_text, read_json, write_json, write_together
from theory.tables import csv_text

EXAMINED = 3  # training sets on which levels and bounds are measured
Sources = Mapping[str, str]  # of each data set of ``SPLITS``, see ``empirical.data.load``
Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def require_sources(parts: Iterable[str], sources: Sources) -> None:
    """ParameterError that names a data set that one of the parts needs and has not been given."""
    for name in parts:
        data = BENCHES[PARTS[name].bench].data
        if data not in sources:
            raise ParameterError(f"part {name} needs the images of {data}: --{data} DATA")


def run_part(name: str, sources: Sources, out: Path, pool: Pool, bar: Bar, sets: int | None = None) -> None:
    """Run what is not finished of a part.

    Parameters
    ----------
    name : str
        A key of ``PARTS``.
    sources : mapping of str to str
    out : Path
        Folder of caches and results, shared by all parts.
    pool : Pool
    bar : callable
        Makes a progress bar for the images that are embedded.
    sets : int, optional
        Fewer training sets than the bench has.

    Raises
    ------
    ParameterError
        If data are missing, or nothing has been chosen for them.
    """
    part = PARTS[name]
    bench = BENCHES[part.bench]
    choices = read_choices(bench.data, bench.stated)
    with bar("cache") as progress:
        views = cache(bench, sources[bench.data], out / "caches", sets, progress)
    _note_environment(out)
    views = views[: part.sets]
    ready = [Task(part.bench, "pilot", Entry(), i, path, (), choices, out) for i, path in enumerate(views)]
    todo = [task for task in ready if not (pilot(task) / "plan.json").exists()]
    pool.run(prepare, todo, [1] * len(todo), desc="pilot", unit="run")
    tasks = [task for task in _tasks(part, ready) if not task.path.exists()]
    pool.run(execute, tasks, [len(task.seeds) for task in tasks], desc=name, unit="run")


def _tasks(part: Part, ready: Sequence[Task]) -> Iterable[Task]:
    """Tasks of ten seeds; entries for which a plan has no value are left out."""
    for name, entry in part.entries.items():
        for first in part.seeds[::CHUNK]:
            seeds = tuple(seed for seed in part.seeds if first <= seed < first + CHUNK)
            for base in ready:
                task = Task(base.bench, name, entry, base.number, base.views, seeds, base.choices, base.out)
                try:
                    remedy_of(task)
                except NotApplicable:
                    continue
                yield task


def run_scratch(data: str, out: Path, pool: Pool) -> None:
    """Run what is not finished of instrument B."""
    from empirical.data import load
    from empirical.evidence import scratch

    reading = load(data).reading  # an error comes before anything is written
    reading.announce()  # which the runs store
    _note_environment(out)
    _note_environment(out / "scratch", on_gpu=True)
    epochs = scratch.BASE.epochs
    first = [task for task in [scratch.pilot_task(data, out)] if not scratch.prepared(task)]
    pool.run(scratch.prepare, first, [epochs] * len(first), desc="pilot", unit="epoch")
    todo = [task for task in scratch.tasks(data, out) if not task.path.exists()]
    pool.run(scratch.execute, todo, [epochs] * len(todo), desc="from scratch", unit="epoch")


def look(what: str, sources: Sources, people: Path | None, out: Path, pool: Pool, bar: Bar) -> None:
    """Run what is not finished of the parts ``theory`` and ``people``, which train runs of instrument A again.

    Parameters
    ----------
    what : {"theory", "people"}
    sources, out, pool, bar
        See ``run_part``.
    people : Path or None
        What people see, for the part ``people``.
    """
    from empirical.evidence.people import look_from_scratch, run_people
    from empirical.evidence.theory import run_theory

    bench = BENCHES["cifar10"]
    choices = read_choices(bench.data, bench.stated)
    with bar("cache") as progress:
        views = cache(bench, sources[bench.data], out / "caches", None, progress)
    if what == "theory":
        run_theory(views[:EXAMINED], choices, out, pool)
        return
    assert people is not None
    run_people(views, people, out / "caches" / "data" / f"{bench.data}.npz", choices, out, pool)
    look_from_scratch(out, people, out)


def tune(benches: Iterable[str], sources: Sources, out: Path, pool: Pool, bar: Bar) -> None:
    """Choose C, τ, σ and ρ on the tuning sets; writes choices.json and tuning.csv into ``out``."""
    import pandas as pd

    documents, tables = read_json(FILE) if FILE.exists() else {}, []
    for name in benches:
        bench = BENCHES[name]
        with bar("cache") as progress:
            views = tuning_cache(bench, sources[bench.data], out / "caches", progress)
        first = tuning.choosing_c(name, views, out)
        pool.run(tuning.choose, [first], [len(first.seeds)], desc="choice of C", unit="run")
        c = tuning.most_frequent(read_json(tuning.c_file(first), "c")["c"])
        tried = tuning.tasks(name, views, c, out)
        todo = [task for task in tried if not task.path.exists()]
        pool.run(execute, todo, [len(task.seeds) for task in todo], desc=f"tuning on {name}", unit="run")
        tables.append(tuning.table(tried))
        documents[bench.data] = tuning.chosen(name, c, tables[-1]).to_json()
        table = csv_text(pd.concat(tables), "%.6g")
        write_together({out / "tuning.csv": table, out / "choices.json": json_text(documents)})


def _note_environment(out: Path, on_gpu: bool = False) -> None:
    """Of the machine that began these runs; those of adapters have no use for a GPU."""
    import torch

    from empirical.train.logs import environment

    if not (out / ENVIRONMENT).exists():
        device = "cuda" if on_gpu and torch.cuda.is_available() else "cpu"
        write_json(out / ENVIRONMENT, environment(torch.device(device)))

"""What is chosen on the tuning set with seeds 0 to 9: C, the best τ, and for our arms the best σ and ρ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from empirical.arms import Given
from empirical.data.arrays import require_arrays
from empirical.encoders import extract
from empirical.evaluate.probes import choose_c
from empirical.evidence.adapters import TUNING, Task, settings_of, trained
from empirical.evidence.choices import TUNED, Choices
from empirical.evidence.design import BENCHES, TUNING_SEEDS, Entry
from theory.arrays import read_npz
from theory.engine import report
from theory.files import write_json

TAUS = (0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
SIGMAS, RHOS = (0.01, 0.03, 0.1, 0.2, 0.3), (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
SIZED = ("cifar10",)  # where σ and ρ are chosen too
SEEDS = tuple(TUNING_SEEDS)


def choosing_c(bench: str, views: Path, out: Path) -> Task:
    """The task of ``choose``: the baseline at the stated temperature."""
    return Task(bench, "c", Entry(), TUNING, views, SEEDS, Choices(1.0, BENCHES[bench].tau), out)


def c_file(task: Task) -> Path:
    """What ``choose`` writes."""
    return task.out / "runs" / task.bench / "c.json"


def choose(task: Task) -> None:
    """The C that cross-validation on the training rows chooses for each seed of a task."""
    if c_file(task).exists():
        return
    chosen = []
    for seed in task.seeds:
        s = settings_of(task, seed)
        images = s.original_data_set()
        network, _ = trained(s)
        chosen.append(choose_c(extract(network, images.x_train)[0].numpy(), images.y_train.numpy()))
        report(len(chosen))
    write_json(c_file(task), {"c": chosen})


def most_frequent(values: Iterable[float]) -> float:
    """The most frequent value, of equally frequent ones the smallest."""
    counted = Counter(values)
    return min(value for value, count in counted.items() if count == max(counted.values()))


def grid(bench: str) -> Iterator[tuple[str, Entry]]:
    """What is tried, with names."""
    stated = BENCHES[bench].stated
    for tau in TAUS:
        yield f"tau-{tau:g}", Entry(tau=tau)
    if bench not in SIZED:
        return
    for sigma in SIGMAS:
        yield f"margin-{sigma:g}", Entry("margin", given=Given("paper", sigma=sigma, stated=stated))
    for rho in RHOS:
        yield f"temperature-{rho:g}", Entry("temperature", given=Given("paper", rho=rho, stated=stated))
    for sigma, rho in product(SIGMAS, RHOS):
        yield f"combined-{sigma:g}-{rho:g}", Entry("combined", given=Given("paper", sigma, rho, stated=stated))


def tasks(bench: str, views: Path, c: float, out: Path) -> list[Task]:
    """The grid as tasks."""
    choices = Choices(c, BENCHES[bench].tau)
    return [Task(bench, f"tuning/{name}", entry, TUNING, views, SEEDS, choices, out) for name, entry in grid(bench)]


def table(found: Iterable[Task]) -> pd.DataFrame:
    """Mean accuracy over the seeds of every point that was tried, and its standard error."""
    rows = []
    for task in found:
        result = read_npz(task.path)
        require_arrays(task.path, result, ("accuracy",))
        accuracy = result["accuracy"]
        point = {"bench": task.bench, "point": task.name.partition("/")[2], "seeds": len(accuracy)}
        error = accuracy.std(ddof=1) / np.sqrt(len(accuracy))
        rows.append({**point, "accuracy": accuracy.mean(), "error": error})
    return pd.DataFrame(rows)


def chosen(bench: str, c: float, tried: pd.DataFrame) -> Choices:
    """The best points of a bench's table."""
    accuracy: dict[str, float] = dict(tried[tried.bench == bench][["point", "accuracy"]].itertuples(index=False))
    entries = dict(grid(bench))

    def best(kind: str) -> Entry | None:
        names = [name for name in entries if name.startswith(f"{kind}-")]
        return entries[max(names, key=lambda name: float(accuracy[name]))] if names else None

    tau = best("tau")
    assert tau is not None
    assert isinstance(tau.tau, float)
    margin, temperature, combined = (None if (e := best(arm)) is None else e.given for arm in TUNED)
    return Choices(c, tau.tau, margin, temperature, combined)

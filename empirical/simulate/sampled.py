"""Contrastive learning in the theory's own world, from samples: ``python -m empirical.simulate``.

The augmentation channel of a similarity graph draws natural data and two views of each; a table with one
embedding per node is trained on them by stochastic gradient. What the theory states about the minimiser of
the population loss becomes visible as the angle between the embedding and the eigenspaces against steps.

The table holds F = √π·f, the embeddings f times the root of the share π of their node in all degrees. In F the
spectral loss is ‖F·Fᵀ − T‖² up to a constant, T the normalised adjacency less the normalised margins, so that
worlds with the same T have the same gradient flow, whatever their degrees.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from empirical.data.arrays import require_arrays
from empirical.losses import info_nce
from empirical.simulate.settings import Settings
from theory import formulas
from theory.arrays import read_npz
from theory.channel import Channel
from theory.checks import require
from theory.engine import Pool, report
from theory.files import belongs_to, claim, write_bytes, write_text
from theory.graph import SimilarityGraph
from theory.kinds import paper_weights
from theory.params import GraphParameters
from theory.simulate import write_results
from theory.tables import csv_text
from theory.workers import workers

SCHEMA = "difficult-examples/simulation/1"
COLUMNS = ("step", "loss", "angle_clean", "angle_difficult", "angle_exact", "probe_error")
SMALL_WORLD = 256  # nodes; beyond, a step over all pairs costs more than one over a batch
RECORDS = 20
DRAWN_AT_ONCE = 2**17  # natural data: sampling costs more per call than per datum below
SAME_EIGENVALUE = 1e-9
Array = NDArray[np.float64]
Progress = Callable[[int], None]


class World:
    """A similarity graph with what a loss needs to know about its nodes and pairs.

    Parameters
    ----------
    settings : Settings
    dtype : torch.dtype
        Of all tables.

    Attributes
    ----------
    channel : Channel
    share : Tensor, shape (N,)
        π, the nodes' shares in the sum of all degrees: how often a view is this node.
    joint : Tensor, shape (N, N)
        How often two views of a natural datum are these nodes.
    """

    def __init__(self, settings: Settings, dtype: torch.dtype = torch.float32) -> None:
        p, graph = settings.graph, SimilarityGraph(settings.graph)
        self.settings, self.channel = settings, Channel(p)
        degrees, weights = graph.degrees(), graph.weights()
        self.share = torch.from_numpy(degrees / degrees.sum()).to(dtype)
        self.joint = torch.from_numpy(weights / weights.sum()).to(dtype)
        self._scale = self.share.rsqrt()[:, None]
        self._margins = self._temperatures = self._paired = None
        if settings.remedy == "nothing":
            return
        if settings.loss != "spectral":
            gamma_alone = paper_weights(0, 0, 1, p.pairing)._replace(difficult_diagonal=0, easy_diagonal=0)
            self._paired = torch.from_numpy(gamma_alone.matrix(p) > 0)
        elif settings.remedy == "margin":
            table = formulas.margins(p, math.sqrt).matrix(p)
            self._margins = torch.from_numpy(table * degrees.sum()).to(dtype)
        else:
            table = formulas.temperatures(p, math.sqrt).matrix(p)
            self._temperatures = torch.from_numpy(table).to(dtype)

    def start(self, seed: int) -> Tensor:
        """A random table F with rows of length about √π, shape (N, dim)."""
        p, dim = self.settings.graph, self.settings.dim
        table = np.random.default_rng([seed, 0]).standard_normal((p.nodes, dim)) / math.sqrt(p.nodes * dim)
        return torch.from_numpy(table).to(self.share.dtype)

    def embeddings(self, table: Tensor) -> Tensor:
        """f, shape (N, dim): what the similarities are inner products of; unit vectors for the cosine losses."""
        return table * self._scale if self.settings.loss == "spectral" else functional.normalize(table, dim=1)

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Two views each of ``size`` natural data, as nodes; shapes (size,)."""
        data = self.channel.draw(size, rng)
        return torch.from_numpy(self.channel.augment(data, rng)), torch.from_numpy(self.channel.augment(data, rng))

    def batch_loss(self, table: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Loss of a batch of positive pairs, its other pairs serving as negatives.

        Parameters
        ----------
        table : Tensor, shape (N, dim)
        first, second : Tensor of int, shapes (B,)
            The two views of each natural datum. Views of different data are independent draws from π, so that
            the spectral loss is unbiased at every B >= 2.
        """
        f = self.embeddings(table)
        size = len(first)
        if self.settings.loss == "spectral":
            logits = self._logits(f[first] @ f[second].T, first, second)
            positive = logits.diagonal()
            squares = logits.square().sum() - positive.square().sum()
            return squares / (size * (size - 1)) - 2 * positive.mean()
        nodes = torch.cat([first, second])
        views = f[nodes]
        cosines = views @ views.T
        same_datum = torch.eye(size, dtype=torch.bool).repeat(2, 2)
        uniform = torch.full_like(cosines, -math.log(2 * size - 2)).masked_fill(same_datum, -torch.inf)
        paired = None if self._paired is None else _pick(self._paired, nodes, nodes)
        negatives = self._negatives(cosines, paired, uniform)
        positive = cosines.diagonal(size).repeat(2)
        return info_nce(positive / self.settings.tau, negatives.masked_fill(same_datum, -torch.inf) / self.settings.tau)

    def population_loss(self, table: Tensor) -> Tensor:
        """The loss over the channel's exact distribution of pairs.

        For InfoNCE and ADNCE the limit of infinitely many negatives, E_π log E_π e^(s/τ) − E s⁺/τ.
        """
        f = self.embeddings(table)
        similarities = f @ f.T
        if self.settings.loss == "spectral":
            everyone = torch.arange(len(f))
            logits = self._logits(similarities, everyone, everyone)
            return (self.share[:, None] * self.share * logits.square()).sum() - 2 * (self.joint * logits).sum()
        log_share = self.share.log()
        negatives = self._negatives(similarities, self._paired, log_share.expand_as(similarities))
        repulsion = (negatives / self.settings.tau + log_share).logsumexp(dim=1)
        return (self.share * repulsion).sum() - (self.joint * similarities).sum() / self.settings.tau

    def _logits(self, similarities: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        if self._margins is not None:
            return similarities + _pick(self._margins, rows, columns)
        if self._temperatures is not None:
            return similarities / _pick(self._temperatures, rows, columns)
        return similarities

    def _negatives(self, cosines: Tensor, paired: Tensor | None, log_measure: Tensor) -> Tensor:
        """τ times the logits of negatives; ``log_measure`` is their distribution for each anchor."""
        s, p = self.settings, self.settings.graph
        adjusted = cosines
        if paired is not None and s.remedy == "margin":
            adjusted = torch.where(paired, cosines + float(formulas.margin_sigma(p)), cosines)
        elif paired is not None:  # as in ``losses.pair_logits``: below zero it would weaken the repulsion
            adjusted = torch.where(paired & (cosines > 0), cosines / float(formulas.temperature_rho(p)), cosines)
        if s.loss == "adnce":
            log_weights = -((cosines.detach() - s.mu) ** 2) / (2 * s.sigma**2)
            mean = (log_weights + log_measure).logsumexp(dim=1, keepdim=True)
            adjusted = adjusted + s.tau * (log_weights - mean)
        return adjusted


def _pick(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """table[rows][:, columns] in one gather."""
    return table.take(rows[:, None] * table.shape[1] + columns)


# --- population eigenspaces ------------------------------------------------------------------------


def leading_space(graph: GraphParameters, dim: int, trivial: bool = True) -> Array:
    """Eigenvectors of the normalised adjacency for the largest eigenvalues, as many as ``dim`` holds in full.

    An eigenspace of which only a part fits is left out, for every part of it would be as good.

    Parameters
    ----------
    graph : GraphParameters
    dim : int
        0 <= dim < N.
    trivial : bool
        Whether the eigenvector √degree of the eigenvalue 1 is among them, on which the cosine losses do not depend
        as the spectral loss does.

    Returns
    -------
    array, shape (N, j), j <= dim
        j = 0 where not even the first eigenspace fits.
    """
    adjacency = SimilarityGraph(graph).normalized_adjacency()
    if not trivial:
        root = np.sqrt(SimilarityGraph(graph).degrees())
        adjacency -= np.outer(root, root) / (root @ root)
    values, vectors = np.linalg.eigh(adjacency)
    values, vectors = values[::-1], vectors[:, ::-1]
    gaps = np.flatnonzero(values[:dim] - values[1 : dim + 1] > SAME_EIGENVALUE)
    leading: Array = vectors[:, : gaps[-1] + 1 if len(gaps) else 0]
    return leading


def largest_angle(features: NDArray[Any], space: Array) -> float:
    """Largest principal angle in degrees between two spans; 0 if the larger one contains the other, NaN if one is {0}.

    Parameters
    ----------
    features, space : array, shapes (N, k) and (N, j)
    """
    from scipy.linalg import subspace_angles

    if 0 in (*features.shape, *space.shape):
        return math.nan
    return math.degrees(subspace_angles(np.asarray(features, dtype=np.float64), space).max())


# --- training --------------------------------------------------------------------------------------


def recorded_steps(steps: int) -> tuple[int, ...]:
    """Numbers of steps after which a run is measured: 0 and about 20 more, evenly on a logarithmic scale."""
    spread = np.geomspace(1, steps, RECORDS).round().astype(int)
    return (0, *(int(step) for step in np.unique(spread)))


class Measurement:
    """What is recorded about a table: see ``COLUMNS``.

    The spectral loss's features are F; the cosine losses' unit vectors are taken times √π like them, and one of
    their k dimensions is left to their mean, the trivial direction.
    """

    def __init__(self, settings: Settings, seed: int) -> None:
        self.exact = World(settings, torch.float64)
        p, trivial = settings.graph, settings.loss == "spectral"
        self.spaces = [leading_space(q, settings.dim - (not trivial), trivial) for q in (p.clean(), p)]
        small = p.nodes <= SMALL_WORLD
        self.spaces.append(self._features(descend_exactly(settings, seed)) if small else np.empty((p.nodes, 0)))
        self.labels = np.repeat(np.arange(p.classes), p.n)
        self.probed = np.arange(p.nodes) % p.n % 2 == 0

    def __call__(self, step: int, table: Tensor) -> tuple[float, ...]:
        """One row of results."""
        from empirical.evaluate.probes import linear_probe

        table = table.double()
        angles = (largest_angle(self._features(table), space) for space in self.spaces)
        fit, test = self.probed, ~self.probed
        x = self.exact.embeddings(table).numpy()
        accuracy = linear_probe(x[fit], self.labels[fit], x[test], self.labels[test], c=1.0)
        return (step, float(self.exact.population_loss(table)), *angles, 1 - accuracy)

    def _features(self, table: Tensor) -> Array:
        features: Array = (self.exact.embeddings(table) * self.exact.share.sqrt()[:, None]).numpy()
        return features


def train(settings: Settings, seed: int, checkpoint: Path | None = None, progress: Progress | None = None) -> Array:
    """Train one table; go on from the last record if there is a checkpoint.

    Parameters
    ----------
    settings : Settings
    seed : int
    checkpoint : Path, optional
        File for table and records, written at every record.
    progress : callable, optional
        Called with the steps done.

    Returns
    -------
    array, shape (records, columns)
        ``COLUMNS`` at the ``recorded_steps``: the population loss, the largest principal angles in degrees
        between the embedding times √π and the clean and the difficult ``leading_space`` and the result of
        ``descend_exactly`` (NaN for more than 256 nodes; 0 is reached only where k ends at a gap of the
        spectrum, so that the minimiser is unique), and the error of a linear probe fitted on every other
        sample of each class and tested on the rest.

    Raises
    ------
    ParameterError
        If the checkpoint cannot be read or written, or the loss diverges.
    """
    planned, table, records = recorded_steps(settings.steps), None, []
    if checkpoint is not None and checkpoint.exists():
        found = _read(checkpoint, settings, len(planned))
        table, records = torch.from_numpy(found["table"]), [tuple(row) for row in found["records"]]
        if len(records) == len(planned):
            return np.array(records)
    world, measure = World(settings), Measurement(settings, seed)
    start = world.start(seed)
    require(table is None or table.shape == start.shape, "out", checkpoint, "a checkpoint of this run (remove it)")
    table = start if table is None else table
    for index in range(len(records), len(planned)):
        for done in _descend(world, table, seed, planned[index - 1] if index else 0, planned[index]):
            if progress is not None:
                progress(done)
        _require_finite(table, settings)
        records.append(measure(planned[index], table))
        if checkpoint is not None:
            buffer = io.BytesIO()
            np.savez(buffer, table=table.numpy(), records=np.array(records))
            write_bytes(checkpoint, buffer.getvalue())
    return np.array(records)


def _read(checkpoint: Path, settings: Settings, records: int) -> dict[str, Array]:
    """A checkpoint's arrays; ParameterError if they are not those of such a run."""
    found = read_npz(checkpoint)
    require_arrays(checkpoint, found, ("table", "records"))
    table, rows = found["table"], found["records"]
    fits = rows.ndim == 2 and 1 <= len(rows) <= records and rows.shape[1] == len(COLUMNS) and table.ndim == 2
    fits = fits and table.dtype == np.float32 and bool(np.isfinite(table).all())
    require(fits, "out", checkpoint, "a checkpoint of this run (remove it)")
    return found


def descend_exactly(settings: Settings, seed: int) -> Tensor:
    """The table after as many steps from the same start along the population loss's gradient, in float64.

    That is training without the noise of sampling: the minimiser, where the steps suffice to reach it, which of
    several is decided by the start. ADNCE's weights have no gradient, so that it ends at a fixed point.
    """
    world = World(settings, torch.float64)
    table = world.start(seed).requires_grad_()
    for step in range(settings.steps):
        _take_step(table, world.population_loss(table), settings, step)
    _require_finite(table, settings)
    return table.detach()


def _require_finite(table: Tensor, settings: Settings) -> None:
    require(bool(table.isfinite().all()), "lr", settings.lr, "a lower rate: the loss diverged")


def _take_step(table: Tensor, loss: Tensor, settings: Settings, step: int) -> None:
    (gradient,) = torch.autograd.grad(loss, table)
    with torch.no_grad():
        table -= settings.lr * (1 - step / settings.steps) * gradient


def _descend(world: World, table: Tensor, seed: int, start: int, stop: int) -> Iterator[int]:
    """Take the steps from ``start`` to ``stop`` in place, yielding the number done."""
    s = world.settings
    rng = np.random.default_rng([seed, 1, start])  # resuming needs no generator state
    at_once = max(1, DRAWN_AT_ONCE // s.batch)
    table.requires_grad_()
    for block in range(start, stop, at_once):
        size = min(at_once, stop - block)
        first, second = (view.view(size, s.batch) for view in world.draw(size * s.batch, rng))
        for i in range(size):
            _take_step(table, world.batch_loss(table, first[i], second[i]), s, block + i)
        yield block + size
    table.requires_grad_(False)


def simulate(settings: Settings, out: Path, jobs: int = 1, scheduler: str | None = None) -> Any:
    """Run all seeds and write settings.json, results.csv and a checkpoint per seed.

    Parameters
    ----------
    settings : Settings
    out : Path
        Folder; finished seeds in it are kept, an interrupted one goes on.
    jobs, scheduler
        Where, see ``theory.workers.workers``.

    Returns
    -------
    pandas.DataFrame
        The contents of results.csv: seed and ``COLUMNS``.

    Raises
    ------
    ParameterError
        If ``out`` holds a simulation with other settings, or cannot be written; or as ``workers``.
    """
    with workers(jobs, scheduler, out) as pool:
        return _simulate_all({out: settings}, pool, f"{settings.loss}, {settings.remedy}")[0]


def _simulate_all(runs: Mapping[Path, Settings], pool: Pool, description: str | None = None) -> list[Any]:
    """The results of runs, by their folders, every seed a task of its own."""
    for place, settings in runs.items():
        claim(place / "settings.json", settings.to_json(), belongs_to("simulation", place), SCHEMA)
    tasks = [(settings, seed, place) for place, settings in runs.items() for seed in range(settings.seeds)]
    sizes = [settings.steps * settings.pairs_per_step for settings, _, _ in tasks]
    pool.run(_train_task, tasks, sizes, desc=description, unit="pair", unit_scale=True)
    return [_collect(settings, place) for place, settings in runs.items()]


def _train_task(task: tuple[Settings, int, Path]) -> None:
    settings, seed, place = task
    train(settings, seed, _checkpoint(place, seed), lambda steps: report(steps * settings.pairs_per_step))


def _checkpoint(place: Path, seed: int) -> Path:
    return place / f"seed-{seed}.npz"


def _collect(settings: Settings, place: Path) -> Any:
    """Write and return a run's results.csv from the files of its seeds."""
    import pandas as pd

    frames = []
    for seed in range(settings.seeds):
        records = read_npz(_checkpoint(place, seed))["records"]
        frame = pd.DataFrame(records, columns=list(COLUMNS)).astype({"step": int})
        frame.insert(0, "seed", seed)
        frames.append(frame)
    results = pd.concat(frames, ignore_index=True)
    write_text(place / "results.csv", csv_text(results))
    return results


def run_experiment(runs: Sequence[Settings], out: Path, jobs: int = 1, scheduler: str | None = None) -> Any:
    """Simulate all runs, each in a numbered folder, and write results.csv and results.parquet over all.

    Parameters
    ----------
    runs : sequence of Settings
    out : Path
        What is finished in it is kept; folders with other settings are refused.
    jobs, scheduler
        Where, see ``theory.workers.workers``.

    Returns
    -------
    pandas.DataFrame
        The runs' results with their settings as columns.
    """
    import pandas as pd

    with workers(jobs, scheduler, out) as pool:
        frames = _simulate_all({out / f"{number:03d}": settings for number, settings in enumerate(runs)}, pool)
    for settings, frame in zip(runs, frames, strict=True):
        described = {**settings.graph.as_dict(), **asdict(settings)}
        described["loss_function"] = described.pop("loss")  # the column loss holds its value
        del described["graph"]
        for position, (name, value) in enumerate(described.items()):
            frame.insert(position, name, value)
    results = pd.concat(frames, ignore_index=True)
    write_results(out, results)
    return results

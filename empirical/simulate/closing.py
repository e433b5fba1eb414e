"""Do the plan's sizes close the gap? InfoNCE's population optimum without and with each remedy.

The optimum is found, not trained for: L-BFGS on the population loss in float64, over unit vectors in k dimensions or
over any symmetric matrix of cosines with ones on its diagonal. In the latter, and in unit vectors where the optimum's
matrix has room (positive definite, k >= N), a margin of the gap closes it exactly. Where the sphere binds, it closes
less, or in few dimensions more; then the share that was seen to be closed corrects the sizes (``response`` of
``theory.sizes.optimum``): measure again with the remedy, and plan again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from empirical.simulate.settings import Settings
from theory.checks import require
from theory.command import markdown_table
from theory.files import require_writable, write_text
from theory.graph import SimilarityGraph
from theory.kinds import has_gamma
from theory.params import GraphParameters
from theory.sizes import SPLIT, Cosines, Sizes, optimum, perfect
from theory.tables import csv_text
from theory.workers import workers

Array = NDArray[np.float64]
PASSES = 3  # of measuring and planning
TREATED = ("margin", "temperature", "combined")
STARTS = 8
CRITIC, VECTORS = "critic", "vectors"  # what is optimised
TABLE = "results.csv"
BOUND = 1e-6  # an eigenvalue of the cosines below it has no room


class Population:
    """A similarity graph with its InfoNCE loss over all pairs of nodes.

    Parameters
    ----------
    graph : GraphParameters
        With difficult pairs.
    tau : float
        Temperature, > 0.
    """

    def __init__(self, graph: GraphParameters, tau: float) -> None:
        require(not graph.is_clean, "gamma", graph.gamma, f"gamma > beta = {graph.beta}, and a difficult sample")
        weights = SimilarityGraph(graph).weights()
        self.tau, self.joint = tau, weights / weights.sum()
        self.share = self.joint.sum(axis=1)
        label = np.arange(graph.nodes) // graph.n
        self.difficult = has_gamma(graph.pairing).matrix(graph) > 0
        self.reference = (label[:, None] != label) & ~self.difficult
        some = "fewer, so that some pairs across classes are not difficult"
        require(bool(self.reference.any()), "difficult", graph.difficult, some)

    def loss(self, cosines: Array, sigma: float = 0.0, rho: float = 1.0) -> tuple[float, Array]:
        """E_π log E_π e^(s/τ) − E s⁺/τ, with the remedy on difficult negatives, and its gradient by the cosines.

        As in ``losses.pair_logits`` a margin is added to the cosine, and the temperature acts where that is positive.
        """
        adjusted = cosines + sigma * self.difficult
        slope = np.where(self.difficult & (adjusted > 0), 1 / rho, 1.0) / self.tau
        logits = adjusted * slope + np.log(self.share)
        top = logits.max(axis=1, keepdims=True)
        weights = np.exp(logits - top)
        total = weights.sum(axis=1, keepdims=True)
        loss = self.share @ (top + np.log(total))[:, 0] - (self.joint * cosines).sum() / self.tau
        return float(loss), self.share[:, None] * weights / total * slope - self.joint / self.tau

    def vectors(self, dim: int, sigma: float = 0.0, rho: float = 1.0) -> Array:
        """Cosines of the unit vectors in ``dim`` dimensions with the smallest loss, shape (N, N).

        The loss is convex in the cosines, so that N dimensions have one minimum. Fewer may have several; the best from
        several random starts is taken.
        """
        shape = len(self.share), dim

        def unit(flat: Array) -> tuple[Array, Array]:
            table = flat.reshape(shape)
            length = np.linalg.norm(table, axis=1, keepdims=True)
            return table / length, length

        def objective(flat: Array) -> tuple[float, Array]:
            f, length = unit(flat)
            loss, slope = self.loss(f @ f.T, sigma, rho)
            along = (slope + slope.T) @ f
            return loss, ((along - (along * f).sum(axis=1, keepdims=True) * f) / length).ravel()

        generator = np.random.default_rng(0)
        starts = [generator.standard_normal(shape).ravel() for _ in range(STARTS if dim < len(self.share) else 1)]
        f, _ = unit(min((_descend(objective, start) for start in starts), key=lambda found: objective(found)[0]))
        return f @ f.T

    def critic(self, sigma: float = 0.0, rho: float = 1.0) -> Array:
        """The symmetric matrix with ones on its diagonal that has the smallest loss, shape (N, N).

        The ones hold the zero of the cosines; without them there is no optimum with a temperature, for below 0 it
        does not act.
        """
        upper = np.triu_indices(len(self.share), 1)

        def matrix(flat: Array) -> Array:
            found = np.eye(len(self.share))
            found[upper] = flat
            found.T[upper] = flat
            return found

        def objective(flat: Array) -> tuple[float, Array]:
            loss, slope = self.loss(matrix(flat), sigma, rho)
            return loss, (slope + slope.T)[upper]

        return matrix(_descend(objective, np.zeros(len(upper[0]))))

    def cosines(self, matrix: Array) -> Cosines:
        """Mean cosine of difficult pairs and of the reference."""
        return Cosines(float(matrix[self.difficult].mean()), float(matrix[self.reference].mean()))


def _descend(objective: Any, start: Array) -> Array:
    from scipy.optimize import minimize

    options = {"maxiter": 5_000, "maxfun": 10_000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30}
    found: Array = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return found


@dataclass(frozen=True)
class Closing:
    """What one remedy did to the gap.

    Parameters
    ----------
    optimised : {"critic", "vectors"}
    remedy : {"margin", "temperature", "combined"}
    number : int
        1 for the plan's sizes, 2 and 3 for those after measuring again with the remedy.
    gamma_z, beta_z : float
        Mean cosine of difficult pairs and of the other pairs of different classes, without a remedy: the gap is their
        difference.
    room : bool
        Whether the matrix of cosines without a remedy is positive definite.
    sigma, rho : float or None
        The sizes; None where the plan has none.
    closed : float or None
        Share of the gap that is gone, 1 for all of it.
    reason : str
        Why there are no sizes; otherwise empty.
    """

    optimised: str
    remedy: str
    number: int
    gamma_z: float
    beta_z: float
    room: bool
    sigma: float | None
    rho: float | None
    closed: float | None
    reason: str


def closings(settings: Settings, optimised: str = VECTORS, split: float = SPLIT) -> list[Closing]:
    """Every remedy of a perfect selector, in three passes.

    Parameters
    ----------
    settings : Settings
        Their graph, ``dim`` and ``tau`` count.
    optimised : {"critic", "vectors"}
    split : float
        Share of the combined correction that the margin makes.
    """
    population = Population(settings.graph, settings.tau)

    def solve(sigma: float = 0.0, rho: float = 1.0) -> Array:
        return population.critic(sigma, rho) if optimised == CRITIC else population.vectors(settings.dim, sigma, rho)

    before = solve()
    means, room = population.cosines(before), bool(np.linalg.eigvalsh(before)[0] > BOUND)
    rows = []
    for remedy in TREATED:
        response = 1.0
        for number in range(1, PASSES + 1):
            sizes, reasons = optimum(means, perfect(means), settings.tau, split, response)
            sigma, rho, reason = _chosen(sizes, reasons, remedy)
            closed = None if sigma is None or rho is None else 1 - population.cosines(solve(sigma, rho)).gap / means.gap
            rows.append(Closing(optimised, remedy, number, *means, room, sigma, rho, closed, reason))
            if closed is None or closed <= 0:
                break
            response *= closed
    return rows


def _chosen(sizes: Sizes, reasons: dict[str, str], remedy: str) -> tuple[float | None, float | None, str]:
    sigma, rho = {
        "margin": (sizes.margin_sigma, 1.0),
        "temperature": (0.0, sizes.temperature_rho),
        "combined": (sizes.combined_sigma, sizes.combined_rho),
    }[remedy]
    names = {"margin": "margin_sigma", "temperature": "temperature_rho", "combined": "combined_sigma"}
    return sigma, rho, reasons.get(names[remedy], "")


def check(runs: Sequence[Settings], out: Path, jobs: int = 1, scheduler: str | None = None) -> Any:
    """The closings of all settings, with those of a critic for each graph and temperature, in ``out``/results.csv.

    Parameters
    ----------
    runs : sequence of Settings
        Of InfoNCE.
    out : Path
        Folder of the table.
    jobs, scheduler
        Where, see ``theory.workers.workers``.

    Returns
    -------
    pandas.DataFrame
        One row a graph, temperature, what is optimised, remedy and pass.

    Raises
    ------
    ParameterError
        If a loss is another one, or ``out`` cannot be written; or as ``workers``.
    """
    import pandas as pd

    for settings in runs:
        require(settings.loss == "infonce", "loss", settings.loss, "infonce: the plan's check is about its optimum")
        require(not settings.graph.is_clean, "gamma", settings.graph.gamma, "gamma > beta, and a difficult sample")
    require_writable(out / TABLE)
    critics = {(settings.graph, settings.tau): settings for settings in runs}
    tasks = [(settings, CRITIC) for settings in critics.values()] + [(settings, VECTORS) for settings in runs]
    with workers(jobs, scheduler, out) as pool:
        found = list(pool.map(_closings, tasks))
    rows = [
        {
            **settings.graph.as_dict(),
            "tau": settings.tau,
            "dim": settings.dim if what == VECTORS else None,
            **asdict(row),
        }
        for (settings, what), closed in zip(tasks, found, strict=True)
        for row in closed
    ]
    table = pd.DataFrame(rows).astype({"dim": "Int64"})
    write_text(out / TABLE, csv_text(table, "%.6g"))
    return table


def _closings(task: tuple[Settings, str]) -> list[Closing]:
    return closings(*task)


def summary(table: Any) -> str:
    """The table of shares in percent as markdown, one row a graph, temperature and what is optimised."""
    keys = ["alpha", "beta", "gamma", "tau", "optimised", "dim"]
    rows = []
    for (alpha, beta, gamma, tau, optimised, dim), part in table.groupby(keys, sort=False, dropna=False):
        first, graph = part.iloc[0], f"{alpha:g}, {beta:g}, {gamma:g}"
        what = "critic" if optimised == CRITIC else f"k = {dim}"
        cells = [graph, f"{tau:g}", what, "yes" if first.room else "no", f"{first.gamma_z - first.beta_z:.3f}"]
        for remedy in TREATED:
            shares = part[part.remedy == remedy].closed
            cells.append("none" if shares.isna().any() else " → ".join(f"{100 * share:.0f}" for share in shares))
        rows.append(cells)
    return markdown_table(("α, β, γ", "τ", "optimised", "room", "gap", *TREATED), rows)

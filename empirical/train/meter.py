"""Sums over an epoch, and the checks that a run has not diverged."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from empirical.encoders import Network, extract
from empirical.losses import diagnostics
from empirical.train.checkpoint import CHECKPOINT, read_checkpoint
from empirical.train.settings import Settings
from empirical.train.simclr import Pairs
from theory.checks import ParameterError


class Meter:
    """Sums over an epoch, kept on the device: only reading them waits for it.

    Parameters
    ----------
    device : torch.device
    """

    SUMS = ("loss", "flagged_share", "steps")
    DIAGNOSED = ("robust_radius", "effective_negatives", "alignment", "uniformity", "diagnosed")
    FAILURE = ("step", "loss", "positive", "negative")

    def __init__(self, device: torch.device) -> None:
        self.device, self.dtype = device, _sums_dtype(device)
        self.failure = torch.full((len(self.FAILURE),), -1.0, dtype=self.dtype, device=device)
        self.reset()

    def reset(self) -> None:
        """Start a new epoch."""
        self.sums, self.diagnosed, self.hits = (
            torch.zeros(size, dtype=self.dtype, device=self.device) for size in (len(self.SUMS), len(self.DIAGNOSED), 2)
        )

    @torch.no_grad()
    def add(self, step: int, loss: Tensor, flagged: Tensor, pairs: Pairs) -> None:
        """Count one step, and remember the first whose loss is not finite."""
        loss = loss.to(self.dtype)
        self.sums += torch.stack([loss, flagged.to(self.dtype), torch.ones_like(loss)])
        now = torch.stack([torch.full_like(loss, step), loss, pairs.positive.mean(), pairs.negative.amax()])
        first = ~loss.isfinite() & (self.failure[0] < 0)
        self.failure = torch.where(first, now, self.failure)

    @torch.no_grad()
    def diagnose(self, pairs: Pairs, tau: float) -> None:
        """Add robust radius, effective negatives, alignment and uniformity (on the sphere) of a batch."""
        radius, negatives = diagnostics(pairs.negative / tau).to(self.dtype)
        alignment = (2 - 2 * pairs.positive).mean()  # ‖u − v‖² of unit vectors
        count = (pairs.negative > -torch.inf).sum()
        uniformity = (4 * pairs.negative - 4).logsumexp(dim=(0, 1)) - count.log()  # log mean e^{−2‖u − v‖²}
        self.diagnosed += torch.stack([radius, negatives, alignment, uniformity, torch.ones_like(alignment)])

    def hit(self, accuracy: Tensor) -> None:
        """Add the online probe's accuracy on a batch."""
        self.hits += torch.stack([accuracy.to(self.dtype), torch.ones_like(accuracy, dtype=self.dtype)])

    def require_finite(self, settings: Settings, out: Path) -> None:
        """Raise ParameterError if a loss was not finite: the step and what the loss was made of."""
        step, loss, positive, negative = self.failure.tolist()
        if step >= 0:
            cosines = f"mean positive cosine {positive:.3g}, largest negative cosine {negative:.3g}"
            raise _diverged(f"the loss became {loss} at step {step:.0f} ({cosines})", settings, out)

    def means(self, settings: Settings, out: Path) -> dict[str, float]:
        """The epoch's means by name."""
        self.require_finite(settings, out)
        found: dict[str, float] = {}
        for names, sums in ((self.SUMS, self.sums), (self.DIAGNOSED, self.diagnosed)):
            *totals, count = sums.tolist()
            found |= {name: total / count for name, total in zip(names, totals, strict=False)}
        right, count = self.hits.tolist()
        return found | ({"online_probe": right / count} if count else {})

    def state(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint."""
        return {"sums": self.sums, "diagnosed": self.diagnosed, "hits": self.hits}

    def load(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``."""
        saved = (state[name].to(self.dtype).to(self.device) for name in ("sums", "diagnosed", "hits"))
        self.sums, self.diagnosed, self.hits = saved


def _sums_dtype(device: torch.device) -> torch.dtype:
    """Of sums over an epoch: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def require_finite_network(network: Network, few: Tensor, step: int, settings: Settings, out: Path) -> None:
    """Raise ParameterError if weights, statistics or the features of a few images are not finite; waits for the device.

    The last loss says nothing about the last update, and finite weights may be large enough for infinite features.
    """
    weights = torch.stack([value.isfinite().all() for value in network.state_dict().values()]).all()
    if not (weights and all(features.isfinite().all() for features in extract(network, few))):
        raise _diverged(f"weights or features became infinite or NaN by step {step}", settings, out)


def _diverged(what: str, settings: Settings, out: Path) -> ParameterError:
    path = out / CHECKPOINT
    kept = f"; {path}, of step {read_checkpoint(path)['step']}, is kept" if path.exists() else ""
    return ParameterError(f"{what}; lower lr = {settings.lr}{kept}")

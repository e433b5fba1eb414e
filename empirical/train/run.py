"""A run: where it stands, and all that its next step depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.encoders import Network, extract
from empirical.train.checkpoint import diverged, latest_checkpoint, save_checkpoint, tidy
from empirical.train.logs import environment, write_csv
from empirical.train.moco import MoCo
from empirical.train.observers import Observer, Row
from empirical.train.selectors import Selector
from empirical.train.settings import Settings
from empirical.train.simclr import SimCLR
from theory.files import DATA, require_same_data, write_json


@dataclass
class Run:
    """What a checkpoint holds, and the folder it is in.

    Parameters
    ----------
    settings : Settings
    out : Path
    fabric : Fabric
        The first of its processes writes.
    network : Network
    optimizer : Optimizer
        As set up by ``fabric``.
    framework : SimCLR or MoCo
    selector : Selector
    observers : sequence of Observer
    few : Tensor
        Some images, whose features must be finite before anything is saved.
    data : mapping of str to str
        Digests of the data, see ``empirical.data.digests``.
    step : int
        Steps done.
    metrics : list of Row
        One for each epoch done.
    """

    settings: Settings
    out: Path
    fabric: Fabric
    network: Network
    optimizer: Any
    framework: SimCLR | MoCo
    selector: Selector
    observers: Sequence[Observer]
    few: Tensor
    data: Mapping[str, str]
    step: int = 0
    metrics: list[Row] = field(default_factory=list)

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one, and make the folder ready to be written to.

        Raises
        ------
        ParameterError
            If the folder holds a run with other settings or data, or only damaged checkpoints.
        """
        state, fell_back = latest_checkpoint(self.out, self.settings)
        if state is not None:
            require_same_data(state.get(DATA), self.data, self.out)  # earlier versions have not recorded them
        self.fabric.barrier()  # every process has read it
        if self.fabric.is_global_zero:
            tidy(self.out, fell_back)
            write_json(self.out / "settings.json", self.settings.to_json())
            write_json(self.out / "environment.json", environment(self.fabric.device))
        if state is not None:
            self._load(state)

    def save(self) -> None:
        """Write metrics and checkpoint; ParameterError, and nothing written, if the run has diverged."""
        state = self._state()
        self._require_finite()
        if self.fabric.is_global_zero:
            if self.metrics:
                write_csv(self.out / "metrics.csv", self.metrics)
            save_checkpoint(self.out, state)

    def _state(self) -> dict[str, Any]:
        return {
            "settings": self.settings.to_json(),
            DATA: dict(self.data),
            "step": self.step,
            "shape": tuple(self.few.shape[1:]),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "framework": self.framework.state(),
            "selector": self.selector.state(),
            "observers": {observer.name: observer.state() for observer in self.observers},
            "metrics": self.metrics,
        }

    def _load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state.get("precision", {}))  # earlier versions had none
        self.framework.load(state["framework"])
        self.selector.load(state.get("selector", {}))  # earlier versions had none with a state
        for observer in self.observers:
            if observer.name in state["observers"]:
                observer.load(state["observers"][observer.name])
        self.step, self.metrics = state["step"], list(state["metrics"])

    def _require_finite(self) -> None:
        """Look at weights, statistics and the features of a few images; waits for the device.

        The last loss says nothing about the last update, and finite weights may be large enough for infinite features.
        """
        weights = torch.stack([value.isfinite().all() for value in self.network.state_dict().values()]).all()
        if not (weights and all(features.isfinite().all() for features in extract(self.network, self.few))):
            what = f"weights or features became infinite or NaN by step {self.step}"
            raise diverged(what, self.settings, self.out)

"""A run: where it stands, and all that its next step depends on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical.data.held import Held
from empirical.encoders import Network, extract
from empirical.train.checkpoint import CHECKPOINT, DAMAGE, diverged, latest_checkpoint, save_checkpoint, tidy
from empirical.train.continuing import Continuation, continuation, kept_name, other_length
from empirical.train.logs import environment, write_csv
from empirical.train.moco import MoCo
from empirical.train.observers import Observer, Row
from empirical.train.selectors import Selector
from empirical.train.settings import Settings
from empirical.train.simclr import SimCLR
from theory.checks import ParameterError
from theory.command import NO_MEMORY
from theory.files import DATA, require_same_data, write_bytes, write_json


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
    few : Tensor or Held
        Some samples, whose features must be finite before anything is saved.
    per_epoch : int
        Steps of an epoch.
    data : mapping of str to str
        Digests of the data, see ``empirical.data.digests``.
    step : int
        Steps done.
    metrics : list of Row
        One for each epoch done.
    continued : list of dict
        Where it went on under other settings, see ``empirical.train.continuing.Continuation``.
    """

    settings: Settings
    out: Path
    fabric: Fabric
    network: Network
    optimizer: Any
    framework: SimCLR | MoCo
    selector: Selector
    observers: Sequence[Observer]
    few: Tensor | Held
    per_epoch: int
    data: Mapping[str, str]
    step: int = 0
    metrics: list[Row] = field(default_factory=list)
    continued: list[dict[str, Any]] = field(default_factory=list)

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one, and make the folder ready to be written to.

        A warning says why the weights will not be those of a run that had these settings from the start. Of a run that
        was finished before, checkpoint and result stay under names of their own.

        Raises
        ------
        ParameterError
            If the folder holds a run with other settings or data, or only damaged checkpoints.
        """
        state, fell_back = latest_checkpoint(self.out, self.settings)
        going_on = Continuation()
        if state is not None:
            going_on = continuation(state["settings"], self.settings, state["step"], self.per_epoch, self.out)
            require_same_data(state.get(DATA), self.data, self.out)  # earlier versions have not recorded them
        self.fabric.barrier()  # every process has read it
        if self.fabric.is_global_zero:
            tidy(self.out, fell_back)
            if going_on.finished is not None:
                self._keep(going_on.finished)
            if going_on.warning is not None:
                warnings.warn(going_on.warning, stacklevel=4)
        if state is not None:
            try:
                self._load(state)
            except DAMAGE as error:
                if isinstance(error, ParameterError) or NO_MEMORY.search(str(error)):
                    raise
                raise ParameterError(f"{self.out / CHECKPOINT} is damaged: it does not fit its settings") from error
            self.continued += [going_on.record] if going_on.record else []
            if self.step == self.per_epoch * self.settings.epochs:
                if other_length(state["settings"], self.settings):
                    self.save()  # which says of what length it is
                else:
                    self.settings = Settings.from_json(state["settings"])  # with which it was trained
        if self.fabric.is_global_zero:
            write_json(self.out / "settings.json", self.settings.to_json())
            write_json(self.out / "environment.json", environment(self.fabric.device))

    def _keep(self, epochs: int) -> None:
        """Keep what a run of so many epochs has ended with; its result is no longer that of the checkpoint."""
        write_bytes(self.out / kept_name(epochs), (self.out / CHECKPOINT).read_bytes())
        result = self.out / "result.json"
        if result.exists():
            os.replace(result, self.out / kept_name(epochs, result.name))

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
            "continued": self.continued,
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
        self.continued = list(state.get("continued", []))

    def _require_finite(self) -> None:
        """Look at weights, statistics and the features of a few images; waits for the device.

        The last loss says nothing about the last update, and finite weights may be large enough for infinite features.
        """
        weights = torch.stack([value.isfinite().all() for value in self.network.state_dict().values()]).all()
        if not (weights and self._has_finite_features()):
            what = f"weights or features became infinite or NaN by step {self.step}"
            raise diverged(what, self.settings, self.out)

    def _has_finite_features(self) -> bool:
        try:
            extract(self.network, self.few)
        except ParameterError:
            return False
        return True

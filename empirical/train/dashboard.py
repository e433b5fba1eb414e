"""Weights & Biases: a run's rows for its pages, written beside the run and sent nowhere unless that is asked for."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from empirical.data import DataSet
from empirical.encoders import Network
from empirical.train.observers import Observer, Row
from empirical.train.settings import Settings
from theory.checks import ParameterError, require_known
from theory.files import read_json, write_json

MODE, PROJECT, REPORTING = "WANDB_MODE", "WANDB_PROJECT", "WANDB_ERROR_REPORTING"  # variables of the environment
OFFLINE, ONLINE = "offline", "online"
MODES = (OFFLINE, ONLINE, "disabled")
_open: dict[str, Any] = {}  # this process's runs that have not ended, by id
RECORD = Path("wandb", "run.json")


class Dashboard(Observer):
    """Every epoch's row as a step of a run of Weights & Biases, whose configuration is the run's settings.

    Everything stays in the folder's ``wandb/``, for ``wandb sync``, unless the variable ``WANDB_MODE`` is ``online``.
    A resumed run is the same one there: its id and the last step that it has are kept in ``wandb/run.json``. A step
    that it has is not written again, but for one that a kill has cut.

    Parameters
    ----------
    settings : Settings
    out : Path
        The run's folder.
    per_epoch : int
        Steps of an epoch.
    """

    def __init__(self, settings: Settings, out: Path, per_epoch: int) -> None:
        self.settings, self.out, self.per_epoch = settings, out, per_epoch
        self._run: Any = None
        self._record: dict[str, Any] = {}

    def begin(self, settings: Settings, network: Network, data: DataSet) -> None:
        """Refuse what the library does not know."""
        require_known(MODE, os.environ.get(MODE, OFFLINE), MODES)

    def saved(self, row: Row) -> None:
        """Write the row, unless the run has it."""
        step = int(row["epoch"]) * self.per_epoch
        if self._run is None:
            self._begin()
        if step > self._record["step"]:
            self._run.log(row, step=step, commit=True)
            self._keep(step)
        if row["epoch"] == self.settings.epochs:
            self._run.finish()
            _open.pop(self._record["id"], None)

    def resumed(self, row: Row) -> None:
        """Write the row unless it is there: a kill may have come before."""
        if self._recorded()["step"] < int(row["epoch"]) * self.per_epoch:
            self.saved(row)

    def _begin(self) -> None:
        mode: Any = os.environ.get(MODE, OFFLINE)
        if mode != ONLINE:
            os.environ[REPORTING] = "false"  # read on import; it would send reports about itself even offline
        import wandb

        self._record = self._recorded()
        self._keep(self._record["step"])  # before it begins: a kill could leave it without a name
        if (left := _open.pop(self._record["id"], None)) is not None:  # an error has ended its training
            left.finish()
        try:
            self._run = _open[self._record["id"]] = wandb.init(
                project=os.environ.get(PROJECT, "difficult-examples"),
                dir=self.out,
                id=self._record["id"],
                name=self.out.resolve().name,
                config=self.settings.to_json(),
                allow_val_change=True,  # a run may go on for longer
                mode=mode,
                resume="allow" if mode == ONLINE else None,
                reinit="create_new",  # one process does many runs
                settings=wandb.Settings(console="off", silent=True),
            )
        except (wandb.Error, ValueError) as error:
            raise ParameterError(f"wandb: {' '.join(str(error).split())}") from error

    def _recorded(self) -> dict[str, Any]:
        path = self.out / RECORD
        return read_json(path, "id", "step") if path.exists() else {"id": uuid.uuid4().hex[:16], "step": 0}

    def _keep(self, step: int) -> None:
        self._record = {**self._record, "step": step}
        write_json(self.out / RECORD, self._record)

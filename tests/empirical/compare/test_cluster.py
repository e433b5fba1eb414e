import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from torch import nn

from empirical.compare.experiment import compare
from empirical.compare.presets import Experiment
from empirical.encoders import convnet
from tests.empirical.train.test_loop import TINY

LOG = "BATCHES_LOG"  # of a folder in which workers write down every batch, and one of them is killed
FATAL = 7  # batches that the worker to be killed has encoded; an epoch has at most 4


class Mortal(nn.Module):
    """An encoder that, if asked by the environment, kills the first process that trains with it for long enough."""

    def __init__(self, channels):
        super().__init__()
        self.body, _ = convnet(channels, 4)
        self.batches = 0

    def forward(self, x):
        if self.training and LOG in os.environ:
            self.write_down(Path(os.environ[LOG]))
        return self.body(x)

    def write_down(self, folder):
        self.batches += 1
        with (folder / "batches").open("a") as log:
            log.write(f"{os.getpid()}\n")
        if self.batches == FATAL and not (folder / "killed").exists():
            (folder / "killed").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)


def without_seconds(path):
    """The table as text; only the wall time of a run is not reproduced."""
    return pd.read_csv(path, dtype=str).drop(columns="seconds").to_csv(index=False)


def batches(log):
    """How many each process has encoded."""
    return Counter((log / "batches").read_text().split())


def test_a_comparison_survives_a_killed_worker_and_gives_the_same_table(tmp_path, monkeypatch):
    base = replace(TINY, encoder=f"{__name__}:Mortal", epochs=4)
    experiment = Experiment(base, ("baseline", "margin"), labels_per_class=2, draws=2, seeds=1)
    here, there = tmp_path / "here", tmp_path / "there"
    logs = {out: tmp_path / f"log-{out.name}" for out in (here, there)}
    for log in logs.values():
        log.mkdir()

    monkeypatch.setenv(LOG, str(logs[here]))
    (logs[here] / "killed").touch()
    with threadpool_limits(1):  # sums are not associative: with more threads the last digits differ
        compare(experiment, here)
    monkeypatch.setenv(LOG, str(logs[there]))
    compare(experiment, there, scheduler="local:2")

    assert without_seconds(there / "results.csv") == without_seconds(here / "results.csv")
    assert (there / "results.json").read_bytes() == (here / "results.json").read_bytes()
    done = batches(logs[there])
    assert done[(logs[there] / "killed").read_text()] == FATAL
    repeated = done.total() - batches(logs[here]).total()
    assert 0 < repeated < FATAL  # it went on from its last checkpoint

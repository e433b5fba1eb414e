"""Three hundred steps of everything that a run can do along leave nothing behind in the process."""

import gc
import mmap
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from empirical.arms import PairRemedy
from empirical.train import parts
from empirical.train.loop import train
from empirical.train.observers import Observer, Snapshots
from empirical.train.settings import Running, Settings

PROCESS = Path("/proc/self")
PER_EPOCH, EPOCHS, SETTLED = 20, 15, 100  # steps until caches and threads are there
SETTINGS = Settings(data="digits", train=1000, test=100, encoder="convnet", width=4, dim=8, batch=50, epochs=EPOCHS)
REMEDY = PairRemedy(sigma=0.1, rho=0.9, pos_high=0.1, pos_low=0.3)
RUNS = {
    "simclr": replace(SETTINGS, remedy=REMEDY),
    "moco": replace(SETTINGS, framework="moco", queue=150, loss="adnce"),
    "half": replace(SETTINGS, precision="16-mixed", accelerator="cpu"),
}
NOISE = 3e6  # bytes by which memory may differ between the first and the last third; 15 kB a step would be seen


class Process(Observer):
    """What the process holds after every step, and of tensors after every epoch."""

    def __init__(self):
        self.memory, self.handles, self.threads, self.tensors = [], [], [], []

    def step(self, batch):
        pages = int((PROCESS / "statm").read_text().split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))
        self.handles.append(len(os.listdir(PROCESS / "fd")))
        self.threads.append(len(os.listdir(PROCESS / "task")))

    def saved(self, row):
        gc.collect()
        self.tensors.append(sum(issubclass(type(found), torch.Tensor) for found in gc.get_objects()))


def measured(settings, out, *observers):
    process = Process()
    running = Running(checkpoint_every=30, online_probe=True, tensorboard=True)
    gc.collect()
    gc.freeze()  # what there is already is neither counted nor looked at
    try:
        train(settings, out, None, running, observers=[process, *observers])
    finally:
        gc.unfreeze()
    assert len(process.memory) == PER_EPOCH * EPOCHS == 300
    return process


@pytest.mark.skipif(not (PROCESS / "statm").exists(), reason="no /proc on this system")
@pytest.mark.parametrize("name", ["simclr", *(pytest.param(name, marks=pytest.mark.slow) for name in ("moco", "half"))])
def test_three_hundred_steps_leak_nothing(tmp_path, name):
    found = measured(RUNS[name], tmp_path, Snapshots(tmp_path / "snapshots.npz", range(20), (1, 5)))
    for held in (found.handles, found.threads):
        assert set(held[SETTLED:]) == {held[SETTLED]}
    settled = SETTLED // PER_EPOCH
    assert set(found.tensors[settled:-1]) == {found.tensors[settled]}  # after the last one the event files are closed
    memory = np.array(found.memory[SETTLED:])
    assert np.median(memory[-67:]) - np.median(memory[:67]) < NOISE


def pages(count):
    """Memory that no allocator has had before, and that is in use."""
    found = mmap.mmap(-1, count * mmap.PAGESIZE)
    found.write(b"x" * len(found))
    return found


@pytest.mark.skipif(not (PROCESS / "statm").exists(), reason="no /proc on this system")
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "what"), [("tensors", torch.Tensor), ("handles", None), ("memory", pages)])
def test_a_leak_would_be_seen(tmp_path, monkeypatch, kind, what):
    """A tensor, an open file, or 20 kB a step."""
    leaked, set_rate = [], parts.set_rate

    def leaking(optimizer, rate):
        leaked.append(torch.ones(2) if what is torch.Tensor else open(os.devnull) if what is None else pages(5))  # noqa: SIM115
        set_rate(optimizer, rate)

    monkeypatch.setattr("empirical.train.loop.set_rate", leaking)
    found = measured(SETTINGS, tmp_path)
    for one in leaked if what is None else ():
        one.close()
    held = {"tensors": found.tensors, "handles": found.handles, "memory": found.memory}[kind]
    assert held[-2] - held[len(held) // 3] >= (NOISE if kind == "memory" else 100)

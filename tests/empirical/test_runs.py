"""Tasks: what counts as finished."""

import json

import numpy as np
import pytest
import torch

from empirical import runs
from empirical.compare.presets import Experiment
from empirical.compare.saved import claim
from empirical.evaluate.protocol import Protocol
from empirical.runs import Task, pilot_folder, run_tasks
from empirical.train.logs import read_result, write_result
from empirical.train.settings import Settings
from theory.checks import ParameterError
from theory.engine import HERE

TINY = Settings(data="digits", train=100, test=100, encoder="convnet", width=4, dim=8, batch=50, epochs=1)


def finish(task):
    """As ``execute``, without training."""
    device = torch.device("cpu")
    write_result(task.out, task.kind, task.settings, {"encoder_probe": 0.5}, Protocol(), 1.0, device)


@pytest.fixture
def task(tmp_path):
    return Task("arm", TINY, tmp_path / "run")


def test_a_task_is_finished_with_its_result(task, monkeypatch):
    monkeypatch.setattr(runs, "execute", finish)
    assert not task.finished
    run_tasks([task], HERE, "x")
    assert task.finished


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        bytes(300),
        bytes(range(256)),
        b"[" * 100_000,
        {"schema": "difficult-examples/result/9"},
        {"metrics": []},
        {"metrics": {"encoder_probe": "high"}},
        {"settings": None},
        {"seed": "0"},
        {"arm": 3},
        {"seconds": None},
    ],
    ids=lambda content: str(content)[:30],
)
def test_a_damaged_result_is_done_again_with_a_word(task, monkeypatch, content):
    finish(task)
    path = task.out / "result.json"
    whole = path.read_bytes()
    path.write_bytes(json.dumps(json.loads(whole) | content).encode() if isinstance(content, dict) else content)
    with pytest.raises(ParameterError) as caught:
        read_result(path)
    assert "\n" not in str(caught.value)
    assert not task.finished
    monkeypatch.setattr(runs, "execute", finish)
    with pytest.warns(UserWarning, match=r"result\.json is damaged: the run is done again"):
        run_tasks([task], HERE, "x")
    assert path.read_bytes() == whole


def test_an_experiment_is_not_continued_on_other_data(tmp_path):
    path, out = tmp_path / "data.npz", tmp_path / "out"
    rng = np.random.default_rng(0)
    arrays = {f"x_{part}": rng.integers(0, 256, (40, 8, 8), dtype=np.uint8) for part in ("train", "test")}
    arrays |= {f"y_{part}": np.arange(40) % 2 for part in ("train", "test")}
    np.savez(path, **arrays)
    experiment = Experiment(Settings(data=f"npz:{path}", batch=20), ("baseline",))
    claim(experiment, out)
    claim(experiment, out)
    before = (out / "experiment.json").read_bytes()
    np.savez(path, **(arrays | {"x_train": 255 - arrays["x_train"]}))
    with pytest.raises(ParameterError, match=f"^the training images are not those with which {out} was begun"):
        claim(experiment, out)
    assert (out / "experiment.json").read_bytes() == before
    document = json.loads(before)
    del document["data_digests"]  # as earlier versions wrote it
    (out / "experiment.json").write_text(json.dumps(document))
    claim(experiment, out)


def test_the_pilot_of_an_earlier_folder_is_found(tmp_path):
    assert pilot_folder(tmp_path) == tmp_path / "pilot"
    (tmp_path / "warmup").mkdir()
    assert pilot_folder(tmp_path) == tmp_path / "warmup"

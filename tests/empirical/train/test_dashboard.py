"""Weights & Biases: what a run leaves for it, read back from its files; offline nothing is sent."""

import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

from empirical.compare.__main__ import main as compare
from empirical.train import settings as module
from empirical.train.__main__ import main
from empirical.train.dashboard import RECORD, Dashboard
from empirical.train.loop import train
from empirical.train.settings import Running
from tests.empirical.train.test_loop import TINY, Interrupted, interrupt, rows_of
from tests.processes import wait_for
from theory.checks import ParameterError

BLOCK = 1 << 15  # of the log in which the library keeps a run, in LevelDB's format
needed = pytest.mark.skipif(find_spec("wandb") is None, reason="the extra wandb is not installed")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")


def records(path):
    """The records of one of the library's files, kind and content."""
    from wandb.proto import wandb_internal_pb2

    data, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, place = struct.unpack_from("<IHB", data, at)
        parts, at = parts + data[at + 7 : at + 7 + length], at + 7 + length
        if place in (1, 4):  # the whole of a record, or its end
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record.WhichOneof("record_type"), record
            parts = b""


def found(out):
    """Ids, configurations and rows by step of all that lies in the run's folder, in order."""
    ids, configurations, rows = [], [], []
    last = max(out.glob("wandb/offline-run-*/*.wandb"))
    wait_for(lambda: [kind for kind, _ in records(last)][-1:] == ["exit"])  # finish() may return a moment before
    for path in sorted(out.glob("wandb/offline-run-*/*.wandb")):  # latest-run is one of them
        for kind, record in records(path):
            if kind == "run":
                ids.append((record.run.run_id, record.run.project))
                items = record.run.config.update
                configurations.append({item.key: json.loads(item.value_json) for item in items if item.key != "_wandb"})
            if kind == "history":
                items = record.history.item
                row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
                rows.append({name: value for name, value in row.items() if name not in ("_timestamp", "_runtime")})
    return ids, configurations, rows


@needed
@pytest.mark.slow
def test_an_interrupted_run_is_one_run_with_every_epoch_once(tmp_path):
    running = Running(wandb=True)
    with pytest.raises(Interrupted):
        train(TINY, tmp_path, lambda step, *_: step == 5 and interrupt(), running)
    train(TINY, tmp_path, running=running)
    ids, configurations, rows = found(tmp_path)
    expected = [{"_step": 2 * row["epoch"], **row} for row in rows_of(tmp_path / "metrics.csv")]
    assert [{name: pytest.approx(value, rel=1e-6) for name, value in row.items()} for row in expected] == rows
    assert set(ids) == {(json.loads((tmp_path / RECORD).read_text())["id"], "difficult-examples")}
    assert len(ids) == 2
    assert configurations == [TINY.to_json()] * 2
    folders = sorted(path.name for path in (tmp_path / "wandb").iterdir())
    train(TINY, tmp_path, running=running)
    assert sorted(path.name for path in (tmp_path / "wandb").iterdir()) == folders  # a finished run adds nothing


@needed
def test_a_resumed_run_is_the_same_and_gets_the_row_that_a_kill_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    rows = [{"epoch": float(epoch), "loss": 1 / epoch} for epoch in (1, 2)]
    settings = replace(TINY, epochs=2)
    Dashboard(settings, tmp_path, 2).saved(rows[0])
    resumed = Dashboard(settings, tmp_path, 2)
    resumed.resumed(rows[0])  # which is there
    resumed.resumed(rows[1])  # which is not
    Dashboard(settings, tmp_path, 2).resumed(rows[1])
    ids, configurations, written = found(tmp_path)
    assert written == [{"_step": 2 * row["epoch"], **row} for row in rows]
    assert set(ids) == {(json.loads((tmp_path / RECORD).read_text())["id"], "mine")}
    assert len(ids) == 2
    assert configurations == [settings.to_json()] * 2


def test_an_unknown_mode_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    monkeypatch.setattr(module, "find_spec", lambda name: True)
    with pytest.raises(ParameterError, match="WANDB_MODE = ofline violates one of offline, online, disabled"):
        train(TINY, tmp_path / "out", running=Running(wandb=True))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@needed
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_offline_nothing_is_looked_up_nor_sent(tmp_path):
    """The library by itself would look its makers' host up, to report on itself."""
    code = (
        "from pathlib import Path; from empirical.train.settings import Settings\n"
        "from empirical.train.dashboard import Dashboard\n"
        f"Dashboard(Settings(epochs=1), Path({str(tmp_path)!r}), 2).saved({{'epoch': 1.0, 'loss': 1.0}})"
    )
    log = tmp_path / "log"
    command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", str(log), sys.executable, "-c", code]
    subprocess.run(command, check=True)
    assert "AF_UNIX" in log.read_text()  # to its own second process
    assert "AF_INET" not in log.read_text()
    assert len(found(tmp_path)[2]) == 1


@pytest.mark.parametrize("command", [main, compare])
def test_without_the_extra_the_error_names_it_and_nothing_is_written(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert command(["--data", "digits", "--wandb", "--out", str(tmp_path / "out")]) == 2
    expected = "error: --wandb needs wandb: pip install 'difficult-examples[wandb]'\n"
    assert capsys.readouterr() == ("", expected)
    assert list(tmp_path.iterdir()) == []

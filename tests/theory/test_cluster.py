import importlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from threadpoolctl import threadpool_limits

from empirical.simulate.__main__ import main as sample
from empirical.simulate.sampled import run_experiment as run_sampled
from empirical.simulate.settings import load_experiment
from tests.empirical.test_simulate import EXPERIMENT
from tests.theory import tasks
from tests.theory.test_simulate import FILE
from theory import cluster as module
from theory.checks import ParameterError
from theory.simulate import Experiment, run_experiment
from theory.simulate.__main__ import main
from theory.workers import workers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def running():
    """A cluster of two workers that somebody else has started."""
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def empty():
    with LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def foreign(tmp_path):
    """Start a worker of another version of the package, in another folder."""
    other = tmp_path / "other" / "difficult_examples-0.0.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: difficult-examples\nVersion: 0.0.9\n")
    started = []

    def start(address, path=other.parent):
        code = "from distributed.cli.dask_worker import main; main()"
        command = [sys.executable, "-c", code, address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **quiet))

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_for_a_worker(address):
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)


# --- a worker is lost ------------------------------------------------------------------------------


def killed_while(running, progress):
    """Kill one worker as soon as there is progress."""

    def kill():
        until(progress)
        os.kill(next(iter(running.workers.values())).pid, 9)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_a_population_simulation_survives_a_killed_worker(running, tmp_path):
    path, out = tmp_path / "experiment.toml", tmp_path / "cluster"
    path.write_text(FILE.replace("samples_per_class = 20", "samples_per_class = 60"))
    with threadpool_limits(1):  # sums are not associative: with more threads the last digits differ
        run_experiment(Experiment.load(path), tmp_path / "here")
    killing = killed_while(running, lambda: any(out.glob("cells/*.csv")))
    assert main([str(path), "--scheduler", running.scheduler_address, "--out", str(out)]) == 0
    killing.join()
    for name in ("results.csv", "results.parquet"):
        assert (out / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_a_sampled_simulation_survives_a_killed_worker(running, tmp_path):
    path, out = tmp_path / "experiment.toml", tmp_path / "cluster"
    path.write_text(EXPERIMENT.replace("[0.3, 0.4]", "0.3").replace("steps = 5", "steps = 400\nlr = 0.01"))
    with threadpool_limits(1):
        run_sampled(load_experiment(path), tmp_path / "here")
    killing = killed_while(running, lambda: any(out.glob("*/seed-*.npz")))
    assert sample([str(path), "--scheduler", running.scheduler_address, "--out", str(out)]) == 0
    killing.join()
    for name in ("results.csv", "results.parquet"):
        assert (out / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


# --- a running cluster -----------------------------------------------------------------------------


def test_a_scheduler_file_and_the_probe_is_removed(running, tmp_path):
    file, out = tmp_path / "scheduler.json", tmp_path / "new" / "out"
    file.write_text(json.dumps({"address": running.scheduler_address}))
    with workers(scheduler=str(file), out=out) as pool:
        assert list(pool.map(tasks.square, range(3))) == [0, 1, 4]
    assert list(tmp_path.iterdir()) == [file]
    assert len(running.workers) == 2


def test_relative_paths_are_those_of_the_main_process(running, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with workers(scheduler=running.scheduler_address) as pool:
        assert next(pool.map(tasks.where, [0]))[1] == str(tmp_path)
    monkeypatch.undo()
    with workers(scheduler=running.scheduler_address) as pool:
        assert next(pool.map(tasks.where, [0]))[1] == os.getcwd()


def test_tasks_on_a_running_cluster_save_when_another_one_fails(running, tmp_path):
    with pytest.raises(ParameterError, match="x = 1"), workers(scheduler=running.scheduler_address) as pool:
        list(pool.map(tasks.save_or_fail, [(0, tmp_path), (1, tmp_path)]))
    assert (tmp_path / "saved-0").exists()
    with workers(scheduler=running.scheduler_address) as pool:  # the workers are free again
        assert list(pool.map(tasks.square, range(3))) == [0, 1, 4]


def test_a_lost_scheduler_is_one_clear_line(tmp_path):
    file = tmp_path / "scheduler.json"
    code = "from distributed.cli.dask_scheduler import main; main()"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([sys.executable, "-c", code, *options], **quiet)
    until(file.exists)
    lost = pytest.raises(ParameterError, match="was lost; the same command goes on")
    threading.Timer(2, scheduler.kill).start()
    with lost, workers(scheduler=str(file)) as pool:
        list(pool.map(tasks.square, range(3)))  # there is no worker
    scheduler.wait()


# --- bad input -------------------------------------------------------------------------------------


def refusal(capsys, scheduler, out, *more):
    """The one line of a refused command, which writes nothing."""
    path = out.with_suffix(".toml")
    path.write_text(FILE)
    assert main([str(path), "--scheduler", scheduler, "--out", str(out), *more]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert not out.exists()
    assert not list(out.parent.glob(".*"))
    return output.err


@pytest.mark.parametrize(
    "scheduler", ["local:0", "local:-1", "local:two", "local:", "host", "host:8786", "tcp://host", "http://host:80", ""]
)
def test_a_malformed_address(tmp_path, capsys, scheduler):
    found = refusal(capsys, scheduler, tmp_path / "out")
    assert f"scheduler = {scheduler} violates local:N with N >= 1, an address such as tcp://host:8786" in found


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"address": 1}'])
def test_a_file_that_is_no_schedulers(tmp_path, capsys, content):
    (tmp_path / "scheduler.json").write_text(content)
    assert "scheduler.json" in refusal(capsys, str(tmp_path / "scheduler.json"), tmp_path / "out")


def test_jobs_together_with_a_scheduler(tmp_path, capsys):
    assert "error: --jobs: not allowed with argument --scheduler" in refusal(
        capsys, "local:2", tmp_path / "out", "--jobs", "1"
    )
    with pytest.raises(ParameterError, match="jobs = 2 violates no --jobs beside --scheduler"):
        workers(2, "local:2").__enter__()


@pytest.mark.parametrize("command", ["theory.simulate", "empirical.simulate", "empirical.compare", "empirical.study"])
def test_every_command_has_both_options(command, tmp_path, capsys):
    options = ["--jobs", "1", "--scheduler", "local:2", "--out", str(tmp_path / "out")]
    assert importlib.import_module(f"{command}.__main__").main(["omega", *options]) == 2
    assert "--scheduler: not allowed with argument --jobs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "theory.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'difficult-examples[cluster]'" in refusal(capsys, "local:2", tmp_path / "out")


@pytest.mark.parametrize("kind", ["closed", "silent", "unknown"])
def test_a_scheduler_that_does_not_answer(tmp_path, capsys, monkeypatch, kind):
    assert module.ANSWER < 15
    monkeypatch.setattr(module, "ANSWER", 1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == "silent":
            listener.listen()
        host = "no-such-host.invalid" if kind == "unknown" else "127.0.0.1"
        started = time.monotonic()
        found = refusal(capsys, f"tcp://{host}:{listener.getsockname()[1]}", tmp_path / "out")
    assert "violates a scheduler that answers within 1 s" in found
    assert time.monotonic() - started < 6


def test_a_worker_of_another_version_is_refused_naming_both(empty, foreign, tmp_path, capsys):
    with workers(scheduler=empty) as pool:  # it has no worker yet
        foreign(empty)
        with pytest.raises(ParameterError, match="has difficult-examples 0.0.9"):
            list(pool.map(tasks.square, [1]))
    found = refusal(capsys, empty, tmp_path / "out")
    assert re.search(r"worker tcp://127.0.0.1:\d+ has difficult-examples 0.0.9, this is 0.1.0", found)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs a path that each process sees otherwise")
def test_an_out_that_a_worker_does_not_see(empty, foreign, tmp_path, capsys, monkeypatch):
    foreign(empty, ROOT)
    wait_for_a_worker(empty)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = refusal(capsys, empty, Path("/proc/self/cwd/out"))
    assert re.search(r"worker tcp://127.0.0.1:\d+ does not see the folder of --out: there is no /proc/self/cwd/", found)

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import below, ended_within, wait_for
from tests.theory import tasks
from theory.checks import ParameterError
from theory.engine import HERE, report
from theory.workers import workers

CHOICES = ({}, {"jobs": 2}, {"scheduler": "local:2"})


@pytest.fixture(scope="module", params=CHOICES, ids=["here", "processes", "dask"])
def pool(request):
    with workers(**request.param) as pool:
        yield pool


def test_results_come_in_the_order_of_the_items(pool):
    assert list(pool.map(tasks.square, range(6))) == [0, 1, 4, 9, 16, 25]
    assert list(pool.map(tasks.square, [])) == []
    found = dict(pool.unordered(tasks.square, [2, 3]))
    assert found == {0: 4, 1: 9}


def test_two_calls_at_once_do_not_mix(pool):
    squares, others = pool.map(tasks.square, range(3)), pool.map(tasks.square, range(3, 6))
    assert list(zip(squares, others, strict=True)) == [(0, 9), (1, 16), (4, 25)]


def test_one_bar_counts_over_all_tasks(pool, capsys):
    heard = []
    assert len(list(pool.unordered(tasks.square, range(3), lambda *event: heard.append(event)))) == 3
    assert set(heard) <= {(0, 1), (1, 1), (2, 1)}
    pool.run(tasks.square, range(6), [3] * 6, finished=2, unit="epoch")
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "20/20" in shown


def test_an_error_of_a_task_arrives_with_its_fields(pool):
    with pytest.raises(ParameterError) as caught:
        list(pool.map(tasks.fail, [5]))
    assert (caught.value.name, caught.value.value, caught.value.condition) == ("x", 5, "x < 0")


def test_workers_have_one_thread_and_are_other_processes(pool):
    pid, folder, threads = next(pool.map(tasks.where, [0]))
    assert (pid == os.getpid()) == (pool is HERE)
    assert folder == os.getcwd()
    assert pool is HERE or threads == "1"


def test_a_report_outside_any_task_is_no_error():
    report(1)


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with workers(jobs=2) as pool:
        assert next(pool.map(tasks.where, [0]))[2] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_killed_worker_process_is_one_clear_line():
    with pytest.raises(ParameterError, match="a worker was killed"), workers(jobs=2) as pool:
        list(pool.map(tasks.die, range(4)))


def test_the_task_of_a_lost_dask_worker_is_taken_up_by_another(tmp_path):
    with workers(scheduler="local:2") as pool:
        assert list(pool.map(tasks.die_once, [(x, tmp_path / "marker") for x in range(6)])) == list(range(6))
    assert (tmp_path / "marker").exists()


def test_a_task_that_kills_every_worker_is_given_up():
    with pytest.raises(ParameterError, match="a task lost 4 workers"), workers(scheduler="local:1") as pool:
        list(pool.map(tasks.die, [0]))


@pytest.mark.parametrize("choice", CHOICES[1:], ids=["processes", "dask"])
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM], ids=lambda asked: asked.name)
def test_interrupted_tasks_save_and_no_other_begins(tmp_path, choice, asked):
    """As a terminal does, all processes get the signal."""
    code = f"from tests.theory.tasks import run_until_stopped as run; run({str(tmp_path)!r}, **{choice})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, asked)
    out, err = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[asked]
    assert (out, err) == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun-0", "begun-1", "saved-0", "saved-1"]


def test_workers_save_when_the_main_process_is_killed(tmp_path):
    code = f"from tests.theory.tasks import run_until_stopped as run; run({str(tmp_path)!r}, jobs=2)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait()
    while len(list(tmp_path.iterdir())) < 4:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun-0", "begun-1", "saved-0", "saved-1"]


ALL = ["processes", "dask"]
IN_C = [("call_c", False), ("call_c", True), ("call_c_while_stoppable", False)]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize("choice", CHOICES[1:], ids=ALL)
@pytest.mark.parametrize(("function", "locked"), IN_C, ids=["free", "holding Python's lock", "stoppable"])
def test_no_worker_outlives_a_killed_main_process_even_within_c(tmp_path, choice, function, locked):
    code = f"from tests.theory.tasks import run_c; run_c({str(tmp_path)!r}, {function!r}, {locked}, **{choice})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    processes = below(process.pid)
    assert len(processes) >= 2
    process.kill()
    process.wait()
    assert ended_within(10, processes) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize("choice", CHOICES[1:], ids=ALL)
def test_asked_alone_the_main_process_ends_all_others_once_they_have_saved(tmp_path, choice):
    code = f"from tests.theory.tasks import run_until_stopped as run; run({str(tmp_path)!r}, **{choice})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    processes = below(process.pid)
    process.terminate()
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 143
    assert ended_within(10, processes) == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun-0", "begun-1", "saved-0", "saved-1"]


@pytest.mark.parametrize("watch", ["the system", "a thread"])
@pytest.mark.parametrize("saves", [True, False])
def test_a_process_that_no_pool_has_started_ends_with_its_parent_too(tmp_path, saves, watch):
    """Also where the system does not tell it."""
    child = f"""
import pathlib, signal, sys, time
from theory.engine import end_with_parent, stoppable
if {watch == "a thread"}:
    sys.platform = "another"
asked = []
with stoppable(lambda: asked.append(1)):
    end_with_parent({saves})
    pathlib.Path({str(tmp_path)!r}, "begun").touch()
    while not asked:
        time.sleep(0.05)
    pathlib.Path({str(tmp_path)!r}, "saved").touch()
"""
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(lambda: (tmp_path / "begun").exists())
    processes = below(process.pid)
    assert len(processes) == 1
    process.kill()
    process.wait()
    assert ended_within(10, processes) == set()
    assert (tmp_path / "saved").exists() == saves

"""Memory that is there, and what cannot fit into it."""

import math
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from theory import memory
from theory.checks import ParameterError
from theory.command import Parser, run
from theory.memory import available, in_words, require_memory

ROOT = Path(memory.__file__).parents[1]
GIB = 1 << 30


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1.5 * GIB, "1.5 GiB"),
        (2**60, "1.0 EiB"),
        (2**71, "more than 1024 EiB"),
        (math.inf, "more than 1024 EiB"),
    ],
)
def test_sizes_in_words(size, expected):
    assert in_words(size) == expected


def test_some_memory_is_available():
    found = available()
    assert found is None or 1 << 20 < found < 1 << 60


def test_the_smallest_of_all_limits_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  999 kB\nMemAvailable:  500 kB\nHugePages_Total: 0\n")
    limits = {"RLIMIT_AS": resource.getrlimit(resource.RLIMIT_AS)[0]}
    if limits["RLIMIT_AS"] == resource.RLIM_INFINITY:
        assert available() == 500 * 1024
    (tmp_path / "proc" / "self" / "cgroup").write_text("4:memory:/job\n0::/job/step\nnonsense\n")
    for folder, limit in (("job/step", "max"), ("job", "300000")):
        (tmp_path / "cgroup" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / folder / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "cgroup" / folder / "memory.current").write_text("100000\n")
        (tmp_path / "cgroup" / folder / "memory.stat").write_text("inactive_file 50000\n")
    assert available() == 300_000 - 100_000 + 50_000
    (tmp_path / "cgroup" / "memory" / "job").mkdir(parents=True)
    for name, text in (("limit_in_bytes", "70000"), ("usage_in_bytes", "80000"), ("stat", "inactive_file 3000")):
        (tmp_path / "cgroup" / "memory" / "job" / f"memory.{name}").write_text(text)
    assert available() == 0  # the limit has been lowered below what is in use


def test_what_cannot_fit_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 3 * GIB)
    require_memory("width", 64, 3 * GIB, "for the weights")
    with pytest.raises(ParameterError) as caught:
        require_memory("width", 10**5, 4 * GIB, "for the weights")
    message = "width = 100000 violates memory: 4.0 GiB for the weights, 3.0 GiB are available"
    assert str(caught.value) == message
    monkeypatch.setattr(memory, "available", lambda: None)
    require_memory("width", 10**5, math.inf, "for the weights")  # nobody knows


MESSAGES = [
    MemoryError(),
    MemoryError("Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("Storage size calculation overflowed with sizes=[1000000000, 1000000000]"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB\nSee documentation"),
]


@pytest.mark.parametrize("error", MESSAGES, ids=lambda error: str(error)[:20])
def test_in_any_command_too_little_memory_is_one_line(capsys, error):
    def fail(_):
        raise error

    assert run(Parser("x"), fail, []) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: not enough memory")
    assert str(error).splitlines()[:1] == [] or str(error).splitlines()[0] in err


def test_other_errors_of_the_program_are_not_hidden():
    def fail(_):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(Parser("x"), fail, [])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the process's memory")
def test_the_limit_of_the_process_is_told():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
import numpy as np
from theory.command import Parser, run
raise SystemExit(run(Parser("x"), lambda _: np.ones(1 << 31), []))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("error: not enough memory (Unable to allocate 16.0 GiB for an array")
    assert found.stderr.rstrip().endswith("MiB are available")

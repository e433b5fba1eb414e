"""Nonsense to every command and every reader of files: refused in one line with nothing changed, or done."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import calls as strategies
from tests.fuzz import damage
from tests.fuzz.calling import Bench, Call
from tests.fuzz.material import MADE, make

FEW, MANY = 400, 20_000


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "work"
    folder.mkdir()
    make(folder)
    before = os.getcwd()
    os.chdir(folder)
    import importlib

    for module, arguments in MADE:
        assert importlib.import_module(f"{module}.__main__").main(arguments.split()) == 0, module
    os.chdir(before)
    found = Bench(folder)
    strategies.FOLDER[:] = damage.FOLDER[:] = [folder]
    return found


def judge(bench, call):
    outcome = bench.call(call)
    assert outcome.right, f"{call!r}\n{outcome.kind}: {outcome.fault}\n{outcome.out[-500:]}{outcome.err[-2000:]}"


def test_right_calls_are_done(bench):
    for room in strategies.ROOMS:
        for arguments in strategies.right(room):
            judge(bench, Call(room.module, tuple(arguments)))


def test_nonsense(bench):
    @settings(max_examples=FEW, suppress_health_check=list(HealthCheck), database=None)
    @given(strategies.calls())
    def fuzz(call):
        judge(bench, call)

    fuzz()

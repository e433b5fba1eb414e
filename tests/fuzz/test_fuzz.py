"""Nonsense to every command and every reader of files: refused in one line with nothing changed, or done.

A call may not end with a traceback, a hang or another exit code than 0 and 2; where it was refused, with anything but
one ``error:`` line on stderr, or a file that was changed; or with 0 on a value that its own help excludes. Calls are
made in this process, each in a folder of small inputs that is put right after it; work that has begun is cut short.
"""

from __future__ import annotations

import importlib
import itertools
import os
import shlex
from functools import cache

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz import calls as strategies
from tests.fuzz import damage, nonsense
from tests.fuzz.calling import Bench, Call
from tests.fuzz.material import GRAPH, MADE, SMALL, make
from theory.rooms import rooms

FEW, MANY, PARTS = 80, 20_000, 4  # calls; parts that may run beside each other
COUNTS = strategies.ROOT / "runs/fuzz"  # where the long run writes what its calls ended with


@cache
def parser_of(module):
    return next(room for room in strategies.ROOMS if room.module == module).load().parser(module)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "work"
    folder.mkdir()
    make(folder)
    before = os.getcwd()
    os.chdir(folder)
    try:
        for module, arguments in MADE:
            assert importlib.import_module(f"{module}.__main__").main(arguments.split()) == 0, module
    finally:
        os.chdir(before)
    strategies.FOLDER[:] = damage.FOLDER[:] = [folder]
    return Bench(folder, lambda call: nonsense.accepted(call, parser_of(call.module), folder))


def judge(bench, call):
    outcome = bench.call(call)
    assert outcome.right, f"{call!r}\n{outcome.kind}: {outcome.fault}\n{outcome.out[-500:]}{outcome.err[-2000:]}"
    return outcome


def fuzzed(bench, examples):
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(strategies.calls())
    def fuzz(call):
        judge(bench, call)

    return fuzz


def test_every_command_is_fuzzed():
    """With small calls of its own, or with the examples of its help."""
    found = {room.module for package in ("theory", "empirical") for room in rooms(package, strategies.ROOT / package)}
    assert {room.module for room in strategies.ROOMS} == found
    assert set(strategies.RIGHT) <= found
    for room in strategies.ROOMS:
        assert strategies.right(room)


def test_right_calls_are_done(bench):
    """Or else all that follows would say nothing: what is changed in a call must be what is wrong with it."""
    kinds = {}
    for room in strategies.ROOMS:
        for arguments in strategies.right(room):
            outcome = judge(bench, Call(room.module, tuple(arguments)))
            kinds[room.module, shlex.join(arguments)] = outcome.kind
    refused = {call for call, kind in kinds.items() if kind == "refused"}
    assert refused == {(module, arguments) for module, arguments in kinds if (module, arguments) in IN_VAIN}


# Right but for what takes minutes to make: published runs, a study, a set of judgements by people, enough images.
IN_VAIN = {
    (module, arguments)
    for module, arguments in (
        ("empirical.evidence", "primary --cifar10 npz:images.npz --sets 1 --out new"),
        ("empirical.evidence", "--out new --publish published"),
        ("empirical.evidence", "people --people images.npz --cifar10 npz:images.npz --out new"),
        ("empirical.study", "--report runs/compared"),
    )
}

LONG, IMAGES = "9" * 40, f"--data npz:images.npz {SMALL}"
KNOWN = [
    *(("empirical.study", f"headline {IMAGES} --out new --seeds {n}") for n in (0, -1, 10**6, LONG)),
    *(("empirical.study", f"headline {IMAGES} --out new --jobs {n}") for n in (0, 10**5, LONG)),
    ("empirical.study", f"headline batch {IMAGES} --train 40 --out new"),  # the second part, before the first runs
    ("empirical.study", f"headline --data npz:imags.npz {SMALL} --out new"),
    ("empirical.study", "headline --data npz:images.npz --batch 100000 --width 2 --dim 4 --out new"),
    *(("empirical.compare", f"{IMAGES} --out new --seeds {n}") for n in (0, 10**6, LONG)),
    *(("empirical.difficulty", f"--features features.npy --classes {n}") for n in (0, -1, 1, LONG)),
    *(("empirical.profile", f"--features features.npy --classes {n}") for n in (0, -1, 1, LONG)),
    *(("empirical.profile", f"--features features.npy --jobs {n}") for n in (0, 10**5, LONG)),
    *(("theory.bounds", f"--exact --alpha {n} --beta .05 --gamma .2") for n in ("1/0", "1e99999999", "1//2", "½")),
    ("theory.bounds", "--exact --alpha 1/2 --beta 1/20 --gamma 1/5 --delta 2"),
    *(("theory.bounds", f"--exact --alpha .5 --beta .05 --gamma 1/{n}") for n in (LONG, 0, -3, "x")),
    *(("theory.bounds", f"--alpha .5 --beta .05 --sweep gamma={n}") for n in (
        "0:1e999999999:1", "0:1:1e-999999999", "1e-999999999:1:.1", "0:1:0", "1:0:1", "nan:1:1", "0:inf:1", "::", "0:1",
        "-1:.4:.1", ".1:.4:-.1", f"0:{LONG}:1",
    )),
    ("theory.bounds", "--alpha .5 --beta .05 --gamma .2 --dim 1e3"),
    ("theory.predict", f"{GRAPH} --epsilon 1e308"),
    ("theory.simulate", "worlds.toml --out ''"),
    ("empirical.train", "--data npz:images.npz --out ''"),
    ("empirical.train", f"{IMAGES} --out new --lr 1e308"),
    ("empirical.train", f"{IMAGES} --out new --tau 1e308"),
    ("empirical.train", f"{IMAGES} --out new --seed {LONG}"),
    *(("empirical.profile", f"--features features.npy --out {n}") for n in ("pipe", "null", "full", "photos", "''")),
    *(("theory.bounds", f"{GRAPH} --plan {n}") for n in ("pipe", "null", "full", "/dev/stdout", "photos", "''")),
    *(("empirical.train", f"{IMAGES} --out {n}") for n in ("pipe", "null", "page.md", "page.md/x")),
    *(("theory.bounds", f"--profile {n}") for n in ("pipe", "null", "full", "/dev/zero", "/proc/self/mem", "photos")),
    *(("empirical.profile", f"--features {n}") for n in ("pipe", "null", "/dev/zero", "photos", "page.md")),
    *(("empirical.train", f"--data npz:{n} --out new") for n in ("pipe", "/dev/zero", "photos", "page.md")),
    *(("empirical.evaluate", f"--checkpoint {n}") for n in ("pipe", "/dev/zero", "photos", "page.md")),
    ("empirical.evaluate", f"--features features.npy --labels labels.npy --test-features {'a' * 5000}"),
    *(("empirical.findings", n) for n in ("pipe", "results", "images", "''", "/dev/zero")),
]  # fmt: skip


@pytest.mark.parametrize(("module", "arguments"), KNOWN)
def test_known_nonsense_is_refused(bench, module, arguments):
    assert judge(bench, Call(module, tuple(shlex.split(arguments)))).kind == "refused"


def test_a_graph_whose_difficult_pairs_have_no_weight_has_no_temperature(bench):
    levels = "--within .5 .4 .3 --across .114 0 0 --samples-per-class 20 --difficult 2 --plan new.json"
    outcome = judge(bench, Call("theory.bounds", tuple(levels.split())))
    assert outcome.kind == "done"
    assert "gamma = 0 < beta: no positive temperature turns gamma into beta" in outcome.out


ODD = ("--", "\n", "a\nb", "\x1b[31m", "", "ü", "1e308", LONG, "9" * 5000, "\udc80")


def test_odd_values_of_every_option_of_numbers_are_refused(bench):
    """Every option that takes a number, after a call that is right without it; two odd values each, by turns."""
    texts = itertools.cycle(ODD)
    for room in strategies.ROOMS:
        for name, action in strategies.options(room.module).items():
            for text in itertools.islice(texts, 2) if action.type in (int, float) else ():
                count = action.nargs if isinstance(action.nargs, int) else 1
                arguments = [*strategies.right(room)[0], name, *[text] * count]
                assert judge(bench, Call(room.module, tuple(arguments))).kind == "refused", (room.module, name)


def test_a_few_of_all(bench):
    fuzzed(bench, FEW)()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_twenty_thousand(bench, part):
    bench.counts.clear()
    try:
        seed(part)(fuzzed(bench, MANY // PARTS))()
    finally:
        COUNTS.mkdir(parents=True, exist_ok=True)
        (COUNTS / f"counts-{part}.txt").write_text(bench.table() + "\n")
        print(bench.table())

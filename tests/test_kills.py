"""Killed at any write and at any moment, a command goes on to the same results, and leaves nothing behind.

The bytes of all files are compared but for seconds that were measured.
"""

import io
import json
import os
import random
import re
import shutil
import signal
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from tests.killing import Server
from tests.processes import below, ended_within

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks for processes in /proc")
MEASURED = {"seconds", "views_per_second"}
TINY = "--data digits --encoder convnet --width 4 --dim 6 --batch 30 --accelerator cpu --precision 32-true --test 50"
FEATURES = "--features ../f.npy --labels ../l.npy"
CALLS = {
    "train": f"empirical.train {TINY} --train 60 --epochs 2 --checkpoint-every 1 --track 1 --out out",
    "compare": f"empirical.compare {TINY} --train 100 --epochs 1 --arms baseline --seeds 1 --omegas .3 --out out",
    "study": f"empirical.study headline {TINY} --train 100 --epochs 1 --seeds 1 --out out",
    "sampled": "empirical.simulate ../sampled.toml --out out",
    "expected": "theory.simulate ../expected.toml --out out",
    "difficulty": f"empirical.difficulty {FEATURES} --out out",
    "profile": f"empirical.profile {FEATURES} --out out/p.json --difficult-out out/d.npy",
}
SAMPLED = """
alpha = 0.6
beta = 0.2
gamma = [0.3, 0.4]
samples_per_class = 3
classes = 3
difficult = 1
dim = 3
steps = 5
batch = 4
seeds = 2
"""
EXPECTED = 'world = "measured"\nfeatures = "x.npz"\nepsilon = [0, 0.02]\ndim = 4\nseeds = 2\n'
JOBS = ("compare", "study", "sampled", "expected")  # in two worker processes too
KILLS = {"train": 24, "compare": 18, "study": 18, "sampled": 16, "expected": 10, "difficulty": 8, "profile": 6}


class Bench:
    """A folder with inputs, folders of trials in it, and what commands give that nobody kills."""

    def __init__(self, place, modules):
        self.place, self.server = place, Server(modules)
        rng, labels = np.random.default_rng(0), np.repeat(np.arange(3), 20)
        np.save(place / "f.npy", (rng.standard_normal((60, 4)) + 4 * np.eye(3, 4)[labels]).astype(np.float32))
        np.save(place / "l.npy", labels)
        x = 2 + np.eye(3, 12)[labels] + 0.3 * rng.standard_normal((60, 12))
        np.savez(place / "x.npz", features=x, labels=labels)
        (place / "sampled.toml").write_text(SAMPLED)
        (place / "expected.toml").write_text(EXPECTED)
        self.whole = {}

    def fresh(self):
        """An empty folder for a trial."""
        folder = self.place / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def reference(self, name):
        """Files and writes of a command that nobody kills."""
        if name not in self.whole:
            folder = self.fresh()
            ended = self.server.run(folder, *CALLS[name].split())
            assert ended.code == 0, ended.said
            self.whole[name] = contents(folder), ended.writes
        return self.whole[name]

    def resumed(self, name, folder, *more):
        """Run a command to its end, and compare."""
        ended = self.server.run(folder, *CALLS[name].split(), *more)
        assert ended.code == 0, ended.said
        assert "Traceback" not in ended.said
        found, expected = contents(folder), self.reference(name)[0]
        assert sorted(found) == sorted(expected)
        assert [file for file in expected if found[file] != expected[file]] == []

    def killed_at(self, name, number):
        """Kill a command before a write; what it was about to do."""
        folder = self.fresh()
        ended = self.server.run(folder, *CALLS[name].split(), fatal=number)
        assert ended.code == -signal.SIGKILL, ended.said
        assert len(ended.writes) == number
        self.resumed(name, folder)
        return ended.writes[-1]

    def killed_often(self, name, generator, often, more):
        """Kill a command at random moments, and what goes on from there too; how many kills met one that ran."""
        self.reference(name)  # which takes longer than others: it is the first of its kind
        met, folder, started = 0, self.fresh(), time.monotonic()
        self.resumed(name, folder, *more)
        seconds, folder = time.monotonic() - started, self.fresh()
        while met < often:
            with self.server.started(folder, *CALLS[name].split(), *more) as (pid, ended):
                time.sleep(generator.uniform(0, seconds))
                processes = below(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    processes = set()
            assert ended_within(10, processes) == set()
            met += ended[0].code == -signal.SIGKILL
            assert ended[0].code in (0, -signal.SIGKILL), ended[0].said
            if ended[0].code == 0 or generator.random() < 0.3:
                self.resumed(name, folder, *more)
                folder = self.fresh()
        self.resumed(name, folder, *more)
        return met


def contents(folder):
    """What is in every file below a folder, without measured seconds; and all names, of folders too."""
    return {
        str(path.relative_to(folder)): plain(path) if path.is_file() else "folder" for path in sorted(folder.rglob("*"))
    }


def plain(path):
    content = path.read_bytes()
    if path.suffix == ".csv" and content:
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
        return table.drop(columns=list(MEASURED & set(table))).to_csv()
    if path.suffix == ".json":
        return without_measured(json.loads(content))
    if path.suffix == ".html":
        return re.sub(rb"took [\d.]+ minutes", b"took some minutes", content)
    if path.suffix == ".pt":
        return without_measured(torch.load(path, weights_only=True))
    return content


def without_measured(value):
    """A document, tensors as bytes."""
    if isinstance(value, dict):
        return {name: without_measured(one) for name, one in value.items() if name not in MEASURED}
    if isinstance(value, list | tuple):
        return [without_measured(one) for one in value]
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    return value


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    found = Bench(tmp_path_factory.mktemp("kills"), sorted({call.split()[0] for call in CALLS.values()}))
    yield found
    found.server.close()


# --- a few kills, in `make test` -------------------------------------------------------------------


@pytest.mark.parametrize(("name", "some"), [("difficulty", 4), ("train", 5)])
def test_killed_at_some_writes(bench, name, some):
    writes = bench.reference(name)[1]
    assert {write.partition(" ")[0] for write in writes} >= {"open", "fsync", "replace", "unlink", "mkdir"}
    for number in random.Random(name).sample(range(1, len(writes) + 1), some):
        bench.killed_at(name, number)


def test_the_harness_sees_a_difference(bench):
    """A comparison that cannot fail would prove nothing."""
    expected = bench.reference("difficulty")[0]
    folder = bench.fresh()
    assert bench.server.run(folder, *CALLS["difficulty"].split()).code == 0
    assert contents(folder) == expected
    (folder / "out" / ".scores.csv.77").touch()
    with pytest.raises(AssertionError):
        assert sorted(contents(folder)) == sorted(expected)
    (folder / "out" / ".scores.csv.77").unlink()
    text = (folder / "out" / "scores.csv").read_text()
    (folder / "out" / "scores.csv").write_text(text.replace("1", "2", 1))
    assert contents(folder) != expected


# --- all of them, in `make test-slow` --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_killed_at_every_write(bench, name):
    writes = bench.reference(name)[1]
    killed = [bench.killed_at(name, number) for number in range(1, len(writes) + 1)]
    assert killed == writes
    print(f"{name}: killed before each of {len(writes)} writes")


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_killed_at_random_moments(bench, name):
    """Also while it goes on after a kill, and with the workers of one that has them."""
    assert sum(KILLS.values()) == 100
    more = ["--jobs", "2"] if name in JOBS else []
    generator = random.Random(os.environ.get("KILLS_SEED", "19") + name)
    print(f"{name}: {bench.killed_often(name, generator, KILLS[name], more)} kills at random moments")

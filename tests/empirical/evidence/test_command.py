"""The command: its errors are one line and write nothing, and its parts reach what runs them."""

import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from empirical.evidence import __main__ as command
from empirical.evidence import running
from empirical.evidence.design import PARTS, SPLITS, Part
from empirical.evidence.published import load_evidence
from tests.empirical.evidence.fakes import shrink

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--out out", "PART is required: one or more of primary, "),
        ("primry --out out", "PART primry: not one of "),
        ("primary", "--out is required: "),
        ("primary --out out --sets 0", "sets = 0 violates an integer >= 1"),
        ("primary --out out --sets x", "--sets x: not an integer"),
        ("primary --out out --jobs 0", "jobs = 0 violates "),
        ("trashnet --out out", "part trashnet needs the images of trashnet: --trashnet DATA"),
        ("primary cifar100 --out out", "part cifar100 needs the images of cifar100: --cifar100 DATA"),
        ("--out out --publish results", "out = out violates a folder with finished runs"),
        ("primary --out out --cifar10 npz:none.npz", "cannot read none.npz: there is no file none.npz"),
        ("tuning --out out --cifar10 npz:none.npz", "cannot read none.npz: there is no file none.npz"),
        ("scratch --out out --cifar10 npz:none.npz", "cannot read none.npz: there is no file none.npz"),
        ("primary --out out --cifar10 cifra10", "data = cifra10 violates "),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = command.main(shlex.split(arguments))
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*"))


def test_help_answers_within_a_second_and_without_torch():
    code = (
        "import sys\nsys.argv = ['', '--help']\n"
        "try:\n    import runpy; runpy.run_module('empirical.evidence', run_name='__main__')\n"
        "finally:\n    assert not {'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)\n"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1
    for part in (*PARTS, "scratch", "tuning"):
        assert part in shown.stdout
    for data in SPLITS:
        assert f"--{data}" in shown.stdout


def test_parts_are_run_in_the_order_given(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(running, "run_part", lambda name, sources, out, *rest: ran.append((name, sources, rest[-1])))
    monkeypatch.setattr(running, "run_scratch", lambda data, out, pool: ran.append(("scratch", data)))
    monkeypatch.setattr(running, "tune", lambda benches, sources, *_: ran.append(("tuning", benches)))
    arguments = f"rivals scratch tuning primary --out {tmp_path} --sets 3 --trashnet folder:t"
    assert command.main(shlex.split(arguments)) == 0
    sources = {"cifar10": "cifar10", "trashnet": "folder:t"}
    expected = [("rivals", sources, 3), ("scratch", "cifar10"), ("tuning", ["cifar10", "trashnet"])]
    assert ran == [*expected, ("primary", sources, 3)]


def test_a_part_is_run_and_published(monkeypatch, tmp_path, capsys):
    shrink(monkeypatch, tmp_path)
    entries = {name: PARTS["primary"].entries[name] for name in ("baseline", "oracle")}
    monkeypatch.setitem(PARTS, "primary", Part("?", "cifar10", entries, range(10, 12)))
    stem = tmp_path / "results" / "evidence"
    assert command.main(["primary", "--out", str(tmp_path), "--sets", "1", "--publish", str(stem)]) == 0
    assert capsys.readouterr().out == f"{stem}.csv\n{stem}.json\n"
    found = load_evidence(stem)
    assert sorted(found.runs.entry.unique()) == ["baseline", "oracle"]
    assert found.runs.set.unique().tolist() == [0]
    assert found.check("cifar10") is None  # two of forty seeds
    effect = found.effect(found.document["checks"]["cifar10"])
    assert (effect.sets, effect.seeds) == (1, 2)
    assert np.isfinite([effect.value, effect.error]).all()


def test_the_wheel_holds_claims_and_choices():
    """Hatchling packs whole packages, but for what git ignores."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert wheel == {"packages": ["theory", "empirical"]}
    assert (ROOT / "empirical" / "evidence" / "claims.toml").is_file()
    files = ["empirical/evidence/claims.toml", "empirical/evidence/choices.json"]
    ignored = subprocess.run(["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ""

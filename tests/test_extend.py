"""Every example of docs/extend.md runs, and code is run only where a command names it."""

import doctest
import re
import shlex
import sys
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from theory.checks import ParameterError
from theory.graph import SimilarityGraph
from theory.params import GraphParameters
from theory.spectrum import spectrum

PAGE = Path(__file__).parents[1] / "docs" / "extend.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = re.findall(r"^```(?:python|toml)\n# (\w+\.(?:py|toml))\n(.*?)^```$", TEXT, flags=re.M | re.S)
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, flags=re.M | re.S)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", "").splitlines()]
MODULES = [name.removesuffix(".py") for name, _ in FILES if name.endswith(".py")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The page's files in the working folder, from which alone they can be imported."""
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    for module in MODULES:
        monkeypatch.delitem(sys.modules, module, raising=False)
    yield tmp_path
    for module in MODULES:
        sys.modules.pop(module, None)


def without_modules():
    for name, _ in FILES:
        Path(name).unlink()
    for module in MODULES:
        sys.modules.pop(module, None)


def call(line):
    _, _, module, *arguments = shlex.split(line)
    return import_module(f"{module}.__main__").main(arguments)


def command(module):
    return [line for line in COMMANDS if f" {module} " in line]


def test_the_page_has_an_example_of_each():
    rows = re.findall(r"^\| \[([a-z ]+)\]", TEXT, flags=re.M)
    assert rows == ["level structure", "world", "arm", "loss", "modality", "theorem"]
    assert MODULES == ["halfway", "ring", "controls", "decoupled", "statements"]
    assert len(COMMANDS) == 6


def test_level_structure(folder, monkeypatch, capsys):
    monkeypatch.syspath_prepend(folder)
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 5
    assert found.failed == 0
    p = import_module("halfway").halfway(Fraction(3, 5), Fraction(1, 5), Fraction(2, 5), 4, 2, 2)
    dense = np.linalg.eigvalsh(SimilarityGraph(p).normalized_adjacency())
    stated = np.repeat([float(mode.eigenvalue) for mode in spectrum(p)], [mode.multiplicity for mode in spectrum(p)])
    assert np.sort(stated) == pytest.approx(dense)
    assert call(*command("theory.bounds")) == 0
    assert "contrast" in capsys.readouterr().out


def test_world(folder, capsys):
    assert call(*command("theory.simulate")) == 0, capsys.readouterr().err
    found = pd.read_csv("runs/ring/results.csv")
    assert set(found.world) == {"ring:ring"}
    assert found.predicted.notna().all()
    assert abs(found.error.mean() - found.predicted.mean()) < 0.06
    world = import_module("ring").ring(GraphParameters(0.5, 0.1, 0.2, 20, 5, 4))
    nodes = np.arange(100)
    weights = world.rows(nodes, nodes)
    assert weights[0, 20] == weights[0, 80] == np.float32(0.2)  # classes 0 and 1, 0 and 4
    assert weights[0, 40] == weights[0, 25] == np.float32(0.1)


def test_arm(folder, capsys, monkeypatch):
    pytest.importorskip("torch")
    from empirical.train.checkpoint import load_network

    train, compare = command("empirical.train")[0], command("empirical.compare")[0]
    assert call(train) == 0, capsys.readouterr().err
    monkeypatch.setattr("empirical.compare.experiment.write_report", lambda out: out)  # which --report does below
    monkeypatch.setattr("empirical.compare.__main__._tell", print)
    assert call(f"{compare} --protocol lbfgs-c1 --width 4 --dim 4") == 0, capsys.readouterr().err
    assert (folder / "runs/arms/omega-0.0/controls.MARGIN_RANDOM-1").is_dir()
    without_modules()  # a report and a checkpoint name code as data
    assert call("python -m empirical.compare --report runs/arms") == 0, capsys.readouterr().err
    found = pd.read_csv("runs/arms/results.csv")
    assert (found.arm == "controls:MARGIN_RANDOM").sum() == 2
    assert load_network(Path("runs/one/checkpoint.pt"))[0].arm == "controls:MARGIN_RANDOM"
    assert not set(MODULES) & set(sys.modules)


def test_loss(folder, capsys):
    import torch

    from empirical.losses import ContrastiveLoss, Objective, two_view_pairs
    from empirical.train.checkpoint import load_network

    assert call(command("empirical.train")[1]) == 0, capsys.readouterr().err
    z = torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    positive, negative = two_view_pairs(z)
    expected = 0.0
    for anchor in range(8):
        others = [negative[anchor, other] for other in range(8) if other not in (anchor, (anchor + 4) % 8)]
        expected += float(sum(torch.exp(s / 0.2) for s in others).log() - positive[anchor] / 0.2) / 8
    objective = Objective("decoupled:decoupled", tau=0.2)
    assert float(objective(positive, negative)) == pytest.approx(expected)
    assert float(ContrastiveLoss(objective)(*z.tensor_split(2))) == pytest.approx(expected)
    assert objective == Objective("decoupled:decoupled", tau=0.2)
    without_modules()
    assert load_network(Path("runs/decoupled/checkpoint.pt"))[0].loss == "decoupled:decoupled"
    assert not set(MODULES) & set(sys.modules)


def test_theorem(folder, capsys):
    assert call(*command("theory.audit")) == 0
    assert "on the paper's graph: TRUE" in capsys.readouterr().out
    statements = import_module("statements")
    wrong = statements.never_lower(lambda p: 2 * statements.formulas.clean_bulk(p))
    assert wrong.verdict.theorem == "refuted"
    assert wrong.counterexample


BAD = """
from empirical.arms import Arm
from theory.audit.evidence import Verdict, Words
from theory.params import GraphParameters
from theory.worlds import World, synthetic

text = "text"
def nothing(*_): return None
def raising(*_): raise ValueError("no\\nsuch thing")
def infinite(positive, negative): return negative.mean() - positive.mean()
def named(): return Verdict("clean", "", "", Words("true"), None, None, "")
def word(): return Verdict("mine", "", "", Words("certain"), None, None, "")
def renamed(p): return synthetic(p, "graded")
"""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("theorem absent:x", "a module that can be imported (No module named 'absent')"),
        ("theorem bad:absent", "an attribute absent of bad"),
        ("theorem bad:", "MODULE:NAME, such as package.module:function"),
        ("theorem bad:text", "a function without parameters ('str' object is not callable)"),
        ("theorem bad:raising", "a function without parameters (no such thing)"),
        ("theorem bad:nothing", "a Verdict with words among true,"),
        ("theorem bad:named", "a name of its own, not the paper's clean"),
        ("theorem bad:word", "a Verdict with words among true,"),
        ("world bad:nothing", "a function that makes a World (found NoneType)"),
        ("world bad:raising", "a function of a graph's parameters (no such thing)"),
        ("world bad:renamed", "a name of its own in the world bad:renamed"),
        ("world graded", "MODULE:FUNCTION; worlds of ours are named in the file"),
        ("arm bad:text", "an empirical.arms.Arm (found str)"),
        ("arm bad:absent", "an attribute absent of bad"),
        ("loss bad:nothing", "a scalar tensor with a gradient (found NoneType)"),
        ("loss bad:raising", "a function of positive and negative logits (no such thing)"),
        ("loss bad:infinite", "a finite loss with finite gradients"),
    ],
)
def test_bad_code_is_one_line(spec, message, folder, capsys):
    (folder / "bad.py").write_text(BAD, encoding="utf-8")
    sys.modules.pop("bad", None)
    what, name = spec.split()
    lines = {
        "theorem": f"python -m theory.audit {name}",
        "world": f"python -m theory.simulate ring.toml --world {name} --out runs/bad",
        "arm": f"python -m empirical.train --arm {name} --out runs/bad",
        "loss": f"python -m empirical.train --loss {name} --out runs/bad",
    }
    assert call(lines[what]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    assert not (folder / "runs").exists()


def test_an_experiment_names_no_code(folder, capsys):
    text = Path("ring.toml").read_text(encoding="utf-8") + 'world = "ring:ring"\n'
    Path("named.toml").write_text(text, encoding="utf-8")
    assert call("python -m theory.simulate named.toml --out runs/named") == 2
    assert "code of your own is named as --world" in capsys.readouterr().err
    assert "ring" not in sys.modules


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"select": "best"}, "select"),
        ({"space": "pixels"}, "space"),
        ({"drop": "all"}, "drop"),
        ({"loss": "l"}, "loss"),
    ],
)
def test_an_arms_names_are_checked(fields, name):
    from empirical.arms import Arm

    with pytest.raises(ParameterError) as refused:
        Arm(**fields)
    assert refused.value.name == name
    with pytest.raises(ParameterError, match="neither sigma nor rho"):
        Arm(sigma=True, remove_pairs=True)


def test_a_worlds_arrays_fit(folder):
    from dataclasses import replace

    from theory.worlds import synthetic

    world = synthetic(GraphParameters(0.5, 0.1, 0.2, 6, 3, 2), "confusable")
    for field, value in {
        "samples": world.samples[1:],
        "closeness": world.closeness * 2,
        "confused": world.confused[1:],
        "labels": world.labels + 1,
    }.items():
        with pytest.raises(ParameterError, match=field):
            replace(world, **{field: value})

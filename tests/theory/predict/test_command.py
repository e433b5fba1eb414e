"""The command prints what the library computes, in words, as JSON, over ranges; and refuses in one line."""

import csv
import json
import shlex

import numpy as np
import pytest

from theory.params import GraphParameters, Levels, SixLevels
from theory.predict import REMEDIES, evaluate, mechanism, predict, thresholds
from theory.predict import __main__ as command
from theory.predict.chain import PROBES
from theory.predict.damage import PARTS

GRAPH = GraphParameters(0.6, 0.3, 0.34, 60, 5, 6)
GIVEN = "--alpha .6 --beta .3 --gamma .34 --samples-per-class 60 --classes 5 --difficult 6"
PROBE = "--epsilon .6 --dim 12"


def printed(capsys, arguments):
    assert command.main(shlex.split(arguments)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_tables_that_start_up_may_not_import():
    assert command.REMEDIES == REMEDIES
    assert command.PROBES == PROBES
    assert set(command.PARTS) == set(PARTS)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_json(remedy, capsys):
    document = json.loads(printed(capsys, f"{GIVEN} {PROBE} --remedy {remedy} --json"))
    found = predict(GRAPH, 0.6, 12, remedy=remedy)
    assert (document["accuracy"], document["easy"], document["difficult"]) == pytest.approx(found, nan_ok=True)
    assert document["parameters"]["labels_per_class"] == 30
    assert document["mechanism"] == mechanism(GRAPH, 0.6, 12)._asdict()
    assert document["thresholds"] == {name: t._asdict() for name, t in thresholds(GRAPH, 0.6, 12).items()}
    assert document["remedies"]["margin"]["accuracy"] == predict(GRAPH, 0.6, 12, remedy="margin").accuracy


def test_text_has_the_same_numbers(capsys):
    out = printed(capsys, f"{GIVEN} {PROBE} --labels-per-class 20 --ridge .1")
    for remedy in REMEDIES:
        found = predict(GRAPH, 0.6, 12, 20, 0.1, remedy)
        line = next(line for line in out.splitlines() if line.startswith(f"  {remedy.replace('_', ' ')} "))
        assert f"{found.accuracy:.4f}" in line
    acts = mechanism(GRAPH, 0.6, 12, 20, 0.1)
    assert f"all {100 * acts.total:+.2f}: class modes {100 * acts.parts['class_block']:+.2f}" in out


def test_a_share_of_labels(capsys):
    shares, numbers = (
        json.loads(printed(capsys, f"{GIVEN} {PROBE} --json {labels}"))
        for labels in ("--label-share .25", "--labels-per-class 15")
    )
    assert shares == numbers


def test_six_levels_and_what_they_lack(capsys):
    sizes = GIVEN.split("--gamma .34 ")[1]
    document = json.loads(printed(capsys, f"--within .6 .5 .6 --across .3 .3 .35 {sizes} {PROBE} --json"))
    graph = SixLevels(Levels(0.6, 0.5, 0.6), Levels(0.3, 0.3, 0.35), 60, 5, 6)
    assert document["accuracy"] == predict(graph, 0.6, 12).accuracy
    assert document["mechanism"] is None
    assert "three-level graph" in document["reasons"]["mechanism"]


def test_the_logistic_probe(capsys):
    document = json.loads(printed(capsys, f"{GIVEN} {PROBE} --probe logistic --json"))
    assert document["accuracy"] == predict(GRAPH, 0.6, 12, probe="logistic").accuracy
    assert document["parameters"]["ridge"] == 1
    assert document["thresholds"] is None
    assert "least_squares" in document["reasons"]["thresholds"]


def test_few_nodes_are_pointed_out(capsys):
    out = printed(capsys, "--alpha .6 --beta .3 --gamma .34 --samples-per-class 12 --classes 3 --difficult 2 " + PROBE)
    assert "fewer than 60 nodes, for which nothing was tested" in out


@pytest.mark.parametrize("correlated", ["0", ".4"])
def test_a_sweep(correlated, capsys):
    out = printed(capsys, f"{GIVEN} --dim 12 --correlated {correlated} --sweep epsilon=.5:.9:.2")
    rows = list(csv.DictReader(out.splitlines()))
    found = evaluate(0.6, 0.3, 0.34, 60, 5, 6, 12, [0.5, 0.7, 0.9], correlated=float(correlated))
    clean = evaluate(0.6, 0.3, 0.34, 60, 5, 6, 12, [0.5, 0.7, 0.9], correlated=float(correlated), remedy="clean")
    assert [float(row["accuracy"]) for row in rows] == pytest.approx(found["accuracy"])
    assert [float(row["difficult_accuracy"]) for row in rows] == pytest.approx(found["difficult"])
    assert [float(row["clean_accuracy"]) for row in rows] == pytest.approx(clean["accuracy"])
    assert [row["samples_per_class"] for row in rows] == ["60"] * 3
    if correlated != "0":
        plain = evaluate(0.6, 0.3, 0.34, 60, 5, 6, 12, [0.5, 0.7, 0.9])
        assert not np.allclose(plain["accuracy"], found["accuracy"])


def test_a_sweep_over_two_as_files(tmp_path, capsys):
    table, picture = tmp_path / "t.json", tmp_path / "t.svg"
    sweeps = "--sweep dim=10:20:10 --sweep labels-per-class=20:40:10"
    out = printed(capsys, f"{GIVEN} --epsilon .6 {sweeps} --out {table} --plot {picture}")
    assert out == f"{table}: 6 points\n{picture}: 6 points\n"
    columns = json.loads(table.read_text())["columns"]
    assert columns["accuracy"][1] == pytest.approx(predict(GRAPH, 0.6, 10, 30).accuracy, abs=1e-8)
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (GIVEN, "--epsilon is required: the standard deviation of the noise on a similarity"),
        (f"{GIVEN} --epsilon .6 --dim 4", "dim = 4 violates dim >= 5, the classes: fewer modes miss some of them"),
        (f"{GIVEN} --epsilon .6 --dim 149", "dim = 149 violates dim < 150 - 1, one less than the labels"),
        (f"{GIVEN} {PROBE} --label-share 1", "--label-share = 1.0 violates 0 < label_share < 1"),
        (f"{GIVEN} {PROBE} --out t.csv", "--out needs --sweep"),
        (
            f"{GIVEN} --dim 12 --sweep epsilon=0:1:1 --out t.txt",
            "--out = t.txt violates a name ending in .csv or .json",
        ),
        (f"{GIVEN} --dim 12 --sweep epsilon=0:1:1 --epsilon 1", "--epsilon and a sweep over it exclude each other"),
        (f"{GIVEN} {PROBE} --correlated 2", "correlated = 2.0 violates 0 <= correlated <= 1"),
        (f"{GIVEN} {PROBE} --probe logistic --ridge 0", "ridge = 0 violates 0 < ridge <= 1e+50"),
        (
            f"--within .6 .6 .6 --across .3 .3 .3 {PROBE} --pairing any",
            "--pairing and --within exclude each other: six levels say which pairs are similar",
        ),
        (
            f"{GIVEN} --epsilon .6 --sweep dim=3:12:3",
            "dim = 3 at point 0 violates dim >= 5, the classes: fewer modes miss some of them",
        ),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(shlex.split(arguments)) == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")
    assert not list(tmp_path.iterdir())

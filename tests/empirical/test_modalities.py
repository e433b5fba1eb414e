"""The modality of docs/modalities.md does all that images do; what is none is refused."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from empirical.compare.__main__ import main as compare
from empirical.evaluate.__main__ import main as evaluate
from empirical.evaluate.protocol import Protocol
from empirical.modalities import NAMES, modality
from empirical.modalities.contract import Modality, joined
from empirical.modalities.registry import IMAGES
from empirical.sentences.sts import TASKS
from empirical.train.__main__ import main as train
from empirical.train.loop import train as run
from empirical.train.settings import Settings
from tests.empirical.sentences.test_sts import write_tasks
from theory.checks import ParameterError

PAGE = (Path(__file__).parents[2] / "docs" / "modalities.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)
BUILT_IN, COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.M | re.S)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    (tmp_path / "tables.py").write_text(EXAMPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tables", raising=False)
    return tmp_path


def test_the_example_is_short():
    assert len([line for line in EXAMPLE.partition("class")[2].splitlines() if line]) <= 20


def test_the_pages_commands(tables, capsys):
    for line in COMMANDS.splitlines():
        _, _, module, *arguments = shlex.split(line)
        assert import_module(f"{module}.__main__").main(arguments) == 0, capsys.readouterr().err
    result = json.loads((tables / "runs" / "wine" / "result.json").read_text())
    assert result["metrics"]["encoder_probe"] > 0.85  # of three classes of 60
    assert (tables / "wine" / "summary.json").exists()
    assert "combined" in (tables / "runs" / "tables" / "report.html").read_text(encoding="utf-8")
    assert not list((tables / "runs" / "tables").rglob("raw_pixels"))


def test_a_run_of_it_goes_on_to_the_same_bits(tables, capsys):
    require_same_bits_of_a_run_in_parts("tables:Tables", {"data": "wine", "epochs": 4}, tables)


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [("graphs", "tu:MUTAG", ""), ("sentences", "text:lines.txt", "depth=1,heads=2,dropped=.3,pooling=attention")],
)
def test_graphs_and_sentences_go_on_to_the_same_bits(tmp_path, monkeypatch, name, data, options):
    pytest.importorskip("torch_geometric" if name == "graphs" else "transformers")
    monkeypatch.chdir(tmp_path)
    write_graphs(tmp_path / "MUTAG")
    lines = [f"{color} {noun} {verb}" for color in "abcde" for noun in "fghi" for verb in "klmnopqr"]
    Path("lines.txt").write_text("\n".join(lines), encoding="utf-8")
    small = {"data": data, "width": 16, "dim": 8, "batch": 40, "epochs": 4, "modality_options": options}
    require_same_bits_of_a_run_in_parts(name, small, tmp_path)


def require_same_bits_of_a_run_in_parts(name, changes, folder):
    settings = Settings(modality=name, **modality(name).usual | changes)
    whole = run(settings, folder / "whole")

    def stop(step, *_):
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, folder / "parts", stop)
    again = run(settings, folder / "parts")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_code_of_a_checkpoint_is_not_run_unless_it_is_named(tables, capsys):
    given = ["--modality", "tables:Tables", "--data", "wine", "--epochs", "1", "--out", "run"]
    assert train(given) == 0
    command = [sys.executable, "-m", "empirical.profile", "--checkpoint", "run/checkpoint.pt"]
    (tables / "tables.py").write_text("open('ran', 'w')\n" + EXAMPLE, encoding="utf-8")
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tables)
    assert refused.returncode == 2
    assert "tables:Tables as its modality, which would be imported and called: --trust-encoder" in refused.stderr
    assert not (tables / "ran").exists()


def test_a_report_and_an_export_run_no_code(tables, capsys):
    """Of a folder whose documents were changed so that they name some."""
    from empirical.compare.__main__ import main as compare
    from empirical.export.loading import load_encoder
    from empirical.export.writing import export

    small = ["--encoder", "convnet", "--width", "4", "--dim", "8", "--batch", "100", "--train", "200", "--epochs", "1"]
    small += ["--protocol", "lbfgs-c1"]
    given = ["--preset", "digits-demo", "--arms", "baseline", "--seeds", "1", *small, "--out", "runs"]
    assert compare(given) == 0
    results = (tables / "runs" / "results.csv").read_text(encoding="utf-8")
    (tables / "runs" / "report.html").unlink()
    export(tables / "runs" / "omega-0.0" / "baseline-0" / "checkpoint.pt", tables / "model", ())
    (tables / "tables.py").write_text("open('ran', 'w')\n" + EXAMPLE, encoding="utf-8")
    for path, place in ((tables / "runs" / "experiment.json", "base"), (tables / "model" / "config.json", "settings")):
        document = json.loads(path.read_text(encoding="utf-8"))
        document[place]["modality"] = "tables:Tables"
        path.write_text(json.dumps(document), encoding="utf-8")
    assert compare(["--report", "runs"]) == 0
    assert (tables / "runs" / "results.csv").read_text(encoding="utf-8") == results
    assert "the score" in (tables / "runs" / "report.html").read_text(encoding="utf-8")  # what it is, the code knows
    with pytest.raises(ParameterError, match="violates an encoder of images"):
        load_encoder(tables / "model")
    assert not (tables / "ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagez", r"modality = imagez violates one of images, graphs, sentences, MODULE:CLASS \(did you mean images"),
        ("tables:Missing", "an attribute Missing of tables"),
        ("nowhere:Tables", "No module named 'nowhere'"),
        ("tables:nn", "a class that is called without arguments"),
        ("tables:DataSet", "a class that is called without arguments"),
        ("fractions:Fraction", "a class derived from empirical.modalities.contract.Modality"),
    ],
)
def test_what_is_no_modality_is_refused(tables, name, message):
    with pytest.raises(ParameterError, match=message):
        modality(name)


def test_images_are_one():
    assert IMAGES == NAMES[0] == Settings().modality
    assert isinstance(Settings().kind, Modality)
    assert "modality" not in Settings().to_json()  # documents of earlier versions are theirs


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_page_lists_every_option(name):
    pytest.importorskip("torch_geometric" if name == "graphs" else "transformers")
    for f in fields(modality(name).Options):
        default = "none" if f.default is None else f.default
        assert f"| `{name}` | `{f.name}` | {default} | {f.metadata['text']}" in PAGE


def test_graphs_do_what_the_page_says(tmp_path, monkeypatch, capsys):
    """On a data set of the page's name that lies where it is looked for."""
    pytest.importorskip("torch_geometric")
    monkeypatch.chdir(tmp_path)
    write_graphs(tmp_path / "data" / "MUTAG")
    one, several, _ = (shlex.split(line)[3:] for line in BUILT_IN.splitlines())
    assert train([*one, "--epochs", "2"]) == 0
    shown = capsys.readouterr()
    assert "SVC" in shown.out
    assert "a support vector machine" in shown.out
    result = json.loads((tmp_path / "runs" / "mutag" / "result.json").read_text())
    assert result["metrics"]["encoder_probe"] > 0.8  # rings and stars
    assert result["protocol"] == {"words": modality("graphs").words(Protocol())[0]}
    for command, options in ((train, one), (compare, several)):
        assert command([*options[:-1], "refused", "--protocol", "sgd"]) == 2
        assert "violates the default where graphs are scored by a support vector machine" in capsys.readouterr().err
        assert not Path("refused").exists()
    judged = ["--checkpoint", "runs/mutag/checkpoint.pt"]
    assert evaluate([*judged, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == result["protocol"]
    assert evaluate([*judged, "--knn-neighbours", "5"]) == 2
    assert "5 neighbours" in capsys.readouterr().err
    assert compare([*several, "--epochs", "1", "--seeds", "1"]) == 0
    assert set(pd.read_csv(tmp_path / "runs" / "graphs" / "results.csv").protocol) == {result["protocol"]["words"]}
    assert "a support vector machine" in (tmp_path / "runs" / "graphs" / "report.html").read_text(encoding="utf-8")
    from empirical.profile.__main__ import main as profile

    capsys.readouterr()
    assert profile(["--checkpoint", "runs/mutag/checkpoint.pt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["spaces"].keys() == {"encoder", "projector"}


def test_graphs_of_a_rare_class_are_trained_on_and_not_judged(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch_geometric")
    monkeypatch.chdir(tmp_path)
    write_graphs(tmp_path / "MUTAG")
    path = tmp_path / "MUTAG" / "MUTAG_graph_labels.txt"
    labels = path.read_text(encoding="utf-8").split()
    path.write_text("\n".join([*labels[:-4], *"7777"]) + "\n", encoding="utf-8")
    given = ["--modality", "graphs", "--data", "tu:MUTAG", "--epochs", "1"]
    assert train([*given, "--out", "run"]) == 0
    said = "class 7 of tu:MUTAG has 4 graphs, fewer than the 10 folds"
    assert f"not evaluated: {said}" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoint.pt").exists()
    assert compare([*given, "--arms", "baseline", "--seeds", "1", "--out", "several"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("several").exists()
    path.write_text("1\n" * len(labels), encoding="utf-8")
    assert compare([*given, "--arms", "baseline", "--seeds", "1", "--out", "several"]) == 2
    assert "all graphs of tu:MUTAG are of one class" in capsys.readouterr().err


def test_sentences_do_what_the_page_says(tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    words = ("red", "blue", "old", "cat", "dog", "sees", "runs")
    lines = [f"{a} {b} {c}" for a in words for b in words for c in words if len({a, b, c}) == 3]
    (tmp_path / "sentences.txt").write_text("\n".join(lines), encoding="utf-8")
    given = ["--modality", "sentences", "--data", "text:sentences.txt", "--epochs", "1", "--width", "16", "--dim", "8"]
    assert train([*given, "--modality-options", "depth=1,heads=2,masked=.1", "--out", "run"]) == 0
    assert "not evaluated: there is no folder of judged pairs" in capsys.readouterr().out
    small = "depth=1,heads=2,dropped=.3"
    assert train([*given, "--modality-options", f"{small},pooling=attention", "--out", "attention"]) == 0
    capsys.readouterr()
    assert train([*given, "--modality-options", f"{small},masked=.1", "--out", "both"]) == 2
    assert "masked = 0.1 violates 0 where tokens are left out" in capsys.readouterr().err
    assert not Path("both").exists()
    from empirical.difficulty.__main__ import main as difficulty

    assert difficulty(["--checkpoint", "run/checkpoint.pt", "--out", "out"]) == 0
    assert (tmp_path / "out" / "pairs.csv").exists()


def test_an_adapter_of_frozen_features_of_sentences(tmp_path, monkeypatch, capsys):
    """With counts of letters in the place of MiniLM's features, whose packages are installed by hand."""
    pytest.importorskip("transformers")
    from empirical.modalities import sentences

    class Letters:
        def __call__(self, texts):
            return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts], dtype=np.float32)

        def cut(self, texts):
            return 2

    monkeypatch.setattr(sentences, "MiniLM", Letters)
    caches = sentences._frozen, sentences._minilm, sentences._minilm_model, sentences._judged
    for cache in caches:
        cache.cache_clear()
    monkeypatch.chdir(tmp_path)
    lines = [f"{one}{two} {three}" for one in "abcdefgh" for two in "abcd" for three in "efgh"]
    Path("sentences.txt").write_text("\n".join(lines), encoding="utf-8")
    write_tasks(tmp_path / "STS")
    shutil.rmtree(tmp_path / "STS" / "SICK")
    given = ["--modality", "sentences", "--data", "text:sentences.txt", "--encoder", "minilm"]
    given += ["--epochs", "2", "--width", "16", "--dim", "4"]
    options = "sts=STS,dropout=.2"
    try:
        with pytest.warns(UserWarning, match="2 of .* judged sentences are cut after 256 tokens"):
            assert train([*given, "--modality-options", options, "--out", "run"]) == 0
        assert "2 sentences longer than 256 tokens, cut there" in capsys.readouterr().err
        metrics = json.loads(Path("run", "result.json").read_text())["metrics"]
        assert "encoder_STS12" in metrics
        assert "encoder_SICK-R" not in metrics  # whose folder is not there
        there = [value for name, value in metrics.items() if name.removeprefix("encoder_") in TASKS]
        assert metrics["encoder_probe"] == pytest.approx(sum(there) / 6)
        capsys.readouterr()
        for options, message in (
            ("dropout=0", "0 < dropout < 1"),
            ("masked=.1", "masked = 0.1 violates 0 for minilm, whose features"),
            ("dropped=.1", "dropped = 0.1 violates 0 for minilm, whose features"),
        ):
            assert train([*given, "--modality-options", options, "--out", "other"]) == 2
            assert message in capsys.readouterr().err
        assert not Path("other").exists()
    finally:
        for cache in caches:
            cache.cache_clear()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("ratio=1", "ratio = 1.0 violates 0 <= ratio < 1"),
        ("ratio=a", "ratio = a violates a number"),
        ("depth=1.5", "depth = 1.5 violates an integer"),
        ("ratios=.1", "modality_options = ratios violates one of first, second, ratio"),
        ("ratio=.1,ratio=.2", "ratio given once"),
        ("ratio", "modality_options = ratio violates NAME=VALUE"),
        ("first=none", "view = none violates one of original"),
    ],
)
def test_bad_options_are_one_line(tmp_path, monkeypatch, capsys, options, message):
    pytest.importorskip("torch_geometric")
    write_graphs(tmp_path / "MUTAG")
    given = ["--modality", "graphs", "--data", f"tu:{tmp_path / 'MUTAG'}", "--out", str(tmp_path / "run")]
    assert train([*given, "--modality-options", options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "run").exists()


def test_images_have_no_options():
    with pytest.raises(ParameterError, match="modality_options = a=1 violates none of images"):
        Settings(modality_options="a=1")


def write_graphs(folder):
    """160 rings and stars of five to nine nodes in the raw format of TU data sets."""
    folder.mkdir(parents=True)
    edges, owners, labels, first = [], [], [], 1
    for number in range(160):
        star, nodes = number % 2, range(first, first + 5 + number // 2 % 5)
        joined = (
            [(nodes[0], node) for node in nodes[1:]] if star else list(zip(nodes, [*nodes[1:], first], strict=True))
        )
        edges += [*joined, *((b, a) for a, b in joined)]
        owners += [number + 1] * len(nodes)
        labels.append(star)
        first += len(nodes)
    rows = {"A": [f"{a}, {b}" for a, b in edges], "graph_indicator": owners, "graph_labels": labels}
    for part, values in rows.items():
        (folder / f"MUTAG_{part}.txt").write_text("".join(f"{value}\n" for value in values), encoding="utf-8")


SPREAD = {  # views without chance, so that two devices' are one's; what they hold differs in size
    "graphs": ("torch_geometric", "tu:MUTAG", "first=original,second=original"),
    "sentences": ("transformers", "text:spread.txt", "depth=1,heads=2,dropout=0,pooling=attention"),
}


@pytest.mark.parametrize("name", SPREAD)
def test_two_devices_train_to_the_weights_of_one(name, tmp_path, monkeypatch):
    needed, data, options = SPREAD[name]
    pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    write_graphs(tmp_path / "MUTAG")
    lines = [f"{'very ' * (i % 5)}{color} {noun}" for i in range(8) for color in "abcde" for noun in "fghi"]
    Path("spread.txt").write_text("\n".join(lines), encoding="utf-8")
    given = ["--modality", name, "--data", data, "--modality-options", options, "--accelerator", "cpu"]
    given += ["--width", "16", "--dim", "8", "--batch", "80", "--epochs", "1", "--optimizer", "sgd", "--lr", ".1"]
    run = [sys.executable, "-m", "empirical.train", *given, "--devices", "2", "--out", "two"]
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert train([*given, "--out", "one"]) == 0
    one, two = (torch.load(f"{run}/checkpoint.pt", weights_only=True)["network"] for run in ("one", "two"))
    for key, weight in one.items():
        torch.testing.assert_close(two[key], weight, rtol=1e-3, atol=1e-4)


def test_what_only_images_have_is_refused(tables, capsys):
    assert train(["--modality", "tables:Tables", "--data", "wine", "--omega", ".5", "--out", "run"]) == 2
    assert "omega = 0.5 violates omega = 0 for samples that are no images" in capsys.readouterr().err
    assert not (tables / "run").exists()


def test_joined_batches_are_the_first_then_the_second():
    first, second = torch.arange(6).view(2, 3), torch.arange(9).view(3, 3)
    assert torch.equal(joined(first, second), torch.cat([first, second]))


def test_the_tables_of_graphs_are_those_of_the_results():
    pytest.importorskip("torch_geometric")
    from benchmarks.graphs import DATA, PUBLISHED, level_table, summary

    root = Path(__file__).parents[2]
    page = (root / "docs/graphs.md").read_text(encoding="utf-8")
    rows = pd.read_csv(root / "results" / "graphs.csv")
    table = summary(rows)
    assert table in page
    mean = 100 * rows[rows.arm == "baseline"].groupby("data").accuracy.mean()
    apart = [
        f"{abs(mean[name] - published):.1f}"[1:]
        for name, (published, _) in zip(DATA, PUBLISHED["GraphCL"], strict=True)
    ]
    assert f"The baseline is {', '.join(apart[:3])} and {apart[3]} points from the published GraphCL" in page
    assert level_table(pd.read_csv(root / "results" / "graphs_levels.csv")) in page
    intervals = re.findall(r"\[(-?[\d.]+), (-?[\d.]+)\]", table)
    apart = [low for low, high in intervals if low.startswith("-") == high.startswith("-")]
    assert f"{len(apart)} of {len(intervals)} differences, both of them losses on NCI1" in page
    assert len(re.findall(r"`(?:debiased|spectral)` .*\(-[\d.]+ \[-[\d.]+, -[\d.]+\]\) \|$", table, re.M)) == len(apart)


def test_the_table_of_sentences_is_that_of_the_results():
    pytest.importorskip("transformers")
    from benchmarks import sentences as b
    from benchmarks.sentences_search import TRIALS
    from benchmarks.sentences_search import summary as search_summary

    root = Path(__file__).parents[2]
    rows = pd.read_csv(root / "results" / "sentences.csv")
    page = (root / "docs/sentences.md").read_text(encoding="utf-8")
    assert b.summary(rows) in page
    assert b.grades_summary(pd.read_csv(root / "results" / "sentences_grades.csv")) in page
    mean = 100 * rows.groupby([*b.KEY, "arm"])[[b.STSB, b.DEVELOPMENT]].mean()
    frozen = mean.loc[b.MINILM, b.NOTHING, b.NOTHING, b.FROZEN]
    assert f"**MiniLM reaches {frozen[b.STSB] / 100:.3f}**".replace("0.", ".") in page

    def gains(text, recipe):
        found = mean.loc[b.ENCODER, text, recipe]
        return (found.loc["baseline"] - found.loc[b.UNTRAINED])[[b.DEVELOPMENT, b.STSB]]

    for found in (gains(b.OWN, b.DROPOUT), gains(b.OTHER, b.WIDE)):
        assert "gains {:.1f} points on the development set and {:.1f} on the test set".format(*found) in page
    assert "(width 128: {:.1f} and {:.1f})".format(*gains(b.OTHER, b.DROPPED)) in page
    assert f"the same views lose {-gains(b.OTHER, b.MEAN)[b.STSB]:.1f} points on the test set" in page
    counts, idf = (mean.loc[b.WORDS, b.OTHER, b.NOTHING, arm][b.STSB] for arm in (b.COUNTS, b.IDF))
    assert f"reach {counts:.1f} on the test set as they are and {idf:.1f} weighted by" in page
    reached = mean.loc[b.ENCODER, b.OTHER, b.BAG].loc["baseline"][[b.DEVELOPMENT, b.STSB]]
    said = "by what it reaches, {:.1f} and {:.1f}, and its gain is smaller, {:.1f} and {:.1f}"
    assert said.format(*reached, *gains(b.OTHER, b.BAG)) in page
    worse, better = (mean.loc[b.ENCODER, b.OTHER, one].loc[b.UNTRAINED] for one in (b.WIDE, b.BAG))
    assert "better without them too, by {:.1f} and {:.1f}".format(*(better - worse)[[b.DEVELOPMENT, b.STSB]]) in page
    searched = pd.read_csv(root / "results" / "sentences_search.csv")
    assert len(searched) == len(TRIALS)
    assert search_summary(searched) in page
    assert f"Later {len(searched)} more runs of that recipe" in page
    runs = rows[rows.arm == "baseline"].set_index(b.KEY).loc[b.ENCODER, b.OTHER]
    own = [100 * runs.loc[recipe][b.DEVELOPMENT] for recipe in (b.DROPPED, b.WIDE)]
    said = [f"{dev.mean():.1f} ± {dev.std(ddof=0):.1f}".replace(" 0.", " .") for dev in own]
    assert "The recipe itself has {} at width 128 and {} at 256".format(*said) in page
    warmer = 100 * searched[(searched.setting == "tau") & (searched.value == 0.07)][["dev", "test"]].mean()
    ahead, behind = warmer.dev - own[1].mean(), 100 * runs.loc[b.WIDE][b.STSB].mean() - warmer.test
    said = (
        f"ahead by {ahead:.1f} on the development set, less than a seed moves it, and reached {warmer.test:.1f} on the"
    )
    assert said.replace(" 0.", " .") in page
    assert f"test set, {behind:.1f} less\nthan the recipe".replace(" 0.", " .") in page
    below = frozen - mean.loc[b.MINILM, b.OWN, b.DROPOUT, "baseline"]
    assert f"by {below[b.STSB]:.1f} points on the\ntest set and {below[b.DEVELOPMENT]:.0f} on the dev" in page


def test_a_search_trains_and_judges_what_differs_in_one_setting(tmp_path):
    pytest.importorskip("transformers")
    from benchmarks.sentences_search import KEY, TRIALS, Trial, search

    text, sts = tmp_path / "text.txt", tmp_path / "STS"
    text.write_text("\n".join(f"{one}{two} {three}" for one in "abcdefgh" for two in "abcd" for three in "efgh"))
    write_tasks(sts)
    names = [trial.name for trial in TRIALS]
    assert len(set(names)) == len(names)
    base = Trial("learned", 128, "width", 128).settings(text, sts)
    for trial in TRIALS:
        found = trial.settings(text, sts)
        options = dict(part.split("=") for part in found.modality_options.split(","))
        assert found.width == found.dim == trial.width
        assert options.get("positions", "learned") == trial.positions
        value = options[trial.setting] if trial.setting in options else getattr(found, trial.setting)
        assert float(value) == trial.value
        others = {"width", "dim", "seed", "modality_options", trial.setting}
        changed = {name for name, value in vars(found).items() if value != getattr(base, name)}
        assert changed <= others
    table = search((Trial("none", 8, "heads", 2), Trial("none", 8, "dim", 6)), text, sts, tmp_path / "runs")
    assert table.columns.tolist() == [*KEY, "dev", "test"]
    assert table[["dev", "test"]].abs().le(1).all(axis=None)
    assert json.loads((tmp_path / "runs" / "none-8-dim-6-0" / "settings.json").read_text())["dim"] == 6


def test_the_table_of_speed_is_that_of_the_results():
    pytest.importorskip("torch_geometric")
    from benchmarks.graphs_speed import ONES as GRAPH_BY_GRAPH
    from benchmarks.graphs_speed import OURS, PEER, SAME, summary

    root = Path(__file__).parents[2]
    rows = json.loads((root / "results" / "benchmark_graphs.json").read_text(encoding="utf-8"))["loops"]
    assert summary(rows) in (root / "docs/graphs.md").read_text(encoding="utf-8")
    page = (root / "docs/graphs.md").read_text(encoding="utf-8")
    speed = {row["loop"]: row["views/s"] for row in rows if row["views"] == SAME}
    assert f"{100 * (1 - speed[OURS] / speed[PEER]):.0f} % behind PyGCL's" in page
    assert f"{speed[OURS] / speed[GRAPH_BY_GRAPH]:.1f} times as fast as making views graph by graph" in page


def test_judged_pairs_are_read_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    Path("sentences.txt").write_text(
        "\n".join(f"a {one} {two}" for one in "bcdefg" for two in "hijk"), encoding="utf-8"
    )
    write_tasks(tmp_path / "STS")
    (tmp_path / "STS" / "SICK" / "SICK_test_annotated.txt").unlink()
    given = ["--modality", "sentences", "--data", "text:sentences.txt", "--modality-options", "sts=STS", "--out", "run"]
    assert train(given) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "there is no file SICK_test_annotated.txt" in err
    assert not Path("run").exists()

"""The modality of docs/modalities.md does all that images do; what is none is refused."""

import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from empirical.modalities import NAMES, modality
from empirical.modalities.contract import Modality, joined
from empirical.modalities.registry import IMAGES
from empirical.train.__main__ import main as train
from empirical.train.settings import Settings
from theory.checks import ParameterError

PAGE = (Path(__file__).parents[2] / "docs" / "modalities.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.M | re.S)
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.M | re.S)


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
    from empirical.train.loop import train as run

    settings = Settings(modality="tables:Tables", data="wine", **{**modality("tables:Tables").usual, "epochs": 4})
    whole = run(settings, tables / "whole")

    def stop(step, *_):
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, tables / "parts", stop)
    again = run(settings, tables / "parts")
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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("imagez", r"modality = imagez violates one of images, graphs, sentences, MODULE:CLASS \(did you mean images"),
        ("tables:Missing", "has no attribute 'Missing'"),
        ("nowhere:Tables", "No module named 'nowhere'"),
        ("tables:nn", "is not callable"),
        ("tables:DataSet", "MODULE:CLASS that can be imported and called"),
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


def test_what_only_images_have_is_refused(tables, capsys):
    assert train(["--modality", "tables:Tables", "--data", "wine", "--omega", ".5", "--out", "run"]) == 2
    assert "omega = 0.5 violates omega = 0 for samples that are no images" in capsys.readouterr().err
    assert not (tables / "run").exists()


def test_joined_batches_are_the_first_then_the_second():
    first, second = torch.arange(6).view(2, 3), torch.arange(9).view(3, 3)
    assert torch.equal(joined(first, second), torch.cat([first, second]))

"""The README's output is what its commands print."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README, AUDIT, TUTORIAL, PREDICTION, FEATURES, LAYOUT = (
    (ROOT / page).read_text(encoding="utf-8")
    for page in (
        *("README.md", "docs/audit.md", "docs/tutorial.md", "docs/prediction.md", "docs/prediction_features.md"),
        "docs/layout.md",
    )
)
SESSION = r"\$ python -m (%s\S+ .*)\n((?:.+\n|\n(?!\$))*?)```"
SESSIONS = [
    (command, output)
    for command, output in re.findall(SESSION % r"theory\.", README + TUTORIAL + PREDICTION)
    if output and not command.startswith("theory.audit")
]
NUMBER = re.compile(r"\d+(?:\.\d+)?")
MEASURED = re.findall(SESSION % r"empirical\.", README + FEATURES)
WALKED = re.findall(SESSION % r"empirical\.", TUTORIAL)


def same_but_for_last_digits(printed, output, relative=0.01):
    """The same text, and numbers that depend on the processor by no more than their last digits."""
    assert NUMBER.sub("", printed) == NUMBER.sub("", output)
    for found, shown in zip(NUMBER.findall(printed), NUMBER.findall(output), strict=True):
        tolerance = {"rel": relative} if "." in shown else {"abs": 2}  # whole percents
        assert float(found) == pytest.approx(float(shown), **tolerance)


@pytest.mark.parametrize(("command", "output"), MEASURED)
def test_sessions_about_features(command, output):
    command, head, lines = command.partition(" | head -n ")
    printed = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    shown = "".join(printed.splitlines(keepends=True)[: int(lines)]) if head else printed
    same_but_for_last_digits(shown, output)


def test_the_first_ten_minutes(tmp_path, monkeypatch, capsys):
    """All that the tutorial measures and trains, one after the other in one folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert len(WALKED) == 5
    for command, output in WALKED:
        module, *arguments = shlex.split(command)
        assert import_module(f"{module}.__main__").main(arguments) == 0
        noise = {"empirical.train": 0.1, "empirical.compare": 10.0}  # a difference of two seeds is nothing but noise
        same_but_for_last_digits(capsys.readouterr().out, output, relative=noise.get(module, 0.01))


@pytest.mark.slow
def test_the_demo(tmp_path, monkeypatch, capsys):
    """Three minutes on two cores."""
    monkeypatch.chdir(tmp_path)
    (shown,) = re.findall(r"```text\n(On scikit-learn.*?)```", README, flags=re.S)
    arguments = ["--preset", "digits-demo", "--jobs", "2", "--out", "runs/demo"]
    assert import_module("empirical.compare.__main__").main(arguments) == 0
    same_but_for_last_digits(capsys.readouterr().out, shown, relative=0.2)


def test_there_are_sessions():
    assert len(SESSIONS) == 3
    assert len(MEASURED) == 2


def test_the_audit():
    """Both forms of it, of one audit."""
    from theory.audit import audit
    from theory.audit.__main__ import brief, summary

    verdicts = audit()
    for page, form, text in ((README, "--summary", summary(verdicts)), (AUDIT, "--brief", brief(verdicts))):
        (shown,) = re.findall(rf"\$ python -m theory.audit {form}\n(.*?)```", page, flags=re.S)
        assert shown == text + "\n"


def test_the_evidence_in_numbers():
    from empirical.evidence.published import load_evidence
    from empirical.evidence.tables import PAPERS_BASELINE
    from empirical.findings import pages

    said = pages.tables(ROOT / "results" / "evidence")["evidence-summary"]
    for words in ("9,260 adapters", "62.0 %"):
        assert words in said
        assert words in README
    runs = load_evidence(ROOT / "results" / "evidence").runs
    baseline = runs[(runs.bench == "cifar10") & (runs.entry == "baseline")].accuracy.mean()
    assert f"whose baseline reaches {100 * baseline:.1f} % on CIFAR-10" in README
    assert f"(the paper's: {PAPERS_BASELINE:.1f} %)" in README


def test_the_picture_has_its_caption():
    from figures import prediction

    assert f"*{prediction.caption(prediction.data())}*" in README


@pytest.mark.parametrize(("command", "output"), SESSIONS)
def test_theory_sessions(command, output):
    result = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert result.stdout == output


@pytest.mark.parametrize("package", ["theory", "empirical"])
def test_the_layout_names_every_module(package):
    row = next(line for line in LAYOUT.splitlines() if line.startswith(f"| `{package}/` |"))
    named = set(re.findall(r"`([a-z]+)/?`", row.split("|")[2]))
    root = Path(__file__).parents[1] / package
    found = {path.stem for path in root.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert named == {name for name in found if not name.startswith("__")}

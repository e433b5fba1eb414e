"""The glossary: one meaning a symbol, every link and name of code leads somewhere, no double meaning elsewhere."""

import importlib
import re
from pathlib import Path

import pytest

from empirical.__main__ import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^### (.+)$", PAGE, flags=re.M)
ROWS = re.findall(r"^\| ([^|]+) \| (.+) \| (.*) ?\|$", PAGE, flags=re.M)[1:]
PAGES = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "glossary.md"] + [ROOT / "README.md"]


def test_the_terms_of_the_issue_are_there():
    text = "\n".join(TERMS)
    for word in (
        "delta",
        "lambda",
        "k",
        "omega",
        "Band",
        "Arm",
        "Pairing",
        "Bridge",
        "sigma",
        "beta",
        "Warm-up",
        "Pilot",
    ):
        assert re.search(rf"(?<!\w){word}(?!\w)", text), word
    assert len(TERMS) == len({term.lower() for term in TERMS}) > 50


def test_a_symbol_has_one_meaning():
    symbols = [symbol.strip() for row in ROWS for symbol in row[0].split(",")]
    assert len(symbols) == len(set(symbols)) > 25
    assert {"σ", "β", "k", "σₐ", "βₕ"} <= set(symbols)


def test_every_term_is_defined_once_in_a_paragraph():
    for term, text in zip(TERMS, re.split(r"^###? .+$", PAGE, flags=re.M)[1:], strict=False):
        assert term
        assert text.count("\n\n") <= 2, term
    for title, body in re.findall(r"^### (.+)\n((?:(?!##).+\n)+)", PAGE, flags=re.M):
        assert 30 < len(body) < 800, title


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:theory|empirical)(?:\.\w+)+)`", PAGE))))
def test_what_computes_it_exists(name):
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        return
    pytest.fail(name)


@pytest.mark.parametrize(
    ("double", "why"),
    [
        (r"warm-up run|warm-up encoder|a warm-up and", "the run is a pilot"),
        (r"kNN[^.|]{0,20}\bk = ", "kNN counts neighbours in words"),
        (r"\bμ, σ\b(?!ₐ)|τ, μ, σ(?!ₐ)", "ADNCE's width is σₐ"),
        (r"concentration β(?!ₕ)|HCL[^.|]{0,30} β = ", "HCL's concentration is βₕ"),
    ],
)
def test_no_second_meaning_on_other_pages(double, why):
    for path in PAGES:
        found = re.search(double, path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found and found[0]}: {why}"


def test_nor_in_the_commands(capsys):
    text = ""
    for command in ("train", "compare", "evaluate", "dro"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        text += " ".join(capsys.readouterr().out.split())
    assert "--knn-k" not in text
    assert "βₕ of hcl" in text
    assert "σₐ, width of" in text
    assert " β of " not in text
    assert "width of its weights" in text

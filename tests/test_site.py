"""Every page is in the nav, every relative link leads to a file and a heading, every formula is drawn."""

import importlib.util
import json
import posixpath
import re
from pathlib import Path

import pytest
import yaml
from markdown.extensions.toc import slugify

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]+`", re.S | re.M)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")


def links(page):
    """Path from the repository's root and heading, for each relative link."""
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for path, heading in LINK.findall(text):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page, heading


def headings(page):
    text = CODE.sub(lambda code: code[0].strip("`") if "\n" not in code[0] else "", (ROOT / page).read_text("utf-8"))
    return {slugify(title, "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}


def in_nav(entry):
    if isinstance(entry, str):
        return {entry}
    return set().union(*(in_nav(child) for child in (entry.values() if isinstance(entry, dict) else entry)))


def test_every_page_is_in_the_nav():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert {f"docs/{page}" for page in in_nav(nav)} == set(PAGES)


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_links_lead_somewhere(page):
    for path, heading in links(page):
        assert (ROOT / path).exists(), path
        assert not heading or heading in headings(path), f"{path}#{heading}"


def test_broken_links_are_found():
    found = list(links("README.md"))
    assert ("docs/theory.md", "") in found
    assert ("figures/report.png", "") in found
    assert ("docs/theory.md", "from-a-measurement-to-a-plan") in set(links("docs/selection.md"))


@pytest.fixture(scope="module")
def to_mathml():
    spec = importlib.util.spec_from_file_location("mathml", ROOT / "docs" / "mathml.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.to_mathml


def test_formulas(to_mathml):
    assert "<msub><mi>λ</mi><mtext>bulk</mtext></msub>" in to_mathml(r"\lambda_\text{bulk}")
    matrix = to_mathml(r"\left[\begin{matrix}\frac{1}{2} & - a\\b & c\end{matrix}\right]")
    assert matrix.count("<mtr>") == 2
    assert matrix.count("<mtd>") == 4
    assert "\\unknown" in to_mathml(r"a \unknown b")


def test_formulas_of_the_notebooks(to_mathml):
    for path in ROOT.glob("notebooks/*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                formula = "".join(output.get("data", {}).get("text/latex", ""))
                assert "\\" not in to_mathml(formula), f"{path.name}: {formula}"

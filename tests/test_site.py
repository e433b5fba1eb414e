"""Every page is in the nav, every relative link leads to a file and a heading, every formula is drawn."""

import ast
import importlib.util
import json
import posixpath
import re
import sys
from html import escape
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
    assert ("figures/prediction.svg", "") in found
    assert ("docs/theory.md", "from-a-measurement-to-a-plan") in set(links("docs/selection.md"))


@pytest.fixture(scope="module")
def mathml():
    spec = importlib.util.spec_from_file_location("mathml", ROOT / "docs" / "mathml.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def to_mathml(mathml):
    return mathml.to_mathml


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


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("mkdocs")
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module("hooks")
    finally:
        sys.path.remove(str(ROOT / "docs"))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<code>--knn-tau .1</code>", '<code><span class="option">--knn-tau</span> .1</code>'),
        ("<code>tests/test_a.py</code>", "<code>tests/test_a.py</code>"),
        (
            f"<code>tests/test_a.py::test_{'x' * 30}</code>",
            f"<code>tests/<wbr>test_<wbr>a.py<wbr>::test_<wbr>{'x' * 30}</code>",
        ),
        ("<pre><code>--out x</code></pre>",) * 2,
    ],
)
def test_code_in_text_breaks_between_its_parts(hooks, written, shown):
    assert hooks.CODE.sub(hooks._code, written) == shown


# --- indices and powers ----------------------------------------------------------------------------

RAW = re.compile(r"[_^]\{|(?<![\w/.`])[A-Za-zÀ-ɏΑ-ω][\u0300-\u036f]?′?²?_[\w(]|[\w)]\^[\w(]")


@pytest.mark.parametrize(
    ("written", "drawn"),
    [
        ("n_d of λₖ₊₁, Ā_clean", "n<sub>d</sub> of λ<sub>k+1</sub>, Ā<sub>clean</sub>"),
        ("√(n_e n_d/(c_e c_d))·w′_ed", "√(n<sub>e</sub> n<sub>d</sub>/(c<sub>e</sub> c<sub>d</sub>))·w′<sub>ed</sub>"),
        ("γ̂_z − β̂_z", "γ̂<sub>z</sub> − β̂<sub>z</sub>"),
        ("Σ_bΣ_w, ω_j²", "Σ<sub>b</sub>Σ<sub>w</sub>, ω<sub>j</sub>²"),
        ("E_π e^(s/τ)", "E<sub>π</sub> e<sup>s/τ</sup>"),
        ("e^(−(s−μ)²/2σₐ²)", "e<sup>−(s−μ)²/2σ<sub>a</sub>²</sup>"),
        ("min_(λ,τ) du)^r", "min<sub>λ,τ</sub> du)<sup>r</sup>"),
        ("Σ_(j&gt;k)", "Σ<sub>j&gt;k</sub>"),
        ("accuracy_t − loss_y, (p − f)_b", "accuracy<sub>t</sub> − loss<sub>y</sub>, (p − f)<sub>b</sub>"),
        ("λ_{k+1}, c_1^2", "λ<sub>k+1</sub>, c<sub>1</sub><sup>2</sup>"),
        ("<code>n_d</code><pre>e^x <b>n_d</b></pre><a href='n_d'>x</a>",) * 2,
        ("train_test, evidence_levels.csv, ^2, a_b.py",) * 2,
    ],
)
def test_indices_and_powers(mathml, written, drawn):
    assert mathml.with_scripts(written) == drawn


@pytest.mark.parametrize("page", PAGES)
def test_no_formula_of_a_page_stays_raw(mathml, page):
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    text = re.sub(r"\]\([^)\s]*\)|<!--.*?-->", "", text, flags=re.S)
    drawn = re.sub(r"<su[bp]>|</su[bp]>", "", mathml.with_scripts(escape(text)))
    assert not (found := RAW.search(drawn)), drawn[max(0, found.start() - 40) : found.end() + 20]


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES])
def test_pages_read_without_the_site_too(page):
    """No braces of TeX outside of fences that GitHub draws: indices in Unicode, or n_d, and D^(−1/2)."""
    text = re.sub(r"^```math\n.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S | re.M)
    assert not re.findall(r".{20}[_^]\{.{10}", text)


@pytest.mark.parametrize("package", ["theory", "empirical"])
def test_no_text_of_the_code_has_braces_of_tex(package):
    """Docstrings are pages and help, other texts are printed; mathtext of pictures stands between dollars."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = re.sub(r"\$[^$]*\$", "", node.value)
                assert not (found := re.search(r"\w[_^]\{", text)), f"{path.name}:{node.lineno}: {found and found[0]}"

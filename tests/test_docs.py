"""The examples in the documentation print what they say, and the tests that it names exist."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("page", [DOCS / "theory.md", DOCS / "howto" / "own-embeddings.md"], ids=lambda page: page.name)
def test_examples(page):
    pytest.importorskip("flint")
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("page", ["docs/reliability.md", "SECURITY.md"])
def test_the_tests_that_a_page_names_exist(page):
    """A name without a file is of the file before it in the same row, or of the one in the table's head."""
    count, path, whole = 0, None, ROOT / "tests" / "test_security.py"
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        for file, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::)?(test_\w+)?`", line):
            if not file and not name:
                continue
            path = ROOT / file if file else (path if "::" in line else whole)
            assert path is not None, line
            text = path.read_text(encoding="utf-8")
            assert not name or f"def {name}(" in text, (path, name)
            count += 1
    assert count > 8

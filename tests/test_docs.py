"""The examples in the documentation print what they say."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", [DOCS / "theory.md", DOCS / "howto" / "own-embeddings.md"], ids=lambda page: page.name)
def test_examples(page):
    pytest.importorskip("flint")
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0

"""What a visitor reads first beside the README: contributing, citation, changes, issue templates."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]+)")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_and_paths_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for path in {*LINK.findall(text), *re.findall(r"`((?:docs|tests|theory|results|figures)/[\w/.]*)`", text)}:
        assert (ROOT / path).exists(), path


def test_contributing_names_targets_that_exist_and_ten_lines_of_style():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    style = text.partition("## Style in ten lines")[2]
    assert [int(number) for number in re.findall(r"^(\d+)\. ", style, flags=re.M)] == list(range(1, 11))
    length = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["line-length"]
    assert f"at most {length} characters" in style


def test_the_citation_is_of_this_version_and_names_the_two_papers():
    """Keys of the schema 1.2.0, which has more; the file was checked against all of it with cffconvert."""
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(CITATION)
    assert (CITATION["title"], CITATION["version"], CITATION["license"]) == (
        PROJECT["name"],
        PROJECT["version"],
        PROJECT["license"],
    )
    (author,) = CITATION["authors"]
    assert author["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert CITATION["keywords"] == PROJECT["keywords"]
    found = {entry["identifiers"][0]["value"] for entry in CITATION["references"]}
    assert found == {"arXiv:2501.01317", "arXiv:2310.11048"}
    for entry in CITATION["references"]:
        assert {"type", "title", "authors", "year"} <= set(entry)
        assert all(set(person) == {"family-names", "given-names"} for person in entry["authors"])


def test_the_changes_are_up_to_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest, *_) = re.findall(r"^## (.+)$", text, flags=re.M)
    assert PROJECT["version"] in newest
    assert set(re.findall(r"^### (.+)$", text, flags=re.M)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 1
    for field in form["body"]:
        assert field["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"].get("label") or field["type"] == "markdown"
        assert field["type"] != "dropdown" or len(field["attributes"]["options"]) > 1
    for named in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
        assert (ROOT / named).exists()


def test_there_are_forms_for_a_bug_a_statement_and_own_data():
    assert [path.stem for path in FORMS] == ["bug", "own-data", "statement"]

"""The committed numbers follow from the committed data."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "figures" / "phase_map.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def phase_map():
    spec = importlib.util.spec_from_file_location("phase_map", ROOT / "figures" / "phase_map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_agreement_follows_from_the_data(phase_map):
    changes = pd.read_csv(ROOT / "figures" / "phase_map.csv")
    for reading in phase_map.READINGS:
        table = phase_map.agreement(changes, reading).to_string(index=False, float_format="{:.2f}".format)
        assert table in TEXT


def test_the_page_quotes_the_numbers():
    assert TEXT.strip() in (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")

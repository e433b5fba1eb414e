import itertools

import numpy as np
import pandas as pd
import pytest

from empirical.evaluate.protocol import EARLIER, Protocol
from empirical.findings.__main__ import main
from empirical.findings.claims import CLAIMS, PREDICTORS, TABLES, Claim, interval, swept, verdict
from empirical.findings.pages import filled, tables
from empirical.study.study import SCHEMA, conditions_by_name
from empirical.train.settings import Settings
from theory.files import write_json

CLAIM = Claim("the margin helps", "margin", "baseline")


def runs_of(**conditions):
    """A study's table with the given accuracies by seed and invented graphs."""
    rows = []
    for name, accuracies in conditions.items():
        for seed, accuracy in enumerate(accuracies):
            row = {"condition": name.replace("__", "-"), "arm": "baseline", "seed": seed, "encoder_probe": accuracy}
            row |= {"encoder_knn": accuracy, "projector_probe": accuracy, "encoder_alpha": 0.7, "encoder_beta": 0.5}
            row |= {"sigma": 0.01, "rho": 0.9, "train_flagged_share": 0.25}
            row |= {"encoder_gamma": 0.5 + accuracy / 10} | dict.fromkeys(PREDICTORS, 1 - accuracy)
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("margin", "word"),
    [
        ((0.51, 0.53, 0.52), "reproduced"),
        ((0.48, 0.49, 0.48), "not reproduced"),
        ((0.51, 0.49, 0.50), "within noise"),
        ((0.6, 0.6), "not tested"),
        ((), "not tested"),
    ],
)
def test_verdict_follows_the_interval(margin, word):
    assert verdict(CLAIM, runs_of(baseline=(0.50, 0.51, 0.50), margin=margin))[0] == word


def test_differences_are_paired_by_seed():
    runs = runs_of(baseline=(0.1, 0.5, 0.9), margin=(0.11, 0.51, 0.91))
    word, mean, _ = verdict(CLAIM, runs)
    assert word == "reproduced"
    assert mean.value == pytest.approx(0.01)


def test_a_published_value_outside_the_interval_is_said_to_be():
    baseline = (0.50, 0.51, 0.50)
    near = runs_of(baseline=baseline, margin=(0.51, 0.51, 0.50))
    far = runs_of(baseline=baseline, margin=(0.48, 0.49, 0.48))
    assert "| +0.90 |" in TABLES["verdicts"](near, {})
    assert "| +0.90, outside the interval |" in TABLES["verdicts"](far, {})


def test_interval_in_words():
    assert interval([0.5, 0.5]) == "50.00 [50.00, 50.00]"
    assert interval([0.5], sign=True) == "+50.00"
    assert interval([]) == "—"


def test_claims_compare_conditions_that_exist():
    names = set(conditions_by_name())
    for claim in CLAIMS:
        assert {claim.larger, claim.smaller} <= names


def test_bounds_rank_conditions():
    generator = np.random.default_rng(0)
    names = [name for name in conditions_by_name() if name != "untrained"][:9]
    runs = runs_of(**{name.replace("-", "__"): tuple(generator.uniform(0.3, 0.6, 2)) for name in names})
    text = TABLES["bounds"](runs, {})
    assert text.count("+1.00") == 3 * len(PREDICTORS)  # predictors are the error itself; also both interval ends


def test_variants_stand_beside_the_baseline_and_the_remedy_as_derived():
    runs = runs_of(baseline=(0.50, 0.50), margin=(0.52, 0.52), margin__x4=(0.51, 0.51), temperature__x0=(0.1, 0.1))
    rows = [line for line in TABLES["strength"](runs, {}).splitlines() if "`" in line]
    assert rows == [
        "| `margin` | 0.0100 | 0.9000 | 25.00 | 2 | +2.00 [+2.00, +2.00] | — |",
        "| `margin-x4` | 0.0100 | 0.9000 | 25.00 | 2 | +1.00 [+1.00, +1.00] | -1.00 [-1.00, -1.00] |",
    ]
    runs = runs_of(baseline=(0.50, 0.50), combined=(0.4, 0.4), combined_random=(0.7, 0.7), margin_all=(0.6, 0.6))
    last = [line.split(" | ")[-1] for line in TABLES["controls"](runs, {}).splitlines() if "`" in line]
    assert last == ["— |", "— |", "+30.00 [+30.00, +30.00] |"]  # combined itself; no margin; random against combined


def test_sweeps_go_through_the_base_setting():
    assert swept("tau", 0.2) == {
        0.1: ("tau-0.1-baseline", "tau-0.1-combined"),
        0.2: ("baseline", "combined"),
        0.5: ("tau-0.5-baseline", "tau-0.5-combined"),
        1.0: ("tau-1-baseline", "tau-1-combined"),
    }
    runs = runs_of(baseline=(0.5, 0.5), combined=(0.6, 0.6), batch__64__baseline=(0.4, 0.4))
    rows = TABLES["sweeps"](runs, SUMMARY).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == [
        *(f"| τ {value:g}" for value in (0.1, 0.2, 0.5, 1)),
        *(f"| batch of {value}" for value in (64, 128, 256, 512)),
    ]
    assert "| τ 0.2 | 50.00 [50.00, 50.00] | 60.00 [60.00, 60.00] | +10.00 [+10.00, +10.00] | 2 |" in rows
    assert "| batch of 64 | 40.00 [40.00, 40.00] | — | — | 0 |" in rows


SUMMARY = {
    "schema": SCHEMA,
    "settings": Settings(train=5000, tau=0.2, batch=256).to_json(),
    "environment": {"versions": {"torch": "2.0"}, "device": "cpu"},
    "not_applicable": {"temperature-x4": "4 ρ* = 1.6 is above 1"},
    "plan": {"margin_sigma": 0.1, "temperature_rho": None, "pos_high": 0.1, "pos_low": 0.2},
    "profile": {
        "delta": {"value": 0.25},
        "spaces": {"encoder": {level: {"value": 0.5} for level in ("alpha", "beta", "gamma", "epsilon")}},
    },
    "selection_stability": [{"batch": 64, "low_spread": 0.01, "agreement": 0.5}],
}


@pytest.fixture
def stem(tmp_path):
    runs_of(baseline=(0.5, 0.6), margin=(0.55, 0.64), untrained=(0.1, 0.2)).to_csv(tmp_path / "t.csv", index=False)
    write_json(tmp_path / "t.json", SUMMARY)
    return tmp_path / "t"


def test_page_is_filled_between_markers_and_only_there(stem, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- derived -->\nold\n<!-- /derived -->\nbetween\n<!-- x-derived -->\n<!-- /x-derived -->\n"
    )
    assert main([str(stem), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- derived -->\n")
    assert "old" not in text
    assert "δ̂ = 0.250; σ* 0.1, ρ* —, band from 0.1, band to 0.2." in text
    assert text.endswith("between\n<!-- x-derived -->\n<!-- /x-derived -->\n")
    assert filled(text, tables(stem)) == text


def test_setup_follows_the_settings():
    text = TABLES["setup"](runs_of(baseline=(0.5, 0.5)), SUMMARY)
    assert text.startswith("2 runs on ")
    assert "5,000 training images, all test images" in text
    assert "nt_xent at τ = 0.2; batches of 256" in text
    assert text.endswith(f"Protocol lbfgs-c1: {EARLIER.words}.")  # of results that name none
    named = TABLES["setup"](runs_of(baseline=(0.5, 0.5)), SUMMARY | {"protocol": Protocol("paper").to_json()})
    assert named.endswith(f"Protocol paper: {Protocol('paper').words}.")


def test_every_table_prints(stem, capsys):
    assert main([str(stem)]) == 0
    printed = capsys.readouterr().out
    for name in TABLES:
        assert f"{name}\n\n" in printed
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    for _, block in itertools.groupby(printed.splitlines(), key=lambda line: line.startswith("|")):
        columns = {line.count("|") for line in block if line.startswith("|")}
        assert len(columns) <= 1
    assert lines
    assert "Not applicable: `temperature-x4`: 4 ρ* = 1.6 is above 1." in printed


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1

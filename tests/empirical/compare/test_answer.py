"""The sentence that a comparison ends with: what it claims follows from the seeds, all comparisons together."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from empirical.arms import ARMS
from empirical.compare.answer import answer, called, cautions, compared, detectable, is_control, named, stands_out
from empirical.compare.results import CHOSEN, METRICS, Condition, summarise
from empirical.statistics import LEVEL
from tests.empirical.compare.conftest import SMALL
from theory.params import GraphParameters
from theory.plan import plan_from_parameters

PLAN = plan_from_parameters(GraphParameters(0.5, 0.05, 0.2, 100, 10, 10), 12, 0.01)


def summary_of(experiment, accuracies, inapplicable=(), **references):
    """Of runs with these accuracies of the probe: by ω and arm, one a seed."""
    rows = [
        {"omega": omega, "arm": arm, "seed": seed, **dict.fromkeys((*METRICS, *CHOSEN)), "encoder_probe": value}
        for (omega, arm), values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    for arm, found in references.items():
        rows.append({"omega": experiment.omegas[0], "arm": arm, "seed": 0, **dict.fromkeys(METRICS), **found})
    conditions = [
        Condition(omega, {}, {"pilot": PLAN}, {arm: "a reason" for arm in inapplicable}, {})
        for omega in experiment.omegas
    ]
    runs = pd.DataFrame(rows)
    runs[list(METRICS)] = runs[list(METRICS)].astype(float)
    return summarise(runs, experiment, conditions)


def experiment(seeds, *arms, omegas=(0.0,), **base):
    return replace(SMALL, seeds=seeds, arms=("baseline", *arms), omegas=omegas, base=replace(SMALL.base, **base))


def around(mean, seeds, spread, seed):
    noise = np.random.default_rng(seed).standard_normal(seeds)
    return (mean + spread * (noise - noise.mean()) / noise.std(ddof=1)).tolist()


BASE = [0.70, 0.72, 0.71, 0.69, 0.73, 0.70, 0.71, 0.72]


def plus(mean, spread=0.002, seed=1):
    return (np.array(BASE) + around(mean, len(BASE), spread, seed)).tolist()


def test_a_remedy_that_helps_is_named_with_its_size():
    e = experiment(8, "margin", "combined")
    found = answer(summary_of(e, {(0.0, "baseline"): BASE, (0.0, "margin"): plus(0), (0.0, "combined"): plus(0.02)}), e)
    assert found.startswith(
        "On scikit-learn's handwritten digits, over 8 seeds (repetitions), this helps: margin and temperature together "
        "+2.00 points, against plain contrastive learning (accuracy 71.0 %) and beyond chance among 2 comparisons; in "
        "the other one, a true difference of less than about "
    )
    assert found.endswith(" points would probably have gone unseen.")


def test_harm_controls_and_shares_of_mixed_images_are_told_apart():
    e = experiment(8, "margin", "mixed_removal", omegas=(0.0, 0.4))
    runs = {(omega, "baseline"): BASE for omega in e.omegas}
    runs |= {(0.0, "margin"): plus(-0.03), (0.4, "margin"): plus(0, seed=2)}
    runs |= {(0.0, "mixed_removal"): plus(0, seed=3), (0.4, "mixed_removal"): plus(0.04)}
    found = answer(summary_of(e, runs), e)
    assert "no remedy is shown to help; this harms: the margin -3.00 points at ω = 0; of the controls, " in found
    assert "leaving the mixed images out +4.00 points at ω = 0.4, against" in found
    assert "among 4 comparisons; in the other 2, true differences of less than" in found


def test_what_one_comparison_shows_many_may_not():
    """A difference with p = .03 stands out alone, and not among ten."""
    names = [name for name in ARMS if ARMS[name].loss is None and not ARMS[name].as_printed][1:11]
    values = np.array(BASE) + around(stats.t.isf(0.015, 7) / 8**0.5 * 0.01, 8, 0.01, 1)
    alone, among = experiment(8, names[0]), experiment(8, *names)
    runs = {(0.0, "baseline"): BASE, (0.0, names[0]): values.tolist()}
    one = summary_of(alone, runs)
    assert compared(one)[0]["p_value"] == pytest.approx(0.03)
    assert "this helps: the margin" in answer(one, alone)
    many = summary_of(among, runs | {(0.0, name): plus(0, 0.01, seed) for seed, name in enumerate(names[1:], 2)})
    assert compared(many)[0]["p_holm"] == pytest.approx(0.3)
    found = answer(many, among)
    assert "no remedy is shown to help or to harm: over 8 seeds (repetitions) none of 10 differences from" in found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_only_what_survives_holm_is_claimed(seed, count):
    generator = np.random.default_rng(seed)
    names = ["margin", "temperature", "combined", "pair_removal", "sample_removal"][:count]
    e = experiment(8, *names)
    runs = {(0.0, "baseline"): BASE}
    runs |= {(0.0, n): (np.array(BASE) + generator.normal(generator.normal(0, 0.01), 0.01, 8)).tolist() for n in names}
    summary = summary_of(e, runs)
    p = {n: stats.ttest_rel(runs[0.0, n], BASE).pvalue for n in names}
    claimed, rank = set(), sorted(names, key=p.get)
    for place, name in enumerate(rank):  # Holm, step by step
        if p[name] > LEVEL / (count - place):
            break
        claimed.add(name)
    assert {row["arm"] for row in compared(summary) if stands_out(row)} == claimed
    text = answer(summary, e)
    assert ("stands out from chance" in text or "within chance" in text) == (not claimed)
    if len(claimed) <= 3:
        for name in claimed:
            assert f"{called(name)} {100 * np.mean(np.subtract(runs[0.0, name], BASE)):+.2f} points" in text


def test_the_size_that_could_not_be_seen_is_that_of_the_corrected_test():
    e = experiment(8, "margin", "combined")
    runs = {(0.0, "baseline"): BASE, (0.0, "margin"): plus(0, 0.004), (0.0, "combined"): plus(0, 0.02, 2)}
    summary = summary_of(e, runs)
    ends = [(stats.t.isf(0.05 / 4, 7) + stats.t.isf(0.2, 7)) * spread / 8**0.5 for spread in (0.004, 0.02)]
    assert detectable(compared(summary), 2) == pytest.approx(ends)
    low, high = (f"{100 * end:.2g}" for end in ends)
    text = f"less than about {low} points (in the steadiest comparison; {high} in the least steady)"
    assert text in answer(summary, e)


@pytest.mark.parametrize(("seeds", "words"), [(1, "one run"), (2, "two runs")])
def test_one_and_two_seeds_claim_nothing_and_show_every_difference(seeds, words):
    e = experiment(seeds, "margin", "combined")
    runs = {(0.0, "baseline"): BASE[:seeds], (0.0, "margin"): plus(0.05)[:seeds], (0.0, "combined"): plus(0.1)[:seeds]}
    found = answer(summary_of(e, runs), e)
    values = " and ".join(f"{100 * (a - b):+.2f}" for a, b in zip(plus(0.1), BASE[:seeds], strict=False))
    assert f"{words} of each arm cannot tell a remedy from chance: margin and temperature together gave " in found
    assert f"gave {values} points against" in found
    assert "interval." in found
    assert "[" not in found


def test_without_a_comparison_it_says_so():
    e = experiment(3)
    assert answer(summary_of(e, {(0.0, "baseline"): BASE[:3]}), e).endswith(
        "nothing was compared: only the baseline was trained."
    )
    e = experiment(3, "margin")
    summary = summary_of(e, {(0.0, "baseline"): BASE[:3]}, inapplicable=["margin"])
    assert answer(summary, e).endswith("nothing was compared: no remedy applied.")


def test_equal_differences_show_no_spread_and_claim_nothing():
    e = experiment(3, "margin")
    summary = summary_of(e, {(0.0, "baseline"): [0.5] * 3, (0.0, "margin"): [0.75] * 3})
    assert "within chance" in answer(summary, e)
    assert "less than about" not in answer(summary, e)


def test_references_that_do_as_well_are_told():
    e = experiment(3, "margin")
    runs = {(0.0, "baseline"): BASE[:3], (0.0, "margin"): BASE[:3]}
    raw = {"encoder_probe": 0.8, "encoder_knn": 0.9}
    found = cautions(summary_of(e, runs, raw_pixels=raw, untrained={"encoder_probe": 0.6}), e)
    assert len(found) == 1
    assert found[0].startswith(
        "By a linear probe, raw pixels did as well as the trained baseline, or better (80.0 against"
    )
    assert cautions(summary_of(e, runs, raw_pixels={"encoder_probe": 0.5}), e) == []
    (found,) = cautions(summary_of(e, runs, untrained={"encoder_probe": 0.71}), e)
    assert "training gained nothing here" in found


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("cifar10:/data/cifar", "CIFAR-10"),
        ("folder:/a/b/photos", "photos"),
        ("npz:x.npz", "x.npz"),
        ("stl10:x", "STL-10"),
        ("folder:a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("npz:" + "x" * 99, "x" * 39 + "…"),
    ],
)
def test_data_have_a_short_printable_name(data, name):
    assert named(replace(SMALL, base=replace(SMALL.base, data=data))) == name


def test_controls_are_those_of_the_page_on_methods():
    controls = {name for name in ARMS if is_control(name)}
    assert {"random_removal", "mixed_removal", "oracle", "combined_random", "temperature_all"} <= controls
    assert not controls & {"margin", "combined", "sample_removal", "pair_removal", "paper_combined", "hcl", "glofnd"}
    assert not re.search(r"random|all$|known|oracle", " ".join(set(ARMS) - controls))

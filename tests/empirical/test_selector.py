import math

import numpy as np
import pytest

from empirical.data.features import Features
from empirical.profile import selector as module
from empirical.profile.measurement import measure
from empirical.profile.selector import selectors
from theory.plan import band, plan_from_profile
from theory.sizes import closed_gap


@pytest.fixture(scope="module")
def measured():
    """Two spaces of 60 samples in three classes, a fifth of them difficult."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    centres = 3 * np.eye(3, 8)
    encoder = centres[labels] + rng.standard_normal((60, 8)) + 1
    encoder[::5] += centres[(labels[::5] + 1) % 3]
    projector = encoder @ rng.standard_normal((8, 5)) / 3
    spaces = {"encoder": Features(encoder), "projector": Features(projector)}
    return spaces, labels, measure(spaces, labels, "test", share=0.2, tau=0.5)


def naive(spaces, labels, difficult, pos_high, pos_low, reading):
    """Over all pairs at once: the shares and means, pair by pair."""
    h, z = ([[float(a @ b) for b in x.unit] for a in x.unit] for x in spaces.values())
    n = len(labels)
    order = sorted((h[i][j] for i in range(n) for j in range(n) if i != j), reverse=True)
    high, low = (order[math.ceil(share * len(order)) - 1] for share in (pos_high, pos_low))
    found = {"difficult": [], "reference": [], "all": []}
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            flagged = low <= h[i][j] < high
            hard = difficult[i] or difficult[j] if reading == "any" else difficult[i] and difficult[j]
            found["all"].append((flagged, z[i][j]))
            if labels[i] != labels[j]:
                found["difficult" if hard else "reference"].append((flagged, z[i][j]))
    flags = {name: [cosine for flagged, cosine in pairs if flagged] for name, pairs in found.items()}
    recall, false_alarms = (len(flags[name]) / len(found[name]) for name in ("difficult", "reference"))
    means = [sum(flags[name]) / max(1, len(flags[name])) for name in ("difficult", "reference")]
    return len(flags["difficult"]) / max(1, len(flags["all"])), recall, false_alarms, *means


@pytest.mark.parametrize("reading", ["block", "any", "matched"])
def test_the_selector_is_measured_as_a_double_loop_does(measured, reading):
    spaces, labels, found = measured
    got = selectors(spaces, labels, found.difficult, found.profile, batch=60)[reading]
    expected = naive(spaces, labels, found.difficult, *band(found.profile, reading), reading)
    wanted = pytest.approx(expected, rel=1e-5, abs=2e-3 if reading == "matched" else 1e-6)
    assert tuple(got.__dict__.values()) == wanted
    assert got == found.profile.selector[reading]  # 60 samples are one batch


def test_the_band_is_the_plans(measured):
    profile = measured[2].profile
    for reading in ("block", "any", "matched"):
        plan = plan_from_profile(profile, reading)
        assert band(profile, reading) == (plan.pos_high, plan.pos_low)


def test_the_measured_selector_sizes_the_plan(measured):
    """Where there is a margin, it closes the gap as ``closed_gap`` counts it."""
    profile = measured[2].profile
    plan = plan_from_profile(profile)
    sigma, selector = plan.optimum.margin_sigma, profile.selector["block"]
    assert selector.recall > selector.false_alarms
    assert sigma is None or closed_gap(selector, 0.5, sigma) == pytest.approx(profile.cosines("block").gap)
    assert plan.parameters["tau"] == 0.5


def test_small_batches_sample_the_same_shares(measured):
    spaces, labels, found = measured
    whole, parts = (selectors(spaces, labels, found.difficult, found.profile, batch=b)["any"] for b in (60, 20))
    assert parts.recall == pytest.approx(whole.recall, abs=0.1)
    assert parts.false_alarms == pytest.approx(whole.false_alarms, abs=0.1)


def test_more_rows_than_are_used_are_sampled(measured, monkeypatch):
    spaces, labels, found = measured
    monkeypatch.setattr(module, "ROWS", 30)
    got = selectors(spaces, labels, found.difficult, found.profile, batch=30)
    assert 0 <= got["any"].recall <= 1


def test_without_labels_or_difficult_samples_nothing_is_measured(measured):
    spaces, labels, _ = measured
    assert measure(spaces, labels, "test", share=0.0).profile.selector == {}
    assert measure(spaces, None, "test", classes=3).profile.selector == {}

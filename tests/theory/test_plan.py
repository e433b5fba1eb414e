import json
from dataclasses import replace

import numpy as np
import pytest

from tests.theory.graphs import REFERENCE
from theory import formulas
from theory.bounds import SOURCES
from theory.bounds.__main__ import main
from theory.checks import ParameterError
from theory.plan import (
    Estimate,
    Plan,
    PredictedProbe,
    Profile,
    Selector,
    Sizes,
    Space,
    Triple,
    grouped,
    plan_from_parameters,
    plan_from_profile,
)
from theory.sizes import NAMES, free_gap


def near(value):
    return Estimate(value, value - 0.01, value + 0.01)


def space(alpha, beta, gamma, width=16):
    """One with γ for pairs of difficult samples, as the block graph has it; 8 of 100 are difficult."""
    within, across = Triple(*map(near, [alpha] * 3)), Triple(*map(near, (beta, beta, gamma)))
    touched = (2 * 92 * beta + 8 * gamma) / (2 * 92 + 8)
    levels = near(alpha), near(beta), near(touched), near(touched - beta)
    return Space(width, within, across, *levels, -5.0, near(0.1))


def profile(encoder=(0.7, 0.3, 0.35), projector=(0.5, 0.02, 0.1), **changes):
    spaces = {"encoder": space(*encoder)}
    if projector is not None:
        spaces["projector"] = space(*projector)
    fields = {"samples_per_class": 100, "classes": 5, "difficult": 8, "dim": 8, "delta": Estimate(0.1, 0.05, 0.2)}
    return Profile(source="test", labels="given", spaces=spaces, **{**fields, **changes})


def test_plan_of_given_parameters():
    plan = plan_from_parameters(REFERENCE, 4, 0.01)
    c2, g, r_beta = 7.037, 0.033, 2 * 0.208
    assert plan.theorem.margin_sigma == pytest.approx(g * (c2 - 2 * r_beta) / c2, rel=1e-12)
    assert plan.theorem.temperature_rho == pytest.approx(7.169 / c2 * 0.208 / 0.241, rel=1e-12)
    assert plan.pos_high == pytest.approx(1 / 3)
    assert plan.pos_low == pytest.approx(1 / 3 + 2 / 3 * (2 / 8) ** 2)
    assert plan.removal_fraction == 0.25


def test_sigma_comes_from_the_projector_and_rho_from_the_encoder():
    p = profile()
    plan = plan_from_profile(p)
    assert plan.theorem.margin_sigma == formulas.margin_sigma(p.graph("projector", "block"))
    assert plan.theorem.temperature_rho == formulas.temperature_rho(p.graph("encoder", "block"))
    alone = profile(projector=None)
    assert plan_from_profile(alone).theorem.margin_sigma == formulas.margin_sigma(alone.graph("encoder", "block"))


def test_bounds_are_predicted_under_all_pairings():
    plan = plan_from_profile(profile())
    assert list(plan.predictions) == ["measured", "block", "any", "matched"]
    for name, bound in plan.predictions["block"].items():
        assert plan.predictions["matched"][name]["lambda"] == bound["lambda"]  # the printed one
    measured, block = (plan.predictions[which]["difficult"] for which in ("measured", "block"))
    assert measured["lambda_exact"] == pytest.approx(block["lambda_exact"])
    assert measured["lambda"] == pytest.approx(plan.predictions["any"]["difficult"]["lambda"])  # of the paper's γ̂
    assert measured["lambda"] != block["lambda"]


def test_the_measured_graph_is_never_outside_the_model():
    """Levels in any order, of any sign, while the degrees are positive."""
    plan = plan_from_profile(profile(encoder=(0.7, -0.1, -0.2)))
    assert plan.predictions["measured"] is not None
    assert [plan.predictions[which] for which in ("block", "any", "matched")] == [None] * 3


@pytest.mark.parametrize(("share", "pairing"), [(0.08**2, "block"), (1 - 0.92**2, "any"), (0.08 / 100, "matched")])
def test_the_band_holds_the_share_of_difficult_pairs_of_the_pairing(share, pairing):
    plan = plan_from_profile(profile(), pairing)
    assert plan.pos_low - plan.pos_high == pytest.approx(0.8 * share)


@pytest.mark.parametrize(
    ("encoder", "condition"),
    [
        ((0.7, -0.1, 0.2), "beta >= 0"),
        ((0.7, 0.3, 0.25), "gamma >= beta"),
        ((0.7, 0.3, 0.3), "gamma > beta"),
        ((0.7, 0.3, 0.8), "gamma < alpha"),
    ],
)
def test_an_encoder_outside_the_model_is_a_finding(encoder, condition, tmp_path):
    p = profile(encoder=encoder)
    assert condition in p.violation("encoder")
    plan = plan_from_profile(p)
    assert plan.theorem.temperature_rho is None
    assert condition in plan.reasons["theorem.temperature_rho"]
    assert plan.predictions["block"] is None
    assert plan.theorem.margin_sigma is not None
    p.save(tmp_path / "profile.json")
    assert main(["--profile", str(tmp_path / "profile.json")]) == 0


@pytest.mark.parametrize(
    ("projector", "condition"),
    [
        ((0.5, 0.1, 0.05), "gamma >= beta"),
        ((0.5, -0.01, -0.05), "gamma > beta"),
        ((0.5, -0.01, 0.6), "gamma < alpha"),
        ((0.1, -0.4, 0.05), "positive degrees"),
    ],
)
def test_a_projector_outside_the_model_has_no_margin(projector, condition):
    plan = plan_from_profile(profile(projector=projector))
    assert plan.theorem.margin_sigma is None
    assert condition in plan.reasons["theorem.margin_sigma"]
    assert plan.theorem.temperature_rho is not None


def test_no_difficult_sample_needs_no_margin_whatever_beta():
    plan = plan_from_profile(profile(projector=(0.5, -0.1, -0.1), difficult=0))
    assert plan.theorem.margin_sigma == 0


def test_negative_beta_alone_leaves_the_margin():
    p = profile(projector=(0.5, -0.01, 0.02))
    assert p.violation("projector") == "projector: beta = -0.01 violates beta >= 0"
    easy = 0.5 + 100 * (0.5 - 4 * 0.01)
    assert plan_from_profile(p).theorem.margin_sigma == pytest.approx(0.03 * (easy + 8 * 4 * 0.01) / easy)


SELECTOR = Selector(0.5, 0.8, 0.1, 0.3, 0.2)


def test_nt_xents_sizes_come_from_the_projector_the_temperature_and_the_selector():
    plan = plan_from_profile(profile(tau=0.2, selector={"block": SELECTOR}), split=0.25)
    gap = profile().cosines("block").gap
    assert gap == pytest.approx(0.1 - 0.02)
    assert plan.perfect.margin_sigma == gap
    assert plan.optimum.margin_sigma == pytest.approx(gap / 0.7)
    assert plan.optimum.combined_sigma == pytest.approx(gap / 0.7 / 4)
    assert (plan.parameters["tau"], plan.parameters["split"]) == (0.2, 0.25)
    assert plan.sizes("spectral") == plan.theorem
    assert plan.sizes("nt_xent") == plan.optimum
    assert plan_from_profile(profile(tau=0.2), tau=0.5).perfect != plan.perfect
    assert plan_from_profile(profile(tau=0.2, projector=None)).perfect.margin_sigma == pytest.approx(0.05)


def test_what_the_selector_does_not_reach_is_left_to_a_perfect_one_and_said():
    plan = plan_from_profile(profile(tau=0.2, selector={"block": replace(SELECTOR, recall=0.12)}))
    assert plan.optimum == Sizes()
    assert plan.sizes("nt_xent") == plan.perfect
    assert plan.source("margin_sigma", "nt_xent") == "perfect"
    assert plan.reasons["optimum.margin_sigma"].startswith("projector: the selector flags 12.00% of the difficult")
    unmeasured = plan_from_profile(profile(tau=0.2))
    assert unmeasured.sizes("nt_xent") == plan.perfect
    assert "not measured" in unmeasured.reasons["optimum.margin_sigma"]
    assert unmeasured.sizes("nt_xent").temperature_rho is not None


def test_without_a_temperature_of_the_loss_there_is_a_margin_alone():
    plan = plan_from_profile(profile())
    assert plan.perfect == Sizes(plan.perfect.margin_sigma)
    assert plan.reason("combined_rho", "nt_xent") == "projector: the temperature of the loss is not known (--tau)"


def test_a_projector_with_negative_beta_has_no_temperature():
    plan = plan_from_profile(profile(projector=(0.5, -0.05, 0.02), tau=0.2))
    assert plan.perfect.margin_sigma == pytest.approx(0.07)
    assert plan.perfect.temperature_rho is None
    assert "brings none below 0" in plan.reason("temperature_rho", "nt_xent")


def test_weights_alone_give_the_margin_of_a_free_critic():
    assert plan_from_parameters(REFERENCE, 4, 0.01).perfect == Sizes()
    plan = plan_from_parameters(REFERENCE, 4, 0.01, tau=0.5)
    assert plan.perfect == Sizes(free_gap(REFERENCE, 0.5))
    assert "weights do not say" in plan.reasons["perfect.temperature_rho"]
    for changes, message in (({"tau": 0}, "tau = 0 violates"), ({"split": 2}, "split = 2 violates")):
        with pytest.raises(ParameterError, match=message):
            plan_from_parameters(REFERENCE, 4, 0.01, **changes)
        with pytest.raises(ParameterError, match=message):
            plan_from_profile(profile(), **changes)


def test_a_plan_of_the_second_version_has_the_theorems_sizes(tmp_path):
    plan = plan_from_profile(profile())
    document = json.loads(json.dumps({"schema": "difficult-examples/plan/2", **plan.__dict__}, default=lambda _: None))
    document |= {"margin_sigma": 0.1, "temperature_rho": None, "reasons": {"temperature_rho": "because"}}
    for source in ("theorem", "optimum", "perfect"):
        del document[source]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    found = Plan.load(path)
    assert found.theorem == Sizes(0.1)
    assert found.reason("temperature_rho", "spectral") == found.reason("combined_rho", "spectral") == "because"
    assert found.reason("margin_sigma", "nt_xent") == "made by an earlier version: derive the plan again"
    path.write_text(json.dumps({**document, "temperature_rho": 0.8}))
    assert Plan.load(path).theorem == Sizes(0.1, 0.8, 0.05, 0.9)
    path.write_text(json.dumps({**document, "margin_sigma": -1}))
    with pytest.raises(ParameterError, match="margin_sigma of theorem of .* = -1 violates a number >= 0"):
        Plan.load(path)


def test_reasons_are_told_once():
    why = {f"optimum.{name}": "because" for name in NAMES} | {"perfect.margin_sigma": "why", "removal_fraction": "all"}
    assert grouped(why) == {"optimum": "because", "perfect margin sigma": "why", "removal fraction": "all"}


def test_documents_survive_a_round_trip(tmp_path):
    p = profile(tau=0.2, selector={"block": SELECTOR})
    p.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path / "profile.json") == p
    plan = plan_from_profile(p)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert {path.name for path in tmp_path.iterdir()} == {"profile.json", "plan.json"}


def test_command_plan_equals_the_plan_of_the_profile(tmp_path):
    p = profile()
    p.save(tmp_path / "profile.json")
    assert main(["--profile", str(tmp_path / "profile.json"), "--plan", str(tmp_path / "plan.json")]) == 0
    assert Plan.load(tmp_path / "plan.json") == plan_from_profile(p)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("classes"), "lacks classes"),
        (lambda d: d.update(extra=1), "has unknown extra"),
        (lambda d: d.update(schema="difficult-examples/profile/1"), "violates schema =="),
        (lambda d: d.update(classes=1), "classes = 1"),
        (lambda d: d.update(difficult=101), "difficult = 101"),
        (lambda d: d.update(labels="guessed"), "labels = guessed"),
        (lambda d: d.update(spaces={}), "encoder among the spaces"),
        (lambda d: d.update(spaces=[]), "spaces"),
        (lambda d: d["spaces"]["encoder"].pop("gamma"), "lacks gamma"),
        (lambda d: d["spaces"]["encoder"]["gamma"].update(value="high"), "gamma.value = high violates a finite"),
        (lambda d: d["spaces"]["encoder"]["across"].pop("mixed"), "encoder.across lacks mixed"),
        (lambda d: d["spaces"]["encoder"].update(welch_t="large"), "welch_t = large violates a finite"),
        (lambda d: d["delta"].update(value=2), "delta = 2 violates"),
        (lambda d: d.update(tau=0), "tau = 0 violates tau > 0 or null"),
        (lambda d: d.update(selector=[]), "selector of"),
        (lambda d: d.update(selector={"blocks": {}}), "selector.blocks lacks"),
    ],
)
def test_a_damaged_profile_is_refused_in_one_line(change, message, tmp_path, capsys):
    document = profile().to_json()
    change(document)
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(document))
    assert main(["--profile", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_profile_that_is_no_json_object_is_refused(text, tmp_path):
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(ParameterError):
        Profile.load(tmp_path / "profile.json")


GOOD = {"bound": 0.5, "excess_over_clean": 0.0, "applies": True, "vacuous": False}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theorem.margin_sigma", -1),
        ("optimum.temperature_rho", 0),
        ("perfect.combined_rho", 2),
        ("pos_high", None),
        ("pos_low", 0.0),
        ("predictions.block", True),
        ("predictions.block", {"clean": {}}),
        ("predictions.any", {**dict.fromkeys(SOURCES, GOOD), "clean": {**GOOD, "bound": "x"}}),
        ("predictions.any", {**dict.fromkeys(SOURCES, GOOD), "margin": {**GOOD, "applies": 1}}),
    ],
)
def test_a_plan_out_of_range_is_refused(name, value, tmp_path):
    path = tmp_path / "plan.json"
    plan_from_profile(profile()).save(path)
    document = json.loads(path.read_text())
    *place, entry = name.split(".")
    (document[place[0]] if place else document)[entry] = value
    path.write_text(json.dumps(document))
    with pytest.raises(ParameterError, match=entry):
        Plan.load(path)


def test_a_plan_that_cannot_be_written_says_so(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ["--alpha", ".5", "--beta", ".05", "--gamma", ".2", "--plan", str(tmp_path / "file" / "plan.json")]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "cannot write" in err


@pytest.mark.parametrize(
    "predicted", [None, PredictedProbe(near(0.8), 0.1), PredictedProbe(None, 0.95, "κ = 0.95 > 0.9: too few samples")]
)
def test_a_profile_keeps_the_predicted_accuracy(predicted, tmp_path):
    path = tmp_path / "profile.json"
    profile(predicted_probe=predicted).save(path)
    assert Profile.load(path) == profile(predicted_probe=predicted)


def test_profiles_of_earlier_versions_are_still_read(tmp_path):
    path = tmp_path / "profile.json"
    document = profile().to_json()
    assert document["schema"] == "difficult-examples/profile/6"
    del document["pairs"], document["overlap"]
    path.write_text(json.dumps({**document, "schema": "difficult-examples/profile/5"}))
    assert Profile.load(path) == profile()
    del document["same_class"], document["reading"]
    path.write_text(json.dumps({**document, "schema": "difficult-examples/profile/4"}))
    assert Profile.load(path) == profile()
    del document["selector"], document["tau"]
    path.write_text(json.dumps({**document, "schema": "difficult-examples/profile/3"}))
    assert Profile.load(path) == profile()
    del document["predicted_probe"]
    path.write_text(json.dumps({**document, "schema": "difficult-examples/profile/2"}))
    assert Profile.load(path) == profile()
    path.write_text(json.dumps(document))
    with pytest.raises(
        ParameterError, match="lacks overlap, pairs, predicted_probe, reading, same_class, selector, tau"
    ):
        Profile.load(path)
    path.write_text(json.dumps({**document, "predicted_probe": None, "schema": "difficult-examples/profile/2"}))
    with pytest.raises(ParameterError, match="has unknown predicted_probe"):
        Profile.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kappa": -1}, "predicted_probe.kappa = -1 violates kappa >= 0"),
        ({"reason": "why"}, "predicted_probe.reason = why violates a reason for no number only"),
        ({"accuracy": None}, "predicted_probe.reason = None"),
        ({"accuracy": {"value": 1.2, "low": 1, "high": 2}}, "predicted_probe.accuracy = 1.2"),
        ({"surplus": 1}, "predicted_probe has unknown surplus"),
    ],
)
def test_a_damaged_prediction_is_refused(change, message, tmp_path):
    path = tmp_path / "profile.json"
    document = profile(predicted_probe=PredictedProbe(near(0.8), 0.1)).to_json()
    path.write_text(json.dumps({**document, "predicted_probe": {**document["predicted_probe"], **change}}))
    with pytest.raises(ParameterError, match=message):
        Profile.load(path)


@pytest.mark.parametrize("pairing", ["block", "any", "matched"])
def test_the_band_of_unequal_classes_starts_at_the_share_of_their_pairs(pairing):
    equal = plan_from_profile(profile(), pairing)
    n, classes, d = profile().samples_per_class, profile().classes, profile().difficult
    assert equal.pos_high == 1 / classes
    assert "same_class" not in equal.parameters
    sizes = np.arange(1, classes + 1) * 100
    same = float(np.square(sizes / sizes.sum()).sum())
    plan = plan_from_profile(profile(same_class=same), pairing)
    # Counted, class by class: ordered pairs, difficult ones the share d/n of each class.
    pairs = np.outer(sizes, sizes) / sizes.sum() ** 2
    share = {"block": (d / n) ** 2, "any": 1 - (1 - d / n) ** 2, "matched": d / n**2}[pairing]
    assert plan.pos_high == pytest.approx(np.trace(pairs), rel=1e-12)
    assert plan.pos_low - plan.pos_high == pytest.approx(share * (pairs.sum() - np.trace(pairs)), rel=1e-9)
    assert plan.parameters["same_class"] == same
    others = ("theorem", "optimum", "perfect", "removal_fraction", "predictions", "reasons")
    assert all(getattr(plan, name) == getattr(equal, name) for name in others)


@pytest.mark.parametrize("same", [0.0, 1.0, float("nan"), 2.0])
def test_a_share_that_no_classes_have_is_refused(same):
    with pytest.raises(ParameterError, match="same_class"):
        profile(same_class=same)

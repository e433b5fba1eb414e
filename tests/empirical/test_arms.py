import math
from dataclasses import replace

import pytest

from empirical.arms import ARMS, NotApplicable, PairRemedy, pair_remedy
from tests.theory.graphs import REFERENCE
from theory.checks import ParameterError
from theory.plan import Plan, plan_from_parameters

COMBINED = {"combined", "combined_projector", "combined_auto", "combined_random"}
PLAN = plan_from_parameters(REFERENCE, 4, 0.01)


def test_arms_take_their_values_from_the_plan():
    assert pair_remedy("baseline", None) is None
    margin, temperature = pair_remedy("margin", PLAN), pair_remedy("temperature", PLAN)
    assert (margin.sigma, margin.rho) == (PLAN.margin_sigma, 1.0)
    assert (temperature.sigma, temperature.rho) == (0.0, PLAN.temperature_rho)
    combined = pair_remedy("combined", PLAN, "paper")
    assert (combined.sigma, combined.rho, combined.pos_low) == (PLAN.margin_sigma, PLAN.temperature_rho, 1.0)
    assert pair_remedy("pair_removal", PLAN).remove
    assert pair_remedy("sample_removal", PLAN) is None


@pytest.mark.parametrize(
    ("entry", "arms"),
    [
        ("margin_sigma", {"margin", "margin_all"} | COMBINED),
        ("temperature_rho", {"temperature", "temperature_all"} | COMBINED),
        ("removal_fraction", {"sample_removal", "random_removal"}),
    ],
)
def test_null_entries_make_their_arms_inapplicable(entry, arms):
    plan = Plan(**{**PLAN.__dict__, entry: None, "reasons": {entry: "because"}})
    for arm in ARMS:
        definition = ARMS[arm]
        uses = {"margin_sigma": definition.sigma, "temperature_rho": definition.rho}
        uses["removal_fraction"] = definition.drop in ("difficult", "random")
        assert uses[entry] == (arm in arms)
        if arm in arms:
            with pytest.raises(NotApplicable, match="because"):
                pair_remedy(arm, plan)
        else:
            pair_remedy(arm, plan)


def test_controls_select_otherwise_with_the_same_values():
    combined = pair_remedy("combined", PLAN)
    assert pair_remedy("combined_projector", PLAN) == replace(combined, space="projector")
    assert pair_remedy("combined_random", PLAN) == replace(combined, select="random")
    assert pair_remedy("combined_auto", PLAN) == replace(combined, select="auto")
    assert pair_remedy("combined", PLAN, "auto") == replace(combined, select="auto")
    assert pair_remedy("margin_all", PLAN, "auto").select == "all"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pair_remedy("combind", PLAN), "did you mean combined?"),
        (lambda: pair_remedy("margin", PLAN, "papr"), "did you mean paper?"),
        (lambda: PairRemedy(select="ranks"), "did you mean rank?"),
        (lambda: PairRemedy(space="projektor"), "did you mean projector?"),
    ],
)
def test_unknown_names_suggest_the_nearest(call, message):
    with pytest.raises(ParameterError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sigma", -0.1), ("sigma", math.inf), ("rho", 0), ("rho", 1.5), ("pos_high", -0.1), ("pos_low", 0.2)],
)
def test_a_remedys_numbers_are_checked(field, value):
    with pytest.raises(ParameterError, match=f"^{field} = {value} violates "):
        replace(PairRemedy(pos_high=0.3, pos_low=0.4), **{field: value})

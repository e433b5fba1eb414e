from fractions import Fraction

import numpy as np
import pytest

from tests.theory.graphs import REFERENCE
from theory.checks import ParameterError, require_integer
from theory.params import GraphParameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.0}, "alpha = 1.0 violates alpha < 1"),
        ({"alpha": float("nan")}, "alpha = nan violates a finite number"),
        ({"beta": -0.1}, "beta = -0.1 violates beta >= 0"),
        ({"beta": 0.3}, "gamma = 0.241 violates gamma >= beta = 0.3"),
        ({"gamma": 0.5}, "gamma = 0.5 violates gamma < alpha = 0.387"),
        ({"gamma": float("inf")}, "gamma = inf violates a finite number"),
        ({"gamma": None}, "gamma = None violates a finite number"),
        ({"samples_per_class": 0}, r"samples_per_class = 0 violates an integer in \[1, 10+\]"),
        ({"classes": 1}, r"classes = 1 violates an integer in \[2, 10+\]"),
        ({"difficult": 9}, r"difficult = 9 violates an integer in \[0, 8\], the samples per class"),
        ({"difficult": 1.5}, "difficult = 1.5 violates an integer"),
        ({"pairing": "random"}, "pairing = random violates one of block, any, matched, clean"),
    ],
)
def test_out_of_range_parameters_are_named_with_value_and_condition(change, message):
    with pytest.raises(ParameterError, match=message):
        GraphParameters(**{**REFERENCE.as_dict(), **change})


def test_clean_limits_are_accepted():
    assert GraphParameters(0.5, 0.1, 0.1, 4, 2, 2).is_clean
    assert GraphParameters(0.5, 0.1, 0.3, 4, 2, 0).is_clean
    assert GraphParameters(0.5, 0.0, 0.0, 1, 2, 1).nodes == 2


def test_removal_of_all_samples_is_refused():
    assert REFERENCE.without_difficult().samples_per_class == 6
    with pytest.raises(ParameterError, match="difficult = 8 violates difficult < 8"):
        GraphParameters(0.5, 0.1, 0.2, 8, 3, 8).without_difficult()


def test_fractions_stay_fractions():
    p = GraphParameters(Fraction(1, 2), Fraction(1, 20), Fraction(1, 5), 4, 3, 1)
    assert isinstance(p.gamma - p.beta, Fraction)


def test_whole_floats_count_as_integers_but_booleans_do_not():
    assert require_integer("k", 3.0, 1) == 3
    assert type(require_integer("k", np.int64(3), 1)) is int
    with pytest.raises(ParameterError, match="k = True"):
        require_integer("k", True, 0)

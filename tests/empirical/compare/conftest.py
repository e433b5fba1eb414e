"""A small experiment that several tests look at."""

from dataclasses import replace

import pytest

from empirical.compare.experiment import compare
from empirical.compare.presets import Experiment
from tests.empirical.train.test_loop import TINY

SMALL = Experiment(
    base=replace(TINY, epochs=1),
    arms=("baseline", "margin", "combined", "sample_removal", "random_removal", "mixed_removal"),
    seeds=2,
    omegas=(0.0, 0.5),
    labels_per_class=2,
    draws=2,
    protocol="lbfgs-c1",  # the fastest
)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Its folder and its report; not to be changed."""
    out = tmp_path_factory.mktemp("experiment")
    return out, compare(SMALL, out)

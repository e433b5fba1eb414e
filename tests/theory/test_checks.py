import math

import pytest

from theory.checks import ParameterError, Range, nearest
from theory.files import missing


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "condition", "shown"),
    [
        (
            Range(),
            (-1e6, 0, 2.5),
            (math.inf, math.nan, "1", None),
            "x = {} violates a finite number",
            "any number",
        ),
        (Range(0), (0, 7.5), (-1e-300, math.inf, math.nan), "x = {} violates x >= 0", ">= 0"),
        (Range(0, above=True), (1e-300, 7), (0, -1, math.nan), "x = {} violates x > 0", "> 0"),
        (Range(), (1e12,), (1e300, -1e13), "x = {} violates a magnitude of at most 1e+12", "any number"),
        (Range(0), (1e12,), (1e308,), "x = {} violates a magnitude of at most 1e+12", ">= 0"),
        (Range(0, 1), (0, 0.5, 1), (-0.1, 1.1), "x = {} violates 0 <= x <= 1", "0 to 1"),
        (Range(0, 1, below=True), (0, 0.99), (1, -0.1), "x = {} violates 0 <= x < 1", "from 0 to below 1"),
        (Range(0, 1, above=True), (0.01, 1), (0, 1.1), "x = {} violates 0 < x <= 1", "above 0 to 1"),
        (Range(2, whole=True), (2, 10**9), (1, 2.5, True), "x = {} violates an integer >= 2", ">= 2"),
        (Range(1, 3, whole=True), (1, 3), (0, 4), "x = {} violates an integer in [1, 3]", "1 to 3"),
    ],
)
def test_range(interval, inside, outside, condition, shown):
    for value in inside:
        interval.require("x", value)
    for value in outside:
        with pytest.raises(ParameterError) as error:
            interval.require("x", value)
        assert str(error.value) == condition.format(value)
    assert str(interval) == shown


def test_nearest():
    assert nearest("gama", ["alpha", "gamma"]) == " (did you mean gamma?)"
    assert nearest("x", ["alpha", "gamma"]) == ""


def test_missing_names_the_first_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert missing("a.txt") == f"there is no file a.txt in {tmp_path}"
    assert missing("b/c/a.txt") == f"there is no folder b in {tmp_path}"
    assert missing("b", "folder") == f"there is no folder b in {tmp_path}"
    (tmp_path / "b").mkdir()
    assert missing("b/a.txt") == f"there is no file a.txt in {tmp_path / 'b'}"

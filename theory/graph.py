"""The similarity graph as a matrix, and as an operator that never forms one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from theory import formulas
from theory.params import GraphParameters

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Array = NDArray[np.float64]


class SimilarityGraph:
    """The weighted graph over all samples.

    Parameters
    ----------
    parameters : GraphParameters
        Node ``i*n + l`` is sample l of class i; the first n_d samples of a class are difficult.
    """

    def __init__(self, parameters: GraphParameters) -> None:
        self.parameters = parameters

    def degrees(self) -> Array:
        """Row sums of the weights, shape (N,). The diagonal counts once."""
        p = self.parameters
        easy, difficult = (float(c) for c in formulas.degrees(p))
        return np.tile(np.where(np.arange(p.n) < p.n_d, difficult, easy), p.classes)

    def weights(self) -> Array:
        """Dense weight matrix A, shape (N, N)."""
        p = self.parameters
        labels = np.repeat(np.arange(p.classes), p.n)
        sample = np.tile(np.arange(p.n), p.classes)
        difficult = sample < p.n_d
        same_class = labels[:, None] == labels
        paired = difficult[:, None] & difficult & ~same_class
        if p.pairing == "matched":
            paired &= sample[:, None] == sample
        weights = np.where(same_class, float(p.alpha), np.where(paired, float(p.gamma), float(p.beta)))
        np.fill_diagonal(weights, 1.0)
        return weights

    def normalized_adjacency(self) -> Array:
        """Dense D^{-1/2} A D^{-1/2}, shape (N, N)."""
        scale = 1 / np.sqrt(self.degrees())
        return self.weights() * scale[:, None] * scale

    def apply_weights(self, vectors: Array) -> Array:
        """A @ vectors in O(N) time and memory per vector; shape (N,) or (N, columns)."""
        p = self.parameters
        x = vectors.reshape(p.classes, p.n, -1)
        class_sums = x.sum(axis=1, keepdims=True)
        out = (1 - p.alpha) * x + (p.alpha - p.beta) * class_sums + p.beta * class_sums.sum(axis=0)
        if not p.is_clean:
            difficult = x[:, : p.n_d]
            if p.pairing == "block":
                difficult = difficult.sum(axis=1, keepdims=True)
            out[:, : p.n_d] += (p.gamma - p.beta) * (difficult.sum(axis=0) - difficult)
        result: Array = out.reshape(vectors.shape)
        return result

    def linear_operator(self) -> LinearOperator:
        """The normalised adjacency as a symmetric ``scipy.sparse.linalg.LinearOperator``."""
        from scipy.sparse.linalg import LinearOperator  # scipy's start-up is four times numpy's

        scale = 1 / np.sqrt(self.degrees())

        def product(vectors: Any) -> Array:
            x = np.asarray(vectors, dtype=np.float64)
            s = scale.reshape((-1,) + (1,) * (x.ndim - 1))
            return s * self.apply_weights(s * x)

        n = self.parameters.nodes
        return LinearOperator(
            (n, n), matvec=product, rmatvec=product, matmat=product, rmatmat=product, dtype=np.float64
        )

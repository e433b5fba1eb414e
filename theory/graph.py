"""The similarity graph as a matrix, and as an operator that never forms one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from theory.kinds import PerKind
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
        easy, difficult = (float(c) for c in p.degrees)
        return np.tile(np.where(np.arange(p.n) < p.n_d, difficult, easy), p.classes)

    def weights(self) -> Array:
        """Dense weight matrix A, shape (N, N)."""
        return self.parameters.weights.matrix(self.parameters)

    def normalized_adjacency(self) -> Array:
        """Dense D^(−1/2) A D^(−1/2), shape (N, N)."""
        scale = 1 / np.sqrt(self.degrees())
        return self.weights() * scale[:, None] * scale

    def apply_weights(self, vectors: Array) -> Array:
        """A @ vectors in O(N) time and memory per vector; shape (N,) or (N, columns)."""
        p, w = self.parameters, PerKind(*map(float, self.parameters.weights))
        x = vectors.reshape(p.classes, p.n, -1)
        difficult, easy = x[:, : p.n_d], x[:, p.n_d :]
        # Sums over the difficult and the easy samples of each class, and over those of all classes.
        sums = [part.sum(axis=1, keepdims=True) for part in (difficult, easy)]
        (own_d, own_e), (all_d, all_e) = sums, [own.sum(axis=0) for own in sums]
        same, other = w.same_class_one_difficult, w.different_class_one_difficult
        out = np.empty_like(x)
        out[:, p.n_d :] = (w.easy_diagonal - w.same_class_both_easy) * easy + (
            w.different_class_both_easy * all_e
            + (w.same_class_both_easy - w.different_class_both_easy) * own_e
            + other * all_d
            + (same - other) * own_d
        )
        out[:, : p.n_d] = (w.difficult_diagonal - w.same_class_both_difficult) * difficult + (
            w.unpaired_both_difficult * all_d
            + (w.same_class_both_difficult - w.unpaired_both_difficult) * own_d
            + other * all_e
            + (same - other) * own_e
        )
        if w.paired != w.unpaired_both_difficult:
            out[:, : p.n_d] += (w.paired - w.unpaired_both_difficult) * (difficult.sum(axis=0) - difficult)
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

"""Random similarity graphs, drawn as integers so that counterexamples shrink to small fractions."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import strategies as st

from theory.kinds import PAIRINGS
from theory.params import GraphParameters

DENOMINATOR = 60


@st.composite
def graphs(draw: st.DrawFn, exact: bool = False, clean: bool | None = None) -> GraphParameters:
    """Parameters of any pairing, the degenerate graphs included."""
    alpha = draw(st.integers(1, DENOMINATOR - 1))
    beta = draw(st.integers(0, alpha - 1))
    gamma = beta if clean else draw(st.integers(beta, alpha - 1))
    n = draw(st.integers(1, 7))
    n_d = draw(st.sampled_from(sorted({0, min(1, n), n})) | st.integers(0, n))
    levels = [Fraction(value, DENOMINATOR) for value in (alpha, beta, gamma)]
    if not exact:
        levels = [float(level) for level in levels]
    return GraphParameters(*levels, n, draw(st.integers(2, 5)), n_d, draw(st.sampled_from(PAIRINGS)))


REFERENCE = GraphParameters(0.387, 0.208, 0.241, samples_per_class=8, classes=3, difficult=2)
MATCHED = replace(REFERENCE, pairing="matched")

"""The accuracy of a linear probe on a noisy similarity graph, from the graph's parameters alone.

Where the paper bounds the error, this computes what to expect of it: weights A + noise, normalised by the
population's degrees; the k leading eigenvectors over √degree as features; least squares with an intercept on some
labelled nodes; the accuracy on the others. One module a step, each derived in docs/prediction.md and tested against
a simulation of exactly that step:

    structure    what is read of a graph: types of nodes, invariant spaces, noise
    resolvent    what the k leading eigenvectors hold (Dyson's equation)
    rows         the Gaussian mixture that their rows behave like
    probe        least squares on some of its rows
    answers      the scores of new rows, and
    orthant      how often the largest is the right one

Where a graph is a sample (``theory.draws``), ``covariance`` takes the place of ``resolvent``, and ``sampled`` answers
for the augmentation channel.

Run as ``python -m theory.predict``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

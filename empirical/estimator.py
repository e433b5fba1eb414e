"""Profile, scores and report of embeddings as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from empirical.choices import SHARE
from empirical.data.identities import as_pictures
from empirical.data.samples import Samples, read_samples
from empirical.data.values import is_of, plain
from empirical.difficulty import Criteria
from empirical.report.examination import examine
from theory.checks import require

if TYPE_CHECKING:
    import pandas as pd

FLOATS = [np.float64, np.float32, np.float16]
SHOWN = 10  # rows of each table in a notebook
NOT_APPLICABLE = {  # checks of scikit-learn, and why: ``check_estimator(…, expected_failed_checks=NOT_APPLICABLE)``
    "check_n_features_in_after_fitting": "it fits fewer than the 20 samples that intervals need",
    "check_estimators_nan_inf": "it fits fewer than the 20 samples that intervals need",
    "check_estimators_dtypes": "it fits a row of zeros, which has no direction and is refused",
}


class DifficultExamples(BaseEstimator):  # type: ignore[misc]  # it has no types
    """Which samples are difficult, which classes overlap, and what to do about it.

    ``DifficultExamples().fit(X, y).report("report.html")``. What is computed is that of ``difficult profile`` and
    ``difficult difficulty``; nothing is trained but linear probes.

    Parameters
    ----------
    share : float
        Share of the samples that is taken for difficult, 0 to 1.
    by : str, optional
        What makes a sample difficult, of ``empirical.choices.SCORES``; by default the best that there are labels
        for; ``sas`` compares features after the projector, which X must be then.
    classes : int, optional
        Number of classes, >= 2, where there are no labels; by default an estimate by clustering.
    seed : int
        Of batches, probes and what is drawn, >= 0.

    Attributes
    ----------
    profile_ : theory.plan.Profile
        Similarities with their intervals, pairs of classes, predicted accuracy.
    plan_ : theory.plan.Plan
        Margin, temperature and band that follow from it.
    verdict_ : str
        One sentence: whether there is a problem, and what to do.
    scores_ : ndarray
        How difficult each sample is, the larger the more, shape (N,); NaN for those that were not scored.
    difficult_ : ndarray
        bool, shape (N,).
    pairs_ : DataFrame
        The most alike pairs of samples of different classes.
    class_pairs_ : DataFrame
        Pairs of classes, the worst first: severity with its interval, samples between them, what to do. Empty without
        labels.
    predicted_accuracy_ : float or None
        Of a linear probe trained on all labels, on new samples.
    withheld_ : dict of str
        Columns that ``to_frame`` has not, such as ``mislabelled`` where the held-out probe is weak, and why.
    n_features_in_ : int
    """

    def __init__(self, share: float = SHARE, by: str | None = None, classes: int | None = None, seed: int = 0) -> None:
        self.share = share
        self.by = by
        self.classes = classes
        self.seed = seed

    def fit(self, X: Any, y: Any = None, ids: Any = None, images: Any = None) -> Self:
        """Examine samples.

        Parameters
        ----------
        X : array_like, table, path or sequence of path
            Features, shape (N, d): a matrix, or what ``empirical.data.samples.read_samples`` takes: files, a table with
            a column of vectors, a data set of Hugging Face. It is kept, not copied, for ``report``.
        y : array_like or path, optional
            Classes, integers or names, shape (N,), −1, null, NaN or empty for none; or a file of these.
        ids : array_like or path, optional
            What samples are called, integers or text without doubles, shape (N,); or a file of these.
        images : sequence, optional
            N pictures for the report: files, or arrays of 8 bits of shape (H, W), (H, W, C) or (C, H, W).

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If something cannot be read, or does not fit (a ``theory.checks.ParameterError``).
        """
        criteria = Criteria(by=self.by, share=self.share, classes=self.classes, seed=self.seed)
        if is_matrix(X):
            X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2, ensure_min_features=2)
        samples = read_samples(X, as_column(y), ids=as_column(ids))
        samples, pictures = _with_pictures(samples, images)
        found = examine(samples, criteria, images=pictures)
        self._examination = found
        self.n_features_in_: int = samples.features.width
        self.profile_, self.plan_, self.verdict_ = found.profile, found.plan, found.verdict
        self.scores_, self.difficult_ = found.scores, found.difficulty.difficult
        self.pairs_, self.class_pairs_ = found.pairs(), found.class_pairs()
        self.predicted_accuracy_ = found.predicted_accuracy
        self.withheld_ = found.difficulty.withheld
        return self

    def to_frame(self) -> pd.DataFrame:
        """A row for each sample, in order: index, id, label, class and picture as far as known, scores and flags."""
        check_is_fitted(self)
        return self._examination.frame()

    def report(self, path: str | Path) -> Path:
        """Write the page, see ``empirical.report.write_report``; its path."""
        from empirical.report.page import write_report

        check_is_fitted(self)
        return write_report(self._examination, Path(path), self.get_params())[0]

    def _repr_html_inner(self) -> str:
        """Verdict, worst pairs of classes and most difficult samples for a notebook."""
        found = self._examination
        parts = [f"<p><b>{escape(self.verdict_)}</b></p>"]
        if len(self.class_pairs_):
            parts.append(self.class_pairs_.head(SHOWN).to_html(index=False, float_format="{:.3g}".format))
        parts.append(found.frame().iloc[found.order[:SHOWN]].to_html(index=False, float_format="{:.3g}".format))
        return "<div>" + "".join(parts) + "</div>"

    @property
    def _repr_html_(self) -> Any:
        """What a notebook shows: of a fitted estimator what was found, else its parameters."""
        return self._repr_html_inner if hasattr(self, "verdict_") else super()._repr_html_

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        if not hasattr(self, "verdict_"):
            return dict(super()._repr_mimebundle_(**kwargs))
        return {"text/plain": f"{self!r}\n{self.verdict_}", "text/html": self._repr_html_inner()}


def is_matrix(source: Any) -> bool:
    """Whether features are numbers in memory, which scikit-learn checks, and neither files nor another table."""
    if issparse(source):  # some are mappings; refused by name
        return True
    if is_of(source, "pandas", "DataFrame"):
        return all(getattr(kind, "kind", "O") in "biufc" for kind in source.dtypes)
    kept = is_of(source, "torch", "Tensor") or is_of(source, "pyarrow", "Table")
    if kept or is_of(source, "datasets", "Dataset", "DatasetDict", "IterableDataset", "IterableDatasetDict"):
        return False
    several = source if isinstance(source, list | tuple) else [source]
    return not any(isinstance(one, str | Path | Mapping) for one in several)


def as_column(values: Any) -> Any:
    """Labels or ids: a list of text holds names, not those of files."""
    if isinstance(values, list | tuple) and any(isinstance(one, str) for one in values):
        return np.array(values, dtype=object)
    return values


def _with_pictures(samples: Samples, images: Any) -> tuple[Samples, Sequence[Any] | None]:
    """The samples with their image files, or the images themselves."""
    if images is None:
        return samples, None
    found = plain(images)
    if not isinstance(found, np.ndarray):
        found = list(found)
    count, rows = len(found), samples.features.rows
    require(count == rows, "images", f"{count} images", f"one for each of {rows} rows")
    if all(isinstance(one, str | Path) for one in found):
        paths: NDArray[np.object_] = np.array([str(one) for one in found], dtype=object)
        return replace(samples, pictures=as_pictures("images", paths, Path(), rows)), None
    return samples, found

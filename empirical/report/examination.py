"""Everything that is known of samples in one place: profile, plan, scores, pairs, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from empirical.choices import BEST, BEST_UNLABELLED
from empirical.data.features import Mapper
from empirical.data.identities import Items
from empirical.data.samples import Samples
from empirical.data.sources import ImageFiles
from empirical.difficulty import Criteria, Difficulty, assess
from empirical.difficulty.progress import shown
from empirical.profile.measurement import measure
from empirical.profile.reading import verdict
from theory.plan import Plan, Profile, plan_from_profile

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

USUAL = Criteria()
SMALLEST = ("gap", "sas")  # scores of which the smallest are the most difficult samples'


@dataclass(frozen=True)
class Examination:
    """Samples, and what was found out about them.

    Parameters
    ----------
    samples : Samples
    profile : Profile
    plan : Plan
    difficulty : Difficulty
    criteria : Criteria
        With ``by`` as it was used.
    images : sequence, ImageFiles or Tensor, optional
        N pictures of the samples: files, or arrays of 8 bits of shape (H, W), (H, W, C) or (C, H, W).
    """

    samples: Samples
    profile: Profile
    plan: Plan
    difficulty: Difficulty
    criteria: Criteria
    images: Sequence[Any] | ImageFiles | Tensor | None = None

    @property
    def items(self) -> Items:
        """What the samples are called."""
        return Items(self.samples.rows, self.samples.ids, self.samples.labels, self.samples.names)

    @property
    def verdict(self) -> str:
        """One sentence: whether there is a problem, and what to do."""
        return verdict(self.profile, self.plan)

    @property
    def predicted_accuracy(self) -> float | None:
        """Of a linear probe trained on all labels, on new samples; None where there is no number."""
        probe = self.profile.predicted_probe
        return None if probe is None or probe.accuracy is None else probe.accuracy.value

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The larger, the more difficult; shape (N,), NaN for samples that were not scored."""
        by = self.criteria.by
        column = self.difficulty.scores[self.scored].astype(np.float64)
        return -column if by in SMALLEST else column

    @property
    def scored(self) -> str:
        """The column of scores that makes samples difficult."""
        return "flag_share" if self.criteria.by == "flags" else str(self.criteria.by)

    @property
    def order(self) -> NDArray[np.int64]:
        """Samples from the most to the least difficult, those taken for difficult first; shape (N,)."""
        return np.lexsort((-np.nan_to_num(self.scores, nan=-np.inf), ~self.difficulty.difficult))

    def frame(self) -> pd.DataFrame:
        """A row for each sample, in order: index, id, label, class and picture as far as known, scores and flags."""
        import pandas as pd

        columns = self.items.columns(np.arange(len(self.samples.rows)))
        for name, values in self.difficulty.scores.items():
            if name not in columns:
                columns[name] = values.astype(bool) if name in self.flags else values
        if self.samples.pictures is not None:
            columns["image"] = np.array([str(path) for path in self.samples.pictures], dtype=object)
        return pd.DataFrame(columns)

    @property
    def flags(self) -> list[str]:
        """The columns that say what samples are."""
        kinds = ["difficult", *(overlap.kind for overlap in self.difficulty.overlaps)]
        return [name for name in self.difficulty.scores if name in kinds]

    def pairs(self) -> pd.DataFrame:
        """The most alike pairs of different classes: index, id and class of both, and their cosine."""
        import pandas as pd

        rows = self.difficulty.pairs.rows.reshape(-1, 2)
        columns: dict[str, NDArray[Any]] = {}
        for place, end in enumerate(("first", "second")):
            columns |= self.items.columns(rows[:, place], end, f"_{end}")
        return pd.DataFrame({**columns, "similarity": self.difficulty.pairs.similarity})

    def class_pairs(self) -> pd.DataFrame:
        """A row for each pair of classes in the profile, the worst first."""
        import pandas as pd

        rows = []
        for pair in self.profile.pairs:
            fields = asdict(pair)
            (first, second), (low, high) = fields.pop("classes"), fields.pop("interval")
            ends = {"first": first, "second": second, "severity": pair.severity, "low": low, "high": high}
            rows.append(ends | fields)
        names = ["first", "second", "severity", "low", "high", "flagged", "alpha", "beta", "gamma", "between"]
        names += ["mislabelled", "p_value", "duplicates", "advice"]
        return pd.DataFrame(rows, columns=names)


def examine(
    samples: Samples,
    criteria: Criteria = USUAL,
    mapper: Mapper = map,
    images: Sequence[Any] | ImageFiles | Tensor | None = None,
) -> Examination:
    """Measure the profile of samples, and score them by its plan.

    Parameters
    ----------
    samples : Samples
    criteria : Criteria
    mapper : callable
        ``map``, or that of a pool, whose workers go through the features.
    images : sequence, optional
        See ``Examination``; by default the samples' pictures.

    Raises
    ------
    ParameterError
        If the samples cannot be measured, or the criteria do not fit them.
    """
    s, c = samples, criteria
    profiled = shown(mapper, "profile")
    found = measure(
        {"encoder": s.features},
        s.labels,
        s.source,
        c.classes,
        c.share,
        c.seed,
        profiled,
        copies=s.copies,
        names=s.names,
    )
    profile = replace(found.profile, reading=s.reading.to_json())
    plan = plan_from_profile(profile)
    by = c.by or (BEST_UNLABELLED if s.labels is None else BEST)
    criteria = replace(c, by=by)
    difficulty = assess(s.features, s.labels, criteria, plan, mapper=mapper, copies=s.copies, probes=found.probes)
    return Examination(s, profile, plan, difficulty, criteria, s.pictures if images is None else images)

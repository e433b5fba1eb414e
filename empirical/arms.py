"""The arms of an experiment: which remedy each applies and which theorem speaks about it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from empirical.choices import LOSS_NAMES
from empirical.paper import STATED, stated
from theory.checks import ParameterError, is_finite, nearest, require, require_known
from theory.code import OpenNames, attribute
from theory.plan import SPACES, Plan
from theory.sizes import NAMES

BANDS = ("theory", "paper", "wide", "auto", "HIGH,LOW")
SELECTIONS = ("rank", "row", "auto", "all", "random", "known", "threshold", "label")
OF_ITSELF = ("threshold", "label")  # selections that take neither a plan nor a band, and rank nothing
RANKINGS = ("batch", "row")
SIZES = ("sigma", "rho")
DROPS = ("difficult", "random", "mixed")


@dataclass(frozen=True)
class Arm:
    """One remedy.

    Parameters
    ----------
    sigma, rho, remove_pairs : bool
        Whether the loss uses the plan's margin, its temperature factor, or drops flagged pairs.
    drop : {"difficult", "random", "mixed"} or None
        Which training images are left out.
    loss : str or None
        The arm's own loss; None is the experiment's.
    select, space : str
        How pairs are flagged, see ``PairRemedy``.
    as_printed, rescale : bool
        In which form the loss changes flagged pairs, see ``PairRemedy``.
    theorem : str or None
        The bound of ``theory.bounds`` that predicts the arm's error.

    Raises
    ------
    ParameterError
        If a name is unknown, or removed pairs are to have a margin or temperature.
    """

    sigma: bool = False
    rho: bool = False
    remove_pairs: bool = False
    drop: str | None = None
    loss: str | None = None
    select: str = "rank"
    space: str = "encoder"
    as_printed: bool = False
    rescale: bool = False
    theorem: str | None = None

    def __post_init__(self) -> None:
        require_known("select", self.select, SELECTIONS)
        require_known("space", self.space, SPACES)
        if self.drop is not None:
            require_known("drop", self.drop, DROPS)
        if self.loss is not None:
            require_known("loss", self.loss, LOSS_NAMES)
        require(not (self.remove_pairs and (self.sigma or self.rho)), "remove_pairs", True, "neither sigma nor rho")

    @property
    def selects(self) -> bool:
        """Whether the loss needs the pair selector."""
        return self.sigma or self.rho or self.remove_pairs

    @property
    def planned(self) -> bool:
        """Whether its values come from a plan, unless they are given."""
        own = self.selects and not self.as_printed and self.select not in OF_ITSELF
        return own or self.drop in ("difficult", "random")


ARMS = {
    "baseline": Arm(theorem="difficult"),
    "margin": Arm(sigma=True, theorem="margin"),
    "temperature": Arm(rho=True, theorem="temperature"),
    "combined": Arm(sigma=True, rho=True),
    "pair_removal": Arm(remove_pairs=True),
    "sample_removal": Arm(drop="difficult", theorem="removal"),
    "random_removal": Arm(drop="random"),
    "mixed_removal": Arm(drop="mixed"),
    "paper_margin": Arm(sigma=True, as_printed=True),
    "paper_temperature": Arm(rho=True, as_printed=True),
    "paper_combined": Arm(sigma=True, rho=True, as_printed=True),
    "paper_removal": Arm(remove_pairs=True, as_printed=True),
    "debiased": Arm(loss="debiased"),
    "hcl": Arm(loss="hcl"),
    "mochi": Arm(loss="mochi"),
    "glofnd": Arm(remove_pairs=True, select="threshold", space="projector", rescale=True),
    "adnce": Arm(loss="adnce"),
    "adnce_sentence": Arm(loss="adnce_sentence"),
    "adnce_graph": Arm(loss="adnce_graph"),
    "equal_radius": Arm(loss="equal_radius"),
    "spectral": Arm(loss="spectral"),
    "spectral_opposite": Arm(loss="spectral_opposite"),
    "combined_projector": Arm(sigma=True, rho=True, space="projector"),
    "combined_auto": Arm(sigma=True, rho=True, select="auto"),
    "combined_random": Arm(sigma=True, rho=True, select="random"),
    "margin_all": Arm(sigma=True, select="all"),
    "temperature_all": Arm(rho=True, select="all"),
    "paper_combined_projector": Arm(sigma=True, rho=True, space="projector", as_printed=True),
    "paper_combined_random": Arm(sigma=True, rho=True, select="random", as_printed=True),
    "paper_combined_known": Arm(sigma=True, rho=True, select="known", as_printed=True),
    "paper_margin_random": Arm(sigma=True, select="random", as_printed=True),
    "paper_temperature_random": Arm(rho=True, select="random", as_printed=True),
    "paper_removal_random": Arm(remove_pairs=True, select="random", as_printed=True),
    "paper_margin_all": Arm(sigma=True, select="all", as_printed=True),
    "paper_temperature_all": Arm(rho=True, select="all", as_printed=True),
    "oracle": Arm(remove_pairs=True, select="label"),
}
ARM_NAMES = OpenNames((*ARMS, "MODULE:NAME"))


def arm_named(name: str) -> Arm:
    """The arm of this name: one of ``ARMS``, or ``MODULE:NAME`` of one's own, which is imported.

    Raises
    ------
    ParameterError
        If there is none.
    """
    require_known("arm", name, ARM_NAMES)
    if name in ARMS:
        return ARMS[name]
    found = attribute("arm", name)
    if not isinstance(found, Arm):
        raise ParameterError("arm", name, f"an empirical.arms.Arm (found {type(found).__name__})")
    return found


@dataclass(frozen=True)
class PairRemedy:
    """What the loss does to the pairs that the selector flags.

    Parameters
    ----------
    sigma : float
        Margin added to the cosine, 0 <= sigma <= 2: no two cosines differ by more.
    rho : float
        Factor on the temperature, 0 < rho <= 1; as printed any > 0.
    remove : bool
        Leave the pairs out instead: they are no negatives. As printed their cosine is 0.
    pos_high, pos_low : float
        The band of the ranking by similarity, 0 <= pos_high <= pos_low <= 1.
    select : {"rank", "row", "auto", "all", "random", "known", "threshold", "label"}
        The band of the batch's ranking; of each anchor's own; a band that sets itself; every pair; as many random
        pairs as the band holds; those above the anchor's learned threshold (GloFND); the negatives of its class.
    space : {"encoder", "projector"}
        Whose similarities are ranked: features before or after the projector.
    as_printed : bool
        The paper's equations 12–16 to the letter: positives are ranked and flagged too, ρ acts whatever the sign of
        the cosine, and a removed pair stays, with cosine 0.
    rescale : bool
        Let the negatives that a removal leaves weigh as much as all did.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    """

    sigma: float = 0.0
    rho: float = 1.0
    remove: bool = False
    pos_high: float = 0.0
    pos_low: float = 0.0
    select: str = "rank"
    space: str = "encoder"
    as_printed: bool = False
    rescale: bool = False

    def __post_init__(self) -> None:
        require_known("select", self.select, SELECTIONS)
        require_known("space", self.space, SPACES)
        require(is_finite(self.sigma) and 0 <= self.sigma <= 2, "sigma", self.sigma, "0 <= sigma <= 2")
        if self.as_printed:
            require(is_finite(self.rho) and self.rho > 0, "rho", self.rho, "rho > 0")
        else:
            require(0 < self.rho <= 1, "rho", self.rho, "0 < rho <= 1")
        require_shares(self.pos_high, self.pos_low)

    @property
    def ranks(self) -> bool:
        """Whether the selection takes the similarities of ``space``."""
        return self.select not in OF_ITSELF


def require_shares(pos_high: float, pos_low: float) -> None:
    """Require 0 <= pos_high <= pos_low <= 1."""
    require(0 <= pos_high <= 1, "pos_high", pos_high, "0 <= pos_high <= 1")
    require(pos_high <= pos_low <= 1, "pos_low", pos_low, f"pos_high = {pos_high} <= pos_low <= 1")


class NotApplicable(Exception):
    """The plan has no value for an arm; the message says why."""


@dataclass(frozen=True)
class Given:
    """What a user may give in place of a plan's values, or of the paper's.

    Parameters
    ----------
    band : str or None
        ``theory`` ends where the share of difficult pairs ends and is the default of our arms, ``wide`` ends at 1,
        ``paper`` is the paper's for the data set and the default of its arms, ``auto`` sets itself; or two shares,
        ``.15,.22``.
    sigma, rho : float or None
        Margin and temperature factor.
    ranking : {"batch", "row"}
        Rank all pairs of a batch together, or those of each anchor.
    stated : str or None
        The paper's data set whose values its arms take; by default that of the data.

    Raises
    ------
    ParameterError
        If a value is outside its range.
    """

    band: str | None = None
    sigma: float | None = None
    rho: float | None = None
    ranking: str = "batch"
    stated: str | None = None

    def __post_init__(self) -> None:
        require_known("ranking", self.ranking, RANKINGS)
        if self.stated is not None:
            require_known("stated", self.stated, STATED)
        if self.band is not None and self.shares is None:
            known = ", ".join(BANDS)
            require(self.band in BANDS[:-1], "band", self.band, f"one of {known}{nearest(self.band, BANDS[:-1])}")
        if self.shares is not None:
            require_shares(*self.shares)
        remedy = PairRemedy(as_printed=True)
        for name in ("sigma", "rho"):
            if getattr(self, name) is not None:
                replace(remedy, **{name: getattr(self, name)})

    @property
    def shares(self) -> tuple[float, float] | None:
        """The band, if it is given as two numbers."""
        high, comma, low = (self.band or "").partition(",")
        if not comma or self.band == BANDS[-1]:
            return None
        try:
            return float(high), float(low)
        except ValueError:
            raise ParameterError("band", self.band, "two shares, such as .15,.22") from None


NOTHING_GIVEN = Given()


def pair_remedy(
    name: str, plan: Plan | None, given: Given = NOTHING_GIVEN, loss: str = "nt_xent", data: str = ""
) -> PairRemedy | None:
    """The pair remedy of an arm; None if it leaves the pairs alone.

    Parameters
    ----------
    name : str
        A key of ``ARMS``, or ``MODULE:NAME`` of one's own.
    plan : Plan or None
        Its values are those of our arms. Arms that drop difficult samples need it too.
    given : Given
        Goes before the plan, and before what the paper states for its arms.
    loss : str
        The loss that is trained: it decides which of a plan's values apply.
    data : str
        The data, for which the paper may state values.

    Raises
    ------
    ParameterError
        If the arm is unknown, or a value is needed and there is none.
    NotApplicable
        If the plan's entry for the arm is null.
    """
    arm = arm_named(name)
    if arm.drop in ("difficult", "random"):
        _planned(name, plan, "removal_fraction", loss)
    if not arm.selects:
        return None
    data = given.stated or data
    if arm.as_printed and stated(data) is None:
        _require_given(name, given, data)
    form = PairRemedy(remove=arm.remove_pairs, space=arm.space, as_printed=arm.as_printed, rescale=arm.rescale)
    if arm.select in OF_ITSELF:
        return replace(form, select=arm.select)
    entries = ("combined_sigma", "combined_rho") if arm.sigma and arm.rho else ("margin_sigma", "temperature_rho")

    def value(own: float | None, entry: str) -> float:
        if own is not None:
            return own
        return _stated(name, entry.rpartition("_")[2], data) if arm.as_printed else _planned(name, plan, entry, loss)

    if arm.sigma:
        form = replace(form, sigma=value(given.sigma, entries[0]))
    if arm.rho:
        form = replace(form, rho=value(given.rho, entries[1]))
    if form.rho > 1:
        warnings.warn(f"rho = {form.rho:g} is above 1: it weakens the repulsion of difficult pairs", stacklevel=2)
    return _with_band(name, arm.select, form, plan, given, data)


def _with_band(name: str, select: str, form: PairRemedy, plan: Plan | None, given: Given, data: str) -> PairRemedy:
    """The remedy with the selection of its arm."""
    if select == "all":
        return replace(form, select=select)
    if select == "rank" and given.ranking == "row":
        select = given.ranking
    if given.band is None and form.as_printed:
        given = replace(given, band="paper")
    if given.band == "auto":
        require(not form.as_printed, "band", given.band, "percentiles, for the paper's arms")
        require(select != "row", "ranking", given.ranking, "batch, where the band sets itself")
    if select == "auto" or (given.band == "auto" and select == "rank"):
        return replace(form, select="auto")
    high, low = band_shares(name, plan, given, data)
    return replace(form, pos_high=high, pos_low=low, select=select)


def taken(name: str) -> tuple[str, ...]:
    """The fields of ``Given`` that make a difference to an arm."""
    arm = arm_named(name)
    banded = arm.selects and arm.select in ("rank", "random", "known")
    fields = {"sigma": arm.sigma, "rho": arm.rho, "band": banded, "ranking": arm.selects and arm.select == "rank"}
    return tuple(field for field, takes in {**fields, "stated": banded or arm.as_printed}.items() if takes)


def band_shares(arm: str, plan: Plan | None, given: Given, data: str) -> tuple[float, float]:
    """The percentiles of a band that is not ``auto``, for which they are the plan's.

    Parameters
    ----------
    arm : str
        Named in an error.
    plan, given, data
        As for ``pair_remedy``.

    Raises
    ------
    ParameterError
        If the plan is needed and there is none, or the paper states no band for the data.
    """
    if given.shares is not None:
        return given.shares
    if given.band == "paper":
        source = given.stated or data
        return _stated(arm, "pos_high", source), _stated(arm, "pos_low", source)
    high, low = (_planned(arm, plan, entry, "") for entry in ("pos_high", "pos_low"))
    return high, 1.0 if given.band == "wide" else low


def _planned(name: str, plan: Plan | None, entry: str, loss: str) -> float:
    """A plan's value for an arm; NotApplicable if it has none."""
    if plan is None:
        raise ParameterError(f"arm {name} needs a plan, which holds its values: --plan FILE")
    found = getattr(plan.sizes(loss) if entry in NAMES else plan, entry)
    if found is None:
        raise NotApplicable(plan.reason(entry, loss))
    return float(found)


def _stated(name: str, entry: str, data: str) -> float:
    """The paper's value for an arm on its data; ParameterError that says what to give on others."""
    named = stated(data)
    if named is None:
        raise _not_stated(name, [entry if entry in SIZES else "band"], data)
    return float(getattr(STATED[named], entry))


def _require_given(name: str, given: Given, data: str) -> None:
    """Refuse one of the paper's arms on other data than its own unless all that the arm takes is given."""
    needed = [field for field in taken(name) if field in (*SIZES, "band")]
    missing = [field for field in needed if getattr(given, field) in (None, "paper")]
    if missing:
        raise _not_stated(name, missing, data)


def _not_stated(name: str, missing: Sequence[str], data: str) -> ParameterError:
    what = " and ".join("percentiles" if field == "band" else field for field in missing)
    wanted = " and ".join("two percentiles, --band HIGH,LOW" if field == "band" else f"--{field}" for field in missing)
    known = f"the paper states {what} for {', '.join(STATED)} only"
    where = f"arm {name} on data {data or 'of unknown origin'}"
    return ParameterError(f"{where}: {known}; give {wanted}, or --stated with one of these")

"""A profile in words: how severe, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from theory.checks import printable
from theory.command import format_number
from theory.pairs import LEAST, ClassPair, Overlap
from theory.pairs import PROBLEM as PROBLEM
from theory.plan import Estimate, Plan, PredictedProbe, Profile, Space, grouped
from theory.sizes import size_lines

NAMED = 3  # pairs that a verdict names
LISTED = 5  # pairs that the report lists
DIFFUSE = 0.10  # of the samples between classes, in no pair more than elsewhere: features that tell nothing apart

# --- reading the profile ---------------------------------------------------------------------------


def severity(space: Space) -> Estimate:
    """How far pairs of difficult samples are on the way from other classes' easy pairs to the own class.

    (w′_dd − w′_ee)/(α − w′_ee) with w′ the levels across classes. The interval combines the ends of the three
    intervals and is therefore conservative.
    """
    alpha, easy, both = space.alpha, space.across.easy, space.across.difficult
    low = (both.low - easy.high) / max(alpha.high - easy.high, 1e-12)
    high = (both.high - easy.low) / max(alpha.low - easy.low, 1e-12)
    value = (both.value - easy.value) / max(alpha.value - easy.value, 1e-12)
    return Estimate(value, min(low, value), max(high, value))


def verdict(profile: Profile, plan: Plan) -> str:
    """One sentence: a difficult-example problem, none, or cannot tell; and what to do.

    It follows from the worst pairs of classes, as ``empirical.profile.overlap`` judges them; without labels, and of
    documents before version 6, from the mean over all pairs.
    """
    space = profile.spaces["encoder"]
    by_pairs = profile.overlap is not None and profile.overlap.flagged > 0  # of classes too small to have a share of
    if profile.difficult == 0 and not by_pairs:
        return "No difficult-example problem: no sample was taken for difficult; train as usual."
    if not space.alpha.low > space.beta.high:
        return (
            f"Cannot tell: same-class pairs (α̂ = {space.alpha.value:.3g}) are hardly more alike than others "
            f"(β̂ = {space.beta.value:.3g}) in these features; use a better encoder first."
        )
    if profile.overlap is not None:
        return _by_pairs(profile, profile.overlap, plan)
    s = severity(space)
    if s.value <= 0 and s.high < PROBLEM:
        return (
            f"No difficult-example problem: difficult pairs ({space.across.difficult.value:.3g}) are no more alike "
            f"than other pairs of different classes (β̂ = {space.beta.value:.3g}); train as usual."
        )
    found = f"difficult pairs are {s.value:.0%} [{s.low:.0%}, {s.high:.0%}] of the way from β̂ to α̂"
    if s.low >= PROBLEM:
        return f"Difficult-example problem: {found}; {_remedies(plan)}."
    if s.high < PROBLEM:
        return f"No difficult-example problem: {found}, below {PROBLEM:.0%}; train as usual."
    return f"Cannot tell: {found}, which is on both sides of {PROBLEM:.0%}; measure more images."


def _remedies(plan: Plan) -> str:
    remedies, sizes = [], plan.sizes("nt_xent")
    if sizes.margin_sigma is not None:
        remedies.append(f"margin σ = {sizes.margin_sigma:.3g}")
    if sizes.temperature_rho is not None:
        remedies.append(f"temperature factor ρ = {sizes.temperature_rho:.3g}")
    if not remedies:
        return "the optimum of NT-Xent gives no margin or temperature; try removing pairs"
    return f"with NT-Xent try {' or '.join(remedies)} on pairs ranked {plan.pos_high:.3g} to {plan.pos_low:.3g}"


def _by_pairs(profile: Profile, overlap: Overlap, plan: Plan) -> str:
    """The sentence that the pairs of classes give."""
    flagged = [pair for pair in profile.pairs if pair.flagged]
    undecided = [pair for pair in profile.pairs if pair.undecided]
    if flagged:
        most = "at least " if overlap.flagged == len(profile.pairs) < overlap.pairs else ""
        affected = f"{overlap.affected:,} of {overlap.samples:,} samples ({overlap.affected / overlap.samples:.1%})"
        return (
            f"Difficult-example problem: {most}{overlap.flagged:,} of {overlap.pairs:,} pairs of classes overlap "
            f"({_named(flagged)}{_hub(flagged)}), and {affected} lie between the two classes of such a pair; "
            + "; ".join(_what_to_do(flagged, overlap, plan))
            + "."
        )
    wrong = overlap.mislabelled / overlap.samples
    if wrong >= LEAST:
        return (
            f"No difficult-example problem, but {overlap.mislabelled:,} of {overlap.samples:,} samples ({wrong:.1%}) "
            f"are probably mislabelled: {_relabel([p for p in profile.pairs if p.advice == 'relabel'])}."
        )
    between = overlap.between / overlap.samples
    if between >= DIFFUSE:
        return (
            f"Cannot tell: {between:.0%} of the samples lie between their class and some other, in no pair of classes "
            f"certainly more than {LEAST:.1%}; use a better encoder or collect more samples."
        )
    if undecided:
        low, high = undecided[0].interval
        return (
            f"Cannot tell: samples lie between the classes of {len(undecided):,} of {overlap.pairs:,} pairs, but "
            f"whether they are alike is not certain (the severity of {_pair(undecided[0])} is between {low:.0%} and "
            f"{high:.0%}); collect more samples of these classes."
        )
    return (
        f"No difficult-example problem: in none of the {overlap.pairs:,} pairs of classes do difficult samples overlap "
        f"({overlap.between:,} of {overlap.samples:,} samples lie between their class and another); train as usual."
    )


def _what_to_do(flagged: Sequence[ClassPair], overlap: Overlap, plan: Plan) -> list[str]:
    """One phrase a case."""
    cases = {advice: [p for p in flagged if p.advice == advice] for advice in ("deduplicate", "merge", "collect")}
    remedied = [p for p in flagged if p.advice == "remedy"]
    found = []
    if cases["deduplicate"]:
        found.append(f"remove near-duplicates across {_named(cases['deduplicate'])}")
    if cases["merge"]:
        found.append(f"merge {_named(cases['merge'])}, which a probe hardly tells apart")
    if remedied and overlap.gain is not None:
        found.append(f"{_remedies(plan)}, where a remedy is predicted to gain {100 * overlap.gain:.1f} points")
    if cases["collect"]:
        worth = "there is no prediction for a remedy"
        if overlap.gain is not None:
            worth = f"no remedy is predicted to gain {100 * LEAST:g} points (the best {100 * overlap.gain:.1f})"
        found.append(f"{worth}, so collect samples or features that tell these classes apart")
    if overlap.mislabelled >= LEAST * overlap.samples:
        found.append(f"check the labels of {overlap.mislabelled:,} samples, which are probably wrong")
    return found


def _relabel(pairs: Sequence[ClassPair]) -> str:
    where = f", most between {_named(pairs)}" if pairs else ""
    return f"check their labels{where}"


def _named(pairs: Sequence[ClassPair]) -> str:
    more = [f"{len(pairs) - NAMED:,} more"] if len(pairs) > NAMED else []
    return ", ".join([*(_pair(pair) for pair in pairs[:NAMED]), *more])


def _pair(pair: ClassPair) -> str:
    return " – ".join(printable(name) for name in pair.classes)


def _hub(pairs: Sequence[ClassPair]) -> str:
    """The class that is in at least half of three or more pairs."""
    name, count = Counter(name for pair in pairs for name in pair.classes).most_common(1)[0]
    if count < 3 or 2 * count < len(pairs):
        return ""
    return f"; {'all' if count == len(pairs) else f'{count:,} of them'} with {printable(name)}"


def pair_lines(profile: Profile) -> list[str]:
    """The worst pairs of classes, a line each."""
    if profile.overlap is None:
        return []
    listed = [pair for pair in profile.pairs if pair.flagged or pair.advice != "nothing" or pair.undecided]
    if not listed:
        return []
    shown = listed[:LISTED]
    width = max(len(_pair(pair)) for pair in shown)
    lines = [f"  pairs of classes, the worst {len(shown)} of {profile.overlap.pairs:,}:"]
    for pair in shown:
        low, high = pair.interval
        counts = f"{pair.between:,} between, {pair.mislabelled:,} mislabelled"
        word = pair.advice if pair.advice != "nothing" else "cannot tell"
        lines.append(
            f"    {_pair(pair):<{width}}  severity {pair.severity:4.0%} [{low:.0%}, {high:.0%}]  {counts}: {word}"
        )
    return lines


def describe(profile: Profile, plan: Plan) -> str:
    """The text report of the command."""
    lines = [verdict(profile, plan), ""]
    kind = "classes" if profile.labels == "given" else "clusters"
    lines.append(
        f"{profile.source}: {profile.classes} {kind} × {profile.samples_per_class} samples, "
        f"{profile.difficult} difficult per class, k = {profile.dim}"
    )
    for name, space in profile.spaces.items():
        lines += ["", *_table(name, space)]
    lines.append("")
    lines += pair_lines(profile)
    if profile.predicted_probe is not None:
        lines.append(f"  {_predicted(profile.predicted_probe)}")
    if profile.delta is not None:
        d = profile.delta
        lines.append(f"  labelling error δ̂ = {d.value:.4f} [{d.low:.4f}, {d.high:.4f}]")
    removal = format_number(plan.removal_fraction, ".3g")
    lines += _selector(profile, plan)
    lines.append(f"  plan: band {plan.pos_high:.4g} to {plan.pos_low:.4g}, remove {removal}")
    lines += [f"    {line}" for line in size_lines(plan.remedies)]
    lines += [f"  no {names}: {reason}" for names, reason in grouped(plan.reasons).items()]
    lines += [f"  note: {warning}" for warning in profile.warnings]
    return "\n".join(lines)


def _selector(profile: Profile, plan: Plan) -> list[str]:
    """What the selector flags with the plan's band."""
    found = profile.selector.get(plan.parameters["pairing"])
    if found is None:
        return []
    shares = f"{found.recall:.2%} of the difficult pairs and {found.false_alarms:.2%} of the others"
    return [f"  the selector flags {shares}; of what it flags, {found.precision:.2%} is difficult"]


def _predicted(probe: PredictedProbe) -> str:
    if probe.accuracy is None:
        return f"predicted probe accuracy: none, {probe.reason}"
    return f"predicted probe accuracy {_shown(probe.accuracy)} on new samples, κ = {probe.kappa:.3g}"


def _table(name: str, space: Space) -> list[str]:
    """The six levels, and what the paper makes of them."""
    lines = [
        f"  {name:<16}" + "".join(f"{kind:>27}" for kind in ("easy–easy", "easy–difficult", "difficult–difficult"))
    ]
    for where in ("within", "across"):
        levels = getattr(space, where)
        cells = [_shown(getattr(levels, kind)) for kind in ("easy", "mixed", "difficult")]
        lines.append(f"    {where + ' classes':<14}" + "".join(f"{cell:>27}" for cell in cells))
    lines.append(
        "    as the paper measures: "
        + ", ".join(
            f"{symbol} {_shown(getattr(space, level))}"
            for level, symbol in (("alpha", "α̂"), ("beta", "β̂"), ("gamma", "γ̂"))
        )
    )
    paired = "" if space.welch_t is None else f"; its t, pairs as independent: {-space.welch_t:.3g}"
    return [*lines, f"    γ̂ − β̂ {_shown(space.gap)} over samples{paired}", f"    spread ε̂ {_shown(space.epsilon)}"]


def _shown(e: Estimate) -> str:
    return f"{e.value:.4f} [{e.low:.4f}, {e.high:.4f}]"

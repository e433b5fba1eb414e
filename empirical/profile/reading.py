"""A profile in words: how severe, what to do."""

from __future__ import annotations

from theory.command import format_number
from theory.plan import Estimate, Plan, PredictedProbe, Profile, Space, grouped
from theory.sizes import size_lines

PROBLEM = 0.10  # of the way from β to α: below it, difficult pairs are told apart from others in name only

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
    """One sentence: a difficult-example problem, none, or cannot tell; and what to do."""
    space = profile.spaces["encoder"]
    if profile.difficult == 0:
        return "No difficult-example problem: no sample was taken for difficult; train as usual."
    if not space.alpha.low > space.beta.high:
        return (
            f"Cannot tell: same-class pairs (α̂ = {space.alpha.value:.3g}) are hardly more alike than others "
            f"(β̂ = {space.beta.value:.3g}) in these features; use a better encoder first."
        )
    s = severity(space)
    if s.value <= 0 and s.high < PROBLEM:
        return (
            f"No difficult-example problem: difficult pairs ({space.across.difficult.value:.3g}) are no more alike "
            f"than other pairs of different classes (β̂ = {space.beta.value:.3g}); train as usual."
        )
    found = f"difficult pairs are {s.value:.0%} [{s.low:.0%}, {s.high:.0%}] of the way from β̂ to α̂"
    if s.low >= PROBLEM:
        remedies, sizes = [], plan.sizes("nt_xent")
        if sizes.margin_sigma is not None:
            remedies.append(f"margin σ = {sizes.margin_sigma:.3g}")
        if sizes.temperature_rho is not None:
            remedies.append(f"temperature factor ρ = {sizes.temperature_rho:.3g}")
        if remedies:
            advice = (
                f"with NT-Xent try {' or '.join(remedies)} on pairs ranked {plan.pos_high:.3g} to {plan.pos_low:.3g}"
            )
        else:
            advice = "the optimum of NT-Xent gives no margin or temperature; try removing pairs"
        return f"Difficult-example problem: {found}; {advice}."
    if s.high < PROBLEM:
        return f"No difficult-example problem: {found}, below {PROBLEM:.0%}; train as usual."
    return f"Cannot tell: {found}, which is on both sides of {PROBLEM:.0%}; measure more images."


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

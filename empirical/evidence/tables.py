"""Tables of docs/results.md and docs/protocol.md from published results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test, ttest_1samp

from empirical.evidence.choices import TUNED
from empirical.evidence.crossed import UNDECIDED, WORDS, Effect, Judgement, judge
from empirical.evidence.design import BENCHES, CHECKS, LEAST_ORACLE, LEVEL, MARGIN, Claim, families, planned
from empirical.evidence.published import Evidence
from empirical.evidence.sweeps import BENCH, SWEEPS, gains, published_gains
from empirical.statistics import Mean, rank_correlation
from theory.command import markdown_table

BROKEN, FROM_SCRATCH = "no verdict", "scratch"  # the family of the other instrument
TEST_IMAGES = 10_000  # of CIFAR-10
PAPERS_BASELINE = 88.26  # %, P, Tables 3 and 4, CIFAR-10
OWN_C = "-own_c"  # variants of entries, see ``design``
NOT_RUN, NOTHING = "not run", "Nothing of this has been run."
PARAGRAPH = "\n\n"
FAMILY_HEADER = (
    "claim",
    "verdict",
    "size, points",
    "difference, points",
    "seeds alone",
    "p (Holm), zero",
    f"p (Holm), ≥ {100 * MARGIN:g}",
    "sets × seeds",
    "published",
)
ARM_HEADER = (
    "entry",
    "runs",
    "accuracy, %",
    "on the test images, %",
    "predicted, %",
    "flagged pairs of different classes, %",
    "all negatives, %",
)
ACCURACIES = ("accuracy", "official", "predicted")
ACROSS = ("flagged_across", "negatives_across")
SYMBOLS = {"sigma": "σ", "rho": "ρ"}
Judged = tuple[Claim, Effect, Judgement]
Floats = NDArray[np.float64]


def judged(evidence: Evidence, family: str) -> list[Judged]:
    """The claims of a family that have been run, corrected for all of them; no verdicts where the check fails."""
    found = [(c, e) for c, e in zip(families()[family], evidence.effects(family), strict=True) if e is not None]
    words = judge([effect for _, effect in found], MARGIN, LEVEL, len(families()[family])) if found else []
    oracle = evidence.check("cifar10")
    if family != FROM_SCRATCH and oracle is not None and oracle.value <= LEAST_ORACLE:
        words = [replace(judgement, word=BROKEN) for judgement in words]
    return [(claim, effect, word) for (claim, effect), word in zip(found, words, strict=True)]


def points(value: float, digits: int = 2) -> str:
    """An accuracy's difference in points, with its sign."""
    return f"{100 * value:+.{digits}f}"


def interval(effect: Effect) -> str:
    """A difference in points with its crossed interval."""
    return _between(effect.value, effect.low, effect.high)


def _between(value: float, low: float, high: float) -> str:
    return f"{points(value)} [{points(low)}, {points(high)}]"


def _mean(found: Mean | None) -> str:
    if found is None or found.low is None or found.high is None:
        return "—"
    return _between(found.value, found.low, found.high)


def p_value(p: float) -> str:
    """A p-value in a table."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def family_table(family: str) -> Callable[[Evidence], str]:
    """A table of a family's claims."""

    def build(evidence: Evidence) -> str:
        found = {claim: (effect, word) for claim, effect, word in judged(evidence, family)}
        if not found:
            return NOTHING
        rows = []
        for claim in families()[family]:
            if claim not in found:
                rows.append((claim.text, NOT_RUN, *["—"] * 6, _published(claim)))
                continue
            effect, j = found[claim]
            ps = p_value(j.p_difference), p_value(j.p_equivalence)
            alone = f"±{100 * effect.seed_half_width:.2f}"
            many = f"{effect.sets} × {effect.seeds}"
            words = f"**{j.word}**", size(effect, j)
            rows.append((claim.text, *words, interval(effect), alone, *ps, many, _published(claim)))
        return markdown_table(FAMILY_HEADER, rows)

    return build


def size(effect: Effect, judgement: Judgement) -> str:
    """How large a difference is: below the margin by its test, above it by its interval, or neither."""
    if judgement.p_equivalence <= LEVEL:
        return f"< {100 * MARGIN:g}"
    above = min(abs(effect.low), abs(effect.high)) > MARGIN and effect.low * effect.high > 0
    return f"> {100 * MARGIN:g}" if above else f"{100 * MARGIN:g} not excluded"


def _published(claim: Claim) -> str:
    return claim.where or "—" if claim.published is None else f"{claim.published:+.2f} ({claim.where})"


def claims(_: Evidence | None = None) -> str:
    """The claims of the protocol by family."""
    rows = [
        (family, claim.text, f"`{claim.larger}` − `{claim.smaller}`", _published(claim))
        for family, members in families().items()
        for claim in members
    ]
    return markdown_table(("family", "claim", "difference", "published, points"), rows)


def check(evidence: Evidence) -> str:
    """Whether the instrument sees what it is for, and what it calls nothing."""
    effect = evidence.check("cifar10")
    if effect is None:
        return "The oracle has not been run."
    word = "the instrument works" if effect.value > LEAST_ORACLE else "**it is broken, and no verdict holds**"
    asked = f"more than {points(LEAST_ORACLE, 1)} was asked for"
    found = [f"Instrument check: the oracle changes the accuracy by {interval(effect)} points; {asked}: {word}."]
    others = {bench: evidence.check(bench) for bench in CHECKS if bench != "cifar10"}
    told = [f"`{bench}` {interval(effect)}" for bench, effect in others.items() if effect is not None]
    if told:
        found.append(f"Elsewhere: {', '.join(told)}.")
    nothing = evidence.effect(evidence.document["identity"])
    if nothing is not None:
        alone = f"{points(nothing.value, 3)} ± {100 * nothing.half_width:.3f}"
        found.append(f"The margin on *all* pairs, which cannot change the loss (equation 14), measures {alone}.")
    return " ".join(found)


def parts(evidence: Evidence) -> str:
    """The primary differences on the test images and on the held-out training images."""
    runs = evidence.runs[evidence.runs.bench == "cifar10"]
    pool = BENCHES["cifar10"].split
    images = TEST_IMAGES + pool.extra
    extra = (runs.accuracy * images - runs.official * TEST_IMAGES) / pool.extra
    tables = [
        runs.assign(value=values).pivot(index=["set", "seed"], columns="entry", values="value")
        for values in (runs.official, extra)
    ]
    rows = []
    for claim, effect, _ in judged(evidence, "primary"):
        larger, smaller = (name.partition("/")[2] for name in (claim.larger, claim.smaller))
        values = (points(float((table[larger] - table[smaller]).mean()), 3) for table in tables)
        rows.append((claim.text, points(effect.value, 3), *values))
    header = ("claim", "all, points", f"{TEST_IMAGES:,} test images", f"{pool.extra:,} training images in no set")
    return markdown_table(header, rows) if rows else NOTHING


BASELINE = "cifar10/baseline"
REMEDIES = {
    "paper_margin": "the margin",
    "paper_temperature": "the lower temperature",
    "paper_combined": "both together",
    "paper_removal": "removal",
}
SAID = {
    "paper_combined": "both remedies together",
    "paper_combined_random": "as many random pairs",
    "best_tau": "a lower temperature for all pairs",
    "oracle": "the oracle",
}


def summary(evidence: Evidence) -> str:
    """The finding in a paragraph; its numbers follow the results, its words the verdicts."""
    mean = _gains(evidence, "cifar10")
    found: dict[str, tuple[Claim, str]] = {
        claim.larger.partition("/")[2]: (claim, judgement.word)
        for claim, _, judgement in judged(evidence, "primary")
        if claim.smaller == BASELINE
    }
    if not found.keys() >= REMEDIES.keys():
        return NOTHING
    remedies = [
        f"{words} {points(mean[name])} ({found[name][1]}; the paper: {found[name][0].published:+.2f})"
        for name, words in REMEDIES.items()
    ]
    plans = planned()
    idle = {name for name, plan in plans.items() if plan.entry.frozen or plan.entry.untrained}
    rows = evidence.runs[evidence.runs.bench != FROM_SCRATCH]
    adapters = int((~(rows.bench + "/" + rows.entry).isin(idle)).sum())
    both, tuned = mean["paper_combined"], mean["best_tau"]
    parts = [
        "Pairs of images of different classes that look alike are said to hurt contrastive learning, and a margin, a "
        "lower temperature or the removal of such pairs to help.",
        _lead(mean, scratch := _gains(evidence, FROM_SCRATCH)),
        f"{PARAGRAPH}In more detail: we trained {adapters:,} adapters, small networks on the features of one that "
        "stays as it is, with the paper's losses and constants, and with controls. On CIFAR-10 its remedies change the "
        f"accuracy of a linear classifier on the features, in points, by: {', '.join(remedies)}. *Absent* and *small* "
        f"are below {100 * MARGIN:g} points; *contradicted* is a difference the other way.",
        f"{PARAGRAPH}As many *random* pairs, treated like the paper's selected ones, give "
        f"{points(mean['paper_combined_random'])} (the selected ones {points(both)}); one lower temperature for *all* "
        f"pairs, tuned, gives {points(tuned)}, and on top of it the paper's remedy still adds "
        f"{points(mean['paper_combined-best_tau'] - tuned)}.",
        "An oracle that knows which negatives are of the anchor's own class, as no method without labels can, gives "
        f"{points(mean['oracle'])}.",
    ]
    if "paper_combined_known" in mean:
        parts.append(
            "The paper's treatment of the most alike pairs of *different* classes, known by their labels, gives "
            f"{points(mean['paper_combined_known'])} (a question asked afterwards)."
        )
    own = _gains(evidence, "cifar10", OWN_C)
    if own.keys() >= {both_alone := f"paper_combined{OWN_C}", f"oracle{OWN_C}"}:
        parts.append(
            "Where every run's classifier chooses its own regularisation (asked afterwards too), both remedies "
            f"together give {points(own[both_alone])} (the same runs with the common one: "
            f"{points(_with_common_c(evidence))}) and the oracle {points(own[f'oracle{OWN_C}'])}."
        )
    if "paper_combined" in scratch:
        parts.append(PARAGRAPH + _from_scratch(evidence, scratch))
    return " ".join(parts).replace(f" {PARAGRAPH}", PARAGRAPH)


def _lead(adapters: dict[str, float], scratch: dict[str, float]) -> str:
    """The paragraph's numbers that a reader who stops here should have."""
    gains = [adapters[name] for name in REMEDIES]
    lead = (
        f"In short: on adapters the paper's remedies change the accuracy by {points(min(gains))} to "
        f"{points(max(gains))} points, and one lower temperature for all pairs by {points(adapters['best_tau'])}"
    )
    if not scratch.keys() >= {"paper_combined", "best_tau"}:
        return f"{lead}."
    return (
        f"{lead}; on networks from scratch its margin and temperature together by {points(scratch['paper_combined'])}, "
        f"and one lower temperature for all pairs by {points(scratch['best_tau'])}."
    )


def _with_common_c(evidence: Evidence) -> float:
    """What both remedies together give in the runs that were probed with a C of their own as well."""
    runs = evidence.runs[evidence.runs.bench == "cifar10"]
    table = runs.pivot(index=["set", "seed"], columns="entry", values="accuracy")
    table = table.dropna(subset=[f"{name}{OWN_C}" for name in ("baseline", "paper_combined")])
    return float((table["paper_combined"] - table["baseline"]).mean())


def _from_scratch(evidence: Evidence, mean: dict[str, float]) -> str:
    """Instrument B in a sentence: differences from the baseline, with a verdict where a claim is about them."""
    words = {
        claim.larger.partition("/")[2]: f" ({judgement.word})"
        for claim, _, judgement in judged(evidence, FROM_SCRATCH)
        if claim.smaller == f"{FROM_SCRATCH}/baseline"
    }
    told = [f"{said} {points(mean[name])}{words.get(name, '')}" for name, said in SAID.items() if name in mean]
    found = judged(evidence, FROM_SCRATCH)
    undecided = [claim for claim, _, judgement in found if judgement.word == UNDECIDED]
    named = "; ".join(claim.text for claim in undecided if claim.larger.startswith(f"{FROM_SCRATCH}/paper_combined"))
    runs = evidence.runs[(evidence.runs.bench == FROM_SCRATCH) & (evidence.runs.entry == "baseline")]
    start = f"From scratch, {len(runs)} short runs an arm (baseline {100 * runs.accuracy.mean():.1f} %)"
    among = f", among them: {named}" if named else ""
    return f"{start}: {', '.join(told)}; {len(undecided)} of {len(found)} claims are undecided there{among}."


def scratch_setting(evidence: Evidence) -> str:
    """Where instrument B's runs begin, with which probe and on which machine."""
    found = evidence.document.get("scratch")
    runs = evidence.runs[(evidence.runs.bench == FROM_SCRATCH) & (evidence.runs.entry == "baseline")]
    if found is None or runs.empty:
        return NOTHING
    return (
        f"The baseline reaches {100 * runs.accuracy.mean():.1f} % (the paper's: {PAPERS_BASELINE} %). "
        f"C = {found['c']:g} in every probe, trained on {found['environment']['device']}."
    )


def few_seeds(evidence: Evidence) -> str:
    """What instrument B's verdicts rest on: its setting, and tests that assume less than Student's."""
    rows = []
    runs = evidence.runs[evidence.runs.bench == FROM_SCRATCH]
    table = runs.pivot(index="seed", columns="entry", values="accuracy")
    for claim, effect, judgement in judged(evidence, FROM_SCRATCH):
        d = (table[claim.larger.partition("/")[2]] - table[claim.smaller.partition("/")[2]]).dropna().to_numpy()
        flips = permutation_test(
            (d, np.zeros_like(d)), _mean_difference, permutation_type="samples", n_resamples=np.inf
        )
        without = [ttest_1samp(np.delete(d, i), 0.0).pvalue for i in range(len(d))]
        cells = (p_value(effect.p_difference), p_value(float(flips.pvalue)), p_value(float(max(without))))
        rows.append((claim.text, judgement.word, f"{(d > 0).sum()} of {len(d)}", *cells))
    header = (
        "claim",
        "verdict",
        "seeds above 0",
        "p, uncorrected",
        "p by flips of signs",
        "largest p without one seed",
    )
    return markdown_table(header, rows) if rows else NOTHING


def _mean_difference(x: Floats, y: Floats, axis: int) -> Floats:
    return np.asarray((x - y).mean(axis=axis))


def _gains(evidence: Evidence, bench: str, variant: str = "") -> dict[str, float]:
    """Mean accuracy of every entry less that of the baseline, or of its variant, over the runs that both have."""
    runs = evidence.runs[evidence.runs.bench == bench]
    table = runs.pivot(index=["set", "seed"], columns="entry", values="accuracy")
    baseline = f"baseline{variant}"
    if baseline not in table:
        return {}
    return {str(name): float((table[name] - table[baseline]).mean()) for name in table}


def headline(evidence: Evidence) -> str:
    """The primary claims by verdict, one line each."""
    by_word: dict[str, list[str]] = {word: [] for word in WORDS}
    for claim, effect, word in judged(evidence, "primary"):
        by_word.setdefault(word.word, []).append(f"{claim.text} ({points(effect.value)})")
    lines = [f"- **{word}**: {'; '.join(texts)}" for word, texts in by_word.items() if texts]
    return "\n".join(lines)


def counts(evidence: Evidence) -> str:
    """How many claims of each family have which verdict."""
    rows = []
    for family, members in families().items():
        found = [word.word for _, _, word in judged(evidence, family)]
        numbers = [found.count(word) for word in WORDS]
        rows.append((family, *map(str, (len(members), *numbers, len(members) - sum(numbers)))))
    return markdown_table(("family", "claims", *WORDS, "not run, or no verdict"), rows)


def arms(bench: str) -> Callable[[Evidence], str]:
    """Accuracy of everything that was trained on a bench, beside the predicted one."""

    def build(evidence: Evidence) -> str:
        runs = evidence.runs[evidence.runs.bench == bench]
        if runs.empty:
            return NOTHING
        rows = []
        means = runs.groupby("entry")[list(ACCURACIES)].mean().sort_values("accuracy", ascending=False)
        for entry, row in means.iterrows():
            mine = runs[runs.entry == entry]
            flagged = [
                f"{100 * mine[name].mean():.1f}" if name in mine and mine[name].notna().any() else "—"
                for name in ACROSS
            ]
            accuracies = (f"{100 * row[name]:.2f}" for name in ACCURACIES)
            rows.append((f"`{entry}`", str(len(mine)), *accuracies, *flagged))
        return markdown_table(ARM_HEADER, rows)

    return build


def predictions(evidence: Evidence) -> str:
    """Whether the predicted accuracy ranks what was trained."""
    rows = []
    for bench, runs in evidence.runs.groupby("bench", sort=False):
        means = runs.groupby("entry")[["accuracy", "predicted"]].mean().dropna()
        error = 100 * (means.predicted - means.accuracy)
        found = rank_correlation(means.predicted.tolist(), means.accuracy.tolist(), range(len(means)))
        rho = found.reason if found.rho is None else f"{found.rho:.2f} [{found.low:.2f}, {found.high:.2f}]"
        rows.append((f"`{bench}`", str(len(means)), f"{error.mean():+.1f}", f"{error.std():.2f}", str(rho)))
    header = ("bench", "entries", "predicted − measured, points", "its spread over the entries", "rank correlation")
    return markdown_table(header, rows)


def _sizes(values: dict[str, float | None]) -> str:
    return ", ".join(f"{SYMBOLS[name]} = {value:g}" for name, value in values.items() if value is not None)


def chosen(evidence: Evidence) -> str:
    """What the tuning seeds chose."""
    rows = []
    for data, c in evidence.document["choices"].items():
        sizes = [_sizes(c[arm]) if arm in c else "—" for arm in TUNED]
        rows.append((f"`{data}`", f"{c['c']:g}", f"{c['tau']:g}", *sizes))
    return markdown_table(("data", "C", "best τ", "margin", "temperature", "combined"), rows)


def sweep_table(evidence: Evidence) -> str:
    """The paper's sensitivity curves beside ours, as gains over the baseline."""
    if not (evidence.runs.bench == BENCH).any():
        return NOTHING
    rows = []
    for sweep in SWEEPS:
        ours = gains(evidence.runs, sweep)
        for value, theirs, mean in zip(sweep.values, published_gains(sweep), ours, strict=True):
            rows.append((sweep.where, f"{sweep.symbol} = {value:g}", _mean(mean), f"{theirs:+.2f}"))
    return markdown_table(("where", "value", "our gain, points", "published gain"), rows)


TABLES: dict[str, Callable[[Evidence], str]] = {
    "evidence-summary": summary,
    "evidence-headline": headline,
    "evidence-check": check,
    "evidence-counts": counts,
    "evidence-parts": parts,
    "evidence-chosen": chosen,
    **{f"evidence-{family}": family_table(family) for family in families()},
    **{f"evidence-arms-{bench}": arms(bench) for bench in (*BENCHES, "scratch")},
    "evidence-predictions": predictions,
    "evidence-sweeps": sweep_table,
    "evidence-scratch-setting": scratch_setting,
    "evidence-few-seeds": few_seeds,
}

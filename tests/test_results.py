"""The tables of the docs follow from the committed results of the commands beside them."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from scipy import stats

from empirical.evidence import tables
from empirical.evidence.design import FIGURE_4_HIGH, FIGURE_4_LOW, FIGURE_5_RHO, FIGURE_5_SIGMA, RHOS, scanned
from empirical.evidence.published import load_evidence
from empirical.findings import claims as findings
from empirical.findings import pages
from empirical.study.parts import PARTS, SCALES
from empirical.train.settings import Settings
from figures import domain_map, phase_map
from theory import formulas, kinds
from theory.simulate import summary

ROOT = Path(__file__).parents[1]
DOMAIN = (ROOT / "figures" / "domain_map.txt").read_text(encoding="utf-8")
PAGE = " ".join((ROOT / "docs" / "simulation.md").read_text(encoding="utf-8").split())


def results(name):
    return pd.read_csv(ROOT / "results" / f"{name}.csv")


def short(value, sign=""):
    """.279, or −.025 with a sign."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1).replace("-", "−")


def test_removal():
    arms = summary(results("removal")).set_index("remedy")
    now, rows = arms.loc["nothing"], []
    rows.append(f"| clean graph | {short(arms.error['clean'])} | {short(arms.predicted['clean'])} | | |")
    change = f"{short(-arms.change['clean'], '+')} ± {short(arms.change_error['clean'])}"
    rows.append(
        f"| difficult graph | {short(now.error)} | {short(now.predicted)} | {change} "
        f"| {short(-arms.predicted_change['clean'], '+')} |"
    )
    rows.append(f"| easy nodes, nothing removed | {short(now.error_shared)} | {short(now.predicted_easy)} | | |")
    for arm, words in (("removal", "difficult ones"), ("random_removal", "as many random ones")):
        one = arms.loc[arm]
        rows.append(
            f"| easy nodes, {words} removed | {short(one.error_shared)} | {short(one.predicted_easy)} "
            f"| {short(one.change, '+')} ± {short(one.change_error)} | {short(one.predicted_change, '+')} |"
        )
    for row in rows:
        assert row in PAGE
    measured, predicted = (
        arms[name][["nothing", "removal", "random_removal"]] for name in ("error_shared", "predicted_easy")
    )
    assert list(measured.sort_values().index) == list(predicted.sort_values().index)


@pytest.mark.parametrize(
    ("world", "words"),
    [
        ("three_level", "three levels (the paper's, block)"),
        ("graded", "graded difficulty"),
        ("confusable", "confusable classes"),
        ("imbalanced", "imbalanced classes"),
    ],
)
def test_worlds(world, words):
    table = summary(results("worlds"))
    arms = table[(table.world == world) & (table.dim == 16) & (table.correlated == 0)].set_index("remedy")
    cells = []
    for name in ("clean", "margin", "temperature_unweighted", "removal", "random_removal"):
        predicted = arms.predicted_change[name]
        shown = "—" if pd.isna(predicted) else short(predicted, "+")
        cells.append(f"{short(arms.change[name], '+')} ± {short(arms.change_error[name])} ({shown})")
    assert f"| {words} | {' | '.join(cells)} |" in PAGE


def test_errors_to_expect():
    table = summary(results("worlds"))
    off = 100 * (table.predicted - table.error).abs()
    by_dim = off.groupby(table.dim).median()
    said = f"{off.count()} arms that have one are off by {off.median():.1f} points in the median"
    assert f"{said} and by {off.max():.1f} at most" in PAGE
    assert "by {:.1f} at k = 10 = r+1, {:.1f} at 16 and {:.1f} at 32".format(*by_dim[[10, 16, 32]]) in PAGE
    plain = table[(table.world == "three_level") & (table.dim == 16) & (table.remedy == "nothing")]
    measured, predicted = (plain.set_index("correlated")[name] for name in ("error", "predicted"))
    levels = [short(values[share]) for values in (measured, predicted) for share in (0, 0.5)]
    assert "falls from {} to {} (predicted: {} and {})".format(*levels) in PAGE

    found = phase_map.signs(phase_map.data())
    found = found[found.pairing == "both"].set_index("comparison")
    rows = {
        "difficult": "difficult − clean",
        "margin": "margin − nothing",
        "temperature_unweighted": "temperature, unweighted − nothing",
        "removal": "removal − nothing",
        "random_removal": "random removal − nothing",
        "removal_or_random": "removal − random removal",
    }
    for name, words in rows.items():
        row = found.loc[name]
        right = f"{row.right:,} ({100 * row.share_right:.1f} %) | {row.bound_right:,} ({100 * row.bound_share:.1f} %)"
        assert f"| {words} | {row.significant:,} | {right} | {row.off:.2f} |" in PAGE
    assert found.share_right["difficult"] >= 0.95
    assert found.share_right[["margin", "temperature_unweighted", "removal"]].min() >= 0.99


def test_measured_similarities():
    table = summary(results("measured"))

    def largest(*names):
        rows = table[table.remedy.isin(names)]
        row = rows.loc[rows.change.abs().idxmax()]
        return f"{100 * abs(row.change):.1f} ± {100 * row.change_error:.1f}"

    assert f"at most {largest('margin', 'temperature_unweighted')} points" in PAGE
    assert f"the clean graph by at most {largest('clean')}" in PAGE
    assert f"removal by at most {largest('removal')}" in PAGE
    assert f"removing random samples by up to {largest('random_removal')}" in PAGE


def test_inside_the_domain():
    changes = domain_map.data()
    cells = changes[changes.excess > 0]
    found = domain_map.counts(changes).set_index(["noise", "comparison"])

    def interval(noise, comparison, digits=3):
        line = next(x for x in DOMAIN.splitlines() if x.split()[:2] == [noise, comparison] and len(x.split()) == 5)
        numbers = [f"{float(x):+.{digits}f}".replace("0.", ".", 1).replace("-", "−") for x in line.split()[2:]]
        return numbers[0], f"{numbers[1]} to {numbers[2]}"

    def at(comparison, noise):
        return cells[(cells.comparison == comparison) & (cells.noise == noise)]

    wishart, channel = (found.loc[noise] for noise in ("wishart", "channel"))
    harm = {noise: at("temperature", noise)[at("temperature", noise).bound > 0] for noise in ("wishart", "channel")}
    hurt = at("difficult", "channel")
    worse = hurt[hurt.significant & (hurt.low > 0)]
    assert set(worse.dim) == {6}
    assert set(worse.difficult) == {8}
    assert set(worse.excess) == {0.056}
    helped = at("removal", "channel")
    helped = helped[helped.significant & (helped.high < 0)]
    assert set(zip(helped.dim, helped.difficult, helped.excess, strict=True)) == {(6, 8, 0.056)}
    rank = {
        noise: group.bound.corr(group.change, method="spearman")
        for noise, group in cells[(cells.comparison == "difficult") & (cells.dim == 6)].groupby("noise")
    }
    beyond = at("difficult", "wishart")[at("difficult", "wishart").dim > 6]
    late, by_dim = hurt[hurt.dim == 12], hurt.groupby("dim").change.mean()
    held = changes[(changes.comparison == "difficult") & (changes.noise == "channel") & (changes.dim == 12)]
    silent = cells[(cells.comparison == "difficult") & (cells.dim > 6)]
    assert silent.bound.abs().max() < 1e-9
    assert not (late.significant & (late.high < 0)).any()
    sentences = [
        f"Wishart: {wishart.worse['difficult']} of 54 points are worse after correction and none is better",
        f"(mean {interval('wishart', 'difficult')[0]}, interval {interval('wishart', 'difficult')[1]})",
        f"Channel: {channel.worse['difficult']} of 54 are worse after correction",
        f"by up to {short(worse.change.max(), '+')}",
        f"({interval('channel', 'difficult')[0]}, interval {interval('channel', 'difficult')[1]})",
        f"({(late.high < 0).sum()} of {len(late)} points alone, none after correction)",
        f"at k = r+1 {short(by_dim[6], '+')}, at r+2 {short(by_dim[7], '+')})",
        f"{short(by_dim[12], '+')} is left",
        f"clean graphs .020, now {short(held.before.mean())}; "
        f"difficult ones .013, now {short((held.before + held.change).mean())})",
        f"by {rank['wishart']:+.2f} (Wishart) and {rank['channel']:+.2f} (channel; Spearman, 18".replace("0.", "."),
        f"{(beyond.significant & (beyond.low > 0)).sum()} of {len(beyond)} Wishart points are worse after correction",
        f"by {wishart.rank_eigenvalue['difficult']:+.2f} (Wishart) and "
        f"{channel.rank_eigenvalue['difficult']:+.2f} (channel)".replace("0.", "."),
        f"after correction on {wishart.better['margin']} (Wishart) and {channel.better['margin']} (channel) of 54",
        "the mean is {} ({}) and {} ({})".format(*interval("wishart", "margin"), *interval("channel", "margin")),
        "as good as the clean graph ({}, {})".format(*interval("wishart", "margin_or_clean")),
        "better than it ({}, {})".format(*interval("channel", "margin_or_clean")),
        f"after correction on {wishart.better['temperature']} and {channel.better['temperature']} of 54",
        "differs by {} ({}) and {} ({})".format(
            *interval("wishart", "temperature_weights", 4), *interval("channel", "temperature_weights", 4)
        ),
        f"of {len(harm['wishart'])} points at which it predicts harm, {(harm['wishart'].high < 0).sum()} (Wishart) and "
        f"{(harm['channel'].high < 0).sum()} (channel)",
        f"it helps on {channel.better['removal']} channel points, by up to {short(helped.change.min(), '+')}, "
        f"and hurts on {channel.worse['removal']} (~~4~~; {channel.worse_alone['removal']} by their own intervals)",
        f"Wishart: helps on {wishart.better['removal']}, hurts on {wishart.worse['removal']}",
        "hurts ({}, {}; Wishart {}, {})".format(*interval("channel", "removal"), *interval("wishart", "removal")),
        "Wishart world ({}, {})".format(*interval("wishart", "removal_or_random")),
        "channel's ({}, {})".format(*interval("channel", "removal_or_random")),
    ]
    for sentence in sentences:
        assert sentence.replace("+0.", "+.").replace("-0.", "−.") in PAGE, sentence
    for comparison in ("margin", "temperature"):
        assert not wishart.worse[comparison]
        assert not channel.worse[comparison]
    assert (cells.groupby("noise").in_domain.mean() > 0.95).all()


@pytest.mark.parametrize("name", ["sampled", "sampled_cosine"])
def test_angles(name):
    table = results(name)
    last = table[table.step == table.steps]
    for (loss, remedy), runs in last.groupby(["loss_function", "remedy"]):
        label = {"infonce": "InfoNCE, ", "adnce": "ADNCE, "}.get(loss, "") + remedy
        cells = [f"{runs[c].mean():.1f} ± {runs[c].std():.1f}" for c in ("angle_clean", "angle_difficult")]
        assert f"| {label} | {cells[0]} | {cells[1]} |" in PAGE


STUDIES = {"": "cifar10_cpu", "cifar100-": "cifar100_cpu"}  # prefix of the tables' names on the pages


@pytest.mark.parametrize("page", ["docs/study.md"])
def test_study(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    tables = re.findall(r"<!-- ((?:\w+-)?)(\w+) -->\n\n(.+?)\n\n<!-- /\1\2 -->", text, re.DOTALL)
    assert len(tables) == text.count("<!-- /")
    for prefix, name, table in tables:
        assert table == findings.TABLES[name](*findings.load(ROOT / "results" / STUDIES[prefix]))


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_evidence(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"<!-- (evidence-[\w-]+) -->\n\n(.+?)\n\n<!-- /\1 -->", text, re.DOTALL)
    assert len(found) == text.count("<!-- /evidence-") > 0
    computed = pages.tables(ROOT / "results" / "evidence")
    for name, table in found:
        assert table == computed[name]
    if page == "docs/results.md":
        assert {name for name, _ in found} == computed.keys() - {"evidence-headline"}


def test_what_the_page_says_to_a_sceptic():
    """Adapters below the frozen features, temperatures alike, the prediction's level, bounds above 1."""
    evidence = load_evidence(ROOT / "results" / "evidence")
    mean = evidence.runs[evidence.runs.bench == "cifar10"].groupby("entry").official.mean()
    tried = pd.read_csv(ROOT / "results" / "evidence_tuning.csv").query("bench == 'cifar10'").set_index("point")
    best = evidence.document["choices"]["cifar10"]["tau"]
    for near in (0.1, 0.2):
        assert 0 < tried.accuracy[f"tau-{best}"] - tried.accuracy[f"tau-{near}"] < tried.error[f"tau-{best}"]
    gain = {claim.text: effect for claim, effect, _ in tables.judged(evidence, "after")}
    known = gain["known look-alikes beat the paper's selection"]
    assert known.low > 2 * (mean["paper_combined"] - mean["baseline"])
    tuned = gain["selected pairs beat random ones at the tuned temperature"]
    assert tuned.low > mean["paper_combined"] - mean["paper_combined_random"]
    assert mean["paper_combined_random-best_tau"] < mean["best_tau"]
    robust = {claim.text: effect for claim, effect, _ in tables.judged(evidence, "robustness")}
    for what, stated in (
        ("margin and temperature help", "paper_combined"),
        ("the tuned temperature of all pairs helps", "best_tau"),
    ):
        assert robust[f"C = .3: {what}"].low < 0
        assert 1.7 < robust[f"C = .03: {what}"].value / (mean[stated] - mean["baseline"]) < 2.7
    hurt = "negatives of the anchor's own class hurt"
    assert abs(robust[f"C = .3: {hurt}"].value - robust[f"C = .03: {hurt}"].value) < 0.001
    own = {text.partition(": ")[2]: effect for text, effect in robust.items() if text.startswith("C chosen anew")}
    assert own["margin and temperature help"].low < 0 < own["margin and temperature help"].high < 0.002
    assert own["the tuned temperature of all pairs helps"].value > 0.6 * (mean["best_tau"] - mean["baseline"])
    assert own[hurt].value > 0.95 * (mean["oracle"] - mean["baseline"])
    known_own = own["treating known look-alikes helps"].value
    assert known_own > 0.85 * (mean["paper_combined_known"] - mean["baseline"])
    runs = pd.read_csv(ROOT / "results" / "evidence_theory.csv")
    theirs = runs.groupby("entry").accuracy.mean()
    assert theirs["untrained"] < theirs["baseline"] == pytest.approx(mean["baseline"], abs=0.005)
    assert theirs["baseline"] < theirs["frozen"] - 0.01
    for column in ("predicted", "predicted_two"):
        off = (runs[column] - runs.accuracy).groupby(runs.entry).mean().abs()
        assert off.between(0.009, 0.042).all()
    assert (runs.printed > 1).all()
    assert (runs.encoder_beta < 0).mean() > 0.5


def test_what_the_page_says_of_mixed_images():
    evidence = load_evidence(ROOT / "results" / "evidence")
    means = evidence.runs.groupby(["bench", "entry"]).accuracy.mean()
    effect = {claim.text: found.value for claim, found, _ in tables.judged(evidence, "images")}
    lost, gained = [], []
    for share, published in ((10, 0.003), (20, 0.006), (30, 0.021)):
        lost.append(effect[f"mixed images lower the accuracy (ω = {share} %)"])
        assert lost[-1] < published
        assert 0.9 < effect[f"removing the mixed images helps (ω = {share} %)"] / lost[-1] < 1.3
        assert means[f"cifar10-mixed{share}", "random_removed"] < means[f"cifar10-mixed{share}", "baseline"]
        gained.append(effect[f"margin and temperature help (ω = {share} %)"])
    assert lost == sorted(lost)
    assert gained == sorted(gained, reverse=True)


def test_what_the_page_says_of_cifar100_in_the_evidence():
    evidence = load_evidence(ROOT / "results" / "evidence")
    mean = evidence.runs[evidence.runs.bench == "cifar100"].groupby("entry").accuracy.mean()
    assert mean.drop("frozen").max() < mean["frozen"]
    word = {claim.text: judgement.word for claim, _, judgement in tables.judged(evidence, "cifar100")}
    assert word["the temperature (ρ = .7) helps"] == "supported"
    assert word["the remedy beats the best temperature of all pairs"] == "supported"
    assert word["the margin (σ = .1) helps"] == "undecided"
    gain = mean - mean["baseline"]
    rising = [gain[name] for name in scanned("paper_combined", "rho", FIGURE_5_RHO)]
    assert rising == sorted(rising)
    for constant, values in (("sigma", FIGURE_5_SIGMA), ("pos_high", FIGURE_4_HIGH), ("pos_low", FIGURE_4_LOW)):
        flat = [gain[name] for name in scanned("paper_combined", constant, values)]
        assert max(flat) - min(flat) < 0.0025
    assert all(gain[f"paper_temperature-rho{rho:g}"] < 0 for rho in RHOS if rho > 1)


@pytest.mark.parametrize(("study", "images"), [("cifar10_cpu", 5_000), ("cifar100_cpu", 10_000)])
def test_the_published_studies_are_of_the_scale_cpu(study, images):
    _, document = findings.load(ROOT / "results" / study)
    settings = Settings.from_json(document["settings"])
    assert replace(settings, data=SCALES["cpu"].data) == replace(SCALES["cpu"], train=images)


def test_what_the_page_says_of_the_bound():
    """It follows δ̂ alone, and exceeds 1 everywhere; the measured eigenvalue goes the other way, γ̂ − β̂ no way."""
    runs, _ = findings.load(ROOT / "results" / "cifar10_cpu")
    bounded = runs.dropna(subset="bound_matched")
    bound, delta = (findings.by_condition(bounded, name) for name in ("bound_matched", "delta"))
    assert (bound.bound_matched.rank() == delta.delta.rank()).all()
    assert (bounded.bound_matched > 1).all()
    assert (bounded.bound_matched / (12 * bounded.delta) < 1.001).all()  # 4δ̂ + 8δ̂ without the eigenvalue
    assert findings.correlation(runs, "bound_matched").low > 0
    assert findings.correlation(runs, "lambda_measured").high < 0
    assert findings.correlation(runs[runs.condition != "debiased"], "lambda_measured").high < 0
    alike = findings.correlation(runs[(runs.tau == 0.2) & (runs.batch == 256)], "lambda_measured")
    assert alike.rho < 0 < alike.high
    gap = findings.correlation(runs, "gap")
    assert gap.low < 0 < gap.high


def test_what_the_page_says_of_the_sweeps():
    runs, document = findings.load(ROOT / "results" / "cifar10_cpu")
    for setting in findings.SWEPT:
        arms = findings.swept(setting, document["settings"][setting]).values()
        for baseline, combined in arms:
            assert stats.ttest_1samp(findings.differences(runs, combined, baseline), 0).pvalue > 0.05
        accuracy = [findings.by_seed(runs, name).mean() for name, _ in arms]
        assert max(accuracy) - min(accuracy) > 0.02
    remedies = [findings.differences(runs, name, "baseline") for name in ("margin", "temperature", "combined")]
    assert max(abs(sum(found) / len(found)) for found in remedies) < 0.005


def test_what_the_page_says_of_the_claims():
    """Only the debiased loss is beyond noise; the published values that lie outside their intervals."""
    runs, document = findings.load(ROOT / "results" / "cifar10_cpu")
    words = {claim.text: findings.verdict(claim, runs)[0] for claim in findings.CLAIMS}
    assert words.pop("the debiased loss beats InfoNCE (Chuang et al.)") == findings.CONTRADICTED
    assert set(words.values()) == {findings.NOISE}
    outside = [line for line in findings.verdicts(runs, document).splitlines() if "outside" in line]
    assert [line.split(" |")[0] for line in outside] == [
        "| mixed images lower the accuracy (ω = 30 % against 0)",
        "| margin and temperature together help",
        "| selection before the projector beats selection after it",
    ]


def beside(runs, part, level=0.05):
    """Variants whose paired difference to the baseline, or to the remedy as derived, excludes zero at a level."""
    found = []
    for condition in PARTS[part].conditions:
        for other in ("baseline", condition.arm.split("_")[0]):
            paired = findings.differences(runs, condition.name, other)
            if condition.name in ("baseline", other) or not paired:
                continue
            test = stats.ttest_1samp(paired, 0)
            if test.pvalue < level:
                found.append((condition.name, other, "better" if test.statistic > 0 else "worse"))
    return found


def test_what_the_page_says_of_the_strength():
    runs, _ = findings.load(ROOT / "results" / "cifar10_cpu")
    assert beside(runs, "strength") == [("temperature-x0.25", "temperature", "worse")]
    assert beside(runs, "strength", 0.05 / 10) == []


def test_what_the_page_says_of_the_controls():
    runs, _ = findings.load(ROOT / "results" / "cifar10_cpu")
    wide = "combined-paper_band"
    assert beside(runs, "controls") == [(wide, "baseline", "better"), (wide, "combined", "better")]
    assert beside(runs, "controls", 0.05 / 6) == []
    assert runs.train_flagged_share[runs.condition == wide].mean() == pytest.approx(0.9, abs=0.01)


def test_what_the_page_says_of_cifar100():
    runs, document = findings.load(ROOT / "results" / "cifar100_cpu")
    _, smaller = findings.load(ROOT / "results" / "cifar10_cpu")
    assert stats.ttest_1samp(findings.differences(runs, "combined", "baseline"), 0).pvalue > 0.05
    assert document["settings"]["dim"] < document["profile"]["classes"] == 100
    for name in ("margin_sigma", "temperature_rho"):
        weak, strong = document["plan"][name], smaller["plan"][name]
        assert weak < strong if name == "margin_sigma" else strong < weak < 1


def test_what_the_page_says_of_the_measurements():
    runs, document = findings.load(ROOT / "results" / "cifar10_cpu")
    for levels in document["profile"]["spaces"].values():  # γ̂ hardly above β̂
        alpha, beta, gamma = (levels[name]["value"] for name in ("alpha", "beta", "gamma"))
        assert 0 < gamma - beta < 0.3 * (alpha - beta)
    delta, eigenvalue = (
        pd.Series([findings.by_seed(runs, name, column).mean() for name in findings.MIXED])
        for column in ("delta", "lambda_measured")
    )
    assert delta.is_monotonic_increasing
    assert eigenvalue.is_monotonic_decreasing
    change = findings.differences(runs, "omega-0.3", "baseline")
    assert abs(sum(change) / len(change)) < findings.by_seed(runs, "baseline").std()
    agreement = {row["batch"]: row["agreement"] for row in document["selection_stability"]}
    assert list(agreement.values()) == sorted(agreement.values())
    assert agreement[512] == pytest.approx(0.5, abs=0.05)


def test_what_the_page_says_of_the_papers_graph():
    """σ* and ρ* of the study's profile, read as block instead of matched."""
    _, document = findings.load(ROOT / "results" / "cifar10_cpu")
    profile = document["profile"]
    n, r, n_d = profile["samples_per_class"], profile["classes"] - 1, profile["difficult"]

    def graph(space):
        levels = {level: profile["spaces"][space][level]["value"] for level in ("alpha", "beta", "gamma")}
        weights = kinds.paper_weights(*levels.values(), "block")
        found = SimpleNamespace(**levels, n=n, r=r, n_d=n_d, neighbours=n_d, pairing="block", weights=weights)
        found.degrees = kinds.degrees(weights, n, r, n_d)
        return found

    sigma, rho = formulas.margin_sigma(graph("projector")), formulas.temperature_rho(graph("encoder"))
    said = f"they would be {sigma:.4f} and {rho:.4f}.".replace(" 0.", " .")
    assert said in (ROOT / "docs" / "study.md").read_text(encoding="utf-8")

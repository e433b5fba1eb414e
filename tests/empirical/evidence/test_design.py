"""The protocol's page, claims and entries agree with one another."""

import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from empirical.arms import ARMS, pair_remedy
from empirical.compare.presets import PRESETS
from empirical.evidence import adapters, caches, scratch, tables, tuning
from empirical.evidence.crossed import WORDS
from empirical.evidence.design import (
    BENCHES,
    CHECKS,
    LEAST_ORACLE,
    LEVEL,
    MARGIN,
    MIXED,
    MORE_SEEDS,
    PARTS,
    PRIMARY_SEEDS,
    REMOVED,
    SCRATCH,
    SEEDS,
    SPLITS,
    TUNING_SEEDS,
    families,
    planned,
)
from empirical.paper import STATED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
TRAINED = {name: plan.seeds for name, plan in planned().items()}
CHECK = CHECKS["cifar10"]
CLAIMS = [(family, claim) for family, claims in families().items() for claim in claims]
every_claim = pytest.mark.parametrize(("family", "claim"), CLAIMS, ids=lambda x: getattr(x, "text", x))


def sets(name):
    """Training sets of a bench."""
    return 1 if name == "scratch" else BENCHES[name].sets or BENCHES[name].split.sets


@every_claim
def test_a_claims_entries_are_trained_with_enough_seeds(family, claim):
    assert claim.larger != claim.smaller
    benches = {side.partition("/")[0] for side in (claim.larger, claim.smaller)}
    shared = set(TRAINED[claim.larger]) & set(TRAINED[claim.smaller])
    if family == "primary":
        assert shared == set(PRIMARY_SEEDS)
        assert benches == {"cifar10"}
    elif family == "scratch":
        assert benches == {"scratch"}
        assert len(shared) >= 3
    else:
        assert len(shared) >= (len(SEEDS) if min(map(sets, benches)) == 7 else len(MORE_SEEDS))
    assert not shared & set(TUNING_SEEDS) or family == "scratch"
    assert adapters.PILOT_SEED not in shared


@every_claim
def test_a_published_difference_says_where(family, claim):
    assert claim.published is None or claim.where
    assert claim.published is None or claim.published > 0  # the claim is its direction


def test_a_claims_words_name_the_constants_of_its_data():
    named = 0
    for claim in (claim for claims in families().values() for claim in claims):
        bench = claim.larger.partition("/")[0]
        if bench not in BENCHES:
            continue
        stated = STATED[BENCHES[bench].stated]
        for symbol, value in (("σ", stated.sigma), ("ρ", stated.rho)):
            for number in re.findall(rf"\({symbol} = (\.\d+)\)", claim.text):
                assert float(number) == value, claim
                named += 1
    assert named == 4


def test_no_claim_is_made_twice():
    for claims in families().values():
        assert len({claim.text for claim in claims}) == len(claims)
    pairs = [frozenset((claim.larger, claim.smaller)) for _, claim in CLAIMS]
    assert len(set(pairs)) == len(pairs)
    assert next(iter(families())) == "primary"


def test_the_check_is_of_the_oracle():
    assert (CHECK.larger, CHECK.smaller) == ("cifar10/oracle", "cifar10/baseline")
    assert ARMS[PARTS["primary"].entries["oracle"].arm].select == "label"
    assert set(TRAINED[CHECK.larger]) == set(TRAINED[CHECK.smaller]) == set(PRIMARY_SEEDS)


def test_entries_of_one_name_on_one_bench_are_one_entry():
    found = {}
    for part in PARTS.values():
        for name, entry in part.entries.items():
            assert found.setdefault((part.bench, name), entry) == entry
    assert len(found) == len(TRAINED) - len(SCRATCH)


def test_entries_of_different_names_differ():
    for part in PARTS.values():
        entries = list(part.entries.values())
        assert all(a != b for i, a in enumerate(entries) for b in entries[:i])


@pytest.mark.parametrize("name", PARTS)
def test_seeds_follow_the_rule(name):
    part = PARTS[name]
    few = sets(part.bench) < 7
    assert part.seeds == (PRIMARY_SEEDS if name == "primary" else MORE_SEEDS if few else SEEDS)
    assert all(entry.arm in ARMS for entry in part.entries.values())
    assert "baseline" in {n for p in PARTS.values() if p.bench == part.bench for n in p.entries}


def test_controls_are_in_every_comparison():
    for bench in ("cifar10", "cifar10-tail", "cifar100", "trashnet"):
        names = {name.partition("/")[2] for name in TRAINED if name.startswith(f"{bench}/")}
        controls = {"oracle", "paper_combined_random", "best_tau", "paper_combined-best_tau", "frozen", "untrained"}
        assert controls <= names
    for bench in MIXED:
        assert f"{bench}/random_removed" in TRAINED
    assert {"cifar10/random_removed", "scratch/random_removed"} <= set(TRAINED)


@pytest.mark.parametrize("name", ["sensitivity", "table 9"])
def test_the_papers_scans(name):
    """What is varied takes the value of the entry's name, and what is not keeps the paper's."""
    stated = STATED["cifar100"]
    for entry_name, entry in PARTS["cifar100"].entries.items():
        match = re.fullmatch(r"(paper_combined|paper_temperature)-(rho|sigma|high|low)([0-9.e+]+)", entry_name)
        if match is None or (name == "table 9") != (match[1] == "paper_temperature"):
            continue
        with pytest.warns(UserWarning, match="above 1") if float(match[3]) > 1 else nullcontext():
            remedy = pair_remedy(entry.arm, None, replace(entry.given, stated="cifar100"))
        field = {"high": "pos_high", "low": "pos_low"}.get(match[2], match[2])
        wanted = {n: getattr(stated, n) for n in ("pos_high", "pos_low", "rho")}
        wanted |= {"sigma": stated.sigma if match[1] == "paper_combined" else 0.0, field: float(match[3])}
        assert {n: getattr(remedy, n) for n in wanted} == wanted


# --- the page --------------------------------------------------------------------------------------


def test_the_page_lists_the_claims():
    found = re.search(r"<!-- claims -->\n\n(.*?)\n\n<!-- /claims -->", PAGE, flags=re.DOTALL)
    assert found[1] == tables.claims()


def test_the_pages_numbers_are_the_codes():
    pool, adapter = SPLITS["cifar10"], PRESETS["adapter"].base
    lowest, primary, others, more = TUNING_SEEDS, PRIMARY_SEEDS, SEEDS, MORE_SEEDS
    grid = ", ".join(f"{tau:g}".removeprefix("0") for tau in tuning.TAUS)
    sigmas, rhos = (", ".join(f"{x:g}".removeprefix("0") for x in v) for v in (tuning.SIGMAS, tuning.RHOS))
    said = [
        f"{pool.sets} disjoint × {pool.train:,} of CIFAR-10's training images",
        f"the 10,000 test images and {pool.extra:,} training images that are in no set",
        f"Seeds {lowest[0]}–{lowest[-1]} on the tuning set, and nothing else",
        f"Seeds {primary[0]}–{primary[-1]} on each of the {pool.sets} training sets for the primary family "
        f"({len(primary) * pool.sets} paired runs an arm), {others[0]}–{others[-1]} for the others; "
        f"{more[0]}–{more[-1]} where a bench has fewer than {pool.sets} sets",
        f"of all pairs, of {grid};",
        f"the best σ of {sigmas}, the best ρ of {rhos}, and the best pair of both",
        f"a pilot run (seed {adapters.PILOT_SEED})",
        f"by Holm's rule at {100 * LEVEL:g} %",
        f"{100 * MARGIN:g} points or more in either direction".replace("0.", "."),
        f"by more than {100 * LEAST_ORACLE:g} points".replace("0.", "."),
        f"batches of {adapter.batch}, at least {adapters.STEPS} steps",
        f"An adapter, 128–{adapter.width}–128 with one hidden ReLU, and a linear projector to {adapter.dim}",
        f"judge it ({caches.JUDGED:,} each)",
        f"{SPLITS['cifar100'].train:,} images | `cifar100`",
        f"{SPLITS['trashnet'].train:,} photographs of six materials",
        f"(ResNet-10, width {scratch.BASE.width}), batches of {scratch.BASE.batch}",
        "another" if adapter.warmup != 0.05 else "a twentieth of the steps to warm up",
        "another" if adapter.lr != 5e-3 else "learning rate 5·10⁻³",
        "another" if adapter.weight_decay != 5e-4 else "weight decay 5·10⁻⁴",
    ]
    assert [words for words in said if words not in TEXT] == []
    assert adapter.encoder == "adapter"
    assert (adapter.optimizer, adapter.schedule, adapter.layers) == ("adamw", "cosine", 1)
    assert scratch.BASE.encoder == "resnet10"
    assert REMOVED == 0.2
    assert "a fifth" in TEXT or "fifths of images" in TEXT


@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_the_page_states_the_papers_constants(data):
    s = STATED[data]
    tau, high, low, sigma, rho = (
        f"{value:g}".removeprefix("0") for value in (s.tau, s.pos_high, s.pos_low, s.sigma, s.rho)
    )
    assert f"`{data}`: τ = {tau}, band {high} to {low}, σ = {sigma}, ρ = {rho}" in TEXT
    assert {bench.stated for bench in BENCHES.values() if bench.data == data} == {data}
    assert BENCHES["trashnet"].stated == "cifar10"


def test_the_page_names_every_bench_and_verdict():
    tail, mixed = BENCHES["cifar10-tail"], [BENCHES[name] for name in MIXED]
    assert f"the largest class {tail.imbalance:g} times the smallest" in TEXT
    assert [bench.omega for bench in mixed] == [0.1, 0.2, 0.3]
    assert {bench.sets for bench in mixed} == {3}
    assert "the first 3 sets, with 10, 20, 30 % of the images replaced" in TEXT
    for name in BENCHES:
        assert f"`{name}`" in PAGE or f"`-{name.partition('-')[2]}`" in PAGE
    for word in WORDS:
        assert f"**{word}**" in PAGE

"""From runs to verdicts: parts that are run and resumed, published files, tables and findings."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from empirical.arms import NotApplicable
from empirical.compare.presets import PRESETS
from empirical.evidence import adapters, crossed, published, running, tables
from empirical.evidence.adapters import Outcome, save_outcomes
from empirical.evidence.crossed import UNDECIDED, WORDS, Paired, crossed_effect
from empirical.evidence.design import CHECKS, LEVEL, MARGIN, PARTS, SCRATCH_SEEDS, SPLITS, Claim, families
from empirical.evidence.published import SCHEMA, Results, _right, compare, load_evidence, publish
from empirical.evidence.scratch import BASE
from empirical.findings.__main__ import main as findings
from empirical.findings.pages import filled
from tests.empirical.evidence.fakes import EXTRA, TEST, TUNED, shrink
from theory.checks import ParameterError
from theory.engine import HERE

SOURCES = {"cifar10": "unused"}
FINISHED = published.finished
TEMPERATURE, BOTH = "the temperature (ρ = .6) helps", "margin and temperature together help"


@pytest.fixture(autouse=True)
def _few_runs_are_enough(monkeypatch):
    monkeypatch.setattr(published, "finished", lambda needed: "images" in needed)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder in which three parts have been run, on two sets and three seeds, on one set and two."""
    folder = tmp_path_factory.mktemp("evidence")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch, folder)
        for part in ("primary", "sizes", "mixed20"):
            running.run_part(part, SOURCES, folder, HERE, _silent)
        publish(folder, folder / "published")
    _right.cache_clear()
    return folder


class _silent:
    def __init__(self, _):
        pass

    def __enter__(self):
        return lambda *_: None

    def __exit__(self, *_):
        return None


def bits(out, name):
    """Who was right in each run of BENCH/ENTRY, read by hand."""
    found = {}
    for path in (out / "runs" / name).glob("*.npz"):
        with np.load(path) as file:
            rows = np.unpackbits(file["correct"], axis=1)[:, : file["images"]]
            for seed, row in zip(file["seeds"], rows, strict=True):
                found[int(path.name.split("-")[0]), int(seed)] = row.astype(bool)
    return found


# --- running ---------------------------------------------------------------------------------------


def test_every_entry_ran_on_every_set_and_seed(out):
    runs = pd.read_csv(out / "published.csv")
    assert not runs.duplicated(["bench", "entry", "set", "seed"]).any()
    counts = runs.groupby(["bench", "entry"]).size()
    for name in ("baseline", "oracle", "paper_temperature", "paper_combined", "random_removed", "frozen"):
        assert counts["cifar10", name] == 2 * 3
    assert counts["cifar10", "combined-tuned"] == 2 * 2
    assert counts["cifar10-mixed20", "mixed_removed"] == 2
    assert (runs.accuracy.between(0, 1) & runs.official.between(0, 1)).all()
    for name in ("baseline", "oracle"):
        by_hand = bits(out, f"cifar10/{name}")
        mine = runs[(runs.bench == "cifar10") & (runs.entry == name)]
        assert len(by_hand) == len(mine)
        for run in mine.itertuples():
            right = by_hand[run.set, run.seed]
            assert len(right) == TEST + EXTRA
            assert run.accuracy == pytest.approx(right.mean(), rel=1e-5)
            assert run.official == pytest.approx(right[:TEST].mean(), rel=1e-5)


def test_a_part_is_resumed(out, monkeypatch):
    shrink(monkeypatch, out)
    done = []
    monkeypatch.setattr(running, "execute", done.append)
    monkeypatch.setattr(running, "prepare", lambda task: pytest.fail("prepared again"))
    before = {path: path.read_bytes() for path in (out / "runs").rglob("*.npz")}
    running.run_part("primary", SOURCES, out, HERE, _silent)
    assert done == []
    gone = out / "runs" / "cifar10" / "oracle" / "1-10.npz"
    gone.unlink()
    running.run_part("primary", SOURCES, out, HERE, _silent)
    assert [(task.name, task.number, task.seeds) for task in done] == [("oracle", 1, (10, 11, 12))]
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch, out)
        running.run_part("primary", SOURCES, out, HERE, _silent)
    with np.load(gone) as found:  # the same bits again
        again = found["correct"]
    gone_before = out / "before.npz"
    gone_before.write_bytes(before[gone])
    with np.load(gone_before) as found:
        assert np.array_equal(found["correct"], again)
    assert all(path.read_bytes() == content for path, content in before.items() if path != gone)


def test_seeds_are_run_ten_at_a_time(out, monkeypatch):
    shrink(monkeypatch, out)
    part = replace(PARTS["primary"], seeds=range(10, 35))
    ready = [adapters.Task("cifar10", "pilot", PARTS["primary"].entries["baseline"], 0, out, (), TUNED, out)]
    chunks = [task.seeds for task in running._tasks(part, ready) if task.name == "oracle"]
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]
    assert sum(chunks, ()) == tuple(range(10, 35))


def test_what_a_plan_has_no_value_for_is_left_out(out, monkeypatch):
    shrink(monkeypatch, out)
    remedy_of = adapters.remedy_of

    def without(task):
        if task.name == "margin-derived" and task.number == 1:
            raise NotApplicable("no margin")
        return remedy_of(task)

    monkeypatch.setattr(running, "remedy_of", without)
    base = PARTS["primary"].entries["baseline"]
    ready = [adapters.Task("cifar10", "pilot", base, i, out, (), TUNED, out) for i in range(2)]
    found = [(task.name, task.number) for task in running._tasks(PARTS["sizes"], ready)]
    assert found == [("margin-derived", 0), ("combined-tuned", 0), ("combined-tuned", 1)]


def test_missing_data_are_named():
    running.require_sources(["primary", "tail"], SOURCES)
    with pytest.raises(ParameterError, match="part trashnet needs the images of trashnet: --trashnet DATA"):
        running.require_sources(["primary", "trashnet"], SOURCES)


# --- publishing ------------------------------------------------------------------------------------


def test_effects_from_the_files_are_those_of_the_bits(out):
    evidence = load_evidence(out / "published")
    ran = {"cifar10/paper_temperature", "cifar10/paper_combined", "cifar10/baseline", "cifar10/random_removed"}
    ran |= {"cifar10/oracle", "cifar10/combined-tuned", "cifar10/margin-derived"}
    ran |= {"cifar10-mixed20/baseline", "cifar10-mixed20/mixed_removed"}
    compared = 0
    for family, claims in families().items():
        for claim, effect in zip(claims, evidence.effects(family), strict=True):
            if not {claim.larger, claim.smaller} <= ran:
                assert effect is None
                continue
            larger, smaller = bits(out, claim.larger), bits(out, claim.smaller)
            both = sorted(larger.keys() & smaller.keys())
            sets, seeds = sorted({t for t, _ in both}), sorted({s for _, s in both})
            assert len(both) == len(sets) * len(seeds)
            a, b = (np.array([[x[t, s] for s in seeds] for t in sets]) for x in (larger, smaller))
            expected = crossed_effect(Paired.of(a, b))
            assert effect.value == pytest.approx(expected.value, abs=1e-6)
            assert effect.error == pytest.approx(expected.error, abs=1e-6)
            assert (effect.sets, effect.seeds, effect.images) == (len(sets), len(seeds), TEST + EXTRA)
            compared += 1
    assert compared >= 7
    check = evidence.check("cifar10")
    assert check.value == pytest.approx(
        np.mean(
            [
                bits(out, CHECKS["cifar10"].larger)[k].mean() - bits(out, CHECKS["cifar10"].smaller)[k].mean()
                for k in bits(out, CHECKS["cifar10"].larger)
            ]
        ),
        abs=1e-6,
    )


def test_claims_over_benches_share_their_sets_and_seeds(out):
    """The mixed bench has one set and two seeds here, the plain one two and three."""
    document = json.loads((out / "published.json").read_text())
    (mixed,) = (c for c in document["claims"]["images"] if c["smaller"] == "cifar10-mixed20/baseline" and "sets" in c
                and c["larger"] == "cifar10/baseline")  # fmt: skip
    assert (mixed["sets"], mixed["seeds"]) == ([0], [10, 11])
    assert document["schema"] == SCHEMA
    assert document["choices"] == {"cifar10": TUNED.to_json()}
    assert document["environment"]


def test_compare_takes_whole_tables_only():
    def runs(*keys):
        return {key: np.random.default_rng(key).random(8) < 0.5 for key in keys}

    larger = runs((0, 10), (0, 11), (0, 12), (1, 10), (1, 11), (2, 10))
    smaller = runs((0, 10), (0, 11), (1, 10), (1, 11), (1, 12))
    smaller = {key: ~value for key, value in smaller.items()}
    paired, sets, seeds = compare(larger, smaller)
    assert (sets, seeds) == ([0, 1], [10, 11])
    for t in range(2):
        for s in range(2):
            key = sets[t], seeds[s]
            assert paired.differences[t, s] == pytest.approx(larger[key].mean() - smaller[key].mean())
    assert compare(larger, {}) is None
    assert compare(runs((0, 10), (1, 11)), runs((0, 10), (1, 11))) is None  # no seed that both sets have
    assert compare(runs((0, 10)), runs((0, 10))) is None


def test_bits_are_unpacked_as_they_were(tmp_path):
    generator = np.random.default_rng(0)
    correct = [generator.random(13) < 0.5 for _ in range(3)]
    for number in (0, 10):
        path = tmp_path / "runs" / "cifar10" / "x" / f"{number}-10.npz"
        save_outcomes(path, [10, 11, 12], [Outcome(c, {"accuracy": c.mean()}) for c in correct])
    found = Results(tmp_path).right("cifar10/x")
    assert set(found) == {(n, s) for n in (0, 10) for s in (10, 11, 12)}
    assert all((found[0, 10 + i] == c).all() for i, c in enumerate(correct))
    assert Results(tmp_path).runs().set.unique().tolist() == [0, 10]


def test_other_files_are_refused(out, tmp_path):
    with pytest.raises(ParameterError, match="there is no file"):
        load_evidence(tmp_path / "none")
    document = json.loads((out / "published.json").read_text())
    (tmp_path / "x.csv").write_bytes((out / "published.csv").read_bytes())
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ParameterError, match="is not JSON"):
        load_evidence(tmp_path / "x")
    (tmp_path / "x.json").write_text(json.dumps({**document, "schema": "other"}))
    with pytest.raises(ParameterError, match="schema"):
        load_evidence(tmp_path / "x")
    document["claims"]["primary"][0]["larger"] = "cifar10/oracle"
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(ParameterError, match="publish again"):
        load_evidence(tmp_path / "x")
    with pytest.raises(ParameterError, match="finished runs"):
        publish(tmp_path, tmp_path / "y")
    assert not (tmp_path / "y.csv").exists()


# --- tables ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evidence(out):
    return load_evidence(out / "published")


def row(table, start):
    """The cells of the row that starts so."""
    (found,) = (line for line in table.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_all_tables_render(evidence):
    texts = {name: build(evidence) for name, build in tables.TABLES.items()}
    assert all(text and "nan" not in text.lower().split() for text in texts.values())
    assert {f"evidence-{family}" for family in families()} <= set(texts)


def test_a_familys_table_says_what_has_been_run(evidence):
    table = tables.family_table("primary")(evidence)
    judged = {claim: (effect, word) for claim, effect, word in tables.judged(evidence, "primary")}
    assert len(table.splitlines()) == 2 + len(families()["primary"])
    for claim in families()["primary"]:
        cells = row(table, claim.text)
        if claim not in judged:
            assert cells[1] == "not run"
            assert cells[2:8] == ["—"] * 6
            continue
        effect, judgement = judged[claim]
        assert cells[1] == f"**{judgement.word}**"
        assert cells[2] == tables.size(effect, judgement)
        assert cells[3] == tables.interval(effect)
        assert cells[3].startswith(f"{100 * effect.value:+.2f} [")
        assert cells[7] == "2 × 3"
        assert cells[8].startswith(f"{claim.published:+.2f} (P, Table")
    assert {claim.text for claim in judged} == {TEMPERATURE, BOTH}


@pytest.mark.parametrize(
    ("value", "error", "word"),
    [(0.001, 1e-4, "< 0.2"), (-0.001, 1e-4, "< 0.2"), (0.005, 1e-4, "> 0.2"), (-0.005, 1e-4, "> 0.2"),
     (0.0025, 1e-3, "0.2 not excluded"), (0.0, 1e-2, "0.2 not excluded")],
)  # fmt: skip
def test_size_of_a_difference(value, error, word):
    effect = crossed.Effect(value, error, 50.0, error, 3, 10, 100)
    (judgement,) = crossed.judge([effect], MARGIN, LEVEL)
    assert tables.size(effect, judgement) == word


def test_a_claim_is_finished_with_all_its_seeds_on_three_sets():
    needed = {
        "larger": "cifar10/oracle",
        "smaller": "cifar10/baseline",
        "seeds": list(range(10, 50)),
        "sets": [0, 1, 2],
    }
    assert FINISHED(needed)
    assert not FINISHED(needed | {"sets": [0, 1]})
    assert not FINISHED(needed | {"seeds": list(range(10, 49))})
    assert not FINISHED({"larger": "cifar10/oracle", "smaller": "cifar10/baseline"})
    assert FINISHED({"larger": "scratch/oracle", "smaller": "scratch/baseline", "seeds": list(range(8)), "sets": [0]})


def test_effects_wait_for_all_runs(evidence, monkeypatch):
    monkeypatch.setattr(published, "finished", FINISHED)
    assert not any(evidence.effects("primary"))


def test_primary_differences_by_part_of_the_images(evidence, monkeypatch):
    monkeypatch.setattr(tables, "TEST_IMAGES", TEST)
    monkeypatch.setitem(SPLITS, "cifar10", replace(SPLITS["cifar10"], extra=EXTRA))
    cells = row(tables.parts(evidence), TEMPERATURE)
    everything, official, extra = (float(cell) for cell in cells[1:])
    assert everything * (TEST + EXTRA) == pytest.approx(official * TEST + extra * EXTRA, abs=2e-3 * (TEST + EXTRA))


def test_words_are_those_of_the_whole_familys_correction(evidence, monkeypatch):
    monkeypatch.setattr(tables, "LEAST_ORACLE", -1)
    found = tables.judged(evidence, "primary")
    effects = [effect for _, effect, _ in found]
    expected = crossed.judge(effects, MARGIN, LEVEL, size=8)
    assert [judgement for _, _, judgement in found] == expected


def test_there_is_no_verdict_where_the_check_fails(evidence, monkeypatch):
    monkeypatch.setattr(tables, "LEAST_ORACLE", 1)
    assert {judgement.word for _, _, judgement in tables.judged(evidence, "primary")} == {"no verdict"}
    assert "no verdict holds" in tables.check(evidence)


def test_counts_add_up(evidence):
    for line, (family, claims) in zip(tables.counts(evidence).splitlines()[2:], families().items(), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == family
        assert int(cells[1]) == len(claims) == sum(int(cell) for cell in cells[2:])
        assert len(cells) == 2 + len(WORDS) + 1


def test_arms_beside_their_prediction(evidence, out):
    table = tables.arms("cifar10")(evidence)
    runs = evidence.runs[evidence.runs.bench == "cifar10"]
    assert len(table.splitlines()) == 2 + runs.entry.nunique()
    cells = row(table, "`paper_combined`")
    mine = runs[runs.entry == "paper_combined"]
    assert cells[1] == "6"
    assert cells[2] == f"{100 * mine.accuracy.mean():.2f}"
    assert cells[3] == f"{100 * mine.official.mean():.2f}"
    assert cells[4] == f"{100 * mine.predicted.mean():.2f}"
    assert cells[5] == f"{100 * mine.flagged_across.mean():.1f}"
    assert row(table, "`frozen`")[5] == "—"


def oracle(evidence, gain):
    """The same evidence with other accuracies of the oracle."""
    runs = evidence.runs.copy()
    base = runs[(runs.bench == "cifar10") & (runs.entry == "baseline")].set_index(["set", "seed"]).accuracy
    mine = (runs.bench == "cifar10") & (runs.entry == "oracle")
    runs.loc[mine, "accuracy"] = [base[t, s] + gain for t, s in runs[mine][["set", "seed"]].itertuples(index=False)]
    return replace(evidence, runs=runs)


def test_the_check(evidence):
    assert "the instrument works" in tables.check(oracle(evidence, 0.0051))
    for gain in (0.0049, 0.0, -0.02):
        assert "it is broken, and no verdict holds" in tables.check(oracle(evidence, gain))
    unfinished = replace(evidence, document={**evidence.document, "checks": {"cifar10": {}}})
    assert tables.check(unfinished) == "The oracle has not been run."


def test_headline_has_every_claim_that_ran(evidence):
    text = tables.headline(evidence)
    for claim, effect, judgement in tables.judged(evidence, "primary"):
        (line,) = (line for line in text.splitlines() if line.startswith(f"- **{judgement.word}**:"))
        assert f"{claim.text} ({tables.points(effect.value)})" in line


def test_what_was_chosen(evidence):
    cells = row(tables.chosen(evidence), "`cifar10`")
    assert cells == ["`cifar10`", "0.1", "0.2", "σ = 0.1", "ρ = 0.8", "σ = 0.2, ρ = 0.7"]


def test_findings_print_and_fill_a_page(out, capsys, tmp_path):
    stem = str(out / "published")
    assert findings([stem]) == 0
    printed = capsys.readouterr().out
    assert "margin and temperature together help" in printed
    assert "Instrument check" in printed
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- evidence-primary -->\nold\n<!-- /evidence-primary -->\n\nend\n")
    assert findings([stem, "--page", str(page)]) == 0
    text = page.read_text()
    assert "old" not in text
    assert tables.family_table("primary")(load_evidence(out / "published")) in text
    assert text.endswith("\n\nend\n")
    assert filled(text, {"evidence-primary": tables.family_table("primary")(load_evidence(Path(stem)))}) == text


def test_words_of_p_values_and_points():
    assert [tables.p_value(p) for p in (0.0004, 0.001, 0.0421, 1.0)] == ["< .001", ".001", ".042", "1.000"]
    assert [tables.points(x) for x in (0.00123, -0.01)] == ["+0.12", "-1.00"]
    assert tables._published(Claim("t", "a/b", "a/c")) == "—"
    assert tables._published(Claim("t", "a/b", "a/c", "P, Fig. 1")) == "P, Fig. 1"
    assert UNDECIDED in WORDS


# --- the committed results -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def committed():
    return load_evidence(Path(__file__).parents[3] / "results" / "evidence")


def _differences(committed, larger, smaller, bench):
    runs = committed.runs[committed.runs.bench == bench]
    accuracy = {(r.entry, r.set, r.seed): r.accuracy for r in runs.itertuples()}
    return [accuracy[larger, s, i] - value for (entry, s, i), value in accuracy.items() if entry == smaller]


def test_few_seeds_by_hand(committed):
    """Flips of signs by enumeration."""
    d = np.array(_differences(committed, "paper_combined", "baseline", "scratch"))
    signs = np.array(list(itertools.product((1, -1), repeat=len(d))))
    p = (np.abs(signs @ d) >= abs(d.sum()) - 1e-12).mean()
    row = next(line for line in tables.few_seeds(committed).splitlines() if "margin and temperature" in line)
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[3] == f"{(d > 0).sum()} of {len(d)}"
    assert cells[5] == tables.p_value(float(p))
    assert cells[6] == tables.p_value(max(ttest_1samp(np.delete(d, i), 0).pvalue for i in range(len(d))))


def test_the_summary_compares_the_same_runs(committed):
    """The gain with the common C, in the runs that have been probed with their own."""
    runs = committed.runs[committed.runs.bench == "cifar10"]
    accuracy = {(r.entry, r.set, r.seed): r.accuracy for r in runs.itertuples()}
    own = [(s, i) for entry, s, i in accuracy if entry == "paper_combined-own_c"]
    d = np.mean([accuracy["paper_combined", *key] - accuracy["baseline", *key] for key in own])
    text = tables.summary(committed)
    assert f"(the same runs with the common one: {tables.points(d)})" in text
    assert "on networks from scratch" in text
    assert "on networks from scratch" not in tables._lead(tables._gains(committed, "cifar10"), {})


def test_the_setting_of_instrument_b_is_told(committed):
    mean = committed.runs.query("bench == 'scratch' and entry == 'baseline'").accuracy.mean()
    text = tables.scratch_setting(committed)
    assert f"{100 * mean:.1f} %" in text
    assert f"C = {committed.document['scratch']['c']:g}" in text
    assert tables.scratch_setting(replace(committed, document={})) == tables.NOTHING


def test_what_the_page_says_of_instrument_b_in_words(committed):
    text = (Path(__file__).parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    found = tables.judged(committed, "scratch")
    assert (len(SCRATCH_SEEDS), len(families()["scratch"])) == (8, 10)
    assert "Eight seeds, corrected for ten claims." in text
    assert (BASE.epochs, BASE.resolutions, PRESETS["photos-cpu"].base.tau) == (12, ".5:.8,.75", 0.2)
    assert "12 epochs, its views 16 pixels wide for four fifths of the steps and 24 afterwards" in text
    assert f"(of {2**8}; nothing below {tables.p_value(2 / 2**8)} can come out" in text
    place = next(i for i, (claim, _, _) in enumerate(found) if claim.larger == "scratch/paper_combined")
    d = np.array(_differences(committed, "paper_combined", "baseline", "scratch"))
    ps = [effect.p_difference for _, effect, _ in found]
    ps[place] = max(ttest_1samp(np.delete(d, i), 0).pvalue for i in range(len(d)))
    assert crossed.holm(ps, 10)[place] > LEVEL
    assert found[place][2].word == WORDS[0]
    assert "Without it the verdict on both remedies together would be *undecided*" in text

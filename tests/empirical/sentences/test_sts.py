"""Similarity by people: what is read, and the correlation as SimCSE reports it."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from empirical.sentences import Pairs, evaluate, read_pairs, spearman, tasks_of
from empirical.sentences.sts import SICK_FILES, SUBSETS, TASKS, cosines
from theory.checks import ParameterError

SHARED = Path(__file__).parents[4] / "shared" / "data" / "sentences" / "sts.zip"
COUNTS = {  # scored pairs, and those that nobody scored, of the published test sets
    "STS12": (3108, 0),
    "STS13": (1500, 0),
    "STS14": (3750, 0),
    "STS15": (3000, 5500),
    "STS16": (1186, 7997),
    "STS-B": (1379, 0),
    "SICK-R": (4927, 0),
}


def hashed(sentences):
    """Embeddings that depend on a sentence alone."""
    return np.stack([np.random.default_rng(list(s.encode())).standard_normal(6) for s in sentences])


def write_tasks(root):
    """All tasks with a few pairs, in the layout of SentEval."""
    generator = np.random.default_rng(0)
    for year, subsets in SUBSETS.items():
        place = root / "STS" / f"{year}-en-test"
        place.mkdir(parents=True)
        for number, subset in enumerate(subsets):
            texts = [f"{year} {subset} one {i}\tand  {i} two " for i in range(9)]
            scores = [f"{score:.2f}" for score in generator.uniform(number / 2, 1 + number / 2, 9)]
            if year == "STS16":
                scores[0] = scores[4] = ""
            (place / f"STS.input.{subset}.txt").write_text("\n".join(texts), encoding="utf-8")
            (place / f"STS.gs.{subset}.txt").write_text("\n".join(scores) + "\n")
    for place in ("STS/STSBenchmark", "SICK"):
        (root / place).mkdir()
    for part, name in SICK_FILES.items():
        rows = [f"genre\tfile\tyear\t{i}\t{i / 2}\t{part} a {i}\tb {i}\tsource" for i in range(8)]
        (root / "STS/STSBenchmark" / f"sts-{part}.csv").write_text("\n".join(rows) + "\n")
        rows = ["pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment"]
        rows += [f"{i}\t{part} a {i}\tb {i}\t{1 + i / 2}\tNEUTRAL" for i in range(8)]
        (root / "SICK" / name).write_text("\n".join(rows) + "\n")


@pytest.fixture
def folder(tmp_path):
    write_tasks(tmp_path)
    return tmp_path


def naive(first, second, scores):
    """Spearman's correlation with pairs of a loop and ranks that are counted."""
    found = []
    for one, two in zip(first, second, strict=True):
        u, v = hashed([one])[0], hashed([two])[0]
        found.append(sum(u * v) / (sum(u * u) * sum(v * v)) ** 0.5)

    def ranks(values):
        return [sum(o < v for o in values) + (sum(o == v for o in values) + 1) / 2 for v in values]

    return np.corrcoef(ranks(found), ranks(list(scores)))[0, 1]


@pytest.mark.parametrize("task", TASKS)
def test_the_correlation_is_over_all_pairs_together(folder, task):
    pairs = read_pairs(folder, task)
    found = spearman(hashed, pairs)
    assert found == pytest.approx(naive(pairs.first, pairs.second, pairs.scores), abs=1e-12)
    if task in SUBSETS:
        assert len(pairs) + pairs.unscored == 9 * len(SUBSETS[task])
        each = []
        for subset in SUBSETS[task]:
            rows = [i for i, name in enumerate(pairs.subsets) if name == subset]
            first, second = ([side[i] for i in rows] for side in (pairs.first, pairs.second))
            each.append(naive(first, second, pairs.scores[rows]))
        assert abs(found - np.mean(each)) > 1e-3  # it is not the subsets' mean


def test_pairs_that_nobody_scored_are_left_out_and_counted(folder):
    pairs = read_pairs(folder, "STS16")
    assert (len(pairs), pairs.unscored) == (5 * 7, 5 * 2)
    assert pairs.first[0] == "STS16 answer-answer one 1"
    assert pairs.second[0] == "and 1 two"  # spaces as SentEval has them


def test_parts(folder):
    for task in ("STS-B", "SICK-R"):
        assert [read_pairs(folder, task, part).first[0] for part in ("train", "dev")] == ["train a 0", "dev a 0"]
    with pytest.raises(ParameterError, match="part = dev violates test: STS12 has no other"):
        read_pairs(folder, "STS12", "dev")
    with pytest.raises(ParameterError, match="part = valid violates one of train, dev, test"):
        read_pairs(folder, "STS-B", "valid")
    with pytest.raises(ParameterError, match=r"task = STSB violates .* \(did you mean STS-B\?\)"):
        read_pairs(folder, "STSB")


def test_the_average_is_over_the_tasks(folder):
    found = evaluate(hashed, folder)
    assert list(found) == [*TASKS, "average"]
    assert found["average"] == pytest.approx(sum(found[task] for task in TASKS) / 7)
    assert found["SICK-R"] == spearman(hashed, read_pairs(folder, "SICK-R"))
    dev = evaluate(hashed, folder, ("STS-B", "SICK-R"), "dev")
    assert dev["STS-B"] == spearman(hashed, read_pairs(folder, "STS-B", "dev")) != found["STS-B"]


STSB, YEAR, GOLD = (
    "STS/STSBenchmark/sts-test.csv",
    "STS/STS13-en-test/STS.input.FNWN.txt",
    "STS/STS13-en-test/STS.gs.FNWN.txt",
)
CUT = {
    STSB: ("STS-B", "sts-test.csv, line 8 = genre\tfile\tyear violates 7 cells between tabulators"),
    "SICK/SICK_test_annotated.txt": ("SICK-R", "SICK_test_annotated.txt, line 9 = 7\ttest a violates 4 cells"),
    YEAR: ("STS13", "STS.input.FNWN.txt = 8 lines violates 9, as STS.gs.FNWN.txt has"),
    GOLD: ("STS13", "STS.input.FNWN.txt = 9 lines violates 8, as STS.gs.FNWN.txt has"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_missing_or_cut_off_is_refused(folder, name):
    task, message = CUT[name]
    path = folder / name
    lines = path.read_text().splitlines()
    kept = {STSB: ["genre\tfile\tyear"], "SICK/SICK_test_annotated.txt": ["7\ttest a"]}.get(name, [])
    path.write_text("\n".join([*lines[:-1], *kept]))
    refused(folder, task, message.replace("\t", r"\t"))
    path.unlink()
    refused(folder, task, f"sentences with scores: there is no file {path.name} in")


@pytest.mark.parametrize(
    ("name", "task", "before", "after", "message"),
    [
        (STSB, "STS-B", "\t0.5\t", "\tnan\t", "line 2 = nan violates a score in [0, 5]"),
        (STSB, "STS-B", "\t0.5\t", "\t\t", "violates no empty cell"),
        (STSB, "STS-B", "\t0.5\t", "\t5.1\t", "line 2 = 5.1 violates a score in [0, 5]"),
        (STSB, "STS-B", "\tb 3\t", "\t \t", "violates no empty cell"),
        (YEAR, "STS13", "one 3\t", "one 3 ", "line 4 = STS13 FNWN one 3 and  3 two  violates 2 cells"),
    ],
)
def test_a_line_that_is_no_pair_is_refused(folder, name, task, before, after, message):
    path = folder / name
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    refused(folder, task, message)


def test_a_file_that_is_empty_or_no_text_is_refused(folder):
    (folder / STSB).write_bytes(b"")
    refused(folder, "STS-B", "sts-test.csv = 0 scored pairs violates at least 2")
    (folder / STSB).write_bytes(b"\xe9")
    refused(folder, "STS-B", "it is no text in UTF-8")
    with pytest.raises(ParameterError, match="sts-test.csv"):  # before anything is encoded
        evaluate(None, folder)


def refused(folder, task, message):
    with pytest.raises(ParameterError) as error:
        read_pairs(folder, task)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def pairs_of(first, second, scores):
    return Pairs("STS-B", tuple(first), tuple(second), np.array(scores, dtype=float), ("",) * len(first))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.integers(0, 5)), min_size=2))
@settings(max_examples=60)
def test_the_correlation_is_that_of_scipy_with_ties(rows):
    pairs = pairs_of(*zip(*rows, strict=True))
    table = {letter: row for letter, row in zip("abcdef", hashed(list("abcdef")), strict=True)}
    sims = cosines(lambda s: torch.tensor(np.stack([table[x] for x in s])), pairs)
    found = spearman(lambda s: np.stack([table[x] for x in s]), pairs)
    if np.ptp(sims) == 0 or len(set(pairs.scores)) == 1:
        assert found == 0
    else:
        assert found == stats.spearmanr(sims, pairs.scores).statistic
    assert -1 <= found <= 1


def test_each_sentence_is_encoded_once_and_a_zero_is_like_nothing():
    seen = []

    def encode(sentences):
        seen.extend(sentences)
        return torch.tensor([[0.0, 0.0] if s == "b" else [float(len(s)), 1.0] for s in sentences])

    found = cosines(encode, pairs_of(["a", "b", "a"], ["ccc", "a", "a"], [1, 2, 3]))
    assert seen == ["a", "b", "ccc"]
    np.testing.assert_allclose(found, [4 / 20**0.5, 0, 1])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((2, 3)), "embeddings = (2, 3) violates an array of 4 rows"),
        (np.ones(4), "embeddings = (4,)"),
        (np.full((4, 2), np.nan), "embeddings = NaN or infinite violates finite numbers"),
    ],
)
def test_what_are_no_embeddings_is_refused(value, message):
    with pytest.raises(ParameterError) as error:
        spearman(lambda _: value, pairs_of("ab", "cd", [1, 2]))
    assert message in str(error.value)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not there")
def test_the_real_files_have_the_published_numbers_of_pairs(tmp_path):
    with zipfile.ZipFile(SHARED) as archive:
        archive.extractall(tmp_path)
    found = {task: read_pairs(tmp_path, task) for task in TASKS}
    assert {task: (len(pairs), pairs.unscored) for task, pairs in found.items()} == COUNTS
    assert [len(read_pairs(tmp_path, "STS-B", part)) for part in ("train", "dev")] == [5749, 1500]
    assert [len(read_pairs(tmp_path, "SICK-R", part)) for part in ("train", "dev")] == [4500, 500]
    assert all(0 <= pairs.scores.min() <= pairs.scores.max() <= 5 for pairs in found.values())


def test_the_tasks_are_those_whose_folders_are_there(folder, tmp_path):
    assert tasks_of(folder) == TASKS
    shutil.rmtree(folder / "SICK")
    shutil.rmtree(folder / "STS" / "STS14-en-test")
    assert tasks_of(folder) == tuple(task for task in TASKS if task not in ("STS14", "SICK-R"))
    shutil.rmtree(folder / "STS")
    with pytest.raises(ParameterError, match="violates a folder with one of STS/STS12-en-test, .*, SICK"):
        tasks_of(folder)
    with pytest.raises(ParameterError, match="there is no folder nowhere in"):
        tasks_of(folder / "nowhere")

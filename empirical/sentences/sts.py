"""Semantic textual similarity: embeddings judged by how alike people find pairs of sentences.

STS 2012–2016 (Agirre et al.), the STS benchmark (Cer et al. 2017) and SICK relatedness (Marelli et al. 2014), in the
files of SentEval and by SimCSE's protocol (Gao et al. 2021, appendix B): Spearman's correlation of cosines with
people's scores, over all pairs of a year's subsets together, and without a regressor on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from theory.checks import ParameterError, require, require_known
from theory.files import missing, read_text

SUBSETS = {
    "STS12": ("MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"),
    "STS13": ("FNWN", "headlines", "OnWN"),  # without SMT, whose sentences are not free
    "STS14": ("deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"),
    "STS15": ("answers-forums", "answers-students", "belief", "headlines", "images"),
    "STS16": ("answer-answer", "headlines", "plagiarism", "postediting", "question-question"),
}
STSB, SICK = "STS-B", "SICK-R"
TASKS = (*SUBSETS, STSB, SICK)
TRAIN, DEV, TEST = "train", "dev", "test"
PARTS = (TRAIN, DEV, TEST)
SICK_FILES = {TRAIN: "SICK_train.txt", DEV: "SICK_trial.txt", TEST: "SICK_test_annotated.txt"}
PLACES = {**{year: f"STS/{year}-en-test" for year in SUBSETS}, STSB: "STS/STSBenchmark", SICK: "SICK"}
FEWEST = 2  # pairs that have a correlation
Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True)
class Pairs:
    """Pairs of sentences with people's scores of similarity.

    Parameters
    ----------
    task : str
        One of ``TASKS``.
    first, second : tuple of str
        The sentences, N each.
    scores : ndarray, shape (N,)
        0 to 5, of SICK 1 to 5; larger is more alike.
    subsets : tuple of str
        Of which subset each pair is, N; all empty where there are none.
    unscored : int
        Pairs that were left out, for nobody scored them.
    """

    task: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]
    subsets: tuple[str, ...]
    unscored: int = 0

    def __len__(self) -> int:
        return len(self.first)


def tasks_of(folder: Path) -> tuple[str, ...]:
    """The tasks whose folders are there; ParameterError if none is."""
    found = tuple(task for task in TASKS if (folder / PLACES[task]).is_dir())
    if not folder.is_dir():
        raise ParameterError(f"sentences with scores: {missing(folder, 'folder')}")
    require(bool(found), "sentences with scores", folder, f"a folder with one of {', '.join(PLACES.values())}")
    return found


def read_pairs(folder: Path, task: str, part: str = TEST) -> Pairs:
    """The pairs of a task.

    Parameters
    ----------
    folder : Path
        With SentEval's folders ``STS`` and ``SICK``.
    task : str
        One of ``TASKS``.
    part : {"test", "dev", "train"}
        The development set, for choices, and the training set are of STS-B and SICK-R only.

    Raises
    ------
    ParameterError
        If a file is missing, cut off, or has a line that is no pair with a score.
    """
    require_known("task", task, TASKS)
    require_known("part", part, PARTS)
    if task == STSB:
        path = _file(folder, PLACES[task], f"sts-{part}.csv")
        rows = list(_fields(path, lines(path), (5, 6, 4)))
    elif task == SICK:
        path = _file(folder, PLACES[task], SICK_FILES[part])
        rows = list(_fields(path, lines(path)[1:], (1, 2, 3), first=2))
    else:
        require(part == TEST, "part", part, f"test: {task} has no other")
        return _of_year(folder, task)
    return _pairs(task, [(one, two, score, "") for one, two, score in rows], path)


def _of_year(folder: Path, task: str) -> Pairs:
    """Pairs of a year's subsets, one after the other; of 2015 and 2016 most have no score."""
    found: list[tuple[str, str, float, str]] = []
    unscored, place = 0, PLACES[task]
    for subset in SUBSETS[task]:
        path, gold = (_file(folder, place, f"STS.{kind}.{subset}.txt") for kind in ("input", "gs"))
        texts, scores = lines(path), lines(gold)
        require(len(texts) == len(scores), str(path), f"{len(texts)} lines", f"{len(scores)}, as {gold.name} has")
        for number, (text, score) in enumerate(zip(texts, scores, strict=True), start=1):
            if not score.strip():
                unscored += 1
                continue
            one, two = _cells(path, number, text, (0, 1))
            found.append((one, two, _score(gold, number, score), subset))
    return _pairs(task, found, folder / place, unscored)


def _pairs(task: str, rows: Sequence[tuple[str, str, float, str]], place: Path, unscored: int = 0) -> Pairs:
    require(len(rows) >= FEWEST, str(place), f"{len(rows)} scored pairs", f"at least {FEWEST}")
    first, second, scores, subsets = zip(*rows, strict=True)
    return Pairs(task, first, second, np.array(scores, dtype=float), subsets, unscored)


def lines(path: Path) -> list[str]:
    """Lines of a file of pairs, ended as Python ends them, which is how SentEval reads these files."""
    return read_text(path).removeprefix("\ufeff").splitlines()


def _file(folder: Path, place: str, name: str) -> Path:
    path = folder / place / name
    if not path.is_file():
        raise ParameterError(f"sentences with scores: {missing(path)} (wanted is {place}/{name} of SentEval)")
    return path


def _fields(
    path: Path, rows: Iterable[str], columns: tuple[int, int, int], first: int = 1
) -> Iterator[tuple[str, str, float]]:
    for number, row in enumerate(rows, start=first):
        one, two, score = _cells(path, number, row, columns)
        yield one, two, _score(path, number, score)


def _cells(path: Path, number: int, row: str, columns: Sequence[int]) -> list[str]:
    """Cells of a line between tabulators, with single spaces between their words as SentEval has them."""
    cells = row.split("\t")
    require(len(cells) > max(columns), f"{path}, line {number}", row, f"{max(columns) + 1} cells between tabulators")
    found = [" ".join(cells[column].split()) for column in columns]
    require(all(found), f"{path}, line {number}", row, "no empty cell")
    return found


def _score(path: Path, number: int, text: str) -> float:
    try:
        score = float(text)
    except ValueError as error:
        raise ParameterError(f"{path}, line {number}", text, "a score") from error
    require(0 <= score <= 5, f"{path}, line {number}", text, "a score in [0, 5]")
    return score


def cosines(encode: Encode, pairs: Pairs) -> NDArray[np.float64]:
    """Cosine of each pair's embeddings, shape (N,); 0 where one of them is 0.

    Parameters
    ----------
    encode : callable
        From N sentences to their embeddings, an array or tensor of shape (N, d); it is called once, with each
        sentence once.
    pairs : Pairs
    """
    texts = list(dict.fromkeys(pairs.first + pairs.second))
    found = np.asarray(encode(texts), dtype=np.float64)
    shaped = found.ndim == 2 and len(found) == len(texts)
    require(shaped, "embeddings", found.shape, f"an array of {len(texts)} rows, a row a sentence")
    require(bool(np.isfinite(found).all()), "embeddings", "NaN or infinite", "finite numbers")
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    unit = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0)
    row = {text: number for number, text in enumerate(texts)}
    one, two = (unit[[row[text] for text in side]] for side in (pairs.first, pairs.second))
    return np.asarray((one * two).sum(1))


def spearman(encode: Encode, pairs: Pairs) -> float:
    """Spearman's correlation, in [−1, 1], of embeddings' cosines with people's scores, over all pairs together.

    0 where all cosines, or all scores, are equal: such embeddings put nothing in order.
    """
    found = cosines(encode, pairs)
    if np.ptp(found) == 0 or np.ptp(pairs.scores) == 0:
        return 0.0
    return float(stats.spearmanr(found, pairs.scores).statistic)


def evaluate(encode: Encode, folder: Path, tasks: Sequence[str] = TASKS, part: str = TEST) -> dict[str, float]:
    """Spearman's correlation of each task, and ``average``, their mean.

    Parameters
    ----------
    encode : callable
        From sentences to embeddings, see ``cosines``.
    folder : Path
        See ``read_pairs``.
    tasks : sequence of str
    part : {"test", "dev", "train"}
    """
    pairs = [read_pairs(folder, task, part) for task in tasks]  # all of them, before the first is encoded
    found = {one.task: spearman(encode, one) for one in pairs}
    return {**found, "average": float(np.mean(list(found.values())))}

"""Arms on sentences, judged by the STS benchmark: a small transformer from scratch, and an adapter on frozen MiniLM.

Run as ``python benchmarks/sentences.py --sts FOLDER --text FILE --out runs/sentences --jobs 2
[--csv results/sentences.csv] [--grades results/sentences_grades.csv]``, where FOLDER has SentEval's
``STS/STSBenchmark`` and FILE a sentence a line. Trained is on FILE, or on the benchmark's own training sentences
without their scores; views are two dropouts of a sentence, or leave out half of its tokens too. The same command goes
on where it stood.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.tables import put_rows
from empirical.compare.experiment import compare
from empirical.compare.presets import Experiment
from empirical.modalities.sentences import DEVELOPMENT, ENCODER, LEVELS, MINILM, Sentences
from empirical.sentences import (
    MiniLM,
    Tokenizer,
    read_pairs,
    read_sentences,
    similarity_levels,
    spearman,
    train_tokenizer,
)
from empirical.sentences.sts import DEV, STSB, TRAIN, Encode
from empirical.statistics import mean_interval
from empirical.train.checkpoint import load_network
from empirical.train.logs import read_result
from empirical.train.settings import Settings, usual
from theory.checks import require_known
from theory.command import Parser, add_workers, chosen_workers, markdown_table, output, run
from theory.files import write_text

ARMS = ("baseline", "margin", "temperature", "combined", "combined_random", "adnce_sentence")
SEEDS = 3
UNTRAINED, FROZEN = "untrained", "frozen"
OWN, OTHER = "STS-B", "text"  # what is trained on
DROPOUT, MEAN, DROPPED, WIDE, BAG = "dropout", "mean", "dropped", "wide", "bag"
RECIPES = {
    DROPOUT: "dropout",
    MEAN: "tokens left out, mean of the states",
    DROPPED: "tokens left out",
    WIDE: "tokens left out, width 256",
    BAG: "tokens left out, width 256, no positions",
}
WORDS, COUNTS, IDF = "bags of tokens", "counts", "idf"  # which nothing trains
FIXED = (COUNTS, IDF, FROZEN, UNTRAINED)
NOTHING = "-"  # is trained on
KEY = ["encoder", "text", "recipe"]
GROUPS = {
    "dropout-own": (ENCODER, OWN, DROPOUT, ARMS),
    "dropout-text": (ENCODER, OTHER, DROPOUT, ARMS[:1]),
    "dropped-own": (ENCODER, OWN, DROPPED, ARMS[:1]),
    "dropped-text": (ENCODER, OTHER, DROPPED, ARMS),
    "mean-text": (ENCODER, OTHER, MEAN, ARMS[:1]),
    "wide-text": (ENCODER, OTHER, WIDE, ARMS[:1]),
    "bag-text": (ENCODER, OTHER, BAG, ARMS[:1]),
    "minilm": (MINILM, OWN, DROPOUT, ARMS),
    "words": (WORDS, OTHER, NOTHING, ()),
}
SCORES = (STSB, DEVELOPMENT, *LEVELS)
ADNCE = {"adnce_mu": 0.4, "adnce_sigma": 1.0}  # the authors' with BERT


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/sentences.py", description=__doc__)
    parser.add_argument("--sts", type=Path, metavar="FOLDER", required=True, help="has STS/STSBenchmark")
    parser.add_argument("--text", type=Path, metavar="FILE", required=True, help="other sentences to train on")
    parser.add_argument("--out", type=output, metavar="FOLDER", required=True, help="folder of the runs")
    parser.add_argument("--only", metavar="NAME", help=f"one of {', '.join(GROUPS)} (all)")
    parser.add_argument("--csv", type=output, metavar="FILE", help="put the scores into this table, for older ones")
    help_ = "put the mean cosines of pairs by people's grades into this table, for older ones"
    parser.add_argument("--grades", type=output, metavar="FILE", help=help_)
    add_workers(parser)
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    if args.only is not None:
        require_known("only", args.only, GROUPS)
    pairs = read_pairs(args.sts, STSB, TRAIN)
    own = args.out / "STS-B.txt"
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(own, "".join(f"{text}\n" for text in dict.fromkeys(pairs.first + pairs.second)))
    rows, graded = list[dict[str, Any]](), list[dict[str, Any]]()
    for name in [args.only] if args.only else GROUPS:
        encoder, text, recipe, arms = GROUPS[name]
        if arms:
            base = settings(encoder, own if text == OWN else args.text, args.sts, recipe)
            compare(Experiment(base=base, arms=arms, seeds=SEEDS), args.out / name, **chosen_workers(args))
            named = {"encoder": encoder, "text": text, "recipe": recipe}
            rows += [{**named, **row} for row in scores(args.out / name)]
            for arm in (UNTRAINED, "baseline") if args.grades else ():
                graded += grades({**named, "arm": arm}, trained(args.out / name, arm), args.sts)
        if encoder == MINILM:
            named, minilm = {"encoder": encoder, "text": NOTHING, "recipe": NOTHING}, MiniLM()
            rows.append({**named, **frozen(FROZEN, minilm, args.sts)})
            graded += grades({**named, "arm": FROZEN}, minilm, args.sts) if args.grades else []
        if encoder == WORDS:
            named = {"encoder": encoder, "text": text, "recipe": NOTHING}
            rows += [{**named, **frozen(arm, bags(args.text, arm == IDF), args.sts)} for arm in (COUNTS, IDF)]
    table = pd.DataFrame(rows).round({**dict.fromkeys(SCORES, 6), "seconds": 2})
    print(summary(put_rows(args.csv, table, [*KEY, "arm", "seed"]) if args.csv else table))
    if graded:
        print(grades_summary(put_rows(args.grades, pd.DataFrame(graded).round(6), [*KEY, "arm", "grade"])))


def settings(encoder: str, text: Path, sts: Path, recipe: str) -> Settings:
    """Of the baseline; its plans are made from clusters, for sentences have no classes."""
    found = replace(usual("sentences"), data=f"text:{text}", encoder=encoder, modality_options=f"sts={sts}", **ADNCE)
    if encoder == MINILM:
        return replace(found, epochs=2, width=256)
    if recipe == DROPOUT:
        return replace(found, epochs=2)
    pooling = "mean" if recipe == MEAN else "attention"
    positions = ",positions=none" if recipe == BAG else ""
    options = f"sts={sts},dropped=.5,pooling={pooling},depth=1,dropout=.3{positions}"
    width = 256 if recipe in (WIDE, BAG) else found.width
    return replace(found, epochs=4, lr=4e-3, layers=2, width=width, dim=width, modality_options=options)


def scores(out: Path) -> list[dict[str, Any]]:
    """Of every run of an experiment: correlations in [−1, 1] and levels of the encoder's features."""
    found = []
    for path in sorted(out.glob("*/*/result.json")):
        result = read_result(path)
        if result["arm"] in (*ARMS, UNTRAINED):
            named = {name: result["metrics"][f"encoder_{name}"] for name in SCORES}
            found.append({"arm": result["arm"], "seed": result["seed"], "seconds": result["seconds"], **named})
    return found


def bags(text: Path, idf: bool) -> Encode:
    """Counts of the tokens that the small transformer has, as they are or by inverse document frequency in a text."""
    texts = read_sentences(f"text:{text}", None).texts
    tokenizer = train_tokenizer(texts)
    tokens = partial(_tokens, tokenizer)
    counted = TfidfVectorizer(tokenizer=tokens, token_pattern=None, lowercase=False, use_idf=idf).fit(texts)
    return lambda sentences: counted.transform(sentences).toarray()


def _tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode([text], 128)[0][0]


def frozen(arm: str, encode: Encode, sts: Path) -> dict[str, Any]:
    """The row of an encoder that nothing trains."""
    test, development = read_pairs(sts, STSB), read_pairs(sts, STSB, DEV)
    levels = similarity_levels(encode, test)
    named = {name: getattr(levels, name).value for name in LEVELS}
    found = {STSB: spearman(encode, test), DEVELOPMENT: spearman(encode, development), **named}
    return {"arm": arm, "seed": 0, "seconds": 0.0, **found}


def trained(out: Path, arm: str) -> Encode:
    """The encoder of an experiment's first seed."""
    run = next(out.glob(f"*/{arm}-0"))
    settings = Settings.from_json(read_result(run / "result.json")["settings"])
    if arm == UNTRAINED:
        network = settings.network(*settings.data_set().x_train.shape[1:]).eval()
    else:
        network = load_network(run / "checkpoint.pt")[1]
    return Sentences().encode(network, settings)


def grades(named: dict[str, Any], encode: Encode, sts: Path) -> list[dict[str, Any]]:
    """Mean cosines of STS-B's test pairs by people's grades, with 95 % intervals over pairs, and the severity."""
    found = similarity_levels(encode, read_pairs(sts, STSB))
    levels = {**dict(enumerate(found.grades)), **{name: getattr(found, name) for name in LEVELS}}
    counts = dict(enumerate(found.counts))
    return [
        {**named, "grade": str(grade), "pairs": counts.get(grade), "mean": one.value, "low": one.low, "high": one.high}
        for grade, one in levels.items()
        if one is not None
    ]


def grades_summary(table: pd.DataFrame) -> str:
    """Mean cosines by grade and the severity, with 95 % intervals, the columns' pairs in their heads."""
    pairs = table.dropna(subset="pairs").groupby("grade").pairs.first()
    columns = [*pairs.index, "severity"]
    rows = []
    for (encoder, text, recipe), found in table.groupby(KEY):
        for arm in [arm for arm in (FROZEN, UNTRAINED, "baseline") if arm in set(found.arm)]:
            of_it = found[found.arm == arm].set_index("grade")
            kind = [part for part in (encoder, text, RECIPES.get(recipe, recipe)) if part != NOTHING]
            cells = [f"{one['mean']:.2f} [{one.low:.2f}, {one.high:.2f}]" for _, one in of_it.loc[columns].iterrows()]
            rows.append([", ".join(kind), f"`{arm}`", *cells])
    heads = [f"grade {grade} ({pairs[grade]:.0f})" for grade in pairs.index]
    return markdown_table(["encoder, trained on", "arm", *heads, "severity"], rows)


def summary(table: pd.DataFrame) -> str:
    """Spearman's correlations, %, mean ± deviation over seeds, the differences' 95 % intervals, and levels."""
    rows = []
    for (encoder, text, recipe), runs in table.groupby(KEY):
        by = runs.set_index(["arm", "seed"])
        for arm in [arm for arm in (*FIXED, *ARMS) if arm in by.index.levels[0]]:
            test, base = 100 * by.loc[arm][STSB], UNTRAINED if arm == "baseline" else "baseline"
            change = "" if arm in FIXED else _change(test, 100 * by.loc[base][STSB], base)
            spread = f" ± {test.std(ddof=0):.1f}" if len(test) > 1 else ""
            levels = [f"{by.loc[arm][name].mean():.2f}" for name in LEVELS]
            development = f"{100 * by.loc[arm][DEVELOPMENT].mean():.1f}"
            kind = [part for part in (encoder, text, RECIPES.get(recipe, recipe)) if part != NOTHING]
            rows.append([", ".join(kind), f"`{arm}`", f"{test.mean():.1f}{spread}", change])
            rows[-1] += [development, *levels]
    header = ["encoder, trained on", "arm", "STS-B test", "difference (95 %)", "STS-B dev", *LEVELS.values()]
    return markdown_table(header, rows)


def _change(values: pd.Series[float], base: pd.Series[float], name: str) -> str:
    found = mean_interval((values - base).dropna().tolist())
    return f"{found.value:+.1f} [{found.low:.1f}, {found.high:.1f}] to `{name}`"


if __name__ == "__main__":
    raise SystemExit(main())

"""Arms on sentences, judged by the STS benchmark: a small transformer from scratch, and an adapter on frozen MiniLM.

Run as ``python benchmarks/sentences.py --sts FOLDER --text FILE --out runs/sentences --jobs 2
[--csv results/sentences.csv]``, where FOLDER has SentEval's ``STS/STSBenchmark`` and FILE a sentence a line. Trained
is on FILE, or on the benchmark's own training sentences without their scores; views are two dropouts of a sentence, or
leave out half of its tokens too. The same command goes on where it stood.
"""

from __future__ import annotations

import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import pandas as pd

from empirical.compare.experiment import compare
from empirical.compare.presets import Experiment
from empirical.modalities.sentences import DEVELOPMENT, ENCODER, LEVELS, MINILM
from empirical.sentences import MiniLM, read_pairs, similarity_levels, spearman
from empirical.sentences.sts import DEV, STSB, TRAIN
from empirical.statistics import mean_interval
from empirical.train.logs import read_result
from empirical.train.settings import Settings, usual
from theory.checks import require_known
from theory.command import Parser, add_workers, chosen_workers, markdown_table, output, run
from theory.files import write_text

ARMS = ("baseline", "margin", "temperature", "combined", "combined_random", "adnce_sentence")
SEEDS = 3
UNTRAINED, FROZEN = "untrained", "frozen"
OWN, OTHER = "STS-B", "text"  # what is trained on
DROPOUT, DROPPED, WIDE = "dropout", "dropped", "wide"  # views: dropout alone, or tokens left out too
VIEWS = {DROPOUT: "dropout", DROPPED: "tokens left out", WIDE: "tokens left out, width 256"}
KEY = ["encoder", "text", "views"]
GROUPS = {
    "dropout-own": (ENCODER, OWN, DROPOUT, ARMS),
    "dropout-text": (ENCODER, OTHER, DROPOUT, ARMS[:1]),
    "dropped-own": (ENCODER, OWN, DROPPED, ARMS[:1]),
    "dropped-text": (ENCODER, OTHER, DROPPED, ARMS),
    "wide-text": (ENCODER, OTHER, WIDE, ARMS[:1]),
    "minilm": (MINILM, OWN, DROPOUT, ARMS),
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
    add_workers(parser)
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    if args.only is not None:
        require_known("only", args.only, GROUPS)
    pairs = read_pairs(args.sts, STSB, TRAIN)
    own = args.out / "STS-B.txt"
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(own, "".join(f"{text}\n" for text in dict.fromkeys(pairs.first + pairs.second)))
    rows = []
    for name in [args.only] if args.only else GROUPS:
        encoder, text, views, arms = GROUPS[name]
        base = settings(encoder, own if text == OWN else args.text, args.sts, views)
        compare(Experiment(base=base, arms=arms, seeds=SEEDS), args.out / name, **chosen_workers(args))
        if encoder == MINILM:
            rows.append({**dict.fromkeys(KEY, ""), "encoder": MINILM, "arm": FROZEN, "seed": 0, **frozen(args.sts)})
        rows += [{"encoder": encoder, "text": text, "views": views, **row} for row in scores(args.out / name)]
    table = pd.DataFrame(rows)
    print(summary(table))
    if args.csv:
        if args.csv.exists():
            both = [pd.read_csv(args.csv, keep_default_na=False), table]
            table = pd.concat(both).drop_duplicates([*KEY, "arm", "seed"], keep="last")
        table = table.sort_values([*KEY, "arm", "seed"]).fillna({"seconds": 0.0})
        written = io.StringIO()
        table.round({**dict.fromkeys(SCORES, 6), "seconds": 2}).to_csv(written, index=False)
        write_text(args.csv, written.getvalue())


def settings(encoder: str, text: Path, sts: Path, views: str) -> Settings:
    """Of the baseline; its plans are made from clusters, for sentences have no classes."""
    found = replace(usual("sentences"), data=f"text:{text}", encoder=encoder, modality_options=f"sts={sts}", **ADNCE)
    if encoder == MINILM:
        return replace(found, epochs=2, width=256)
    if views == DROPOUT:
        return replace(found, epochs=2)
    options = f"sts={sts},dropped=.5,pooling=attention,depth=1,dropout=.3"
    width = 256 if views == WIDE else found.width
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


def frozen(sts: Path) -> dict[str, float]:
    """Scores of MiniLM itself."""
    encode = MiniLM()
    test, development = read_pairs(sts, STSB), read_pairs(sts, STSB, DEV)
    levels = similarity_levels(encode, test)
    named = {name: getattr(levels, name).value for name in LEVELS}
    return {STSB: spearman(encode, test), DEVELOPMENT: spearman(encode, development), **named}


def summary(table: pd.DataFrame) -> str:
    """Spearman's correlations, %, mean ± deviation over seeds, the differences' 95 % intervals, and levels."""
    rows = []
    for (encoder, text, views), runs in table.fillna(dict.fromkeys(KEY, "")).groupby(KEY, sort=False):
        by = runs.set_index(["arm", "seed"])
        for arm in [arm for arm in (FROZEN, UNTRAINED, *ARMS) if arm in by.index.levels[0]]:
            test, base = 100 * by.loc[arm][STSB], UNTRAINED if arm == "baseline" else "baseline"
            change = "" if arm in (FROZEN, UNTRAINED) else _change(test, 100 * by.loc[base][STSB], base)
            spread = f" ± {test.std(ddof=0):.1f}" if len(test) > 1 else ""
            levels = [f"{by.loc[arm][name].mean():.2f}" for name in LEVELS]
            development = f"{100 * by.loc[arm][DEVELOPMENT].mean():.1f}"
            kind = [encoder, *([text, VIEWS[views]] if encoder == ENCODER else [text] if text else [])]
            rows.append([", ".join(kind), f"`{arm}`", f"{test.mean():.1f}{spread}", change])
            rows[-1] += [development, *levels]
    header = ["encoder, trained on", "arm", "STS-B test", "difference (95 %)", "STS-B dev", *LEVELS.values()]
    return markdown_table(header, rows)


def _change(values: pd.Series[float], base: pd.Series[float], name: str) -> str:
    found = mean_interval((values - base).dropna().tolist())
    return f"{found.value:+.1f} [{found.low:.1f}, {found.high:.1f}] to `{name}`"


if __name__ == "__main__":
    raise SystemExit(main())

"""Arms on sentences, judged by the STS benchmark: a small transformer from scratch, and an adapter on frozen MiniLM.

Run as ``python benchmarks/sentences.py --sts FOLDER --text FILE --out runs/sentences --jobs 2
[--csv results/sentences.csv]``, where FOLDER has SentEval's ``STS/STSBenchmark`` and FILE a sentence a line. The arms
are trained on the benchmark's own training sentences, without their scores; the baseline on FILE too. The same command
goes on where it stood.
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
from empirical.train.settings import usual
from theory.command import Parser, add_workers, chosen_workers, markdown_table, output, run
from theory.files import write_text

ARMS = ("baseline", "margin", "temperature", "combined", "combined_random", "adnce_sentence")
SEEDS, EPOCHS = 3, 2
UNTRAINED, FROZEN = "untrained", "frozen"
OWN, OTHER = "STS-B", "text"  # what is trained on
SCORES = (STSB, DEVELOPMENT, *LEVELS)
ADNCE = {"adnce_mu": 0.4, "adnce_sigma": 1.0}  # the authors' with BERT


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/sentences.py", description=__doc__)
    parser.add_argument("--sts", type=Path, metavar="FOLDER", required=True, help="has STS/STSBenchmark")
    parser.add_argument("--text", type=Path, metavar="FILE", required=True, help="other sentences to train on")
    parser.add_argument("--out", type=output, metavar="FOLDER", required=True, help="folder of the runs")
    parser.add_argument("--csv", type=output, metavar="FILE", help="write the scores to this table")
    add_workers(parser)
    return run(parser, _command, argv, resumable=True)


def _command(args: Namespace) -> None:
    pairs = read_pairs(args.sts, STSB, TRAIN)
    own = args.out / "STS-B.txt"
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(own, "".join(f"{text}\n" for text in dict.fromkeys(pairs.first + pairs.second)))
    rows = [{"encoder": MINILM, "text": "", "arm": FROZEN, "seed": 0, "seconds": 0.0, **frozen(args.sts)}]
    for encoder, name, text, arms in (
        (ENCODER, OWN, own, ARMS),
        (ENCODER, OTHER, args.text, ARMS[:1]),
        (MINILM, OWN, own, ARMS),
    ):
        out = args.out / f"{encoder}-{name}"
        compare(experiment(encoder, text, args.sts, arms), out, **chosen_workers(args))
        rows += [{"encoder": encoder, "text": name, **row} for row in scores(out)]
    table = pd.DataFrame(rows).sort_values(["encoder", "text", "arm", "seed"])
    print(summary(table))
    if args.csv:
        written = io.StringIO()
        table.round({**dict.fromkeys(SCORES, 6), "seconds": 2}).to_csv(written, index=False)
        write_text(args.csv, written.getvalue())


def experiment(encoder: str, text: Path, sts: Path, arms: Sequence[str]) -> Experiment:
    """Arms of an encoder on a text; plans are made from clusters, for sentences have no classes."""
    wide = {"width": 256} if encoder == MINILM else {}
    settings = {"data": f"text:{text}", "encoder": encoder, "epochs": EPOCHS, **ADNCE, **wide}
    base = replace(usual("sentences"), modality_options=f"sts={sts}", **settings)  # type: ignore[arg-type]
    return Experiment(base=base, arms=tuple(arms), seeds=SEEDS)


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
    for (encoder, text), runs in table.fillna({"text": ""}).groupby(["encoder", "text"], sort=False):
        by = runs.set_index(["arm", "seed"])
        for arm in [arm for arm in (FROZEN, UNTRAINED, *ARMS) if arm in by.index.levels[0]]:
            test, base = 100 * by.loc[arm][STSB], UNTRAINED if arm == "baseline" else "baseline"
            change = "" if arm in (FROZEN, UNTRAINED) else _change(test, 100 * by.loc[base][STSB], base)
            spread = f" ± {test.std(ddof=0):.1f}" if len(test) > 1 else ""
            levels = [f"{by.loc[arm][name].mean():.2f}" for name in LEVELS]
            development = f"{100 * by.loc[arm][DEVELOPMENT].mean():.1f}"
            rows.append([f"{encoder}, {text}" if text else encoder, f"`{arm}`", f"{test.mean():.1f}{spread}", change])
            rows[-1] += [development, *levels]
    header = ["encoder, trained on", "arm", "STS-B test", "difference (95 %)", "STS-B dev", *LEVELS.values()]
    return markdown_table(header, rows)


def _change(values: pd.Series[float], base: pd.Series[float], name: str) -> str:
    found = mean_interval((values - base).dropna().tolist())
    return f"{found.value:+.1f} [{found.low:.1f}, {found.high:.1f}] to `{name}`"


if __name__ == "__main__":
    raise SystemExit(main())

"""Strategies of calls: what a command is given in earnest, with a few things wrong."""

from __future__ import annotations

import shlex
from argparse import Action
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.calling import Call
from tests.fuzz.damage import damaged
from tests.fuzz.material import GRAPH, ROOT, SMALL
from theory.command import Parser
from theory.rooms import Room, rooms

ROOMS = [room for package in ("theory", "empirical") for room in rooms(package, ROOT / package)]

# Calls that are right and end soon; the examples of its help stand for a command that is not here.
TINY = "--epochs 1 --batch 8 --width 4 --dim 4 --out new"
FEATURES = "--features features.npy --labels labels.npy"
RIGHT = {
    "theory.audit": ["removal_condition --brief"],
    "theory.bounds": [
        f"{GRAPH} --samples-per-class 20 --difficult 2 --tau .5 --plan new.json --json",
        "--alpha 1/2 --beta 1/20 --gamma 1/5 --samples-per-class 20 --difficult 2 --exact --delta 1/10",
        "--within .5 .4 .3 --across .1 .2 .25 --samples-per-class 20 --difficult 2",
        "--alpha .5 --beta .05 --samples-per-class 20 --sweep gamma=.05:.4:.05 --out new.csv",
        "--profile profile.json --plan new.json",
        f"{GRAPH} --samples-per-class 8 --classes 3 --difficult 2 --dim 4 --noise .1 --noise-seed 1",
    ],
    "theory.certificates": [""],
    "theory.dro": [
        "--similarities similarities.npy --tau .5 --positive positives.npy",
        "--similarities similarities.npy --eta .1 --joint --mu .7 --width .5 --json",
    ],
    "theory.explore": ["--out new.html"],
    "theory.predict": [
        f"{GRAPH} --samples-per-class 20 --classes 3 --difficult 2 --epsilon .5 --dim 4 --json",
        "--alpha .6 --beta .3 --samples-per-class 20 --classes 3 --epsilon .7 --dim 4 --sweep gamma=.3:.36:.03",
        "--profile profile.json --epsilon .2 --dim 6",
    ],
    "theory.simulate": ["worlds.toml --out new"],
    "empirical.compare": [
        f"--data npz:images.npz --arms baseline,margin --seeds 1 --epochs 1 {SMALL} --out new",
        "--report runs/compared",
        f"--data npz:images.npz --arms baseline,margin --seeds 2 --epochs 1 {SMALL} --out runs/compared",
    ],
    "empirical.contest": ["--data npz:images.npz --labelled 20 --others 8 --families pixels --out new"],
    "empirical.difficulty": [
        f"{FEATURES} --plan plan.json --mislabelled indices.npy --batch 16 --rounds 2 --pairs 4 --out new",
        "--features features.npy --by flags --batch 16 --rounds 2 --json",
        "--checkpoint runs/one/checkpoint.pt --batch 16 --rounds 2",
    ],
    "empirical.embed": [
        "--data npz:images.npz --views 2 --components 4 --checkpoint runs/one/checkpoint.pt --out new.npz",
        "--data folder:photos --views 2 --components 0 --checkpoint runs/one/checkpoint.pt --out new.npz",
        "--data folder:photos --checkpoint runs/one/checkpoint.pt --out new.parquet",
    ],
    "empirical.export": [
        "--checkpoint runs/one/checkpoint.pt --formats torchscript --out new",
        "--checkpoint runs/one --formats safetensors --out new",
    ],
    "empirical.evaluate": [
        "--checkpoint runs/one/checkpoint.pt --json",
        "--checkpoint runs/one/checkpoint.pt --data folder:photos --labels-per-class 2 --draws 2 --knn-neighbours 3",
        f"{FEATURES} --test-features features.npy --test-labels labels.npy --json",
        f"{FEATURES} --protocol sgd --knn-neighbours 3",
    ],
    "empirical.evidence": [
        "primary --cifar10 npz:images.npz --sets 1 --out new",
        "--out new --publish published",
        "people --people images.npz --cifar10 npz:images.npz --out new",
    ],
    "empirical.findings": ["results/cifar100_cpu", "results/cifar100_cpu --page page.md", "results/evidence"],
    "empirical.methods": [""],
    "empirical.prediction": [f"{FEATURES} --labels-per-class 5 --json", f"{FEATURES} --pooled --c .5 --metrics"],
    "empirical.profile": [
        f"{FEATURES} --out new.json --difficult-out new.npy",
        "--features features.npy --classes 4 --json",
        "--checkpoint runs/one/checkpoint.pt --tau .5",
    ],
    "empirical.recipes": [""],
    "empirical.report": [
        f"{FEATURES} --share .2 --by gap --out new.html",
        "--features features.npy --classes 4 --out new.html",
        "--checkpoint runs/one/checkpoint.pt --out new.html",
    ],
    "empirical.simulate": [
        "sampled.toml --out new",
        f"{GRAPH} --samples-per-class 4 --classes 3 --difficult 1 --dim 4 --steps 2 --batch 8 --seeds 1 --out new",
        f"{GRAPH} --samples-per-class 4 --classes 3 --difficult 1 --dim 4 --check-plan --out new",
    ],
    "empirical.study": [
        f"headline --data npz:images.npz --train 40 --seeds 1 --epochs 1 {SMALL} --out new",
        "--report runs/compared",
    ],
    "empirical.train": [
        f"--data npz:images.npz --epochs 1 {SMALL} --out new",
        f"--data npz:images.npz --epochs 1 {SMALL} --out runs/one",
        f"--data folder:photos --epochs 1 {SMALL} --arm margin --plan plan.json --sigma .1 --out new",
        f"--data npz:images.npz --epochs 1 {SMALL} --drop indices.npy --arm sample_removal --plan plan.json --out new",
        "--data views:views.npz --epochs 1 --batch 8 --dim 4 --out new",
        f"--data npz:images.npz --epochs 1 {SMALL} --weights runs/one/checkpoint.pt --out new",
        f"--modality graphs --data tu:graphs --modality-options first=original,ratio=.3 {TINY}",
        f"--modality graphs --data tu:graphs.zip --modality-options nodes=degree,depth=1 {TINY}",
        f"--modality sentences --data text:sentences.txt --modality-options heads=2,depth=1,masked=.1 {TINY}",
        f"--modality sentences --data text:sentences.txt --modality-options heads=2,depth=1,sts=judged {TINY}",
    ],
}

# What comes from a command that runs on what it is given, costs minutes or starts processes, and is tested elsewhere.
SPARED = (
    "--scheduler",
    "--devices",
    "--nodes",
    "--compile",
    "--accelerator",
    "--jobs",
    "--store",
    "--tensorboard",
    "--wandb",
)
NONSENSE = (
    "", " ", "--", "-", "\n", "a\nb", "\t", "\x00", "\x1b[31m", "0", "-1", "-0", "1", "2", "3", "0.5", "1.5", "-0.5",
    "1e308", "-1e308", "1e309", "1e-308", "1e-400", "nan", "NaN", "inf", "-inf", "9" * 40, "-" + "9" * 40, "9" * 5000,
    str(2**31), str(2**63), str(2**64), "1e40", "1_000", "0x10", "1,5", "1/0", "1/3", "-1/3", "0/1", "1/" + "9" * 40,
    "1/1e5", "٣", "½", "ü", "日本", "\udc80", "∞", "true", "None", "[]", "{}", "a" * 300, "a" * 5000, "../../x",
    "/", "/nowhere", "/dev/null", "/dev/full", "/proc/self/mem", "/nowhere/x", ".", "..", "~", "null", "full",
    "pipe", "photos", "runs", "results", "*", "**", "[", "?", "$(id)", "%s", "%(default)s", "{0}", "=", "a=b", ":",
    "graphs", "sentences", "tu:graphs", "tu:", "text:", "hf:", "ratio=1", "sts=.", "nodes=labels,", "heads=3",
    "vocabulary=1",
    "npz:", "npz:images.npz", "folder:", "folder:photos", "views:images.npz", "views:views.npz", "npz:\n", "digits",
    "digits:x", "folder:/dev/null", "npz:/dev/zero", "os:walk", "x:y", ",", "1,", "0,1,2", ".15,.22", "1,0", "nan,nan",
    "gamma=.05:.4:.05", "gamma=0:1:1e-999999999", "gamma=0:1e999999999:1", "gamma=1:0:1", "gamma=0:1:0", "gamma=::",
    "gamma=nan:1:1", "classes=2:1e6:1", "dim=1.5:2:1", "gamma=0:0:0", "alpha=.3:.9:.1", "delta=-1:2:1", "epsilon=0:1:1",
    "features.npy", "labels.npy", "images.npz", "plan.json", "profile.json", "worlds.toml", "page.md", "new", "new.csv",
    "new.json", "new.npy", "new.png", "new/new", "runs/one", "runs/one/checkpoint.pt", "results/cifar100_cpu",
)  # fmt: skip

texts = st.one_of(
    st.sampled_from(NONSENSE),
    st.text(max_size=12),
    st.integers(-(10**6), 10**6).map(str),
    st.floats().map(repr),
    st.fractions().map(str),
)


numbers = {
    int: st.one_of(
        st.sampled_from((0, -1, 1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 33, 100, 1000, 10**6, 10**9)), st.integers(0, 40)
    ).map(str),
    float: st.one_of(
        st.sampled_from((0.0, 1.0, -1.0, 0.5, 2.0, 1e-3, 1e-6, 1e-9, 1e-30, 1e-300, 1e3, 1e5, 1e6, 1e7, 1e30)),
        st.floats(0, 1),
        st.floats(-2, 100),
    ).map(repr),
}


@cache
def options(module: str) -> dict[str, Action]:
    """The options of a command, from its parser."""
    room = next(room for room in ROOMS if room.module == module)
    parser: Parser = room.load().parser(module)
    return {
        action.option_strings[-1]: action
        for action in parser._actions
        if action.option_strings and action.option_strings[-1] not in (*SPARED, "--help", "--version")
    }


def right(room: Room) -> list[list[str]]:
    """Calls of a command that are right."""
    examples = room.load().parser(room.module).examples
    return [shlex.split(text) for text in RIGHT.get(room.module, [e.partition(">")[0] for e in examples])]


def values(action: Action) -> st.SearchStrategy[list[str]]:
    """What an option may be given, right or wrong."""
    if action.nargs == 0:
        return st.just([])
    one = texts
    if action.choices is not None:
        one = st.one_of(texts, st.sampled_from([str(choice) for choice in action.choices]))
    elif action.type in numbers:
        one = st.one_of(texts, *[numbers[action.type]] * 2)
    few = action.nargs if isinstance(action.nargs, int) else 1
    several = st.lists(one, min_size=few, max_size=few)
    return several if action.nargs not in ("+", "*") else st.lists(one, min_size=0, max_size=3)


@st.composite
def calls(draw: Any, found: Sequence[Room] = tuple(ROOMS), files: bool = True) -> Call:
    """A call with a few things wrong in it: values, options, tokens, and files that it names."""
    room = draw(st.sampled_from(found))
    arguments = list(draw(st.sampled_from(right(room))))
    known = options(room.module)
    kinds = ["value", "value", "value", "add", "add", "add", "token"] + ["file"] * 4 * files
    changed: dict[str, bytes | None] = {}
    for _ in range(draw(st.sampled_from((1, 1, 1, 1, 2, 2, 3)))):
        kind = draw(st.sampled_from(kinds))
        at = [i for i, text in enumerate(arguments) if text in known and known[text].nargs != 0]
        if kind == "value" and at:
            start = draw(st.sampled_from(at))
            action = known[arguments[start]]
            stop = next((i for i in range(start + 1, len(arguments)) if arguments[i].startswith("--")), len(arguments))
            arguments[start + 1 : stop] = draw(values(action))
        elif kind == "add" and known:
            name = draw(st.sampled_from(sorted(known)))
            arguments += [name, *draw(values(known[name]))]
        elif kind == "token":
            where = draw(st.integers(0, len(arguments)))
            if draw(st.booleans()) and where < len(arguments):
                del arguments[where]
            else:
                arguments.insert(where, draw(texts))
        elif kind == "file":
            named = inputs(room.module, arguments)
            if named:
                name = draw(st.sampled_from(named))
                changed[name] = draw(damaged(name))
    return Call(room.module, tuple(arguments), changed)


FOLDER: list[Path] = []  # of the material, once it has been made


@cache
def _below(name: str) -> tuple[str, ...]:
    base = FOLDER[0]
    path = base / name
    if path.is_file():
        return (name,)
    if path.is_dir():
        return tuple(sorted(str(p.relative_to(base)) for p in path.rglob("*") if p.is_file()))
    stem = [name + end for end in (".csv", ".json") if (base / (name + end)).is_file()]
    return tuple(stem)


def inputs(module: str, arguments: Sequence[str]) -> list[str]:
    """The files that arguments name, also in folders and after a colon."""
    found: list[str] = []
    for text in arguments:
        for name in (text, text.partition(":")[2], text.rpartition("=")[2]):
            fits = 0 < len(name) < 200 and name.isprintable() and name.isascii() and name not in (".", "..", "/")
            if fits and not name.startswith(("/", "-", "..")) and name not in ("pipe", "null", "full"):
                found += _below(name)
    return sorted(set(found))

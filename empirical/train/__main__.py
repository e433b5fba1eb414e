"""One run of contrastive training: ``python -m empirical.train``."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from empirical.arms import ARM_NAMES, Given, NotApplicable, arm_named, pair_remedy
from empirical.choices import PROTOCOLS
from empirical.compare.presets import PRESETS, preset_for
from empirical.options import add_given, chosen_given, require_taken
from empirical.recipes import RECIPES, check_recipe_fits, recipe
from empirical.train.options import add_arguments, given
from empirical.train.settings import Running, Settings, settings_from_arguments, usual
from theory.checks import ParameterError, require
from theory.command import Parser, output, run
from theory.plan import Plan


def main(argv: Sequence[str] | None = None, prog: str = "python -m empirical.train") -> int:
    """Entry point of ``python -m empirical.train``."""
    return run(parser(prog), _command, argv, resumable=True)


def parser(prog: str) -> Parser:
    """The command's options."""
    found = Parser(
        prog,
        __doc__,
        "--out FOLDER [options]",
        (
            "--epochs 5 --encoder convnet --width 16 --dim 16 --batch 200 --out runs/digits",
            "--recipe cifar10 --framework moco --loss adnce --devices 4 --out runs/moco",
        ),
    )
    recipes = f"defaults for a whole data set, in place of those shown here, see docs/recipes.md: {', '.join(RECIPES)}"
    found.group("data").add_argument("--recipe", choices=list(RECIPES), help=recipes)
    add_arguments(found, Settings())
    add_arguments(found, Running())
    found.group("data").add_argument(
        "--drop", type=Path, help=".npy of indices of training images to leave out (from empirical.difficulty)"
    )
    add = found.group("loss and remedy").add_argument
    add("--arm", choices=ARM_NAMES, default="baseline", help="the remedy: " + ", ".join(ARM_NAMES))
    add("--plan", type=Path, help="JSON file with the remedy's values (from theory.bounds)")
    add_given(found)
    found.group("optimisation").add_argument("--seed", type=int, default=0, help="of weights, views and batches, >= 0")
    add = found.group("output").add_argument
    add("--protocol", choices=PROTOCOLS, default="lbfgs", help=f"of probe and kNN: {', '.join(PROTOCOLS)}")
    add("--out", type=output, metavar="FOLDER", required=True, help="folder of the run")
    return found


def _command(args: Namespace) -> None:
    running = Running(**given(args, Running))
    import torch

    from empirical.data.reading import announced
    from empirical.evaluate.protocol import STEPS, Protocol
    from empirical.train.checkpoint import CHECKPOINT, read_checkpoint
    from empirical.train.logs import StepBar, speaks, write_result
    from empirical.train.loop import train

    settings = _settings(args)
    protocol = Protocol.named(args.protocol, chosen_given(args).get("stated", settings.data), settings.tau)
    settings.kind.require_protocol(protocol)
    resumed, started = (args.out / CHECKPOINT).exists(), time.perf_counter()
    with StepBar(settings.arm, 2 * settings.batch) as bar:
        shown = announced(settings.original_data_set().reading, bar)
        network = train(settings, args.out, lambda *done: shown(*done) if speaks() else None, running)
    first = speaks()
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()  # a connection closed at exit could abort the process
    if not first:
        return
    print(f"{'resumed and finished' if resumed else 'trained'} {settings.epochs} epochs: {args.out / CHECKPOINT}")
    data, device = settings.original_data_set(), next(network.parameters()).device
    kind = settings.kind
    if reason := kind.unevaluated(settings, data):
        print(f"not evaluated: {reason}")
        return
    with StepBar("probe on views", STEPS["adnce"][0]) as bar:
        view = settings.augmentation if protocol.on_views else None
        scores = kind.evaluate(network, settings, data, protocol, view, bar)
    state, seconds = read_checkpoint(args.out / CHECKPOINT), time.perf_counter() - started
    trained = Settings.from_json(state["settings"])  # a finished run may be evaluated elsewhere
    write_result(args.out, "arm", trained, scores, protocol, seconds, device, state.get("continued", ()))
    print(kind.describe(scores, protocol))


def _settings(args: Namespace) -> Settings:
    """Settings from a recipe, the options, the arm and its plan."""
    cached = preset_for(args.data) == "adapter"
    base = PRESETS["adapter"].base if cached else usual(args.modality)
    if args.recipe is not None:
        base = replace(base, **recipe(args.recipe))
    settings = replace(settings_from_arguments(args, base), arm=args.arm, seed=args.seed)
    arm = arm_named(args.arm)
    require_taken(args)
    if arm.loss is not None:
        if args.loss not in (None, arm.loss):
            raise ParameterError(f"--loss {args.loss} and --arm {args.arm} exclude each other")
        settings = replace(settings, loss=arm.loss)
    try:
        plan = Plan.load(args.plan) if args.plan else None
        remedy = pair_remedy(args.arm, plan, Given(**chosen_given(args)), settings.loss, settings.data)
    except NotApplicable as reason:
        raise ParameterError(f"--arm {args.arm} is not applicable: {reason}") from reason
    data = settings.data_set()
    if args.recipe is not None:
        check_recipe_fits(args.recipe, data.x_train.shape)
    if arm.drop in ("difficult", "random") and args.drop is None:
        raise ParameterError(f"--arm {args.arm} needs the images to leave out: --drop FILE")
    drop = read_indices(args.drop, len(data.y_train)) if args.drop else ()
    if arm.drop == "mixed":
        drop = tuple(data.mixed.nonzero().flatten().tolist())
        if not drop:
            raise ParameterError(f"--arm {args.arm} needs mixed images: --omega above 0")
    return replace(settings, remedy=remedy, drop=drop)


def read_indices(path: Path, count: int) -> tuple[int, ...]:
    """Training indices from an .npy file.

    Raises
    ------
    ParameterError
        If the file is not a vector of integers below ``count``.
    """
    import numpy as np

    from empirical.data.arrays import read_integers

    indices = read_integers("drop", path)
    inside = not len(indices) or (indices.min() >= 0 and indices.max() < count)
    require(bool(inside), "drop", path, f"indices in [0, {count - 1}]")
    return tuple(int(i) for i in np.unique(indices))


if __name__ == "__main__":
    raise SystemExit(main())

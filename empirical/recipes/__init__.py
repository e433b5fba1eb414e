"""Settings for whole data sets, with their sources: ``python -m empirical.recipes`` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from empirical.paper import STATED
from theory.checks import require, require_known
from theory.command import markdown_table


@dataclass(frozen=True)
class Recipe:
    """Settings for one data set.

    Parameters
    ----------
    side : int
        Height and width of the images, in pixels, that the settings are for.
    settings : mapping
        Fields of ``empirical.train.settings.Settings``. Every field that matters is given, so that no default
        changes a recipe. Where ``data`` is missing, the images have to be given.
    source : str
        Who states which of the numbers.
    """

    side: int
    settings: Mapping[str, Any]
    source: str


SIMCLR: dict[str, Any] = {"framework": "simclr", "loss": "nt_xent", "tau": 0.5}
RESNET18 = {"encoder": "resnet18", "width": 64, "layers": 2}
# Always with Nesterov's momentum .9, which none of the sources states: each source's note says so.
SGD = {"optimizer": "sgd", "schedule": "cosine", "weight_decay": 5e-4, "warmup": 0.0}
ADAM = {"optimizer": "adam", "schedule": "cosine", "weight_decay": 1e-6}
VIEWS = {"smallest_crop": 0.2, "jitter": 1.0, "grey": 0.1, "blur": 0.0, "resolutions": "1"}
DKOBAK = SIMCLR | RESNET18 | {"stem_stride": 1, "hidden": 1024, "dim": 128, "batch": 512} | SGD | VIEWS
ERMOLOV = SIMCLR | RESNET18 | {"stem_stride": 2, "hidden": 1024, "dim": 128, "batch": 512} | ADAM | VIEWS
STEMS = {32: 1, 64: 2, 96: 2}  # stride by the images' side
PAPER_EPOCHS = {"imagenet": 400}  # stated for ImageNet alone; Fig. 4c's axis ends at 300
OURS = (
    "The paper, appendix A.3 and A.5: image side, encoder, batch, learning rate (of the whole batch), τ; and what "
    "`--arm paper_combined` takes by itself, band, σ, ρ. Not stated, ours: optimiser (SGD, Nesterov's momentum), "
    "schedule, weight decay, warm-up, projector, stem, views"
)


def _papers(data: str) -> Recipe:
    """The paper's settings for one of its data sets, completed by ours."""
    found = STATED[data]
    shape = {"encoder": found.encoder, "width": 64, "layers": 2, "stem_stride": STEMS[found.side]}
    shape |= {"hidden": 2048 if found.encoder == "resnet50" else 512, "dim": 128}
    where = {"data": data} if data in ("cifar10", "cifar100", "stl10") else {"image_size": found.side}
    optimisation = {"tau": found.tau, "batch": found.batch, "lr": found.rate * 256 / found.batch}
    epochs = PAPER_EPOCHS.get(data, 300)
    settings = where | SIMCLR | shape | optimisation | SGD | {"epochs": epochs} | VIEWS | {"grey": 0.2}
    return Recipe(found.side, settings, f"{OURS}{'' if data in PAPER_EPOCHS else ', epochs'}.")


ADNCE_LOSS = {"cifar10": (0.4, 0.7, 0.5), "cifar100": (0.3, 0.5, 1.0), "stl10": (0.2, 0.8, 1.0)}  # τ, μ, σₐ


def _adnces(data: str) -> Recipe:
    """The settings of ADNCE's authors for images."""
    tau, mu, sigma = ADNCE_LOSS[data]
    loss = {"framework": "simclr", "loss": "adnce", "tau": tau, "adnce_mu": mu, "adnce_sigma": sigma}
    shape = {"encoder": "resnet50", "width": 64, "layers": 2, "stem_stride": 1, "hidden": 512, "dim": 128}
    optimisation = {"batch": 256, "epochs": 400, "lr": 1e-3, "warmup": 0.0, **ADAM, "schedule": "constant"}
    views = {**VIEWS, "smallest_crop": 0.08, "grey": 0.2, "blur": 0.5}
    side, size = 32, ""
    if data == "stl10":  # 96 pixels, of which the authors train on crops resized to 32
        side, views, size = 96, {**views, "resolutions": "0.3334"}, " Images are encoded at 96 pixels, as there."
    source = (
        "junkangwu/ADNCE, image/main.py, model.py, utils.py, and τ, μ, σₐ (its σ) from its README: all numbers. "
        "It normalises pixels by the data set's mean and spread, ours centres them."
    )
    return Recipe(side, {"data": data} | loss | shape | optimisation | views, source + size)


RECIPES = {
    "cifar10": Recipe(
        32,
        {"data": "cifar10"} | DKOBAK | {"epochs": 1000, "lr": 0.03},
        "dkobak/simclr-cifar10, README and script: all numbers (1000 epochs, linear 91.9 ± .1 %). Its projector has no "
        "batch norm, ours has; its momentum is plain in the versions of the script that we read, ours Nesterov's.",
    ),
    "cifar100": Recipe(
        32,
        {"data": "cifar100"} | ERMOLOV | {"stem_stride": 1, "dim": 64, "epochs": 1000, "lr": 1.5e-3, "warmup": 0.005},
        "htdt/self-supervised (Ermolov et al., ICML 2021), README and defaults of `--method contrastive`: all numbers; "
        "Adam 3e-3 at a batch of 512. It warms up for 500 steps and divides the rate by 5 at 50 and at 25 epochs "
        "before the end, we use a cosine; it puts a batch norm after the projector too.",
    ),
    "stl10": Recipe(
        96,
        {"data": "stl10"} | ERMOLOV | {"epochs": 2000, "lr": 1e-3, "warmup": 0.01},
        "htdt/self-supervised as for cifar100, with Adam 2e-3 at a batch of 512. It cuts the images to 64 "
        "pixels; its stem max-pools where ours has stride 2. The warm-up is our choice.",
    ),
    "tiny-imagenet": Recipe(
        64,
        {"image_size": 64} | ERMOLOV | {"epochs": 1000, "lr": 1e-3, "warmup": 0.0026},
        "htdt/self-supervised as for cifar100, with Adam 2e-3 at a batch of 512. Its stem max-pools where ours has "
        "stride 2.",
    ),
    "imagenet": Recipe(
        224,
        {"image_size": 224, "framework": "moco", "loss": "nt_xent", "tau": 0.2, "queue": 65536, "momentum": 0.999}
        | {"encoder": "resnet50", "width": 64, "stem_stride": 4, "hidden": 2048, "layers": 2, "dim": 128}
        | {"batch": 256, "epochs": 200, "lr": 0.03, **SGD, "weight_decay": 1e-4, **VIEWS, "grey": 0.2, "blur": 0.5},
        "facebookresearch/moco, README and defaults with `--mlp --moco-t 0.2 --aug-plus --cos`: all numbers (MoCo v2, "
        "linear 67.5 ± .1 %). Its projector has no batch norm, it shuffles keys between devices where we "
        "synchronise batch norm, and its momentum is plain, ours Nesterov's.",
    ),
    "lightly-cifar10": Recipe(
        32,
        {"data": "cifar10"} | DKOBAK | {"hidden": 512, "epochs": 200, "lr": 0.12, "smallest_crop": 0.08, "grey": 0.2},
        "lightly's CIFAR-10 benchmark, script and library defaults: all numbers; .06 per 128 images is .12 per 256 "
        "(kNN 84.8 %, the best epoch on the test set). Its momentum is plain, ours Nesterov's.",
    ),
    "dkobak-cifar10": Recipe(
        32,
        {"data": "cifar10"} | DKOBAK | {"epochs": 100, "lr": 0.06},
        "dkobak/simclr-cifar10, README and script: all numbers (100 epochs, kNN 83.2 ± .2 %, linear 85.6 ± .2 %). It "
        "differs from ours as for cifar10. Ours gave kNN 83.7 and linear 86.4 % on the test set (final epoch, one "
        "seed, standard error .4; `benchmarks/GPU.md`).",
    ),
    **{f"paper-{data}": _papers(data) for data in STATED},
    **{f"adnce-{data}": _adnces(data) for data in ADNCE_LOSS},
}


def recipe(name: str) -> dict[str, Any]:
    """Fields of ``Settings`` of the recipe with this name; ParameterError if there is none."""
    require_known("recipe", name, RECIPES)
    return dict(RECIPES[name].settings)


def check_recipe_fits(name: str, shape: Sequence[int]) -> None:
    """Refuse images of another size than the recipe's.

    Parameters
    ----------
    name : str
        One of ``RECIPES``.
    shape : sequence of int
        (N, C, H, W) of the images.

    Raises
    ------
    ParameterError
        If height or width is not the recipe's, or there is no such recipe.
    """
    require_known("recipe", name, RECIPES)
    found, (height, width) = RECIPES[name], tuple(shape)[2:]
    hint = "" if "data" in found.settings else " (give images with --data folder:PATH)"
    fits = (height, width) == (found.side, found.side)
    require(fits, "image size", f"{height}×{width}", f"{found.side}×{found.side}, that of recipe {name}{hint}")


def table() -> str:
    """All settings of all recipes as markdown, and their sources."""
    papers, adnces = ({n: r for n, r in RECIPES.items() if n.startswith(f"{kind}-")} for kind in ("paper", "adnce"))
    others = {name: found for name, found in RECIPES.items() if name not in papers and name not in adnces}
    return "\n\n".join(_table(group) for group in (others, papers, adnces))


def _table(recipes: Mapping[str, Recipe]) -> str:
    names = list(dict.fromkeys(field for found in recipes.values() for field in found.settings))
    rows = [["image side", *(str(found.side) for found in recipes.values())]]
    for field in names:
        rows.append([f"`{field}`", *(str(found.settings.get(field, "—")) for found in recipes.values())])
    sources: dict[str, list[str]] = {}
    for name, found in recipes.items():
        sources.setdefault(found.source, []).append(name)
    lines = (f"- **{', '.join(named)}**: {source}" for source, named in sources.items())
    return "\n".join([markdown_table(["setting", *recipes], rows), "", *lines])

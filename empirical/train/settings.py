"""Everything that determines a run (``Settings``), and what only determines how it is executed (``Running``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empirical.arms import ARM_NAMES, PairRemedy
from empirical.choices import (
    COUNT,
    ENCODERS,
    FRACTION,
    LOSS_NAMES,
    NOT_NEGATIVE,
    OBJECTIVE,
    POSITIVE,
    SPECTRAL,
    VIEWS,
    is_code,
    of_library,
)
from empirical.modalities.registry import IMAGES, NAMES, modality
from empirical.train.options import check_options, given, option
from theory.checks import ParameterError, Range, require, require_integer, require_known
from theory.files import add_input

if TYPE_CHECKING:  # torch; a command's help and its errors do without
    from empirical.data import DataSet
    from empirical.encoders import Network
    from empirical.losses import Objective
    from empirical.modalities.contract import Modality, View

FRAMEWORKS = ("simclr", "moco")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
LATER = (
    "skip_unreadable",
    "drop_small_classes",
    "pretrained",
    "weights",
    "modality",
    "modality_options",
)  # not in documents where they are the default
WHOLE = Range(0, whole=True)
OPEN_SHARE = Range(0, 1, above=True, below=True)


@dataclass(frozen=True)
class Settings:
    """Everything that determines a run; stored beside its result.

    Each field's meaning is its ``option`` text, which is also the commands' help. ``remedy`` is what the
    loss does to difficult pairs, ``drop`` the training images left out; ``arm`` only labels the two.

    Raises
    ------
    ParameterError
        If a field is outside its range.
    """

    data: str = option(
        "digits",
        str,
        "data",
        "digits, cifar10, cifar100, stl10, npz:PATH, folder:PATH or views:PATH (defaults: preset adapter); "
        "graphs: tu:NAME or tu:PATH; sentences: text:FILE or hf:FOLDER",
    )
    train: int | None = option(None, int, "data", "training images, a balanced subset, >= the classes (all)")
    test: int | None = option(None, int, "data", "test images, a balanced subset, >= the classes (all)")
    image_size: int | None = option(
        None, int, "data", "side in pixels to which folder images are cut, 8 to 512 (their median, at most 64)"
    )
    skip_unreadable: bool = option(
        False, bool, "data", "leave out images of a folder that cannot be read, instead of refusing it"
    )
    drop_small_classes: bool = option(
        False, bool, "data", "leave out classes with fewer than two training images that differ"
    )
    imbalance: float = option(1.0, float, "data", "largest over smallest class of a long-tailed training set", Range(1))
    omega: float = option(0.0, float, "data", "share of mixed training images", FRACTION)
    modality: str = option(
        IMAGES, str, "data", f"what samples are, and the defaults of its settings: {', '.join(NAMES)} or MODULE:CLASS"
    )
    modality_options: str = option(
        "", str, "data", "what the modality alone can be told, see docs/modalities.md: NAME=VALUE,…"
    )
    arm: str = "baseline"
    seed: int = 0
    framework: str = option("simclr", str, "loss and remedy", "what negatives are", names=FRAMEWORKS)
    queue: int = option(4096, int, "loss and remedy", "keys in MoCo's queue, at least a batch", COUNT)
    momentum: float = option(0.99, float, "loss and remedy", "momentum of MoCo's key network", FRACTION)
    encoder: str = option(
        "resnet18",
        str,
        "encoder and projector",
        f"{', '.join(ENCODERS)}, timm:NAME, torchvision:NAME or MODULE:FACTORY; gin of graphs; transformer or hf:NAME "
        "of sentences",
    )
    pretrained: bool = option(
        False, bool, "encoder and projector", "begin with the weights of the library, of timm:NAME and torchvision:NAME"
    )
    weights: str | None = option(
        None,
        str,
        "encoder and projector",
        "begin with the encoder of a file: a run's checkpoint.pt, an export, or a state dict (.pt, .pth, .safetensors)",
    )
    width: int = option(
        64, int, "encoder and projector", "channels of the first stage, or the transformer's embedding", COUNT
    )
    stem_stride: int = option(1, int, "encoder and projector", "stride of the stem: 1, 2, or 4 for large images")
    hidden: int | None = option(
        None, int, "encoder and projector", "width of the projector's hidden layers (the encoder's features)"
    )
    layers: int = option(2, int, "encoder and projector", "linear layers of the projector", COUNT)
    dim: int = option(
        128, int, "encoder and projector", "k, the projector's output width: the theory's dimension", COUNT
    )
    loss: str = option("nt_xent", str, "loss and remedy", "the loss", names=LOSS_NAMES)
    tau: float = option(0.5, float, "loss and remedy", "temperature", OBJECTIVE["tau"])
    prior: float = option(
        0.1,
        float,
        "loss and remedy",
        "τ⁺ of debiased and hcl: probability that a negative is of the anchor's class",
        OBJECTIVE["prior"],
    )
    concentration: float = option(
        1.0, float, "loss and remedy", "βₕ of hcl: how much the most alike negatives weigh", OBJECTIVE["concentration"]
    )
    adnce_mu: float = option(0.7, float, "loss and remedy", "μ, centre of adnce's weights", OBJECTIVE["adnce_mu"])
    adnce_sigma: float = option(0.5, float, "loss and remedy", "σₐ, width of adnce's weights", OBJECTIVE["adnce_sigma"])
    mochi_share: float = option(
        1 / 16, float, "loss and remedy", "share of the negatives that mochi mixes", OBJECTIVE["mochi_share"]
    )
    glofnd_share: float | None = option(
        None, float, "loss and remedy", "share of its negatives that glofnd leaves out (1/classes)", OPEN_SHARE
    )
    glofnd_start: float = option(
        0.35,
        float,
        "loss and remedy",
        "share of the epochs after which glofnd begins",
        Range(0, 1, below=True),
    )
    glofnd_rate: float = option(0.05, float, "loss and remedy", "learning rate of glofnd's thresholds", POSITIVE)
    batch: int = option(
        256, int, "optimisation", "images per step, two views each, over all devices", Range(2, whole=True)
    )
    epochs: int = option(100, int, "optimisation", "passes over the training images", COUNT)
    optimizer: str = option("sgd", str, "optimisation", "the optimiser", names=OPTIMIZERS)
    schedule: str = option("cosine", str, "optimisation", "of the learning rate", names=SCHEDULES)
    lr: float = option(
        0.06, float, "optimisation", "learning rate per 256 images, scaled linearly with the batch", POSITIVE
    )
    weight_decay: float = option(5e-4, float, "optimisation", "weight decay", NOT_NEGATIVE)
    warmup: float = option(
        0.1,
        float,
        "optimisation",
        "share of the steps over which the learning rate rises",
        Range(0, 1, below=True),
    )
    smallest_crop: float = option(
        0.2, float, "views", "smallest area of a crop as a share of the image", VIEWS["smallest_crop"]
    )
    jitter: float = option(1.0, float, "views", "strength of the colour jitter, 2 for ImageNet's", VIEWS["jitter"])
    grey: float = option(0.2, float, "views", "share of views without colour", VIEWS["grey"])
    blur: float = option(0.0, float, "views", "share of blurred views", VIEWS["blur"])
    resolutions: str = option(
        "1",
        str,
        "views",
        "their side as a share of the images', SHARE:UNTIL,… with UNTIL a share of the steps, such as .5:.6,.75:.9,1",
    )
    precision: str = option("32-true", str, "device", "of the arithmetic", names=PRECISIONS)
    compile: bool = option(False, bool, "device", "compile the network")
    accelerator: str = option("auto", str, "device", "Fabric's", names=ACCELERATORS)
    devices: int = option(1, int, "device", "devices, over all nodes", COUNT)
    remedy: PairRemedy | None = None
    drop: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        require_known("arm", self.arm, ARM_NAMES)
        require_integer("seed", self.seed, 0, 2**63 - 1)
        check_options(self)
        phases(self.resolutions)
        library = not self.pretrained or of_library(self.encoder)
        require(library, "encoder", self.encoder, "timm:NAME or torchvision:NAME, whose weights are pretrained")
        if self.pretrained and self.weights is not None:
            raise ParameterError("pretrained and weights exclude each other: a network begins with one of them")
        if self.modality_options:  # with the modality, which may be code, not before it is asked for
            require(self.modality != IMAGES, "modality_options", self.modality_options, f"none of {IMAGES}")
        if self.on_views:
            self._require_views()
        require(self.batch % self.devices == 0, "batch", self.batch, f"a multiple of devices = {self.devices}")
        if self.framework == "moco":
            # Else a batch of keys would overwrite itself.
            require(self.queue >= self.batch, "queue", self.queue, f"queue >= batch = {self.batch}")

    def _require_views(self) -> None:
        """Refuse what cached views cannot have, or have had when they were made."""
        own = self.encoder == "adapter" or is_code(self.encoder)
        require(own, "encoder", self.encoder, "adapter or MODULE:FACTORY for cached views")
        require(
            self.omega == 0, "omega", self.omega, "omega = 0 for cached views: mix when embedding (difficult embed)"
        )
        defaults = {f.name: f.default for f in fields(self) if f.name in (*VIEWS, "resolutions")}
        for name, default in defaults.items():
            value = getattr(self, name)
            require(
                value == default, name, value, f"its default {default} for cached views: give it to difficult embed"
            )

    @property
    def on_views(self) -> bool:
        """Whether the data are cached views."""
        return self.data.startswith("views:")

    @property
    def objective(self) -> Objective:
        """The loss and its parameters."""
        from empirical.losses import Objective

        return Objective(self.loss, **{name: getattr(self, name) for name in OBJECTIVE})

    @property
    def temperature(self) -> float | None:
        """τ, where the loss is one of cosines with a temperature."""
        return None if self.loss in SPECTRAL else self.tau

    @property
    def kind(self) -> Modality:
        """What the samples are."""
        return modality(self.modality)

    @property
    def augmentation(self) -> View:
        """The random views that suit the data, images at their own resolution."""
        return self.kind.view(self)

    def views(self, shape: tuple[int, ...]) -> list[tuple[float, View]]:
        """The views while training on samples of this shape, each with the share of the steps until which it holds."""
        return self.kind.views(self, shape)

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        return self.lr * self.batch / 256

    def to_json(self) -> dict[str, Any]:
        """The settings as plain data; those that earlier versions did not have only where they are not the default."""
        later = {f.name for f in fields(self) if f.name in LATER and getattr(self, f.name) == f.default}
        document = {name: value for name, value in asdict(self).items() if name not in later}
        return {**document, "drop": list(self.drop)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Settings:
        """Inverse of ``to_json``; a setting that the document does not know has its default."""
        remedy = document["remedy"]
        remedy = None if remedy is None else PairRemedy(**remedy)
        return cls(**{**document, "drop": tuple(document["drop"]), "remedy": remedy})

    def original_data_set(self) -> DataSet:
        """The data set without imbalance or mixing, as probes see it."""
        from empirical.data import unmixed

        return unmixed(self._loaded())

    def data_set(self) -> DataSet:
        """The data set as the run trains on it, but with no image left out."""
        from empirical.data import imbalanced, mix

        return mix(imbalanced(self._loaded(), self.imbalance), self.omega)

    def _loaded(self) -> DataSet:
        add_input(f"the data {self.data}", Path(self.data.partition(":")[2]))  # those of a checkpoint are no option
        return self.kind.load(self)

    def network(self, *shape: int) -> Network:
        """The network that a run begins with, for samples of this shape; of one seed it is the same.

        Parameters
        ----------
        *shape : int
            Of a sample, such as C, H and W of an image; or C alone, where H and W are not known.

        Raises
        ------
        ParameterError
            If there is no such encoder, or the weights that it is to begin with cannot be had or do not fit.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.kind.network(self, shape)

    def beginning(self, shape: Sequence[int], network: Network | None = None) -> dict[str, str]:
        """Digest of the encoder that runs begin with, if it was trained before, by what errors call it.

        Parameters
        ----------
        shape : sequence of int
            Of a sample, such as C, H and W of an image.
        network : Network, optional
            That of ``network``, if it has been made.
        """
        from empirical.encoders.weights import digest

        if not self.pretrained and self.weights is None:
            return {}
        made = network or self.network(*shape)
        return {"weights to begin with": digest(made.encoder.state_dict())}


@dataclass(frozen=True)
class Running:
    """How a run is executed; nothing here changes its final weights."""

    nodes: int = option(1, int, "device", "machines", COUNT)
    workers: int = option(0, int, "device", "processes that read images which do not fit into memory", WHOLE)
    checkpoint_every: int = option(0, int, "output", "steps between checkpoints, besides those after each epoch", WHOLE)
    track: int = option(0, int, "output", "epochs between measurements of α̂, β̂, γ̂, ε̂; 0 for none", WHOLE)
    online_probe: bool = option(False, bool, "output", "train a linear probe along; for curves only")
    tensorboard: bool = option(False, bool, "output", "write TensorBoard's event files too")
    wandb: bool = option(False, bool, "output", "write a run of Weights & Biases too; offline unless WANDB_MODE=online")

    def __post_init__(self) -> None:
        check_options(self)
        if self.wandb and find_spec("wandb") is None:
            raise ParameterError("--wandb needs wandb: pip install 'difficult-examples[wandb]'")


ALONE = Running()  # one process, nothing but checkpoints


def phases(resolutions: str) -> list[tuple[float, float]]:
    """Shares of the images' side, each with the share of the steps until which views have it.

    Parameters
    ----------
    resolutions : str
        ``SHARE:UNTIL,…``, with SHARE in (0, 1] and UNTIL growing to 1, which need not be given.

    Raises
    ------
    ParameterError
        If it is not of this form.
    """
    parts = [part.partition(":") for part in resolutions.split(",")]
    condition = "SHARE:UNTIL,…,SHARE with 0 < SHARE <= 1 and 0 < UNTIL < 1 increasing, such as .5:.6,.75:.9,1"
    try:
        shares = [float(share) for share, _, _ in parts]
        ends = [float(until) for _, _, until in parts[:-1]] + [float(parts[-1][2] or 1)]
    except ValueError:
        raise ParameterError("resolutions", resolutions, condition) from None
    increasing = all(before < after for before, after in pairwise([0.0, *ends]))
    require(all(0 < share <= 1 for share in shares), "resolutions", resolutions, condition)
    require(increasing and ends[-1] == 1, "resolutions", resolutions, condition)
    return list(zip(shares, ends, strict=True))


def learning_rate(step: int, steps: int, warmup: int, peak: float, schedule: str = "cosine") -> float:
    """Linear warm-up to ``peak``, then half a cosine down to zero, or constant."""
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def usual(named: str | None) -> Settings:
    """The settings that suit a modality where none are given; those of images where none is named."""
    return Settings() if named is None else Settings(modality=named, **modality(named).usual)


def settings_from_arguments(args: Any, base: Settings | None = None) -> Settings:
    """Settings from the options; what was not given comes from ``base``."""
    return replace(base or Settings(), **given(args, Settings))

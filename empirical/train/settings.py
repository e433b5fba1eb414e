"""Everything that determines a run (``Settings``), and what only determines how it is executed (``Running``)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from empirical.arms import ARMS, PairRemedy
from empirical.data import Images, imbalanced, load, mix
from empirical.data.augment import Augmentation, Photos, digits
from empirical.encoders import Network
from empirical.losses import LOSSES, Objective
from empirical.train.options import given, option
from theory.checks import is_finite, require, require_integer, require_known, require_share

FRAMEWORKS = ("simclr", "moco")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("32-true", "bf16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


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

    data: str = option("digits", str, "digits, cifar10, cifar100, stl10, npz:PATH or folder:PATH")
    train: int | None = option(None, int, "size of a balanced training subset (all)")
    test: int | None = option(None, int, "size of a balanced test subset (all)")
    image_size: int | None = option(None, int, "side to which folder images are cut")
    imbalance: float = option(1.0, float, "largest over smallest class of a long-tailed training set")
    omega: float = option(0.0, float, "share of mixed training images")
    arm: str = "baseline"
    seed: int = 0
    framework: str = option("simclr", str, ", ".join(FRAMEWORKS))
    queue: int = option(4096, int, "keys in MoCo's queue")
    momentum: float = option(0.99, float, "momentum of MoCo's key network")
    encoder: str = option("resnet18", str, "convnet, resnet18, resnet50, vit or MODULE:FACTORY")
    width: int = option(64, int, "channels of the first stage, or the transformer's embedding")
    stem_stride: int = option(1, int, "stride of the stem: 1, 2, or 4 for large images")
    hidden: int | None = option(None, int, "width of the projector's hidden layers (the encoder's features)")
    layers: int = option(2, int, "linear layers of the projector")
    dim: int = option(128, int, "k, the projector's output width: the theory's dimension")
    loss: str = option("nt_xent", str, ", ".join(LOSSES))
    tau: float = option(0.5, float, "temperature")
    prior: float = option(0.1, float, "τ⁺ of debiased and hcl: probability that a negative is of the anchor's class")
    concentration: float = option(1.0, float, "β of hcl")
    adnce_mu: float = option(0.7, float, "centre of adnce's weights")
    adnce_sigma: float = option(0.5, float, "width of adnce's weights")
    batch: int = option(256, int, "images per step, two views each, over all devices")
    epochs: int = option(100, int, "passes over the training images")
    optimizer: str = option("sgd", str, ", ".join(OPTIMIZERS))
    schedule: str = option("cosine", str, ", ".join(SCHEDULES))
    lr: float = option(0.06, float, "learning rate per 256 images, scaled linearly with the batch")
    weight_decay: float = option(5e-4, float, "weight decay")
    warmup: float = option(0.1, float, "share of the steps over which the learning rate rises")
    smallest_crop: float = option(0.2, float, "smallest area of a crop as a share of the image")
    jitter: float = option(1.0, float, "strength of the colour jitter")
    grey: float = option(0.2, float, "share of views without colour")
    blur: float = option(0.0, float, "share of blurred views")
    precision: str = option("32-true", str, ", ".join(PRECISIONS))
    compile: bool = option(False, bool, "compile the network")
    accelerator: str = option("auto", str, "Fabric's: auto, cpu, gpu")
    devices: int = option(1, int, "devices, over all nodes")
    remedy: PairRemedy | None = None
    drop: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name, known in (
            ("arm", ARMS),
            ("framework", FRAMEWORKS),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("accelerator", ACCELERATORS),
        ):
            require_known(name, getattr(self, name), known)
        for name in ("queue", "width", "dim", "layers", "epochs", "devices"):
            require_integer(name, getattr(self, name), 1)
        require_integer("batch", self.batch, 2)
        require_integer("seed", self.seed, 0, 2**63 - 1)
        for name in ("omega", "momentum", "grey", "blur"):
            require_share(name, getattr(self, name))
        require(self.batch % self.devices == 0, "batch", self.batch, f"a multiple of devices = {self.devices}")
        require(is_finite(self.lr) and self.lr > 0, "lr", self.lr, "lr > 0")
        require(is_finite(self.imbalance) and self.imbalance >= 1, "imbalance", self.imbalance, "imbalance >= 1")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "0 <= warmup < 1")
        decay = self.weight_decay
        require(is_finite(decay) and decay >= 0, "weight_decay", decay, "weight_decay >= 0")
        _ = self.objective, self.augmentation  # they check their own parameters
        if self.framework == "moco":
            # Else a batch of keys would overwrite itself.
            require(self.queue >= self.batch, "queue", self.queue, f"queue >= batch = {self.batch}")

    @property
    def objective(self) -> Objective:
        """The loss and its parameters."""
        return Objective(self.loss, self.tau, self.prior, self.concentration, self.adnce_mu, self.adnce_sigma)

    @property
    def augmentation(self) -> Augmentation:
        """The random views that suit the data."""
        photos = Photos(self.smallest_crop, self.jitter, self.grey, self.blur)
        return digits if self.data == "digits" else photos

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        return self.lr * self.batch / 256

    def to_json(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {**asdict(self), "drop": list(self.drop)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Settings:
        """Inverse of ``to_json``; a setting that the document does not know has its default."""
        remedy = document["remedy"]
        remedy = None if remedy is None else PairRemedy(**remedy)
        return cls(**{**document, "drop": tuple(document["drop"]), "remedy": remedy})

    def original_images(self) -> Images:
        """The data set without imbalance or mixing, as probes see it."""
        return load(self.data, self.train, self.test, self.image_size)

    def images(self) -> Images:
        """The data set as the run trains on it, but with no image left out."""
        return mix(imbalanced(self.original_images(), self.imbalance), self.omega)

    def network(self, channels: int, size: tuple[int, int] | None = None) -> Network:
        """A freshly initialised network for images of this height and width, the same for every run with this seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            shape = (self.dim, self.width, self.stem_stride, self.hidden, self.layers)
            return Network(self.encoder, channels, *shape, size=size)


@dataclass(frozen=True)
class Running:
    """How a run is executed; nothing here changes its final weights."""

    nodes: int = option(1, int, "machines")
    workers: int = option(0, int, "processes that read images which do not fit into memory")
    checkpoint_every: int = option(0, int, "steps between checkpoints, besides those after each epoch")
    track: int = option(0, int, "epochs between measurements of α̂, β̂, γ̂, ε̂ (never)")
    online_probe: bool = option(False, bool, "train a linear probe along; for curves only")
    tensorboard: bool = option(False, bool, "write TensorBoard's event files too")

    def __post_init__(self) -> None:
        require_integer("nodes", self.nodes, 1)
        for name in ("workers", "checkpoint_every", "track"):
            require_integer(name, getattr(self, name), 0)


ALONE = Running()  # one process, nothing but checkpoints


def learning_rate(step: int, steps: int, warmup: int, peak: float, schedule: str = "cosine") -> float:
    """Linear warm-up to ``peak``, then half a cosine down to zero, or constant."""
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def settings_from_arguments(args: Any, base: Settings | None = None) -> Settings:
    """Settings from the options; what was not given comes from ``base``."""
    return replace(base or Settings(), **given(args, Settings))

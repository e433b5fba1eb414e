"""One SimCLR run: ``python -m empirical.train``."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from empirical import augment
from empirical.arms import ARMS, BANDS, NotApplicable, PairRemedy, pair_remedy
from empirical.data import Images, load, mix
from empirical.encoders import ENCODERS, Network
from empirical.files import read_integers
from empirical.losses import contrastive_loss, cosine_similarities
from empirical.selection import difficult_pairs
from theory.cli import Parser, require_writable, run, write_bytes, write_json, write_text
from theory.params import ParameterError, require, require_integer, require_share
from theory.plan import Plan

CHECKPOINT = "checkpoint.pt"
PRECISIONS = ("32-true", "bf16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """Everything that determines a run; stored beside its result.

    Parameters
    ----------
    data, train, test, image_size
        See ``empirical.data.load``.
    omega : float
        Share of mixed training images.
    arm : str
        A key of ``empirical.arms.ARMS``; a label, for what it does is in ``remedy`` and ``drop``.
    seed : int
        Initial weights, order of the data and augmentation. The mixing does not depend on it.
    encoder, width, stem_stride, dim
        See ``empirical.encoders``; dim is the projector's output width, the theory's k.
    tau : float
        Temperature.
    batch, epochs : int
        Images per step (two views each); passes over the training images.
    lr : float
        Learning rate for a batch of 256, scaled linearly with the batch.
    weight_decay, warmup : float
        SGD's weight decay; share of the steps over which the learning rate rises.
    precision, accelerator, devices
        Arguments of Lightning Fabric.
    remedy : PairRemedy or None
        What the loss does to difficult pairs.
    drop : tuple of int
        Training images left out.
    """

    data: str = "digits"
    train: int | None = None
    test: int | None = None
    image_size: int | None = None
    omega: float = 0.0
    arm: str = "baseline"
    seed: int = 0
    encoder: str = "resnet18"
    width: int = 64
    stem_stride: int = 1
    dim: int = 128
    tau: float = 0.5
    batch: int = 256
    epochs: int = 100
    lr: float = 0.06
    weight_decay: float = 5e-4
    warmup: float = 0.1
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    remedy: PairRemedy | None = None
    drop: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        require(self.arm in ARMS, "arm", self.arm, "one of " + ", ".join(ARMS))
        require(self.precision in PRECISIONS, "precision", self.precision, "one of " + ", ".join(PRECISIONS))
        require(self.encoder in ENCODERS, "encoder", self.encoder, "one of " + ", ".join(ENCODERS))
        for name in ("batch", "epochs", "devices"):
            require_integer(name, getattr(self, name), 1)
        require_integer("batch", self.batch, 2)
        require_integer("seed", self.seed, 0, 2**63 - 1)
        require_integer("dim", self.dim, 1)
        require_integer("width", self.width, 1)
        require(self.stem_stride in (1, 2), "stem_stride", self.stem_stride, "1 or 2")
        require_share("omega", self.omega)
        require(self.batch % self.devices == 0, "batch", self.batch, f"a multiple of devices = {self.devices}")
        require(self.accelerator in ACCELERATORS, "accelerator", self.accelerator, "one of " + ", ".join(ACCELERATORS))
        for name in ("tau", "lr"):
            value = getattr(self, name)
            require(math.isfinite(value) and value > 0, name, value, f"{name} > 0")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "0 <= warmup < 1")
        require(
            math.isfinite(self.weight_decay) and self.weight_decay >= 0,
            "weight_decay",
            self.weight_decay,
            "weight_decay >= 0",
        )

    def to_json(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {**asdict(self), "drop": list(self.drop)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Settings:
        """Inverse of ``to_json``."""
        remedy = fields["remedy"]
        return cls(
            **{
                **fields,
                "drop": tuple(fields["drop"]),
                "remedy": None if remedy is None else PairRemedy(**remedy),
            }
        )

    def images(self) -> Images:
        """The data set, mixed but with no image left out."""
        return mix(load(self.data, self.train, self.test, self.image_size), self.omega)

    def network(self, channels: int) -> Network:
        """A freshly initialised network, the same for every run with this seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Network(self.encoder, channels, self.dim, self.width, self.stem_stride)


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up to ``peak``, then half a cosine down to zero."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def train(settings: Settings, out: Path, progress: Progress | None = None) -> Network:
    """Train one network; go on from the last finished epoch if ``out`` has a checkpoint.

    Every arm takes as many steps as the whole training set gives, also where images are left out.

    Parameters
    ----------
    settings : Settings
    out : Path
        Folder for settings.json, metrics.csv and checkpoint.pt.
    progress : callable, optional
        Called with (epochs done, epochs) once the settings are checked and after every epoch.

    Returns
    -------
    Network
        The network after the last epoch.

    Raises
    ------
    ParameterError
        If ``out`` holds a run with other settings, or the data do not fit the settings.
    """
    images = settings.images()
    keep = np.setdiff1d(np.arange(len(images.y_train)), np.array(settings.drop, dtype=np.int64))
    size = len(keep)
    require(settings.batch <= size, "batch", settings.batch, f"batch <= {size}, the training images")
    require(
        settings.dim < len(images.y_train), "dim", settings.dim, f"dim < {len(images.y_train)}, the training images"
    )
    fabric = make_fabric(settings)
    require_writable(out / CHECKPOINT)
    fabric.launch()
    device = fabric.device
    x_train = images.x_train[torch.from_numpy(keep)].to(device)
    network = settings.network(x_train.shape[1]).to(device)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.lr, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay
    )
    done, metrics = _resume(out, settings, network, optimizer)
    if fabric.is_global_zero:
        write_json(out / "settings.json", settings.to_json())
    model, optimizer = fabric.setup(network.to(memory_format=torch.channels_last), optimizer)

    view = augment.for_data(settings.data)
    local = settings.batch // settings.devices
    per_epoch = len(images.y_train) // settings.batch
    steps = per_epoch * settings.epochs
    warmup = round(settings.warmup * steps)
    peak = settings.lr * settings.batch / 256
    if progress is not None:
        progress(done, settings.epochs)
    for epoch in range(done, settings.epochs):
        started = time.perf_counter()
        model.train()
        # Seeded anew for every epoch, so that a resumed run needs no generator's state from any device.
        views = torch.Generator(device).manual_seed(_mixed(settings.seed, epoch, 1 + fabric.global_rank))
        order = torch.Generator().manual_seed(_mixed(settings.seed, epoch, 0))
        # Where images are left out, the epoch goes on with a new order, so that all arms take as many steps.
        passes = [torch.randperm(size, generator=order) for _ in range(math.ceil(per_epoch * settings.batch / size))]
        permutation = torch.cat(passes)
        total = torch.zeros(2, device=device)
        for index in range(per_epoch):
            rate = learning_rate(epoch * per_epoch + index, steps, warmup, peak)
            for group in optimizer.param_groups:
                group["lr"] = rate
            first = index * settings.batch + fabric.global_rank * local
            x = x_train[permutation[first : first + local].to(device)]
            two_views = torch.cat([view(x, views), view(x, views)])
            h, z = model(two_views.contiguous(memory_format=torch.channels_last))
            loss, flagged = batch_loss(gather(fabric, h), gather(fabric, z), settings.tau, settings.remedy)
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            total += torch.stack([loss.detach(), flagged])
        mean_loss, share = (total / per_epoch).tolist()
        if not math.isfinite(mean_loss):
            raise ParameterError(f"the loss became {mean_loss} in epoch {epoch + 1}; lower lr = {settings.lr}")
        seconds = time.perf_counter() - started
        metrics.append(
            {
                "epoch": epoch + 1,
                "loss": mean_loss,
                "flagged_share": share,
                "learning_rate": rate,
                "views_per_second": 2 * per_epoch * settings.batch / seconds,
            }
        )
        if fabric.is_global_zero:
            _save(out, settings, network, optimizer, metrics)
        if progress is not None:
            progress(epoch + 1, settings.epochs)
    return network


def _mixed(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def make_fabric(settings: Settings) -> Fabric:
    """Lightning Fabric for the settings; ParameterError if this machine has no such devices."""
    try:
        return Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            precision=settings.precision,  # type: ignore[arg-type]
        )
    except Exception as error:  # Fabric raises many kinds, with messages of several lines
        reason = str(error).splitlines()[0]
        raise ParameterError(f"no {settings.devices} × {settings.accelerator} on this machine: {reason}") from error


def batch_loss(h: Tensor, z: Tensor, tau: float, remedy: PairRemedy | None) -> tuple[Tensor, Tensor]:
    """Loss of a batch and the share of its pairs that were flagged.

    Parameters
    ----------
    h, z : Tensor
        Pre-projector and projector features, shape (2B, ·); rows i and i + B are views of image i.
    """
    similarities = cosine_similarities(z)
    if remedy is None:
        return contrastive_loss(similarities, tau), torch.zeros((), device=z.device)
    flagged = difficult_pairs(h, remedy.pos_high, remedy.pos_low)
    loss = contrastive_loss(similarities, tau, flagged, remedy.sigma, remedy.rho, remedy.remove)
    return loss, flagged.sum() / (len(h) * (len(h) - 2))


def gather(fabric: Fabric, features: Tensor) -> Tensor:
    """Features of all devices with their gradients, first views before second ones, shape (2B, ·)."""
    if fabric.world_size == 1:
        return features
    everywhere = fabric.all_gather(features, sync_grads=True)
    assert isinstance(everywhere, Tensor)
    devices, rows, width = everywhere.shape
    per_view = everywhere.reshape(devices, 2, rows // 2, width)
    return per_view.transpose(0, 1).reshape(-1, width)


# --- checkpoints -----------------------------------------------------------------------------------


def _save(
    out: Path,
    settings: Settings,
    network: Network,
    optimizer: Any,
    metrics: list[dict[str, float]],
) -> None:
    keys = list(metrics[0])
    rows = [",".join(keys)] + [",".join(f"{row[key]:.8g}" for key in keys) for row in metrics]
    write_text(out / "metrics.csv", "\n".join(rows) + "\n")
    state = {
        "settings": settings.to_json(),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "metrics": metrics,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(out / CHECKPOINT, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint written by ``train``; ParameterError if it is not one."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ParameterError(f"{path} is not a checkpoint of empirical.train") from error
    known = isinstance(state, dict) and {"settings", "network", "metrics"} <= set(state)
    require(known, "checkpoint", path, "a checkpoint of empirical.train")
    return dict(state)


def load_network(path: Path) -> tuple[Settings, Network]:
    """Settings and network of a checkpoint, in evaluation mode on the CPU."""
    state = read_checkpoint(path)
    try:
        settings = Settings.from_json(state["settings"])
        network = settings.network(channels_of(state["network"]))
        network.load_state_dict(state["network"])
    except (KeyError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
        raise ParameterError(f"{path} is not a checkpoint of this version of empirical.train") from error
    return settings, network.eval()


def channels_of(weights: dict[str, Tensor]) -> int:
    """Colour channels that a network with these weights takes."""
    return int(next(w.shape[1] for w in weights.values() if w.ndim == 4))


def _resume(
    out: Path,
    settings: Settings,
    network: Network,
    optimizer: torch.optim.Optimizer,
) -> tuple[int, list[dict[str, float]]]:
    path = out / CHECKPOINT
    if not path.exists():
        return 0, []
    state = read_checkpoint(path)
    before, now = state["settings"], settings.to_json()
    for name in now:
        same = before.get(name) == now[name]
        short = "other images" if name == "drop" else f"{before.get(name)}"
        require(same, name, now[name] if name != "drop" else "…", f"the settings of the run in {out}: {short}")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    metrics = list(state["metrics"])
    return len(metrics), metrics


# --- command line ----------------------------------------------------------------------------------


def add_run_arguments(parser: Parser) -> None:
    """Options that ``train`` and ``compare`` share; their defaults are those of ``Settings``."""
    kinds = {"data": str, "train": int, "test": int, "image_size": int, "encoder": str, "width": int}
    kinds |= {"stem_stride": int, "dim": int, "tau": float, "batch": int, "epochs": int, "lr": float}
    kinds |= {"weight_decay": float, "warmup": float, "precision": str, "accelerator": str, "devices": int}
    text = {
        "data": "digits, npz:PATH or folder:PATH",
        "train": "size of a balanced training subset (all)",
        "test": "size of a balanced test subset (all)",
        "image_size": "side to which folder images are cut",
        "encoder": ", ".join(ENCODERS),
        "width": "channels of the first stage",
        "stem_stride": "1, or 2 for speed",
        "dim": "k, the projector's output width",
        "tau": "temperature",
        "batch": "images per step",
        "epochs": "passes over the data",
        "lr": "learning rate per 256 images",
        "weight_decay": "weight decay",
        "warmup": "share of the steps",
        "precision": ", ".join(PRECISIONS),
        "accelerator": "Fabric's: auto, cpu, gpu",
        "devices": "number of devices",
    }
    for name, kind in kinds.items():
        default = getattr(Settings, name)
        suffix = "" if default is None else f" ({default})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text[name] + suffix)


def settings_from_arguments(args: Any, base: Settings | None = None) -> Settings:
    """Settings from the shared options; what was not given comes from ``base``."""
    base = base or Settings()
    names = set(Settings.__dataclass_fields__) - {"drop", "remedy"}
    given: dict[str, Any] = {name: value for name, value in vars(args).items() if name in names and value is not None}
    return replace(base, **given)


def epoch_bar(description: str) -> Progress:
    """A callback that shows a progress bar over epochs from its first call on."""
    from tqdm import tqdm

    bars: list[Any] = []

    def move(done: int, epochs: int) -> None:
        if not bars:
            bars.append(tqdm(total=epochs, desc=description, unit="epoch"))
        bars[0].update(done - bars[0].n)
        if done == epochs:
            bars[0].close()

    return move


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m empirical.train``."""
    return run(_command, argv, resumable=True)


def _command(argv: Sequence[str] | None) -> None:
    parser = Parser(prog="python -m empirical.train", description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("--omega", type=float, help="share of mixed training images (0)")
    parser.add_argument("--arm", choices=list(ARMS), default="baseline", help="remedy (baseline)")
    parser.add_argument("--seed", type=int, help="seed (0)")
    parser.add_argument("--plan", type=Path, help="plan with the remedy's values (from theory.bounds)")
    parser.add_argument("--band", choices=BANDS, default="theory", help="the selector's band (theory)")
    parser.add_argument("--drop", type=Path, help=".npy of training indices to leave out (from empirical.profile)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    args = parser.parse_args(argv)
    plan = Plan.load(args.plan) if args.plan else None
    settings = settings_from_arguments(args)
    try:
        remedy = pair_remedy(args.arm, plan, args.band)
    except NotApplicable as reason:
        raise ParameterError(f"arm = {args.arm} is not applicable: {reason}") from reason
    count = len(settings.images().y_train)
    dropped = ARMS[args.arm].drop
    if dropped in ("difficult", "random"):
        require(args.drop is not None, "arm", args.arm, "the images to leave out (--drop FILE)")
    drop = read_indices(args.drop, count) if args.drop else ()
    if dropped == "mixed":
        drop = tuple(settings.images().mixed.nonzero().flatten().tolist())
        require(bool(drop), "omega", settings.omega, "omega > 0 for the arm mixed_removal")
    settings = replace(settings, remedy=remedy, drop=drop)
    resumed = (args.out / CHECKPOINT).exists()
    train(settings, args.out, epoch_bar(settings.arm))
    print(f"{'resumed and finished' if resumed else 'trained'} {settings.epochs} epochs: {args.out / CHECKPOINT}")


def read_indices(path: Path, count: int) -> tuple[int, ...]:
    """Training indices from an .npy file.

    Raises
    ------
    ParameterError
        If the file is not a vector of integers below ``count``.
    """
    indices = read_integers("drop", path)
    inside = not len(indices) or (indices.min() >= 0 and indices.max() < count)
    require(bool(inside), "drop", path, f"indices in [0, {count - 1}]")
    return tuple(int(i) for i in np.unique(indices))


if __name__ == "__main__":
    raise SystemExit(main())

"""Training against its peers: time and memory of the losses, random views, parts of a training step, whole epochs.

Run as ``python benchmarks/train.py losses [--sizes 256,512] [--device cuda] [--json FILE]`` (all sizes: about five
minutes on one core) and ``python benchmarks/train.py step [--precision bf16-mixed] [--device cuda] [--json FILE]``.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # before this file's folder, whose theory.py is no package

import numpy as np
import torch
from torch import Tensor

from benchmarks.theory import Rows, machine, print_table
from empirical.arms import PairRemedy
from empirical.data import batches
from empirical.data.augment import to_float
from empirical.losses import LOSSES, ContrastiveLoss, Objective
from empirical.train.loop import batch_loss, train
from empirical.train.parts import make_fabric, make_optimizer
from empirical.train.selectors import BandSelector
from empirical.train.settings import Settings
from empirical.train.simclr import SimCLR
from theory.checks import ParameterError, require
from theory.command import Parser, output, run
from theory.files import write_json

SCHEMA = "difficult-examples/benchmark-train/1"
SIZES = (256, 512, 1024, 2048, 4096)  # images, with two views each
FEATURES = 128  # of the encoder: a narrow ResNet's
BAND = {"pos_high": 0.1, "pos_low": 0.1058}
REMEDIES: dict[str, dict[str, Any]] = {
    "margin": {"sigma": 0.1},
    "temperature": {"rho": 0.8},
    "combined": {"sigma": 0.1, "rho": 0.8},
    "pair_removal": {"remove": True},
}
PEERS = ("lightly", "metric_learning")
CUBIC_LIMIT = 256  # images up to which pytorch-metric-learning's (2B)³ numbers fit a small machine
SELECTED_SIZE = 512  # images at which the target for selection holds

Step = Callable[[], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = Parser("python benchmarks/train.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    losses = commands.add_parser("losses", help="forward and backward pass of every loss beside its peers")
    losses.add_argument("--sizes", default=",".join(map(str, SIZES)), help="images per batch, separated by commas")
    losses.add_argument("--dims", default="128,32", help="widths of the projector, separated by commas")
    losses.add_argument("--device", default="cpu", help="cpu or cuda")
    losses.add_argument("--repeats", type=int, default=7, help="of every measurement, in turns")
    losses.set_defaults(measure=measure_losses, packages=("lightly", "pytorch-metric-learning"))
    steps = commands.add_parser("step", help="a training step taken apart, and epochs beside lightly's loop")
    steps.add_argument("--batch", type=int, default=256, help="images per step, two views each")
    steps.add_argument("--width", type=int, default=16, help="channels of ResNet-18's first stage")
    steps.add_argument("--stem-stride", type=int, default=2, help="stride of its stem")
    steps.add_argument("--dim", type=int, default=32, help="width of the projector")
    steps.add_argument("--side", type=int, default=32, help="height and width of the (random) images")
    steps.add_argument("--precision", default="32-true", help="32-true or bf16-mixed, of both loops")
    steps.add_argument("--compile", action="store_true", help="compile our network")
    steps.add_argument("--device", default="cpu", help="cpu or cuda")
    steps.add_argument("--threads", type=int, default=1, help="of torch on the CPU")
    steps.add_argument("--workers", type=int, default=0, help="processes of lightly's loader")
    steps.add_argument("--steps", type=int, default=8, help="of an epoch")
    steps.add_argument("--repeats", type=int, default=5, help="of every measurement, in turns")
    steps.set_defaults(measure=measure_steps, packages=("lightly", "lightning-fabric"))
    for command in (losses, steps):
        command.add_argument("--json", type=output, help="write everything to this file")
    return run(parser, _command, argv)


def _command(args: Namespace) -> None:
    start = perf_counter()
    versions = {package: version(package) for package in ("torch", *args.packages)}
    gpu = {"gpu": torch.cuda.get_device_name()} if args.device == "cuda" and torch.cuda.is_available() else {}
    document: dict[str, Any] = {"schema": SCHEMA, "command": args.command, "machine": {**machine(), **versions, **gpu}}
    print("  ".join(f"{name}: {value}" for name, value in document["machine"].items()))
    document |= args.measure(args)
    print("\nTargets")
    print_table(document["targets"])
    print(f"\n{perf_counter() - start:.0f} s")
    if args.json:
        write_json(args.json, document)


def integers(name: str, text: str) -> list[int]:
    """Positive integers separated by commas."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(name, text, "integers separated by commas") from None
    require(min(numbers) > 0, name, text, "integers > 0")
    return numbers


# --- losses ----------------------------------------------------------------------------------------


def measure_losses(args: Any) -> dict[str, Any]:
    """Every loss at every size and projector width: rows of the table and the targets."""
    sizes, dims = integers("sizes", args.sizes), integers("dims", args.dims)
    require(args.repeats >= 1, "repeats", args.repeats, "repeats >= 1")
    available = args.device == "cpu" or (args.device == "cuda" and torch.cuda.is_available())
    require(available, "device", args.device, "cpu, or cuda where there is one")
    rows: Rows = []
    for dim in dims:
        for images in sizes:
            part = compare_losses(images, dim, args.device, args.repeats)
            rows += part
            print(f"\n{images} images, {dim} projections; ratios are to lightly's NT-Xent and to ours")
            print_table(part)
    return {"losses": rows, "targets": loss_targets(rows)}


def compare_losses(images: int, dim: int, device: str, repeats: int) -> Rows:
    """Time and peak memory of every loss at one size."""
    names = ["nt_xent", *PEERS, *REMEDIES, *(name for name in LOSSES if name != "nt_xent")]
    if images > CUBIC_LIMIT:
        names.remove("metric_learning")
    # A fresh process each: memory of another measurement, given back or not, would hide what this one needs.
    seconds = in_process(loss_seconds, names, images, dim, device, repeats)
    peaks = [in_process(loss_peak, name, images, dim, device) for name in names]
    time, peak = dict(zip(names, seconds, strict=True)), dict(zip(names, peaks, strict=True))
    return [
        {
            "loss": name,
            "images": images,
            "dim": dim,
            "ms": 1e3 * time[name],
            "time / lightly": time[name] / time["lightly"],
            "time / nt_xent": time[name] / time["nt_xent"],
            "MB": peak[name] / 1e6,
            "memory / lightly": peak[name] / peak["lightly"],
        }
        for name in names
    ]


def loss_step(name: str, images: int, dim: int, device: str) -> Step:
    """One forward and backward pass on random embeddings."""
    generator = torch.Generator().manual_seed(0)

    def random(width: int) -> Tensor:
        return torch.randn(images, width, generator=generator).to(device)

    z = random(dim).requires_grad_(), random(dim).requires_grad_()
    # Non-negative features, after a ReLU and pooling: like an encoder's, their cosines are all positive.
    h = random(FEATURES).relu_(), random(FEATURES).relu_()
    loss = build_loss(name)
    features = h if name in REMEDIES else ()

    def step() -> None:
        for view in z:
            view.grad = None
        loss(*z, *features).backward()

    return step


def build_loss(name: str) -> Callable[..., Tensor]:
    """A loss of two tensors of projections, and of features where pairs are selected."""
    loss: Callable[..., Tensor]
    if name == "lightly":
        from lightly.loss import NTXentLoss

        loss = NTXentLoss(temperature=0.5)
    elif name == "metric_learning":
        from pytorch_metric_learning import losses

        loss = losses.SelfSupervisedLoss(losses.NTXentLoss(temperature=0.5))
    elif name in REMEDIES:
        loss = ContrastiveLoss(**REMEDIES[name], **BAND)
    else:
        loss = ContrastiveLoss(Objective(name))
    return loss


def loss_seconds(names: Sequence[str], images: int, dim: int, device: str, repeats: int) -> list[float]:
    """Median time of each loss; they take turns, so that a slow moment of the machine meets all of them."""
    steps = [loss_step(name, images, dim, device) for name in names]
    times: list[list[float]] = [[] for _ in names]
    for turn in range(repeats + 1):
        for step, measured in zip(steps, times, strict=True):
            synchronise(device)
            started = perf_counter()
            step()
            synchronise(device)
            if turn:  # the first is a warm-up
                measured.append(perf_counter() - started)
    return [median(measured) for measured in times]


def loss_peak(name: str, images: int, dim: int, device: str) -> int:
    """Bytes that one pass needs at its peak, beyond what was there before."""
    loss_step(name, 8, dim, device)()  # libraries load
    step = loss_step(name, images, dim, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    # What the system has seen of the process: allocations of torch and numpy alike.
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Resident bytes of this process, now (VmRSS) or at most (VmHWM); Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def loss_targets(rows: Rows) -> Rows:
    """What the package promises, beside what was measured."""
    limits = [("time / lightly", row, 1.0) for row in rows if row["loss"] == "nt_xent"]
    limits += [("memory / lightly", row, 1.0) for row in rows if row["loss"] == "nt_xent"]
    selected = [row for row in rows if row["images"] == SELECTED_SIZE and row["loss"] in REMEDIES]
    limits += [("time / nt_xent", row, 2.0) for row in selected]
    return [
        {
            "target": f"{row['loss']}, {row['images']} images, {row['dim']} wide: {column}",
            "measured": row[column],
            "limit": f"<= {limit:g}",
            "met": row[column] <= limit,
        }
        for column, row, limit in limits
    ]


# --- steps -----------------------------------------------------------------------------------------


def measure_steps(args: Any) -> dict[str, Any]:
    """A training step taken apart, and whole epochs beside lightly's loop."""
    cuda = args.device == "cuda"
    require(not cuda or torch.cuda.is_available(), "device", args.device, "cpu, or cuda where there is one")
    torch.set_num_threads(args.threads)
    base = Settings(
        batch=args.batch,
        width=args.width,
        stem_stride=args.stem_stride,
        dim=args.dim,
        precision=args.precision,
        accelerator="gpu" if cuda else "cpu",
        compile=args.compile,
        epochs=1,
        lr=0.24,
        tau=0.2,
    )
    combined = PairRemedy(sigma=0.1, rho=0.9, **BAND)
    x = torch.randint(0, 256, (args.steps * args.batch, 3, args.side, args.side), dtype=torch.uint8)
    parts = [
        {"arm": arm, **step_parts(replace(base, remedy=remedy), x, args.repeats)}
        for arm, remedy in (("baseline", None), ("combined", combined))
    ]
    for row in parts:
        row["all but encoder"] = 1 - row["encoder"] / row["step"]
    print(f"\nMilliseconds of a step of {2 * args.batch} views")
    print_table(parts)
    views = view_times(base, x[: args.batch], args.repeats)
    print("\nMicroseconds of a view")
    print_table(views)
    speeds = epoch_speeds(base, combined, x, args.repeats, args.workers)
    print("\nViews per second over whole epochs, ratios to lightly's loop")
    print_table(speeds)
    by_arm = {row["loop"]: row for row in speeds}
    limits = [
        ("views / torchvision", views[1]["us"] / views[0]["us"], ">=", 5.0),
        ("all but the encoder", parts[0]["all but encoder"], "<=", 0.15 if cuda else 0.20),
        ("step with selection / without", parts[1]["step"] / parts[0]["step"], "<=", 1.15),
        ("throughput / lightly", by_arm["baseline"]["ratio"], ">=", 3.0 if cuda else 1.5),
    ]
    targets = [
        {
            "target": name,
            "measured": value,
            "limit": f"{sign} {limit:g}",
            "met": value <= limit if sign == "<=" else value >= limit,
        }
        for name, value, sign, limit in limits
    ]
    return {"settings": base.to_json(), "parts": parts, "views": views, "speeds": speeds, "targets": targets}


def step_parts(settings: Settings, x: Tensor, repeats: int) -> dict[str, float]:
    """Median milliseconds of the parts of a step; encoder and loss are cut apart at the features."""
    fabric = make_fabric(settings)
    network = settings.network(x.shape[1]).to(fabric.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(settings, network)
    model, optimizer = fabric.setup(torch.compile(network) if settings.compile else network, optimizer)
    framework = SimCLR(fabric, _Detached(fabric, model), settings.remedy, settings.objective)
    selector = BandSelector(settings.remedy)
    view, generator = settings.augmentation, torch.Generator(fabric.device)
    order = torch.randperm(len(x)).split(settings.batch)
    x = x.to(fabric.device)
    measured: dict[str, list[float]] = {}
    for turn in range(repeats + 2):
        clock = Clock(str(fabric.device.type))
        (images,) = batches(x, order[turn % len(order) :][:1], fabric.device)
        clock.mark("data")
        first, second = view(images, generator), view(images, generator)
        clock.mark("augmentation")
        pairs = framework.pairs(first, second)
        clock.mark("pairs")
        flags = selector.flags(pairs, order[turn % len(order)], 0, 0)
        loss, _ = batch_loss(pairs, settings.objective, settings.remedy, flags)
        loss.backward()
        clock.mark("loss")
        optimizer.zero_grad()
        framework.model.backward()
        clock.mark("encoder")
        optimizer.step()
        clock.mark("optimiser")
        times = clock.times
        forward = framework.model.seconds
        times["encoder"] += forward
        times["selection + loss"] = times.pop("pairs") - forward + times.pop("loss")
        times["step"] = sum(times.values())
        for name, seconds in times.items():
            if turn > 1:  # the first ones warm up
                measured.setdefault(name, []).append(1e3 * seconds)
    return {name: median(values) for name, values in measured.items()}


class _Detached:
    """A network whose outputs are leaves, so that its own forward and backward passes can be timed alone."""

    def __init__(self, fabric: Any, model: Any) -> None:
        self.fabric, self.model, self.seconds = fabric, model, 0.0

    def __call__(self, views: Tensor) -> tuple[Tensor, Tensor]:
        synchronise(views.device.type)
        started = perf_counter()
        self.h, self.z = self.model(views)
        synchronise(views.device.type)
        self.seconds = perf_counter() - started
        self.leaf = self.z.detach().requires_grad_()
        return self.h.detach(), self.leaf

    def backward(self) -> None:
        """Send the loss's gradient through the network."""
        self.fabric.backward(self.z, self.leaf.grad)


class Clock:
    """Seconds between marks, with the device's work done at each."""

    def __init__(self, device: str) -> None:
        self.device, self.times = device, dict[str, float]()
        synchronise(device)
        self.last = perf_counter()

    def mark(self, name: str) -> None:
        """End the part that is called so."""
        synchronise(self.device)
        now = perf_counter()
        self.times[name], self.last = now - self.last, now


def view_times(settings: Settings, x: Tensor, repeats: int) -> list[dict[str, Any]]:
    """Median time of a view, of batches on the device and of torchvision's transforms of one image after the other."""
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(x.shape[-1], (settings.smallest_crop, 1)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(*[0.4 * settings.jitter] * 3, 0.1 * settings.jitter)], p=0.8),
            v2.RandomGrayscale(settings.grey),
        ]
    )
    device = torch.device("cuda" if settings.accelerator == "gpu" else "cpu")
    generator, images, singles = torch.Generator(device), x.to(device), to_float(x)
    makers: dict[str, Callable[[], Any]] = {
        "ours": lambda: settings.augmentation(images, generator),
        "torchvision": lambda: [transform(image) for image in singles],
    }
    measured: dict[str, list[float]] = {name: [] for name in makers}
    for turn in range(repeats + 1):
        for name, make in makers.items():
            synchronise(device.type)
            started = perf_counter()
            make()
            synchronise(device.type)
            if turn:
                measured[name].append(perf_counter() - started)
    return [{"views": name, "us": 1e6 * median(times) / len(x)} for name, times in measured.items()]


def epoch_speeds(settings: Settings, remedy: PairRemedy, x: Tensor, repeats: int, workers: int) -> list[dict[str, Any]]:
    """Views per second of ``train`` and of lightly's SimCLR loop, taking turns over whole epochs."""
    arms = {"baseline": settings, "combined": replace(settings, remedy=remedy)}
    loops: dict[str, Callable[[], float]] = {name: partial(our_speed, s, x) for name, s in arms.items()}
    loops["lightly"] = partial(lightly_speed, settings, x, workers)
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(repeats + 1):
        for name, loop in loops.items():
            speed = loop()
            if turn:
                found[name].append(speed)
    peer = median(found["lightly"])
    return [{"loop": name, "views/s": median(speeds), "ratio": median(speeds) / peer} for name, speeds in found.items()]


def our_speed(settings: Settings, x: Tensor) -> float:
    """Views per second of one epoch of ``train``, as it reports them itself."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        y = np.arange(len(x)) % 10
        pixels = x.permute(0, 2, 3, 1).numpy()
        np.savez(path, x_train=pixels, y_train=y, x_test=pixels[:10], y_test=y[:10])
        out = Path(folder) / "run"
        train(replace(settings, data=f"npz:{path}"), out)
        return float((out / "metrics.csv").read_text().splitlines()[-1].rsplit(",", 1)[1])


class _Pictures:
    """A data set of pictures, as torchvision's are: each is transformed when it is asked for."""

    def __init__(self, pictures: list[Any], transform: Callable[[Any], Any]) -> None:
        self.pictures, self.transform = pictures, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(self.pictures[index]), index % 10


class LightlyLoop:
    """A plain SimCLR loop with lightly's transform, collation and loss, and our network.

    Parameters
    ----------
    settings : Settings
    x : Tensor
        uint8 images, shape (N, C, H, W).
    workers : int
        Processes of the loader.
    """

    def __init__(self, settings: Settings, x: Tensor, workers: int = 0) -> None:
        from lightly.loss import NTXentLoss
        from lightly.transforms import SimCLRTransform
        from torch.utils.data import DataLoader
        from torchvision.transforms.functional import to_pil_image

        transform = SimCLRTransform(input_size=x.shape[-1], min_scale=settings.smallest_crop, gaussian_blur=0.0)
        dataset = _Pictures([to_pil_image(image) for image in x], transform)
        self.loader = DataLoader(
            dataset, settings.batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
        )
        self.device = torch.device("cuda" if settings.accelerator == "gpu" else "cpu")
        self.network = settings.network(x.shape[1]).to(self.device)
        self.criterion = NTXentLoss(temperature=settings.tau)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), lr=settings.peak_rate, momentum=0.9, weight_decay=settings.weight_decay
        )
        self.half = torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bf16-mixed")

    def step(self, batch: Any) -> int:
        """One step on a batch of the loader's; its number of views."""
        first, second = (view.to(self.device, non_blocking=True) for view in batch[0])
        with self.half:
            z0, z1 = self.network(first)[1], self.network(second)[1]
        self.criterion(z0.float(), z1.float()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return 2 * len(first)


def lightly_speed(settings: Settings, x: Tensor, workers: int) -> float:
    """Views per second of one epoch of ``LightlyLoop``."""
    loop = LightlyLoop(settings, x, workers)
    if workers:
        next(iter(loop.loader))  # start the workers outside the clock
    synchronise(loop.device.type)
    started = perf_counter()
    seen = sum(loop.step(batch) for batch in loop.loader)
    synchronise(loop.device.type)
    return seen / (perf_counter() - started)


# --- helpers ---------------------------------------------------------------------------------------


def synchronise(device: str) -> None:
    """Wait until the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call in a process of its own, forked before this one has used threads or a GPU."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(partial(function, *arguments))


if __name__ == "__main__":
    raise SystemExit(main())

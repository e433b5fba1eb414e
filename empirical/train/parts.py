"""The parts of a run: devices, network, optimiser, framework, order and seeds of the steps, and requests to stop."""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.accelerators.cuda import CUDAAccelerator
from lightning_fabric.accelerators.mps import MPSAccelerator
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from empirical.data import DataSet, take
from empirical.data.sources import CachedViews, ImageFiles
from empirical.encoders import Network, memory_format, weights_of
from empirical.modalities import NAMES
from empirical.train.batchnorm import synchronised
from empirical.train.logs import say
from empirical.train.moco import MoCo
from empirical.train.settings import ALONE, Running, Settings
from empirical.train.simclr import SimCLR
from theory.checks import ParameterError, require
from theory.engine import end_with_parent, stoppable
from theory.memory import require_memory

SCALED: Literal["16-mixed"] = "16-mixed"  # the precision whose loss is scaled
BatchNorm = nn.modules.batchnorm._BatchNorm
AGREE_EVERY = 16  # steps after which several devices ask each other whether to stop

# --- parts of a run --------------------------------------------------------------------------------


def make_fabric(settings: Settings, running: Running = ALONE) -> Fabric:
    """Lightning Fabric for the settings; ParameterError if this machine has no such devices."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would write into the progress bar
    per_node, rest = divmod(settings.devices, running.nodes)
    require(rest == 0, "devices", settings.devices, f"a multiple of nodes = {running.nodes}")
    _require_launcher(settings.devices, per_node)
    try:
        return Fabric(
            accelerator=settings.accelerator, devices=per_node, num_nodes=running.nodes, **_precision(settings)
        )
    except Exception as error:  # Fabric raises many kinds, with messages of several lines
        reason = str(error).splitlines()[0]
        raise ParameterError(f"no {settings.devices} × {settings.accelerator} on this machine: {reason}") from error


def _require_launcher(devices: int, per_node: int) -> None:
    """Refuse what a launcher cannot have set for this run: the process would wait for others or leave writing to them.

    With one device Fabric ignores these variables.
    """
    left_over = "a launcher such as torchrun sets it, without one unset it"
    for name, count in (("RANK", devices), ("LOCAL_RANK", per_node)):
        found = os.environ.get(name, "0")
        inside = found.isascii() and found.isdecimal() and len(found) < 10 and int(found) < count
        require(inside, name, found or "''", f"an integer in [0, {count - 1}], for devices = {devices}: {left_over}")
    started = os.environ.get("WORLD_SIZE", str(devices))
    require(started == str(devices), "devices", devices, f"devices = WORLD_SIZE = {started}: {left_over}")
    if devices > 1 and "LOCAL_RANK" in os.environ:
        others = "MASTER_PORT" in os.environ
        require(others, "LOCAL_RANK", os.environ["LOCAL_RANK"], f"a MASTER_PORT beside it: {left_over}")


def _precision(settings: Settings) -> dict[str, Any]:
    """Fabric's argument; on a CPU it would take bfloat16 for float16."""
    if settings.precision != SCALED:
        return {"precision": settings.precision}
    here = next(
        (name for name, kind in (("cuda", CUDAAccelerator), ("mps", MPSAccelerator)) if kind.is_available()), "cpu"
    )
    device = here if settings.accelerator in ("auto", "gpu") else settings.accelerator
    return {"plugins": MixedPrecision(SCALED, device)}


def scaler_of(fabric: Fabric) -> torch.amp.GradScaler | None:
    """What scales the loss, where the precision needs that."""
    return getattr(fabric.strategy.precision, "scaler", None)


def launched(fabric: Fabric, settings: Settings) -> Fabric:
    """With the other processes started and connected, which end with the first; ParameterError if that fails."""
    try:
        fabric.launch()
    except Exception as error:  # sockets and process groups fail in many ways, with messages of several lines
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ParameterError(f"cannot start the processes of devices = {settings.devices}: {reason}") from error
    if fabric.local_rank > 0:
        end_with_parent(saves=False)
    return fabric


def require_fit(settings: Settings, data: DataSet) -> Network:
    """The settings' network; ParameterError if it does not take samples of this shape or views of them, or the loss
    is one of one's own that is none."""
    shape = tuple(data.x_train.shape[1:])
    _ = settings.objective  # a loss of one's own is tried before anything is written
    network = settings.network(*shape)
    if settings.devices > 1:
        require_plain(settings, network)
    two, generator = _two_samples(data), torch.Generator()
    network.eval()
    for x in (network.plain(two), *(view(two, generator) for _, view in settings.views(shape))):
        try:
            with torch.no_grad():
                network(x)
        except ParameterError:
            raise
        except Exception as error:  # an encoder of one's own can raise anything
            reason = " ".join(str(error).split())
            found = tuple(x.shape[1:]) if isinstance(x, Tensor) else shape
            what = settings.modality if settings.modality in NAMES else "samples"
            raise ParameterError("encoder", settings.encoder, f"{what} of shape {found}: {reason}") from error
    network.train()
    return network


def _two_samples(data: DataSet) -> Any:
    """Two training samples; of images black ones, which need not be read."""
    x = data.x_train
    if isinstance(x, CachedViews):
        return torch.zeros(2, *x.shape[1:])
    if isinstance(x, ImageFiles) or (isinstance(x, Tensor) and x.dtype == torch.uint8):
        return torch.zeros(2, *x.shape[1:], dtype=torch.uint8)
    return take(x, torch.arange(2))


def require_plain(settings: Settings, network: Network) -> None:
    """Refuse batch norms that do more than normalise: made one over several devices, they would do that alone."""
    for layer in network.modules():
        if isinstance(layer, BatchNorm) and type(layer).forward not in (BatchNorm.forward, nn.SyncBatchNorm.forward):
            condition = f"1 for encoder {settings.encoder}, whose {type(layer).__name__} cannot be synchronised"
            raise ParameterError("devices", settings.devices, condition)


def on_device(network: Network, fabric: Fabric) -> Network:
    """The network where it trains; with several devices their batch norms are one."""
    if fabric.world_size > 1:
        network = cast(Network, synchronised(network, fabric.device))
    order = memory_format(network, fabric.device)
    return cast(Network, network.to(fabric.device, memory_format=order))  # type: ignore[call-overload]


def make_optimizer(settings: Settings, network: Network) -> torch.optim.Optimizer:
    """The settings' optimiser; its learning rate is set at every step."""
    device = next(network.parameters()).device.type
    if device == "cpu":
        needed = weights_of(network) * (2 if settings.optimizer == "sgd" else 3)
        require_memory("encoder", settings.encoder, needed, "for the gradients and moments of its weights")
    fused = device in ("cpu", "cuda")
    options: dict[str, Any] = {"lr": settings.peak_rate, "weight_decay": settings.weight_decay, "fused": fused}
    if settings.optimizer == "sgd":
        sgd = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, **options)
        if settings.precision == SCALED:
            for p in network.parameters():  # fused SGD begins with memory as it finds it if its first step is left out
                sgd.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return sgd
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), **options)
    return torch.optim.Adam(network.parameters(), **options)


def make_framework(settings: Settings, fabric: Fabric, model: Any, network: Network) -> SimCLR | MoCo:
    """The settings' way of making pairs."""
    if settings.framework == "simclr":
        return SimCLR(fabric, model, settings.remedy, settings.objective)
    needed = 4 * settings.queue * (network.features + settings.dim)
    require_memory("queue", settings.queue, needed, "for its keys, before and after the projector")
    seed = seed_of(settings.seed, settings.queue)
    parameters = settings.remedy, settings.objective, settings.queue, settings.momentum, seed
    return MoCo(fabric, model, network, *parameters)


def seed_of(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seed_step(settings: Settings, step: int, rank: int, views: torch.Generator) -> None:
    """Seed what a step draws on one device: its views, and by the global generator what an encoder draws (dropout)."""
    views.manual_seed(seed_of(settings.seed, step, 1 + rank))
    # The last number tells it from the views' seed; not 0, with which a shorter sequence is padded.
    seed = seed_of(settings.seed, step, 1 + rank, 1)
    if views.device.type == "cpu":
        torch.default_generator.manual_seed(seed)  # without all devices that are not there, a tenth of a short step
    else:
        torch.manual_seed(seed)


def set_rate(optimizer: Any, rate: float) -> None:
    """Give all parameters this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def epoch_order(settings: Settings, kept: Tensor, epoch: int, per_epoch: int) -> tuple[Tensor, ...]:
    """Training indices of an epoch's batches.

    The batches are those of all images, whatever is left out, with other images at the places of the left-out ones: so
    runs that leave out other images, or none, differ by these alone. They come from a shuffled queue: first the kept
    images that the epoch's batches do not hold, then all kept ones, in a new order each time. No batch holds an image
    twice: it would be its own negative.

    Parameters
    ----------
    settings : Settings
    kept : Tensor
        Which training images are not left out, bool of shape (N,); at least a batch.
    epoch : int
        From 0.
    per_epoch : int
        Batches, at most N // batch.
    """
    generator = torch.Generator().manual_seed(seed_of(settings.seed, epoch, 0))
    order = torch.randperm(len(kept), generator=generator)
    order, unused = order[: per_epoch * settings.batch], order[per_epoch * settings.batch :]
    batches: tuple[Tensor, ...] = order.split(settings.batch)
    if kept.all():
        return batches
    rows = kept.nonzero().flatten()
    queue = deque(unused[kept[unused]].tolist())
    for batch in batches:
        there = kept[batch]
        held = set(batch[there].tolist())
        passed: list[int] = []  # images that the batch holds: they stay first in the queue
        found: list[int] = []
        while len(held) < len(batch):
            if not queue:
                queue.extend(rows[torch.randperm(len(rows), generator=generator)].tolist())
            image = queue.popleft()
            (passed if image in held else found).append(image)
            held.add(image)
        queue.extendleft(reversed(passed))
        batch[~there] = torch.tensor(found, dtype=batch.dtype)
    return batches


def device_share(order: Sequence[Tensor], fabric: Fabric) -> list[Tensor]:
    """This device's part of each batch."""
    return [part.tensor_split(fabric.world_size)[fabric.global_rank] for part in order]


def kept_samples(settings: Settings, data: DataSet) -> Tensor:
    """Which training images are not left out, bool of shape (N,); ParameterError if they do not fit the settings."""
    count = len(data.y_train)
    kept = torch.ones(count, dtype=torch.bool)
    kept[list(settings.drop)] = False
    left, trained_on = int(kept.sum()), f"the training {settings.kind.sample}s"
    require(settings.batch <= left, "batch", settings.batch, f"batch <= {left}, {trained_on}")
    require(settings.dim < count, "dim", settings.dim, f"dim < {count}, {trained_on}")
    return kept


def placed(x: Any, device: torch.device) -> Any:
    """The images on the device, if they are a tensor and leave it half of its free memory."""
    if not isinstance(x, Tensor) or device.type != "cuda":
        return x
    free, _ = torch.cuda.mem_get_info(device)
    return x.to(device) if 2 * x.nbytes <= free else x


class stop_requests:
    """Within it SIGTERM, or a cluster's main process, asks the loop to save and leave."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> stop_requests:
        self._within = stoppable(self._request)
        self._within.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._within.__exit__(*error)

    def _request(self) -> None:
        self.requested = True

    def agreed(self, fabric: Fabric, step: int) -> bool:
        """Whether to stop after this step; several devices ask each other, but not at every step."""
        if fabric.world_size == 1:
            return self.requested
        if step % AGREE_EVERY:
            return False
        asked = fabric.all_reduce(torch.tensor(float(self.requested), device=fabric.device), reduce_op="sum")
        assert isinstance(asked, Tensor)
        return bool(asked.item() > 0)

    def leave(self, fabric: Fabric, step: int) -> None:
        """End the process with the exit code of SIGTERM, once the checkpoint is written."""
        fabric.barrier()  # a process that left earlier would have its launcher kill the one that still writes
        if fabric.is_global_zero:
            say(f"stopped at step {step}; the same command goes on from here")
        raise SystemExit(128 + signal.SIGTERM)

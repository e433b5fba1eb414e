"""Batch norm with the statistics of the global batch, on any device.

PyTorch's own ``SyncBatchNorm`` refuses the CPU, so there the sums are all-reduced here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class AllReduceBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the joint batch of all processes, with the joint batch's gradients.

    In evaluation mode, and outside a process group, it is plain batch norm. Processes may hold batches of
    different sizes.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected an input of at least 2 dimensions, not {input.ndim}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalised input, shape (B, C, …)."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not (self.training and distributed and torch.distributed.get_world_size() > 1):
            return super().forward(input)
        # Sums in float32 or better, also where autocast hands in bfloat16.
        x = input if input.dtype == torch.float64 else input.float()
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        here = x.new_full((1,), x.numel() / x.shape[1])
        total = _all_reduce(torch.cat([x.sum(axes), here]))
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = x - mean.view(shape)
        # Of centred values: the difference of two large numbers would cancel.
        variance = _all_reduce(centred.square().sum(axes)) / count
        self._update(mean.detach(), variance.detach() * count / (count - 1))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(input.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics as plain batch norm does."""
        if not self.track_running_stats or self.num_batches_tracked is None:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


def synchronised(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with every batch norm synchronised over all processes; weights and statistics are kept.

    Parameters
    ----------
    module : nn.Module
        Changed in place, except where it is itself a batch norm.
    device : torch.device
        ``SyncBatchNorm`` on a GPU, ``AllReduceBatchNorm`` elsewhere.
    """
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, AllReduceBatchNorm):
        return _converted(module)
    for name, child in module.named_children():
        setattr(module, name, synchronised(child, device))
    return module


def _converted(plain: Any) -> AllReduceBatchNorm:
    new = AllReduceBatchNorm(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
    new.to(next(iter(plain.state_dict().values()), torch.empty(0)).device)
    if plain.affine:
        new.weight, new.bias = plain.weight, plain.bias
    new.running_mean, new.running_var = plain.running_mean, plain.running_var
    new.num_batches_tracked = plain.num_batches_tracked
    return new.train(plain.training)


class _AllReduce(torch.autograd.Function):
    """Sum over all processes; the gradient of a sum that all processes use is summed over them too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


def _all_reduce(x: Tensor) -> Tensor:
    return _AllReduce.apply(x)  # type: ignore[no-any-return]

"""The probe of ADNCE's authors: a linear layer on augmented images, through an encoder in training mode."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from empirical.data import DataSet, take_source
from empirical.data.augment import Augmentation
from empirical.encoders import Network, extract
from empirical.evaluate.protocol import EPOCHS, STEPS
from theory.plan import SPACES

Progress = Callable[[int, int, int], None]
WEIGHT_DECAY = 1e-6


def augmented_probe(
    network: Network,
    data: DataSet,
    view: Augmentation,
    epochs: int = EPOCHS,
    batch: int = STEPS["adnce"][0],
    lr: float = STEPS["adnce"][1],
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Test accuracy of linear layers trained by Adam on augmented training images, by space, after the last epoch.

    The weights are frozen, but in training mode batch norm takes each batch's own statistics and its running ones
    move towards those of the views; the test images see these. All of it happens to a copy: the network stays as it is.

    Parameters
    ----------
    network : Network
    data : DataSet
        Unlabelled training images (−1) are left out.
    view : callable
        From uint8 images to float ones in [0, 1].
    epochs, batch, lr : int, int, float
        Passes over the training images, images a step, constant learning rate.
    seed : int
        Of the layers, the order of the images and their views.
    progress : callable, optional
        Called with (steps done, steps, epoch) after every step.

    References
    ----------
    Wu et al. 2023 (ADNCE), image/linear.py of the authors' code.
    """
    device = next(network.parameters()).device
    copied = copy.deepcopy(network).train()
    labels = data.y_train
    rows = (labels >= 0).nonzero().flatten()
    per_epoch = len(rows) // batch + (len(rows) % batch > 1)  # batch norm has no statistics of one image
    order, views = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # of the layers, and of what the encoder itself draws
        layers = nn.ModuleList(nn.Linear(width, data.classes) for width in (network.features, network.dim)).to(device)
        # Their gradients do not mix, and Adam scales every weight alone: one sum trains both.
        optimizer = torch.optim.Adam(layers.parameters(), lr=lr, weight_decay=WEIGHT_DECAY)
        done, steps = 0, per_epoch * epochs
        for epoch in range(epochs):
            for chosen in rows[torch.randperm(len(rows), generator=order)].split(batch)[:per_epoch]:
                with torch.no_grad():
                    spaces = copied(view(take_source(data.x_train, chosen).to(device), views))
                truth = labels[chosen].to(device)
                losses = [functional.cross_entropy(layer(x), truth) for layer, x in zip(layers, spaces, strict=True)]
                optimizer.zero_grad()
                torch.stack(losses).sum().backward()
                optimizer.step()
                done += 1
                if progress is not None:
                    progress(done, steps, epoch + 1)
    test = extract(copied, data.x_test)
    return {space: _accuracy(layer, x, data) for space, layer, x in zip(SPACES, layers.cpu(), test, strict=True)}


@torch.no_grad()
def _accuracy(layer: nn.Module, features: Tensor, data: DataSet) -> float:
    return float(np.mean((layer(features).argmax(dim=1) == data.y_test).numpy()))

"""Encoders of every family, from raw pixels to networks, fitted or trained where they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from empirical.contest.sets import Recipe, Scale
from empirical.data import DataSet, load, take
from empirical.data.augment import Augmentation, to_float
from empirical.data.sources import balanced_order
from empirical.encoders import Network
from empirical.pretrained import EfficientNetLite0
from empirical.train.checkpoint import load_image_network
from empirical.train.loop import train
from empirical.train.parts import make_optimizer, set_rate
from empirical.train.settings import Settings, learning_rate
from theory.checks import require, require_integer
from theory.plan import SPACES

Encode = Callable[[Tensor], dict[str, Tensor]]  # from images in [0, 1] to features, by space; "" where there is one
Progress = Callable[[int, int, int], None]
SEED = 0
PATCH, PATCHES = 6, 50_000  # side of a patch, patches that whitening and clusters are fitted on
REGULARISER = 10 / 255**2  # added to a patch's variance before it is normalised (10 for pixels up to 255)
DEPTHS = (5, 11, 16, 17)  # of the pretrained network, see ``EfficientNetLite0``
WHITENING = 0.1  # added to the eigenvalues of the patches' covariance


class Halved(Settings):
    """Settings whose digits are split in random halves.

    scikit-learn's digits are sorted by writer. ``empirical.data`` tests on other writers than it trains on, but a
    prediction from training features is one for samples of the same law.
    """

    def original_data_set(self) -> DataSet:
        """The first ``train`` images of one half and the first ``test`` of the other."""
        whole = load("digits")
        y = torch.cat([whole.y_train, whole.y_test])
        assert isinstance(whole.x_train, Tensor)
        assert isinstance(whole.x_test, Tensor)
        x = torch.cat([whole.x_train, whole.x_test])
        shuffled = np.random.default_rng(SEED).permutation(len(y))
        order = torch.from_numpy(shuffled[balanced_order(y.numpy()[shuffled])])
        rows = []
        for name, half in (("train", order[: len(y) // 2]), ("test", order[len(y) // 2 :])):
            limit = getattr(self, name)
            rows.append(half[: len(half) if limit is None else require_integer(name, limit, 10, len(half))])
        return replace(whole, x_train=x[rows[0]], y_train=y[rows[0]], x_test=x[rows[1]], y_test=y[rows[1]])


@dataclass(frozen=True)
class Bench:
    """What encoders are made of.

    Parameters
    ----------
    data : str
        See ``empirical.data.load``.
    scale : Scale
    test : int or None
        Test images; None for all.
    out : Path
        Where networks are trained.
    trusted : tuple of str
        Encoders of one's own that checkpoints may name, see ``empirical.train.checkpoint.load_network``.
    """

    data: str
    scale: Scale
    test: int | None
    out: Path
    trusted: tuple[str, ...] = ()

    @property
    def images(self) -> DataSet:
        """The labelled training images, then the others, in a balanced order; and the test images.

        Raises
        ------
        ParameterError
            If there are too few, or some training images have no label.
        """
        images = self.settings.original_data_set()
        require(bool((images.y_train >= 0).all()), "data", self.data, "labels of all training images")
        return images

    @property
    def settings(self) -> Settings:
        """Of the networks that are trained here, all with seed 0."""
        count, kind = self.scale.labelled + self.scale.others, Halved if self.data == "digits" else Settings
        return kind(data=self.data, train=count, test=self.test, accelerator="cpu", **self.scale.networks)

    def network(self, **changes: Any) -> Network:
        """An untrained network."""
        channels, height, width = self.images.x_train.shape[1:]
        return replace(self.settings, **changes).network(channels, height, width)


# --- without a network -----------------------------------------------------------------------------


def _value(recipe: Recipe) -> int:
    assert isinstance(recipe.value, int)  # all but checkpoints
    return recipe.value


def pixels(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """Pixels about mid-grey, averaged over squares to ``value`` × ``value``."""
    return lambda x: {"": functional.adaptive_avg_pool2d(x, _value(recipe)).flatten(1) - 0.5}


def pca(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """Principal components of all training images, of no labels."""
    from sklearn.decomposition import PCA

    x = _floats(bench.images).flatten(1)
    dimensions = min(_value(recipe), *x.shape)
    fitted = PCA(dimensions, svd_solver="covariance_eigh" if x.shape[1] < len(x) else "full").fit(x.numpy())
    mean, axes = (torch.from_numpy(np.float32(a)) for a in (fitted.mean_, fitted.components_))
    return lambda x: {"": (x.flatten(1) - mean) @ axes.T}


def patches(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """Distances below the mean distance to the clusters of whitened patches, summed over the image's quadrants.

    References
    ----------
    Coates, Lee, Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011.
    """
    from sklearn.cluster import MiniBatchKMeans

    images = _floats(bench.images)
    side = min(PATCH, images.shape[2] // 2 - 1)
    drawn = _normalised(_draw_patches(images, side))
    mean, covariance = drawn.mean(dim=0), torch.cov(drawn.T)
    values, vectors = torch.linalg.eigh(covariance)
    whiten = vectors * (values.clamp(min=0) + WHITENING).rsqrt() @ vectors.T
    fitted = MiniBatchKMeans(_value(recipe), random_state=SEED, n_init=3).fit(((drawn - mean) @ whiten).numpy())
    clusters = torch.from_numpy(np.float32(fitted.cluster_centers_))

    def encode(x: Tensor) -> dict[str, Tensor]:
        found = _normalised(functional.unfold(x, side).transpose(1, 2))
        distances = torch.cdist((found - mean) @ whiten, clusters.expand(len(x), -1, -1))
        near = (distances.mean(dim=2, keepdim=True) - distances).clamp(min=0)
        rows, columns = (length - side + 1 for length in x.shape[2:])
        maps = near.transpose(1, 2).unflatten(2, (rows, columns))
        return {"": functional.adaptive_avg_pool2d(maps, 2).flatten(1)}

    return encode


def _draw_patches(images: Tensor, side: int) -> Tensor:
    """Random patches, one row each."""
    generator = np.random.default_rng(SEED)
    _, _, height, width = images.shape
    chosen = (generator.integers(high, size=PATCHES) for high in (len(images), height - side + 1, width - side + 1))
    return torch.stack([images[i, :, r : r + side, c : c + side].flatten() for i, r, c in zip(*chosen, strict=True)])


def _normalised(patches: Tensor) -> Tensor:
    """Patches without their mean and contrast."""
    centred = patches - patches.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + REGULARISER).sqrt()


def _floats(images: DataSet) -> Tensor:
    return to_float(take(images.x_train, torch.arange(len(images.y_train))))


# --- networks --------------------------------------------------------------------------------------


def random(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """A network as it is initialised."""
    return _encoder(bench.network(width=_value(recipe)))


def simclr(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """A network trained on all training images without their labels; goes on from its last checkpoint."""
    settings = replace(bench.settings, epochs=_value(recipe))
    return _spaces(train(settings, bench.out / "networks" / recipe.name, progress))


def supervised(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """A network trained on the others' labels, as one that comes from another task."""
    labelled, others = bench.scale.labelled, bench.scale.others
    return _classifier(bench, torch.arange(labelled, labelled + others), _value(recipe), progress)


def seen(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """A network trained on the labels that the probe sees: its training features are not like its test features."""
    return _classifier(bench, torch.arange(bench.scale.labelled), _value(recipe), progress)


def checkpoint(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """The network of a checkpoint."""
    assert recipe.path is not None
    network = load_image_network(recipe.path, bench.trusted)[1]
    found = bench.images.x_train.shape[1]
    require(network.channels == found, "checkpoints", recipe.path, f"a network for images of {found} channels")
    return _spaces(network)


def pretrained(bench: Bench, recipe: Recipe, progress: Progress) -> Encode:
    """Another data set's network, at several depths."""
    return EfficientNetLite0(_value(recipe), DEPTHS)


def _classifier(bench: Bench, rows: Tensor, epochs: int, progress: Progress) -> Encode:
    """Train with cross-entropy, by the settings of SimCLR but for its views."""
    images, settings = bench.images, replace(bench.settings, epochs=epochs)
    network = bench.network()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network.projector = nn.Sequential(nn.Linear(network.features, images.classes))
    network.to(memory_format=torch.channels_last)
    optimizer, view = make_optimizer(settings, network), _view(bench)
    generator, per_epoch = torch.Generator().manual_seed(SEED), len(rows) // settings.batch
    require(per_epoch >= 1, "batch", settings.batch, f"batch <= {len(rows)} images with labels")
    steps, step = per_epoch * epochs, 0
    for epoch in range(epochs):
        order = rows[torch.randperm(len(rows), generator=generator)]
        for chosen in order.split(settings.batch)[:per_epoch]:
            set_rate(optimizer, learning_rate(step, steps, round(settings.warmup * steps), settings.peak_rate))
            x = view(take(images.x_train, chosen), generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, settings.precision == "bf16-mixed"):
                outputs = network(x)[1]
            loss = functional.cross_entropy(outputs.float(), images.y_train[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        progress(step, steps, epoch + 1)
    return _encoder(network)


def _view(bench: Bench) -> Augmentation:
    """Crops and flips, for a classifier may need colours."""
    if bench.data == "digits":
        return bench.settings.augmentation
    from empirical.data.augment import Photos

    return Photos(smallest_crop=0.5, jitter=0, grey=0)


def _encoder(network: Network) -> Encode:
    network = network.eval()
    return lambda x: {"": network(x)[0]}


def _spaces(network: Network) -> Encode:
    network = network.eval()
    return lambda x: dict(zip(SPACES, network(x), strict=True))


MAKERS: dict[str, Callable[[Bench, Recipe, Progress], Encode]] = {
    "pixels": pixels,
    "pca": pca,
    "random": random,
    "patches": patches,
    "supervised": supervised,
    "simclr": simclr,
    "pretrained": pretrained,
    "seen": seen,
    "checkpoint": checkpoint,
}

# --- features --------------------------------------------------------------------------------------


@torch.no_grad()
def encoded(
    encode: Encode, images: Any, view: Callable[[Tensor], Tensor] = to_float, batch: int = 100
) -> dict[str, NDArray[Any]]:
    """Features of uint8 images by space, float32 of shape (N, d)."""
    parts = [encode(view(take(images, rows))) for rows in torch.arange(len(images)).split(batch)]
    return {space: torch.cat([part[space].float() for part in parts]).numpy() for space in parts[0]}

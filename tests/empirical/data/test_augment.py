import time

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch.nn import functional
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from empirical.data import augment
from empirical.data.augment import Photos
from theory.checks import ParameterError

ADJUST = reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation, reference.adjust_hue


def fixed(values):
    """A sampler that returns the given numbers in the order in which the augmentation asks."""
    queue = list(values)

    def draw(low, high):
        value = queue.pop(0)
        assert low <= value <= high
        return torch.full((2,), float(value))

    return draw


@pytest.fixture
def photos():
    return torch.randint(60, 190, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("view", [augment.digits, Photos(), Photos(0.08, 2.0, 0.1, 0.5)])
def test_views_keep_shape_and_range_and_differ_between_images(view):
    images = torch.full((6, 1 if view is augment.digits else 3, 12, 12), 0, dtype=torch.uint8)
    images[:, :, 3:8, 4:7] = 200
    out = view(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1
    assert len(torch.unique(out.flatten(1), dim=0)) == 6
    assert torch.equal(out, view(images, torch.Generator().manual_seed(0)))
    assert not torch.equal(out, view(images, torch.Generator().manual_seed(1)))


def test_grey_images_of_any_kind_have_views():
    grey = torch.randint(0, 255, (3, 1, 9, 9), dtype=torch.uint8)
    assert Photos(blur=1.0)(grey, torch.Generator().manual_seed(0)).shape == grey.shape


def test_identity_warp_and_flip():
    x = torch.rand(2, 3, 8, 8)
    rows = torch.tensor([[1.0, 0, 0, 0, 1, 0]]).repeat(2, 1)
    assert torch.allclose(augment._warp(x, rows), x, atol=1e-6)
    rows[:, 0] = -1
    assert torch.allclose(augment._warp(x, rows), x.flip(3), atol=1e-6)


def uniform(batch, seed=0):
    return augment._uniform(torch.empty(batch), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("size", "view"), [((32, 32), (32, 32)), ((9, 30), (9, 30)), ((24, 24), (40, 40)), ((32, 40), (12, 12))]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_torchvisions(size, view, channels):
    """Larger, smaller and as large as the crop, mirrored and not; nothing beyond the crop is read."""
    x = torch.rand(40, channels, *size)
    crops = augment._draw_crops(uniform(40), *size, 0.08)
    flipped = torch.arange(40) % 2 == 0
    found = augment._resized_crop(x, crops, flipped, *view)
    for i, out in enumerate(found):
        box = [int(value[i]) for value in (crops.top, crops.left, crops.height, crops.width)]
        expected = reference.resized_crop(x[i], *box, list(view))
        assert torch.allclose(out, expected.flip(2) if flipped[i] else expected, atol=1e-5)


def test_crops_that_never_fit_are_central():
    """An image of 4 by 400 pixels holds no whole crop of half its area: torchvision takes the middle."""
    for size in ((4, 400), (400, 4)):
        crops = augment._draw_crops(uniform(50), *size, 0.5)
        box = v2.RandomResizedCrop(1, (0.5, 1)).make_params([torch.empty(3, *size)])
        for name, values in vars(crops).items():
            assert (values == box[name]).all()


def test_jitter_is_torchvisions_operations_one_after_the_other():
    """Every order and amount, images with grey, black and white pixels and two channels alike among them."""
    x = torch.rand(256, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x[128:] = (4 * x[128:]).round() / 4
    order, amounts = augment._draw_jitter(uniform(256), 3.0)
    assert len(torch.unique(order, dim=1).T) == 25
    found = augment._jitter(x.clone(), order, amounts)
    for i, expected in enumerate(x):
        for operation in order[:, i].tolist():
            if operation >= 0:
                expected = ADJUST[operation](expected, float(amounts[operation, i]))
        assert torch.allclose(found[i], expected, atol=1e-5)


def test_grey_images_have_brightness_and_contrast():
    x = torch.rand(48, 1, 8, 8)
    order, amounts = augment._draw_jitter(uniform(48), 1.0)
    found = augment._jitter(x.clone(), order, amounts)
    for i, expected in enumerate(x):
        for operation in order[:, i].tolist():
            if operation >= 0:
                expected = ADJUST[operation](expected, float(amounts[operation, i]))
        assert torch.allclose(found[i], expected, atol=1e-5)


@pytest.mark.parametrize("amount", [-0.5, -0.2, 0.0, 0.1, 0.37, 0.5])
def test_hue_is_torchvisions(amount):
    levels = torch.linspace(0, 1, 11)
    x = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 11, 121)  # edges of the hexagon too
    amounts = torch.full((1, 1, 1, 1), amount)
    assert torch.allclose(augment._hue(x, amounts), reference.adjust_hue(x, amount), atol=1e-5)


DRAWS = 5_000


@pytest.fixture(scope="module")
def pictures():
    """Four smooth pictures with colours of all kinds: pale, dark, strong, and one half black."""
    noise = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(5))
    x = functional.interpolate(noise, size=(32, 32), mode="bicubic").clamp(0, 1)
    x[0], x[1], x[3, :, :16] = 0.6 + 0.4 * x[0], 0.4 * x[1], 0
    return (255 * x).round().byte()


@pytest.mark.parametrize("smallest", [0.2, 0.08])
def test_crops_are_distributed_as_torchvisions(smallest):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        crop, image = v2.RandomResizedCrop(32, (smallest, 1)), [torch.empty(3, 32, 32)]
        drawn = [crop.make_params(image) for _ in range(DRAWS)]
    theirs = {name: np.array([box[name] for box in drawn], dtype=float) for name in drawn[0]}
    crops = augment._draw_crops(uniform(20 * DRAWS), 32, 32, smallest)
    ours = {name: values.double().numpy() for name, values in vars(crops).items()}
    for found in theirs, ours:
        found["area"], found["aspect"] = found["height"] * found["width"], found["width"] / found["height"]
    for name in theirs:
        assert ks_2samp(theirs[name], ours[name]).statistic <= 0.02, name
    if smallest == 0.2:  # large crops fit less often: .6, and .594 where sides are cut to the image's
        assert ours["area"].mean() / 32**2 == pytest.approx(0.551, abs=0.002)


def simclr(side, blur):
    """torchvision's transforms, for float images."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(side, (0.2, 1)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(3, (0.1, 2))], p=blur),
        ]
    )


def measured(views):
    """Pixels counted in 1,000 bins, and of each view its means, contrast, colour and sharpness."""
    channels = views.mean((2, 3)).T
    rest = views.mean((1, 2, 3)), views.std((1, 2, 3)), views.diff(dim=3).abs().mean((1, 2, 3))
    colour = (views.amax(1) - views.amin(1)).mean((1, 2))
    return views.flatten().histc(1_000, 0, 1), torch.stack([*channels, *rest, colour])


@pytest.mark.parametrize(("side", "blur"), [(32, 0.0), (24, 0.5)])
def test_views_are_distributed_as_torchvisions(pictures, side, blur):
    transform, views, generator = simclr(side, blur), Photos(blur=blur, side=side), torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = augment.to_float(pictures)
        pixels, expected = measured(torch.stack([transform(x[i % 4]) for i in range(DRAWS)]))
    counts, statistics = zip(
        *(measured(views(pictures.repeat(50, 1, 1, 1), generator)) for _ in range(80)), strict=True
    )
    shares = [(count.cumsum(0) / count.sum()) for count in (pixels, torch.stack(counts).sum(0))]
    assert (shares[0] - shares[1]).abs().max() <= 0.02
    for theirs, ours in zip(expected, torch.cat(statistics, dim=1), strict=True):
        assert ks_2samp(theirs, ours).statistic <= 0.02


def test_views_are_made_five_times_as_fast_as_torchvisions():
    """On one core; benchmarks/train.py measures about ten times."""
    transform = simclr(32, 0.0)
    images = torch.randint(0, 256, (512, 3, 32, 32), dtype=torch.uint8)
    singles, view, generator = augment.to_float(images[:64]), Photos(), torch.Generator().manual_seed(0)

    def seconds(work):
        started = time.process_time()
        work()
        return time.process_time() - started

    ours = min(seconds(lambda: view(images, generator)) for _ in range(5)) / 512
    theirs = min(seconds(lambda: [transform(x) for x in singles]) for _ in range(5)) / 64
    assert theirs >= 5 * ours


def test_digits_are_never_mirrored():
    """A stroke on the left stays on the left on average."""
    images = torch.zeros(500, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 1:7, 1:3] = 255
    out = augment.digits(images, torch.Generator().manual_seed(0))
    assert (out[..., :4].sum((1, 2, 3)) > out[..., 4:].sum((1, 2, 3))).float().mean() > 0.99


def test_grey_views_are_the_luma_of_the_coloured_ones(photos):
    coloured, grey = (Photos(jitter=0.0, grey=share)(photos, torch.Generator().manual_seed(0)) for share in (0.0, 1.0))
    luma = coloured.mul(torch.tensor(augment.LUMA)[:, None, None]).sum(1, keepdim=True)
    assert torch.allclose(grey, luma.expand_as(grey), atol=1e-6)


def test_nothing_is_copied_to_the_device(photos, monkeypatch):
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a copy, for which a GPU waits"))
    Photos(blur=0.5)(photos, torch.Generator().manual_seed(0))


def test_where_asking_would_wait_all_are_changed_and_some_kept():
    """As on a GPU: with the same draws the views are those of a CPU."""

    class Elsewhere(torch.Tensor):
        device = torch.device("meta")

    x, chosen, amount = torch.rand(6, 3, 8, 8), torch.arange(6) % 2 == 0, torch.rand(6, 1, 1, 1)
    everywhere = augment._changed(x.as_subclass(Elsewhere), chosen, augment._hue, amount)
    assert torch.equal(everywhere.as_subclass(torch.Tensor), augment._changed(x.clone(), chosen, augment._hue, amount))


def test_side_of_the_views(photos):
    assert Photos(side=5)(photos, torch.Generator().manual_seed(0)).shape == (2, 3, 5, 5)
    grey = Photos(side=20, blur=1.0)(photos[:, :1], torch.Generator().manual_seed(0))
    assert grey.shape == (2, 1, 20, 20)


def test_strength_scales_the_jitter():
    """A grey image is changed in its brightness only, by up to 0.4 of the strength."""
    images = torch.full((4000, 3, 6, 6), 100, dtype=torch.uint8)
    for strength, low, high in ((1.0, 0.6, 1.4), (0.5, 0.8, 1.2), (3.0, 0.0, 2.2)):
        out = Photos(1.0, strength, 0.0)(images, torch.Generator().manual_seed(0))[:, 0, 3, 3] / (100 / 255)
        assert low - 1e-4 <= out.min() <= low + 0.05
        assert high - 0.05 <= out.max() <= high + 1e-4
        assert (out - 1).abs().lt(1e-4).float().mean() == pytest.approx(0.2, abs=0.03)


def test_share_of_grey_views(photos):
    views = Photos(grey=0.3)(photos[:1].expand(2000, -1, -1, -1), torch.Generator().manual_seed(0))
    grey = (views - views[:, :1]).abs().amax((1, 2, 3)) < 1e-6
    assert grey.float().mean() == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(("shape", "size"), [((16, 16), 3), ((96, 80), 9), ((224, 224), 23)])
def test_blur_agrees_with_torchvision(shape, size):
    x = torch.rand(2, 3, *shape)
    for sigma in (0.1, 0.7, 2.0):
        expected = reference.gaussian_blur(x, [size, size], [sigma, sigma])
        assert torch.allclose(augment._blur(x.clone(), fixed((sigma, 0.4)), 0.5), expected, atol=1e-5)
    assert torch.equal(augment._blur(x.clone(), fixed((2.0, 0.6)), 0.5), x)


def test_every_image_is_blurred_by_itself():
    x = torch.rand(3, 3, 16, 16)
    sigma = torch.tensor([0.2, 1.0, 2.0])
    draws = iter([sigma, torch.tensor([0.1, 0.9, 0.2])])
    out = augment._blur(x.clone(), lambda low, high: next(draws), 0.5)
    for i, expected in (
        (0, reference.gaussian_blur(x[0], [3, 3], [0.2, 0.2])),
        (1, x[1]),
        (2, reference.gaussian_blur(x[2], [3, 3], [2.0, 2.0])),
    ):
        assert torch.allclose(out[i], expected, atol=1e-6)


def test_an_image_of_one_pixel_stays_one(photos):
    pixel = photos[:, :, :1, :1]
    assert torch.allclose(Photos(jitter=0, grey=0, blur=1)(pixel, torch.Generator()), augment.to_float(pixel))


@pytest.mark.parametrize(
    "change",
    [
        {"smallest_crop": 0},
        {"smallest_crop": 1.1},
        {"smallest_crop": None},
        {"jitter": -0.1},
        {"jitter": float("nan")},
        {"grey": 1.1},
        {"grey": "some"},
        {"blur": -1},
        {"side": 0},
        {"side": 2.5},
    ],
)
def test_parameters_are_checked(change):
    with pytest.raises(ParameterError, match=next(iter(change))):
        Photos(**change)

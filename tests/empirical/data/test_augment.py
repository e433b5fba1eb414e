import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from empirical.data import augment
from empirical.data.augment import Photos
from theory.checks import ParameterError


def jitter(x, uniform):
    return augment._jitter(x, uniform, 1.0, 0.2)


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


# The jitter asks for: hue, saturation, brightness, contrast, "jitter?", "grey?".
@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        ((0, 1, 1, 1, 0, 1), lambda x: x),
        ((0, 1, 0.8, 1, 0, 1), lambda x: reference.adjust_brightness(x, 0.8)),
        ((0, 1, 1, 0.7, 0, 1), lambda x: reference.adjust_contrast(x, 0.7)),
        ((0, 0.6, 1, 1, 0, 1), lambda x: reference.adjust_saturation(x, 0.6)),
        ((0, 1, 1, 1, 1, 0), lambda x: reference.rgb_to_grayscale(x, 3)),
        ((0.05, 0.6, 0.8, 0.7, 1, 1), lambda x: x),
    ],
)
def test_colour_jitter_agrees_with_torchvision(photos, draws, expected):
    x = augment.to_float(photos)
    # torchvision weighs colours by .2989/.587/.114, which sums to .9999.
    assert torch.allclose(jitter(x, fixed(draws)), expected(x), atol=2e-3)


def test_hue_keeps_grey_pixels(photos):
    grey = augment.to_float(photos)[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(jitter(grey, fixed((0.1, 1, 1, 1, 0, 1))), grey, atol=1e-6)


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


def test_nothing_is_copied_to_the_device_after_the_first_view(photos, monkeypatch):
    first = Photos(blur=0.5)(photos, torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a copy, for which a GPU waits"))
    assert torch.equal(Photos(blur=0.5)(photos, torch.Generator().manual_seed(0)), first)


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
        assert torch.allclose(augment._blur(x, fixed((sigma, 0.4)), 0.5), expected, atol=1e-5)
    assert torch.equal(augment._blur(x, fixed((2.0, 0.6)), 0.5), x)


def test_every_image_is_blurred_by_itself():
    x = torch.rand(3, 3, 16, 16)
    sigma = torch.tensor([0.2, 1.0, 2.0])
    draws = iter([sigma, torch.tensor([0.1, 0.9, 0.2])])
    out = augment._blur(x, lambda low, high: next(draws), 0.5)
    for i, expected in (
        (0, reference.gaussian_blur(x[0], [3, 3], [0.2, 0.2])),
        (1, x[1]),
        (2, reference.gaussian_blur(x[2], [3, 3], [2.0, 2.0])),
    ):
        assert torch.allclose(out[i], expected, atol=1e-6)


def test_without_blur_nothing_is_drawn_for_it(photos):
    """Runs of earlier versions, without blur, go on from the same random numbers."""
    generator, drawn = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    Photos(blur=0.0)(photos, generator)
    for _ in range(5 + 6):  # crop and flip; jitter and grey
        torch.rand(len(photos), generator=drawn)
    assert torch.equal(generator.get_state(), drawn.get_state())


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
    ],
)
def test_parameters_are_checked(change):
    with pytest.raises(ParameterError, match=next(iter(change))):
        Photos(**change)

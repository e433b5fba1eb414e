import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from empirical import augment


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


@pytest.mark.parametrize("view", [augment.digits, augment.photos])
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
    assert augment.photos(grey, torch.Generator().manual_seed(0)).shape == grey.shape


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
    assert torch.allclose(augment._jitter(x, fixed(draws)), expected(x), atol=2e-3)


def test_hue_keeps_grey_pixels(photos):
    grey = augment.to_float(photos)[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(augment._jitter(grey, fixed((0.1, 1, 1, 1, 0, 1))), grey, atol=1e-6)


def test_digits_are_never_mirrored():
    """A stroke on the left stays on the left on average."""
    images = torch.zeros(500, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 1:7, 1:3] = 255
    out = augment.digits(images, torch.Generator().manual_seed(0))
    assert (out[..., :4].sum((1, 2, 3)) > out[..., 4:].sum((1, 2, 3))).float().mean() > 0.99

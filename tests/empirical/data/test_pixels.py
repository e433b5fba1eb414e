"""Image files are read as a viewer shows them."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from empirical.data import load
from empirical.data.pixels import USUAL, White, extremes, read_pixels, white_of
from theory.checks import ParameterError

SIDE = 16
COLOURS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def read(path, white=USUAL):
    pixels, done = read_pixels(path, SIDE, white)
    return pixels.astype(int), set(done)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_of_cameras(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    pixels, done = read(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (pixels == np.asarray(ImageOps.exif_transpose(image))).all()
    assert done == ({"turned"} if orientation > 1 else set())


@pytest.mark.parametrize(
    ("values", "white"),
    [
        (np.array([0, 255], np.uint16), 255),
        (np.array([0, 3000], np.uint16), 4095),
        (np.array([0, 60_000], np.uint16), 65_535),
        (np.array([0, 100_000], np.int32), 2**31 - 1),
        (np.array([0, 0.7], np.float32), 1.0),
        (np.array([0, 200.5], np.float32), 255.0),
        (np.array([0, 4000.5], np.float32), 65_535.0),
    ],
)
def test_more_than_8_bits_are_scaled_by_the_range_of_all_images(tmp_path, values, white):
    path = tmp_path / "a.tiff"
    rows = np.repeat(np.linspace(values[0], values[1], SIDE)[:, None], SIDE, axis=1).astype(values.dtype)
    Image.fromarray(rows).save(path)
    pixels, done = read(path, white_of([extremes(path), None]))
    assert done == {"deep"}
    assert (pixels == np.round(rows.astype(float) * 255 / white).astype(int)[..., None]).all()


def test_a_dark_image_stays_dark_among_bright_ones(tmp_path):
    for name, top in (("dark", 3000), ("bright", 60_000)):
        Image.fromarray(np.full((SIDE, SIDE), top, np.uint16)).save(tmp_path / f"{name}.png")
    white = white_of(extremes(tmp_path / f"{name}.png") for name in ("dark", "bright"))
    assert read(tmp_path / "dark.png", white)[0].max() == round(3000 * 255 / 65535)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "finite"), (-1.0, "pixels >= 0"), (2.0, "pixels <= 1")])
def test_values_outside_the_range_name_the_file(tmp_path, value, message):
    Image.fromarray(np.full((SIDE, SIDE), value, np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ParameterError, match=rf"^cannot read the image .*a\.tiff: .*{message}"):
        read_pixels(tmp_path / "a.tiff", SIDE, White())


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_lie_on_white(tmp_path, mode):
    alpha = np.tile(np.arange(SIDE, dtype=np.uint8)[:, None] * 17, (1, SIDE))
    if mode == "P":  # one colour of the palette is transparent
        image = Image.fromarray(np.tile(np.arange(2, dtype=np.uint8), (SIDE, SIDE // 2)))
        image.putpalette([10, 20, 30, 200, 100, 50])
        image.save(tmp_path / "a.png", transparency=0)
        expected = np.tile(np.array([[255] * 3, [200, 100, 50]]), (SIDE, SIDE // 2, 1))
    else:
        colours = COLOURS if mode == "RGBA" else np.repeat(COLOURS[..., :1], 3, axis=2)
        channels = colours if mode == "RGBA" else colours[..., :1]
        Image.fromarray(np.concatenate([channels, alpha[..., None]], axis=2), mode).save(tmp_path / "a.png")
        share = alpha[..., None] / 255
        expected = colours * share + 255 * (1 - share)
    pixels, done = read(tmp_path / "a.png")
    assert done == {"transparent"}
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_opaque_images_of_any_mode_keep_their_colours(tmp_path, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    image.save(tmp_path / "a.png")
    pixels, done = read(tmp_path / "a.png")
    assert done == set()
    assert (pixels == np.asarray(image.convert("RGB"))).all()


def test_inks_become_colours(tmp_path):
    Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0)).save(tmp_path / "a.tiff")
    pixels, done = read(tmp_path / "a.tiff")
    assert done == {"colours"}
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("L", (SIDE, SIDE), value) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    pixels, done = read(tmp_path / "a.gif")
    assert done == {"animated"}
    assert set(pixels.ravel()) == {10}


def test_conversions_of_a_folder_are_counted(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(5):
            shade = np.full((SIDE, SIDE), 1000 * i + ord(name), np.uint16)
            Image.fromarray(shade).save(tmp_path / name / f"{i}.png")
    images = load(f"folder:{tmp_path}")
    assert "converted 10 images of more than 8 bits, scaled to 8" in images.reading.line
    assert len(images.x_train.unique()) == 4  # of five shades a class, whose fifth is for testing

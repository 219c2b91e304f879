"""A person's own digits become images like MNIST's: MNIST's own, enlarged as pictures, come back."""

import numpy as np
import pytest
import torch
from PIL import Image

from vaelib import scans

COUNT = 40


def enlarged(image: torch.Tensor, scale: int, margins: tuple[int, int, int, int]) -> np.ndarray:
    """An image as a large picture, with margins at the top, bottom, left and right."""
    picture = Image.fromarray(image.numpy()).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(picture), (margins[:2], margins[2:]))


def centre(images: torch.Tensor) -> torch.Tensor:
    """Rows and columns of the centres of mass."""
    weights = images[:, 0].double()
    along = torch.arange(28, dtype=torch.float64)
    return torch.stack([(weights.sum(a) * along).sum(1) for a in (2, 1)], 1) / weights.sum((1, 2))[:, None]


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize(("scale", "margins"), [(7, (0, 0, 0, 0)), (10, (150, 20, 3, 400)), (3, (9, 50, 60, 0))])
def test_images_of_mnist_enlarged_and_padded_come_back_within_a_pixel(mnist, tmp_path, scale, margins, white):
    images = mnist["test"].images[:COUNT]
    for i, image in enumerate(images):
        picture = enlarged(image[0], scale, margins)
        Image.fromarray(255 - picture if white else picture).save(tmp_path / f"{i:03}.png")
    back = scans.load(tmp_path)
    assert back.shape == images.shape and back.dtype == torch.uint8
    assert (centre(back) - centre(images)).abs().max() < 1
    shifted = torch.stack([back.roll((y, x), (2, 3)) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    difference = (shifted.float() - images.float()).abs().sum((2, 3, 4)) / images.sum((1, 2, 3))
    assert difference.amin(0).mean() < 0.25  # of the ink; from another image the nearest is 0.6 away


def test_a_picture_may_be_coloured_transparent_turned_or_a_palette(mnist, tmp_path):
    image = mnist["test"].images[0, 0]
    picture = enlarged(image, 6, (10, 10, 10, 10))
    plain = Image.fromarray(255 - picture)
    plain.save(tmp_path / "a.png")
    transparent = Image.new("RGBA", plain.size, (0, 0, 0, 0))
    transparent.putalpha(Image.fromarray(picture))
    transparent.save(tmp_path / "b.PNG")
    plain.convert("P").save(tmp_path / "c.gif")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees when shown
    plain.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "d.png", exif=turned)
    (tmp_path / "notes.txt").write_text("no picture")
    first, *others = scans.load(tmp_path).int()
    assert len(others) == 3 and [file.name for file in scans.files(tmp_path)] == ["a.png", "b.PNG", "c.gif", "d.png"]
    for other in others:
        assert (first - other).abs().max() <= 12
    assert torch.equal(scans.load(tmp_path / "a.png")[0].int(), first)


def test_a_thin_line_is_as_dark_as_any_digit_and_a_faint_one_too(tmp_path):
    for name, shade in (("black", 0), ("faint", 150)):
        page = np.full((900, 600), 240, np.uint8)
        page[100:800, 300:304] = shade
        Image.fromarray(page).save(tmp_path / f"{name}.png")
    black, faint = scans.load(tmp_path)[:, 0]
    assert (black.int() - faint.int()).abs().max() <= 1 and black.max() == 255
    assert (black > 0).nonzero().tolist() == [[row, 14] for row in range(4, 24)]


@pytest.mark.parametrize(("ending", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32)])
def test_a_scan_of_16_bits_is_what_it_is_in_8(mnist, tmp_path, ending, dtype):
    picture = 255 - enlarged(mnist["test"].images[0, 0], 6, (10, 10, 10, 10))
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture.astype(dtype) * 257).save(tmp_path / f"b.{ending}")
    one, other = scans.load(tmp_path)
    assert torch.equal(one, other)


def test_a_scan_whose_white_is_not_known_is_refused_by_name(tmp_path):
    Image.fromarray(np.linspace(0, 1, 2500, dtype=np.float32).reshape(50, 50)).save(tmp_path / "a.tif")
    with pytest.raises(scans.ScanError, match=r"a\.tif cannot be read as a picture \(its pixels are of mode F"):
        scans.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no picture at"), (b"GIF89a", "cannot be read as a picture"), ("blank", "nothing is drawn")],
)
def test_what_is_no_digit_is_named_in_one_line(tmp_path, content, said):
    file = tmp_path / "my digit.png"
    if content == "blank":
        Image.new("L", (50, 50), 200).save(file)
    elif content:
        file.write_bytes(content)
    for path in (tmp_path, file):
        with pytest.raises(scans.ScanError, match=said) as caught:
            scans.load(path)
        assert "\n" not in str(caught.value)

"""EXIF orientation of images and masks."""

from __future__ import annotations

import io
import logging
import struct
import zlib

import numpy as np
import pytest
from checked_folders import check, kinds, regions
from PIL import Image, ImageOps

import unetv2
from unetv2.data.dataset import make_dataset
from unetv2.data.io.open import decode_image, decode_mask, read_header

ORIENTATION = 0x0112
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def exif_data(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def raw_profile(keyword, data):
    text = b"\nexif\n%8d\n" % len(data) + data.hex().encode() + b"\n"
    return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text))


def text_chunks(orientation):
    """Yields by name the chunks in which writers of PNG put an orientation."""
    exif = exif_data(orientation)
    xmp = XMP.format(orientation).encode()
    return {
        "eXIf": chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")),
        "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
        "compressed XMP": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)),
        "profile": raw_profile(b"Raw profile type exif", exif),
        "APP1": raw_profile(b"Raw profile type APP1", exif),
    }


def png_with(content, *, behind, pixels=PIXELS):
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "PNG")
    place = len(stored.getvalue()) - 12 if behind else 33
    return stored.getvalue()[:place] + content + stored.getvalue()[place:]


def transposed(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("carrier", ["exif", "xmp"])
def test_every_format_is_rotated_as_by_pillow(tmp_path, orientation, extension, carrier):
    path = tmp_path / f"a.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    if carrier == "exif":
        options["exif"] = exif_data(orientation)
    elif extension == "tif":
        options["tiffinfo"] = {700: XMP.format(orientation).encode()}
    elif extension == "png":
        path.write_bytes(png_with(text_chunks(orientation)["XMP"], behind=False))
    else:
        options["xmp"] = XMP.format(orientation).encode()
    if not path.exists():
        Image.fromarray(PIXELS).save(path, **options)
    expected = transposed(path)
    assert expected.shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))
    np.testing.assert_array_equal(decode_image(str(path)), expected)
    header = read_header(str(path))
    assert (header.size, header.orientation) == (expected.shape[:2], orientation)
    assert header.stored_size == (24, 40)
    if extension != "jpg":
        np.testing.assert_array_equal(decode_mask(str(path)), expected)


@pytest.mark.parametrize("carrier", list(text_chunks(1)))
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_orientation_chunk_of_a_png_may_be_anywhere(tmp_path, carrier, behind, orientation):
    path = tmp_path / "a.png"
    for pixels in (PIXELS, PIXELS[..., 0], PIXELS[..., 0].astype(np.uint16) * 257):
        content = text_chunks(orientation)[carrier]
        path.write_bytes(png_with(content, behind=behind, pixels=pixels))
        turns = {1: 0, 3: 2, 6: -1}[orientation]
        expected = np.rot90(pixels, turns)
        if carrier != "APP1" and pixels.ndim == 3:
            # Which Pillow does not know.
            np.testing.assert_array_equal(transposed(path), expected)
        np.testing.assert_array_equal(decode_mask(str(path)), expected)
        assert read_header(str(path)).size == expected.shape[:2]
        image = decode_image(str(path), channels=3 if pixels.ndim == 3 else 1)
        np.testing.assert_array_equal(image.reshape(expected.shape), expected)


def test_exif_has_precedence_over_xmp(tmp_path):
    chunks = text_chunks(3)["eXIf"] + text_chunks(6)["XMP"]
    for behind in (False, True):
        (tmp_path / "a.png").write_bytes(png_with(chunks, behind=behind))
        np.testing.assert_array_equal(
            decode_image(str(tmp_path / "a.png")), transposed(tmp_path / "a.png")
        )


@pytest.mark.parametrize(("size", "orientations", "ambiguous"), [
    ((24, 32), (3, 1), True),
    ((24, 32), (2, 1), True),
    ((24, 32), (1, 4), True),
    ((24, 32), (6, 8), True),
    ((24, 24), (6, 1), True),
    # Upright it is 32x24, as the mask, and as it is stored it is not.
    ((24, 32), (6, 1), False),
    ((24, 32), (3, 3), False),
    ((24, 32), (1, 1), False),
])  # fmt: skip
def test_different_orientations_of_image_and_mask_are_reported(
    tmp_path, caplog, size, orientations, ambiguous
):
    folders = tmp_path / "images", tmp_path / "masks"
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    mask = regions(0, 1, size=size)
    if orientations == (6, 1) and size[0] != size[1]:
        mask = np.rot90(mask, -1)
    for folder, pixels, orientation in zip(folders, (image, mask), orientations, strict=True):
        folder.mkdir()
        Image.fromarray(pixels).save(folder / "0.png", exif=exif_data(orientation))
    report = check(folders, n_classes=2)
    assert ("orientation_mismatch" in kinds(report)) == ambiguous
    assert report.ok != ambiguous
    with caplog.at_level(logging.WARNING, "unetv2"):
        make_dataset(*folders, n_classes=2, image_size=None, batch_size=1)
    found = [record.getMessage() for record in caplog.records if "EXIF" in record.getMessage()]
    assert len(found) == ambiguous
    if ambiguous:
        assert f"Received: 1 of 1 pairs that differ, such as '{folders[0]}" in found[0]
        problem = next(p for p in report.problems if p.kind == "orientation_mismatch")
        shown = f"orientation {orientations[0]} of the image, {orientations[1]} of the mask"
        assert (problem.severity, problem.message) == ("error", shown)


@pytest.mark.parametrize("orientations", [(6, 1), (1, 8), (5, 3)])
def test_sizes_that_differ_by_orientation_get_advice_on_it(tmp_path, orientations):
    folders = tmp_path / "images", tmp_path / "masks"
    for folder, pixels, orientation in zip(
        folders, (PIXELS, PIXELS[..., 0] % 2), orientations, strict=True
    ):
        folder.mkdir()
        Image.fromarray(pixels).save(folder / "0.png", exif=exif_data(orientation))
    (problem,) = check(folders, n_classes=2).problems
    assert problem.kind == "orientation_mismatch"
    assert "stored sizes are equal" in problem.message
    with pytest.raises(ValueError, match="must have the same height and width.*EXIF") as caught:
        make_dataset(*folders, n_classes=2, image_size=(8, 8))
    assert "Resize" not in str(caught.value)


def test_an_array_and_a_rotated_image_have_different_orientations(tmp_path):
    folders = tmp_path / "images", tmp_path / "masks"
    for folder in folders:
        folder.mkdir()
    Image.fromarray(PIXELS).save(folders[0] / "0.jpg", exif=exif_data(3))
    np.save(folders[1] / "0.npy", np.zeros((24, 40), np.uint8))
    assert "orientation_mismatch" in kinds(check(folders))


def test_evaluate_reports_different_orientations(tmp_path, caplog):
    folders = tmp_path / "images", tmp_path / "masks"
    for folder, orientation in zip(folders, (2, 1), strict=True):
        folder.mkdir()
        pixels = PIXELS if folder == folders[0] else PIXELS[..., 0] % 2
        Image.fromarray(pixels).save(folder / "0.png", exif=exif_data(orientation))
    model = unetv2.build_unetv2((24, 40, 3), 2, filters=2, depth=2, seed=0)
    model.preprocessing = unetv2.Preprocessing(image_size=(24, 40))
    with caplog.at_level(logging.WARNING, "unetv2"):
        unetv2.evaluate(model, folders, progress=False)
    assert "Received: 1 of 1 pairs that differ" in caplog.text

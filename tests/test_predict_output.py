"""Prediction: masks in memory and in files."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from PIL import Image
from small_networks import network, random_image

import unetv2
from unetv2.inference.inputs import InputImage
from unetv2.inference.prediction import OutputOptions, Strip, resize_strips
from unetv2.inference.predictor import ImagePredictor

FULL = Path("/dev/full")
MODEL = network(kernel=3, crop_size=(16, 16))
MANY = network(n_classes=300, crop_size=(16, 16))


def read(path):
    return np.load(path) if path.suffix == ".npy" else np.asarray(Image.open(path))


@pytest.mark.parametrize("suffix", ["npy", "png", "tif", "TIFF"])
@pytest.mark.parametrize("model", [MODEL, MANY], ids=["8 bits", "16 bits"])
def test_a_written_mask_equals_that_in_memory(tmp_path, suffix, model):
    image = random_image(37, 53)
    path = tmp_path / f"mask.{suffix}"
    written = unetv2.predict(model, image, output=path)
    kept = unetv2.predict(model, image)
    assert kept.mask.dtype == (np.uint16 if model is MANY else np.uint8)
    np.testing.assert_array_equal(read(path), kept.mask)
    np.testing.assert_array_equal(written.mask, kept.mask)
    assert written.mask.dtype == kept.mask.dtype
    assert written.path == path
    # What was not asked for was not made.
    assert written.confidence is written.uncertainty is written.probabilities is None
    kept.save(tmp_path / f"saved.{suffix}")
    assert (tmp_path / f"saved.{suffix}").read_bytes() == path.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_requested_outputs_are_computed_with_a_file(tmp_path):
    image = random_image(20, 30)
    written = unetv2.predict(
        MODEL, image, output=tmp_path / "mask.png", uncertainty=True, probabilities=True
    )
    kept = unetv2.predict(MODEL, image, probabilities=True)
    for name in ("mask", "confidence", "uncertainty", "probabilities"):
        np.testing.assert_array_equal(getattr(written, name), getattr(kept, name))
    bare = unetv2.predict(MODEL, image, uncertainty=False)
    assert bare.confidence is bare.uncertainty is None
    np.testing.assert_array_equal(bare.mask, kept.mask)


@pytest.mark.parametrize("scale", [None, 0.5, 3.0])
def test_a_large_image_is_predicted_from_file_to_file(tmp_path, scale):
    image = random_image(61, 80)
    np.save(tmp_path / "scene.npy", image)
    options = {"window": (16, 16), "scale": scale}
    expected = unetv2.predict(MODEL, image, **options).mask
    stored = np.load(tmp_path / "scene.npy", mmap_mode="r")
    for number, scene in enumerate((stored, tmp_path / "scene.npy")):
        path = tmp_path / f"{number}.npy"
        prediction = unetv2.predict(MODEL, scene, output=path, **options)
        np.testing.assert_array_equal(np.load(path), expected)
        assert isinstance(prediction.mask, np.memmap)


def test_an_error_leaves_the_existing_file(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"before")
    model = network(crop_size=(16, 16))
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="`model` must not return NaN"):
        unetv2.predict(model, random_image(40, 40), output=path)
    assert path.read_bytes() == b"before"
    assert [left.name for left in tmp_path.iterdir()] == ["mask.png"]


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is full")
def test_a_full_disk_raises(tmp_path, monkeypatch):
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda _, mode: opened(FULL, mode))
    with pytest.raises(OSError, match="mask.npy' must be written to continue. Received: No space"):
        unetv2.predict(MODEL, random_image(40, 40), output=tmp_path / "mask.npy")
    assert not list(tmp_path.iterdir())


def test_invalid_outputs_raise_before_the_prediction(tmp_path):
    image = save(random_image(8, 8), tmp_path / "image.png")
    link = tmp_path / "link.png"
    link.symlink_to(image)
    for output, error, message in (
        (image, ValueError, "`output` must be another file than the image's. Received: output="),
        (link, ValueError, "`output` must be another file than the image's. Received: output="),
        (tmp_path / "mask.jpg", ValueError, "`output` must end in .npy, .png, .tif, .tiff"),
        (
            tmp_path / "none" / "mask.png",
            FileNotFoundError,
            "`output` must be in an existing folder",
        ),
    ):
        with pytest.raises(error, match=re.escape(message)):
            unetv2.predict(MODEL, image, output=output)
    with pytest.raises(ValueError, match="`output` must be None for a list of images"):
        unetv2.predict(MODEL, [image], output=tmp_path / "mask.png")
    np.testing.assert_array_equal(read(image), random_image(8, 8))


def test_a_memory_map_of_the_output_raises(tmp_path):
    np.save(tmp_path / "scene.npy", random_image(8, 8))
    scene = np.load(tmp_path / "scene.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="`output` must be another file than the image's"):
        unetv2.predict(MODEL, scene, output=tmp_path / "scene.npy")


def test_progress_counts_rows(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    unetv2.predict(MODEL, [random_image(20, 20), random_image(30, 20)], progress=True)
    assert "50 of 50 rows" in capsys.readouterr().err
    unetv2.predict(MODEL, random_image(20, 20))
    assert "rows" not in capsys.readouterr().err


def test_the_overlay_has_the_colors_of_the_model():
    table = unetv2.ClassTable(tuple("abcd"), ((0, 0, 0), (255, 0, 0), (0, 99, 0), (9, 9, 9)))
    model = network(classes=table)
    image = random_image(6, 7)
    prediction = unetv2.predict(model, image)
    colors = np.array(table.colors)[prediction.mask]
    np.testing.assert_allclose(prediction.overlay(), (image + colors) / 2, atol=0.51)
    np.testing.assert_array_equal(prediction.overlay(opacity=0), image)
    np.testing.assert_array_equal(prediction.overlay(opacity=1), colors)
    assert unetv2.predict(network(), image).classes == unetv2.ClassTable.numbered(4)


def test_the_overlay_of_a_file_shows_the_file(tmp_path):
    image = random_image(64, 48)
    path = save(image, tmp_path / "image.png")
    prediction = unetv2.predict(network((8, 6, 3), image_size=(8, 6)), path)
    np.testing.assert_array_equal(prediction.overlay(opacity=0), image)


def test_blocks_cover_an_image_once_in_order():
    engine = ImagePredictor(MODEL, batch_size=3, overlap=0.6).engine
    image = InputImage(random_image(40, 50), channels=3)
    counts = np.zeros((40, 50), int)
    before = (-1, -1)
    ((_, blocks),) = engine.predict([image], OutputOptions(probabilities=True))
    for block in blocks:
        height, width = block.mask.shape
        assert block.probabilities.shape == (height, width, 4)
        counts[block.row : block.row + height, block.column : block.column + width] += 1
        assert (block.row, block.column) > before
        before = (block.row, block.column)
    assert (counts == 1).all()


@pytest.mark.parametrize("heights", [[1] * 7, [7], [2, 1, 4], [6, 1]])
@pytest.mark.parametrize("size", [(7, 5), (20, 33), (3, 2), (1, 1), (64, 5)])
def test_strips_are_resized_like_the_whole_image(heights, size, monkeypatch):
    values = np.random.default_rng(0).normal(size=(7, 5, 3)).astype(np.float32)
    expected = tf.image.resize(values, size)
    starts = np.cumsum([0, *heights])
    strips = [Strip(row, values[row:end]) for row, end in itertools.pairwise(starts)]
    for most in (2**26, 4 * 3 * size[1] * 2):
        monkeypatch.setattr("unetv2.inference.prediction._BYTES_AT_ONCE", most)
        found = list(resize_strips(iter(strips), (7, 5), size))
        assert [strip.row for strip in found] == list(
            np.cumsum([0, *(strip.values.shape[0] for strip in found)])[:-1]
        )
        whole = np.concatenate([np.asarray(strip.values) for strip in found])
        np.testing.assert_allclose(whole, expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"window": (16, 16), "scale": 0.5}, {"scale": 1.5}])
def test_memory_limits_do_not_change_predictions(options, monkeypatch):
    model = network(kernel=3, seed=2)
    images = [random_image(50, 60), random_image(50, 60, seed=1)]
    expected = unetv2.predict(model, images, probabilities=True, **options)
    monkeypatch.setattr("unetv2.inference.predictor._BYTES_AT_ONCE", 4 * 4 * 60 * 3)
    monkeypatch.setattr("unetv2.inference.prediction._BYTES_AT_ONCE", 4 * 4 * 60 * 2)
    found = unetv2.predict(model, images, probabilities=True, **options)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_allclose(one.uncertainty, other.uncertainty, atol=1e-5)


def test_ids_of_32_bits_need_npy(tmp_path):
    image = keras.Input((None, None, 1))
    model = unetv2.SegmentationModel(
        image, keras.layers.Conv2D(70_000, 1)(image),
        preprocessing=unetv2.Preprocessing(channels=1),
    )  # fmt: skip
    pixels = random_image(2, 3, 1)
    assert unetv2.predict(model, pixels).mask.dtype == np.uint32
    unetv2.predict(model, pixels, output=tmp_path / "mask.npy")
    with pytest.raises(ValueError, match="`output` must end in .npy for ids of 32 bits"):
        unetv2.predict(model, pixels, output=tmp_path / "mask.png")

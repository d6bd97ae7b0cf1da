"""Prediction of folders: arguments that are refused before the prediction."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import save
from image_folders import files, predict, small_model, write_images

import unetv2


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path)


def refused(folder, error, message, output, *, images=None, **options):
    before = files(folder.parent)
    with pytest.raises(error, match=message):
        # The paths are checked before the model is loaded.
        predict("model.keras", folder if images is None else images, output, **options)
    assert files(folder.parent) == before


def test_outputs_among_the_images_are_refused(images, tmp_path):
    for output in (images, images / "masks", images / "in" / "masks"):
        refused(images, ValueError, "`output_dir` must be outside the folder of the images", output)
    (tmp_path / "link").symlink_to(images, target_is_directory=True)
    refused(images, ValueError, "`output_dir` must be outside", tmp_path / "link" / "masks")
    refused(
        images, ValueError, "`colors_dir` must be outside", tmp_path / "masks",
        colors_dir=images / "colors",
    )  # fmt: skip
    # The masks of `images/images` would lie in `images`.
    save(np.zeros((4, 4, 3), np.uint8), images / "images" / "x.png")
    refused(images, ValueError, "`output_dir` must be outside", tmp_path)


def test_links_to_other_folders_are_refused(images, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "masks" / "in").symlink_to(tmp_path / "other", target_is_directory=True)
    message = "`output_dir` must not contain links to other folders"
    refused(images, ValueError, message, tmp_path / "masks")
    refused(images, ValueError, message, tmp_path / "masks", shard=(0, 6))


def test_images_are_never_overwritten(images):
    message = "must be a folder in which no image is overwritten"
    listed = [images / "b.jpg", images / "z.png"]
    refused(images, ValueError, message, images, images=listed)
    refused(images, ValueError, message, images, images=listed, shard=(0, 2))


def test_output_folders_must_be_separate(images, tmp_path):
    for colors, output in (("a", "a"), ("a/b", "a"), ("a", "a/b")):
        message = "must be another folder than `.*`, and not in it"
        refused(
            images, ValueError, message, tmp_path / output, colors_dir=tmp_path / colors
        )  # fmt: skip


def test_two_images_with_the_same_name_are_refused(images, tmp_path):
    save(np.zeros((4, 4, 3), np.uint8), images / "a.bmp")
    message = "`images` must hold one image of each name, extensions aside. Received: '.*a"
    refused(images, ValueError, message, tmp_path / "masks")
    message = "`images` must have different names, folders and extensions aside"
    listed = [images / "a.png", images / "in" / "a.png"]
    refused(images, ValueError, message, tmp_path / "masks", images=listed)


def test_missing_and_empty_folders_are_refused(images, tmp_path):
    masks = tmp_path / "masks"
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for paths, error, message in (
        (tmp_path / "none", FileNotFoundError, "`images` must be an existing folder"),
        (tmp_path / "file", NotADirectoryError, "`images` must be a folder"),
        (tmp_path / "empty", ValueError, "`images` must hold images"),
        ([], ValueError, "`images` must hold an image. Received: an empty list"),
        ([images / "none.png"], FileNotFoundError, "`images` must be files or one folder"),
        ([images / "notes.txt"], ValueError, "`images` must be images"),
    ):
        refused(images, error, message, masks, images=paths)
    refused(images, NotADirectoryError, "`output_dir` must be a folder", tmp_path / "file")
    refused(images, FileNotFoundError, "`model` must be a file", masks)


@pytest.mark.parametrize("shard", [(1,), (2, 2), (-1, 2), (0, 0), (1, 2, 3)])
def test_a_shard_is_an_index_and_a_count(images, tmp_path, shard):
    refused(images, ValueError, r"`shard` must be \(index, count\)", tmp_path / "m", shard=shard)


def test_a_shard_is_two_integers(images, tmp_path):
    refused(images, TypeError, r"`shard` must be \(index, count\)", tmp_path / "m", shard=(0, 2.0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"overlap": 1.0}, ValueError, "`overlap` must be a number in"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be a positive integer"),
        ({"max_pixels": 0}, ValueError, "`max_pixels` must be a positive integer"),
        ({"tta": ("sideways",)}, ValueError, "`tta` must be a bool, or hold"),
        ({"window": (16,)}, ValueError, "`window` must be two positive integers"),
    ],
)
def test_invalid_options_write_nothing(model, images, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        predict(model, images, tmp_path / "masks", **options)
    assert not (tmp_path / "masks").exists()


def test_samples_without_dropout_write_nothing(images, tmp_path):
    model = unetv2.build_unetv2((16, 16, 3), 3, filters=2, depth=1, dropout=0.0)
    with pytest.raises(ValueError, match="`mc_samples` must be 0 for a model without dropout"):
        predict(model, images, tmp_path / "masks", mc_samples=2)
    assert not (tmp_path / "masks").exists()

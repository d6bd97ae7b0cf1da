"""Drawings of a training: varied validation images, and curves."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_training import N_CLASSES, PLAIN, network, random_images, train

import unetv2
from unetv2.training import drawings
from unetv2.training.drawings import varied_images


def numbered(masks, batch_size=3):
    """Returns batches whose images have their number as value."""
    images = np.arange(len(masks), dtype=np.float32)[:, None, None, None]
    images = np.broadcast_to(images, (*np.shape(masks)[:3], 3))
    return tf.data.Dataset.from_tensor_slices((images, masks)).batch(batch_size)


def chosen(masks, n_classes, **options):
    return [
        int(image[0, 0, 0]) for image, _ in varied_images(numbered(masks), n_classes, **options)
    ]


def test_drawn_images_contain_all_classes():
    masks = np.zeros((40, 4, 6, 1), np.int32)
    masks[17, 0, 0] = 1
    masks[23, 0, :3] = 2
    # An image with more of it.
    masks[31, :2] = 2
    masks[32] = 255
    masks[35, 3, 5] = 3
    found = chosen(masks, 4)
    assert {17, 31, 35} <= set(found)
    assert len(found) == len(set(found)) == 6
    assert found == sorted(found)


def test_drawn_images_are_spread():
    found = chosen(np.zeros((100, 2, 2, 1), np.int32), 2)
    assert len(found) == 6
    assert min(np.diff(found)) >= 8
    assert max(found) - min(found) >= 60
    assert chosen(np.zeros((4, 2, 2, 1), np.int32), 2) == [0, 1, 2, 3]
    # All pixels may be ignored.
    assert len(chosen(np.full((9, 2, 2, 1), 255, np.int32), 2)) == 6


def test_more_classes_than_images_are_covered_as_well_as_possible():
    masks = np.zeros((30, 2, 5, 1), np.int32)
    for number in range(30):
        masks[number, 0, 0] = number % 10 + 1
    # Half of the classes.
    masks[29, 0, :, 0] = range(1, 6)
    found = chosen(masks, 11, most=6)
    assert {*np.unique(masks[found])} == set(range(11))


def test_large_images_are_cropped():
    image, mask = np.zeros((1, 9, 12, 3), np.float32), np.zeros((1, 9, 12, 1), np.int32)
    mask[:, 2:7, 4:9] = 1
    dataset = tf.data.Dataset.from_tensors((image, mask))
    ((cropped, ids),) = varied_images(dataset, 2, crop=5)
    assert cropped.shape == (5, 5, 3)
    assert ids.sum() in (20, 25)
    ((whole, _),) = varied_images(dataset, 2, crop=100)
    assert whole.shape == (9, 12, 3)


def test_validation_images_of_different_sizes_are_drawn(tmp_path):
    pairs = [random_images(1, size=size) for size in ((16, 24), (24, 16), (8, 8))]
    validation = tf.data.Dataset.from_generator(
        lambda: iter(pairs),
        output_signature=(
            tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, None, None, 1), tf.int32)
        ),
    )  # fmt: skip
    training = train(tmp_path, network((None, None, 3)), validation=validation, images_every=2)
    assert training.epoch == [0, 1]
    for path in (tmp_path / "best.png", tmp_path / "images" / "epoch_0001.png"):
        with Image.open(path) as image:
            heights = [round(320 * height / max(height, width)) for height, width in
                       ((16, 24), (24, 16), (8, 8))]  # fmt: skip
            assert image.height >= sum(heights)


def test_the_best_epoch_is_drawn(tmp_path):
    model = network()
    train(tmp_path, model, recipe=unetv2.recipes.get(PLAIN, learning_rate=0.03), epochs=2)
    images, masks = random_images()
    predicted = np.asarray(model(images)).argmax(-1)
    # All six images.
    expected = unetv2.visualization.panel(
        images, masks, predicted, unetv2.ClassTable.numbered(N_CLASSES)
    )
    with Image.open(tmp_path / "best.png") as image:
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_without_validation_only_curves_are_drawn(tmp_path):
    train(tmp_path, validation=None, epochs=1)
    assert (tmp_path / "curves.png").exists()
    assert not (tmp_path / "best.png").exists()
    assert not (tmp_path / "images").exists()


def test_without_matplotlib_there_are_no_curves(tmp_path, monkeypatch, caplog):
    def missing():
        raise ImportError("Plots need matplotlib.")

    monkeypatch.setattr(drawings, "require_matplotlib", missing)
    with caplog.at_level("INFO", logger="unetv2"):
        train(tmp_path, epochs=1)
    assert not (tmp_path / "curves.png").exists()
    assert (tmp_path / "best.png").exists()
    assert "no 'curves.png'. Plots need matplotlib." in caplog.text


@pytest.mark.parametrize("every", [1, 3])
def test_overwriting_a_run_removes_its_drawings(tmp_path, every):
    train(tmp_path, epochs=1, images_every=every)
    train(tmp_path, epochs=1, validation=None, overwrite=True)
    assert not (tmp_path / "best.png").exists()

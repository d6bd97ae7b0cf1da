"""Infinite data, and advice on converting other types of data."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import PLAIN, SIZE, Watcher, batches, network, random_images, train

import unetv2
from unetv2.training import data as data_checks
from unetv2.training.feed import Feed

SPECS = (tf.TensorSpec((None, *SIZE, 3)), tf.TensorSpec((None, *SIZE, 1), tf.int32))


def endless():
    while True:
        yield from batches()


def numbered():
    """Infinite batches of 2 images, whose values are their numbers."""
    for number in range(10**6):
        yield np.full((2, 4, 4, 1), number, np.float32), np.zeros((2, 4, 4, 1), np.int32)


NUMBERED = tf.data.Dataset.from_generator(
    numbered,
    output_signature=(tf.TensorSpec((None, 4, 4, 1)), tf.TensorSpec((None, 4, 4, 1), tf.int32)),
)


def feed(dataset: Any = NUMBERED, batch_size: int = 2, **options: Any) -> Feed:
    spec = data_checks.DataSpec(
        n_classes=2, ignore_class=None, n_pairs=3 * batch_size, batch_size=batch_size,
        rebatched=True, augmentation=None, image_shape=(4, 4, 1), validated=False,
        preprocessing=None, steps_per_epoch=3,
    )  # fmt: skip
    return Feed(dataset, None, spec, seed=0, **options)


def numbers(batches: Any) -> list[float]:
    return [float(image[0, 0, 0, 0]) for image, _ in batches]


@pytest.mark.parametrize(
    "data",
    [
        tf.data.Dataset.from_generator(endless, output_signature=SPECS),
        batches(batch_size=4),
    ],
    ids=["generator", "one that ends"],
)
def test_an_epoch_has_steps_per_epoch_batches(tmp_path, data):
    watcher = Watcher()
    recipe = unetv2.recipes.get(PLAIN, class_weights="median_frequency", augmentation="light")
    training = train(
        tmp_path, data=data, validation=None, recipe=recipe, steps_per_epoch=4, callbacks=[watcher]
    )
    assert watcher.batches == [4, 4]
    assert training.epoch == [0, 1]


def test_a_stream_continues_from_epoch_to_epoch():
    stream = feed()
    fit, _ = stream.batches()
    for epoch in range(3):
        stream.start_epoch(epoch)
        assert numbers(fit) == [3 * epoch, 3 * epoch + 1, 3 * epoch + 2]
    # The next phase continues, an epoch that failed is done again, and a resumed one is as it was.
    assert numbers(stream.batches(0.5, epoch=3)[0]) == [9, 10, 11]
    stream.start_epoch(3)
    assert numbers(stream.batches(epoch=3)[0]) == [9, 10, 11]
    assert numbers(feed().batches(skipped=2, epoch=3)[0]) == [11]


def test_finite_streams_are_repeated_in_full_batches():
    six = NUMBERED.take(3)
    stream = feed(six, batch_size=4)
    assert [len(image) for image, _ in stream.batches()[0]] == [4, 4, 4]


def test_a_stream_of_files_has_another_order_in_each_pass(write_pairs):
    data = unetv2.make_dataset(*write_pairs(n=4, size=SIZE), image_size=SIZE, batch_size=2)
    first, again, later = (
        [image.numpy() for image, _ in feed(data).batches(epoch=epoch)[0]] for epoch in (0, 0, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, later)


def test_data_that_does_not_end_is_refused_without_steps(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(data_checks, "_MOST_COUNTED", 20)
    monkeypatch.setattr(data_checks, "_WARNED_AFTER", 10)
    data = tf.data.Dataset.from_generator(endless, output_signature=SPECS)
    message = (
        "`train` must end, .*Received: a data set of unknown cardinality .*20 .*`steps_per_epoch`"
    )
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", data=data, validation=None)
    assert "`train` has an unknown cardinality" in caplog.text
    with pytest.raises(ValueError, match=r"`validation` must end, .*`\.take\(n\)`"):
        train(tmp_path / "run", validation=data)
    with pytest.raises(
        ValueError, match=r"`train` must end, .*Received: an endless data set\. .*`steps"
    ):
        train(tmp_path / "run", data=batches().repeat(), validation=None)


@pytest.mark.parametrize(("steps", "error"), [(0, ValueError), (2.5, TypeError)])
def test_steps_must_be_a_positive_integer(tmp_path, steps, error):
    with pytest.raises(error, match=rf"`steps_per_epoch` .*Received: steps_per_epoch={steps}"):
        train(tmp_path / "run", steps_per_epoch=steps)


def test_steps_per_epoch_needs_one_device(tmp_path):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with pytest.raises(ValueError, match="`steps_per_epoch` .*Received: steps_per_epoch=2"):
        train(tmp_path / "run", steps_per_epoch=2, strategy=strategy)


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        images, masks = random_images()
        return images[2 * index : 2 * index + 2], masks[2 * index : 2 * index + 2]


@pytest.mark.parametrize(
    ("data", "received", "advice"),
    [
        (
            random_images(),
            "tuple",
            "from_tensor_slices((images, masks)).shuffle(len(images)).batch(8)",
        ),
        (random_images()[0], "ndarray", "from_tensor_slices("),
        (
            Batches(),
            "Batches",
            "from_generator(lambda: (data[i] for i in range(len(data))), output_",
        ),
        (endless(), "generator", "from_generator(function, output_signature="),
        (endless, "function", "`steps_per_epoch` if it never ends"),
        ("images", "str", "`make_dataset` creates one from two folders"),
    ],
)
def test_other_types_of_data_are_refused_with_their_conversion(tmp_path, data, received, advice):
    with pytest.raises(
        TypeError, match=f"`train` must .*Received: train of type {received}.*{re.escape(advice)}"
    ):
        unetv2.train(network(), data, None, output_dir=tmp_path / "run")


def test_the_suggested_conversions_work():
    images, masks = random_images()
    data = Batches()
    of_batches = tf.data.Dataset.from_generator(
        lambda: (data[i] for i in range(len(data))),
        output_signature=(
            tf.TensorSpec((None, None, None, 3)),
            tf.TensorSpec((None, None, None, 1), tf.int32),
        ),
    )
    of_arrays = tf.data.Dataset.from_tensor_slices((images, masks)).shuffle(len(images)).batch(8)
    of_dicts = batches().map(lambda image, mask: {"x": image, "y": mask})
    of_more = batches().map(lambda image, mask: (image, mask, 1.0))
    for found in (
        of_batches,
        of_arrays,
        of_dicts.map(lambda found: (found["x"], found["y"])),
        of_more.map(lambda image, mask, *_: (image, mask)),
    ):
        assert data_checks.inspect_data(network(), found, None, PLAIN).n_pairs == 6


@pytest.mark.parametrize(
    ("change", "received", "advice"),
    [
        (lambda i, m: {"x": i, "y": m}, "dicts of 'x', 'y'", "(item['x'], item['y'])"),
        (lambda i, m: {"x": i, "y": m, "z": i}, "dicts of 'x', 'y', 'z'", "(item['image'], "),
        (lambda i, m: (i, m, tf.ones(2)), "tuples of 3", "lambda image, mask, *_: (image, mask)"),
        (lambda i, m: ({"x": i}, m), "a dict of 'x' as image", "one input and one output"),
        (lambda i, m: (i, {"x": m}), "a dict of 'x' as mask", "one input and one output"),
        (lambda i, m: (tf.RaggedTensor.from_tensor(i), m), "a RaggedTensor as image", "resize"),
        (lambda i, _: i, "single tensors", "tf.data.Dataset.zip"),
    ],
)  # fmt: skip
def test_other_elements_are_refused_with_their_conversion(tmp_path, change, received, advice):
    message = f"`train` must contain batches .*Received: {received}.*{re.escape(advice)}"
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", data=batches().map(change))
    assert not (tmp_path / "run").exists()

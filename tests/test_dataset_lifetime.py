"""Lifetime of the threads and the memory of data sets."""

from __future__ import annotations

import gc
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import unetv2
from unetv2.data.dataset_info import info_of
from unetv2.data.pipeline import Loader, Shard


@pytest.fixture(autouse=True, scope="module")
def quick_collections():
    """Excludes existing objects, such as TensorFlow's, from garbage collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("unetv2")}


class Kept:
    """Images and threads of the existing data sets."""

    def __init__(self):
        self.objects = weakref.WeakSet()
        self.threads_before = threads()

    def require_nothing(self):
        gc.collect()
        assert not self.objects
        for thread in threads() - self.threads_before:
            # It has been told to end; when it does is the machine's decision.
            thread.join(60)
        assert threads() <= self.threads_before


@pytest.fixture
def kept(monkeypatch):
    found = Kept()

    class Recorded(Loader):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            found.objects.add(self)

    monkeypatch.setattr("unetv2.data.dataset.Loader", Recorded)
    return found


def make(folders, **options):
    options = {"n_classes": 3, "image_size": (12, 16), "batch_size": 2, "shuffle": False, **options}
    return unetv2.make_dataset(*folders, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"cache": None},
        {"shuffle": True, "augmentation": "driving"},
        {"crop_size": (8, 8), "balanced": True},
        {"on_error": "skip"},
    ],
)
def test_a_deleted_data_set_leaves_no_threads_and_no_images(write_pairs, kept, options):
    data = make(write_pairs(5), **options)
    assert len(list(data)) == 3
    del data
    kept.require_nothing()


def test_a_deleted_data_set_leaves_no_memory(write_pairs, kept):
    data = make(write_pairs(4))
    assert len(list(data)) == 2
    (loader,) = kept.objects
    images = [weakref.ref(loader.read(number)[0]) for number in range(4)]
    assert all(image() is not None for image in images)
    del data, loader
    gc.collect()
    assert all(image() is None for image in images)


def test_an_interrupted_or_failed_data_set_leaves_nothing(write_pairs, kept):
    folders = write_pairs(40)
    iterator = iter(make(folders, repeat=True))
    next(iterator)
    del iterator
    kept.require_nothing()
    data = make(folders)
    (folders[0] / "0039.png").write_bytes(b"no image")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"0039\.png"):
        list(data)
    del data
    kept.require_nothing()


DERIVED = {
    "map": lambda data: data.map(lambda image, mask: (image + 0, mask)),
    "take": lambda data: data.take(3),
    "prefetch": lambda data: data.prefetch(2),
    "shuffle": lambda data: data.shuffle(1),
    "cache": lambda data: data.cache(),
    "repeat": lambda data: data.repeat(1),
    "filter": lambda data: data.filter(lambda _, mask: tf.reduce_all(mask >= 0)),
    "unbatch": lambda data: data.unbatch().batch(2),
    "zip": lambda data: tf.data.Dataset.zip((data, tf.data.Dataset.range(9))).map(lambda a, _: a),
    "concatenate": lambda data: data.take(0).concatenate(data),
    "flat_map": lambda data: tf.data.Dataset.range(1).flat_map(lambda _: data),
    "sample": lambda data: tf.data.Dataset.sample_from_datasets([data], seed=0),
    "options": lambda data: data.with_options(tf.data.Options()),
    "iterator": iter,
    "numpy_iterator": lambda data: data.as_numpy_iterator(),
}


@pytest.mark.parametrize("name", list(DERIVED))
def test_a_derived_data_set_keeps_the_original_alive(write_pairs, kept, name):
    data = make(write_pairs(3))
    expected = list(data)
    derived = DERIVED[name](data)
    del data
    gc.collect()
    for (image, mask), (image_before, mask_before) in zip(derived, expected, strict=True):
        np.testing.assert_array_equal(image, image_before)
        np.testing.assert_array_equal(mask, mask_before)
    del derived
    kept.require_nothing()


def test_a_workers_part_keeps_the_data_set_alive(write_pairs, kept):
    data = make(write_pairs(5))
    expected = list(data)
    part = info_of(data).shard(2, Shard(0, 1, 1))
    del data
    gc.collect()
    found = [image.numpy() for (image, _), _ in part]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate([x for x, _ in expected]))
    del part
    kept.require_nothing()


def test_a_model_fits_on_a_temporary_data_set(write_pairs, kept):
    model = keras.Sequential([keras.layers.Conv2D(3, 1)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    class Collecting(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            gc.collect()

    model.fit(make(write_pairs(5)), epochs=2, verbose=0, shuffle=False, callbacks=[Collecting()])
    del model
    kept.require_nothing()


@pytest.fixture
def no_threads_left():
    own = {thread for thread in threading.enumerate() if not thread.daemon}
    yield
    assert {thread for thread in threading.enumerate() if not thread.daemon} <= own


@pytest.mark.usefixtures("no_threads_left")
def test_checking_predicting_and_evaluating_leave_no_threads(write_pairs, tmp_path, kept):
    images, masks = write_pairs(3)
    model = unetv2.build_unetv2((12, 16, 3), 3, filters=1, depth=2)
    unetv2.check_dataset(images, masks, n_classes=3, progress=False)
    unetv2.predict_directory(model, images, tmp_path / "predicted", progress=False)
    unetv2.evaluate(model, make((images, masks)), progress=False)
    kept.require_nothing()


@pytest.mark.slow
@pytest.mark.usefixtures("no_threads_left")
def test_training_leaves_no_threads(write_pairs, tmp_path, kept):
    folders = write_pairs(3)
    model = unetv2.build_unetv2((12, 16, 3), 3, filters=1, depth=2)
    data = [make(folders) for _ in range(2)]
    unetv2.train(model, *data, epochs=1, output_dir=tmp_path / "run", progress=False)
    del data, model
    kept.require_nothing()

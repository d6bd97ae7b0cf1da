"""Data of `train`, and errors before the first step."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_training import N_CLASSES, PLAIN, SIZE, Watcher, batches, network, random_images, train

import unetv2
from unetv2.training.data import DataSpec, inspect_data
from unetv2.training.feed import Feed


def changed(image=lambda images: images, mask=lambda masks: masks):
    return batches().map(lambda images, masks: (image(images), mask(masks)))


def of_files(write_pairs, **options):
    options = {"n_classes": N_CLASSES, "image_size": SIZE, "batch_size": 2, **options}
    return unetv2.make_dataset(*write_pairs(n=6, size=SIZE), **options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (batches().take(0), "`train` must contain at least one batch. Received: an empty"),
        (batches().repeat(), "`train` must end, as an epoch is one pass. Received: an endless"),
        (batches().unbatch(), "the model's input shape, (None, 16, 24, 3). Received: (16,"),
        (batches(size=(16, 20)), "shape, (None, 16, 24, 3). Received: (2, 16, 20, 3). Pass"),
        (batches(channels=1), "model's input shape, (None, 16, 24, 3). Received: (2, 16, 24, 1)."),
        (changed(mask=lambda m: m[:, :8]), "size, (2, 16, 24, 1). Received: (2, 8, 24, 1)."),
        (changed(mask=lambda m: m[..., 0]), "size, (2, 16, 24, 1). Received: (2, 16, 24)."),
        (changed(mask=lambda m: tf.one_hot(m[..., 0], 3)), "Received: (2, 16, 24, 3)."),
        (changed(mask=lambda m: m + 1), "Mask ids must be in [0, 3). Received: 3 in "),
        (changed(mask=lambda m: m - 1), "Mask ids must be in [0, 3). Received: -1 in "),
        (changed(mask=lambda m: m / 1), "must hold integer ids. Received: float64 in "),
        (changed(lambda i: i * 255), "must be in [0, 1]. Received: values from 0 to 209.092."),
        (changed(lambda i: i - 1), "must be in [0, 1]. Received: values from -1 to -0.180031."),
        (changed(lambda i: i * np.nan), "must be in [0, 1]. Received: values from nan to nan."),
        (batches().map(lambda i, m: (i, m, m)), "must contain batches of (image, mask), as"),
        (batches().map(lambda i, _: i), "by `make_dataset`. Received: single tensors."),
    ],
)  # fmt: skip
def test_data_that_does_not_fit_is_refused_before_the_first_step(tmp_path, data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path / "run", data=data)
    good = {"data": batches(), "validation": data}
    with pytest.raises(ValueError, match=re.escape(message.replace("`train`", "`validation`"))):
        train(tmp_path / "run", **good)
    assert not (tmp_path / "run").exists()


def test_data_must_be_a_dataset(tmp_path):
    message = "`train` must be a tf.data.Dataset of batches .* Received: train of type tuple."
    with pytest.raises(TypeError, match=message):
        train(tmp_path, data=random_images())
    with pytest.raises(TypeError, match="`validation` must be a tf.data.Dataset of .* type list."):
        train(tmp_path, validation=[1])


def test_a_data_set_of_other_classes_is_refused(tmp_path, write_pairs):
    message = "Received: 3 outputs, and n_classes=4 in `train`. Build the model"
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", data=of_files(write_pairs, n_classes=4))


def test_repeat_true_is_refused(tmp_path, write_pairs):
    with pytest.raises(
        ValueError, match="Received: a data set with repeat=True. .*`steps_per_epoch`"
    ):
        train(tmp_path / "run", data=of_files(write_pairs, repeat=True))


def test_both_data_sets_must_ignore_the_same(tmp_path, write_pairs):
    data, other = (of_files(write_pairs, ignore_class=number) for number in (None, 255))
    with pytest.raises(ValueError, match="the same `ignore_class`. Received: None and 255."):
        train(tmp_path / "run", data=data, validation=other)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"recipe": "best"}, ValueError, "`recipe` must be one of 'reference', 'fast'"),
        ({"epochs": 0}, ValueError, "`epochs` must be a positive integer. Received: epochs=0."),
        ({"epochs": 1.5}, TypeError, "`epochs` must be a positive integer. Received: epochs=1.5"),
        ({"seed": -1}, ValueError, "`seed` must be a non-negative integer. Received: seed=-1."),
        ({"images_every": 0}, ValueError, "`images_every` must be a positive integer. Rec"),
        ({"checkpoint_minutes": -1}, ValueError, "`checkpoint_minutes` must be a non-negative"),
        ({"patience": 0}, ValueError, "`patience` must be a positive integer. Rec"),
        (
            {"patience": 3, "validation": None},
            ValueError,
            "`validation`. Received: patience=3 and validation=None.",
        ),
        (
            {"recipe": unetv2.recipes.get(PLAIN, class_weights=(1, 2))},
            ValueError,
            "`class_weights` must be one number for each class. Received: 2 in the recipe for 3",
        ),
    ],
)
def test_arguments_are_checked(tmp_path, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_the_model_must_give_logits(tmp_path):
    class Subclass(keras.Model):
        pass

    image = keras.Input((*SIZE, 3))
    for model in (Subclass(), keras.Model(image, keras.layers.Flatten()(image))):
        message = "`model` must map images .*`build_unetv2` builds such a model."
        with pytest.raises(ValueError, match=message):
            unetv2.train(model, batches(), None, output_dir=tmp_path / "run")
    with pytest.raises(TypeError, match="`model` must be a keras.Model .*Received: NoneType"):
        unetv2.train(None, batches(), None, output_dir=tmp_path / "run")


def uneven():
    """Batches of 1, 3 and 3 images, of unknown cardinality."""
    images, masks = random_images(7)
    for start, end in ((0, 1), (1, 4), (4, 7)):
        yield images[start:end], masks[start:end]


SPECS = (tf.TensorSpec((None, *SIZE, 3)), tf.TensorSpec((None, *SIZE, 1), tf.int32))


@pytest.mark.parametrize(
    "data",
    [
        tf.data.Dataset.from_generator(uneven, output_signature=SPECS),
        tf.data.Dataset.from_generator(uneven, output_types=(tf.float32, tf.int32)),
        batches(7).filter(lambda *_: True),
        changed(mask=lambda masks: tf.cast(masks, tf.uint8)),
    ],
    ids=["of unknown length", "of unknown shapes", "filtered", "of bytes"],
)
def test_any_data_set_that_ends_is_trained_on(tmp_path, data):
    watcher = Watcher()
    recipe = unetv2.recipes.get(PLAIN, batch_size=4)
    training = train(tmp_path, data=data, recipe=recipe, callbacks=[watcher], epochs=3)
    # 6 or 7 images in batches of 4.
    assert watcher.batches == [2, 2, 2]
    assert training.epoch == [0, 1, 2]


def test_skipped_images_do_not_shrink_batches(tmp_path, write_pairs):
    options = {"on_error": "skip", "max_skipped": 0.5, "cache": None}
    images, _ = write_pairs(n=6, size=SIZE)
    for number in (1, 3):
        (images / f"{number:04d}.png").write_bytes(b"none")
    data = unetv2.make_dataset(
        images, images.parent / "masks", n_classes=3, image_size=SIZE, batch_size=2, **options
    )
    watcher = Watcher()
    train(tmp_path / "run", data=data, callbacks=[watcher], epochs=3)
    assert watcher.batches == [2, 2, 2]


def test_augmented_data_is_not_augmented_again(write_pairs):
    recipe = unetv2.recipes.get(PLAIN, augmentation="driving")
    varied, unvaried = (of_files(write_pairs, augmentation=name) for name in ("light", None))
    assert inspect_data(network(), varied, None, recipe).augmentation is None
    assert (
        inspect_data(network(), unvaried, None, recipe).augmentation
        == unetv2.augmentation.driving()
    )
    # Gray images have no saturation to vary.
    gray = network((*SIZE, 1))
    assert inspect_data(gray, batches(channels=1), None, recipe).augmentation.saturation == 0


def test_the_spec_prints_the_augmentation_that_is_applied(write_pairs):
    recipe = unetv2.recipes.get(PLAIN, augmentation="driving")
    varied, plain = (of_files(write_pairs, augmentation=name) for name in ("light", None))
    light, driving = unetv2.augmentation.light(), unetv2.augmentation.driving()
    said = [
        (varied, recipe, f"Augmentation, by the data set: {light}."),
        (plain, recipe, f"Augmentation: {driving}."),
        (plain, PLAIN, "Augmentation: None."),
    ]
    for data, asked, line in said:
        assert line in str(inspect_data(network(), data, None, asked))
    gray = network((*SIZE, 1))
    said = str(inspect_data(gray, batches(channels=1), None, recipe))
    assert "brightness=0.3" in said
    assert "saturation" not in said


def test_ignore_class_is_taken_from_the_data_or_the_model(tmp_path, write_pairs):
    assert (
        inspect_data(network(), of_files(write_pairs, ignore_class=9), None, PLAIN).ignore_class
        == 9
    )
    holes = changed(mask=lambda masks: tf.where(masks == 1, 255, masks))
    with pytest.raises(ValueError, match="ids must be in .* Received: 255 in .* of `train`"):
        train(tmp_path / "run", data=holes)
    # `map` and others lose what `make_dataset` was told: the model has to be told too.
    lost = of_files(write_pairs, ignore_class=9, label_map={1: 9}).map(lambda x, y: (x, y))
    advice = r"Received: 9 in .*`map`.* Pass `ignore_class=9` to `build_unetv2`"
    with pytest.raises(ValueError, match=advice):
        inspect_data(network(), lost, None, PLAIN)
    followed = unetv2.build_unetv2((*SIZE, 3), 3, filters=2, depth=2, ignore_class=9)
    assert inspect_data(followed, lost, None, PLAIN).ignore_class == 9
    model = network()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True, ignore_class=255))
    training = train(tmp_path / "run", model, holes, epochs=1)
    assert np.isfinite(training.history["loss"] + training.history["val_loss"]).all()


@given(height=st.integers(1, 33), width=st.integers(1, 33), scale=st.sampled_from([0.25, 0.5, 0.7]))
def test_progressive_resizing_keeps_colors_and_boundaries(height, width, scale):
    shape = (2, height, width)
    images = np.full((*shape, 3), 0.5, np.float32)
    masks = np.full((*shape, 1), 2, np.int32)
    masks[:, height // 2 :] = 1
    spec = DataSpec(
        n_classes=3, ignore_class=None, n_pairs=2, batch_size=2, rebatched=False, augmentation=None,
        image_shape=(height, width, 3), validated=False, preprocessing=None,
    )  # fmt: skip
    dataset, steps = Feed(
        tf.data.Dataset.from_tensors((images, masks)), None, spec, seed=0
    ).batches(scale)
    ((image, mask),) = dataset
    assert steps == 1
    size = tuple(max(1, round(side * scale)) for side in (height, width))
    assert image.shape == (2, *size, 3)
    assert mask.shape == (2, *size, 1)
    # Means of up to 4 x 4 pixels in float32.
    np.testing.assert_allclose(image, 0.5, atol=2e-6)
    assert set(np.unique(mask)) <= {1, 2}
    # The boundary is where it was, to half a pixel.
    assert abs(np.sum(np.asarray(mask)[0, :, 0, 0] == 2) / size[0] - (height // 2) / height) < (
        0.51 / size[0] + 1e-9
    )


@pytest.mark.parametrize("shape", [(15, 23, 3), (None, None, 3)])
def test_progressive_resizing_trains_models_of_fixed_and_of_any_size(tmp_path, shape):
    recipe = unetv2.recipes.get(
        PLAIN, progressive_resizing=((0.5, 0.4), (0.5, 1)), augmentation="light"
    )
    model = network(shape)
    training = train(tmp_path, model, batches(size=(15, 23)), recipe=recipe)
    assert training.epoch == [0, 1]
    saved = keras.models.load_model(tmp_path / "model.keras")
    assert saved.input_shape == (None, *shape)

"""Preprocessing is stored with the model."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_training import N_CLASSES, PLAIN, batches, network

import unetv2
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import (
    INTERPOLATIONS,
    RESIZES,
    TRANSFORMS,
    Preprocessing,
    class_table,
    of_dataset,
)

SIZES = st.none() | st.tuples(st.integers(1, 2000), st.integers(1, 2000))
FULL = Preprocessing(
    image_size=(24, 32), resize="pad", interpolation="bicubic", channels=3, crop_size=(16, 24),
    value_range=(-1, 1), ignore_class=255, classes=unetv2.CITYSCAPES, encoding="ids",
    label_map={7: 0, 8: 1}, image_suffix="_leftImg8bit", mask_suffix="_gtFine_labelIds",
    window=(32, 48), tta=("horizontal", 1.25),
)  # fmt: skip


@given(
    image_size=SIZES, crop_size=SIZES, resize=st.sampled_from(RESIZES),
    interpolation=st.sampled_from(INTERPOLATIONS), channels=st.integers(1, 9),
    ignore_class=st.none() | st.integers(-1, 255),
    classes=st.sampled_from([None, unetv2.CARLA, unetv2.CAMVID, unetv2.CITYSCAPES]),
    encoding=st.sampled_from(["ids", "colors", "binary"]), mask_suffix=st.text(max_size=5),
    label_map=st.none() | st.dictionaries(st.integers(0, 300), st.integers(-1, 255), max_size=4),
    low=st.floats(-300, -0.01), high=st.floats(0, 300), window=SIZES,
    tta=st.booleans() | st.lists(st.sampled_from([*TRANSFORMS, 0.5, 1, 2])),
)  # fmt: skip
def test_json_round_trips(low, high, **values):
    preprocessing = Preprocessing(**values, value_range=(low, high))
    text = json.dumps(preprocessing.as_dict())
    assert Preprocessing.from_dict(json.loads(text)) == preprocessing


def test_fields_of_a_later_version_are_ignored():
    values = FULL.as_dict() | {"stain": "eosin"}
    values["classes"]["shapes"] = []
    assert Preprocessing.from_dict(values) == FULL


def test_fields_of_an_earlier_version_have_their_defaults():
    values = FULL.as_dict()
    del values["window"], values["tta"]
    assert Preprocessing.from_dict(values) == dataclasses.replace(FULL, window=None, tta=())


def test_equal_transforms_are_stored_equally():
    for tta in ((), [], False, [1], (1.0,)):
        assert Preprocessing(tta=tta).tta == ()
    assert Preprocessing(tta=True).tta == ("horizontal",)
    expected = ("vertical", "horizontal", "transpose", 0.5, 2.0)
    for tta in (expected, [2, "transpose", 0.5, 1.0, "horizontal", "vertical", 2.0]):
        assert Preprocessing(tta=tta).tta == expected
        assert hash(Preprocessing(tta=tta)) == hash(Preprocessing(tta=expected))


@pytest.mark.parametrize(
    ("values", "whole"),
    [
        ({"image_size": (8, 8)}, True),
        ({"image_size": (8, 8), "resize": "crop"}, False),
        ({"image_size": (8, 8), "crop_size": (4, 4)}, False),
        ({"image_size": (8, 8), "window": (4, 4)}, False),
        ({"image_size": None}, False),
    ],
)
def test_windows_and_crops_are_parts_of_images(values, whole):
    assert Preprocessing(**values).takes_whole_images == whole


def test_class_tables_round_trip_through_files(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(unetv2.CITYSCAPES.as_dict()))
    assert unetv2.ClassTable.from_file(path) == unetv2.CITYSCAPES


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"image_size": (0, 4)}, ValueError, "`image_size` must be two positive integers"),
        ({"crop_size": 4}, ValueError, "`crop_size` must be two positive integers"),
        ({"window": (8, 8.5)}, TypeError, "`window` must be two positive integers"),
        ({"tta": None}, ValueError, "`tta` must be a bool, or hold .*Received: tta=None"),
        ({"tta": ("diagonal",)}, ValueError, "`tta` must be a bool, or hold .*'transpose' and"),
        ({"resize": "squeeze"}, ValueError, "`resize` must be one of 'stretch', 'pad', 'crop'"),
        ({"interpolation": "spline"}, ValueError, "`interpolation` must be one of 'area', 'near"),
        ({"channels": 0}, ValueError, "`channels` must be a positive integer"),
        ({"value_range": (1, 1)}, ValueError, "`value_range` must be two finite numbers, the sm"),
        ({"value_range": 1}, ValueError, "`value_range` must be two finite numbers"),
        ({"value_range": ("0", "1")}, TypeError, "`value_range` must be two finite numbers"),
        ({"value_range": (0, np.inf)}, ValueError, "`value_range` must be two finite numbers"),
        ({"encoding": None}, TypeError, "`encoding` must be a str"),
        ({"mask_suffix": 1}, TypeError, "`mask_suffix` must be a str. Received: mask_suffix=1"),
        ({"label_map": {"7": 0}}, TypeError, "`label_map` must map ids to ids, integers both"),
        ({"label_map": [7, 0]}, TypeError, "`label_map` must map ids to ids, integers both"),
        ({"ignore_class": 1.5}, TypeError, "`ignore_class` must be an integer or None"),
        ({"classes": "carla"}, TypeError, "`classes` must be a ClassTable or None"),
    ],
)
def test_invalid_values_are_refused(values, error, message):
    with pytest.raises(error, match=message):
        Preprocessing(**values)
    if values != {"classes": "carla"}:
        with pytest.raises(ValueError, match="`preprocessing` must be what `Preproc.*" + message):
            Preprocessing.from_dict(FULL.as_dict() | values)


NATIVE = {"image_size": None, "channels": 3}


@pytest.mark.parametrize(
    "values",
    [None, [1], {}, {"image_size": [4, 4]}, NATIVE | {"classes": "carla"},
     NATIVE | {"classes": {"names": []}}],
)  # fmt: skip
def test_other_dicts_are_refused(values):
    assert Preprocessing.from_dict(NATIVE) == Preprocessing()
    with pytest.raises(ValueError, match="`preprocessing` must be what `Preprocessing.as_dict` re"):
        Preprocessing.from_dict(values)


def small(**options):
    return unetv2.build_unetv2((16, 24, 3), N_CLASSES, filters=2, depth=1, **options)


def test_fit_stores_the_preprocessing_of_the_data_set(write_pairs):
    model = small(ignore_class=255)
    assert model.preprocessing is None
    table = unetv2.ClassTable.numbered(N_CLASSES, ignore_class=255)
    data = unetv2.make_dataset(
        *write_pairs(size=(40, 40)), classes=table, image_size=(32, 40), resize="pad",
        interpolation="nearest", crop_size=(16, 24),
    )  # fmt: skip
    model.fit(data, shuffle=False, verbose=0)
    assert model.preprocessing == Preprocessing(
        image_size=(32, 40), resize="pad", interpolation="nearest", channels=3,
        crop_size=(16, 24), ignore_class=255, classes=table,
    )  # fmt: skip
    # Data that does not tell leaves what is known.
    model.fit(batches(2), shuffle=False, verbose=0)
    assert model.preprocessing.interpolation == "nearest"


def test_encoding_and_suffixes_are_stored(write_pairs):
    images, masks = write_pairs(n_classes=3)
    for path in list(masks.iterdir()):
        path.rename(masks / f"{path.stem}_label.png")
    table = unetv2.ClassTable.numbered(3)
    options = {"image_size": (16, 24), "mask_suffix": "_label"}
    data = unetv2.make_dataset(images, masks, classes=table, label_map={1: 1, 2: 1}, **options)
    known = of_dataset(data)
    assert (known.encoding, known.image_suffix, known.mask_suffix) == ("ids", "", "_label")
    assert dict(known.label_map) == {1: 1, 2: 1}
    plain = dataclasses.replace(known, classes=None)
    assert pickle.loads(pickle.dumps(plain)) == plain
    assert hash(plain) == hash(dataclasses.replace(plain))
    # A table may be exchanged, the map of its files stays; no map in its place is one.
    mapped = dataclasses.replace(table, label_map={1: 1, 2: 1})
    of_table = unetv2.make_dataset(images, masks, classes=mapped, **options)
    without = unetv2.make_dataset(images, masks, classes=mapped, label_map={}, **options)
    assert of_dataset(of_table).label_map == ((1, 1), (2, 1))
    assert of_dataset(without).label_map == ()


LOAD = """
import sys
import keras, numpy as np
import unetv2
model = keras.saving.load_model(sys.argv[1], compile=sys.argv[2] == "compiled")
assert type(model) is unetv2.SegmentationModel, type(model)
assert model.preprocessing.as_dict() == eval(sys.argv[3]), model.preprocessing
assert model.compiled == (sys.argv[2] == "compiled")
"""


@pytest.mark.parametrize("how", ["compiled", "bare"])
def test_a_fresh_process_reads_it_from_the_file(tmp_path, how):
    model = small()
    model.preprocessing = FULL
    model.save(tmp_path / "model.keras")
    result = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "model.keras", how, repr(FULL.as_dict())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_model_stays_a_functional_one():
    model = unetv2.build_unetv2((96, 128, 3), 23)
    plain = keras.Model(model.input, model.output)
    assert model.count_params() == 8_640_471
    for one, other in zip(model.weights, plain.weights, strict=True):
        assert one is other
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "unetv2" in lines[0]
    assert "encoder_0" in "\n".join(lines)


def test_copies_keep_the_preprocessing():
    model = small()
    model.preprocessing = FULL
    for copy in (
        keras.models.clone_model(model),
        type(model).from_config(model.get_config()),
        keras.models.model_from_json(model.to_json()),
    ):
        assert type(copy) is unetv2.SegmentationModel
        assert copy.preprocessing == FULL
        assert [weight.shape for weight in copy.weights] == [w.shape for w in model.weights]
    assert copy.compiled
    assert keras.models.clone_model(small()).preprocessing is None


def test_an_exported_model_gives_the_same_logits(tmp_path):
    model = small()
    model.preprocessing = FULL
    model.export(tmp_path / "exported", verbose=False)
    images = np.random.default_rng(0).random((2, 16, 24, 3), np.float32)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(images), model(images), atol=1e-6)


@pytest.mark.parametrize("make", [small, network, lambda: keras.Sequential(network().layers)])
def test_train_stores_the_preprocessing_of_any_model(tmp_path, write_pairs, make):
    data = unetv2.make_dataset(
        *write_pairs(size=(40, 40)), n_classes=N_CLASSES, image_size=(16, 24), resize="crop",
        shuffle=False,
    )  # fmt: skip
    options = {"recipe": PLAIN, "output_dir": tmp_path / "run", "progress": False}
    model = make()
    unetv2.train(model, data, data, epochs=1, **options)
    saved = keras.models.load_model(tmp_path / "run" / "model.keras")
    expected = Preprocessing(image_size=(16, 24), resize="crop")
    assert saved.preprocessing == model.preprocessing == expected
    # And a resumed run is still the same run.
    assert unetv2.train(make(), data, data, epochs=2, resume=True, **options).epoch == [0, 1]


def test_train_on_other_data_keeps_the_models_preprocessing(tmp_path):
    table = unetv2.ClassTable.numbered(N_CLASSES)
    for number, known in enumerate((None, dataclasses.replace(FULL, classes=table))):
        model = small()
        model.preprocessing = known
        folder = tmp_path / str(number)
        unetv2.train(
            model, batches(), None, recipe=PLAIN, epochs=1, output_dir=folder, progress=False
        )
        assert keras.models.load_model(folder / "model.keras").preprocessing == known


@pytest.mark.parametrize(
    ("shape", "image_size", "text"),
    [
        ((16, 24, 3), (16, 24), "whole images stretched to 16x24, as by `make_dataset`, with val"),
        ((None, 24, 4), None, "images at their own size, with values divided by 255, in [0, 1]"),
    ],
)
def test_unknown_preprocessing_is_assumed_and_logged_once(caplog, shape, image_size, text):
    image = keras.Input(shape)
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    with caplog.at_level(logging.WARNING, "unetv2"):
        for _ in range(2):
            assert preprocessing_of(model, 2) == Preprocessing(
                image_size=image_size, channels=shape[2]
            )
    assert len(caplog.messages) == 1
    assert text in caplog.text
    caplog.clear()
    model.preprocessing = FULL
    assert preprocessing_of(model, len(FULL.classes)) is FULL
    assert not caplog.messages


def test_a_model_accepts_only_a_preprocessing():
    with pytest.raises(TypeError, match="`preprocessing` must be a Preprocessing or None. Rec"):
        small().preprocessing = (96, 128)


def test_masks_are_drawn_with_the_models_table_or_a_numbered_one():
    table = unetv2.ClassTable(("soil", "crop"), ((9, 9, 9), (0, 99, 0)), ignore_class=255)
    known = Preprocessing(classes=table, ignore_class=255)
    assert class_table(known, 2) is table
    assert class_table(known, 3) == unetv2.ClassTable.numbered(3, 255)
    assert class_table(None, 3) == unetv2.ClassTable.numbered(3)

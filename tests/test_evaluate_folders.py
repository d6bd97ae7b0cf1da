"""Two folders, evaluated at the masks' own resolution."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from conftest import save

import unetv2
from unetv2.inference.network import network_of

SIZE = (12, 16)
TABLE = unetv2.ClassTable(("sky", "road", "car"), ((0, 0, 255), (90, 90, 90), (255, 0, 0)))


def small_model(n_classes=3, size=SIZE, **record):
    model = unetv2.build_unetv2((*size, 3), n_classes, filters=2, depth=2, seed=0)
    model.preprocessing = unetv2.Preprocessing(image_size=size, **record)
    return model


def evaluate(model, folders, **options):
    return unetv2.evaluate(model, folders, progress=False, **options)


def expected(model, folders, n_classes, ignore_class=None):
    """Counts the pixels of `predict` one by one."""
    confusion = np.zeros((n_classes, n_classes), int)
    for image in sorted(folders[0].iterdir()):
        predicted = unetv2.predict(model, image).mask
        mask = np.asarray(keras.utils.load_img(folders[1] / image.name, "grayscale"))
        kept = mask != ignore_class
        np.add.at(confusion, (mask[kept], predicted[kept]), 1)
    return confusion


def test_images_are_evaluated_at_the_size_of_their_masks(tmp_path):
    rng = np.random.default_rng(0)
    for number, size in enumerate(((20, 31), (12, 16), (9, 40), (20, 31))):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        save(image, tmp_path / "images" / f"{number}.png")
        save(rng.integers(0, 3, size, dtype=np.uint8), tmp_path / "masks" / f"{number}.png")
    folders, model = (tmp_path / "images", tmp_path / "masks"), small_model()
    evaluation = evaluate(model, folders)
    np.testing.assert_array_equal(evaluation.confusion, expected(model, folders, 3))
    assert evaluation.confusion.sum() == 2 * 20 * 31 + 12 * 16 + 9 * 40
    assert evaluation.counts.names == ("0", "1", "2", "3")
    assert evaluation.settings["resolution"] == "evaluated at the masks' own size"
    sizes = {example.name: example.image.shape[:2] for example in evaluation.examples}
    assert sizes == {"0": (20, 31), "1": (12, 16), "2": (9, 40), "3": (20, 31)}


def test_windows_and_augmentation_of_the_model_are_used_and_recorded(write_pairs):
    model = small_model()
    folders = write_pairs(3, size=(20, 27))
    plain = evaluate(model, folders)
    assert "prediction" not in plain.settings
    model.preprocessing = unetv2.Preprocessing(
        image_size=(20, 24), crop_size=SIZE, window=(16, 16), tta=("vertical", "horizontal", 1.5)
    )
    found = evaluate(model, folders)
    np.testing.assert_array_equal(found.confusion, expected(model, folders, 3))
    assert (found.confusion != plain.confusion).any()
    assert found.settings["prediction"] == {
        "window": [16, 16], "tta": ["vertical", "horizontal", 1.5],
    }  # fmt: skip
    text = "Predicted with window=[16, 16], tta=['vertical', 'horizontal', 1.5]."
    assert text in str(found)
    without = evaluate(model, folders, tta=False)
    assert without.settings["prediction"] == {"window": [16, 16]}
    assert (without.confusion != found.confusion).any()
    flipped = evaluate(model, folders, tta=True)
    assert flipped.settings["prediction"]["tta"] == ["horizontal"]


def test_folders_and_data_set_agree_at_the_networks_size(write_pairs):
    folders, model = write_pairs(5, size=SIZE), small_model()
    dataset = unetv2.make_dataset(*folders, n_classes=3, image_size=SIZE, shuffle=False)
    one, other = evaluate(model, folders), evaluate(model, dataset)
    np.testing.assert_array_equal(one.confusion, other.confusion)
    assert one.counts.names == other.counts.names
    for name, value in one.metrics.items():
        np.testing.assert_allclose(other.metrics[name], value, atol=1e-6)


def test_ignore_class_defaults_to_that_of_the_model(write_pairs):
    folders = write_pairs(3, size=(14, 18), n_classes=4)
    model = small_model(ignore_class=3)
    evaluation = evaluate(model, folders)
    np.testing.assert_array_equal(evaluation.confusion, expected(model, folders, 3, 3))
    assert evaluation.classes.ignore_class == 3
    other = evaluate(small_model(), folders, ignore_class=3)
    np.testing.assert_array_equal(other.confusion, evaluation.confusion)


def test_classes_are_those_of_the_caller_or_the_model(write_pairs):
    folders = write_pairs(2)
    assert evaluate(small_model(), folders).classes.names[0] == "class 0"
    assert evaluate(small_model(classes=TABLE), folders).classes.names[0] == "sky"
    given = unetv2.ClassTable(("a", "b", "c"), TABLE.colors)
    assert evaluate(small_model(classes=TABLE), folders, classes=given).classes.names[0] == "a"


def test_folders_are_read_as_by_make_dataset(write_pairs, tmp_path):
    images, masks = write_pairs(12)
    plain = evaluate(small_model(), (images, masks))
    for mask in masks.iterdir():
        ids = np.asarray(keras.utils.load_img(mask, "grayscale"))
        colors = unetv2.visualization.colorize(ids, TABLE)
        save(colors, tmp_path / "colors" / f"{mask.stem}_label.png")
    options = {"encoding": "colors", "mask_suffix": "_label"}
    painted = evaluate(small_model(classes=TABLE), (images, tmp_path / "colors"), **options)
    np.testing.assert_array_equal(painted.confusion, plain.confusion)
    assert painted.settings["data_options"] == options

    mapped = evaluate(small_model(), (images, masks), label_map={2: 0, 0: 0})
    assert mapped.scores.support.tolist() == [
        plain.scores.support[0] + plain.scores.support[2], plain.scores.support[1], 0
    ]  # fmt: skip

    split = {"subset": "test", "split": (0.4, 0.2, 0.4), "seed": 3}
    part = evaluate(small_model(), (images, masks), **split)
    dataset = unetv2.make_dataset(images, masks, image_size=SIZE, n_classes=3, **split)
    assert part.n_images == sum(len(batch) for _, batch in dataset) < 12


@pytest.fixture
def painted(write_pairs, tmp_path):
    """Masks of colors whose names end with "_label", and ids beside them."""
    images, masks = write_pairs(4)
    for mask in masks.iterdir():
        ids = np.asarray(keras.utils.load_img(mask, "grayscale"))
        colors = unetv2.visualization.colorize(ids, TABLE)
        save(colors, tmp_path / "colors" / f"{mask.stem}_label.png")
    return images, masks, tmp_path / "colors"


def test_options_default_to_those_of_the_training(painted, tmp_path):
    images, masks, colors = painted
    model = unetv2.build_unetv2((*SIZE, 3), 3, filters=2, depth=2, seed=0)
    data = unetv2.make_dataset(
        images, colors, classes=TABLE, encoding="colors", mask_suffix="_label", image_size=SIZE
    )
    model.fit(data, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    stored = {"encoding": "colors", "mask_suffix": "_label"}
    known = evaluate(tmp_path / "model.keras", (images, colors))
    explicit = evaluate(model, (images, colors), **stored)
    np.testing.assert_array_equal(known.confusion, explicit.confusion)
    assert known.settings["data_options"] == explicit.settings["data_options"] == stored
    line = "Read as in the model's training: encoding='colors', mask_suffix='_label'."
    assert line in str(known)
    assert "model's training" not in str(explicit)
    other = evaluate(model, (images, masks), encoding="ids", mask_suffix="")
    np.testing.assert_array_equal(other.confusion, known.confusion)
    assert "model's training" not in str(other)


def test_errors_mention_the_options_of_the_training(painted):
    images, masks, _ = painted
    record = {"classes": TABLE, "encoding": "colors", "mask_suffix": "_label"}
    model = small_model(**record)
    with pytest.raises(ValueError, match="training, mask_suffix='_label': pass other values"):
        evaluate(model, (images, masks))
    with pytest.raises(ValueError, match="0000.png'.*training, encoding='colors': pass other"):
        evaluate(model, (images, masks), mask_suffix="")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # The model's; the caller's, and none at all; that of the caller's table.
        ({}, {0: 0, 2: 0}),
        ({"label_map": {1: 1, 2: 1}}, {1: 1, 2: 1}),
        ({"label_map": {}}, {}),
        ({"classes": TABLE}, {0: 0, 2: 0}),
        ({"classes": dataclasses.replace(TABLE, label_map={1: 1, 2: 1})}, {1: 1, 2: 1}),
    ],
)
def test_the_label_map_is_that_of_the_caller_or_the_model(write_pairs, options, expected):
    folders = write_pairs(3)
    support = evaluate(small_model(), folders).scores.support
    found = evaluate(small_model(label_map={0: 0, 2: 0}), folders, **options)
    wanted = np.zeros(3, int)
    for number, pixels in enumerate(support):
        wanted[expected.get(number, number)] += pixels
    np.testing.assert_array_equal(found.scores.support, wanted)


def test_the_label_map_of_the_models_table_is_applied_once(write_pairs):
    mapped = dataclasses.replace(TABLE, label_map={1: 1, 2: 1})
    evaluation = evaluate(small_model(classes=mapped, label_map={1: 1, 2: 1}), write_pairs(2))
    assert evaluation.scores.support[2] == 0
    assert "data_options" not in evaluation.settings
    unmapped = evaluate(small_model(classes=mapped, label_map={}), write_pairs(2))
    assert unmapped.scores.support[2] > 0
    assert "label_map={}" in str(unmapped)


def test_a_label_map_belongs_to_its_encoding(tmp_path):
    model = small_model(2, label_map={255: 1})
    for name, pixels in (("images", np.zeros((*SIZE, 3), np.uint8)), ("masks", np.eye(12, 16))):
        save((255 * pixels).astype(np.uint8), tmp_path / name / "a.png")
    folders = tmp_path / "images", tmp_path / "masks"
    binary = evaluate(model, folders, encoding="binary")
    np.testing.assert_array_equal(binary.confusion, evaluate(model, folders).confusion)
    assert binary.scores.support.tolist() == [12 * 16 - 12, 12]


@pytest.mark.parametrize("count", [2, 5])
def test_merged_shards_equal_the_whole(write_pairs, count, tmp_path):
    folders, model = write_pairs(7, size=(13, 17)), small_model()
    whole = evaluate(model, folders)
    parts = []
    for index in range(count):
        evaluate(model, folders, shard=(index, count)).save(tmp_path / str(index))
        parts.append(unetv2.Evaluation.load(tmp_path / str(index)))
    merged = unetv2.Evaluation.merge(parts)
    assert str(merged) == str(whole)
    assert merged.as_dict()["metrics"] == whole.as_dict()["metrics"]
    np.testing.assert_array_equal(merged.counts.boundaries, whole.counts.boundaries)
    np.testing.assert_array_equal(merged.counts.calibration, whole.counts.calibration)
    assert merged.settings["shards"] == [[index, count] for index in range(count)]


class Constant:
    """Not a Keras model: predicts road with a probability of 60 % everywhere."""

    n_classes = 3
    preprocessing = unetv2.Preprocessing(classes=TABLE)

    def probabilities(self, image):
        assert image.ndim == 3
        return np.broadcast_to(np.float32([0.3, 0.6, 0.1]), (*image.shape[:2], 3))


def test_any_model_with_probabilities_can_be_evaluated(write_pairs):
    folders = write_pairs(3, size=(10, 20))
    evaluation = evaluate(Constant(), folders)
    assert (evaluation.confusion[:, [0, 2]] == 0).all()
    assert evaluation.confusion.sum() == 3 * 10 * 20
    assert evaluation.pixel_accuracy == evaluation.scores.support[1] / 600
    assert evaluation.calibration_error == pytest.approx(abs(0.6 - evaluation.pixel_accuracy))
    assert evaluation.classes == TABLE
    dataset = unetv2.make_dataset(*folders, n_classes=3, image_size=(10, 20))
    np.testing.assert_array_equal(evaluate(Constant(), dataset).confusion, evaluation.confusion)


@dataclasses.dataclass
class Unhashable(Constant):
    """One that is equal to others, and so is no key; it has no name either."""

    preprocessing: unetv2.Preprocessing


def test_a_class_table_of_another_length_is_ignored(write_pairs, caplog):
    model = Unhashable(unetv2.Preprocessing(classes=unetv2.CITYSCAPES))
    evaluation = evaluate(model, write_pairs(3))
    assert evaluation.classes == unetv2.ClassTable.numbered(3)
    assert "has 19 classes and the model 'Unhashable' has 3" in caplog.text


def test_an_invalid_id_raises_an_error_with_the_mask(write_pairs):
    folders = write_pairs(3, n_classes=3)
    message = r"In '.*0000.png': Mask ids must be in \[0, 2\). Received: 2 in .* of '.*0000.png'"
    with pytest.raises(ValueError, match=message):
        evaluate(small_model(2), folders)


def test_invalid_files_raise_before_the_first_step(write_pairs):
    folders, model = write_pairs(3), small_model()
    save(np.zeros((5, 5), np.uint8), folders[1] / "0001.png")
    network_of(model)  # It is called once to be compiled.
    model.call = None
    with pytest.raises(ValueError, match="must have the same height and width.*0001.png"):
        evaluate(model, folders)
    (folders[1] / "0001.png").unlink()
    with pytest.raises(ValueError, match="Every image needs a mask with the same file name"):
        evaluate(model, folders)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "rgb"}, "`encoding` must be one of 'ids', 'colors', 'binary'"),
        ({"subset": "all"}, "`subset` must be one of"),
        ({"max_pixels": 0}, "`max_pixels` must be a positive integer"),
        ({"shard": (2, 2)}, r"`shard` must be \(index, count\), the index in \[0, count\)"),
        ({"shard": (0, 1, 2)}, r"`shard` must be \(index, count\), the index in \[0, count\)"),
        ({"shard": (-1, 2)}, r"`shard` must be \(index, count\), the index in \[0, count\)"),
        ({"shard": (4, 9)}, r"`shard` must hold an image. Received: shard=\(4, 9\) of 3 pairs"),
        ({"classes": unetv2.CARLA}, "a name for each class of the model. Received: 23 names for 3"),
    ],
)
def test_invalid_options_raise_before_the_first_step(write_pairs, options, message):
    model = small_model()
    network_of(model)  # It is called once to be compiled.
    model.call = None
    with pytest.raises(ValueError, match=message):
        evaluate(model, write_pairs(3), **options)


def test_a_missing_folder_raises(write_pairs, tmp_path):
    images, _ = write_pairs(1)
    with pytest.raises(FileNotFoundError, match="`mask_dir` must be an existing folder"):
        evaluate(small_model(), (images, tmp_path / "none"))


def test_a_segmentation_dataset_is_evaluated_as_its_folders(write_pairs):
    folders, model = write_pairs(12, size=(10, 13)), small_model()
    options = {"split": (0.4, 0.2, 0.4), "label_map": {2: 0, 0: 0}}
    data = unetv2.SegmentationDataset.from_folders(*folders, n_classes=3, seed=3, **options)
    part = evaluate(model, data, subset="test", seed=3)
    expected = evaluate(model, folders, subset="test", seed=3, **options)
    assert 0 < part.n_images < 12
    assert part.counts.names == tuple(pair.key for pair in data.subset("test").pairs)
    assert part.as_dict() == expected.as_dict()
    # Its own subset, unless another one is passed.
    own = evaluate(model, data.subset("test"), seed=3)
    assert own.as_dict() == expected.as_dict()
    other = evaluate(model, data.subset("train"), subset="test", seed=3)
    assert other.as_dict() == expected.as_dict()
    shards = [evaluate(model, data, shard=(index, 2)) for index in range(2)]
    merged = unetv2.Evaluation.merge(shards)
    np.testing.assert_array_equal(merged.confusion, evaluate(model, data).confusion)


def test_a_segmentation_dataset_has_its_own_options(write_pairs):
    data = unetv2.SegmentationDataset.from_folders(*write_pairs(2), n_classes=3)
    with pytest.raises(ValueError, match="`encoding` must be None for a data set"):
        evaluate(small_model(), data, encoding="ids")
    with pytest.raises(ValueError, match="an output for each class of the data. Received: 2 outp"):
        evaluate(small_model(2), data)

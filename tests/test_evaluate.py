"""Evaluation of a tf.data.Dataset."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import save

import unetv2
from unetv2.checksums import add_checksum
from unetv2.inference.network import network_of

SIZE = (12, 16)


def small_model(n_classes=3, size=SIZE, seed=0):
    return unetv2.build_unetv2((*size, 3), n_classes, filters=2, depth=2, seed=seed)


def batches(folders, **options):
    options = {"n_classes": 3, "image_size": SIZE, "shuffle": False, **options}
    return unetv2.make_dataset(*folders, **options)


def evaluate(model, dataset, **options):
    return unetv2.evaluate(model, dataset, progress=False, **options)


def test_counts_equal_those_of_the_keras_metric(write_pairs):
    dataset, model = batches(write_pairs(5), batch_size=2), small_model()
    evaluation = evaluate(model, dataset)
    confusion = unetv2.metrics.ConfusionMatrix(3)
    for images, masks in dataset:
        confusion.update_state(masks, model.predict_on_batch(images))
    np.testing.assert_array_equal(evaluation.confusion, confusion.result())
    assert evaluation.n_images == 5
    assert str(evaluation.scores) == str(confusion.scores())


def test_confidence_is_the_probability_of_the_predicted_class(write_pairs):
    dataset, model = batches(write_pairs(2)), small_model()
    images, masks = next(iter(dataset))
    probabilities = keras.ops.softmax(model(images)).numpy()
    expected = probabilities.max(-1).mean()
    curve = evaluate(model, dataset).reliability
    mean = np.nansum(curve["confidence"] * curve["pixels"]) / masks.numpy().size
    assert mean == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 4}, {"shuffle": True}])
def test_order_and_batch_size_change_nothing(write_pairs, options):
    folders, model = write_pairs(7), small_model()
    one = evaluate(model, batches(folders, batch_size=7))
    other = evaluate(model, batches(folders, **options))
    np.testing.assert_array_equal(one.confusion, other.confusion)
    for name, value in one.metrics.items():
        np.testing.assert_allclose(other.metrics[name], value, atol=1e-6)
        np.testing.assert_allclose(other.intervals[name], one.intervals[name], atol=1e-6)


def test_images_have_names_if_their_order_is_known(write_pairs):
    folders, model = write_pairs(3), small_model()
    assert evaluate(model, batches(folders)).counts.names == ("0000", "0001", "0002")
    numbers = ("#0000000", "#0000001", "#0000002")
    assert evaluate(model, batches(folders, shuffle=True)).counts.names == numbers
    assert evaluate(model, batches(folders, on_error="skip")).counts.names == numbers
    assert evaluate(model, batches(folders).take(1)).counts.names == numbers


def test_settings_of_the_training_are_read_beside_the_model(write_pairs, tmp_path):
    folders, model = write_pairs(2), small_model()
    path = tmp_path / "run" / "model.keras"
    path.parent.mkdir()
    model.save(path)
    plain = evaluate(str(path), batches(folders))
    assert "training" not in plain.settings
    assert plain.settings["model"] == str(path)
    assert plain.settings["versions"]["keras"] == keras.__version__
    run = {"recipe": {"name": "fast"}, "seed": 3, "layers": [1, 2], "versions": {"keras": "3"}}
    (path.parent / "run.json").write_text(json.dumps(add_checksum(run)), encoding="utf-8")
    evaluation = evaluate(path, batches(folders))
    assert evaluation.settings["training"] == {
        name: run[name] for name in ("recipe", "seed", "versions")
    }
    np.testing.assert_array_equal(evaluation.confusion, evaluate(model, batches(folders)).confusion)


def test_an_invalid_training_record_is_skipped_with_a_warning(write_pairs, tmp_path, caplog):
    small_model().save(tmp_path / "model.keras")
    data = batches(write_pairs(2))
    for content in ("[1]", '{"seed": 3}', json.dumps({**add_checksum({"seed": 3}), "seed": 4})):
        caplog.clear()
        (tmp_path / "run.json").write_text(content)
        evaluation = evaluate(tmp_path / "model.keras", data)
        assert "training" not in evaluation.settings
        assert "run.json' is not a valid record of a training" in caplog.text


def test_ignored_pixels_do_not_count(write_pairs):
    folders, model = write_pairs(4), small_model(2)
    evaluation = evaluate(model, batches(folders, n_classes=2, ignore_class=2))
    masks = [masks.numpy() for _, masks in batches(folders)]
    kept = sum(int((mask != 2).sum()) for mask in masks)
    assert evaluation.confusion.sum() == evaluation.reliability["pixels"].sum() == kept
    assert evaluation.classes.ignore_class == 2
    table = unetv2.ClassTable.numbered(2, ignore_class=2)
    unlabeled = batches(folders).map(lambda image, mask: (image, mask))
    other = evaluate(model, unlabeled, classes=table)
    np.testing.assert_array_equal(evaluation.confusion, other.confusion)


def test_classes_are_those_of_the_caller_or_the_data_or_numbers(write_pairs):
    folders, model = write_pairs(2), small_model()
    table = unetv2.ClassTable(("a", "b", "c"), ((1, 2, 3),) * 3)
    other = unetv2.ClassTable(("x", "y", "z"), ((1, 2, 3),) * 3)
    known = batches(folders, classes=table)
    assert evaluate(model, known).classes.names == table.names
    assert evaluate(model, known, classes=other).classes.names == other.names
    assert evaluate(model, batches(folders)).classes.names[1] == "class 1"


def test_images_of_any_size_are_evaluated_at_their_own_size(tmp_path):
    model = small_model(size=(None, None))
    for number, size in enumerate(((9, 13), (20, 11))):
        save(np.zeros((*size, 3), np.uint8), tmp_path / "images" / f"{number}.png")
        save(np.zeros(size, np.uint8), tmp_path / "masks" / f"{number}.png")
    folders = tmp_path / "images", tmp_path / "masks"
    evaluation = evaluate(model, batches(folders, image_size=None, batch_size=1))
    assert evaluation.confusion.sum() == 9 * 13 + 20 * 11
    assert [example.image.shape for example in evaluation.examples] == [(9, 13, 3), (20, 11, 3)]


def test_an_invalid_id_raises_an_error_with_the_image(write_pairs):
    dataset = batches(write_pairs(5, n_classes=3), n_classes=None, batch_size=2)
    # Ids 0 to 2, of a model with two classes.
    message = r"In '0000', image 0 of batch 0, both counted from 0: Mask ids must be in \[0, 2\)"
    with pytest.raises(ValueError, match=message):
        evaluate(small_model(2), dataset)


def test_a_diverged_model_raises(write_pairs):
    model = small_model()
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(ValueError, match="`model` must not return NaN. Received: NaN"):
        evaluate(model, batches(write_pairs(1)))


def never(*_):
    raise AssertionError("an image was read")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeat": True}, "`data` must be finite. Received: an infinite data set"),
        ({"augmentation": "light"}, "`data` must not be augmented"),
        ({"n_classes": 4}, "`model` must have an output for each class of the data. Received: 3"),
        (
            {"image_size": (8, 8)},
            r"Images in `data` must have the model's shape, \(None, 12, 16",
        ),
        ({"channels": 1}, "Images in `data` must have the model's shape"),
    ],
)
def test_invalid_data_raises_before_the_first_step(write_pairs, options, message):
    model = small_model()
    network_of(model)  # It is called once to be compiled.
    model.call = never
    with pytest.raises(ValueError, match=message):
        evaluate(model, batches(write_pairs(2), **options))


def test_arguments_are_checked_before_the_first_step(write_pairs, tmp_path):
    model, dataset = small_model(), batches(write_pairs(2))
    network_of(model)  # It is called once to be compiled.
    model.call = never
    with pytest.raises(ValueError, match="a name for each class of the model. Received: 23 names"):
        evaluate(model, dataset, classes=unetv2.CARLA)
    with pytest.raises(ValueError, match="`boundary_tolerance` must be a share below 1"):
        evaluate(model, dataset, boundary_tolerance=1.5)
    with pytest.raises(ValueError, match="`seed` must be a non-negative integer"):
        evaluate(model, dataset, seed=-1)
    with pytest.raises(FileNotFoundError, match="`model` must be a file. Received: .*none.keras"):
        evaluate(tmp_path / "none.keras", dataset)
    with pytest.raises(TypeError, match="`model` must be a keras.Model, the path .*Received: int"):
        evaluate(3, dataset)
    for options in ({"encoding": "ids"}, {"shard": (0, 2)}, {"subset": "test"}):
        (name,) = options
        with pytest.raises(ValueError, match=f"`{name}` must be None for a tf.data"):
            evaluate(model, dataset, **options)
    with pytest.raises(ValueError, match="`tta` must be None for a tf.data.Dataset"):
        evaluate(model, dataset, tta=True)
    with pytest.raises(ValueError, match="`tta` must be a bool, or hold"):
        evaluate(model, dataset, tta=("sideways",))
    with pytest.raises(ValueError, match="`model` must map images .*Received: .*Sequential"):
        evaluate(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), dataset)
    with pytest.raises(TypeError, match="`data` must be a SegmentationDataset, .*Received: list"):
        evaluate(model, [1, 2, 3])
    with pytest.raises(ValueError, match="`data` must hold batches of .*Received: TensorSpec"):
        evaluate(model, dataset.map(lambda image, _: image))


@pytest.mark.parametrize("skipped", [False, True])
def test_an_empty_data_set_raises(write_pairs, skipped):
    dataset = batches(write_pairs(2))
    empty = dataset.filter(lambda *_: tf.constant(False)) if skipped else dataset.take(0)
    with pytest.raises(ValueError, match="`data` must hold an image. Received: an empty"):
        evaluate(small_model(), empty)


def test_masks_of_another_shape_raise(write_pairs):
    hot = batches(write_pairs(2)).map(lambda image, mask: (image, tf.one_hot(mask[..., 0], 3)))
    with pytest.raises(ValueError, match="Masks in `data` must hold an integer id for each"):
        evaluate(small_model(), hot)


def test_a_report_is_written_to_its_folder(write_pairs, tmp_path):
    folders, model = write_pairs(3), small_model()
    evaluation = evaluate(model, batches(folders), report=tmp_path / "a" / "report")
    names = {path.name for path in (tmp_path / "a" / "report").iterdir()}
    assert names == {"report.html", "evaluation.json", "evaluation.npz"}
    assert str(unetv2.Evaluation.load(tmp_path / "a" / "report")) == str(evaluation)
    (tmp_path / "file").write_text("")
    network_of(model)  # It is called once to be compiled.
    model.call = never
    with pytest.raises(FileExistsError, match="file"):
        evaluate(model, batches(folders), report=tmp_path / "file")


def test_progress_is_shown_on_a_terminal(write_pairs, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    unetv2.evaluate(small_model(), batches(write_pairs(2)))
    assert "2 of 2 images, " in capsys.readouterr().err

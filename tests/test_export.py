from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from exporting import N_CLASSES, lively, recorded, run_alone, scenes, whole
from PIL import Image

import unetv2
from unetv2.cli import main
from unetv2.exporting.formats.base import get_format
from unetv2.exporting.graph import Plan
from unetv2.exporting.parity import random_images


def exported(model, path, **options):
    options = {"format": "saved_model", **options}
    return unetv2.export(model, path, **options)


@pytest.fixture(scope="module")
def model():
    return recorded()


@pytest.fixture(scope="module")
def artifact(model, tmp_path_factory):
    return exported(model, tmp_path_factory.mktemp("artifact") / "model")


def test_masks_and_confidences_are_those_of_the_model_at_any_size(model, artifact):
    for size in [(24, 32), (48, 64), (50, 61), (11, 90)]:
        image = scenes(1, size)[0]
        wanted = unetv2.predict(model, image, probabilities=True)
        found = artifact.predict(image, probabilities=True, uncertainty=True)
        assert found.mask.dtype == wanted.mask.dtype
        assert (found.mask == wanted.mask).mean() > 0.999
        np.testing.assert_allclose(found.confidence, wanted.confidence, atol=1e-3)
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-3)
        np.testing.assert_allclose(found.uncertainty, wanted.uncertainty, atol=1e-3)


def test_padding_is_removed_from_predictions(tmp_path):
    model = lively()
    model.preprocessing = whole(resize="pad", interpolation="bilinear", value_range=(-1.0, 1.0))
    artifact = exported(model, tmp_path / "padded")
    for size in [(50, 30), (20, 70)]:
        image = scenes(1, size)[0]
        wanted, found = unetv2.predict(model, image), artifact.predict(image)
        assert (found.mask == wanted.mask).mean() > 0.995


def test_a_list_of_images_gives_a_list_in_its_order(artifact):
    images = [*scenes(3), *scenes(2, (30, 40)), *scenes(1)]
    together = artifact.predict(images, batch_size=2)
    for image, one in zip(images, together, strict=True):
        np.testing.assert_array_equal(one.mask, artifact.predict(image).mask)


def test_predict_and_evaluate_accept_it_as_a_model(model, artifact):
    image = scenes(1, (50, 61))[0]
    wanted = unetv2.predict(model, image, tta=True)
    for one in (artifact, artifact.path):
        found = unetv2.predict(one, image, tta=True)
        assert (found.mask == wanted.mask).mean() > 0.999
    images = np.stack([scene / np.float32(255) for scene in scenes(3, (24, 32))])
    masks = np.random.default_rng(0).integers(0, N_CLASSES, (3, 24, 32, 1))
    data = tf.data.Dataset.from_tensor_slices((images.astype(np.float32), masks)).batch(2)
    one, other = (unetv2.evaluate(each, data, progress=False) for each in (model, artifact))
    assert one.mean_iou == pytest.approx(other.mean_iou, abs=1e-3)


def test_a_jpeg_is_evaluated_as_with_the_keras_model(model, artifact, tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    scene, mask = unetv2.synthetic.driving_scene(0, image_size=(96, 128))
    # Large enough to be decoded at a fraction of its size.
    Image.fromarray(scene).save(tmp_path / "images" / "a.jpg")
    Image.fromarray(mask % N_CLASSES).save(tmp_path / "masks" / "a.png")
    folders = (tmp_path / "images", tmp_path / "masks")
    one, other = (unetv2.evaluate(each, folders, progress=False) for each in (model, artifact))
    assert np.abs(one.confusion - other.confusion).sum() <= 0.001 * mask.size


def test_windows_are_predicted_with_an_artifact_for_any_size(tmp_path):
    model = lively((None, None, 3))
    model.preprocessing = unetv2.Preprocessing(crop_size=(16, 16))
    artifact = exported(model, tmp_path / "windows")
    assert artifact.description.frame_size == (16, 16)
    model.preprocessing = unetv2.Preprocessing()
    native = exported(model, tmp_path / "native")
    assert native.description.frame_size == (None, None)
    image = scenes(1, (40, 50))[0]
    for one, options in ((artifact, {}), (native, {"window": (16, 16)})):
        wanted = unetv2.predict(model, image, window=(16, 16))
        found = unetv2.predict(one, image, **options)
        assert (found.mask == wanted.mask).mean() > 0.999


def test_windows_and_augmentation_are_exported(tmp_path, caplog):
    model = lively((None, None, 3))
    tta = ("horizontal", "transpose")
    model.preprocessing = unetv2.Preprocessing(crop_size=(16, 16), window=(24, 24), tta=tta)
    artifact = exported(model, tmp_path / "windows")
    assert artifact.description.frame_size == (24, 24)
    image = scenes(1, (40, 50))[0]
    wanted = unetv2.predict(model, image)
    assert (artifact.predict(image).mask == wanted.mask).mean() > 0.999
    assert (unetv2.predict(artifact, image).mask == wanted.mask).mean() > 0.999
    # Another size of the windows is a part of the exported model.
    larger = exported(model, tmp_path / "larger", image_size=(32, 32))
    wanted = unetv2.predict(model, image, window=(32, 32))
    assert (larger.predict(image).mask == wanted.mask).mean() > 0.999
    assert not caplog.messages


def test_whole_images_are_flipped_outside_of_the_graph(tmp_path):
    model = lively()
    model.preprocessing = whole(tta=True)
    artifact = exported(model, tmp_path / "whole")
    image = scenes(1)[0]
    for options in ({}, {"tta": False}):
        wanted = unetv2.predict(model, image, **options)
        assert (artifact.predict(image, **options).mask == wanted.mask).mean() > 0.999


def test_augmentation_that_an_exported_model_cannot_do_is_left_out(tmp_path, caplog):
    model = lively()
    model.preprocessing = whole(tta=("horizontal", "transpose", 1.25))
    image = scenes(1)[0]
    for options, kept in (({}, ("horizontal",)), ({"frame_size": (48, 64)}, ())):
        caplog.clear()
        artifact = exported(model, tmp_path / str(len(options)), **options)
        assert artifact.preprocessing.tta == kept
        assert "predicts without" in caplog.text
        assert "transpose, 1.25, a part of the test-time augmentation" in caplog.text
        wanted = unetv2.predict(model, image, tta=kept)
        assert (artifact.predict(image).mask == wanted.mask).mean() > 0.999


def test_frames_of_other_sizes_than_the_fixed_one_raise(model, tmp_path):
    artifact = exported(model, tmp_path / "fixed", frame_size=(48, 64))
    image = scenes(1)[0]
    assert (artifact.predict(image).mask == unetv2.predict(model, image).mask).mean() > 0.999
    with pytest.raises(ValueError, match=r"`frames` must be uint8 \(None, 48, 64, 3\)"):
        artifact.predict(scenes(1, (24, 32))[0])
    with pytest.raises(ValueError, match="Export it without `frame_size`"):
        unetv2.predict(artifact, image)


def test_frames_of_the_networks_size_leave_resizing_to_the_loader(model, tmp_path):
    artifact = exported(model, tmp_path / "own", frame_size=(24, 32))
    assert artifact.run(np.stack(scenes(1, (24, 32)))).mask.shape == (1, 24, 32)
    image = scenes(1, (50, 61))[0]
    assert (artifact.predict(image).mask == unetv2.predict(model, image).mask).mean() > 0.999


def test_monte_carlo_dropout_needs_the_keras_model(artifact):
    with pytest.raises(ValueError, match="`mc_samples` must be 0 for an exported model"):
        unetv2.predict(artifact, scenes(1)[0], mc_samples=2)
    with pytest.raises(ValueError, match="Received: mc_samples=2. Pass the Keras model"):
        artifact.predict(scenes(1)[0], mc_samples=2)


def test_the_description_contains_preprocessing_classes_parity_and_versions(tmp_path):
    model = lively()
    table = unetv2.ClassTable.numbered(N_CLASSES, 9)
    model.preprocessing = whole(ignore_class=9, interpolation="nearest")
    artifact = exported(model, tmp_path / "described", classes=table)
    assert artifact.preprocessing == whole(ignore_class=9, interpolation="nearest", classes=table)
    known = json.loads((tmp_path / "described" / "unetv2.json").read_text())
    assert known["class_names"] == list(table.names)
    assert known["parity"]["agreement"] > 0.9999
    assert known["parity"]["source"] == "random images"
    assert known["versions"]["keras"] == keras.__version__
    assert artifact.predict(scenes(1)[0]).classes == table


def test_nothing_is_written_if_the_agreement_is_too_low(model, tmp_path):
    message = "(?s)share of at least 1 of the pixels. Received: .*Lower `min_agreement`"
    with pytest.raises(ValueError, match=message):
        exported(model, tmp_path / "model", precision="bfloat16", min_agreement=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_random_images_have_the_spectrum_of_natural_images(channels):
    plan = Plan((None, None), (24, 32), True, whole(channels=channels), False)
    images = random_images(plan, 4)
    again = random_images(plan, 4)
    for image, same in zip(images, again, strict=True):
        np.testing.assert_array_equal(image, same)
        assert (image.shape, image.dtype) == ((240, 320, channels), np.uint8)
        # Neighbors are similar, distant pixels are not: the amplitude falls with the frequency.
        values = image.astype(float)
        near, far = (np.abs(values[:, step:] - values[:, :-step]).mean() for step in (1, 64))
        assert near < 0.5 * far
    assert np.std([image.mean() for image in images]) > 5


def test_an_uncertain_model_agrees_with_itself(tmp_path):
    # As after a short training: many pixels have two classes of nearly the same probability.
    model = lively((48, 48, 3), filters=8)
    head = model.layers[-1].kernel
    head.assign(head * 0.1)
    model.preprocessing = whole((48, 48))
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    artifact = exported(model, tmp_path / "model", calibration=list(images))
    assert artifact.description.parity.agreement > 0.99999
    assert artifact.description.parity.max_difference < 1e-4


def test_equally_probable_classes_agree(tmp_path):
    blank = unetv2.build_unetv2((24, 32, 3), N_CLASSES, filters=2, depth=2)
    head = blank.layers[-1].kernel
    head.assign(np.full(head.shape, 1e-9))
    blank.preprocessing = whole()
    assert exported(blank, tmp_path / "blank").description.parity.agreement == 1


def test_the_agreement_is_a_line_of_text_and_nothing_is_printed(model, tmp_path, capsys):
    artifact = exported(model, tmp_path / "model", calibration=scenes(2))
    line = str(artifact.description.parity)
    assert capsys.readouterr().out == ""
    assert "of the pixels agree with the Keras model, probabilities differ by" in line
    assert "on 2 images of `calibration`" in line


def test_a_data_set_a_folder_and_files_are_calibrations(model, tmp_path):
    folders = unetv2.synthetic.write_driving_scenes(tmp_path / "scenes", 3, image_size=(48, 64))
    data = unetv2.make_dataset(*folders, n_classes=23, image_size=(24, 32), batch_size=2)
    files = sorted(folders[0].iterdir())
    for number, one in enumerate((data, folders[0], files)):
        artifact = exported(model, tmp_path / str(number), calibration=one)
        assert artifact.description.parity.n_images == 3


def test_only_an_artifact_is_replaced_and_only_with_overwrite(model, tmp_path):
    path = tmp_path / "model"
    exported(model, path)
    with pytest.raises(ValueError, match="`path` must not exist.*overwrite=True"):
        exported(model, path)
    exported(model, path, precision="bfloat16", overwrite=True)
    assert unetv2.load_exported(path).description.precision == "bfloat16"
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="`path` must be an artifact to be overwritten"):
        exported(model, mine, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "tflite"}, "`format` must be one of 'saved_model', 'litert', 'onnx', 'openv"),
        ({"precision": "int8"}, "'bfloat16' for format='saved_model'. Received: precision='int8'"),
        ({"format": "litert", "precision": "bfloat16"}, "'float16', 'int8' for format='litert'"),
        ({"format": "litert", "precision": "int8"}, "`calibration` must be given for precision="),
        ({"min_agreement": 2}, r"`min_agreement` must be .*Received: min_agreement=2"),
        ({"image_size": (12, 16)}, "`image_size` must be one that the model takes"),
        ({"frame_size": (0, 16)}, "`frame_size` must be two positive integers"),
        ({"classes": unetv2.CARLA}, "a class for each of the model's outputs, 5. Received: 23"),
        ({"calibration": []}, "`calibration` must contain an image. Received: none"),
        ({"path": "model.onnx"}, "`path` must be a folder for format='saved_model'"),
    ],
)
def test_invalid_arguments_raise_before_the_export(model, tmp_path, options, message):
    path = tmp_path / options.get("path", "model")
    options = {name: value for name, value in options.items() if name != "path"}
    with pytest.raises(ValueError, match=message):
        exported(model, path, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_exported_model_is_not_exported_again(artifact, tmp_path):
    for one in (artifact, artifact.path):
        with pytest.raises(
            TypeError, match="must be a Keras model. .*already exported. Pass the .k"
        ):
            exported(one, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_created_is_named(model, tmp_path):
    (tmp_path / "file").write_text("mine")
    message = "(?s)file/model' must be written to export the model. Received: .*folder writable"
    with pytest.raises(OSError, match=message):
        exported(model, tmp_path / "file" / "model")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_calibration_of_another_type_raises(model, tmp_path):
    with pytest.raises(TypeError, match="`calibration` must be a data set, a folder of images"):
        exported(model, tmp_path / "model", calibration=3)


def test_a_missing_package_names_the_command():
    message = r'(?s)`no_such_runtime` must be installed to run.*pip install "unetv2\[onnx\]"'
    with pytest.raises(ImportError, match=message):
        get_format("onnx").require_module("no_such_runtime", "to run ONNX models")


@keras.saving.register_keras_serializable(package="tests")
class Reads(keras.layers.Layer):
    def call(self, inputs):
        return inputs + tf.strings.to_number(tf.io.read_file("/tmp/number"))

    def compute_output_shape(self, shape):
        return shape


def test_a_layer_with_unsupported_ops_is_named(tmp_path):
    image = keras.Input((8, 8, 3))
    logits = keras.layers.Conv2D(N_CLASSES, 1)(Reads(name="reader")(image))
    model = unetv2.SegmentationModel(image, logits, preprocessing=whole((8, 8)))
    message = r"'reader' \(Reads\) with ReadFile, StringToNumber"
    with pytest.raises(ValueError, match=message):
        exported(model, tmp_path / "model")


def test_a_model_of_probabilities_is_exported(tmp_path):
    model = recorded()
    probabilities = keras.layers.Softmax()(model.outputs[0])
    ends = unetv2.SegmentationModel(model.inputs[0], probabilities, preprocessing=whole())
    artifact = exported(ends, tmp_path / "model")
    image = scenes(1)[0]
    assert (artifact.predict(image).mask == unetv2.predict(model, image).mask).mean() > 0.999


def test_the_example_runs_it_without_this_library(artifact, tmp_path):
    frame = scenes(1, (50, 61))[0]
    mask = run_alone("saved_model", artifact.path, frame, tmp_path)
    np.testing.assert_array_equal(mask, artifact.predict(frame).mask)


def test_the_command_exports_beside_the_model(tmp_path, capsys):
    model = recorded()
    model.save(tmp_path / "model.keras")
    words = ["export", str(tmp_path / "model.keras"), "--format", "saved_model"]
    assert main(words) == 0
    assert "% of the pixels agree" in capsys.readouterr().out
    assert unetv2.load_exported(tmp_path / "model-saved_model-float32").n_classes == N_CLASSES
    assert main(words) == 2
    assert "`--output` must not exist" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--precision", "int8"]) == 2
    assert "must be one of 'float32', 'float16', 'bfloat16'" in capsys.readouterr().err

"""Every format with its own runtime: only with the extra ``export``."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from exporting import N_CLASSES, lively, recorded, run_alone, scenes, whole

import unetv2
from unetv2.exporting.formats import FORMATS
from unetv2.exporting.formats.base import get_format

pytestmark = [
    pytest.mark.export,
    pytest.mark.skipif(
        importlib.util.find_spec("openvino") is None, reason="needs the extra `export`"
    ),
    # Warnings of the converters and runtimes.
    pytest.mark.filterwarnings("default"),
]
# SavedModel is tested without the extra, in test_export.py.
OTHERS = tuple(name for name in FORMATS if name != "saved_model")
QUANTIZED = tuple(name for name in FORMATS if "int8" in get_format(name).precisions)
THREADED = tuple(name for name in FORMATS if not get_format(name).threads_advice)
# Converters support fewer ops than TensorFlow.
CONVERTED = tuple(name for name in FORMATS if get_format(name).runtime != "tensorflow")
ALL = [(name, precision) for name in FORMATS for precision in get_format(name).precisions]


@pytest.fixture(scope="module")
def model():
    return recorded(normalization="batch")


def exported(model, path, format, precision="float32", **options):
    options = {"calibration": scenes(12), **options}
    return unetv2.export(model, path, format=format, precision=precision, **options)


@pytest.mark.parametrize(("format", "precision"), ALL)
def test_every_precision_of_every_format_agrees_with_the_model(model, tmp_path, format, precision):
    artifact = exported(model, tmp_path / "model", format, precision)
    least = {"float32": 0.9999, "float16": 0.99, "bfloat16": 0.99, "int8": 0.95}[precision]
    image = scenes(13, (61, 50))[-1]
    wanted = unetv2.predict(model, image, probabilities=True)
    for found in (artifact.predict(image, probabilities=True), unetv2.predict(artifact, image)):
        assert found.mask.dtype == wanted.mask.dtype
        assert (found.mask == wanted.mask).mean() >= least
        assert np.abs(found.confidence - wanted.confidence).mean() < 0.03
    assert artifact.description.parity.agreement >= least


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_fixed_frames_are_resized_inside(tmp_path, format, resize):
    model = lively()
    model.preprocessing = whole(resize=resize)
    artifact = exported(model, tmp_path / "model", format, frame_size=(50, 61))
    assert artifact.description.resizes
    image = scenes(1, (50, 61))[0]
    wanted = unetv2.predict(model, image)
    found = artifact.run(np.stack([image, image]))
    assert (found.mask[1] == wanted.mask).mean() > 0.999
    np.testing.assert_allclose(found.confidence[0], wanted.confidence, atol=1e-3)


@pytest.mark.parametrize("format", QUANTIZED)
def test_frames_of_the_networks_own_size_are_quantized_too(model, tmp_path, format):
    artifact = exported(model, tmp_path / "model", format, "int8", frame_size=(24, 32))
    image = scenes(13, (24, 32))[-1]
    wanted = unetv2.predict(model, image)
    assert (artifact.predict(image).mask == wanted.mask).mean() > 0.95


@pytest.mark.parametrize("frame_size", [None, (50, 61)])
def test_litert_keeps_the_logits_in_float(model, tmp_path, frame_size):
    artifact = exported(model, tmp_path / "model", "litert", "int8", frame_size=frame_size)
    logits = artifact.run(np.stack(scenes(1, frame_size or (24, 32)))).logits
    # Eight bits have 256 values.
    assert len(np.unique(logits)) > 1000


@pytest.mark.parametrize("format", QUANTIZED)
def test_eight_bits_are_a_quarter_of_the_size(tmp_path, format):
    model = recorded(filters=48)
    sizes = [
        sum(
            one["bytes"]
            for one in exported(
                model, tmp_path / precision, format, precision, min_agreement=0
            ).description.files.values()
        )
        for precision in ("float32", "int8")
    ]
    # The description of the graph, 0.1 to 0.2 MB, is not quantized.
    assert sizes[1] < 0.26 * sizes[0] + 200_000


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_single_file_contains_network_and_description(model, tmp_path, suffix):
    format = {".tflite": "litert", ".onnx": "onnx"}[suffix]
    path = tmp_path / f"model{suffix}"
    artifact = exported(model, path, format)
    assert path.is_file()
    assert artifact.preprocessing == whole()
    exported(model, path, format, overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not the file that was written"):
        unetv2.load_exported(path)


@pytest.mark.parametrize("format", THREADED)
def test_threads_are_accepted(model, tmp_path, format):
    exported(model, tmp_path / "model", format)
    one = unetv2.load_exported(tmp_path / "model", threads=1)
    assert one.predict(scenes(1)[0]).mask.shape == (48, 64)


def test_windows_are_predicted_at_their_scale(tmp_path):
    model = lively((None, None, 3))
    model.preprocessing = unetv2.Preprocessing(crop_size=(16, 24))
    image = scenes(1, (40, 50))[0]
    wanted = unetv2.predict(model, image)
    for format in OTHERS:
        artifact = exported(model, tmp_path / format, format)
        assert (artifact.predict(image).mask == wanted.mask).mean() > 0.999
    model.preprocessing = unetv2.Preprocessing()
    with pytest.raises(ValueError, match="`image_size` must be given for format='litert'"):
        exported(model, tmp_path / "open", "litert")


@keras.saving.register_keras_serializable(package="tests")
class Odd(keras.layers.Layer):
    def call(self, inputs):
        values = tf.linalg.svd(inputs[:, :3, :3, 0], compute_uv=False)
        return inputs + tf.reduce_sum(values, axis=-1)[:, None, None, None]

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("format", CONVERTED)
def test_a_layer_that_a_format_does_not_support_is_named(tmp_path, format):
    image = keras.Input((8, 8, 3))
    logits = keras.layers.Conv2D(N_CLASSES, 1)(Odd(name="peculiar")(image))
    model = unetv2.SegmentationModel(image, logits, preprocessing=whole((8, 8)))
    message = rf"(?s)format='{format}' supports. Received: the layer 'peculiar' \(Odd\) with Svd"
    with pytest.raises(ValueError, match=message):
        exported(model, tmp_path / "model", format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", OTHERS)
def test_the_example_runs_it_without_this_library(model, tmp_path, format):
    artifact = exported(model, tmp_path / "model", format)
    # At the network's size, as LiteRT's example does not resize.
    frame = scenes(1, (24, 32))[0]
    mask = run_alone(format, artifact.path, frame, tmp_path)
    assert mask.dtype == np.uint8
    assert (mask == artifact.predict(frame).mask).mean() > 0.999


def test_every_format_is_measured_in_one_benchmark(model, tmp_path):
    artifacts = [exported(model, tmp_path / format, format) for format in FORMATS]
    found = unetv2.benchmark([model, *artifacts], runs=5, batch_size=2)
    assert [row.format for row in found.rows] == ["keras", "keras", *FORMATS]
    for row in found.rows:
        assert row.startup_s > 0
        assert row.peak_bytes > 1e7
    with_tensorflow, without = (
        [row.peak_bytes for row in found.rows if (row.format in ("keras", "saved_model")) == one]
        for one in (True, False)
    )
    assert min(with_tensorflow) > max(without)


def test_int8_of_openvino_gives_the_same_masks_on_older_processors(model, tmp_path, monkeypatch):
    artifact = exported(model, tmp_path / "model", "openvino", "int8")
    frame = scenes(13, (24, 32))[-1]
    # Restricts the kernels of OpenVINO in the process of the example, to exclude VNNI.
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    mask = run_alone("openvino", artifact.path, frame, tmp_path)
    assert (mask == artifact.predict(frame).mask).mean() > 0.999

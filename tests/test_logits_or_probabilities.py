"""Models of logits and of probabilities in all public functions."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import random_image, softmax

import unetv2
from unetv2.inference.outputs import gives_probabilities, require_logits, require_segmentation

SIZE = (8, 12)
N_CLASSES = 4
layers, ops = keras.layers, keras.ops


@keras.saving.register_keras_serializable()
class OwnSoftmax(layers.Layer):
    def call(self, inputs):
        powers = ops.exp(inputs - ops.max(inputs, axis=-1, keepdims=True))
        return powers / ops.sum(powers, axis=-1, keepdims=True)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable()
class CompiledSigmoid(layers.Layer):
    @tf.function
    def call(self, inputs):
        return tf.nn.sigmoid(inputs)

    def compute_output_shape(self, shape):
        return shape


def graph(stddev=None, n_classes=N_CLASSES, size=SIZE):
    """An image and its logits: within [0, 1] mostly, or far beyond."""
    image = keras.Input((*size, 3))
    features = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    kernel = keras.initializers.RandomNormal(stddev=stddev or 0.05, seed=0)
    return image, layers.Conv2D(n_classes, 1, kernel_initializer=kernel, name="logits")(features)


def model(end, stddev=None, **options):
    image, logits = graph(stddev, **options)
    return keras.Model(image, end(logits))


PROBABILITIES = {
    "layer": layers.Softmax(),
    "activation": layers.Activation("softmax"),
    "function of ops": ops.softmax,
    "function of activations": keras.activations.softmax,
    "own layer": OwnSoftmax(),
    "lambda": layers.Lambda(tf.nn.softmax),
    "behind a cast": lambda y: layers.Activation("linear", dtype="float32")(layers.Softmax()(y)),
    "cast to float16": lambda y: ops.cast(ops.softmax(y), "float16"),
    "cast from bfloat16": lambda y: ops.cast(ops.cast(ops.softmax(y), "bfloat16"), "float32"),
    "behind an identity": lambda y: layers.Identity()(layers.Softmax()(y)),
    "behind dropout": lambda y: layers.Dropout(0.5)(layers.Softmax()(y)),
    "resized": lambda y: layers.Resizing(16, 24)(ops.softmax(y)),
    "resized by Lanczos": lambda y: layers.Resizing(16, 24, interpolation="lanczos3")(
        ops.softmax(y)
    ),
    "upsampled": lambda y: layers.UpSampling2D(2, interpolation="bilinear")(ops.softmax(y)),
    "cropped": lambda y: layers.Cropping2D(1)(ops.softmax(y)),
    "reshaped": lambda y: layers.Reshape((*SIZE, N_CLASSES))(
        layers.Softmax()(layers.Reshape((-1, N_CLASSES))(y))
    ),
    "nested": lambda y: keras.Sequential([layers.Softmax()])(y),
    "with a temperature": lambda y: ops.softmax(y / 2.0),
    "clipped": lambda y: ops.clip(ops.softmax(y), 1e-7, 1 - 1e-7),
    "two of a sigmoid": lambda y: ops.concatenate(
        [1 - ops.sigmoid(y[..., :1]), ops.sigmoid(y[..., :1])], axis=-1
    ),
}
LOGITS = {
    "logits": lambda y: y,
    "cast": layers.Activation("linear", dtype="float32"),
    "with a temperature": lambda y: y / 2.0,
    "log-softmax": ops.log_softmax,
    "log of the softmax": lambda y: ops.log(ops.softmax(y)),
    "ReLU": layers.Activation("relu"),
    "swish": layers.Activation("swish"),
    "gated by a sigmoid": lambda y: y * ops.sigmoid(y),
    "shifted into [0, 1]": lambda y: y / 100.0 + 0.5,
}
NEITHER = {
    "sigmoid": layers.Activation("sigmoid"),
    "function of ops": lambda y: ops.cast(ops.sigmoid(y), "float32"),
    "hard": layers.Activation("hard_sigmoid"),
    "sparse": ops.sparse_sigmoid,
    "resized": lambda y: layers.Resizing(16, 24, interpolation="bicubic")(ops.sigmoid(y)),
    "clipped": lambda y: ops.clip(ops.sigmoid(y), 1e-6, 1 - 1e-6),
    "written out": lambda y: 1 / (1 + ops.exp(-y)),
    "compiled": CompiledSigmoid(),
    "softmax over rows": lambda y: ops.softmax(y, axis=1),
    "padded softmax": lambda y: layers.ZeroPadding2D(1)(layers.Cropping2D(1)(ops.softmax(y))),
}


# What is in doubt must not depend on what the weights happen to be.
@pytest.mark.parametrize("stddev", [0.05, 3.0])
@pytest.mark.parametrize("end", PROBABILITIES.values(), ids=PROBABILITIES)
def test_a_softmax_before_other_layers_is_recognized(end, stddev):
    assert gives_probabilities(model(end, stddev))


@pytest.mark.parametrize("stddev", [0.05, 3.0])
@pytest.mark.parametrize("end", LOGITS.values(), ids=LOGITS)
def test_logits_are_not_mistaken_for_probabilities(end, stddev):
    assert not gives_probabilities(model(end, stddev))


@pytest.mark.parametrize("stddev", [0.05, 3.0])
@pytest.mark.parametrize("end", NEITHER.values(), ids=NEITHER)
def test_probabilities_that_do_not_sum_to_one_are_refused(end, stddev):
    with pytest.raises(ValueError, match=r"`model` must return logits, or .*Received: the model"):
        gives_probabilities(model(end, stddev))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_does_not_change_the_kind_of_outputs(policy):
    image = keras.Input((*SIZE, 3))
    logits = layers.Conv2D(23, 1, dtype=policy)(image)
    ended = layers.Activation("softmax", dtype=policy)(logits)
    for output, expected in (
        (logits, False), (ended, True), (layers.Activation("linear", dtype="float32")(ended), True),
    ):  # fmt: skip
        assert gives_probabilities(keras.Model(image, output)) is expected


def test_nan_weights_do_not_change_the_kind_of_outputs():
    for end, expected in ((ops.softmax, True), (lambda y: y, False)):
        broken = model(end)
        broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
        assert gives_probabilities(broken) is expected


class Missing(layers.Layer):
    def call(self, inputs):
        return inputs + tf.strings.to_number(tf.io.read_file("/nowhere/number"))


def test_outputs_of_models_that_cannot_be_run_are_recognized():
    image, logits = graph(size=(None, None))
    read = Missing()(logits)
    assert not gives_probabilities(keras.Model(image, read))
    assert gives_probabilities(keras.Model(image, ops.softmax(read)))
    with pytest.raises(ValueError, match="`model` must return logits, or"):
        gives_probabilities(keras.Model(image, ops.sigmoid(read)))


def test_outputs_of_untrained_networks_are_logits():
    for seed in range(5):
        assert require_logits(unetv2.build_unetv2((16, 16, 3), 2, filters=2, depth=1, seed=seed))


def batches():
    images = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    masks = np.zeros((2, *SIZE, 1), np.int32)
    return tf.data.Dataset.from_tensor_slices((images, masks)).batch(2)


USES = {
    "predict": lambda one, _: unetv2.predict(one, random_image(*SIZE)),
    "evaluate": lambda one, _: unetv2.evaluate(one, batches(), progress=False),
    "export": lambda one, folder: unetv2.export(one, folder / "exported", format="saved_model"),
    "benchmark": lambda one, _: unetv2.benchmark(one, runs=1, batch_size=1),
    "train": lambda one, folder: unetv2.train(one, batches(), None, output_dir=folder / "run"),
}


@pytest.mark.parametrize("end", ["behind a cast", "function of ops", "nested", "own layer"])
def test_softmax_models_are_predicted_evaluated_and_exported(tmp_path, end):
    image, logits = graph(stddev=3.0)
    plain, ended = keras.Model(image, logits), keras.Model(image, PROBABILITIES[end](logits))
    for one in (plain, ended):
        one.preprocessing = unetv2.Preprocessing(image_size=SIZE)
    frame = random_image(*SIZE)
    expected = softmax(plain(frame[np.newaxis].astype(np.float32) / np.float32(255)))[0]
    found = unetv2.predict(ended, frame, probabilities=True)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    found = unetv2.evaluate(ended, batches(), progress=False)
    wanted = unetv2.evaluate(plain, batches(), progress=False)
    np.testing.assert_array_equal(found.confusion, wanted.confusion)
    assert found.calibration_error == pytest.approx(wanted.calibration_error, abs=1e-5)
    exported = USES["export"](ended, tmp_path)
    np.testing.assert_allclose(exported.probabilities(frame), expected, atol=1e-5)


@pytest.mark.parametrize("end", ["behind a cast", "function of ops", "nested", "own layer"])
def test_training_refuses_probabilities(tmp_path, end):
    with pytest.raises(
        ValueError, match="`model` must return logits to be trained.*Received: the "
    ):
        USES["train"](model(PROBABILITIES[end]), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_sigmoid_per_class_is_refused_by_all_functions(tmp_path, use):
    one = model(NEITHER["sigmoid"])
    one.preprocessing = unetv2.Preprocessing(image_size=SIZE)
    with pytest.raises(ValueError, match="`model` must return logits, or .*Received: .*Sigmoid"):
        use(one, tmp_path)
    assert not list(tmp_path.iterdir())


def dicts():
    image, logits = graph()
    named = keras.Input((*SIZE, 3), name="image")
    return keras.Model({"image": named}, {"mask": keras.Model(image, logits)(named)})


def two_inputs():
    image, logits = graph()
    other = keras.Input((N_CLASSES,))
    return keras.Model([image, other], logits + other[:, None, None, :])


def channels_first():
    image = keras.Input((3, *SIZE))
    # TensorFlow has no such convolution on CPUs.
    return keras.Model(image, layers.MaxPooling2D(1, data_format="channels_first")(image))


def subclass():
    class Subclass(keras.Model):
        def call(self, inputs):
            return inputs

    return Subclass()


OTHERS = {
    "dicts": dicts,
    "a dict of outputs": lambda: model(lambda y: {"mask": y, "edges": y}),
    "a list of outputs": lambda: model(lambda y: [y, y]),
    "two inputs": two_inputs,
    "channels first": channels_first,
    "one channel": lambda: model(lambda y: y[..., :1]),
    "no channel": lambda: model(lambda y: y[..., 0]),
    "pixels in a row": lambda: model(layers.Reshape((-1, N_CLASSES))),
    "half the size": lambda: model(layers.MaxPooling2D(2)),
    "no pixels": lambda: model(layers.Flatten()),
    "a subclass": subclass,
    "not built": lambda: keras.Sequential([layers.Conv2D(N_CLASSES, 1)]),
}
# These need what only the caller knows.
WITHOUT_CODE = ("two inputs", "no pixels")


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_all_functions_refuse_other_models_with_the_same_message(tmp_path, make):
    one = make()
    messages = set()
    for use in USES.values():
        with pytest.raises(ValueError, match=r"`model` must map .*Received: the model") as refusal:
            use(one, tmp_path)
        messages.add(str(refusal.value))
    assert len(messages) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [kind for kind in OTHERS if kind not in WITHOUT_CODE])
def test_the_code_in_an_error_makes_a_valid_model(kind):
    one = OTHERS[kind]()
    with pytest.raises(ValueError, match=r"`keras\.Model\(") as refusal:
        require_segmentation(one)
    names = {"keras": keras, "model": one}
    for code in re.findall(r"`(image = .+?|keras\.Model\(.+?)`", str(refusal.value)):
        if code.startswith("image"):
            exec(code, names)
        else:
            made = eval(code, names)
            given, found = require_segmentation(made)
            assert given[3] == 3
            assert found[1:3] == given[1:3]


# p = sigmoid(z) is the second of the softmax of (0, z).
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_one_output_is_converted_to_two_classes(kind):
    sigmoid = kind == "probabilities"
    one = model(lambda y: ops.sigmoid(y[..., :1]) if sigmoid else y[..., :1], stddev=3.0)
    with pytest.raises(ValueError, match="two classes") as refusal:
        require_segmentation(one)
    codes = re.findall(r"`(keras\.Model\(.+?)`", str(refusal.value))
    made = eval(codes[sigmoid], {"keras": keras, "model": one})
    made.preprocessing = unetv2.Preprocessing(image_size=SIZE)
    frame = random_image(*SIZE)
    values = np.asarray(one(frame[np.newaxis].astype(np.float32) / np.float32(255)))[0, ..., 0]
    expected = values if sigmoid else 1 / (1 + np.exp(-values))
    found = unetv2.predict(made, frame, probabilities=True).probabilities
    np.testing.assert_allclose(found[..., 1], expected, atol=1e-5)

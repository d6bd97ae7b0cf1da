"""Pickling and copying of public objects."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from evaluations import evaluated, images
from small_networks import network, random_image

import unetv2
from unetv2 import losses, metrics
from unetv2.benchmarking import Row
from unetv2.exporting.artifact import Description

MODULES = (
    unetv2, unetv2.augmentation, unetv2.synthetic, unetv2.distributed, losses, metrics,
    unetv2.recipes, unetv2.visualization,
)  # fmt: skip
PUBLIC = {
    value
    for module in MODULES
    for name in module.__all__
    if inspect.isclass(value := getattr(module, name))
}


def small():
    model = unetv2.build_unetv2((8, 12, 3), 4, filters=2, depth=1, seed=0)
    model.preprocessing = unetv2.Preprocessing(image_size=(8, 12), classes=table())
    # Or else Keras warns that it saved an optimizer without its variables.
    model.optimizer.build(model.trainable_variables)
    return model


def table():
    return unetv2.ClassTable.numbered(4, ignore_class=255)


def exported(folder):
    return unetv2.export(small(), folder / "exported", format="saved_model")


def checked(folder):
    images, masks = unetv2.synthetic.write_driving_scenes(folder / "scenes", 2, image_size=(24, 32))
    return unetv2.check_dataset(images, masks, n_classes=23, progress=False)


def segmentation_dataset(folder):
    folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 2, image_size=(24, 32))
    return unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA)


def plan(folder):
    return unetv2.Plan(data=segmentation_dataset(folder), image_size=(16, 24), validation=())


def predicted(_):
    return unetv2.predict(network((8, 12, 3)), random_image(8, 12), probabilities=True)


# An instance of each class, and of what is public besides.
INSTANCES = {
    "CAMVID": lambda _: unetv2.CAMVID,
    "CARLA": lambda _: unetv2.CARLA,
    "CITYSCAPES": lambda _: unetv2.CITYSCAPES,
    "PASCAL_VOC": lambda _: unetv2.PASCAL_VOC,
    "FAST": lambda _: unetv2.recipes.FAST,
    "REFERENCE": lambda _: unetv2.recipes.REFERENCE,
    "PRESETS": lambda _: unetv2.augmentation.PRESETS,
    "Augmentation": lambda _: unetv2.augmentation.get("driving"),
    "Benchmark": lambda _: unetv2.Benchmark(
        rows=(
            Row(
                name="a",
                format="keras",
                precision="float32",
                latency_ms=(1.0, 2.0, 3.0),
                throughput=4.0,
                peak_bytes=5,
                file_bytes=6,
                startup_s=7.0,
                mean_iou=None,
            ),
        ),
        settings={},
    ),
    "ClassTable": lambda _: unetv2.CITYSCAPES,
    "Cluster": lambda _: unetv2.distributed.Cluster(("a:1", "b:1"), 0),
    "ConfusionMatrix": lambda _: metrics.ConfusionMatrix(4, ignore_class=255),
    "ConvolutionBlock": lambda _: unetv2.ConvolutionBlock(2, name="a"),
    "DatasetReport": checked,
    "DecoderBlock": lambda _: unetv2.DecoderBlock(2, name="a"),
    "Distribution": lambda _: unetv2.distributed.Distribution(strategy=None),
    "EncoderBlock": lambda _: unetv2.EncoderBlock(2, name="a"),
    "Evaluation": lambda _: evaluated(images()),
    "ExportedModel": exported,
    "Fingerprint": lambda folder: segmentation_dataset(folder).fingerprint(progress=False),
    "FrequencyWeightedIoU": lambda _: metrics.FrequencyWeightedIoU(4),
    "MeanDice": lambda _: metrics.MeanDice(4),
    "MeanIoU": lambda _: metrics.MeanIoU(4),
    "PixelAccuracy": lambda _: metrics.PixelAccuracy(),
    "PredictedDirectory": lambda _: unetv2.PredictedDirectory((Path("a.png"),), (), {"b": "c"}),
    "PredictedVideo": lambda _: unetv2.PredictedVideo(
        Path("a.mp4"), 3, (48, 64), 30.0, 41.0, 0.1, 0.2
    ),
    "Plan": plan,
    "Prediction": predicted,
    "Predictor": lambda _: unetv2.Predictor(small(), tta=True, batch_size=2),
    "PreemptedError": lambda _: unetv2.distributed.PreemptedError("by a signal"),
    "Preprocessing": lambda _: unetv2.Preprocessing(classes=unetv2.CITYSCAPES),
    "Recipe": lambda _: unetv2.recipes.get("fast", class_weights=(1.0, 2.0)),
    "Scores": lambda _: metrics.Scores(np.eye(3, dtype=np.int64)),
    "SegmentationDataset": segmentation_dataset,
    "SegmentationMetrics": lambda _: metrics.SegmentationMetrics(4),
    "SegmentationModel": lambda _: small(),
    "Training": lambda folder: unetv2.Training({"loss": [1.0]}, [0], 0, 0.5, [], folder),
    "WorkerLostError": lambda _: unetv2.distributed.WorkerLostError("worker 1"),
    **{
        name: lambda _, name=name: getattr(losses, name)(ignore_class=255, name="a")
        for name in losses.__all__
        if name != "Sum"
    },
    "Sum": lambda _: losses.Sum([losses.CrossEntropy(), losses.Dice()], [1, 2]),
}
WAYS = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def shown(one):
    """Returns the state that equal instances have in common."""
    if isinstance(one, keras.Model):
        names = [layer.name for layer in one.layers]
        return names, one.preprocessing, one.compiled, shown(one.get_weights())
    if isinstance(one, keras.losses.Loss | keras.metrics.Metric | keras.layers.Layer):
        return one.get_config()
    if isinstance(one, unetv2.ExportedModel):
        return one.description, shown(one.run(np.full((1, 8, 12, 3), 100, np.uint8)))
    if isinstance(one, BaseException):
        return type(one), one.args
    if isinstance(one, np.ndarray):
        return one.dtype, one.tolist()
    if isinstance(one, tuple | list):
        return [shown(part) for part in one]
    if isinstance(one, unetv2.Prediction):
        return shown([one.mask, one.probabilities]), one.classes, one.overlay().tolist()
    if isinstance(one, unetv2.Evaluation):
        return str(one), shown(one.confusion), one.classes
    if isinstance(one, unetv2.Predictor):
        return one.options, shown(one.predict(random_image(8, 12)))
    if isinstance(one, metrics.Scores):
        return str(one)
    return one


def test_every_public_class_is_copied_here():
    assert {one.__name__ for one in PUBLIC} <= set(INSTANCES)


@pytest.mark.parametrize("make", INSTANCES.values(), ids=INSTANCES)
def test_copies_are_equal(tmp_path, make):
    one = make(tmp_path)
    for way in WAYS.values():
        made = way(one)
        assert type(made) is type(one)
        assert shown(made) == shown(one)


def test_an_exported_model_without_files_is_not_copied():
    description = Description(
        name="a", format="saved_model", precision="float32", n_classes=4, frame_size=(8, 12),
        network_size=(8, 12), resizes=False, preprocessing=unetv2.Preprocessing(),
    )  # fmt: skip
    by_hand = unetv2.ExportedModel(description, lambda frames: frames, "nowhere")
    for way in WAYS.values():
        with pytest.raises(TypeError, match="ExportedModel must come from `unetv2.load_exported`"):
            way(by_hand)


def test_nested_class_tables_become_dicts():
    values = dataclasses.asdict(unetv2.Preprocessing(classes=unetv2.CITYSCAPES))
    assert values["classes"]["label_map"][7] == 0
    with pytest.raises(TypeError):
        unetv2.CITYSCAPES.label_map[7] = 3


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "way", [keras.models.clone_model, copy.deepcopy], ids=["clone_model", "deepcopy"]
)
def test_a_copied_model_keeps_its_preprocessing(tmp_path, way, compiled):
    one = small()
    if not compiled:
        known = one.preprocessing
        one = unetv2.SegmentationModel(one.input, one.output, preprocessing=known)
    made = way(way(one))
    assert made.compiled == compiled
    assert made.preprocessing == one.preprocessing is not None
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.preprocessing == one.preprocessing
    assert keras.models.clone_model(loaded, clone_function=lambda layer: layer).preprocessing


def test_models_of_the_same_name_have_separate_preprocessing():
    one = small()
    other = unetv2.SegmentationModel(one.input, one.output, name="unetv2")
    assert one.name == other.name == "unetv2"
    assert other.preprocessing is None
    assert isinstance(tf.function(other)(np.zeros((1, 8, 12, 3), np.float32)), tf.Tensor)

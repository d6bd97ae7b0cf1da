"""One model used by several threads."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from exporting import recorded, scenes
from small_networks import network, random_image

import unetv2
from unetv2.exporting.formats import FORMATS
from unetv2.exporting.formats.base import get_format

THREADS = 8
RUNTIMES = importlib.util.find_spec("openvino") is not None
OF_THE_EXTRA = [
    pytest.mark.export,
    pytest.mark.skipif(not RUNTIMES, reason="needs the extra `export`"),
    pytest.mark.filterwarnings("default"),
]


def assert_threads_get_the_answers_of_one(ask, images, rounds=3):
    alone = [ask(image) for image in images]
    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(ask, images * rounds):
            expected = alone.pop(0)
            alone.append(expected)
            np.testing.assert_array_equal(found.mask, expected.mask)
            np.testing.assert_array_equal(found.confidence, expected.confidence)


@pytest.mark.parametrize("options", [{}, {"mc_samples": 2}])
def test_one_keras_model_serves_several_threads(options):
    # More sizes than compiled graphs.
    images = [random_image(8 + 2 * (number % 5), 12, seed=number) for number in range(10)]
    dropout = keras.layers.Dropout(0.3)
    model, other = network((None, None, 3), dropout), network((None, None, 3), dropout)
    alone = [unetv2.predict(other, image, **options) for image in images]
    # No graph is compiled before the threads start.
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda image: unetv2.predict(model, image, **options), images))
    for one, expected in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one.mask, expected.mask)
        np.testing.assert_allclose(one.confidence, expected.confidence, atol=1e-6)


def test_models_are_examined_by_several_threads_at_once():
    images = [random_image(8, 12, seed=number) for number in range(4)]
    models = [network(seed=seed) for seed in range(4)]
    ended = [
        unetv2.SegmentationModel(
            one.input, keras.layers.Softmax()(one.output), preprocessing=one.preprocessing
        )
        for one in models
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(unetv2.predict, ended, images))
    for one, plain, image in zip(found, models, images, strict=True):
        expected = unetv2.predict(plain, image)
        np.testing.assert_allclose(one.confidence, expected.confidence, atol=1e-5)


@pytest.mark.parametrize(
    ("format", "precision"),
    [
        pytest.param(name, precision, marks=OF_THE_EXTRA if get_format(name).extra else [])
        for name in FORMATS
        for precision in ("float32", "int8")
        if precision in get_format(name).precisions
    ],
)
def test_one_exported_model_serves_several_threads(tmp_path, format, precision):
    calibration = scenes(12) if precision == "int8" else None
    exported = unetv2.export(
        recorded(), tmp_path / "model", format=format, precision=precision,
        calibration=calibration, min_agreement=0.0,
    )  # fmt: skip
    images = scenes(16, (24, 32))
    assert_threads_get_the_answers_of_one(exported.predict, images)
    assert_threads_get_the_answers_of_one(
        lambda image: unetv2.predict(exported, image), images, rounds=1
    )

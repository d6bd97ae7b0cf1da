"""Compares an exported model with its Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from unetv2.exporting.artifact import Parity
from unetv2.exporting.exported_model import ExportedModel
from unetv2.exporting.graph import Plan
from unetv2.exporting.optimize import deployable
from unetv2.inference.predictor import ImagePredictor
from unetv2.models.segmentation_model import SegmentationModel

# Defaults. A float network with a smaller share was converted wrongly; int8 changes the classes of
# a few pixels, most of them at edges.
MIN_AGREEMENT = {"float32": 0.9999, "float16": 0.99, "bfloat16": 0.97, "int8": 0.9}
# Two probabilities that differ by less are a tie. One of 255 levels of one pixel, or another order
# of sums in a convolution, may decide which class is first.
_TIE = 1e-3
# Size of the random images if frames may have any size.
_SIZE = (240, 320)


def random_images(plan: Plan, count: int) -> list[np.ndarray]:
    """Returns random images with the power spectrum of natural images, for exports without data.

    The amplitude falls with the frequency ``f`` as ``1/f``, so that edges and areas of all scales
    occur (`Field, 1987 <https://doi.org/10.1364/JOSAA.4.002379>`_). Brightness and contrast differ
    from image to image, and channels are correlated.

    Args:
        plan: The exported model's inputs.
        count: int. Number of images.

    Returns:
        list of np.ndarray. uint8 ``(height, width, channels)``.
    """
    sides = (None, None) if plan.takes_whole_images else plan.frame_size
    height, width = (own or usual for own, usual in zip(sides, _SIZE, strict=True))
    channels = plan.preprocessing.channels
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, np.newaxis], np.fft.rfftfreq(width))
    # The mean, of frequency 0, is set below.
    frequency[0, 0] = np.inf
    images = []
    for _ in range(count):
        # White noise, most of it the same in all channels.
        noise = rng.standard_normal((height, width, 1))
        noise = noise + 0.5 * rng.standard_normal((height, width, channels))
        spectrum = np.fft.rfft2(noise, axes=(0, 1)) / frequency[..., np.newaxis]
        values = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
        values = values / max(values.std(), np.finfo(np.float32).tiny)
        pixels = rng.uniform(70, 180) + rng.uniform(20, 70) * values
        images.append(pixels.clip(0, 255).astype(np.uint8))
    return images


def reference_model(model: keras.Model, plan: Plan) -> SegmentationModel:
    """Returns the model in float32, with the preprocessing of the exported one."""
    dtypes = {layer.dtype_policy.name for layer in model.layers if hasattr(layer, "dtype_policy")}
    converted = model if dtypes == {"float32"} else deployable(model, "float32")
    return SegmentationModel(
        converted.inputs[0], converted.outputs[0], preprocessing=plan.preprocessing, name=model.name
    )


def compare(
    reference: SegmentationModel,
    exported: ExportedModel,
    images: Sequence[np.ndarray],
    source: str,
    min_agreement: float,
) -> Parity:
    """Predicts images with both models.

    Args:
        reference: The Keras model.
        exported: The exported model.
        images: uint8 ``(height, width, channels)``.
        source: str. Origin of the images.
        min_agreement: float. The agreement that is required.
    """
    # Test-time augmentation would average differences out.
    predictor = ImagePredictor(reference, tta=False)
    agreeing, total, largest, means = 0, 0, 0.0, []
    for image in images:
        expected: Any = predictor.predict(image, probabilities=True)
        actual: Any = exported.predict(image, probabilities=True, tta=False)
        agreeing += int(_agree(expected.probabilities, actual.mask).sum())
        total += actual.mask.size
        difference = np.abs(expected.probabilities - actual.probabilities)
        largest = max(largest, float(difference.max()))
        means.append(float(difference.mean()))
    return Parity(
        agreement=agreeing / total, max_difference=largest, mean_difference=float(np.mean(means)),
        n_images=len(images), source=source, min_agreement=min_agreement,
    )  # fmt: skip


def _agree(probabilities: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns where the class is the most probable one, or ties with it."""
    chosen = np.take_along_axis(probabilities, mask[..., np.newaxis].astype(np.int64), axis=-1)
    return chosen[..., 0] >= probabilities.max(axis=-1) - _TIE

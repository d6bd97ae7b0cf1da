"""How far an artifact agrees with its Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

from unetv2.exporting.exported_model import ExportedModel
from unetv2.exporting.graph import Plan
from unetv2.exporting.optimize import deployable
from unetv2.inference.predictor import ImagePredictor
from unetv2.models.segmentation_model import SegmentationModel

# Of probabilities in float32.
_TIE = 1e-6
# Below, a float network was converted wrongly. Eight bits cost a few pixels, at edges mostly.
LEAST = {"float32": 0.9999, "float16": 0.99, "bfloat16": 0.97, "int8": 0.9}


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far an artifact agrees with its Keras model, both fed with the same images.

    Args:
        pixels_equal: float. Share of the pixels to whose class, by the artifact, the model gives
            its highest probability, to a millionth.
        largest_difference: float. The largest one between two probabilities of a class.
        mean_difference: float. The mean one.
        images: int. How many images were compared.
        source: str. Where they came from.
    """

    pixels_equal: float
    largest_difference: float
    mean_difference: float
    images: int
    source: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the values, of types that JSON knows."""
        return asdict(self)

    def __str__(self) -> str:
        """Returns them in a line."""
        return (
            f"{self.pixels_equal:.4%} of the pixels equal, probabilities differ by "
            f"{self.largest_difference:.2g} at most, on {self.images} {self.source}"
        )


def reference(model: keras.Model, plan: Plan) -> SegmentationModel:
    """Returns the model in float32, as the plan has its images prepared.

    Args:
        model: A functional model.
        plan: What the artifact takes.
    """
    computes = {layer.dtype_policy.name for layer in model.layers if hasattr(layer, "dtype_policy")}
    same = model if computes == {"float32"} else deployable(model, "float32")
    return SegmentationModel(
        same.inputs[0], same.outputs[0], preprocessing=plan.preprocessing, name=model.name
    )


def compare(
    model: SegmentationModel, exported: ExportedModel, images: Sequence[np.ndarray], source: str
) -> Parity:
    """Predicts images by both.

    Args:
        model: The Keras model.
        exported: The artifact.
        images: uint8 ``(height, width, channels)``.
        source: str. What they are.
    """
    equal, total, largest, differences = 0, 0, 0.0, []
    predictor = ImagePredictor(model)
    for image in images:
        wanted: Any = predictor.predict(image, probabilities=True)
        found: Any = exported.predict(image, probabilities=True)
        equal += int(_agree(wanted.probabilities, found.mask).sum())
        total += wanted.mask.size
        difference = np.abs(wanted.probabilities - found.probabilities)
        largest = max(largest, float(difference.max()))
        differences.append(float(difference.mean()))
    return Parity(
        pixels_equal=equal / total,
        largest_difference=largest,
        mean_difference=float(np.mean(differences)),
        images=len(images),
        source=source,
    )


def _agree(probabilities: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns where a class is the most probable one, or as probable as that but for rounding.

    An untrained network may give whole regions the same probability for several classes.
    """
    given = np.take_along_axis(probabilities, mask[..., np.newaxis].astype(np.int64), axis=-1)
    return given[..., 0] >= probabilities.max(axis=-1) - _TIE

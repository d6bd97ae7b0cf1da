"""Any image to a mask of its own size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import keras
import numpy as np

from unetv2.data.io.open import MAX_PIXELS
from unetv2.exporting.artifact import is_artifact
from unetv2.exporting.exported_model import ExportedModel, load_exported
from unetv2.inference.inputs import InputImage
from unetv2.inference.postprocess import Wanted, mask_dtype
from unetv2.inference.prediction import Prediction, require_mask_path
from unetv2.inference.predictor import Gathering, Predictor
from unetv2.keras_files import load_model
from unetv2.progress import Progress
from unetv2.text import counted


@overload
def predict(
    model: keras.Model | ExportedModel | str | os.PathLike[str],
    image: str | os.PathLike[str] | np.ndarray,
    *,
    window: Sequence[int] | None = ...,
    overlap: float = ...,
    scale: float | None = ...,
    tta: bool | Sequence[str | float] = ...,
    mc_samples: int = ...,
    batch_size: int = ...,
    uncertainty: bool | None = ...,
    probabilities: bool = ...,
    output: str | os.PathLike[str] | None = ...,
    max_pixels: int = ...,
    seed: int = ...,
    progress: bool = ...,
) -> Prediction: ...


@overload
def predict(
    model: keras.Model | ExportedModel | str | os.PathLike[str],
    image: list[Any] | tuple[Any, ...],
    *,
    window: Sequence[int] | None = ...,
    overlap: float = ...,
    scale: float | None = ...,
    tta: bool | Sequence[str | float] = ...,
    mc_samples: int = ...,
    batch_size: int = ...,
    uncertainty: bool | None = ...,
    probabilities: bool = ...,
    output: str | os.PathLike[str] | None = ...,
    max_pixels: int = ...,
    seed: int = ...,
    progress: bool = ...,
) -> list[Prediction]: ...


def predict(
    model: keras.Model | ExportedModel | str | os.PathLike[str],
    image: Any,
    *,
    window: Sequence[int] | None = None,
    overlap: float = 0.25,
    scale: float | None = None,
    tta: bool | Sequence[str | float] = False,
    mc_samples: int = 0,
    batch_size: int = 8,
    uncertainty: bool | None = None,
    probabilities: bool = False,
    output: str | os.PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    seed: int = 0,
    progress: bool = False,
) -> Prediction | list[Prediction]:
    """Predicts the class of each pixel of an image, at the image's own size.

    The image is prepared as in training, by what ``model.preprocessing`` tells: shrunk whole by
    the same arithmetic and the logits enlarged again, or in windows at the scale of the crops that
    the model was trained on. A model that does not tell is fed with whole images at its input's
    size, or, if that is open, at native scale; the logger ``unetv2`` says so once.

    Windows overlap, and are blended by weights that fall to their edges and sum to one; where a
    image is smaller than a window it is mirrored at its edges. What is averaged, over windows,
    flips, scales and samples, is probabilities.

    Args:
        model: A Keras model that gives logits, or the path of its ``.keras`` file; an
            :class:`~unetv2.ExportedModel`, or the path of what was exported. To predict
            many images load it once.
        image: The path of an image or ``.npy`` file; an array ``(height, width)`` or
            ``(height, width, channels)``, uint8, uint16 or float in [0, 1]; or a list of these.
        window: ``(height, width)`` or None. Windows of that size at the image's own scale.
        overlap: float in [0, 1). The least share of a window that the next one covers too,
            rounded up to whole pixels, at most all of them but one.
        scale: float above 0, or None. Another scale than the image's own, such as 0.5, for
            windows or, without ``window``, for the image.
        tta: bool, or a sequence of ``"horizontal"``, ``"vertical"`` and scales such as 1.25. The
            image, or each window, is also asked flipped and resized, in all combinations. True
            flips it left to right.
        mc_samples: int, at least 0. How often it is asked with dropout on and all else in inference
            mode; 0 leaves dropout off.
        batch_size: int, at least 1. Images or windows fed at once, at most; fewer if they are
            large.
        uncertainty: bool or None. Whether confidence and uncertainty are made; None makes them
            unless ``output`` is given.
        probabilities: bool. Whether all classes' probabilities are kept: 4 bytes a pixel and class.
        output: A ``.npy``, ``.png`` or ``.tif`` file to which the mask is written, band by band:
            with a large image in a ``.npy`` file, or memory-mapped, neither is ever in memory.
            PNG and TIFF hold ids of up to 16 bits. None, for a list of images always.
        max_pixels: int, at least 1. Image files of more pixels are refused from their header;
            arrays may be of any size.
        seed: int, at least 0. Decides what dropout drops.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        Prediction, or a list of them for a list of images.

    Raises:
        FileNotFoundError: If a file, or the folder of ``output``, does not exist.
        ValueError: If the model is no segmentation model, an image is none or has other channels
            or values than the model takes, or an argument is out of its range.
        TypeError: If one is of the wrong type.
        OSError: If ``output`` cannot be written; what was there stays.

    Example:
        >>> model = unetv2.build_unetv2((None, None, 3), 5, filters=2, depth=2)
        >>> scene = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
        >>> prediction = unetv2.predict(model, scene, window=(32, 32), tta=True)
        >>> prediction.mask.shape, bool(prediction.confidence.min() > 0.19)
        ((70, 90), True)
        >>> written = unetv2.predict(model, scene, window=(32, 32), output=tmp / "scene.png")
        >>> written.path.name, written.confidence
        ('scene.png', None)
    """
    several = isinstance(image, list | tuple)
    if not isinstance(model, keras.Model):
        model = load(model)
    predictor = Predictor(
        model, window=window, overlap=overlap, scale=scale, tta=tta, mc_samples=mc_samples,
        batch_size=batch_size, seed=seed,
    )  # fmt: skip
    images = [
        InputImage(one, channels=predictor.network.channels, max_pixels=max_pixels)
        for one in (image if several else [image])
    ]
    path = None
    if output is not None:
        if several:
            raise ValueError(
                "`output` must be None for a list of images. "
                f"Received: output='{output}' and {counted(len(images), 'image')}. "
                "Call `predict` for each, or `save` of each prediction."
            )
        path = require_mask_path("output", output, mask_dtype(predictor.network.n_classes))
        _require_another_file(path, images[0].path)
    for one in images:
        predictor.prepare(one.size)
    wanted = Wanted(output is None if uncertainty is None else uncertainty, probabilities)
    shown = Progress(sum(one.size[0] for one in images), "rows", shown=progress)
    predictions = []
    done = 0
    for one, parts in predictor.all(images, wanted):
        result = Gathering(one, predictor, wanted, path)
        with result.writing():
            for part in parts:
                result.add(part)
                shown.update(done + part.row + part.mask.shape[0])
        done += one.size[0]
        predictions.append(result.prediction())
    return predictions if several else predictions[0]


def load(path: Any) -> Any:
    """Loads a model to predict with.

    Args:
        path: Of a ``.keras`` file or of what :func:`unetv2.export` wrote; an exported model is
            returned as it is.

    Returns:
        keras.Model, not compiled, or ExportedModel.

    Raises:
        TypeError: If it is no path.
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or something else.
    """
    if isinstance(path, ExportedModel):
        return path
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            "`model` must be a keras.Model, the path of a .keras file, or an exported model or its "
            f"path. Received: {type(path).__name__}. `build_unetv2` builds a model."
        )
    if is_artifact(path):
        return load_exported(path)
    return load_model(path)


def _require_another_file(output: Path, path: str | None) -> None:
    if path is not None and output.exists() and output.samefile(path):
        raise ValueError(
            "`output` must be another file than the image's. "
            f"Received: output='{output}', which is. Pass another path."
        )

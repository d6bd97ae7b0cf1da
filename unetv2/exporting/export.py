"""Exports a model."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_image_size
from unetv2.classes import ClassTable
from unetv2.exporting.artifact import (
    Description,
    Parity,
    is_artifact,
    merge,
    read,
    single_file_suffixes,
    write_description,
)
from unetv2.exporting.calibration import calibration_images
from unetv2.exporting.exported_model import ExportedModel, load_exported
from unetv2.exporting.formats.base import ExportFormat, Frames, get_format
from unetv2.exporting.graph import COMPUTE_OPS, NETWORK, Graph, Plan, Size
from unetv2.exporting.optimize import deployable, equalized
from unetv2.exporting.parity import MIN_AGREEMENT, compare, random_images, reference_model
from unetv2.files import explain_write_errors, move_into_place, recover, temporary_folder
from unetv2.inference.network import Network, network_of
from unetv2.inference.predictor import changes_size
from unetv2.keras_files import load_model
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing, require_tta
from unetv2.runtime import versions
from unetv2.text import counted

# Images for the parity check, which for int8 also chooses between two variants.
_N_COMPARED, _N_COMPARED_INT8 = 8, 32
# With fewer images for calibration, a warning is logged.
_FEW_IMAGES = 100
# Enough images to measure the ranges of channels for the equalization.
_N_EQUALIZED = 64
# Ops of every graph, which identify no layer.
_COMMON_OPS = {"Const", "Identity", "NoOp", "Placeholder", "Cast", "Shape", "Pack", "Func", "If"}

_log = logging.getLogger("unetv2")


def export(
    model: keras.Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    format: str,
    precision: str = "float32",
    image_size: Sequence[int] | None = None,
    frame_size: Sequence[int] | None = None,
    classes: ClassTable | None = None,
    calibration: Any = None,
    min_agreement: float | None = None,
    overwrite: bool = False,
) -> ExportedModel:
    """Writes a model that runs without Keras and without this library.

    The exported model maps camera frames, uint8 ``(batch, height, width, channels)``, to ``mask``
    and ``confidence`` of the size of the frames, and ``logits`` of the size of the network. It
    contains the resizing of the training, the scaling of values, the network, the ``argmax`` and
    the resizing to the size of the frames: of frames of any size in ``"saved_model"``, ``"onnx"``
    and ``"openvino"``, of one ``frame_size`` in ``"litert"``, whose frames otherwise have the size
    of the network. Models of windows or original scale take frames at that scale.
    :func:`unetv2.load_exported` does in Python what the graph does not contain.

    The preprocessing, class names and colors, versions and the agreement with the Keras model are
    in ``unetv2.json`` beside the network, or within a single file. The agreement is measured by
    predicting images with the exported and the Keras model. If it is too low, an error is raised
    and nothing is written.

    Args:
        model: A functional Keras model of logits, or the path of a ``.keras`` file.
        path: A folder for the exported model. For ``"litert"`` and ``"onnx"`` also a file, with
            the extension ``.tflite`` or ``.onnx``.
        format: ``"saved_model"``, ``"litert"``, ``"onnx"`` or ``"openvino"``.
        precision: ``"float32"`` or ``"float16"``; ``"bfloat16"`` for ``"saved_model"`` and
            ``"openvino"``; ``"int8"`` for all but ``"saved_model"``.
        image_size: ``(height, width)`` of the network's input, also of windows. None uses that of
            ``model.preprocessing``; a model for images of any size may need one.
        frame_size: ``(height, width)`` of the frames, or None for any. If it is the size of the
            network's input, the graph contains no resizing.
        classes: ClassTable or None. Class names and colors; None uses the model's.
        calibration: Images for ``"int8"``, which determine the ranges of activations: a data set of
            :func:`unetv2.make_dataset`, a folder, or a list of paths and arrays. Pass at least 100
            images of the training, without augmentation; the first 300 are used. The last of them
            also serve the parity check. None uses random images with the power spectrum of natural
            images for it: these verify the conversion, but the agreement on your images may differ.
        min_agreement: float in [0, 1], or None. Smallest share of pixels on which both models must
            agree: the exported model's class is the most probable one of the Keras model, or less
            probable by at most 0.001. The defaults are 0.9999 for ``"float32"``, 0.99 for
            ``"float16"``, 0.97 for ``"bfloat16"`` and 0.9 for ``"int8"``.
        overwrite: bool. Whether to replace an exported model at ``path``.

    Returns:
        ExportedModel. The exported model, loaded; ``description.parity`` is its agreement.

    Raises:
        ValueError: If an argument is out of range, if a layer cannot be converted, if ``path``
            exists, or if the agreement is too low.
        TypeError: If an argument has a wrong type.
        ImportError: If a package is not installed; the message has the command that installs it.
        FileNotFoundError: If the model's file does not exist.
        OSError: If the files cannot be written; existing ones are unchanged.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32), classes=unetv2.CARLA)
        >>> exported = unetv2.export(model, tmp / "exported", format="saved_model")
        >>> exported.description.parity.agreement > 0.9999
        True
    """
    target, kind = Path(path), get_format(format)
    required = _require_arguments(kind, precision, calibration, min_agreement)
    require_path(target, kind, overwrite=overwrite)
    for module in kind.required_modules(precision):
        kind.require_module(module, f"to export to format='{format}'")
    model = _require_keras_model(model)
    plan = _plan(model, kind, image_size=image_size, frame_size=frame_size, classes=classes)
    images = None if calibration is None else calibration_images(calibration, plan.preprocessing)
    graphs, frames = _graphs(model, plan, kind, precision, images)
    description = Description(
        name=model.name, format=format, precision=precision,
        n_classes=network_of(model).n_classes, frame_size=plan.frame_size,
        network_size=plan.network_size, resizes=plan.resizes,
        preprocessing=plan.preprocessing, versions=versions(),
    )  # fmt: skip
    reference = reference_model(model, plan)
    compared, source = _compared_images(plan, images, precision)
    with scratch_beside(target) as folder:
        written: list[tuple[Parity, Path]] = []
        for number, graph in enumerate(graphs):
            candidate = folder / str(number)
            candidate.mkdir()
            _write(kind, graph, candidate, precision, frames)
            write_description(candidate, description)
            exported = load_exported(candidate)
            written.append((compare(reference, exported, compared, source, required), candidate))
        parity, best = max(written, key=lambda pair: pair[0].agreement)
        if parity.agreement < required:
            raise ValueError(
                "The exported model must agree with the Keras model on a share of at least "
                f"{required:g} of the pixels. Received: {parity}. Nothing was written. Lower "
                "`min_agreement` if the agreement is sufficient, or choose another `precision`."
            )
        write_description(best, replace(description, parity=parity))
        is_file = target.suffix == kind.suffix != ""
        move(merge(best, format) if is_file else best, target)
    return load_exported(target)


def _require_arguments(
    format: ExportFormat, precision: object, calibration: Any, min_agreement: Any
) -> float:
    """Checks arguments; returns the agreement that is required."""
    if precision not in format.precisions:
        listed = ", ".join(map(repr, format.precisions))
        raise ValueError(
            f"`precision` must be one of {listed} for format='{format.name}'. "
            f"Received: precision={precision!r}. Choose one, or another format."
        )
    if precision == "int8" and calibration is None:
        raise ValueError(
            "`calibration` must be given for precision='int8', which needs images to determine "
            "the ranges of activations. Received: calibration=None. Pass the data set of the "
            "training."
        )
    value = MIN_AGREEMENT[str(precision)] if min_agreement is None else min_agreement
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(
            "`min_agreement` must be a number in [0, 1], or None. "
            f"Received: min_agreement={value!r}. 0 accepts any agreement."
        )
    return float(value)


def require_path(path: Path, format: ExportFormat, *, overwrite: bool) -> None:
    """Raises an error unless an artifact can be written to a path.

    Raises:
        ValueError: If the path exists and must not be replaced, or has another format's suffix.
    """
    if path.suffix in {*single_file_suffixes(), ".keras", ".h5"} - {format.suffix}:
        raise ValueError(
            f"`path` must be a folder{f' or end in {format.suffix}' if format.suffix else ''} for "
            f"format='{format.name}'. Received: path='{path}'. Pass another path."
        )
    recover(path)
    if not path.exists():
        return
    if not overwrite:
        raise ValueError(
            f"`path` must not exist. Received: path='{path}', which does. "
            "Pass overwrite=True to replace it, or another path."
        )
    if is_artifact(path):
        with contextlib.suppress(ValueError):
            read(path)
            return
    raise ValueError(
        f"`path` must be an artifact to be overwritten. Received: path='{path}', which is "
        "not one. Pass another path."
    )


def _require_keras_model(model: Any) -> keras.Model:
    if isinstance(model, keras.Model):
        return model
    if isinstance(model, ExportedModel) or (
        isinstance(model, str | os.PathLike) and is_artifact(model)
    ):
        path = model.path if isinstance(model, ExportedModel) else model
        raise TypeError(
            f"`model` must be a Keras model. Received: '{path}', which is already exported. "
            "Pass the .keras file that it was exported from."
        )
    if not isinstance(model, str | os.PathLike):
        raise TypeError(
            "`model` must be a keras.Model or the path of a .keras file. "
            f"Received: {type(model).__name__}. `build_unetv2` builds a model."
        )
    return load_model(model)


def _plan(
    model: keras.Model,
    format: ExportFormat,
    *,
    image_size: Sequence[int] | None,
    frame_size: Sequence[int] | None,
    classes: ClassTable | None,
) -> Plan:
    """Returns the inputs of the exported model.

    Raises:
        ValueError: If the sizes do not fit each other, the model or the format.
    """
    network = network_of(model)
    preprocessing = _with_classes(
        preprocessing_of(model, network.n_classes), classes, network.n_classes
    )
    requested = None if image_size is None else require_image_size(image_size)
    if requested is not None:
        if preprocessing.takes_whole_images:
            preprocessing = replace(preprocessing, image_size=requested)
        else:
            preprocessing = replace(preprocessing, window=requested)
    size = requested or preprocessing.window or preprocessing.input_size or network.size
    _require_accepted(model, network, size)
    plan = Plan(size, size, False, preprocessing, network.probabilities)
    if not format.any_size and None in size:
        raise ValueError(
            f"`image_size` must be given for format='{format.name}', which has a fixed size, and a "
            f"model for images of any size. Received: image_size={image_size!r}. Pass the size of "
            "the windows or images that the network will receive."
        )
    if frame_size is None:
        is_open = plan.takes_whole_images and format.any_size
        plan = replace(plan, frame_size=(None, None), resizes=True) if is_open else plan
        return _with_supported_tta(plan)
    frames = require_image_size(frame_size, "frame_size")
    if not plan.takes_whole_images and frames != size:
        raise ValueError(
            "`frame_size` must be None for a model of crops or of images at their original scale. "
            f"Received: frame_size={frame_size!r}. Pass `image_size` instead."
        )
    return _with_supported_tta(replace(plan, frame_size=frames, resizes=frames != size))


def _with_supported_tta(plan: Plan) -> Plan:
    """Removes the test-time augmentation that the exported model cannot do, and logs it."""
    # A graph of one size of frames resizes them itself, so the network receives no other images.
    is_closed = plan.resizes and None not in plan.frame_size
    size, stored = plan.network_size, require_tta(plan.preprocessing.tta)
    left_out = [
        value
        for value in stored
        if is_closed or (size != (None, None) and changes_size(value, size))
    ]
    if not left_out:
        return plan
    _log.warning(
        "The exported model predicts without %s, a part of the test-time augmentation of the "
        "Keras model, as it takes one size only.", ", ".join(map(str, left_out)),
    )  # fmt: skip
    kept = [value for value in stored if value not in left_out]
    return replace(plan, preprocessing=replace(plan.preprocessing, tta=kept))


def _with_classes(preprocessing: Preprocessing, classes: Any, n_classes: int) -> Preprocessing:
    if classes is None:
        return preprocessing
    if not isinstance(classes, ClassTable) or len(classes) != n_classes:
        received = f"{len(classes)} classes" if isinstance(classes, ClassTable) else repr(classes)
        raise ValueError(
            "`classes` must be a ClassTable with a class for each of the model's outputs, "
            f"{n_classes}. Received: {received}. None uses the model's."
        )
    ignored = preprocessing.ignore_class if classes.ignore_class is None else classes.ignore_class
    return replace(preprocessing, classes=classes, ignore_class=ignored)


def _require_accepted(model: keras.Model, network: Network, size: Size) -> None:
    accepted = all(own in (None, side) for own, side in zip(network.size, size, strict=True))
    if None not in size:
        accepted = accepted and network.takes((size[0] or 1, size[1] or 1))
    if not accepted:
        raise ValueError(
            "`image_size` must be one that the model takes. "
            f"Received: {size} and the model '{model.name}' for {network.size}. "
            "Leave it out, or build the model for any size."
        )


def _graphs(
    model: keras.Model,
    plan: Plan,
    format: ExportFormat,
    precision: str,
    images: list[np.ndarray] | None,
) -> tuple[list[Graph], list[np.ndarray]]:
    """Returns the graphs to try, for int8 also an equalized one, and frames for calibration."""
    batch = None if format.any_size else 1
    network = deployable(model, format.network_dtype(precision))
    graphs = [Graph(network, plan, batch)]
    unsupported = {op for op, _ in graphs[0].ops()} - COMPUTE_OPS
    if unsupported:
        raise ValueError(
            "A model must contain only supported ops to be exported. Received unsupported ops: "
            f"{_layers_with(graphs[0], unsupported) or ', '.join(sorted(unsupported))}. "
            "Replace these layers."
        )
    if precision != "int8" or images is None:
        return graphs, []
    if len(images) < _FEW_IMAGES:
        _log.warning(
            "`calibration` has %s. Pass at least %d, so that int8 ranges are measured well.",
            counted(len(images), "image"), _FEW_IMAGES,
        )  # fmt: skip
    frames = [plan.fit(image) for image in images]
    step = math.ceil(len(frames) / _N_EQUALIZED)
    equalized_network = equalized(network, map(graphs[0].images, frames[::step]))
    if equalized_network is not network:
        graphs.append(Graph(equalized_network, plan, batch))
    return graphs, frames


def _compared_images(
    plan: Plan, images: list[np.ndarray] | None, precision: str
) -> tuple[list[np.ndarray], str]:
    """Returns the images of the parity check, and their source."""
    count = _N_COMPARED_INT8 if precision == "int8" else _N_COMPARED
    source = "random images" if images is None else "images of `calibration`"
    compared = random_images(plan, count) if images is None else images[-count:]
    if plan.resizes and None not in plan.frame_size:
        compared = [plan.fit(image) for image in compared]
    return compared, source


@contextlib.contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Creates a folder to write into, beside a path."""
    with explain_write_errors(path, "to export the model"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            yield folder


def move(written: Path, path: Path) -> None:
    """Moves an artifact to its path, and replaces an earlier one.

    Args:
        written: A folder in that of :func:`scratch_beside`, or a file in such a folder.
        path: The path.
    """
    if written.is_file():
        written = written.rename(written.parent.parent / "file")
    move_into_place(written, path)


def _write(
    format: ExportFormat, graph: Graph, folder: Path, precision: str, calibration: Frames
) -> None:
    try:
        format.write(graph, folder, precision, calibration)
    except (OSError, ImportError, MemoryError):
        raise
    # Each converter has its own errors for ops that it does not support.
    except Exception as error:
        # TensorFlow raises its own errors for files that it cannot write, too.
        if isinstance(error, tf.errors.OpError) and str(folder.parent) in str(error):
            message = str(error).rpartition("; ")[2]
            numbers = [code for code in errno.errorcode if os.strerror(code) == message]
            raise OSError(*numbers[:1], message) from error
        raise _conversion_error(graph, format, error) from error


def _conversion_error(graph: Graph, format: ExportFormat, error: Exception) -> ValueError:
    """Returns an error that names the layers with the ops that a converter's message names."""
    message = str(error)
    words = set(re.findall(r"\w+", message))
    unsupported = ({op for op, _ in graph.ops()} & words) - _COMMON_OPS
    cause = _layers_with(graph, unsupported) or " ".join(message.split())[:500]
    return ValueError(
        f"Every layer must be one that format='{format.name}' supports. Received: {cause}. "
        "Replace it, or export to another format."
    )


def _layers_with(graph: Graph, ops: set[str]) -> str:
    """Lists the layers that contain some ops; empty if none does."""
    layers = {layer.name: type(layer).__name__ for layer in graph.model.layers}
    ops_by_layer: dict[str, set[str]] = {}
    for op, name in graph.ops():
        if op not in ops or NETWORK not in name.split("/"):
            continue
        # Keras may have numbered the names of layers.
        parts = [re.sub(r"_\d+$", "", part) if part not in layers else part
                 for part in name.split("/")]  # fmt: skip
        layer = next((part for part in parts if part in layers), "")
        ops_by_layer.setdefault(layer, set()).add(op)
    return "; ".join(
        f"the layer '{layer}' ({layers.get(layer, 'unknown')}) with {', '.join(sorted(ops))}"
        for layer, ops in sorted(ops_by_layer.items())
    )

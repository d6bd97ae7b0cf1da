"""Exports a model."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.classes import ClassTable
from unetv2.exporting.artifact import (
    Description,
    Format,
    is_artifact,
    join,
    read,
    require_format,
    require_module,
    require_precision,
    write_description,
)
from unetv2.exporting.calibration import calibration_images, fitted, scenes
from unetv2.exporting.exported_model import ExportedModel
from unetv2.exporting.formats.saved_model import others
from unetv2.exporting.graph import NETWORK, Graph, Plan, plan
from unetv2.exporting.load import load_exported
from unetv2.exporting.optimize import deployable, equalized
from unetv2.exporting.parity import LEAST, Parity, compare, reference
from unetv2.files import explain_write_errors, move_into_place, recover, temporary_folder
from unetv2.inference.compiled_model import Network
from unetv2.prediction.predict import load
from unetv2.runtime import versions
from unetv2.text import counted

# In every graph, and in every message.
_COMMON = {"Const", "Identity", "NoOp", "Placeholder", "Cast", "Shape", "Pack", "Func", "If"}


def refusal(graph: Graph, format: str, error: Exception) -> ValueError:
    """Returns an error that names the layers whose operations a converter's error names.

    Args:
        graph: What was to be converted.
        format: str. To what.
        error: What the converter said.
    """
    text = str(error)
    words = set(re.findall(r"\w+", text))
    blamed = {kind for kind, _ in _operations(graph)} & words - _COMMON
    return ValueError(
        f"Every layer must be one that format='{format}' can take. "
        f"Received: {named(graph, blamed) or _shortened(text)}. "
        "Replace it, or export to another format."
    )


def named(graph: Graph, kinds: Iterable[str]) -> str:
    """Returns which layers hold operations of some kinds, as words; empty if none does."""
    layers = {layer.name: type(layer).__name__ for layer in graph.model.layers}
    found: dict[str, set[str]] = {}
    for kind, name in _operations(graph):
        if kind not in kinds or NETWORK not in name.split("/"):
            continue
        # Keras may have numbered the names of layers.
        parts = [re.sub(r"_\d+$", "", part) if part not in layers else part
                 for part in name.split("/")]  # fmt: skip
        layer = next((part for part in parts if part in layers), "")
        found.setdefault(layer, set()).add(kind)
    return "; ".join(
        f"the layer '{layer}' ({layers.get(layer, 'unknown')}) with {', '.join(sorted(kinds))}"
        for layer, kinds in sorted(found.items())
    )


def _operations(graph: Graph) -> Iterator[tuple[str, str]]:
    definition: Any = graph.concrete().graph.as_graph_def()
    for node in definition.node:
        yield node.op, node.name
    for function in definition.library.function:
        for node in function.node_def:
            yield node.op, node.name


def _shortened(text: str) -> str:
    return " ".join(text.split())[:500]


def require_place(path: Path, format: Format, *, overwrite: bool) -> None:
    """Raises unless an artifact can be written to a path.

    Args:
        path: Where to.
        format: Of the artifact.
        overwrite: bool. Whether an artifact there may be replaced.

    Raises:
        ValueError: If there is something that is to stay, or the suffix is another format's.
    """
    if path.suffix in (".tflite", ".onnx", ".keras", ".h5") and path.suffix != format.suffix:
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
        "something else. Pass another path."
    )


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Gives a folder to write into, beside a path."""
    with explain_write_errors(path, "to export the model"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent) as folder:
            yield folder


def put(written: Path, path: Path) -> None:
    """Puts what was written into its place, where an earlier artifact may be.

    Args:
        written: A folder in that of :func:`beside`, or a file in such a folder.
        path: Where to.
    """
    if written.is_file():
        written = written.rename(written.parent.parent / "file")
    move_into_place(written, path)


_COMPARED = 8
_FEW = 100
# Images that tell enough of how far channels' ranges differ.
_EQUALIZED = 64

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
    least_equal: float | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> ExportedModel:
    """Writes a model so that it runs without Keras and without this library.

    The artifact takes camera frames as they are, uint8 ``(batch, height, width, channels)``, and
    answers ``mask`` and ``confidence`` of their size, and ``logits`` of the network's. Resizing as
    in training, scaling, the network, the most probable class and the way back to the frames' size
    are all in it: of frames of any size in ``"saved_model"``, ``"onnx"`` and ``"openvino"``, of
    one ``frame_size`` in ``"litert"``, whose frames otherwise come at the network's size. Models
    of windows or native scale are fed at that scale. :func:`unetv2.load_exported` does what an
    artifact leaves out.

    How images were prepared, class names, colors, versions, and how far the artifact agrees
    with the Keras model, are in ``unetv2.json`` beside the network, or within its only file. The
    agreement is measured on images, with what was written; where it is too low nothing is left.

    Args:
        model: A functional Keras model that gives logits, or the path of its ``.keras`` file.
        path: A folder for the artifact. For ``"litert"`` and ``"onnx"`` also a file, ending in
            ``.tflite`` or ``.onnx``.
        format: ``"saved_model"``, ``"litert"``, ``"onnx"`` or ``"openvino"``.
        precision: ``"float32"`` or ``"float16"``; ``"bfloat16"`` for ``"saved_model"`` and
            ``"openvino"``; ``"int8"`` for all but ``"saved_model"``.
        image_size: ``(height, width)`` that the network is fed with. None takes the one that the
            model was trained with; a model for all sizes may need one.
        frame_size: ``(height, width)`` of the camera's frames, or None for any. Of the network's
            own size, nothing is resized inside.
        classes: ClassTable or None. Names and colors; None takes the model's.
        calibration: For ``"int8"``, what the numbers in the network are measured on, 100 images
            at least: a data set of :func:`unetv2.make_dataset`, a folder of images, or a list
            of paths and arrays. The first 300 count. Take those of the training, without
            augmentation. The agreement is measured on the last of them; None takes synthetic
            scenes.
        least_equal: float in [0, 1], or None. The least share of pixels that must be of the Keras
            model's class, or of one as probable: by default 0.9999 for ``"float32"``, 0.99 for
            ``"float16"``, 0.97 for ``"bfloat16"``, 0.9 for ``"int8"``.
        overwrite: bool. Whether an earlier artifact at ``path`` is replaced.
        verbose: bool. Whether the agreement is printed to stdout.

    Returns:
        ExportedModel. The artifact, loaded.

    Raises:
        ValueError: If an argument is out of its range; if a layer cannot be converted, which is
            named; if ``path`` exists; if artifact and model disagree.
        TypeError: If an argument is of the wrong type.
        ImportError: If a package is missing; the message has the command that installs it.
        FileNotFoundError: If the model's file does not exist.
        OSError: If it cannot be written; what was there stays.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32), classes=unetv2.CARLA)
        >>> exported = unetv2.export(
        ...     model, tmp / "exported", format="saved_model", verbose=False)
        >>> exported.description.parity["pixels_equal"] > 0.9999
        True
    """
    kind = require_format(format)
    require_precision(kind, precision)
    if precision == "int8" and calibration is None:
        raise ValueError(
            "`calibration` must be given for precision='int8': images on which the numbers in "
            "the network are measured. Received: calibration=None. Pass the training's data set."
        )
    least = _require_share(LEAST[precision] if least_equal is None else least_equal)
    place = Path(path)
    require_place(place, kind, overwrite=overwrite)
    for module in (kind.runtime, *kind.tools, *(("nncf",) if _by_nncf(kind, precision) else ())):
        require_module(module, kind.extra, f"to export to format='{format}'")
    if not isinstance(model, keras.Model):
        model = load(model)
    if isinstance(model, ExportedModel):
        raise TypeError(
            f"`model` must be a Keras model. Received: '{model.path}', which was exported already. "
            "Pass the .keras file that it was made of."
        )
    planned = plan(model, kind, image_size=image_size, frame_size=frame_size, classes=classes)
    some = None if calibration is None else calibration_images(calibration, planned)
    if precision == "int8" and some is not None and len(some) < _FEW:
        _log.warning(
            "`calibration` has %s; int8 needs about %d to be measured well.",
            counted(len(some), "image"), _FEW,
        )  # fmt: skip
    converted = {"litert": "float32", "openvino": "float32"}.get(format, precision)
    network = deployable(model, "float32" if converted == "int8" else converted)
    batch = None if kind.open_sizes else 1
    graphs = [Graph(network, planned, batch)]
    _require_computing(graphs[0])
    frames = [fitted(image, planned) for image in some or []]
    if precision == "int8":
        images = map(graphs[0].images, frames[:: math.ceil(len(frames) / _EQUALIZED)])
        even = equalized(network, images)
        if even is not network:
            graphs.append(Graph(even, planned, batch))
    description = Description(
        name=model.name, format=format, precision=precision,
        n_classes=Network.of(model).n_classes, frame_size=planned.frame_size,
        network_size=planned.network_size, resizes=planned.resizes,
        preprocessing=planned.preprocessing, versions=versions(),
    )  # fmt: skip
    with beside(place) as folder:
        tried = []
        for number, graph in enumerate(graphs):
            written = folder / str(number)
            written.mkdir()
            _write(kind, graph, written, precision, frames)
            write_description(written, description)
            tried.append((_parity(model, planned, written, some, precision), written))
        parity, written = max(tried, key=lambda one: one[0].pixels_equal)
        if parity.pixels_equal < least:
            raise ValueError(
                f"The artifact must give the Keras model's class for a share of {least:g} of the "
                f"pixels. Received: {parity}. Nothing was written. Lower `least_equal` if that "
                "is good enough, or choose another `precision`."
            )
        description = replace(description, parity={**parity.as_dict(), "least_equal": least})
        write_description(written, description)
        put(join(written, format) if place.suffix == kind.suffix != "" else written, place)
    if verbose:
        print(f"{place}: {format}, {precision}: {parity}")
    return load_exported(place)


def _by_nncf(kind: Format, precision: str) -> bool:
    return kind.name == "openvino" and precision == "int8"


def _require_share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(
            "`least_equal` must be a share in [0, 1], or None. "
            f"Received: least_equal={value!r}. 0 accepts everything."
        )
    return float(value)


def _require_computing(graph: Graph) -> None:
    found = others(operation.type for operation in graph.concrete().graph.get_operations())
    if found:
        raise ValueError(
            "A model must only compute to be exported. "
            f"Received: {named(graph, found) or ', '.join(sorted(found))}. Replace it."
        )


def _write(
    kind: Format, graph: Graph, folder: Path, precision: str, frames: Sequence[np.ndarray]
) -> None:
    module = importlib.import_module(f"unetv2.exporting.{kind.name}")
    try:
        module.write(graph, folder, precision, frames)
    except (OSError, ImportError, MemoryError):
        raise
    # Each converter has errors of its own for what it does not know.
    except Exception as error:
        # TensorFlow's errors of writing name the file and say what the system said.
        if isinstance(error, tf.errors.OpError) and str(folder.parent) in str(error):
            said = str(error).rpartition("; ")[2]
            numbers = [code for code in errno.errorcode if os.strerror(code) == said]
            raise OSError(*numbers[:1], said) from error
        raise refusal(graph, kind.name, error) from error


def _parity(
    model: keras.Model, planned: Plan, folder: Path, some: list[np.ndarray] | None, precision: str
) -> Parity:
    source = "synthetic scenes" if some is None else "images of `calibration`"
    # Eight bits are written in two ways, of which this chooses.
    count = 4 * _COMPARED if precision == "int8" else _COMPARED
    compared = scenes(planned, count) if some is None else some[-count:]
    if planned.resizes and None not in planned.frame_size:
        compared = [fitted(image, planned) for image in compared]
    return compare(reference(model, planned), load_exported(folder), compared, source)

"""Writes OpenVINO models, by its converter and the quantization of NNCF."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.artefacts.formats import FORMATS, require_module
from unetv2.exporting.graph import INPUT, Graph

_FORMAT = FORMATS["openvino"]


def write(graph: Graph, folder: Path, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.writing`."""
    openvino: Any = require_module("openvino", _FORMAT.extra, "to write OpenVINO models")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tf.saved_model.save(graph, scratch, signatures=graph.function)
        model = openvino.convert_model(scratch)
    if precision == "int8":
        nncf: Any = require_module("nncf", _FORMAT.extra, "to quantize")
        frames = [{INPUT: frame[np.newaxis]} for frame in calibration]
        model = nncf.quantize(
            model,
            nncf.Dataset(frames),
            subset_size=len(frames),
            # Resizing and the answer's figures are no part of the network. Frames of the network's
            # size need no resizing, hence without validation.
            ignored_scope=nncf.IgnoredScope(
                patterns=[".*prepare/.*", ".*answer/.*"], validate=False
            ),
            # Processors without VNNI add pairs of products in 16 bits, which weights of the full
            # range overflow. Half of it gives the same masks on every processor.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    openvino.save_model(
        model, folder / _FORMAT.main, compress_to_fp16=precision in ("float16", "bfloat16")
    )

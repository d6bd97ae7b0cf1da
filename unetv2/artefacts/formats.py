"""Which formats and precisions there are, and what each of them needs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from unetv2.arguments import require_choice


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: str.
        precisions: What the numbers in the network may be.
        suffix: str. Of an artefact that is one file; empty where it is a folder always.
        main: str. The file that holds the network.
        extra: str. What ``pip install "unetv2[...]"`` takes; empty where nothing is missing.
        runtime: str. The module that runs it.
        tools: The modules that write it besides.
        open_sizes: bool. Whether the sizes of pictures may be open.
        read: Patterns of the files of a folder that the runtime may read, by their names alone.
    """

    name: str
    precisions: tuple[str, ...]
    suffix: str
    main: str
    extra: str
    runtime: str
    tools: tuple[str, ...] = ()
    open_sizes: bool = True
    read: tuple[str, ...] = ()


FORMATS = {
    one.name: one
    for one in (
        Format(
            "saved_model", ("float32", "float16", "bfloat16"), "", "saved_model.pb", "",
            "tensorflow", read=("saved_model.*", "variables/*", "assets/*", "fingerprint.pb"),
        ),
        Format(
            "litert", ("float32", "float16", "int8"), ".tflite", "model.tflite", "litert",
            "ai_edge_litert.interpreter", open_sizes=False, read=("model.tflite",),
        ),
        Format(
            "onnx", ("float32", "float16", "int8"), ".onnx", "model.onnx", "onnx", "onnxruntime",
            ("onnx", "tf2onnx"), read=("model.onnx",),
        ),
        Format(
            "openvino", ("float32", "float16", "bfloat16", "int8"), "", "model.xml", "openvino",
            "openvino", read=("model.xml", "model.bin"),
        ),
    )
}  # fmt: skip


def require_format(name: object) -> Format:
    """Returns a format, or says which there are."""
    require_choice("format", name, FORMATS)
    return FORMATS[str(name)]


def require_precision(format: Format, precision: object) -> str:
    """Returns the precision, or says which the format has."""
    if precision not in format.precisions:
        listed = ", ".join(repr(one) for one in format.precisions)
        raise ValueError(
            f"`precision` must be one of {listed} for format='{format.name}'. "
            f"Received: precision={precision!r}."
        )
    return str(precision)


def require_module(name: str, extra: str, purpose: str) -> ModuleType:
    """Imports a module of an extra.

    Args:
        name: str. The module.
        extra: str. The extra that it comes with.
        purpose: str. What it is needed for.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"`{name.split('.')[0]}` must be installed {purpose}. Received: {error}. "
            f'Run: pip install "unetv2[{extra}]"'
        ) from error

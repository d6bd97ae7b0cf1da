"""The runtime: versions of the libraries, and the precision that the machine computes natively."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# NVIDIA compute capabilities from which tensor cores support the type.
_BFLOAT16_CAPABILITY = (8, 0)
_FLOAT16_CAPABILITY = (7, 0)
_BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def versions() -> dict[str, str]:
    """Returns the versions of this library and of those that affect its results."""
    try:
        own = metadata.version("unetv2")
    except metadata.PackageNotFoundError:
        own = "unknown"  # It runs from its source, without being installed.
    return {
        "unetv2": own,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def automatic_precision() -> str:
    """Returns the fastest dtype policy that this machine computes natively.

    With a GPU: ``"mixed_bfloat16"`` from compute capability 8.0, ``"mixed_float16"`` from 7.0, else
    ``"float32"``; with several GPUs, the lowest capability decides. Without: ``"mixed_bfloat16"``
    where the processor has AVX-512 BF16 or AMX (detected on Linux only), else ``"float32"``.

    Returns:
        str. The name of a Keras dtype policy.

    Example:
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, dtype=unetv2.automatic_precision())
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return _gpu_precision([detail.get("compute_capability", (0, 0)) for detail in details])
    return "mixed_bfloat16" if _BFLOAT16_CPU_FLAGS & _cpu_flags() else "float32"


def precision_of(model: keras.Model) -> Any:
    """Returns the dtype policy that most layers of a model compute in.

    The policy of a loaded model is not that of its layers, as Keras saves only the latter. In mixed
    precision some layers, such as the last one, compute in float32.

    Returns:
        keras.DTypePolicy. That of layers that compute in 16 bits if there are any, else the
        model's own.
    """
    policies = {layer.dtype_policy.name: layer.dtype_policy for layer in _layers(model)}
    for name in sorted(policies):
        if policies[name].compute_dtype in ("float16", "bfloat16"):
            return policies[name]
    return model.dtype_policy


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _gpu_precision(capabilities: list[tuple[int, int]]) -> str:
    lowest = min(capabilities)
    if lowest >= _BFLOAT16_CAPABILITY:
        return "mixed_bfloat16"
    return "mixed_float16" if lowest >= _FLOAT16_CAPABILITY else "float32"


def _cpu_flags() -> set[str]:
    if platform.system() != "Linux":
        return set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}

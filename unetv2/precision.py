"""Which precision the machine computes natively, and which one a model computes in."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# NVIDIA compute capabilities from which tensor cores take the type.
_BFLOAT16_CAPABILITY = (8, 0)
_FLOAT16_CAPABILITY = (7, 0)
_BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
_HALF = ("float16", "bfloat16")


def automatic_precision() -> str:
    """Returns the fastest dtype policy that this machine computes natively.

    With a GPU: ``"mixed_bfloat16"`` from compute capability 8.0, ``"mixed_float16"`` from
    7.0, else ``"float32"``. Without: ``"mixed_bfloat16"`` where the processor reports
    AVX-512 BF16 or AMX (read on Linux only), else ``"float32"``. Several GPUs count by the
    least of them.

    Returns:
        str. The name of a Keras dtype policy.

    Example:
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, dtype=unetv2.automatic_precision())
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return _gpu_precision([detail.get("compute_capability", (0, 0)) for detail in details])
    return "mixed_bfloat16" if _BFLOAT16_CPU_FLAGS & _cpu_flags() else "float32"


def precision_of(model: Any) -> Any:
    """Returns the dtype policy that a model's layers compute in.

    Its own policy does not say so where it was loaded: Keras saves those of layers only. A model
    in mixed precision has layers in float32 too, such as the last one.

    Args:
        model: A Keras model.

    Returns:
        keras.DTypePolicy. That of layers that compute in 16 bits where there are any, else the
        model's own.
    """
    found = {layer.dtype_policy.name: layer.dtype_policy for layer in _layers(model)}
    half = [name for name in sorted(found) if found[name].compute_dtype in _HALF]
    return found[half[0]] if half else model.dtype_policy


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _gpu_precision(capabilities: list[tuple[int, int]]) -> str:
    least = min(capabilities)
    if least >= _BFLOAT16_CAPABILITY:
        return "mixed_bfloat16"
    return "mixed_float16" if least >= _FLOAT16_CAPABILITY else "float32"


def _cpu_flags() -> set[str]:
    if platform.system() != "Linux":
        return set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}

"""Description of the machine that a benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib import metadata, util
from pathlib import Path

import tensorflow as tf


def machine() -> dict[str, str | int | bool]:
    """Describes processor, accelerators and versions."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": platform.machine(),
        "cores": cores or 1,
        "avx512_bf16": "avx512_bf16" in flags,
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": metadata.version("keras"),
        "torch": metadata.version("torch") if util.find_spec("torch") else "not installed",
    }

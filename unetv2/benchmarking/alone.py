"""Starts an artefact by its runtime alone, answers one frame, and says what that took.

A program, and not a part of the library: run by its path, it imports nothing of it, so what it
measures is what a device has to bear. ``python alone.py FORMAT FILE HEIGHT WIDTH CHANNELS``
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

_start = time.perf_counter()


def run(kind: str, file: str, shape: tuple[int, int, int, int]) -> Any:
    """Loads the file and answers one frame.

    Args:
        kind: str. The artefact's format, or ``"keras"`` for a model of this library.
        file: str. What its runtime loads.
        shape: Of the frames.
    """
    import numpy as np

    frames = np.zeros(shape, np.uint8)
    if kind == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=file)
        return interpreter.get_signature_runner()(frames=frames)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return session.run(["mask", "confidence"], {"frames": frames})
    if kind == "openvino":
        import openvino

        return openvino.compile_model(file, "CPU")({"frames": frames})
    if kind == "saved_model":
        import tensorflow as tf

        return tf.saved_model.load(file).signatures["serving_default"](frames=tf.constant(frames))
    import keras

    # The blocks are registered by it.
    import unetv2  # noqa: F401

    return keras.models.load_model(file, compile=False)(frames.astype("float32"))


def peak_memory() -> int:
    """Returns the most memory that this process has had, in bytes."""
    with contextlib.suppress(OSError):
        # Linux; its `getrusage` would count what the process was before it became this program.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    kind, file, *size = sys.argv[1:]
    height, width, channels = map(int, size)
    run(kind, file, (1, height, width, channels))
    seconds = time.perf_counter() - _start
    print(json.dumps({"startup_s": seconds, "peak_bytes": peak_memory()}))

"""Speed of prediction for frames, batches and windows, and memory for large scenes.

Speed: medians with the reference network at 96x128, all alternating:

- One frame, and batches of 32, with ``model.predict``, ``model(x)``, the compiled network alone,
  and ``unetv2.predict``, which returns masks, confidence and uncertainty of uint8 frames. One frame
  should take at most a third of the time of ``model.predict``. Most of that time is overhead, so
  the ratio depends on the speed of the machine; therefore the rate of the network's convolutions
  and of a large matrix product, an upper bound for float32, are printed too. If the machine
  computes another precision natively, a frame is also timed in it.
- An image in windows with ``unetv2.predict``, compared with the compiled network on the same number
  of windows in batches of the same size, without reading, blending and classes. Expected: 85 % of
  its rate. With few ``--filters`` the network computes less per pixel, so the ratio is lower.

Memory: the peak resident memory, in a separate process for each size, while a memory-mapped
``.npy`` scene of uint8 is converted to a ``.npy`` mask of 23 classes (PNG or TIFF with
``--mask-suffix``), in windows of 512x512 with an overlap of a quarter, by a network of depth 3 with
``--memory-filters`` filters. The first row is a process without a prediction: most of its memory is
TensorFlow's. ``--large`` adds 20,000x20,000 pixels.

    python benchmarks/inference.py --json inference.json
    python benchmarks/inference.py --only memory --large --json inference.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from machine import machine
from training_runs import write_json

import unetv2
from unetv2.benchmarking import peak_memory
from unetv2.inference.network import network_of
from unetv2.inference.tiling import Grid

IMAGE_SIZE = (96, 128)
N_CLASSES = 23
BATCH_SIZE = 32
OVERLAP = 0.25
WINDOW = (512, 512)
SIDES = (1000, 2000, 4000, 8000)
LARGE = 20_000
ROWS_AT_ONCE = 256
# Size of the matrices for the peak rate of the machine.
SQUARE = 2048


def medians(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Returns the median seconds of each call; the calls alternate, so that noise affects all."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def build(filters: int, dtype: str) -> keras.Model:
    """Returns the reference network, of some width and precision."""
    keras.utils.set_random_seed(0)
    model = unetv2.build_unetv2((*IMAGE_SIZE, 3), N_CLASSES, filters=filters, dtype=dtype)
    model.preprocessing = unetv2.Preprocessing(image_size=IMAGE_SIZE)
    return model


def a_frame(model: keras.Model, frame: np.ndarray, rounds: int, of: str) -> dict[str, float]:
    """Measures one frame at a time."""
    image = frame[np.newaxis].astype(np.float32) / 255
    network = network_of(model)
    square = tf.random.normal((SQUARE, SQUARE))
    product = tf.function(lambda: tf.matmul(square, square))
    seconds = medians(
        {
            "model.predict": lambda: model.predict(image, verbose=0),
            "model(x)": lambda: model(image, training=False),
            "the network alone": lambda: network.logits(image),
            "unetv2.predict": lambda: unetv2.predict(model, frame),
            "a matrix product": lambda: product().numpy(),
        },
        3 * rounds,
    )
    rates = {
        "the network alone": operations(model) / seconds["the network alone"],
        "a matrix product": 2 * SQUARE**3 / seconds.pop("a matrix product"),
    }
    if model.dtype_policy.name != "float32":
        rates = {}
    return (
        {f"ms a frame{of}, {name}": 1e3 * value for name, value in seconds.items()}
        | {f"GFLOP/s, {name}": value / 1e9 for name, value in rates.items()}
        | {
            f"a frame's time{of}, over {name}'s": seconds["unetv2.predict"] / seconds[name]
            for name in ("model.predict", "the network alone")
        }
    )


def operations(model: keras.Model) -> float:
    """Returns the floating-point operations of a frame, a multiplication and an addition two."""
    image = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    graph = tf.function(lambda images: model(images, training=False)).get_concrete_function(image)
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph.graph, options=options).total_float_ops


def speed(arguments: argparse.Namespace) -> dict[str, float]:
    """Measures frames, batches and windows."""
    model = build(arguments.filters, "float32")
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (BATCH_SIZE, *IMAGE_SIZE, 3), np.uint8))
    images = np.stack(frames).astype(np.float32) / 255
    network = network_of(model)
    figures = a_frame(model, frames[0], arguments.rounds, "")
    precision = unetv2.automatic_precision()
    if precision != "float32":
        other = build(arguments.filters, precision)
        figures |= a_frame(other, frames[0], arguments.rounds, f" in {precision}")
    seconds = medians(
        {
            "model.predict": lambda: model.predict(images, batch_size=BATCH_SIZE, verbose=0),
            "model(x)": lambda: model(images, training=False),
            "the network alone": lambda: network.logits(images),
            "unetv2.predict": lambda: unetv2.predict(model, frames, batch_size=BATCH_SIZE),
        },
        arguments.rounds,
    )
    figures |= {f"frames/s at 32, {name}": BATCH_SIZE / value for name, value in seconds.items()}
    return figures | windows(model, arguments.rounds, rng)


def windows(model: keras.Model, rounds: int, rng: np.random.Generator) -> dict[str, float]:
    """Measures an image in windows against the network alone."""
    batch_size = 8
    size = (672, 896)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    count = len(Grid.plan(size, IMAGE_SIZE, OVERLAP))
    batch = rng.random((batch_size, *IMAGE_SIZE, 3), np.float32)
    network = network_of(model)
    options: dict[str, Any] = {
        "window": IMAGE_SIZE, "overlap": OVERLAP, "batch_size": batch_size,
    }  # fmt: skip

    def alone() -> None:
        for start in range(0, count, batch_size):
            network.logits(batch[: count - start])

    seconds = medians(
        {
            "the network alone": alone,
            "unetv2.predict": lambda: unetv2.predict(model, image, **options),
            "unetv2.predict, mask only": lambda: unetv2.predict(
                model, image, uncertainty=False, **options
            ),
        },
        rounds,
    )
    rates = {f"windows/s, {name}": count / value for name, value in seconds.items()}
    alone_seconds = seconds.pop("the network alone")
    return rates | {
        f"share of the network's, {name}": alone_seconds / value for name, value in seconds.items()
    }


def memory(arguments: argparse.Namespace) -> dict[str, float]:
    """Measures the peak memory for each size of the scene, in separate processes."""
    sides = (0, *SIDES, *([LARGE] if arguments.large else []))
    figures = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for side in sides:
            command = [
                sys.executable, __file__, "--scene", str(side), "--folder", folder,
                "--channels", str(arguments.channels),
                "--memory-filters", str(arguments.memory_filters),
                "--mask-suffix", arguments.mask_suffix,
            ]  # fmt: skip
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(run.stdout.splitlines()[-1])
            name = f"{side:,}x{side:,}" if side else "nothing predicted"
            figures[f"GB resident at most, {name}"] = found["gigabytes"]
            if side:
                figures[f"seconds, {name}"] = found["seconds"]
            print(f"{name}: {found}", flush=True)
    return figures


def scene(arguments: argparse.Namespace) -> None:
    """Predicts one scene and prints memory and time."""
    side = arguments.scene
    folder = Path(arguments.folder)
    keras.utils.set_random_seed(0)
    model = unetv2.build_unetv2(
        (None, None, arguments.channels), N_CLASSES, filters=arguments.memory_filters, depth=3
    )
    model.preprocessing = unetv2.Preprocessing(channels=arguments.channels, crop_size=WINDOW)
    seconds = 0.0
    if side:
        path = folder / f"scene_{side}.npy"
        write_scene(path, side, arguments.channels)
        image = np.load(path, mmap_mode="r")
        output = folder / f"mask_{side}{arguments.mask_suffix}"
        start = time.perf_counter()
        unetv2.predict(model, image, overlap=OVERLAP, output=output, progress=True)
        seconds = time.perf_counter() - start
        path.unlink()
    gigabytes = peak_memory() / 1024**3
    print(json.dumps({"gigabytes": gigabytes, "seconds": seconds}))


def write_scene(path: Path, side: int, channels: int) -> None:
    """Writes a scene of random pixels, a few rows at a time."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (side, side, channels)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, side, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, side - start)
            file.write(rng.integers(0, 256, (rows, side, channels), np.uint8).data)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("speed", "memory"), help="default: both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--filters", type=int, default=32, help="of the network timed")
    parser.add_argument("--mask-suffix", choices=(".npy", ".png", ".tif"), default=".npy")
    parser.add_argument("--memory-filters", type=int, default=4, help="of the one for scenes")
    parser.add_argument("--channels", type=int, default=3, help="of the scenes")
    parser.add_argument("--large", action="store_true", help="also 20,000x20,000 pixels")
    parser.add_argument("--folder", help="where scenes are written (default: the system's)")
    parser.add_argument("--scene", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    if arguments.scene is not None:
        scene(arguments)
        return
    figures: dict[str, float] = {}
    if arguments.only != "memory":
        figures |= speed(arguments)
    if arguments.only != "speed":
        figures |= memory(arguments)
    print()
    for name, value in figures.items():
        print(f"{name:52} {value:9.3f}")
    if arguments.json:
        settings = {
            name: getattr(arguments, name)
            for name in ("rounds", "filters", "memory_filters", "channels")
        }
        write_json(arguments.json, {"machine": machine(), **settings, **figures})


if __name__ == "__main__":
    main()

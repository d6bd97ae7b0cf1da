"""Speed and memory of the data pipeline.

Compares `make_dataset` without a cache, with a cache in memory and with a cache on disk, with the
pipeline of the reference: decoding by TensorFlow, nearest-neighbor resizing, a float32 cache. The
reference's pipeline is also measured with parallel calls, which the reference did not use. Each
number is of a new data set over the same files. Uncached passes alternate, also with
`check_dataset`.

    python benchmarks/data_pipeline.py --json data_pipeline.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from machine import machine

import unetv2

IMAGE_SIZE = (96, 128)
BATCH_SIZE = 32
PAIRS_WITHOUT_CACHE = 20_000


def reference(images: Path, masks: Path, *, parallel: bool) -> tf.data.Dataset:
    """Builds the reference's pipeline."""
    calls = tf.data.AUTOTUNE if parallel else None

    def read(image_path: tf.Tensor, mask_path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.decode_png(tf.io.read_file(image_path), channels=3)
        image = tf.image.convert_image_dtype(image, tf.float32)
        mask = tf.image.decode_png(tf.io.read_file(mask_path), channels=3)
        return image, tf.math.reduce_max(mask, axis=-1, keepdims=True)

    def shrink(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (
            tf.image.resize(image, IMAGE_SIZE, method="nearest"),
            tf.image.resize(mask, IMAGE_SIZE, method="nearest"),
        )

    paths = tuple(sorted(map(str, folder.iterdir())) for folder in (images, masks))
    files = tf.data.Dataset.from_tensor_slices(paths)
    dataset = files.map(read, num_parallel_calls=calls).map(shrink, num_parallel_calls=calls)
    return dataset.cache().shuffle(500).batch(BATCH_SIZE)


def seconds_of_a_pass(dataset: tf.data.Dataset) -> float:
    """Returns the seconds to go through a data set once."""
    start = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - start


def seconds_to_first_batch(make: Callable[[], tf.data.Dataset]) -> float:
    """Returns the seconds from the call to the first batch."""
    start = time.perf_counter()
    next(iter(make()))
    return time.perf_counter() - start


def resident_megabytes() -> float:
    """Returns the memory in use; 0 if the system does not report it."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0.0
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def memory_without_cache(root: Path, n: int) -> list[float]:
    """Returns the memory in use at each fifth of a pass over n pairs of small images."""
    few = unetv2.synthetic.write_driving_scenes(root / "few", 100, image_size=IMAGE_SIZE)
    folders = [root / "many" / folder.name for folder in few]
    for source, folder in zip(few, folders, strict=True):
        folder.mkdir(parents=True)
        files = sorted(source.iterdir())
        for number in range(n):
            os.link(files[number % len(files)], folder / f"{number:06d}.png")
    dataset = unetv2.make_dataset(*folders, image_size=IMAGE_SIZE, cache=None)
    marks = {len(dataset) * part // 5 for part in range(1, 6)}
    return [resident_megabytes() for number, _ in enumerate(dataset, start=1) if number in marks]


def measure(root: Path, n: int, rounds: int) -> dict[str, float | list[float]]:
    """Measures everything over n scenes of 480x640."""
    folders = unetv2.synthetic.write_driving_scenes(root / "scenes", n)

    def ours(cache: str | Path | None) -> tf.data.Dataset:
        return unetv2.make_dataset(*folders, n_classes=23, image_size=IMAGE_SIZE, cache=cache)

    makers: dict[str, Callable[[], tf.data.Dataset]] = {
        "reference": lambda: reference(*folders, parallel=False),
        "reference, parallel": lambda: reference(*folders, parallel=True),
        "unetv2": lambda: ours("memory"),
    }
    cold: dict[str, list[float]] = {name: [] for name in makers}
    cached: dict[str, list[float]] = {name: [] for name in makers}
    checks: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        unetv2.check_dataset(*folders, n_classes=23, progress=False)
        checks.append(time.perf_counter() - start)
        for name, make in makers.items():
            start = time.perf_counter()
            dataset = make()
            seconds_of_a_pass(dataset)
            # Reading during the creation of the data set counts.
            cold[name].append(time.perf_counter() - start)
            cached[name].append(seconds_of_a_pass(dataset))
    figures: dict[str, float | list[float]] = {}
    for name in makers:
        figures[f"{name}: pairs per second, cold"] = n / statistics.median(cold[name])
        figures[f"{name}: pairs per second, cached"] = n / statistics.median(cached[name])
    figures["check_dataset: pairs per second"] = n / statistics.median(checks)
    seconds_of_a_pass(ours(root / "cache"))
    figures["unetv2: pairs per second, folder"] = n / seconds_of_a_pass(ours(root / "cache"))
    figures["seconds to read all files"] = statistics.median(cold["unetv2"])
    figures["seconds to first batch, folder"] = statistics.median(
        seconds_to_first_batch(lambda: ours(root / "cache")) for _ in range(rounds)
    )
    pixels = int(np.prod(IMAGE_SIZE))
    figures["reference: cached bytes per pair"] = float(pixels * (3 * 4 + 1))
    image, mask = next(iter(ours("memory").unbatch()))
    figures["unetv2: cached bytes per pair"] = float(
        image.shape.num_elements() + mask.shape[0] * mask.shape[1]
    )
    figures["megabytes over 20,000 pairs without a cache"] = memory_without_cache(
        root, PAIRS_WITHOUT_CACHE
    )
    return figures


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments.scenes, arguments.rounds)
    for name, value in figures.items():
        values = value if isinstance(value, list) else [value]
        print(f"{name:46}", *(f"{number:10.2f}" for number in values))
    if arguments.json:
        result = {"machine": machine(), **figures}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

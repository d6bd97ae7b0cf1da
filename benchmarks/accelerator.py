"""Training and inference on an accelerator, with any backend of Keras and with PyTorch.

Trains the reference network at 96x128 from arrays in host memory with ``fit``: as compiled by
``build_unetv2``, and as a plain functional Keras graph. The PyTorch network is trained in a loop
with automatic mixed precision and channels last, with and without ``torch.compile``. Each variant
runs one pass of ``--steps`` batches to compile, then ``--rounds`` passes, alternating between
variants; the median is reported. Inference runs the jitted network on a batch on the device and
leaves the logits there; for Keras only with the backend ``jax``.

    KERAS_BACKEND=jax python benchmarks/accelerator.py --batch-size 32 --json accelerator.json
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import keras
import numpy as np
from machine import machine
from plain_unet import plain_unet
from training_runs import write_json

import unetv2

N_CLASSES = 23
IMAGE_SIZE = (96, 128)

# A pass of training, and one of inference where there is one.
Passes = tuple[Callable[[], object], Callable[[], object] | None]


def keras_passes(model: keras.Model, images: np.ndarray, masks: np.ndarray, batch: int) -> Passes:
    """Returns the passes of a compiled model."""

    def train() -> object:
        return model.fit(images, masks, batch_size=batch, epochs=1, shuffle=False, verbose=0)

    if keras.config.backend() != "jax":
        return train, None
    import jax

    network = jax.jit(
        lambda state, others, inputs: model.stateless_call(state, others, inputs, training=False)[0]
    )
    inputs = jax.device_put(images[:batch])

    def infer() -> object:
        state = [one.value for one in model.trainable_variables]
        others = [one.value for one in model.non_trainable_variables]
        for _ in range(len(images) // batch):
            logits = network(state, others, inputs)
        return logits.block_until_ready()

    return train, infer


def torch_passes(
    images: np.ndarray, masks: np.ndarray, batch: int, *, bfloat16: bool, compiled: bool
) -> Passes:
    """Returns the passes of the PyTorch network, on the first GPU if there is one."""
    import torch
    from plain_unet_torch import PlainUNet

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = PlainUNet(N_CLASSES).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    model = torch.compile(network) if compiled else network
    # Pinned memory is copied asynchronously.
    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(
        memory_format=torch.channels_last
    )
    target = torch.from_numpy(masks[..., 0].astype(np.int64))
    if device == "cuda":
        inputs, target = inputs.pin_memory(), target.pin_memory()
    first = inputs[:batch].to(device)

    def run(batch_of: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16):
            return model(batch_of)

    def train() -> float:
        network.train()
        for start in range(0, len(inputs), batch):
            part = slice(start, start + batch)
            optimizer.zero_grad(set_to_none=True)
            logits = run(inputs[part].to(device, non_blocking=True)).float()
            goal = target[part].to(device, non_blocking=True)
            loss = torch.nn.functional.cross_entropy(logits, goal)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    def infer() -> float:
        network.eval()
        with torch.inference_mode():
            for _ in range(len(inputs) // batch):
                logits = run(first).float()
        # Waits for the device.
        return float(logits[0, 0, 0, 0])

    return train, infer


def variants(images: np.ndarray, masks: np.ndarray, batch: int) -> dict[str, Passes]:
    """Returns the compared variants by name."""
    backend = keras.config.backend()
    found: dict[str, Passes] = {}
    for precision in ("float32", "mixed_bfloat16"):
        model = unetv2.build_unetv2((*IMAGE_SIZE, 3), N_CLASSES, dtype=precision)
        found[f"unetv2 on {backend}, {precision}"] = keras_passes(model, images, masks, batch)
    plain = plain_unet((*IMAGE_SIZE, 3), N_CLASSES)
    plain.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    found[f"plain Keras graph on {backend}, float32"] = keras_passes(plain, images, masks, batch)
    if util.find_spec("torch"):
        for name, bfloat16 in (("float32", False), ("bfloat16", True)):
            for way, compiled in (("", False), (", compiled", True)):
                found[f"PyTorch{way}, {name}"] = torch_passes(
                    images, masks, batch, bfloat16=bfloat16, compiled=compiled
                )
    return found


def measure(found: dict[str, Passes], count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Returns images per second, by variant and kind of pass."""
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in found}
    for round_number in range(rounds + 1):
        for name, passes in found.items():
            for kind, one in zip(("train", "infer"), passes, strict=True):
                if one is None:
                    continue
                start = time.perf_counter()
                one()
                # The first pass compiles.
                if round_number:
                    seconds[name].setdefault(kind, []).append(time.perf_counter() - start)
    return {
        name: {kind: count / statistics.median(times) for kind, times in kinds.items()}
        for name, kinds in seconds.items()
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="regular expression for the names of variants")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    count = arguments.steps * arguments.batch_size
    images = rng.random((count, *IMAGE_SIZE, 3), dtype=np.float32)
    masks = rng.integers(0, N_CLASSES, (count, *IMAGE_SIZE, 1), dtype=np.int32)
    found = {
        name: passes
        for name, passes in variants(images, masks, arguments.batch_size).items()
        if re.search(arguments.only, name)
    }
    figures = measure(found, count, arguments.rounds)
    print(f"{'images per second, batch ' + str(arguments.batch_size):44}    train    infer")
    for name, speed in figures.items():
        print(f"{name:44} {speed['train']:8.0f} {speed.get('infer', float('nan')):8.0f}")
    if arguments.json:
        result = {"machine": machine(), "batch_size": arguments.batch_size}
        write_json(arguments.json, result | {"images_a_second": figures})


if __name__ == "__main__":
    main()

"""Speed of a training step and of inference.

Compares this library's model as compiled by ``build_unetv2``, in float32 and in the automatic
precision, with a plain functional Keras graph of the same network, compiled as in the reference,
and with PyTorch if it is installed. The variants alternate round by round, so that other load on
the machine affects all of them. PyTorch's CUDA build includes Triton, which makes TensorFlow crash:
install the CPU build, or uninstall Triton.

    python benchmarks/train_step.py --json train_step.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from machine import machine
from plain_unet import plain_unet

import unetv2

N_CLASSES = 23
IMAGE_SIZE = (96, 128)

Step = Callable[[], object]


def keras_steps(model: keras.Model, images: np.ndarray, masks: np.ndarray) -> tuple[Step, Step]:
    """Returns a training step and an inference step of a compiled model."""
    batch = (tf.constant(images), tf.constant(masks))
    infer = tf.function(lambda inputs: model(inputs, training=False))
    return (
        lambda: model.train_on_batch(*batch),
        lambda: infer(batch[0]).numpy(),
    )


def torch_steps(images: np.ndarray, masks: np.ndarray, *, bfloat16: bool) -> tuple[Step, Step]:
    """Returns a training step and an inference step of the PyTorch network."""
    import torch
    from plain_unet_torch import PlainUNet

    model = PlainUNet(N_CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(
        memory_format=torch.channels_last
    )
    target = torch.from_numpy(masks[..., 0].astype(np.int64))

    def run() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            return model(inputs)

    def train() -> float:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(run().float(), target)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def infer() -> object:
        model.eval()
        with torch.inference_mode():
            return run().float().numpy()

    return train, infer


def variants(images: np.ndarray, masks: np.ndarray) -> dict[str, tuple[Step, Step]]:
    """Returns the steps of the compared variants by name."""
    plain = plain_unet((*IMAGE_SIZE, 3), N_CLASSES)
    plain.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    found = {"plain Keras graph, float32": keras_steps(plain, images, masks)}
    for precision in dict.fromkeys(("float32", unetv2.automatic_precision())):
        model = unetv2.build_unetv2((*IMAGE_SIZE, 3), N_CLASSES, dtype=precision)
        found[f"unetv2, {precision}"] = keras_steps(model, images, masks)
    if util.find_spec("torch"):
        found["PyTorch, float32"] = torch_steps(images, masks, bfloat16=False)
        found["PyTorch, bfloat16"] = torch_steps(images, masks, bfloat16=True)
    return found


def measure(
    steps: dict[str, tuple[Step, Step]], batch_size: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Returns images per second, the median over the rounds, by variant and kind of step."""
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in steps}
    for round_number in range(rounds + 1):
        for name, pair in steps.items():
            for step, times in zip(pair, seconds[name], strict=True):
                start = time.perf_counter()
                step()
                # The first round traces and warms up.
                if round_number:
                    times.append(time.perf_counter() - start)
    return {
        name: {
            "train": batch_size / statistics.median(training),
            "infer": batch_size / statistics.median(inference),
        }
        for name, (training, inference) in seconds.items()
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    images = rng.random((arguments.batch_size, *IMAGE_SIZE, 3), dtype=np.float32)
    masks = rng.integers(0, N_CLASSES, (arguments.batch_size, *IMAGE_SIZE, 1), dtype=np.int32)
    figures = measure(variants(images, masks), arguments.batch_size, arguments.rounds)

    baseline = next(iter(figures.values()))
    print(
        f"{'images per second, batch ' + str(arguments.batch_size):32}  train  ratio  infer  ratio"
    )
    for name, speed in figures.items():
        ratios = {kind: speed[kind] / baseline[kind] for kind in speed}
        print(
            f"{name:32} {speed['train']:6.1f} {ratios['train']:6.2f} "
            f"{speed['infer']:6.1f} {ratios['infer']:6.2f}"
        )
    if arguments.json:
        result = {"machine": machine(), "images_a_second": figures}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The other side of `field_test.py`: a U-Net of segmentation_models.pytorch, trained by the clock.

The recipe is an ordinary one: `Unet("resnet18")` from random weights, normalized images, random
crops in batches of 8, flips and, where images have no direction, transposes, brightness and
contrast, AdamW with warm-up and cosine decay, Dice and cross-entropy, bfloat16 autocast and
channels last. The learning rate follows the share of the processor time. Test images are predicted
at their own size, large ones in tiles.

`field_test.py` runs it in an environment with PyTorch, with the path of a JSON file of options.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from field_masks import Labels, files, pairs, read_image, read_values
from PIL import Image

BATCH_SIZE = 8
LEARNING_RATE = 2e-3
WARMUP_STEPS = 50
UNLABELED = -1
# Networks of this kind halve the image five times.
MULTIPLE = 32
TILE, BORDER = 1024, 64

Pair = tuple[np.ndarray, np.ndarray]


def crop(pair: Pair, side: int, rng: np.random.Generator) -> Pair:
    """Returns a random square of an image and its mask; small images are mirrored."""
    image, mask = pair
    missing = [max(0, side - size) for size in mask.shape]
    if any(missing):
        image = np.pad(image, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="symmetric")
        mask = np.pad(mask, [(0, missing[0]), (0, missing[1])], mode="symmetric")
    top, left = (int(rng.integers(size - side + 1)) for size in mask.shape)
    window = (slice(top, top + side), slice(left, left + side))
    return image[window], mask[window]


def augmented(pair: Pair, directed: bool, rng: np.random.Generator) -> Pair:
    """Flips and transposes at random; images with a direction are only flipped left to right."""
    image, mask = pair
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if not directed and rng.random() < 0.5:
        image, mask = image[::-1], mask[::-1]
    if not directed and rng.random() < 0.5:
        image, mask = image.swapaxes(0, 1), mask.swapaxes(0, 1)
    return image, mask


class Trainer:
    """Trains and predicts with the options of `field_test.py`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.rng = np.random.default_rng(options["seed"])
        torch.manual_seed(options["seed"])
        self.started = time.monotonic()
        paired = pairs(Path(options["images"]), Path(options["masks"]))
        self.labels = Labels.of((mask for _, mask in paired), options["ignore"])
        self.data = [
            (read_image(image), self.labels.indices(read_values(mask)).astype(np.int16))
            for image, mask in paired
        ]
        channels = self.data[0][0].shape[-1]
        pixels = [image[::4, ::4].reshape(-1, channels) for image, _ in self.data]
        every = np.concatenate(pixels).astype(np.float64)
        self.mean = every.mean(0).astype(np.float32)
        self.deviation = (every.std(0) + 1e-6).astype(np.float32)
        network = smp.Unet(
            "resnet18",
            encoder_weights=None,
            in_channels=channels,
            classes=len(self.labels.values),
        )
        self.network = network.to(memory_format=torch.channels_last)

    def spent(self) -> float:
        """Returns the share of the processor time or of the wall time, whichever is larger."""
        wall = (time.monotonic() - self.started) / self.options["wall_seconds"]
        return max(time.process_time() / self.options["processor_seconds"], wall)

    def normalized(self, image: np.ndarray) -> np.ndarray:
        """Returns an image of mean 0 and deviation 1 over the training images."""
        return (image.astype(np.float32) - self.mean) / self.deviation

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns a batch of images and class indices."""
        images, masks = [], []
        for _ in range(BATCH_SIZE):
            pair = self.data[self.rng.integers(len(self.data))]
            part = crop(pair, self.options["crop"], self.rng)
            image, mask = augmented(part, self.options["directed"], self.rng)
            gain, shift = self.rng.uniform(0.8, 1.2), self.rng.uniform(-0.3, 0.3)
            images.append(gain * self.normalized(image) + shift)
            masks.append(mask)
        stacked = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).astype(np.float32))
        return (
            stacked.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(np.stack(masks).astype(np.int64)),
        )

    def train(self) -> int:
        """Trains until the time is over, and returns the number of steps."""
        dice = smp.losses.DiceLoss("multiclass", ignore_index=UNLABELED)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE)
        self.network.train()
        steps = 0
        while (share := self.spent()) < 1:
            decay = 0.5 + 0.5 * math.cos(math.pi * share)
            warm = min(1.0, (steps + 1) / WARMUP_STEPS)
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm * decay
            images, masks = self.batch()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = self.network(images)
            logits = logits.float()
            cross_entropy = torch.nn.functional.cross_entropy(logits, masks, ignore_index=UNLABELED)
            loss = cross_entropy + dice(logits, masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if steps % 50 == 0:
                print(f"step {steps}, {100 * share:.0f} %: {loss.item():.4f}", flush=True)
        return steps

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Returns the class probabilities of an image, (classes, height, width)."""
        height, width = image.shape[:2]
        rest = [(0, -size % MULTIPLE) for size in (height, width)]
        padded = np.pad(image, [*rest, (0, 0)], mode="symmetric")
        one = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None]
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(one.contiguous(memory_format=torch.channels_last))
        return torch.softmax(logits.float(), 1)[0, :, :height, :width].numpy()

    def with_flips(self, image: np.ndarray) -> np.ndarray:
        """Averages over the flips of training, if test-time augmentation is on."""
        total = self.probabilities(image)
        if not self.options["tta"]:
            return total
        axes = [(1,)] if self.options["directed"] else [(1,), (0,), (0, 1)]
        for flipped in axes:
            turned = self.probabilities(np.flip(image, flipped))
            total = total + np.flip(turned, tuple(axis + 1 for axis in flipped))
        return total

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Returns the class indices of an image at its own size."""
        image = self.normalized(image)
        height, width = image.shape[:2]
        if max(height, width) <= 2 * TILE:
            return self.with_flips(image).argmax(0)
        found = np.zeros((height, width), np.int64)
        step = TILE - 2 * BORDER
        for top in range(0, height, step):
            for left in range(0, width, step):
                first = (max(0, top - BORDER), max(0, left - BORDER))
                part = image[first[0] : top + step + BORDER, first[1] : left + step + BORDER]
                inner = self.with_flips(part).argmax(0)[top - first[0] :, left - first[1] :]
                target = found[top : top + step, left : left + step]
                target[:] = inner[: target.shape[0], : target.shape[1]]
        return found

    def write(self, folder: Path) -> None:
        """Predicts the test images and writes the values of their classes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.network.eval()
        order = np.array(self.labels.values)
        for path in files(Path(self.options["test_images"])):
            values = order[self.predict(read_image(path))]
            if self.labels.in_color:
                planes = [values >> 16, values >> 8 & 255, values & 255]
                mask = np.stack(planes, -1).astype(np.uint8)
            else:
                mask = values.astype(np.uint8 if order.max() < 256 else np.uint16)
            Image.fromarray(mask).save(folder / f"{path.stem}.png")


def main() -> None:
    """Trains, predicts, and writes the seconds and versions."""
    options = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    trainer = Trainer(options)
    steps = trainer.train()
    trained = {
        "steps": steps,
        "training_seconds": time.monotonic() - trainer.started,
        "training_processor_seconds": time.process_time(),
        "torch": torch.__version__,
        "segmentation_models_pytorch": smp.__version__,
    }
    trainer.write(Path(options["output"]))
    Path(options["result"]).write_text(json.dumps(trained), encoding="utf-8")


if __name__ == "__main__":
    main()

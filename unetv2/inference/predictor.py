"""Prediction of images of any size: batches, tiles, test-time augmentation and dropout samples."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, overload

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_fraction, require_integer
from unetv2.data.io.open import MAX_PIXELS
from unetv2.inference.inputs import (
    InputImage,
    InputPlan,
    InputPlanner,
    PreparedImage,
    unpadded,
)
from unetv2.inference.mask_file import require_mask_path
from unetv2.inference.network import SMALLEST_PROBABILITY, Network, network_of
from unetv2.inference.prediction import (
    OutputOptions,
    PredictedBlock,
    Prediction,
    PredictionBuilder,
    Strip,
    mask_dtype,
    predicted_block,
    resize_strips,
)
from unetv2.inference.tiling import Grid, join, split, stitch
from unetv2.preprocessing import TRANSFORMS, Preprocessing, class_table, require_tta
from unetv2.progress import Progress
from unetv2.text import counted

# Pixels of a batch. Larger batches are not faster, and a U-Net needs about 1 kB per pixel.
_PIXELS_PER_BATCH = 2**20
# Small blocks are postprocessed together, as a call of TensorFlow costs as much as many pixels.
_PIXELS_PER_BLOCK = 2**17
# Memory of the logits of a batch, and of the rows that are resized together.
_BYTES_AT_ONCE = 2**26
# Axes of images (batch, height, width, channels), with height and width exchanged.
_TRANSPOSED = (0, 2, 1, 3)


@dataclass(frozen=True)
class AveragedNetwork:
    """Averages a network's probabilities over test-time augmentation and Monte Carlo dropout."""

    network: Network
    tta: tuple[str | float, ...] = ()
    mc_samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value."""
        require_integer("mc_samples", self.mc_samples, 0, "0 disables dropout, 8 is common.")
        require_integer("seed", self.seed, 0, "It is the seed of dropout.")
        others = [value for value in self.tta if changes_size(value, self.network.size)]
        if others and not self.network.any_size:
            kind = "'transpose'" if "transpose" in others else "scales"
            raise ValueError(
                f"`tta` must have no {kind} for a model that takes one size only. "
                f"Received: tta={self.tta!r} and a model for images of {self.network.size}. "
                f"Build it for (None, None, {self.network.channels})."
            )

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether images are flipped vertically, and horizontally."""
        return TRANSFORMS[0] in self.tta, TRANSFORMS[1] in self.tta

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales including 1, ascending."""
        scales = (value for value in self.tta if not isinstance(value, str))
        return tuple(sorted({1.0, *scales}))

    def prepare(self, size: tuple[int, int]) -> None:
        """Compiles the network for an input size and all variants; see :meth:`Network.prepare`."""
        for scale in self.scales:
            height, width = _scaled(size, scale)
            self.network.prepare((height, width), sampled=self.mc_samples > 0)
            if "transpose" in self.tta:
                self.network.prepare((width, height), sampled=self.mc_samples > 0)

    def __call__(self, images: np.ndarray, numbers: Sequence[int]) -> tf.Tensor:
        """Returns logits of the averaged probabilities, then the mean entropy of the samples.

        Args:
            images: Prepared images, float32 ``(batch, height, width, channels)``.
            numbers: A number for each image, on which its dropout depends.

        Returns:
            tf.Tensor. float32 ``(batch, height, width, n_classes)``; with dropout, one channel
            more for the entropy in nats.
        """
        size = (images.shape[1], images.shape[2])
        options = (sorted({False, name in self.tta}) for name in TRANSFORMS)
        transforms = list(itertools.product(self.scales, *options))
        if len(transforms) == 1 and not self.mc_samples:
            return self.network.logits(images)
        samples = max(1, self.mc_samples)
        count = len(transforms) * samples
        total: Any = 0.0
        entropy: Any = 0.0
        for number, (scale, *flipped, is_transposed) in enumerate(transforms):
            axes = [axis for axis, flip in enumerate(flipped, 1) if flip]
            transformed = tf.reverse(images, axes)
            if scale != 1:
                # As in preprocessing: the mean over areas if the image shrinks.
                method = "area" if scale < 1 else "bilinear"
                transformed = tf.image.resize(transformed, _scaled(size, scale), method=method)
            if is_transposed:
                transformed = tf.transpose(transformed, _TRANSPOSED)
            for sample in range(samples):
                draw = number * samples + sample
                logits = self._logits(transformed, [count * image + draw for image in numbers])
                if is_transposed:
                    logits = tf.transpose(logits, _TRANSPOSED)
                if scale != 1:
                    logits = tf.image.resize(logits, size)
                logarithms = tf.nn.log_softmax(tf.reverse(logits, axes))
                probabilities = tf.exp(logarithms)
                total += probabilities
                if self.mc_samples:
                    entropy -= tf.reduce_sum(probabilities * logarithms, axis=-1, keepdims=True)
        mean = tf.math.log(tf.maximum(total / count, SMALLEST_PROBABILITY))
        return tf.concat([mean, entropy / count], axis=-1) if self.mc_samples else mean

    def _logits(self, images: tf.Tensor, draws: list[int]) -> tf.Tensor:
        if not self.mc_samples:
            return self.network.logits(images)
        # Seeds have 32 bits.
        seeds = np.array([[self.seed % 2**31, draw % 2**31] for draw in draws], np.int32)
        return self.network.sampled(images, seeds)


def changes_size(transform: str | float, size: tuple[int | None, int | None]) -> bool:
    """Returns whether images of ``(height, width)`` have another size after a transform."""
    if isinstance(transform, str):
        return transform == "transpose" and size[0] != size[1]
    return True


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


class LoadedImage(NamedTuple):
    """An image at the network's scale: an array, or a :class:`PreparedImage` if it is tiled."""

    image: InputImage
    plan: InputPlan
    prepared: np.ndarray | PreparedImage


class InferenceEngine:
    """Predicts images in blocks, so that memory grows with an image's width, not with its area."""

    def __init__(
        self,
        planner: InputPlanner,
        network: AveragedNetwork,
        overlap: float,
        batch_size: int,
        max_pixels: int,
    ) -> None:
        self._planner, self._averaged = planner, network
        self._overlap, self._batch_size, self._max_pixels = overlap, batch_size, max_pixels
        self.network = network.network
        self.preprocessing: Preprocessing = planner.preprocessing
        self.classes = class_table(planner.preprocessing, self.network.n_classes)

    def prepare(self, size: tuple[int, int]) -> None:
        """Compiles the network for images of ``(height, width)``.

        Raises:
            ValueError: If the model does not support the size.
        """
        self._averaged.prepare(self._planner.plan(size).input_size)

    def open(self, image: Any) -> InputImage:
        """Opens the path or array of an image for the network's number of channels."""
        return InputImage(image, channels=self.network.channels, max_pixels=self._max_pixels)

    def load(self, image: InputImage) -> LoadedImage:
        """Reads an image and resizes it to the network's scale; may run on any thread."""
        plan = self._planner.plan(image.size)
        prepared = self._planner.prepared(image, plan.geometry)
        return LoadedImage(image, plan, prepared if plan.window else prepared.whole())

    def predict(
        self, images: Iterable[InputImage | LoadedImage], options: OutputOptions
    ) -> Iterator[tuple[InputImage, Iterator[PredictedBlock]]]:
        """Predicts images; those that are not tiled in batches of the same input size.

        Yields:
            tuple ``(image, blocks)``, in order. Blocks are computed on iteration and cover the
            image once, from the top and in each row of blocks from the left.
        """
        batch: list[LoadedImage] = []
        for image in images:
            # First, so that an image of an unsupported size is not read.
            self.prepare(image.size if isinstance(image, InputImage) else image.image.size)
            loaded = self.load(image) if isinstance(image, InputImage) else image
            plan, prepared = loaded.plan, loaded.prepared
            if batch and (plan.window or batch[0].plan.input_size != plan.input_size):
                yield from self._batch(batch, options)
                batch = []
            if isinstance(prepared, PreparedImage):
                yield loaded.image, self._tiled(loaded.image, plan, prepared, options)
                continue
            batch.append(loaded)
            if len(batch) == self._images_per_batch(plan.input_size):
                yield from self._batch(batch, options)
                batch = []
        if batch:
            yield from self._batch(batch, options)

    def _images_per_batch(self, size: tuple[int, int]) -> int:
        most = min(_PIXELS_PER_BATCH, _BYTES_AT_ONCE // (4 * self.network.n_classes))
        return max(1, min(self._batch_size, most // (size[0] * size[1])))

    def _batch(
        self, batch: list[LoadedImage], options: OutputOptions
    ) -> Iterator[tuple[InputImage, Iterator[PredictedBlock]]]:
        # The same number for all: a prediction does not depend on the rest of the batch.
        images: Any = [loaded.prepared for loaded in batch]
        values = self._averaged(np.stack(images), [0] * len(batch))
        for number, (image, plan, _) in enumerate(batch):
            strips = [Strip(0, values[number, *unpadded(plan.geometry)])]
            yield image, self._blocks(strips, plan.geometry.resized, image, options)

    def _tiled(
        self, image: InputImage, plan: InputPlan, prepared: PreparedImage, options: OutputOptions
    ) -> Iterator[PredictedBlock]:
        assert plan.window is not None
        grid = Grid.plan(prepared.size, plan.window, self._overlap, symmetric=self._averaged.flips)
        blocks = stitch(grid, self._weighted_tiles(grid, prepared))
        n_classes = self.network.n_classes
        if prepared.size == image.size:
            for block in join(blocks, _PIXELS_PER_BLOCK):
                position = (block.row, block.column)
                yield predicted_block(position, block.values, n_classes, options, logits=False)
            return
        strips = (
            Strip(part.row, _logarithms(part.values, n_classes))
            for rows in join(blocks)
            for part in split(rows, _BYTES_AT_ONCE)
        )
        yield from self._blocks(strips, prepared.size, image, options)

    def _blocks(
        self,
        strips: Iterable[Strip],
        source: tuple[int, int],
        image: InputImage,
        options: OutputOptions,
    ) -> Iterator[PredictedBlock]:
        """Postprocesses strips of logits at the image's own size."""
        if source != image.size:
            strips = resize_strips(strips, source, image.size)
        for row, values in strips:
            yield predicted_block((row, 0), values, self.network.n_classes, options, logits=True)

    def _weighted_tiles(self, grid: Grid, prepared: PreparedImage) -> Iterator[np.ndarray]:
        """Yields the probabilities of each tile, times its weights."""
        tiles = list(grid)
        vertical, horizontal = grid.rows.weights(), grid.columns.weights()
        step = self._images_per_batch(grid.window)
        for start in range(0, len(tiles), step):
            batch = tiles[start : start + step]
            images = np.stack([prepared.tile(grid.start(tile), grid.window) for tile in batch])
            values = self._averaged(images, [tile.number for tile in batch])
            weights = (
                vertical[[tile.row for tile in batch], :, np.newaxis, np.newaxis],
                horizontal[[tile.column for tile in batch], np.newaxis, :, np.newaxis],
            )
            yield from _weighted(values, self.network.n_classes, *weights).numpy()


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _weighted(values: tf.Tensor, n_classes: int, vertical: tf.Tensor, horizontal: tf.Tensor) -> Any:
    """Returns probabilities, and the entropy if there is one, times the weights."""
    probabilities = tf.nn.softmax(values[..., :n_classes])
    if values.shape[-1] != n_classes:
        probabilities = tf.concat([probabilities, values[..., n_classes:]], axis=-1)
    return probabilities * (vertical * horizontal)


def _logarithms(values: np.ndarray, n_classes: int) -> np.ndarray:
    """Takes the logarithm of probabilities in place, but not of the entropy after them."""
    probabilities = values[..., :n_classes]
    np.log(np.maximum(probabilities, 1e-38, out=probabilities), out=probabilities)
    return values


class PredictorOptions(TypedDict, total=False):
    """Keyword arguments of :class:`unetv2.Predictor`, for functions that pass them on."""

    window: Sequence[int] | None
    overlap: float
    scale: float | None
    tta: bool | Sequence[str | float] | None
    mc_samples: int
    batch_size: int
    max_pixels: int
    seed: int


class ImagePredictor:
    """Predicts images with a model in memory; :class:`unetv2.Predictor` documents the options."""

    def __init__(
        self,
        model: Any,
        *,
        window: Sequence[int] | None = None,
        overlap: float = 0.25,
        scale: float | None = None,
        tta: bool | Sequence[str | float] | None = None,
        mc_samples: int = 0,
        batch_size: int = 8,
        max_pixels: int = MAX_PIXELS,
        seed: int = 0,
    ) -> None:
        self.model = self._loaded(model)
        self._arguments: dict[str, Any] = {
            "window": window, "overlap": overlap, "scale": scale, "tta": tta,
            "mc_samples": mc_samples, "batch_size": batch_size, "max_pixels": max_pixels,
            "seed": seed,
        }  # fmt: skip
        network = network_of(self.model)
        planner = InputPlanner(self.model, network, window, scale)
        overlap = require_fraction(
            "overlap", overlap, "It is the fraction of a window that overlaps the next one."
        )
        transforms = require_tta(planner.preprocessing.tta if tta is None else tta)
        averaged = AveragedNetwork(network, transforms, mc_samples, seed)
        batch_size = require_integer("batch_size", batch_size, 1, "8 is the default.")
        max_pixels = require_integer(
            "max_pixels", max_pixels, 1, "It protects against damaged headers."
        )
        self.batch_size = batch_size
        self.engine = InferenceEngine(planner, averaged, overlap, batch_size, max_pixels)
        # The options that change a prediction, of JSON types.
        self.options: dict[str, Any] = {
            "window": None if planner.window is None else list(planner.window),
            "overlap": overlap,
            "scale": planner.scale,
            "tta": list(transforms) or None,
            "mc_samples": int(mc_samples),
            "seed": int(seed) if mc_samples else None,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns the constructor and its arguments: compiled networks cannot be pickled."""
        return partial(type(self), **self._arguments), (self.model,)

    # Python's errors about arguments name the public class.
    __init__.__qualname__ = "Predictor.__init__"

    def _loaded(self, model: Any) -> Any:
        """Returns the model, which a subclass may load from a file."""
        return model

    @overload
    def predict(
        self, image: str | os.PathLike[str] | np.ndarray, *, uncertainty: bool | None = ...,
        probabilities: bool = ..., output: str | os.PathLike[str] | None = ...,
        progress: bool = ...,
    ) -> Prediction: ...  # fmt: skip

    @overload
    def predict(
        self, image: list[Any] | tuple[Any, ...], *, uncertainty: bool | None = ...,
        probabilities: bool = ..., output: str | os.PathLike[str] | None = ...,
        progress: bool = ...,
    ) -> list[Prediction]: ...  # fmt: skip

    def predict(
        self,
        image: Any,
        *,
        uncertainty: bool | None = None,
        probabilities: bool = False,
        output: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> Prediction | list[Prediction]:
        """Predicts the class of each pixel of an image, at the image's own size.

        Args:
            image: The path of an image or ``.npy`` file; an array ``(height, width)`` or
                ``(height, width, channels)``, uint8, uint16 or float in [0, 1]; or a list of
                these.
            uncertainty: bool or None. Whether confidence and uncertainty are computed; None
                computes them unless ``output`` is given.
            probabilities: bool. Whether the probabilities of all classes are kept: 4 bytes per
                pixel and class.
            output: A ``.npy``, ``.png`` or ``.tif`` file to which the mask is written in rows, or
                None. With a large image in a ``.npy`` file, or memory-mapped, neither the image
                nor the mask is ever completely in memory. PNG and TIFF hold ids of up to 16 bits.
                Must be None for a list of images.
            progress: bool. Whether a progress bar is shown on stderr.

        Returns:
            Prediction, or a list of them for a list of images.

        Raises:
            FileNotFoundError: If a file, or the folder of ``output``, does not exist.
            ValueError: If an image is damaged or has other channels or values than the model
                takes, or an argument is out of its range.
            TypeError: If an image or argument has the wrong type.
            OSError: If ``output`` cannot be written; an existing file is unchanged.
        """
        engine = self.engine
        is_list = isinstance(image, list | tuple)
        images = [engine.open(item) for item in (image if is_list else [image])]
        path = None
        if output is not None:
            if is_list:
                raise ValueError(
                    "`output` must be None for a list of images. "
                    f"Received: output='{output}' and {counted(len(images), 'image')}. "
                    "Call `predict` for each, or `save` of each prediction."
                )
            path = require_mask_path("output", output, mask_dtype(engine.network.n_classes))
            _require_other_file(path, images[0].path)
        for opened in images:
            engine.prepare(opened.size)
        options = OutputOptions(
            output is None if uncertainty is None else uncertainty, probabilities
        )
        bar = Progress(sum(opened.size[0] for opened in images), "rows", shown=progress)
        predictions: list[Prediction] = []
        done = 0
        for opened, blocks in engine.predict(images, options):
            builder = PredictionBuilder(opened, engine.classes, path)
            with builder.opened():
                for block in blocks:
                    builder.add(block)
                    bar.update(done + block.row + block.mask.shape[0])
            done += opened.size[0]
            predictions.append(builder.prediction())
        return predictions if is_list else predictions[0]


def _require_other_file(output: Path, path: str | None) -> None:
    if path is not None and output.exists() and output.samefile(path):
        raise ValueError(
            "`output` must be another file than the image's. "
            f"Received: output='{output}'. Pass another path."
        )

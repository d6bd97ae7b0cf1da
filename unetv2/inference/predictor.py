"""A model that predicts images of any size, part by part."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_fraction, require_integer
from unetv2.data.preprocess import pixels_needed
from unetv2.inference.compiled_model import SMALLEST_PROBABILITY, Network
from unetv2.inference.inputs import Canvas, InputImage, place
from unetv2.inference.postprocess import Band, Part, Wanted, enlarge, mask_dtype, part_of
from unetv2.inference.prediction import MaskFile, Prediction, mask_file
from unetv2.inference.scaling import Plan, Planner
from unetv2.inference.tiling import Block, Grid, Window, join, stitch
from unetv2.preprocessing import class_table

FLIPS = ("vertical", "horizontal")


class Field(NamedTuple):
    """What is known of each pixel.

    Attributes:
        logits: float32 ``(..., n_classes)``; the softmax of it is the probabilities.
        entropy: float32 ``(..., 1)``: mean entropy of the single passes in nats; None where
            dropout is off.
    """

    logits: tf.Tensor
    entropy: tf.Tensor | None


@dataclass(frozen=True)
class Passes:
    """A network, asked several times.

    Args:
        network: The network.
        tta: bool, or a sequence of ``"horizontal"``, ``"vertical"`` and scales; True is
            ``("horizontal",)``. All combinations of flips and scales are asked, the image as
            it is among them.
        mc_samples: int. How often each is asked with dropout on; 0 asks once without.
        seed: int. Decides what is dropped.

    Raises:
        ValueError: If an argument is out of its range, or the network cannot do it.
        TypeError: If an argument is of the wrong type.
    """

    network: Network
    tta: bool | Sequence[str | float] = False
    mc_samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value."""
        require_integer("mc_samples", self.mc_samples, 0, "0 leaves dropout off, 8 is common.")
        require_integer("seed", self.seed, 0, "It decides what dropout drops.")
        known = isinstance(self.tta, bool) or (
            isinstance(self.tta, Sequence) and all(_is_way(one) for one in self.tta)
        )
        if not known:
            raise ValueError(
                "`tta` must be a bool, or hold 'horizontal', 'vertical' and positive scales. "
                f"Received: tta={self.tta!r}. True is ('horizontal',)."
            )
        if self.scales != (1.0,) and not self.network.any_size:
            raise ValueError(
                "`tta` must have no scales for a model that takes one size only. "
                f"Received: tta={self.tta!r} and a model for images of {self.network.size}. "
                f"Build it for (None, None, {self.network.channels})."
            )

    def _asked(self) -> tuple[Any, ...]:
        if isinstance(self.tta, bool):
            return ("horizontal",) if self.tta else ()
        return tuple(self.tta)

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether images are flipped upside down, and left to right."""
        asked = self._asked()
        return FLIPS[0] in asked, FLIPS[1] in asked

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales, ascending, 1 among them."""
        return tuple(sorted({1.0, *(float(one) for one in self._asked() if one not in FLIPS)}))

    def prepare(self, size: tuple[int, int]) -> None:
        """Compiles what a size of images needs, or raises; see :meth:`Network.prepare`."""
        for scale in self.scales:
            self.network.prepare(_scaled(size, scale), sampled=self.mc_samples > 0)

    def __call__(self, images: np.ndarray, numbers: Sequence[int]) -> Field:
        """Asks the network.

        Probabilities are averaged, not logits.

        Args:
            images: Prepared images, float32 ``(batch, height, width, channels)``.
            numbers: A number for each, which decides what dropout drops of it.

        Returns:
            Field of ``(batch, height, width, ...)``.
        """
        size = (images.shape[1], images.shape[2])
        ways = list(itertools.product(self.scales, *(sorted({False, flip}) for flip in self.flips)))
        if len(ways) == 1 and not self.mc_samples:
            return Field(self.network.logits(images), None)
        samples = max(1, self.mc_samples)
        total: Any = 0.0
        entropy: Any = 0.0
        for number, (scale, *flips) in enumerate(ways):
            axes = [axis for axis, flip in enumerate(flips, 1) if flip]
            changed = tf.reverse(images, axes)
            if scale != 1:
                # As images are prepared: the mean over areas where they shrink.
                method = "area" if scale < 1 else "bilinear"
                changed = tf.image.resize(changed, _scaled(size, scale), method=method)
            for sample in range(samples):
                passed = number * samples + sample
                values = self._ask(changed, [len(ways) * samples * n + passed for n in numbers])
                if scale != 1:
                    values = tf.image.resize(values, size)
                values = tf.nn.log_softmax(tf.reverse(values, axes))
                total += tf.exp(values)
                if self.mc_samples:
                    entropy -= tf.reduce_sum(tf.exp(values) * values, axis=-1, keepdims=True)
        count = len(ways) * samples
        mean = tf.math.log(tf.maximum(total / count, SMALLEST_PROBABILITY))
        return Field(mean, entropy / count if self.mc_samples else None)

    def _ask(self, images: tf.Tensor, numbers: list[int]) -> tf.Tensor:
        if not self.mc_samples:
            return self.network.logits(images)
        # Seeds are of 32 bits.
        seeds = np.array([[self.seed % 2**31, number % 2**31] for number in numbers], np.int32)
        return self.network.sampled(images, seeds)


def _is_way(one: Any) -> bool:
    if isinstance(one, str):
        return one in FLIPS
    return isinstance(one, Real) and not isinstance(one, bool) and 0 < float(one) < 100


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


# Of one batch: more at once is no faster. A U-Net needs about 1 kB for each pixel.
_PIXELS_AT_ONCE = 2**20
# Small windows are finished together, as each call of TensorFlow costs as much as many pixels.
_PIXELS_TOGETHER = 2**17
# Of its logits, and of the rows that are enlarged together.
_BYTES_AT_ONCE = 2**26


class Ready(NamedTuple):
    """An image, read.

    Attributes:
        image: InputImage.
        plan: How it is fed.
        prepared: float32 ``(height, width, channels)``, or what its windows are read from.
    """

    image: InputImage
    plan: Plan
    prepared: np.ndarray | Canvas


class Predictor:
    """Predicts images of any size with bounded memory, as :func:`unetv2.predict` documents.

    An image comes out in parts, each finished, that together cover it once: in bands from the top,
    each from the left. So the memory needed grows with an image's width, not with its area.

    Args:
        model: Maps images to logits.
        window: ``(height, width)`` or None.
        overlap: float in [0, 1).
        scale: float or None.
        tta: bool or sequence.
        mc_samples: int.
        batch_size: int. Images or windows fed at once, at most.
        seed: int.

    Attributes:
        network: The compiled model.
        preprocessing: How its images are prepared.

    Raises:
        ValueError: If the model is no segmentation model, or an argument is out of its range.
        TypeError: If an argument is of the wrong type.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        window: Sequence[int] | None = None,
        overlap: float = 0.25,
        scale: float | None = None,
        tta: bool | Sequence[str | float] = False,
        mc_samples: int = 0,
        batch_size: int = 8,
        seed: int = 0,
    ) -> None:
        self.network = Network.of(model)
        # A model that gives neither logits nor probabilities is refused before an image is read.
        _ = self.network.probabilities
        self._planner = Planner(model, self.network, window=window, scale=scale)
        self.preprocessing = self._planner.preprocessing
        self._window, self._scale = window, scale
        self._overlap = require_fraction(
            "overlap", overlap, "It is the share of a window that the next one covers too."
        )
        self._passes = Passes(self.network, tta, mc_samples, seed)
        self._batch_size = require_integer("batch_size", batch_size, 1, "8 is the default.")

    @property
    def options(self) -> dict[str, Any]:
        """All options that change a prediction, of types that JSON knows."""
        passes = self._passes
        tta = [*itertools.compress(FLIPS, passes.flips), *passes.scales]
        return {
            "window": None if self._window is None else list(map(int, self._window)),
            "overlap": self._overlap,
            "scale": None if self._scale is None else float(self._scale),
            "tta": None if tta == [1.0] else tta,
            "mc_samples": int(passes.mc_samples),
            "seed": int(passes.seed) if passes.mc_samples else None,
        }

    def prepare(self, size: tuple[int, int]) -> None:
        """Compiles what images of a size need.

        Args:
            size: ``(height, width)`` of an image.

        Raises:
            ValueError: If the model cannot be fed with it.
        """
        self._passes.prepare(self._planner.plan(size).fed)

    def parts(self, image: InputImage, wanted: Wanted) -> Iterator[Part]:
        """Predicts an image.

        Args:
            image: The image.
            wanted: What is made of each pixel.

        Yields:
            Part. In bands from the top, each from the left; together they cover it once.
        """
        ((_, parts),) = self.all([image], wanted)
        yield from parts

    def read(self, image: InputImage) -> Ready:
        """Reads an image and brings it to the network's scale; on any thread.

        Args:
            image: The image.

        Returns:
            Ready. What :meth:`all` takes in its place.

        Raises:
            ValueError: If the file is broken.
        """
        plan = self._planner.plan(image.size)
        known = self.preprocessing
        # As in training, where `read_pair` decodes.
        at_least = pixels_needed(plan.geometry, known.interpolation)
        canvas = Canvas(
            image.pixels(at_least), plan.geometry, known.interpolation, known.value_range
        )
        return Ready(image, plan, canvas if plan.window else canvas.whole())

    def all(
        self, images: Iterable[InputImage | Ready], wanted: Wanted
    ) -> Iterator[tuple[InputImage, Iterator[Part]]]:
        """Predicts images, those that are fed whole in batches.

        Args:
            images: They are read as they are needed, if they are not.
            wanted: What is made of each pixel.

        Yields:
            tuple ``(image, parts)``, in order; the parts are made as they are taken.
        """
        waiting: list[tuple[InputImage, Plan, np.ndarray]] = []
        for one in images:
            # Before it is read: what cannot be fed need not be.
            self.prepare(one.size if isinstance(one, InputImage) else one.image.size)
            image, plan, prepared = self.read(one) if isinstance(one, InputImage) else one
            if waiting and (plan.window or waiting[0][1].fed != plan.fed):
                yield from self._whole(waiting, wanted)
                waiting = []
            if isinstance(prepared, Canvas):
                yield image, self._in_windows(image, plan, prepared, wanted)
                continue
            waiting.append((image, plan, prepared))
            if len(waiting) == self._at_once(plan.fed):
                yield from self._whole(waiting, wanted)
                waiting = []
        if waiting:
            yield from self._whole(waiting, wanted)

    def _at_once(self, size: tuple[int, int]) -> int:
        """Returns how many images of a size are fed at once."""
        pixels = size[0] * size[1]
        most = min(_PIXELS_AT_ONCE, _BYTES_AT_ONCE // (4 * self.network.n_classes)) // pixels
        return max(1, min(self._batch_size, most))

    def _whole(
        self, images: list[tuple[InputImage, Plan, np.ndarray]], wanted: Wanted
    ) -> Iterator[tuple[InputImage, Iterator[Part]]]:
        pixels = np.stack([prepared for _, _, prepared in images])
        # The same number for all: what one gives does not depend on the others.
        values = _joined(self._passes(pixels, [0] * len(images)))
        for number, (image, plan, _) in enumerate(images):
            bands = [Band(0, values[number, *place(plan.geometry)])]
            yield image, self._finished(bands, plan.geometry.resized, image, wanted)

    def _in_windows(
        self, image: InputImage, plan: Plan, canvas: Canvas, wanted: Wanted
    ) -> Iterator[Part]:
        assert plan.window is not None
        grid = Grid.plan(canvas.size, plan.window, self._overlap, symmetric=self._passes.flips)
        blocks = stitch(grid, self._weighted(grid, canvas))
        n_classes = self.network.n_classes
        if canvas.size == image.size:
            for block in join(blocks, _PIXELS_TOGETHER):
                yield part_of(*block, n_classes, wanted, logarithms=False)
            return
        bands = (
            Band(rows.row, _logarithms(rows.values, n_classes))
            for band in join(blocks)
            for rows in _rows(band)
        )
        yield from self._finished(bands, canvas.size, image, wanted)

    def _finished(
        self, bands: Iterable[Band], source: tuple[int, int], image: InputImage, wanted: Wanted
    ) -> Iterator[Part]:
        n_classes = self.network.n_classes
        if source != image.size:
            bands = enlarge(bands, source, image.size)
        for row, values in bands:
            yield part_of(row, 0, values, n_classes, wanted, logarithms=True)

    def _weighted(self, grid: Grid, canvas: Canvas) -> Iterator[np.ndarray]:
        """Yields what the network says of each window, times the window's weights."""
        windows = list(grid)
        vertical, horizontal = grid.rows.weights(), grid.columns.weights()
        step = self._at_once(grid.window)
        for start in range(0, len(windows), step):
            batch = windows[start : start + step]
            images = np.stack([canvas.window(_start(grid, one), grid.window) for one in batch])
            field = self._passes(images, [one.number for one in batch])
            weights = (
                vertical[[one.row for one in batch], :, np.newaxis, np.newaxis],
                horizontal[[one.column for one in batch], np.newaxis, :, np.newaxis],
            )
            yield from _times(*field, *weights).numpy()


def _start(grid: Grid, window: Window) -> tuple[int, int]:
    return grid.rows.starts[window.row], grid.columns.starts[window.column]


def _joined(field: Field) -> tf.Tensor:
    if field.entropy is None:
        return field.logits
    return tf.concat([field.logits, field.entropy], axis=-1)


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _times(values: tf.Tensor, entropy: Any, vertical: tf.Tensor, horizontal: tf.Tensor) -> Any:
    probabilities = tf.nn.softmax(values)
    if entropy is not None:
        probabilities = tf.concat([probabilities, entropy], axis=-1)
    return probabilities * (vertical * horizontal)


def _logarithms(values: np.ndarray, n_classes: int) -> np.ndarray:
    """Takes the logarithms of probabilities, and leaves the entropy behind them."""
    part = values[..., :n_classes]
    np.log(np.maximum(part, 1e-38, out=part), out=part)
    return values


def _rows(block: Block) -> Iterator[Block]:
    """Yields a few rows of a block at a time."""
    height, width, channels = block.values.shape
    step = max(1, _BYTES_AT_ONCE // (4 * width * channels))
    for start in range(0, height, step):
        yield Block(block.row + start, block.column, block.values[start : start + step])


class Gathering:
    """Gathers the parts of an image, in memory or in a file.

    Args:
        image: The image.
        predictor: What predicts it.
        wanted: What is made of each pixel.
        path: The mask's file, or None to keep it in memory.
        note: str or None. What made it, kept in a PNG file.
    """

    def __init__(
        self,
        image: InputImage,
        predictor: Predictor,
        wanted: Wanted,
        path: Path | None,
        note: str | None = None,
    ) -> None:
        self._image, self._predictor, self._wanted = image, predictor, wanted
        self._path, self._note = path, note
        self._file: MaskFile | None = None
        self._whole: dict[str, np.ndarray] = {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Opens the file, which is whole afterwards or not there."""
        if self._path is None:
            yield
            return
        dtype = mask_dtype(self._predictor.network.n_classes)
        with mask_file(self._path, self._image.size, dtype, self._note) as self._file:
            yield

    def add(self, part: Part) -> None:
        """Takes the next part."""
        height, width = part.mask.shape
        place = np.s_[part.row : part.row + height, part.column : part.column + width]
        for name, values in part._asdict().items():
            if not isinstance(values, np.ndarray):
                continue
            if name == "mask" and self._file is not None:
                self._file.add(part.column, values)
                continue
            if name not in self._whole:
                self._whole[name] = np.empty((*self._image.size, *values.shape[2:]), values.dtype)
            self._whole[name][place] = values

    def prediction(self) -> Prediction:
        """Returns all of them."""
        predictor = self._predictor
        classes = class_table(predictor.preprocessing, predictor.network.n_classes)
        return Prediction(
            ids=self._whole.pop("mask", None), **self._whole, classes=classes,
            image=self._image, path=self._path,
        )  # fmt: skip

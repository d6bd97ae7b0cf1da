"""Preprocessing of a model's images and masks, which is stored with the model."""

from __future__ import annotations

import logging
import math
import textwrap
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from unetv2.arguments import (
    require_choice,
    require_ignore_class,
    require_image_size,
    require_integer,
)
from unetv2.classes import ClassTable
from unetv2.text import error_summary

INTERPOLATIONS = ("area", "nearest", "bilinear", "bicubic", "lanczos3")
RESIZES = ("stretch", "pad", "crop")
# Symmetries of test-time augmentation. An image is flipped before it is transposed.
TRANSFORMS = ("vertical", "horizontal", "transpose")

_log = logging.getLogger("unetv2")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Preprocessing of images in training, which prediction repeats.

    It also describes the masks: :func:`unetv2.evaluate` reads masks of two folders in the same way
    unless options are passed.

    A model gets it from the data set of :func:`unetv2.make_dataset` that it is fitted to, as
    ``model.preprocessing``, and stores it in its ``.keras`` file. Set it yourself if the images
    come from elsewhere.

    Args:
        image_size: ``(height, width)`` to which whole images were resized. None: their own size.
        resize: ``"stretch"``, ``"pad"`` or ``"crop"``; see :func:`unetv2.make_dataset`.
        interpolation: ``"area"``, ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or
            ``"lanczos3"``.
        channels: int, at least 1. Channels of the images.
        crop_size: ``(height, width)`` of the crops in training, or None for whole images.
        window: ``(height, width)`` of the windows in which images are predicted, at the scale of
            the training; None for ``crop_size``. Without either, images are predicted as a whole.
            Images that are smaller than ``window`` have smaller ones if the model takes any size.
        tta: Test-time augmentation that prediction uses by default, as for
            :class:`unetv2.Predictor`: a sequence of ``"horizontal"``, ``"vertical"``,
            ``"transpose"`` and scales, or a bool. It is stored as a tuple, empty for none.
        value_range: Two numbers, to which the smallest and the largest possible pixel value were
            mapped. ``make_dataset`` maps them to 0 and 1.
        ignore_class: int or None. Id of unlabeled pixels.
        classes: ClassTable or None. Names and colors of the classes.
        encoding: str. Encoding of the masks: ``"ids"``, ``"colors"`` of ``classes``,
            ``"binary"`` or ``"max_channel"``; see :func:`unetv2.make_dataset` for this and the
            following.
        label_map: Mapping of ids in the files to class ids, stored as pairs; None for that of
            ``classes``.
        image_suffix: str. Suffix of image names, before the extension.
        mask_suffix: str. Suffix of mask names.

    Raises:
        ValueError: If a value is out of its range.
        TypeError: If a value is of the wrong type.

    Example:
        >>> model = unetv2.build_unetv2((None, None, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(96, 128))
        >>> model.save(tmp / "small.keras")
        >>> keras.models.load_model(tmp / "small.keras", compile=False).preprocessing.image_size
        (96, 128)
    """

    image_size: tuple[int, int] | None = None
    resize: str = "stretch"
    interpolation: str = "area"
    channels: int = 3
    crop_size: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    tta: bool | Sequence[str | float] = ()
    value_range: tuple[float, float] = (0.0, 1.0)
    ignore_class: int | None = None
    classes: ClassTable | None = None
    encoding: str = "ids"
    label_map: tuple[tuple[int, int], ...] | Mapping[int, int] | None = None
    image_suffix: str = ""
    mask_suffix: str = ""

    def __post_init__(self) -> None:
        """Checks every value."""
        for name in ("image_size", "crop_size", "window"):
            size = getattr(self, name)
            if size is not None:
                object.__setattr__(self, name, require_image_size(size, name))
        object.__setattr__(self, "tta", require_tta(self.tta))
        require_choice("resize", self.resize, RESIZES)
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        channels = require_integer("channels", self.channels, 1, "The default is 3, for RGB.")
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "value_range", _require_range(self.value_range))
        require_ignore_class(self.ignore_class)
        if self.classes is not None and not isinstance(self.classes, ClassTable):
            raise TypeError(
                "`classes` must be a ClassTable or None. "
                f"Received: classes={self.classes!r}. Make one by `unetv2.ClassTable(...)`."
            )
        # Their values are validated in `unetv2.data.labels`.
        for name in ("encoding", "image_suffix", "mask_suffix"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"`{name}` must be a str. Received: {name}={value!r}.")
        object.__setattr__(self, "label_map", _require_pairs(self.label_map))

    @classmethod
    def assumed(
        cls,
        input_shape: tuple[int | None, ...],
        *,
        value_range: tuple[float, float] = (0.0, 1.0),
    ) -> Preprocessing:
        """Returns the most probable preprocessing for an input shape.

        Args:
            input_shape: ``(batch, height, width, channels)``.
            value_range: Two numbers, as for the class.

        Returns:
            Preprocessing. Whole images stretched to height and width, as by ``make_dataset``; their
            own size if one of the two is None.
        """
        _, height, width, channels = input_shape
        image_size = None if height is None or width is None else (height, width)
        return cls(
            image_size=image_size,
            channels=3 if channels is None else channels,
            value_range=value_range,
        )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """``(height, width)`` of the model's input in training, or None for any."""
        return self.crop_size or self.image_size

    @property
    def takes_whole_images(self) -> bool:
        """Whether prediction resizes images to ``image_size`` as a whole, without windows."""
        is_cropped = self.crop_size is not None or self.resize == "crop"
        return self.image_size is not None and self.window is None and not is_cropped

    def as_dict(self) -> dict[str, Any]:
        """Returns the values, of JSON types."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return values | {"classes": None if self.classes is None else self.classes.as_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Creates an instance from the result of :meth:`as_dict`.

        Args:
            values: The result. Unknown names, as of a later version, are ignored; missing ones
                have their defaults, but ``image_size`` and ``channels`` are required.

        Returns:
            Preprocessing.

        Raises:
            ValueError: If the values are not valid.
        """
        try:
            known = {
                field.name: _hashable(values[field.name])
                for field in fields(cls)
                if field.name in values or field.name in ("image_size", "channels")
            }
            if known.get("classes") is not None:
                table = {field.name for field in fields(ClassTable)}
                known["classes"] = ClassTable.from_dict(
                    {name: value for name, value in values["classes"].items() if name in table}
                )
            return cls(**known)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            shown = textwrap.shorten(repr(values), 300, placeholder=" ...")
            raise ValueError(
                "`preprocessing` must be what `Preprocessing.as_dict` returns. "
                f"Received: {shown}, wrong by: {error_summary(error)} Write it again."
            ) from error


def require_tta(tta: Any) -> tuple[str | float, ...]:
    """Returns the transforms of test-time augmentation: symmetries, then scales other than 1.

    Args:
        tta: bool, or a sequence of ``"horizontal"``, ``"vertical"``, ``"transpose"`` and scales.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(tta, bool):
        return ("horizontal",) if tta else ()
    if isinstance(tta, str) or not isinstance(tta, Sequence) or not all(map(_is_transform, tta)):
        raise ValueError(
            "`tta` must be a bool, or hold 'horizontal', 'vertical', 'transpose' and positive "
            f"scales. Received: tta={tta!r}. True is ('horizontal',)."
        )
    scales = {float(value) for value in tta if not isinstance(value, str)}
    return (*(name for name in TRANSFORMS if name in tta), *sorted(scales - {1.0}))


def _is_transform(value: Any) -> bool:
    if isinstance(value, str):
        return value in TRANSFORMS
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < 100


# By data set, and by its name, which derived data sets inherit.
_of_datasets: weakref.WeakKeyDictionary[Any, Preprocessing] = weakref.WeakKeyDictionary()
_by_name: weakref.WeakValueDictionary[str, Preprocessing] = weakref.WeakValueDictionary()


def remember(dataset: Any, name: str, preprocessing: Preprocessing) -> None:
    """Makes :func:`of_dataset` return the preprocessing for a data set and those derived from it.

    Args:
        dataset: A ``tf.data.Dataset``.
        name: str. Its ``tf.data.Options().dataset_name``, unique.
        preprocessing: Preprocessing of its images.
    """
    _of_datasets[dataset] = preprocessing
    _by_name[name] = preprocessing


def of_dataset(dataset: Any, known: Preprocessing | None = None) -> Preprocessing | None:
    """Returns the preprocessing of a data set's images.

    A data set that is derived from one of ``make_dataset``, by ``take`` or ``map``, has the same,
    as long as shape and dtype of its images are the same. As ``map`` can change values, this is
    logged as an assumption.

    Args:
        dataset: Anything that ``fit`` accepts.
        known: Preprocessing of the model, or None. If it is the same, nothing is logged.

    Returns:
        Preprocessing, or None if it is not known.
    """
    if not (hasattr(dataset, "element_spec") and hasattr(dataset, "options")):
        return None
    exact = _of_datasets.get(dataset)
    if exact is not None:
        return exact
    derived = _by_name.get(dataset.options().dataset_name or "")
    if derived is None or not _fits(dataset.element_spec, derived):
        return None
    if derived == known:
        return derived
    _log.warning(
        "A data set is derived from one of `make_dataset`; its images are assumed to be prepared "
        "in the same way. If a `map` has changed their values, set `preprocessing` of the model."
    )
    return derived


def _fits(spec: Any, preprocessing: Preprocessing) -> bool:
    if not isinstance(spec, tuple) or len(spec) < 2 or not hasattr(spec[0], "shape"):
        return False
    size = preprocessing.input_size or (None, None)
    shape = [] if spec[0].shape.rank is None else spec[0].shape.as_list()
    return spec[0].dtype.name == "float32" and shape[-3:] == [*size, preprocessing.channels]


def class_table(known: Preprocessing | None, n_classes: int) -> ClassTable:
    """Returns the class table with which a model's masks are drawn.

    Args:
        known: Preprocessing of the model, or None.
        n_classes: int. Number of classes of the model.

    Returns:
        ClassTable. The model's own, or a numbered one if it has none with this number of classes.
    """
    if known is not None and known.classes is not None and len(known.classes) == n_classes:
        return known.classes
    return ClassTable.numbered(n_classes, None if known is None else known.ignore_class)


def _require_range(value_range: Any) -> tuple[float, float]:
    message = (
        "`value_range` must be two finite numbers, the smaller first. "
        f"Received: value_range={value_range!r}. `make_dataset` makes images of (0, 1)."
    )
    try:
        low, high = value_range
    except (TypeError, ValueError):
        raise ValueError(message) from None
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(message)
    if not -math.inf < low < high < math.inf:
        raise ValueError(message)
    return float(low), float(high)


def _require_pairs(label_map: Any) -> tuple[tuple[int, int], ...] | None:
    if label_map is None:
        return None
    pairs = label_map.items() if isinstance(label_map, Mapping) else label_map
    try:
        ids = tuple((old, new) for old, new in pairs)
    except (TypeError, ValueError):
        ids = ((None, None),)
    if any(isinstance(id_, bool) or not isinstance(id_, Integral) for pair in ids for id_ in pair):
        raise TypeError(
            "`label_map` must map ids to ids, integers both, or be None. "
            f"Received: label_map={label_map!r}. Pass such as {{7: 0}}."
        )
    return tuple((int(old), int(new)) for old, new in ids)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value

"""A functional Keras model that stores its preprocessing."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from unetv2.preprocessing import Preprocessing, of_dataset
from unetv2.text import printable

# Rescaling layers for 8-bit images have smaller scales, those for images in [0, 1] scales near 1.
_MAX_8BIT_SCALE = 1 / 32

_log = logging.getLogger("unetv2")
# Models by the identity of the strings of their names: `keras.models.clone_model` of a model that
# is not compiled passes on only the graph and this string. A subclass of `str` would be simpler,
# but h5py cannot write it.
_by_name: weakref.WeakValueDictionary[int, SegmentationModel] = weakref.WeakValueDictionary()
# Models for which a warning was logged.
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


@keras.saving.register_keras_serializable(package="unetv2")
class SegmentationModel(keras.Model):
    """A functional ``keras.Model`` that stores the preprocessing of its images.

    ``fit`` copies it from a data set of :func:`unetv2.make_dataset`, ``save`` writes it, and
    ``keras.models.load_model`` reads it, after ``import unetv2``. For other data sets, such as
    those derived by ``.take`` or ``.map``, set ``preprocessing``.

    Args:
        *args: As of ``keras.Model``: inputs and outputs.
        preprocessing: :class:`unetv2.Preprocessing`, its ``as_dict()``, or None if unknown.
        **kwargs: As of ``keras.Model``.

    Raises:
        TypeError: If ``preprocessing`` has another type.
        ValueError: If a value in it is out of its range.

    Example:
        >>> image = keras.Input((None, None, 3))
        >>> model = unetv2.SegmentationModel(
        ...     image, keras.layers.Conv2D(5, 1)(image),
        ...     preprocessing=unetv2.Preprocessing(crop_size=(64, 64)))
        >>> model.preprocessing.crop_size
        (64, 64)
    """

    # Keras recognizes a functional model by the names `args` and `kwargs`.
    def __init__(
        self,
        *args: Any,
        preprocessing: Preprocessing | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = kwargs.get("name")
        cloned = _by_name.get(id(name))
        if preprocessing is None and cloned is not None and cloned.name is name:
            preprocessing = cloned.preprocessing
        super().__init__(*args, **kwargs)
        self.preprocessing = preprocessing

    @property
    def name(self) -> str:
        """The model's name."""
        return self._own_name

    @name.setter
    def name(self, value: str) -> None:
        # A new string object, except for single characters, which Python shares.
        self._own_name = (value + " ")[:-1]
        if len(value) > 1:
            _by_name[id(self._own_name)] = self

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing of the images, :class:`unetv2.Preprocessing`; None if unknown."""
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing | Mapping[str, Any] | None) -> None:
        if isinstance(value, Mapping):
            value = Preprocessing.from_dict(value)
        if value is not None and not isinstance(value, Preprocessing):
            raise TypeError(
                "`preprocessing` must be a Preprocessing or None. "
                f"Received: preprocessing={value!r}. Create one with `unetv2.Preprocessing(...)`."
            )
        self._preprocessing = value

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as ``keras.Model.fit``, and stores the preprocessing of ``x``.

        Args:
            x: As of ``keras.Model.fit``. The preprocessing is that of a data set of
                :func:`unetv2.make_dataset`; with other data it does not change.
            *args: As of ``keras.Model.fit``.
            **kwargs: As of ``keras.Model.fit``.

        Returns:
            ``keras.callbacks.History``.
        """
        self.preprocessing = of_dataset(x, self.preprocessing) or self.preprocessing
        return super().fit(x, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns the graph and ``preprocessing``, serialized."""
        return {**super().get_config(), "preprocessing": self._serialized()}

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the arguments of ``compile``, with ``preprocessing`` for `clone_model`."""
        config = super().get_compile_config()
        return {**config, "preprocessing": self._serialized()} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles from the result of :meth:`get_compile_config`."""
        config = dict(config)
        self.preprocessing = config.pop("preprocessing", None) or self.preprocessing
        super().compile_from_config(config)

    def _serialized(self) -> dict[str, Any] | None:
        return None if self.preprocessing is None else self.preprocessing.as_dict()


def preprocessing_of(model: Any, n_classes: int) -> Preprocessing:
    """Returns the preprocessing of a model, with a class table for ``n_classes`` or none.

    If the model has none, it is assumed from the input and the first layer. A class table of
    another length is removed. The logger ``unetv2`` warns of either once.

    Args:
        model: A Keras model with one input ``(batch, height, width, channels)``, or an object with
            its ``preprocessing``.
        n_classes: int. Number of its outputs.
    """
    stored = getattr(model, "preprocessing", None)
    if isinstance(stored, Preprocessing):
        return _with_matching_table(stored, model, n_classes)
    assumed = Preprocessing.assumed(model.input_shape, value_range=expected_range(model))
    size = (
        "images at their own size"
        if assumed.image_size is None
        else "whole images stretched to {}x{}, as by `make_dataset`".format(*assumed.image_size)
    )
    _warn_once(
        model,
        "`model.preprocessing` of the model '%s' is not set. Assumed: %s, with values %s. Set it "
        "to a `unetv2.Preprocessing` with the `image_size` and `value_range` of the training, if "
        "that is wrong.",
        _name(model), size,
        "divided by 255, in [0, 1]" if assumed.value_range == (0.0, 1.0)
        else "in [0, 255], as the model scales them itself",
    )  # fmt: skip
    return assumed


def _with_matching_table(stored: Preprocessing, model: Any, n_classes: int) -> Preprocessing:
    if stored.classes is None or len(stored.classes) == n_classes:
        return stored
    _warn_once(
        model,
        "The class table of `model.preprocessing` has %d classes and the model '%s' has %d. It is "
        "ignored. Set a `unetv2.ClassTable` of %d classes.",
        len(stored.classes), _name(model), n_classes, n_classes,
    )  # fmt: skip
    return replace(stored, classes=None)


def _name(model: Any) -> str:
    return printable(getattr(model, "name", type(model).__name__))


def _warn_once(model: Any, message: str, *values: Any) -> None:
    # Other objects may not be hashable; they cause a warning each time.
    with contextlib.suppress(TypeError):
        if model in _warned:
            return
        _warned.add(model)
    _log.warning(message, *values)


def expected_range(model: Any) -> tuple[float, float]:
    """Returns the value range of a model's images, from its preprocessing or its first layer."""
    stored = getattr(model, "preprocessing", None)
    if isinstance(stored, Preprocessing):
        return stored.value_range
    first = next((layer for layer in model.layers if not _is_input(layer)), None)
    if isinstance(first, keras.Model):
        return expected_range(first)
    if isinstance(first, keras.layers.Rescaling):
        # Typical scales are 1 / 255 and 1 / 127.5 for 8-bit images, and 2 for those in [0, 1].
        scales_down = np.max(np.abs(np.asarray(first.scale, np.float64))) <= _MAX_8BIT_SCALE
        return (0.0, 255.0) if scales_down else (0.0, 1.0)
    if isinstance(first, keras.layers.Normalization) and first.mean is not None:
        mean = keras.ops.convert_to_numpy(first.mean)
        return (0.0, 255.0) if np.max(np.abs(mean)) > 1 else (0.0, 1.0)
    return 0.0, 1.0


def _is_input(layer: Any) -> bool:
    return isinstance(layer, keras.layers.InputLayer)

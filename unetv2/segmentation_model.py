"""A functional Keras model that knows how its pictures were prepared."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping
from typing import Any

import keras

from unetv2.escaping import printable
from unetv2.preprocessing import Preprocessing, of_dataset

_log = logging.getLogger("unetv2")
# Whose assumption was told.
_told: weakref.WeakSet[Any] = weakref.WeakSet()


@keras.saving.register_keras_serializable(package="unetv2")
class SegmentationModel(keras.Model):
    """A functional ``keras.Model`` that keeps how its pictures were prepared.

    ``fit`` takes it from a data set of :func:`unetv2.make_dataset`, ``save`` writes it,
    ``keras.models.load_model`` reads it, after ``import unetv2``. What is derived from such a
    data set, as by ``.take`` or ``.map``, no longer tells; set ``preprocessing`` then.

    Args:
        *args: As of ``keras.Model``: inputs and outputs.
        preprocessing: :class:`unetv2.Preprocessing`, its ``as_dict()``, or None if unknown.
        **kwargs: As of ``keras.Model``.

    Raises:
        TypeError: If ``preprocessing`` is something else.
        ValueError: If a value in it is out of its range.

    Example:
        >>> image = keras.Input((None, None, 3))
        >>> model = unetv2.SegmentationModel(
        ...     image, keras.layers.Conv2D(5, 1)(image),
        ...     preprocessing=unetv2.Preprocessing(crop_size=(64, 64)))
        >>> model.preprocessing.crop_size
        (64, 64)
    """

    # These two names make it, to Keras, a class that is built like its own functional one.
    def __init__(
        self,
        *args: Any,
        preprocessing: Preprocessing | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.preprocessing = preprocessing

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How pictures were prepared, a :class:`unetv2.Preprocessing`; None if unknown."""
        return self._preprocessing

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing | Mapping[str, Any] | None) -> None:
        if isinstance(value, Mapping):
            value = Preprocessing.from_dict(value)
        if value is not None and not isinstance(value, Preprocessing):
            raise TypeError(
                "`preprocessing` must be a Preprocessing or None. "
                f"Received: preprocessing={value!r}. Make one by `unetv2.Preprocessing(...)`."
            )
        self._preprocessing = value

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as ``keras.Model.fit``, and keeps how the pictures of ``x`` were prepared.

        Args:
            x: As of ``keras.Model.fit``. Of a data set of :func:`unetv2.make_dataset` the record
                is taken; of anything else the model keeps the one that it has.
            *args: As of ``keras.Model.fit``.
            **kwargs: As of ``keras.Model.fit``.

        Returns:
            ``keras.callbacks.History``.
        """
        self.preprocessing = of_dataset(x) or self.preprocessing
        return super().fit(x, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns the graph and ``preprocessing``, serialized."""
        return {**super().get_config(), "preprocessing": self._serialized()}

    def get_compile_config(self) -> dict[str, Any]:
        """Returns how the model was compiled, with ``preprocessing``.

        ``keras.models.clone_model`` passes nothing else on but the graph.
        """
        config = super().get_compile_config()
        return {**config, "preprocessing": self._serialized()} if config else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as :meth:`get_compile_config` tells.

        Args:
            config: Its result.
        """
        config = dict(config)
        self.preprocessing = config.pop("preprocessing", None) or self.preprocessing
        super().compile_from_config(config)

    def _serialized(self) -> dict[str, Any] | None:
        return None if self.preprocessing is None else self.preprocessing.as_dict()


def preprocessing_of(model: keras.Model) -> Preprocessing:
    """Returns how a model's pictures were prepared.

    Where the model does not tell, that is assumed from its input, and the logger ``unetv2`` says
    so once.

    Args:
        model: Any Keras model of one input ``(batch, height, width, channels)``.

    Returns:
        Preprocessing.
    """
    found = getattr(model, "preprocessing", None)
    if isinstance(found, Preprocessing):
        return found
    assumed = Preprocessing.assumed(model.input_shape)
    if model not in _told:
        _told.add(model)
        _log.warning(
            "The model '%s' does not tell how its pictures were prepared. Assumed: %s. Set "
            "`model.preprocessing` to a `unetv2.Preprocessing` if that is wrong.",
            printable(model.name),
            "pictures at their own size"
            if assumed.image_size is None
            else "whole pictures stretched to {}x{}, as by `make_dataset`".format(
                *assumed.image_size
            ),
        )
    return assumed

"""Python that TensorFlow calls from its threads: how long it lives, and until when it is called."""

from __future__ import annotations

import atexit
import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

_QUIET_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0
_OWNER = "unetv2_owner"


class Gate:
    """Lets calls in until it is closed.

    An iterator over a data set that is cut off, by an error or Ctrl-C, goes on reading ahead. A
    thread that asks for Python's lock while the interpreter ends never gets it, and TensorFlow
    waits for that thread: the process would hang. So before the end nobody is let in any more, and
    those inside are waited for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._last_seen = 0.0
        self._closed = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Counts a call.

        Raises:
            ValueError: If the gate is closed.
        """
        with self._lock:
            self._inside += 1
        try:
            if self._closed:
                raise ValueError("The interpreter is ending.")
            yield
        finally:
            with self._lock:
                self._inside -= 1
                self._last_seen = time.monotonic()

    def close(self) -> None:
        """Lets nobody in any more, and returns when nobody has come for a moment."""
        self._closed = True
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            quiet = time.monotonic() - self._last_seen > _QUIET_SECONDS
            if quiet and not self._inside:
                return
            time.sleep(_QUIET_SECONDS)


@functools.cache
def _process_gate() -> Gate:
    gate = Gate()
    # At the end of the process, while Python still answers.
    atexit.register(gate.close)
    return gate


def call_python(
    method: Callable[..., Any],
    inputs: Sequence[tf.Tensor],
    dtypes: Sequence[Any],
    *,
    stateful: bool = True,
) -> Any:
    """Calls a method with NumPy arrays whenever a data set is iterated over.

    TensorFlow keeps every Python function that it may call until the process ends, and with it all
    that the function refers to. So it gets one that refers to the method's object weakly; the data
    set keeps the object, by :func:`owned`.

    Args:
        method: A bound method.
        inputs: Tensors.
        dtypes: Those of what it returns.
        stateful: bool. Whether equal inputs may give other outputs.

    Returns:
        The tensors.
    """
    reference = weakref.WeakMethod(method)
    gate = _process_gate()

    def call(*arrays: np.ndarray) -> Any:
        method = reference()
        if method is None:
            raise ValueError(
                "A data set must be kept while it is iterated over. Received: one that is deleted. "
                "Make it outside of TensorFlow's functions, and keep it in a variable."
            )
        try:
            with gate.passed():
                return method(*arrays)
        except OSError as error:
            # TensorFlow passes a ValueError's text on, whatever it was that failed.
            raise ValueError(str(error)) from error

    return tf.numpy_function(call, inputs, dtypes, stateful=stateful)


def owned(dataset: tf.data.Dataset, owner: object) -> tf.data.Dataset:
    """Returns the data set, which now keeps an object alive, as does all that is derived from it.

    Args:
        dataset: Calls a method of the object by :func:`call_python`.
        owner: The object.
    """
    setattr(dataset, _OWNER, owner)
    return dataset

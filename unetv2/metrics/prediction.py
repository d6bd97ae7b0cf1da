"""Which class a model predicts."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# No id of any mask equals it.
NO_CLASS = 2**31 - 1


def most_probable(scores: Any) -> Any:
    """Returns the class of the greatest score, the first one among equals.

    ``keras.ops.argmax`` takes twice as long, as it tells 0.0 from -0.0, and calls NaN a class.

    Args:
        scores: Logits or probabilities, ``(..., n_classes)``.

    Returns:
        Ids ``(...)``, int32; ``NO_CLASS`` where all scores are NaN.
    """
    scores = ops.convert_to_tensor(scores)
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(scores.dtype)):
        scores = ops.cast(scores, "float32")
    n_classes = ops.shape(scores)[-1]
    # `initial` lets batches without a pixel pass.
    greatest = ops.max(scores, axis=-1, keepdims=True, initial=float("-inf"))
    # The first of the greatest is the one furthest from the end.
    from_the_end = ops.arange(n_classes, 0, -1, dtype="int32")
    none = n_classes - NO_CLASS
    return n_classes - ops.max(
        ops.where(scores >= greatest, from_the_end, none), axis=-1, initial=none
    )

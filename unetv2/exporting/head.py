"""The layer of the logits, fitted anew to layers below it that were quantized."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

# Of a picture: neighbours tell nearly the same.
_PIXELS = 4096
# Share of the logits' variance by which the fit is drawn to the head as it was trained, where the
# pictures say too little.
_TRUST = 1e-4


def head_of(model: keras.Model) -> Any:
    """Returns the layer of a model's logits, or None where it is no affine map of each pixel."""
    # The last of all, those that are no layers included.
    last = model.operations[-1]
    if not isinstance(last, keras.layers.Conv2D):
        return None
    plain = last.activation is keras.activations.linear and last.use_bias and last.groups == 1
    return last if plain and last.kernel_size == last.strides == (1, 1) else None


def refitted(
    head: Any, answers: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    """Returns weights with which a head says what it did before the layers below were quantized.

    Rounding errors add up from layer to layer, and much of their sum is the same in all pictures: a
    class too high, or mixed with another. Ridge regression of the logits from before on those
    after finds that part, and as the head is affine the result is a head too.

    Args:
        head: Of :func:`head_of`.
        answers: For each picture the logits before and after, ``(height, width, n_classes)``.

    Returns:
        Mapping. ``kernel`` and ``bias`` by their variables' paths.
    """
    n = head.filters
    rng = np.random.default_rng(0)
    products, targets, count = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n)), 0
    for before, after in answers:
        before, after = (one.reshape(-1, n).astype(np.float64) for one in (before, after))
        chosen = rng.permutation(len(after))[:_PIXELS]
        inputs = np.concatenate([after[chosen], np.ones((len(chosen), 1))], axis=1)
        products += inputs.T @ inputs
        targets += inputs.T @ (before - after)[chosen]
        count += len(chosen)
    spread = np.trace(products[:n, :n]) / n
    products[range(n), range(n)] += _TRUST * spread
    change = np.linalg.solve(products + 1e-9 * count * np.eye(n + 1), targets)
    mixing = np.eye(n) + change[:n]
    kernel, bias = (np.asarray(weight, np.float64) for weight in (head.kernel, head.bias))
    return {
        head.kernel.path: (kernel @ mixing).astype(np.float32),
        head.bias.path: (bias @ mixing + change[n]).astype(np.float32),
    }

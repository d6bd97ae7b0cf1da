"""Class weights, for which each worker counts a part of the masks."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from unetv2.data.origin import origin_of
from unetv2.distributed.crew import Crew
from unetv2.training.inputs import Inputs
from unetv2.weighting import class_weights, count_pixels, weights_of


def shared_class_weights(
    dataset: tf.data.Dataset, inputs: Inputs, method: str, crew: Crew
) -> list[float]:
    """Returns :func:`unetv2.class_weights` of a data set, on all workers.

    Args:
        dataset: The training data.
        inputs: What is known of it.
        method: str. As of :func:`unetv2.class_weights`.
        crew: The workers.
    """
    origin = origin_of(dataset)
    n_classes, ignore_class = inputs.n_classes, inputs.ignore_class
    if crew.size == 1 or origin is None:
        return class_weights(dataset, n_classes, ignore_class=ignore_class, method=method)
    parts = origin.share(inputs.batch_size, crew.share)
    masks = (mask for (_, part), place in parts if bool(place.real) for mask in np.asarray(part))
    # Not together: a worker that fails would leave the others waiting here.
    pixels = crew.together("count classes", lambda: count_pixels(masks, n_classes, ignore_class))
    return weights_of(np.array(crew.exchange(pixels.tolist())).sum(axis=0), method)

"""Whether a model of a user's own class is trained as that class says."""

from __future__ import annotations

import inspect

import keras

# What Keras's `fit` calls and the loop for several devices does itself.
_STEPS = (
    "compute_loss",
    "compute_metrics",
    "make_test_function",
    "make_train_function",
    "test_step",
    "train_step",
)


def require_class(model: keras.Model, *, shared: bool) -> None:
    """Refuses a class of which a part would be left out.

    On one device the model itself is trained, with all that its class overrides; on several a copy
    is, on a loop of the library. The files hold its layers, without its class.

    Args:
        model: A functional model, perhaps of a class of the user's.
        shared: bool. Whether it is trained on several devices.

    Raises:
        ValueError: If it overrides what would be left out.
    """
    kind = type(model).__name__
    image = keras.Input((None, None, 1))
    functional = type(keras.Model(image, image))
    # A class of the user's inherits either.
    if "call" in vars(model) or type(model).call not in (functional.call, keras.Sequential.call):
        raise ValueError(
            "`model` must compute what its layers say, as files and exports hold these alone. "
            f"Received: {kind}, which has a `call` of its own. Put what it does into a layer, or "
            "override `train_step` for what is done in training only."
        )
    own = [
        name
        for name in _STEPS
        if name in vars(model) or getattr(type(model), name) is not getattr(keras.Model, name)
    ]
    if shared and own:
        raise ValueError(
            "`model` must have Keras's own training step where there is a `strategy`. Received: "
            f"{kind}, which overrides {', '.join(own)}. Pass strategy=None, which keeps it, or put "
            "what it does into the data set or into a layer."
        )
    try:
        inspect.signature(model.compile).bind(optimizer=None, loss=None, metrics=None)
    except TypeError as error:
        raise ValueError(
            "`model` must compile with optimizer, loss and metrics, which the recipe chooses. "
            f"Received: {kind}, whose `compile` does not ({error}). Pass what else it needs to "
            "its constructor."
        ) from error

"""The reference network in plain Keras, without unetv2."""

from __future__ import annotations

import keras
from keras import layers


def plain_unet(
    input_shape: tuple[int, int, int] = (96, 128, 3),
    n_classes: int = 23,
    *,
    filters: int = 32,
    dropout: float = 0.3,
) -> keras.Model:
    """Builds the reference network; height and width must be multiples of 16."""

    def convolve(features: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        for _ in range(2):
            features = layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_initializer="he_normal"
            )(features)
        return features

    inputs = keras.Input(input_shape)
    features = inputs
    skips = []
    for level in range(4):
        features = convolve(features, filters * 2**level)
        if level == 3 and dropout:
            features = layers.Dropout(dropout)(features)
        skips.append(features)
        features = layers.MaxPooling2D(2)(features)
    features = convolve(features, filters * 16)
    if dropout:
        features = layers.Dropout(dropout)(features)
    for level in (3, 2, 1, 0):
        features = layers.Conv2DTranspose(filters * 2**level, 3, strides=2, padding="same")(
            features
        )
        features = layers.Concatenate()([features, skips[level]])
        features = convolve(features, filters * 2**level)
    features = layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(features)
    return keras.Model(inputs, layers.Conv2D(n_classes, 1)(features))

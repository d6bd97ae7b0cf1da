"""Decoders by name: a variant is a function and an entry in a registry."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from random_images import random_images
from small_networks import assert_kept_by_file_and_clone

import unetv2
from unetv2.models.decoders import DECODERS


def nested(features, blocks):
    """U-Net++ (Zhou et al., 2018) without deep supervision."""
    rows = [[feature] for feature in features]
    for column in range(1, blocks.depth + 1):
        for level in range(blocks.depth + 1 - column):
            skip = rows[level][0]
            if column > 1:
                skip = keras.layers.Concatenate(name=f"skips_{level}_{column}")(rows[level])
            block = blocks.decoder_block(
                level,
                name=f"decoder_{level}_{column}",
                position=100 + column * blocks.depth + level,
            )
            rows[level].append(block(rows[level + 1][column - 1], skip))
    return rows[0][-1]


@pytest.mark.parametrize("encoder", [None, "MobileNetV3Small"])
@pytest.mark.parametrize("decoder", [*DECODERS, "nested"])
def test_a_decoder_needs_one_function_and_one_registration(tmp_path, monkeypatch, decoder, encoder):
    monkeypatch.setitem(DECODERS, "nested", nested)
    model = unetv2.build_unetv2(
        (19, 30, 3), 3, filters=2, depth=2, decoder=decoder, encoder=encoder, seed=0
    )
    assert model.output_shape == (None, 19, 30, 3)
    assert ("decoder_0_2" in {layer.name for layer in model.layers}) == (decoder == "nested")
    images, masks = random_images(2, 19, 30, n_classes=3)
    assert np.isfinite(model.train_on_batch(images, masks, return_dict=True)["loss"])
    monkeypatch.undo()
    # A file has the graph, so that loading it needs no registration.
    assert_kept_by_file_and_clone(model, images, tmp_path)


def test_the_default_decoder_is_that_of_the_paper():
    default, named = (
        unetv2.build_unetv2((8, 8, 3), 3, filters=2, depth=2, seed=0, **options)
        for options in ({}, {"decoder": "unet"})
    )
    assert [layer.name for layer in default.layers] == [layer.name for layer in named.layers]
    for one, other in zip(default.get_weights(), named.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_unknown_decoder_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match="`decoder` must be one of 'unet'.* Received: decoder='fpn'"
    ):
        unetv2.build_unetv2((8, 8, 3), 3, decoder="fpn")

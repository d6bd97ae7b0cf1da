"""Decoders by name, as ``build_unetv2(..., decoder=)`` takes them.

A decoder is a function of the encoder's features, ``depth + 1`` tensors from fine to coarse, and of
a :class:`~unetv2.models.blocks.BlockFactory`. It returns features of exactly the height and width
of the finest ones; pooling rounds odd sizes up, so that enlarged features may have to be cropped
(:class:`~unetv2.models.resizing.CropToSize`). To add a decoder, write such a function in a module
of its own and register it in ``DECODERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unetv2.models.blocks import BlockFactory

Decoder = Callable[[Sequence[Any], BlockFactory], Any]


def unet(features: Sequence[Any], blocks: BlockFactory) -> Any:
    """Merges the features from coarse to fine, one :class:`unetv2.DecoderBlock` per level."""
    *skips, outputs = features
    for level in reversed(range(blocks.depth)):
        outputs = blocks.decoder_block(level)(outputs, skips[level])
    return outputs


DECODERS: dict[str, Decoder] = {"unet": unet}

"""The network: blocks, encoders, the U-Net and its model class."""

from unetv2.models.blocks import DecoderBlock, EncoderBlock
from unetv2.models.convolution import ConvolutionBlock
from unetv2.models.segmentation_model import SegmentationModel
from unetv2.models.unet import build_unetv2

__all__ = [
    "ConvolutionBlock",
    "DecoderBlock",
    "EncoderBlock",
    "SegmentationModel",
    "build_unetv2",
]

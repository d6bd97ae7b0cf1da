"""Semantic segmentation with a U-Net in Keras 3."""

from unetv2 import augmentation, data, distributed, losses, metrics, recipes, visualization
from unetv2.classes import CAMVID, CARLA, CITYSCAPES, PASCAL_VOC, ClassTable
from unetv2.convolution import ConvolutionBlock
from unetv2.data.checking import DatasetReport, check_dataset
from unetv2.data.dataset import make_dataset
from unetv2.gates import AttentionGate, SqueezeExcitation
from unetv2.layers import DecoderBlock, EncoderBlock
from unetv2.models import build_unetv2
from unetv2.precision import automatic_precision
from unetv2.training.trainer import Training, train
from unetv2.weighting import class_weights

__version__ = "0.1.0.dev0"

__all__ = [
    "CAMVID",
    "CARLA",
    "CITYSCAPES",
    "PASCAL_VOC",
    "AttentionGate",
    "ClassTable",
    "ConvolutionBlock",
    "DatasetReport",
    "DecoderBlock",
    "EncoderBlock",
    "SqueezeExcitation",
    "Training",
    "augmentation",
    "automatic_precision",
    "build_unetv2",
    "check_dataset",
    "class_weights",
    "data",
    "distributed",
    "losses",
    "make_dataset",
    "metrics",
    "recipes",
    "train",
    "visualization",
]

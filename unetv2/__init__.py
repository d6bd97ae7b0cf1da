"""Semantic segmentation with a U-Net in Keras 3."""

from unetv2 import startup

# Before what follows loads TensorFlow.
startup.leave_when_interrupted()
startup.quieten_command()

from unetv2 import augmentation, data, distributed, losses, metrics, recipes, visualization
from unetv2.artefacts.exported_model import ExportedModel
from unetv2.artefacts.loading import load_exported
from unetv2.benchmarking.benchmark import benchmark
from unetv2.benchmarking.result import Benchmark
from unetv2.classes import CAMVID, CARLA, CITYSCAPES, PASCAL_VOC, ClassTable
from unetv2.convolution import ConvolutionBlock
from unetv2.data.checking import DatasetReport, check_dataset
from unetv2.data.dataset import make_dataset
from unetv2.evaluation.evaluate import evaluate
from unetv2.evaluation.result import Evaluation
from unetv2.exporting.export import export
from unetv2.inference.directory import PredictedDirectory, predict_directory
from unetv2.inference.predict import predict
from unetv2.inference.prediction import Prediction
from unetv2.inference.video import PredictedVideo, predict_video
from unetv2.layers import DecoderBlock, EncoderBlock
from unetv2.models import build_unetv2
from unetv2.precision import automatic_precision
from unetv2.preprocessing import Preprocessing
from unetv2.report.page import write_report
from unetv2.segmentation_model import SegmentationModel
from unetv2.training.result import Training
from unetv2.training.trainer import train
from unetv2.weighting import class_weights

__version__ = "0.1.0"

__all__ = [
    "CAMVID",
    "CARLA",
    "CITYSCAPES",
    "PASCAL_VOC",
    "Benchmark",
    "ClassTable",
    "ConvolutionBlock",
    "DatasetReport",
    "DecoderBlock",
    "EncoderBlock",
    "Evaluation",
    "ExportedModel",
    "PredictedDirectory",
    "PredictedVideo",
    "Prediction",
    "Preprocessing",
    "SegmentationModel",
    "Training",
    "augmentation",
    "automatic_precision",
    "benchmark",
    "build_unetv2",
    "check_dataset",
    "class_weights",
    "data",
    "distributed",
    "evaluate",
    "export",
    "load_exported",
    "losses",
    "make_dataset",
    "metrics",
    "predict",
    "predict_directory",
    "predict_video",
    "recipes",
    "train",
    "visualization",
    "write_report",
]

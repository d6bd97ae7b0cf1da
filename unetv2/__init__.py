"""Semantic segmentation with a U-Net in Keras 3."""

from unetv2 import startup

# Before what follows loads TensorFlow.
startup.leave_when_interrupted()
startup.quieten_command()

from unetv2 import data, distributed, losses, metrics, visualization
from unetv2.benchmarking.benchmark import benchmark
from unetv2.benchmarking.result import Benchmark
from unetv2.classes import CAMVID, CARLA, CITYSCAPES, PASCAL_VOC, ClassTable
from unetv2.data import augmentation
from unetv2.data.dataset import make_dataset
from unetv2.data.validation import DatasetReport, check_dataset
from unetv2.evaluation.evaluate import evaluate
from unetv2.evaluation.evaluation import Evaluation
from unetv2.evaluation.report.page import write_report
from unetv2.exporting.export import export
from unetv2.exporting.exported_model import ExportedModel
from unetv2.exporting.load import load_exported
from unetv2.inference.prediction import Prediction
from unetv2.models.blocks import DecoderBlock, EncoderBlock
from unetv2.models.convolution import ConvolutionBlock
from unetv2.models.segmentation_model import SegmentationModel
from unetv2.models.unet import build_unetv2
from unetv2.precision import automatic_precision
from unetv2.prediction.directory import PredictedDirectory, predict_directory
from unetv2.prediction.predict import predict
from unetv2.prediction.video import PredictedVideo, predict_video
from unetv2.preprocessing import Preprocessing
from unetv2.training import recipes
from unetv2.training.class_weights import class_weights
from unetv2.training.trainer import Training, train

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

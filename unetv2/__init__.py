"""Semantic segmentation with a U-Net in Keras 3.

Public names are loaded when they are first used (:pep:`562`), so that ``import unetv2`` is
fast and loads neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from unetv2.registration import register_with_keras

__version__ = "0.1.0"

# The modules of the public names; a test compares them with the imports for type checkers.
_MODULES = {
    "augmentation": "unetv2.data.augmentation",
    "distributed": "unetv2.distributed",
    "losses": "unetv2.losses",
    "metrics": "unetv2.metrics",
    "recipes": "unetv2.training.recipes",
    "synthetic": "unetv2.synthetic",
    "visualization": "unetv2.visualization",
}
_PUBLIC = {
    "unetv2.benchmarking": ("Benchmark", "benchmark"),
    "unetv2.classes": (
        "CAMVID",
        "CARLA",
        "CITYSCAPES",
        "PASCAL_VOC",
        "ClassTable",
    ),
    "unetv2.data.dataset": (
        "SegmentationDataset",
        "check_dataset",
        "make_dataset",
    ),
    "unetv2.data.fingerprint": ("Fingerprint",),
    "unetv2.data.validation": ("DatasetReport",),
    "unetv2.evaluation.evaluate": ("evaluate",),
    "unetv2.evaluation.evaluation": ("Evaluation",),
    "unetv2.evaluation.report": ("write_report",),
    "unetv2.exporting.export": ("export",),
    "unetv2.exporting.exported_model": ("ExportedModel", "load_exported"),
    "unetv2.inference.prediction": ("Prediction",),
    "unetv2.models.blocks": (
        "DecoderBlock",
        "EncoderBlock",
    ),
    "unetv2.models.convolution": ("ConvolutionBlock",),
    "unetv2.models.segmentation_model": ("SegmentationModel",),
    "unetv2.models.unet": ("build_unetv2",),
    "unetv2.planning.plan": (
        "Plan",
        "plan",
    ),
    "unetv2.prediction.directory": ("PredictedDirectory",),
    "unetv2.prediction.predictor": (
        "Predictor",
        "predict",
        "predict_directory",
        "predict_video",
    ),
    "unetv2.prediction.video": ("PredictedVideo",),
    "unetv2.preprocessing": ("Preprocessing",),
    "unetv2.runtime": ("automatic_precision",),
    "unetv2.training.class_weights": ("class_weights",),
    "unetv2.training.trainer": (
        "Training",
        "train",
    ),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted({**_MODULES, **_MODULE_OF})

if TYPE_CHECKING:
    from unetv2 import distributed as distributed
    from unetv2 import losses as losses
    from unetv2 import metrics as metrics
    from unetv2 import synthetic as synthetic
    from unetv2 import visualization as visualization
    from unetv2.benchmarking import Benchmark as Benchmark
    from unetv2.benchmarking import benchmark as benchmark
    from unetv2.classes import CAMVID as CAMVID
    from unetv2.classes import CARLA as CARLA
    from unetv2.classes import CITYSCAPES as CITYSCAPES
    from unetv2.classes import PASCAL_VOC as PASCAL_VOC
    from unetv2.classes import ClassTable as ClassTable
    from unetv2.data import augmentation as augmentation
    from unetv2.data.dataset import SegmentationDataset as SegmentationDataset
    from unetv2.data.dataset import check_dataset as check_dataset
    from unetv2.data.dataset import make_dataset as make_dataset
    from unetv2.data.fingerprint import Fingerprint as Fingerprint
    from unetv2.data.validation import DatasetReport as DatasetReport
    from unetv2.evaluation.evaluate import evaluate as evaluate
    from unetv2.evaluation.evaluation import Evaluation as Evaluation
    from unetv2.evaluation.report import write_report as write_report
    from unetv2.exporting.export import export as export
    from unetv2.exporting.exported_model import ExportedModel as ExportedModel
    from unetv2.exporting.exported_model import load_exported as load_exported
    from unetv2.inference.prediction import Prediction as Prediction
    from unetv2.models.blocks import DecoderBlock as DecoderBlock
    from unetv2.models.blocks import EncoderBlock as EncoderBlock
    from unetv2.models.convolution import ConvolutionBlock as ConvolutionBlock
    from unetv2.models.segmentation_model import SegmentationModel as SegmentationModel
    from unetv2.models.unet import build_unetv2 as build_unetv2
    from unetv2.planning.plan import Plan as Plan
    from unetv2.planning.plan import plan as plan
    from unetv2.prediction.directory import PredictedDirectory as PredictedDirectory
    from unetv2.prediction.predictor import Predictor as Predictor
    from unetv2.prediction.predictor import predict as predict
    from unetv2.prediction.predictor import predict_directory as predict_directory
    from unetv2.prediction.predictor import predict_video as predict_video
    from unetv2.prediction.video import PredictedVideo as PredictedVideo
    from unetv2.preprocessing import Preprocessing as Preprocessing
    from unetv2.runtime import automatic_precision as automatic_precision
    from unetv2.training import recipes as recipes
    from unetv2.training.class_weights import class_weights as class_weights
    from unetv2.training.trainer import Training as Training
    from unetv2.training.trainer import train as train


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    if "keras" in sys.modules:
        register_with_keras()
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_with_keras()

"""What a user writes, for the type checker: mypy strict reads this file, nothing runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import unetv2


def two_folders_to_a_deployed_model(images: Path, masks: Path, work: Path) -> float:
    report: unetv2.DatasetReport = unetv2.check_dataset(images, masks, n_classes=23)
    if not report.ok:
        raise SystemExit(str(report))
    train = unetv2.make_dataset(images, masks, classes=unetv2.CARLA, subset="train")
    data = unetv2.SegmentationDataset.from_folders(images, masks, classes=unetv2.CARLA)
    validation = data.batches(subset="validation", batch_size=8)
    recipe: unetv2.recipes.Recipe = unetv2.recipes.get("fast", batch_size=4)
    model = recipe.build((96, 128, 3), 23)
    training: unetv2.Training = unetv2.train(
        model, train, validation, recipe=recipe, epochs=2, output_dir=work / "run"
    )
    best: float | None = training.best
    evaluation: unetv2.Evaluation = unetv2.evaluate(model, validation, report=work / "report")
    exported: unetv2.ExportedModel = unetv2.export(model, work / "exported", format="saved_model")
    measured: unetv2.Benchmark = unetv2.benchmark([model, exported])
    done: unetv2.PredictedDirectory = unetv2.predict_directory(exported, images, work / "masks")
    video: unetv2.PredictedVideo = unetv2.predict_video(exported, "in.mp4", work / "out.mp4")
    prediction: unetv2.Prediction = unetv2.predict(model, "street.png", tta=True)
    several: list[unetv2.Prediction] = unetv2.predict(model, ["street.png", "square.png"])
    prediction.overlay(opacity=0.3)
    mask: np.ndarray = exported.predict(np.zeros((96, 128, 3), np.uint8)).mask
    print(done.ok, video.frames, len(measured.rows), mask.shape, best, len(several))
    return float(evaluation.mean_iou)

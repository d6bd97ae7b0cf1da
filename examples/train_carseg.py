"""A U-Net that segments the images of a car's camera.

Without arguments it writes synthetic driving scenes with the 23 classes of CARLA to a cache folder,
once, and trains the best model for them in a few minutes, as planned by ``unetv2.plan``::

    python examples/train_carseg.py

The reference training, at 96x128 with Adam, cross-entropy, 40 epochs and batches of 32::

    python examples/train_carseg.py --recipe reference

On the real recordings, with CameraRGB/ and CameraMask/ in one folder::

    python examples/train_carseg.py --data-dir data --minutes 60

On any two folders of images::

    python examples/train_carseg.py --image-dir photos --mask-dir labels

All scores are computed on images that training does not use. ``--resume`` continues a run that was
stopped or killed; without it, the run starts again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

import unetv2

# Many small scenes for the plan, which are also evaluated at this size; for a recipe, 160 of 198
# are for training, five full batches.
SCENES = {"plan": (1500, (120, 160)), "recipe": (198, (480, 640))}
# Increased when the scenes change, so that old and new ones are not mixed.
SCENES_VERSION = 1
# Writing the scenes, training and evaluation take less than 8 minutes on two cores.
MINUTES = 7.0

IMAGES_SHOWN, SIZE_SHOWN = 4, (320, 240)
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data (default: synthetic scenes)")
    data.add_argument("--data-dir", type=Path, help="folder with CameraRGB/ and CameraMask/")
    data.add_argument("--image-dir", type=Path, help="folder of images")
    data.add_argument("--mask-dir", type=Path, help="folder of masks")
    data.add_argument("--val-image-dir", type=Path, help="held-out images (default: a tenth each)")
    data.add_argument("--val-mask-dir", type=Path, help="held-out masks")
    data.add_argument("--n-classes", type=int, help="classes in --mask-dir (default: inferred)")
    data.add_argument("--classes", choices=("carla", "camvid"), help="class names and colors")
    data.add_argument("--ignore-class", type=int, help="mask id of unlabeled pixels")
    parser.add_argument(
        "--recipe", choices=("plan", *unetv2.recipes.NAMES), default="plan",
        help="the best for the data and the minutes, or a fixed recipe",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=float, help=f"minutes of training by the plan (default: {MINUTES:g})"
    )
    parser.add_argument("--epochs", type=int, help="default: the plan's, or 40")
    parser.add_argument("--batch-size", type=int, help="default: the plan's, the recipe's, or 32")
    parser.add_argument(
        "--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="default: the plan's, or 96 128",
    )  # fmt: skip
    parser.add_argument("--filters", type=int, help="of the first block; default: the plan's or 32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="auto: the native precision"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/carseg"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --output")
    arguments = parser.parse_args(words)
    _check_arguments(parser, arguments)
    return arguments


def _check_arguments(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.data_dir and (arguments.image_dir or arguments.mask_dir):
        parser.error("pass --data-dir, or --image-dir and --mask-dir, not both")
    for one, other in (("image", "mask"), ("val_image", "val_mask")):
        if bool(vars(arguments)[f"{one}_dir"]) != bool(vars(arguments)[f"{other}_dir"]):
            names = [name.replace("_", "-") for name in (one, other)]
            parser.error(f"pass --{names[0]}-dir and --{names[1]}-dir together")
    if arguments.val_image_dir and not arguments.image_dir:
        parser.error("--val-image-dir and --val-mask-dir go with --image-dir and --mask-dir")
    if arguments.epochs is not None and arguments.epochs < 1:
        parser.error(f"--epochs must be 1 or more, not {arguments.epochs}")
    if arguments.minutes is not None and arguments.recipe != "plan":
        parser.error("--minutes belongs to the plan; a recipe has --epochs")


def find_data(
    arguments: argparse.Namespace,
) -> tuple[unetv2.SegmentationDataset, unetv2.SegmentationDataset]:
    """Returns the data set and that of the held-out images, the same or another one."""
    make = unetv2.SegmentationDataset.from_folders
    tables = {"carla": unetv2.CARLA, "camvid": unetv2.CAMVID}
    options = {"seed": arguments.seed, "image_size": tuple(arguments.image_size or (96, 128))}
    if not arguments.image_dir:
        root = arguments.data_dir or synthetic_scenes(arguments)
        table = tables.get(arguments.classes, unetv2.CARLA)
        if arguments.n_classes not in (None, len(table)):
            table = unetv2.ClassTable.numbered(arguments.n_classes)
        data = make(root / "CameraRGB", root / "CameraMask", classes=table, **options)
        return data, data
    options["n_classes"] = arguments.n_classes
    options["classes"] = tables.get(arguments.classes)
    options["ignore_class"] = arguments.ignore_class
    data = make(arguments.image_dir, arguments.mask_dir, **options)
    if arguments.val_image_dir is None:
        return data, data
    # The same classes, whichever of them occur.
    options |= {
        "n_classes": data.n_classes, "classes": data.classes, "ignore_class": data.ignore_class,
        "encoding": data.preprocessing.encoding,
    }  # fmt: skip
    return data, make(arguments.val_image_dir, arguments.val_mask_dir, **options)


def synthetic_scenes(arguments: argparse.Namespace) -> Path:
    """Returns the folder of the synthetic scenes, written on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unetv2"
    n_scenes, (height, width) = SCENES["plan" if arguments.recipe == "plan" else "recipe"]
    seed = arguments.seed
    directory = cache / f"scenes-v{SCENES_VERSION}-{n_scenes}-{height}x{width}-seed{seed}"
    if not directory.exists():
        print(f"Writing {n_scenes} driving scenes to {directory} ...", flush=True)
        unetv2.synthetic.write_driving_scenes(
            directory, n_scenes, image_size=(height, width), seed=seed
        )
    print(f"Driving scenes: {directory}")
    return directory


def train(
    data: unetv2.SegmentationDataset,
    validation: unetv2.SegmentationDataset,
    arguments: argparse.Namespace,
) -> unetv2.Training:
    """Trains by a plan or a recipe."""
    shared: dict[str, Any] = {
        "output_dir": arguments.output,
        "resume": arguments.resume,
        "overwrite": not arguments.resume,
        "progress": "epoch",
    }
    dtype = arguments.precision
    if dtype == "auto":
        dtype = unetv2.automatic_precision()
    if arguments.recipe == "plan":
        saved = arguments.output / "plan.json"
        if arguments.resume and saved.exists():
            plan = unetv2.Plan.load(saved, data, validation=validation)
        else:
            names = ("batch_size", "epochs", "filters", "image_size")
            given = {name: value for name in names if (value := vars(arguments)[name]) is not None}
            if "image_size" in given:
                given["image_size"] = tuple(given["image_size"])
            plan = unetv2.plan(
                data,
                minutes=arguments.minutes or MINUTES,
                validation=validation,
                seed=arguments.seed,
                **given,
            )
        print(f"{plan}\nPrecision: {dtype}.", flush=True)
        return unetv2.train(plan, **shared)

    recipe = unetv2.recipes.get(arguments.recipe)
    if arguments.batch_size:
        recipe = unetv2.recipes.get(recipe, batch_size=arguments.batch_size)
    print(f"{recipe}\nPrecision: {dtype}.", flush=True)
    model = recipe.build(
        (*tuple(arguments.image_size or (96, 128)), 3),
        cast(int, data.n_classes),
        filters=arguments.filters or 32,
        seed=arguments.seed,
        dtype=dtype,
    )
    batch_size = recipe.batch_size or 32
    return unetv2.train(
        model, data.batches(batch_size=batch_size),
        validation.batches(batch_size=batch_size, shuffle=False),
        recipe=recipe, epochs=arguments.epochs or 40, seed=arguments.seed, **shared,
    )  # fmt: skip


def evaluate(test: unetv2.SegmentationDataset, output: Path) -> dict[str, Any]:
    """Returns pixel accuracy, mean IoU and IoU per class on held-out images; writes a report."""
    evaluation = unetv2.evaluate(
        output / "model.keras", test, report=output / "report", progress=False
    )
    return {
        "images": evaluation.n_images,
        "pixel_accuracy": evaluation.pixel_accuracy,
        "mean_iou": evaluation.mean_iou,
        # A class that occurs neither in the masks nor in the predictions has no IoU.
        "iou_per_class": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(evaluation.classes.names, evaluation.iou_per_class, strict=True)
        },
    }


def draw(test: unetv2.SegmentationDataset, output: Path) -> None:
    """Draws held-out images with ground truth and prediction."""
    numbers = np.linspace(0, test.n_images - 1, min(IMAGES_SHOWN, test.n_images)).astype(int)
    pairs = [test.pairs[number] for number in numbers]
    predictions = unetv2.predict(
        output / "model.keras", [pair.image for pair in pairs], progress=False
    )
    images = [
        np.asarray(Image.open(pair.image).convert("RGB").resize(SIZE_SHOWN)) for pair in pairs
    ]
    masks = [_resized(test.read_mask(pair)) for pair in pairs]
    predicted = [_resized(prediction.mask) for prediction in predictions]
    unetv2.visualization.side_by_side(
        np.stack(images), np.stack(masks), np.stack(predicted), predictions[0].classes
    ).savefig(output / "predictions.png", dpi=120)


def _resized(mask: np.ndarray) -> np.ndarray:
    return np.asarray(
        Image.fromarray(mask.astype(np.uint8)).resize(SIZE_SHOWN, Image.Resampling.NEAREST)
    )


def main(words: Sequence[str] | None = None) -> None:
    """Trains, evaluates on held-out images and plots."""
    arguments = parse_arguments(words)
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        data, held_out = find_data(arguments)
        own = held_out is not data
        test = held_out if own else data.subset("test")
        training = train(
            data if own else data.subset("train"),
            held_out if own else data.subset("validation"),
            arguments,
        )
    # The messages explain errors in the data or the arguments; no traceback is needed.
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")

    metrics = evaluate(test, arguments.output)
    (arguments.output / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    names = ("accuracy", "val_accuracy", "mean_iou", "val_mean_iou")
    curves = {name: training.history[name] for name in names}
    unetv2.visualization.training_curves(curves).savefig(arguments.output / "accuracy.png")
    draw(test, arguments.output)
    print(
        f"Held-out: pixel accuracy {metrics['pixel_accuracy']:.3f}, "
        f"mean IoU {metrics['mean_iou']:.3f} on {metrics['images']} images.\n"
        f"Report: {arguments.output}/report/report.html\n"
        f"Model, plots and images: {arguments.output}/"
    )


if __name__ == "__main__":
    main()

"""The command ``unetv2 train``."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any, cast

import unetv2
from unetv2.cli import plan as plan_command
from unetv2.cli.options import CommandResult, add_command, add_data, add_number
from unetv2.text import counted

RECIPES = ("reference", "fast")
# Defaults with a recipe, which are those of the reference.
_IMAGE_SIZE, _EPOCHS, _BATCH_SIZE, _FILTERS = (96, 128), 40, 32, 32
# Reading the folders takes a while before anything can be planned.
_LEAST_SECONDS = 20.0


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "train",
        purpose="train a U-Net on two folders of images and masks",
        description=(
            "Trains the best U-Net for the images and masks in the time there is: sizes, network, "
            "steps and validation follow from the data, as `unetv2 plan` shows. Any option "
            "overrides the plan. With --recipe, a fixed recipe is used instead of a plan."
        ),
        epilog=(
            "example:\n  unetv2 train photos labels --minutes 30 --output runs/first\n"
            "  unetv2 train data/CameraRGB data/CameraMask --recipe reference --output runs/carseg"
            "\n\n"
            "To continue an interrupted training, run the same command with --resume.\n\n"
            "exit code: 0, or 2 for invalid arguments or a failed training, 130 after Ctrl-C"
        ),
        run=run,
        check=check,
        uses=("Plan", "SegmentationDataset", "evaluate", "plan", "recipes", "train"),
        names={"image_dir": "IMAGES", "mask_dir": "MASKS", "output_dir": "--output"},
        after_interruption="run the same command with --resume to continue",
    )
    add_data(command)
    command.add_argument("--output", required=True, metavar="FOLDER", help="output folder")
    plan_command.add_plan_options(command)
    command.add_argument("--plan", metavar="PATH", help="train by this plan of `unetv2 plan`")
    command.add_argument(
        "--recipe", choices=RECIPES,
        help="train with this recipe at 96x128 for 40 epochs, unless other options are given",
    )  # fmt: skip
    command.add_argument(
        "--cache", metavar="FOLDER", help="cache folder, with --recipe (default: memory)"
    )
    add_number(command, "--patience", "stop after N epochs without improvement")
    command.add_argument(
        "--workers", metavar="HOST:PORT,...",
        help="distributed training, with --recipe: addresses of all workers, or 'auto' to use "
        "TF_CONFIG, Slurm or the GPUs of this machine",
    )  # fmt: skip
    command.add_argument(
        "--index", type=int, metavar="N",
        help="index of this worker, from 0 (default: JOB_COMPLETION_INDEX)",
    )  # fmt: skip
    command.add_argument(
        "--resume", action="store_true", help="continue the run in the output folder"
    )
    command.add_argument(
        "--overwrite", action="store_true", help="remove the run in the output folder"
    )


def check(options: argparse.Namespace) -> None:
    """Checks the options before TensorFlow is loaded."""
    plan_command.check(options)
    if options.recipe is not None and options.plan is not None:
        raise ValueError(
            "`recipe` must not come with `plan`. "
            f"Received: recipe={options.recipe} and plan={options.plan}. Leave one out."
        )
    if options.plan is not None and not Path(options.plan).is_file():
        raise FileNotFoundError(
            "`plan` must be a JSON file. "
            f"Received: plan={options.plan}, which does not exist. Make it by `unetv2 plan`."
        )
    output = Path(options.output)
    if (output / "run.json").exists() and not (options.resume or options.overwrite):
        # Before a plan is made, which takes a while.
        raise ValueError(
            f"`output_dir` must not contain another run. Received: '{output}', which contains one. "
            "Pass resume=True to continue it, overwrite=True to remove it, or another folder."
        )
    for name in ("workers", "index", "cache"):
        if getattr(options, name) is not None and options.recipe is None:
            raise ValueError(
                f"`{name}` must come with `recipe`. Received: {name}={getattr(options, name)} and "
                "recipe=None. A plan is made for one machine and keeps images in memory."
            )
    for name in ("memory", "fold", "depth"):
        if getattr(options, name) is not None and options.recipe is not None:
            raise ValueError(
                f"`{name}` must not come with `recipe`. Received: {name}={getattr(options, name)} "
                f"and recipe={options.recipe}. It changes a plan."
            )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command."""
    shared = {
        "output_dir": options.output, "resume": options.resume, "overwrite": options.overwrite,
        "patience": options.patience, "progress": False if options.quiet else "epoch",
    }  # fmt: skip
    result = _by_recipe(options, shared) if options.recipe else _by_plan(options, shared)
    output = Path(options.output)
    if result.best is None:
        text = f"Trained {counted(len(result.epoch), 'epoch')}; there are no validation images"
    else:
        epochs = counted(1 + (result.best_epoch or 0), "epoch")
        text = f"Best validation mean IoU: {result.best:.3f}, after {epochs}"
    notes = [f"Model, checkpoint, logs and images: {output}"]
    if not options.quiet:
        if (output / "report").exists():
            notes.append(f"Report of the validation images: {output}/report/report.html")
        notes.append(f"Next: unetv2 predict {output}/model.keras IMAGES --output predictions")
    return CommandResult(
        text,
        {
            "output_dir": str(result.output_dir),
            "best_epoch": result.best_epoch,
            "best": result.best,
            "events": result.events,
            "warnings": result.warnings,
            "advice": result.advice,
            "epoch": result.epoch,
            "history": result.history,
        },
        note="\n".join(notes),
    )


def _by_plan(options: argparse.Namespace, shared: dict[str, Any]) -> unetv2.Training:
    """Trains by a plan, and writes a report of the validation images."""
    output = Path(options.output)
    saved = output / "plan.json"
    if options.plan is None and options.resume and saved.exists():
        # A new plan could differ, as it depends on the speed of the machine.
        options.plan = saved
    if options.plan is None:
        plan = plan_command.make_plan(options, options.minutes)
    else:
        data, validation = plan_command.folders(options)
        plan = unetv2.Plan.load(options.plan, data, validation=validation)
        plan = dataclasses.replace(plan, minutes=options.minutes or plan.minutes)
        plan = plan.with_options(**plan_command.overrides(options))
    if not options.quiet:
        print(f"{plan.data}\n\n{plan}\n", flush=True)
    minutes = plan.minutes
    if minutes is not None:
        # The time is that of the command.
        elapsed = time.monotonic() - options.started
        seconds = 60 * (minutes - plan.report_minutes) - elapsed
        minutes = max(_LEAST_SECONDS, seconds) / 60
    result = unetv2.train(plan, minutes=minutes, **shared)
    if result.best is not None:
        data = plan.validation_data or plan.dataset.subset("validation")
        unetv2.evaluate(
            output / "model.keras", data, report=output / "report", progress=not options.quiet
        )
    return result


def _by_recipe(options: argparse.Namespace, shared: dict[str, Any]) -> unetv2.Training:
    """Trains with a recipe on images of one size."""
    # Must precede all computations.
    strategy = _strategy(options)
    recipe = unetv2.recipes.get(options.recipe)
    if options.batch_size is not None:
        recipe = unetv2.recipes.get(recipe, batch_size=options.batch_size)
    image_size = tuple(options.image_size or _IMAGE_SIZE)
    crop_size = None if options.crop_size is None else tuple(options.crop_size)
    data, validation = plan_command.folders(options, image_size=image_size, crop_size=crop_size)
    batching: dict[str, Any] = {
        "batch_size": recipe.batch_size or _BATCH_SIZE,
        "cache": options.cache or "memory",
    }
    if validation is not None:
        batches = data.batches(**batching), validation.batches(shuffle=False, **batching)
    else:
        batches = data.batches("train", **batching), data.batches("validation", **batching)
    normalization = {"normalization": options.normalization} if options.normalization else {}
    model = recipe.build(
        (*(crop_size or image_size), data.preprocessing.channels),
        # It is given or inferred.
        cast(int, data.n_classes),
        filters=options.filters or _FILTERS,
        seed=options.seed,
        **normalization,
    )
    return unetv2.train(
        model, *batches, recipe=recipe, epochs=options.epochs or _EPOCHS, minutes=options.minutes,
        seed=options.seed, strategy=strategy, **shared,
    )  # fmt: skip


def _strategy(options: argparse.Namespace) -> Any:
    if options.workers is None and options.index is None:
        return None
    workers = None if options.workers in (None, "auto") else options.workers.split(",")
    return unetv2.distributed.connect(workers, options.index)

"""unetv2 by its plan against a U-Net of segmentation_models.pytorch, in the same processor time.

A data set is a folder with `train` and `test` (or `val`), each with `images` and `masks`. A folder
with only `images` and one folder of masks is split: every fifth image is held out. Nothing else is
said about the data, except ids of unlabeled pixels (`--ignore camvid=11`), which both are given.

For each data set:

- `unetv2 train IMAGES MASKS --output FOLDER --minutes M`, then `unetv2 predict` of the held-out
  images, without other options.
- `field_test_smp.py` with the Python of another environment, for the processor time that the
  training of unetv2 took, within twice the minutes: crops of 192 and all eight symmetries, or
  crops of 256 and flips left to right for the data sets of `--directed`. That environment needs
  `pip install torch torchvision segmentation-models-pytorch`.

Both predict at the images' own size. The scores are from a confusion matrix over all held-out
pixels (`field_masks.py`). Processor time is that of the child processes. What is finished in the
output folder with the same options is not run again.

    python benchmarks/field_data.py --output field
    python benchmarks/field_test.py field/* --minutes 10 --torch-python smp/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from field_masks import Labels, confusion, files, pairs, read_values, scores
from machine import machine
from training_runs import write_json

HERE = Path(__file__).parent
# The options on which a result depends, by contestant.
SETTINGS = {
    "unetv2": ("minutes", "train_options"),
    "smp": ("minutes", "directed", "torch_tta", "seed"),
}
CONTESTANTS = tuple(SETTINGS)
# Data sets with a direction, for the baseline; unetv2 finds out.
DIRECTED = ("camvid", "harbor", "pages")
SUBFOLDERS = ("images", "masks")
HELD_OUT_EVERY = 5
# Room for predictions, and for other load on the machine.
WALL_FACTOR = 2.0
PREDICTION_SECONDS = 1800
# On a loaded machine, PyTorch's threads would spend their processor time waiting for each other.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}


@dataclass(frozen=True)
class DataSet:
    """A data set; both folders have `images` and `masks`."""

    name: str
    train: Path
    test: Path
    ignore: int | None

    @classmethod
    def of(cls, folder: Path, copies: Path, ignore: int | None) -> DataSet:
        """Finds the folders, or splits a data set without a held-out part into `copies`."""
        if not (folder / "train").is_dir():
            folder = split(folder, copies)
        train, test = folder / "train", folder / "test"
        test = test if test.is_dir() else folder / "val"
        if not all((part / kind).is_dir() for part in (train, test) for kind in SUBFOLDERS):
            raise ValueError(
                "A data set must be a folder with `train` and `test`, each with `images` and "
                f"`masks`. Received: '{folder}'."
            )
        return cls(folder.name, train, test, ignore)


def split(folder: Path, copies: Path) -> Path:
    """Links every fifth pair of a data set into `test` and the others into `train`."""
    others = [path for path in folder.iterdir() if path.is_dir() and path.name != "images"]
    if not (folder / "images").is_dir() or len(others) != 1:
        raise ValueError(
            "A data set without `train` must have the folder `images` and one folder of masks. "
            f"Received: '{folder}'."
        )
    target = copies / folder.name
    shutil.rmtree(target, ignore_errors=True)
    for at, pair in enumerate(pairs(folder / "images", others[0])):
        part = "test" if at % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"
        for kind, path in zip(SUBFOLDERS, pair, strict=True):
            link = target / part / kind / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return target


@dataclass(frozen=True)
class Spent:
    """Wall and processor seconds of a command."""

    seconds: float
    processor_seconds: float


def run(command: list[str], log: Path, timeout: float | None) -> Spent:
    """Runs a command, with its output in a file.

    Raises:
        RuntimeError: If it fails or takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        print("$", shlex.join(command), file=file, flush=True)
        try:
            code = subprocess.run(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
                env={**os.environ, **ENVIRONMENT},
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"no end after {error.timeout:.0f} s; see '{log}'") from error
    if code:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        raise RuntimeError(f"exit code {code}: {last}; see '{log}'")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.monotonic() - started, used)


def run_unetv2(
    data: DataSet, labels: Labels, folder: Path, arguments: argparse.Namespace
) -> tuple[Path, dict[str, Any]]:
    """Trains by the plan and predicts; returns the folder of predictions and the times."""
    trained, ids, colors = folder / "unetv2", folder / "unetv2_ids", folder / "unetv2_colors"
    for old in (trained, ids, colors):
        shutil.rmtree(old, ignore_errors=True)
    program = [sys.executable, "-m", "unetv2"]
    command = [*program, "train", *(str(data.train / kind) for kind in SUBFOLDERS)]
    command += ["--output", str(trained)]
    timeout = None
    if arguments.minutes:
        command += ["--minutes", str(arguments.minutes)]
        timeout = 60 * WALL_FACTOR * arguments.minutes + 300
    if data.ignore is not None:
        command += ["--ignore-class", str(data.ignore)]
    command += shlex.split(arguments.train_options)
    training = run(command, folder / "unetv2_train.log", timeout)
    command = [*program, "predict", str(trained / "model.keras"), str(data.test / "images")]
    command += ["--output", str(ids), "--colors", str(colors)]
    prediction = run(command, folder / "unetv2_predict.log", PREDICTION_SECONDS)
    return colors if labels.in_color else ids, {
        "training_seconds": training.seconds,
        "training_processor_seconds": training.processor_seconds,
        "prediction_seconds": prediction.seconds,
        "prediction_processor_seconds": prediction.processor_seconds,
    }


def run_smp(
    data: DataSet, folder: Path, arguments: argparse.Namespace, other: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Trains and predicts with PyTorch, in the processor time of unetv2's training."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    seconds = 60 * arguments.minutes if arguments.minutes else other.get("training_seconds")
    if seconds is None:
        raise RuntimeError("`--minutes` must be given where unetv2 did not train")
    predictions, result = folder / "smp_predictions", folder / "smp_times.json"
    shutil.rmtree(predictions, ignore_errors=True)
    directed = data.name in arguments.directed
    options = {
        "images": str(data.train / "images"),
        "masks": str(data.train / "masks"),
        "test_images": str(data.test / "images"),
        "output": str(predictions),
        "result": str(result),
        "ignore": data.ignore,
        "processor_seconds": other.get("training_processor_seconds", seconds * (cores or 1)),
        "wall_seconds": WALL_FACTOR * seconds,
        "directed": directed,
        "crop": 256 if directed else 192,
        "tta": arguments.torch_tta,
        "seed": arguments.seed,
    }
    write_json(folder / "smp_options.json", options)
    script = str(HERE / "field_test_smp.py")
    command = [str(arguments.torch_python), script, str(folder / "smp_options.json")]
    timeout = WALL_FACTOR * seconds + PREDICTION_SECONDS
    whole = run(command, folder / "smp.log", timeout)
    times = json.loads(result.read_text(encoding="utf-8"))
    for kind in ("seconds", "processor_seconds"):
        times[f"prediction_{kind}"] = getattr(whole, kind) - times[f"training_{kind}"]
    return predictions, times


def scored(data: DataSet, labels: Labels, predictions: Path, ids: bool) -> dict[str, Any]:
    """Returns the scores of predictions at the images' own size."""
    matrix = np.zeros((len(labels.values), len(labels.values) + 1), np.int64)
    for image, mask in pairs(data.test / "images", data.test / "masks"):
        predicted = read_values(predictions / f"{image.stem}.png")
        predicted = labels.of_ids(predicted) if ids else predicted
        matrix += confusion(read_values(mask), predicted, labels)
    iou, dice, mean_iou = scores(matrix)
    names = [labels.name(index) for index in range(len(labels.values))]
    return {
        "mean_iou": mean_iou,
        "iou": dict(zip(names, iou, strict=True)),
        "dice": dict(zip(names, dice, strict=True)),
        "pixels": dict(zip(names, matrix.sum(1).tolist(), strict=True)),
    }


def measured(
    data: DataSet, folder: Path, arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Runs both, or reads what was finished before; a failure is a field `failed`."""
    labels = Labels.of(files(data.train / "masks"), data.ignore)
    found: dict[str, dict[str, Any]] = {}
    for name in CONTESTANTS:
        settings = {option: getattr(arguments, option) for option in SETTINGS[name]}
        finished = folder / f"{name}.json"
        before = json.loads(finished.read_text(encoding="utf-8")) if finished.exists() else {}
        if before.get("settings") == settings:
            found[name] = before
            continue
        if name not in arguments.only:
            continue
        print(f"{data.name}: {name}", flush=True)
        try:
            if name == "unetv2":
                predictions, times = run_unetv2(data, labels, folder, arguments)
            else:
                predictions, times = run_smp(data, folder, arguments, found.get("unetv2", {}))
            ids = name == "unetv2" and not labels.in_color
            scores_of_one = scored(data, labels, predictions, ids)
            found[name] = {"settings": settings, **times, **scores_of_one}
            write_json(finished, found[name])
        except (OSError, RuntimeError, ValueError) as error:
            print(f"  failed: {error}", flush=True)
            found[name] = {"failed": str(error)}
    return found


def rarest(found: dict[str, dict[str, Any]]) -> str | None:
    """Returns the class with the fewest held-out pixels."""
    for one in found.values():
        if "pixels" in one:
            counts = {name: count for name, count in one["pixels"].items() if count}
            return min(counts, key=lambda name: counts[name])
    return None


def table(sets: dict[str, Any]) -> str:
    """Returns the results as text, a line for each data set and contestant."""
    line = "{:<14} {:<8} {:>8} {:>12} {:>8} {:>14} {:>14}"
    heads = ("data set", "", "mean IoU", "rarest class", "its Dice", "processor", "prediction")
    lines = [line.format(*heads)]
    for name, one in sets.items():
        for contestant, found in one["results"].items():
            if "failed" in found:
                lines.append(f"{name:<14} {contestant:<8} failed: {found['failed']:.200}")
                continue
            lines.append(
                line.format(
                    name,
                    contestant,
                    f"{found['mean_iou']:.4f}",
                    one["rarest"],
                    f"{found['dice'][one['rarest']]:.4f}",
                    f"{found['training_processor_seconds']:.0f} s",
                    f"{found['prediction_seconds']:.0f} s",
                )
            )
    return "\n".join(lines)


def ignored(word: str) -> tuple[str, int]:
    """Returns the name and the id of `NAME=ID`."""
    name, value = word.split("=")
    return name, int(value)


def main() -> int:
    """Runs the command; the exit code is 1 if a training failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path, help="folders of data sets")
    parser.add_argument("--minutes", type=float, help="of each training (default: unetv2's choice)")
    parser.add_argument("--output", type=Path, default=Path("runs/field_test"))
    parser.add_argument("--torch-python", type=Path, help="Python with segmentation_models.pytorch")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument(
        "--ignore",
        nargs="+",
        type=ignored,
        default=[],
        metavar="NAME=ID",
        help="ids of unlabeled pixels",
    )
    parser.add_argument(
        "--directed",
        nargs="*",
        default=list(DIRECTED),
        metavar="NAME",
        help="sets with a direction",
    )
    parser.add_argument("--train-options", default="", help="further options of `unetv2 train`")
    parser.add_argument("--torch-tta", action="store_true", help="flips at PyTorch's prediction")
    parser.add_argument("--seed", type=int, default=0, help="seed of PyTorch's training")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if "smp" in arguments.only and not shutil.which(str(arguments.torch_python)):
        parser.error(
            "--torch-python must be a Python with segmentation_models.pytorch. "
            f"Received: {arguments.torch_python}. Or pass --only unetv2."
        )
    if len({path.name for path in arguments.data}) < len(arguments.data):
        parser.error("folders of data sets must have different names")
    ignore = dict(arguments.ignore)
    copies = arguments.output / "data"
    chosen = [DataSet.of(path, copies, ignore.get(path.name)) for path in arguments.data]
    sets: dict[str, Any] = {}
    for data in chosen:
        found = measured(data, arguments.output / data.name, arguments)
        counts = {
            "n_train": len(files(data.train / "images")),
            "n_test": len(files(data.test / "images")),
        }
        sets[data.name] = {**counts, "rarest": rarest(found), "results": found}
    print(table(sets))
    if arguments.json:
        versions = {
            name: one["results"]["smp"][name]
            for name in ("torch", "segmentation_models_pytorch")
            for one in sets.values()
            if name in one["results"].get("smp", {})
        }
        smp = versions.pop("segmentation_models_pytorch", None)
        figures = {"machine": machine() | versions, "minutes": arguments.minutes, "smp": smp}
        write_json(arguments.json, {**figures, "sets": sets})
    return int(any("failed" in one for data in sets.values() for one in data["results"].values()))


if __name__ == "__main__":
    sys.exit(main())

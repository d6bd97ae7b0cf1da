"""The command line: words to the public API, no logic of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from unetv2 import recipes
from unetv2.classes import CAMVID, CARLA, CITYSCAPES, PASCAL_VOC, ClassTable
from unetv2.data.checking import check_dataset
from unetv2.data.dataset import make_dataset
from unetv2.data.decoding import MAX_PIXELS
from unetv2.data.labels import ENCODINGS
from unetv2.data.pairs import SPLIT
from unetv2.distributed import connect
from unetv2.training.trainer import train

_TABLES = {"carla": CARLA, "camvid": CAMVID, "cityscapes": CITYSCAPES, "pascal_voc": PASCAL_VOC}
_WRONG_USE = 2
_INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        words: What stands after ``unetv2``; None takes the process's arguments.

    Returns:
        int. 0; 1 if the command found errors; 2 for wrong arguments or missing files; 130 if
        interrupted.
    """
    try:
        options = _parser().parse_args(words)
    # argparse leaves the process, also after --help.
    except SystemExit as leaving:
        return _WRONG_USE if leaving.code else 0
    try:
        return int(options.run(options))
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unetv2", description="Semantic segmentation with a U-Net in Keras 3."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_check(commands)
    _add_train(commands)
    return parser


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "check",
        help="find what is wrong with a data set",
        description="Reads every pair of two folders and reports all that is wrong with them.",
        epilog=(
            "example:\n  unetv2 check data/CameraRGB data/CameraMask --classes carla "
            "--report report\n\n"
            "exit code: 0 without errors, 1 with errors, 2 for wrong arguments or missing folders"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_check)
    _add_data(command)
    command.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help=f"larger pictures are not decoded (default: {MAX_PIXELS})",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the split")
    command.add_argument("--report", metavar="FOLDER", help="write text, JSON and pictures there")
    command.add_argument("--json", action="store_true", help="print JSON instead of text")
    command.add_argument("--quiet", action="store_true", help="do not show how far it is")


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "train",
        help="train a U-Net on two folders",
        description=(
            "Trains by a recipe. Without folders of its own, the validation is a part of the pairs."
        ),
        epilog=(
            "example:\n  unetv2 train data/CameraRGB data/CameraMask --n-classes 23 "
            "--output runs/carseg\n\n"
            "Run it again with --resume where it was stopped or killed."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_train)
    _add_data(command)
    command.add_argument("--val-images", metavar="FOLDER", help="folder of validation images")
    command.add_argument("--val-masks", metavar="FOLDER", help="folder of their masks")
    command.add_argument("--output", required=True, metavar="FOLDER", help="where to write")
    command.add_argument("--recipe", choices=recipes.NAMES, default="fast", help="default: fast")
    command.add_argument("--epochs", type=int, default=40, metavar="N", help="default: 40")
    command.add_argument(
        "--image-size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"),
        help="size that pictures are resized to (default: 96 128)",
    )  # fmt: skip
    command.add_argument("--batch-size", type=int, metavar="N", help="default: the recipe's, or 32")
    command.add_argument("--filters", type=int, default=32, metavar="N", help="default: 32")
    command.add_argument("--cache", default="memory", metavar="FOLDER", help="default: memory")
    command.add_argument("--patience", type=int, metavar="N", help="epochs without a better one")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything")
    command.add_argument(
        "--workers", metavar="HOST:PORT,...",
        help="train together: all workers' addresses, or 'auto' for those of TF_CONFIG, Slurm, or "
        "this machine's GPUs",
    )  # fmt: skip
    command.add_argument(
        "--index", type=int, metavar="N",
        help="number of this worker, from 0 (default: JOB_COMPLETION_INDEX)",
    )  # fmt: skip
    command.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    command.add_argument("--overwrite", action="store_true", help="remove the run in the folder")


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("images", metavar="IMAGES", help="folder of the images")
    command.add_argument("masks", metavar="MASKS", help="folder of the masks")
    _add_labels(command)
    command.add_argument(
        "--channels", type=int, default=3, metavar="N", help="channels of the images (default: 3)"
    )
    command.add_argument(
        "--image-suffix", default="", metavar="TEXT", help="what images' names end with"
    )
    command.add_argument(
        "--mask-suffix", default="", metavar="TEXT", help="what masks' names end with"
    )
    command.add_argument(
        "--group-by", metavar="REGEX", help="what names share that stay in one subset"
    )
    command.add_argument(
        "--split",
        type=float,
        nargs=3,
        default=SPLIT,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help=f"shares of the subsets (default: {' '.join(map(str, SPLIT))})",
    )


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n-classes", type=int, metavar="N", help="number of classes")
    command.add_argument(
        "--ignore-class", type=int, metavar="ID", help="id of pixels without a label"
    )
    command.add_argument(
        "--classes",
        metavar="TABLE",
        help=f"class table: {', '.join(_TABLES)}, or a .json or .csv file",
    )
    command.add_argument(
        "--encoding", choices=ENCODINGS, default="ids", help="what masks hold (default: ids)"
    )
    command.add_argument(
        "--label-map",
        type=_ids,
        action="append",
        metavar="OLD:NEW",
        help="another id for one in the files; once for each",
    )


def _table(name: str | None) -> ClassTable | None:
    if name is None:
        return None
    return _TABLES[name] if name in _TABLES else ClassTable.from_file(name)


def _ids(word: str) -> tuple[int, int]:
    try:
        old, new = map(int, word.split(":"))
    except ValueError as error:
        message = f"must be two ids, OLD:NEW, such as 7:0. Received: {word!r}."
        raise argparse.ArgumentTypeError(message) from error
    return old, new


def _label_map(pairs: Sequence[tuple[int, int]] | None) -> dict[int, int] | None:
    if pairs is None:
        return None
    label_map = dict(pairs)
    if len(label_map) < len(pairs):
        raise ValueError(
            "`--label-map` must name an id once. "
            f"Received: {' '.join(f'{old}:{new}' for old, new in pairs)}. Leave one out."
        )
    return label_map


def _data(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "n_classes": options.n_classes,
        "ignore_class": options.ignore_class,
        "classes": _table(options.classes),
        "encoding": options.encoding,
        "label_map": _label_map(options.label_map),
        "channels": options.channels,
        "image_suffix": options.image_suffix,
        "mask_suffix": options.mask_suffix,
        "split": options.split,
        "group_by": options.group_by,
        "seed": options.seed,
    }


def _check(options: argparse.Namespace) -> int:
    report = check_dataset(
        options.images,
        options.masks,
        **_data(options),
        max_pixels=options.max_pixels,
        output=options.report,
        progress=not options.quiet,
    )
    print(report.to_json() if options.json else report)
    return 0 if report.ok else 1


def _strategy(options: argparse.Namespace) -> Any:
    if options.workers is None and options.index is None:
        return None
    automatic = options.workers in (None, "auto")
    return connect(None if automatic else options.workers.split(","), options.index)


def _train(options: argparse.Namespace) -> int:
    # Before anything is computed.
    strategy = _strategy(options)
    recipe = recipes.get(options.recipe)
    if options.batch_size is not None:
        recipe = recipes.get(recipe, batch_size=options.batch_size)
    data = {**_data(options), "image_size": tuple(options.image_size), "cache": options.cache}
    if bool(options.val_images) != bool(options.val_masks):
        raise ValueError(
            "`--val-images` and `--val-masks` must come together. "
            f"Received: {options.val_images} and {options.val_masks}."
        )
    n_classes = options.n_classes or len(data["classes"] or ())
    if not n_classes:
        raise ValueError("`--n-classes` or `--classes` must be given. Received: neither.")
    own = bool(options.val_images)
    training = make_dataset(options.images, options.masks, subset=None if own else "train", **data)
    validation = (
        make_dataset(options.val_images, options.val_masks, shuffle=False, **data)
        if own
        else make_dataset(options.images, options.masks, subset="validation", **data)
    )
    model = recipe.build(
        (*options.image_size, options.channels),
        n_classes,
        filters=options.filters,
        seed=options.seed,
    )
    done = train(
        model, training, validation, recipe=recipe, epochs=options.epochs,
        output_dir=options.output, resume=options.resume, overwrite=options.overwrite,
        patience=options.patience, seed=options.seed, verbose=1 if sys.stdout.isatty() else 2,
        strategy=strategy,
    )  # fmt: skip
    print(f"Best validation mean IoU: {done.best:.3f}")
    print(f"Model, checkpoint, logs and pictures: {done.output_dir}")
    return 0

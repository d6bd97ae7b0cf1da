"""Tables of the published results of each benchmark.

A layout reads every field of its benchmark: it shows it, or drops it by name. Unknown fields
raise an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmark_fields import Fields, number, numbers


@dataclass(frozen=True)
class Table:
    """Column titles and rows of a table."""

    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


Layout = Callable[[Fields], list[Table]]


def flat(*patterns: str, drop: tuple[str, ...] = ()) -> Layout:
    """Returns the layout with one result per row, whose names match one of the patterns."""

    def layout(fields: Fields) -> list[Table]:
        fields.drop(*drop)
        rows = []
        for name in fields.names():
            if any(re.fullmatch(pattern, name) for pattern in patterns):
                value = fields.take(name, int, float, list)
                rows.append((name, numbers(value if isinstance(value, list) else [value])))
        return [Table(("figure", "value"), rows)]

    return layout


def train_step(fields: Fields) -> list[Table]:
    """Images per second by network."""
    speed = fields.part("images_a_second")
    rows = []
    for name in speed.names():
        one = speed.part(name)
        # On an accelerator, inference is measured with one backend only.
        inference = one.shown("infer") if "infer" in one.names() else ""
        rows.append((name, one.shown("train"), inference))
        one.done()
    return [Table(("images per second", "training", "inference"), rows)]


def scaling(fields: Fields) -> list[Table]:
    """Several workers compared with one, and an estimate for many."""
    fields.drop("load_before")
    rows = []
    for case in fields.parts("measured"):
        case.drop("seconds", "efficiency")
        alone, together = case.numbers("images_a_second")
        workers = case.take("workers", int)
        rows.append((
            f"{case.take('dtype', str)}, gradients in {case.take('gradients', str)}",
            f"{case.shown('seconds_alone')} s, {number(alone)} images/s",
            f"{workers}: {case.shown('seconds_together')} s, {number(together)} images/s",
            case.shown("times"),
            f"{case.shown('loopback_bytes_a_step', 1e-6)} MB",
        ))  # fmt: skip
        case.done()
    heads = ("a step", "1 worker", "workers", "times as fast", "sent")
    model, modelled = fields.part("model"), []
    counts: tuple[str, ...] = ()
    for name in model.names():
        row = model.part(name)
        counts = tuple(row.names())
        shares = [row.part(count).take("efficiency", float) for count in counts]
        modelled.append((name, *(f"{100 * share:.0f} %" for share in shares)))
    return [Table(heads, rows), Table(("on paper: efficiency with workers", *counts), modelled)]


def gradient_precision(fields: Fields) -> list[Table]:
    """A row for each precision of the gradients."""
    fields.drop("runs")
    rows = []
    for name in fields.names():
        one = fields.part(name)
        spread = one.part("last_spread")
        figures = [spread.shown(figure) for figure in ("mean", "sd")]
        each, losses = one.numbers("last"), one.numbers("last_loss")
        row = (name, str(len(one.take("seeds", list))), *figures, numbers(each), numbers(losses))
        rows.append((*row, one.shown("rollbacks")))
        one.done()
    heads = ("gradients in", "runs", "mean IoU", "deviation", "each seed", "loss, each seed",
             "rollbacks")  # fmt: skip
    return [Table(heads, rows)]


def deployment(fields: Fields) -> list[Table]:
    """A row for each artifact, and the ratios."""
    fields.drop("settings", "parity")
    heads = ("", "ms a frame, median", "95 %", "99 %", "frames/s, batch 32", "MB", "memory, MB",
             "start, s", "mean IoU")  # fmt: skip
    rows = []
    for row in fields.parts("rows"):
        row.drop("format", "precision")
        rows.append((
            row.take("name", str), *map(number, row.numbers("latency_ms")),
            row.shown("throughput"), row.shown("file_bytes", 1e-6), row.shown("peak_bytes", 1e-6),
            row.shown("startup_s"), row.shown("mean_iou"),
        ))  # fmt: skip
        row.done()
    return [Table(heads, rows), *flat(".*")(fields.part("ratios"))]


def camvid_fullsize(fields: Fields) -> list[Table]:
    """Both phases, and each class."""
    fields.drop("arguments", "seconds_measured", "seconds", "mean_iou")
    rows = []
    for phase, images in (("first", "half the size"), ("whole", "full size")):
        one = fields.part(phase)
        one.drop("epochs_planned")
        rollbacks = len(one.take("events", list))
        minutes = one.shown("training_seconds", 1 / 60)
        rows.append((images, one.shown("epochs"), minutes, str(rollbacks), one.shown("mean_iou")))
        one.done()
    heads = ("images", "epochs", "minutes", "rollbacks", "mean IoU then")
    classes = fields.part("iou")
    return [Table(heads, rows), Table(("class", "IoU"), [
        (name, classes.shown(name)) for name in classes.names()
    ])]  # fmt: skip


def architecture(fields: Fields) -> list[Table]:
    """A row for each variant, compared with the first one."""
    fields.drop("arguments")
    rows: list[tuple[str, ...]] = []
    first: list[float] = []
    for name in fields.names():
        one = fields.part(name)
        iou, cost = one.numbers("mean_iou"), one.numbers("cost")
        one.done()
        first = first or cost
        share = median(own / other for own, other in zip(cost, first, strict=False))
        rows.append((name, number(mean(iou)), numbers(iou), f"{share:.2f}"))
    return [Table(("variant", "mean IoU", "each seed", "cost, first is 1"), rows)]


def time_to_accuracy(fields: Fields) -> list[Table]:
    """A row for each training, and the comparisons of the short and the long one."""
    fields.drop("runs")
    rows: list[tuple[str, ...]] = []
    compared: list[tuple[str, str]] = []
    for name in fields.names():
        part = fields.part(name)
        part.drop("last_spread", "best_spread", "first_epoch_seconds", "total_seconds")
        lists = ("seeds", "training_seconds", "processor_seconds", "last", "best")
        columns = [part.numbers(column) for column in lists]
        epochs, precision = part.shown("epochs"), part.take("precision", str)
        for (seed, *figures), events in zip(
            zip(*columns, strict=True), part.take("events", list), strict=True
        ):
            head = (f"{name}, seed {seed}", epochs, precision)
            rows.append((*head, *map(number, figures), str(len(events))))
        for more in part.names():
            if re.fullmatch(r"goal|epochs_to_goal|.*_to_goal|times_less_.*|.*_against_.*", more):
                value = part.take(more, int, float, list)
                values = value if isinstance(value, list) else [value]
                words = ("never" if one is None else number(one) for one in values)
                compared.append((f"{name}: {more.replace('_', ' ')}", ", ".join(words)))
        part.done()
    heads = ("training", "epochs", "precision", "training s", "processor s", "mean IoU, last epoch",
             "best epoch", "rollbacks")  # fmt: skip
    return [Table(heads, rows), Table(("compared, seed by seed", "value"), compared)]


def stability(fields: Fields) -> list[Table]:
    """A row for each recipe."""
    fields.drop("runs")
    rows = []
    for name in fields.names():
        recipe = fields.part(name)
        seeds, failed = recipe.take("seeds", list), recipe.take("failed_seeds", list)
        jumps, rollbacks = recipe.take("collapses", list), recipe.take("rollbacks", list)
        recipe.drop("last")
        # A recipe that failed with every seed has no standard deviation.
        spread = recipe.take("last_spread", dict, type(None)) or {}
        iou = (number(spread[one]) if spread else "" for one in ("mean", "sd", "min", "max"))
        counts = (len(seeds) + len(failed), len(failed), sum(jumps), sum(rollbacks))
        rows.append((name, *map(str, counts), *iou))
        recipe.done()
    heads = ("recipe", "runs", "failed", "collapses", "rollbacks", "mean IoU", "deviation",
             "smallest", "largest")  # fmt: skip
    return [Table(heads, rows)]


def accelerator(fields: Fields) -> list[Table]:
    """Images per second by network."""
    fields.drop("batch_size")
    return train_step(fields)


def field_test(fields: Fields) -> list[Table]:
    """A row for each data set and program."""
    fields.drop("minutes", "smp")
    rows = []
    sets = fields.part("sets")
    for name in sets.names():
        one = sets.part(name)
        images = f"{one.shown('n_train')} + {one.shown('n_test')}"
        rarest = one.take("rarest", str)
        results = one.part("results")
        for program in results.names():
            found = results.part(program)
            found.drop("settings", "iou", "pixels", "steps", "torch", "segmentation_models_pytorch",
                       "prediction_processor_seconds")  # fmt: skip
            rows.append((
                name, images, "unetv2" if program == "unetv2" else "PyTorch",
                found.shown("mean_iou"), number(found.part("dice").take(rarest, float)),
                found.shown("training_seconds", 1 / 60),
                found.shown("training_processor_seconds", 1 / 60),
                found.shown("prediction_seconds"),
            ))  # fmt: skip
            found.done()
        one.done()
    heads = ("data set", "images", "", "mean IoU", "Dice, rarest class", "training, min",
             "processor min", "prediction, s")  # fmt: skip
    return [Table(heads, rows)]


LAYOUTS: dict[str, Layout] = {
    "accelerator": accelerator,
    "architecture": architecture,
    "camvid_fullsize": camvid_fullsize,
    "data_pipeline": flat(
        ".*: pairs per second.*", "seconds to .*", ".*: cached bytes per pair", "megabytes over .*"
    ),
    "deployment": deployment,
    "field_test": field_test,
    "gradient_precision": gradient_precision,
    "inference": flat(
        r"ms a frame( in \w+)?, .*", r"a frame's time( in \w+)?, over .*", "GFLOP/s, .*",
        "(frames/s at 32|windows/s|share of the network's|seconds), .*", "GB resident at most, .*",
        drop=("rounds", "filters", "memory_filters", "channels"),
    ),
    "pairing": flat("pairs|train|seconds_.*|megabytes_.*"),
    "scaling": scaling,
    "stability": stability,
    "time_to_accuracy": time_to_accuracy,
    "train_step": train_step,
    "trainer_overhead": flat(
        "seconds an epoch, .*", "ratio of .*", "median of .*",
        drop=("steps", "validation_steps", "filters", "epochs", "seed", "seconds"),
    ),
}  # fmt: skip

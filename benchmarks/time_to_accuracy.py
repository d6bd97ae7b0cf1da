"""Time to the accuracy of the reference, and accuracy in the time of the reference.

On CamVid at 96x128 with 11 classes, without unlabeled pixels, or on a folder with the same layout,
`{train,val}/{images,masks}`. Everything runs on one machine, seed by seed:

- `reference`: the recipe "reference" in float32, batches of 32, 40 epochs. Its training seconds,
  and the validation mean IoU of the last epoch.
- `short`: the recipe "fast" for few epochs. Its training seconds until the validation mean IoU
  reaches that of the reference, and the ratio of the reference's seconds to them.
- `long`: "fast" for a number of epochs with about the cost of the reference. Its training seconds,
  and the validation mean IoU of the last and of the best epoch over the seeds.

The processor time is printed too, which other load on the machine hardly changes: on a loaded
machine, compare it instead.

Training seconds are from the begin of an epoch to the end of its last batch. They include graph
building, but not validation, checkpoints and the first reading of the files. The total without the
reading is printed too. An interrupted command resumes from `--output`.

    python benchmarks/time_to_accuracy.py --data ../shared/data/camvid --seeds 3
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from training_runs import Split, add_data, run, spread, write_runs

from unetv2.training.recipes import FAST, REFERENCE

IMAGE_SIZE = (96, 128)
PARTS = ("reference", "short", "long")

Runs = dict[str, list[dict[str, Any]]]


def trained(arguments: argparse.Namespace) -> Runs:
    """Trains the requested parts; finished runs in the output folder count too."""
    split = Split.of(arguments.data, arguments.n_classes, arguments.ignore_class)
    plans = {
        "reference": (REFERENCE, arguments.reference_epochs, arguments.reference_seeds),
        "short": (FAST, arguments.short_epochs, arguments.seeds),
        "long": (FAST, arguments.long_epochs, arguments.seeds),
    }
    runs: Runs = {part: [] for part in plans}
    # Seed by seed, so that other load on the machine affects all parts.
    for seed in range(max(arguments.seeds, arguments.reference_seeds)):
        for part, (recipe, epochs, seeds) in plans.items():
            folder = arguments.output / f"{recipe.name}_{epochs}_epochs_seed_{seed}"
            wanted = part in arguments.parts or (folder / "result.json").exists()
            if seed < seeds and wanted:
                print(f"{part}, seed {seed}: {folder}", flush=True)
                runs[part].append(
                    run(
                        folder,
                        recipe,
                        split,
                        image_size=IMAGE_SIZE,
                        epochs=epochs,
                        filters=arguments.filters,
                        seed=seed,
                    )
                )
    return runs


def epochs_until(found: dict[str, Any], goal: float) -> int | None:
    """Returns the epochs until a validation mean IoU is reached, or None."""
    for epoch, score in enumerate(found["val_mean_iou"], start=1):
        if score >= goal:
            return epoch
    return None


def times_faster(
    runs: Runs, reached: list[int | None], kind: str
) -> tuple[list[float | None], list[float | None]]:
    """Returns the seconds of a kind until the goal, and the reference's seconds divided by them."""
    whole = statistics.mean(sum(found[kind]) for found in runs["reference"])
    seconds = [
        sum(found[kind][:epochs]) if epochs else None
        for found, epochs in zip(runs["short"], reached, strict=True)
    ]
    return seconds, [whole / spent if spent else None for spent in seconds]


def summarize(runs: Runs) -> dict[str, Any]:
    """Returns the results of all runs and their comparison."""
    figures: dict[str, Any] = {}
    for part, found in runs.items():
        if found:
            figures[part] = {
                "seeds": [one["seed"] for one in found],
                "epochs": found[0]["epochs"],
                "precision": found[0]["precision"],
                "training_seconds": [sum(one["training_seconds"]) for one in found],
                "processor_seconds": [sum(one["processor_seconds"]) for one in found],
                "total_seconds": [sum(one["total_seconds"]) for one in found],
                "first_epoch_seconds": [one["training_seconds"][0] for one in found],
                "last": [one["val_mean_iou"][-1] for one in found],
                "best": [max(one["val_mean_iou"]) for one in found],
                "events": [one["events"] for one in found],
            }
    for part in figures.values():
        part["last_spread"], part["best_spread"] = spread(part["last"]), spread(part["best"])
    if "reference" not in figures:
        return figures
    goal = statistics.mean(figures["reference"]["last"])
    if "short" in figures:
        reached = [epochs_until(found, goal) for found in runs["short"]]
        figures["short"] |= {"goal": goal, "epochs_to_goal": reached}
    for kind in ("training_seconds", "processor_seconds"):
        if "short" in figures:
            seconds, times = times_faster(runs, reached, kind)
            figures["short"] |= {f"{kind}_to_goal": seconds, f"times_less_{kind}": times}
        if "long" in figures:
            whole = statistics.mean(figures["reference"][kind])
            cost = [spent / whole for spent in figures["long"][kind]]
            figures["long"][f"{kind}_against_reference"] = cost
    return figures


def show(figures: dict[str, Any]) -> None:
    """Prints a line for each run, and the comparisons."""
    print(
        f"\n{'part':10} {'seed':>4} {'epochs':>6} {'training s':>10} "
        f"{'processor s':>11} {'total s':>8} "
        f"{'last mIoU':>9} {'best mIoU':>9} {'events':>6}"
    )
    for name, part in figures.items():
        for number, seed in enumerate(part["seeds"]):
            print(
                f"{name:10} {seed:4} {part['epochs']:6} {part['training_seconds'][number]:10.1f} "
                f"{part['processor_seconds'][number]:11.1f} "
                f"{part['total_seconds'][number]:8.1f} {part['last'][number]:9.3f} "
                f"{part['best'][number]:9.3f} {len(part['events'][number]):6}"
            )
    for name, part in figures.items():
        for kind in ("last", "best"):
            values = part[f"{kind}_spread"]
            print(
                f"{name}, {kind} mean IoU: {values['mean']:.3f} +- {values['sd']:.3f}, "
                f"{values['min']:.3f} to {values['max']:.3f}, {values['n']} seeds"
            )
    short = figures.get("short", {})
    for number, epochs in enumerate(short.get("epochs_to_goal", [])):
        name = f"short, seed {short['seeds'][number]}: mean IoU {short['goal']:.3f}"
        if epochs is None:
            print(f"{name} not reached in {short['epochs']} epochs")
            continue
        print(
            f"{name} after {epochs} epochs, {short['training_seconds_to_goal'][number]:.1f} s: "
            f"{short['times_less_training_seconds'][number]:.2f} times faster; "
            f"{short['processor_seconds_to_goal'][number]:.1f} s of the processor: "
            f"{short['times_less_processor_seconds'][number]:.2f} times less"
        )
    long = figures.get("long", {})
    for number, cost in enumerate(long.get("training_seconds_against_reference", [])):
        print(
            f"long, seed {long['seeds'][number]}: {cost:.2f} times the seconds, "
            f"{long['processor_seconds_against_reference'][number]:.2f} times the processor's"
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--seeds", type=int, default=3, help="of short and long, from 0")
    parser.add_argument("--reference-seeds", type=int, default=1)
    parser.add_argument("--reference-epochs", type=int, default=40)
    parser.add_argument("--short-epochs", type=int, default=14)
    parser.add_argument("--long-epochs", type=int, default=100)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated parts to train")
    parser.add_argument("--output", type=Path, default=Path("runs/time_to_accuracy"))
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown:
        parser.error(f"--parts must be of {', '.join(PARTS)}. Received: {', '.join(unknown)}.")
    runs = trained(arguments)
    figures = summarize(runs)
    show(figures)
    write_runs(arguments.json, figures, runs)


if __name__ == "__main__":
    main()

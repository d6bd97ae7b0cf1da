"""Frequency of failed trainings, and variation of the result between seeds.

Trains each recipe with each seed, a small network on CamVid or on synthetic scenes, and counts

- collapses: epochs after the fifth whose training loss is more than twice the lowest one before, in
  the same phase of the recipe, since losses of different image sizes are not comparable;
- rollbacks: how often `unetv2.train` returned to a checkpoint. It does so after such a jump, so a
  collapse that it detects is counted as a rollback only.

A run that `unetv2.train` stops after five rollbacks counts as failed. The mean and the standard
deviation of the last epoch's validation mean IoU are printed too. An interrupted command resumes
from `--output`.

    python benchmarks/stability.py --data ../shared/data/camvid --seeds 10
    python benchmarks/stability.py --scenes 400 --seeds 10
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from training_runs import Split, add_data, run, spread, write_runs

from unetv2.training import recipes

# In the first epochs the loss varies strongly.
EPOCHS_BEFORE = 5
JUMP = 2.0


def collapses(losses: list[float], phases: list[tuple[int, int, float]]) -> int:
    """Counts the epochs whose loss jumped or is not a number.

    Args:
        losses: The training loss of each epoch.
        phases: ``(start, end, scale)`` of each phase of progressive resizing.
    """
    count = 0
    for start, end, _ in phases:
        lowest = math.inf
        for epoch in range(start, min(end, len(losses))):
            loss = losses[epoch]
            jumped = not math.isfinite(loss) or loss > JUMP * lowest
            count += jumped and epoch >= EPOCHS_BEFORE
            lowest = min(lowest, loss)
    return count


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Trains each recipe with each seed; the recipes alternate."""
    size, width = tuple(arguments.image_size), arguments.filters
    shape = "x".join(map(str, size))
    if arguments.scenes:
        split = Split.made_up(
            arguments.output / f"{arguments.scenes}_scenes", arguments.scenes, size
        )
    else:
        split = Split.of(arguments.data, arguments.n_classes, arguments.ignore_class)
    data = f"{arguments.scenes}_scenes" if arguments.scenes else arguments.data.name
    runs = []
    for seed in range(arguments.seeds):
        for name in arguments.recipes.split(","):
            recipe = recipes.get(name)
            folder = (
                arguments.output
                / f"{data}_{name}_{width}_filters_{arguments.epochs}_epochs_{shape}_seed_{seed}"
            )
            print(f"{name}, seed {seed}: {folder}", flush=True)
            try:
                found = run(
                    folder, recipe, split, image_size=size, epochs=arguments.epochs,
                    filters=arguments.filters, seed=seed,
                )  # fmt: skip
            except RuntimeError as error:
                print(error)
                runs.append({"recipe": {"name": name}, "seed": seed, "failed": str(error)})
                continue
            found["collapses"] = collapses(found["loss"], recipe.phases(arguments.epochs))
            runs.append(found)
    return runs


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures of each recipe."""
    figures: dict[str, Any] = {}
    for name in dict.fromkeys(found["recipe"]["name"] for found in runs):
        tried = [found for found in runs if found["recipe"]["name"] == name]
        own = [found for found in tried if "failed" not in found]
        last = [found["val_mean_iou"][-1] for found in own]
        figures[name] = {
            "seeds": [found["seed"] for found in own],
            "collapses": [found["collapses"] for found in own],
            "rollbacks": [len(found["events"]) for found in own],
            "last": last,
            "last_spread": spread(last) if last else None,
            "failed_seeds": [found["seed"] for found in tried if "failed" in found],
        }
    return figures


def show(figures: dict[str, Any]) -> None:
    """Prints a line for each seed and one for each recipe."""
    print(f"\n{'recipe':10} {'seed':>4} {'collapses':>9} {'rollbacks':>9} {'last mIoU':>9}")
    for name, recipe in figures.items():
        columns = (recipe[kind] for kind in ("seeds", "collapses", "rollbacks", "last"))
        for seed, jumps, rollbacks, last in zip(*columns, strict=True):
            print(f"{name:10} {seed:4} {jumps:9} {rollbacks:9} {last:9.3f}")
    for name, recipe in figures.items():
        last = recipe["last_spread"]
        print(
            f"{name}: {len(recipe['failed_seeds'])} failed; in {len(recipe['seeds'])} others "
            f"{sum(recipe['collapses'])} collapses and {sum(recipe['rollbacks'])} rollbacks"
        )
        if last:
            print(
                f"{name}: mean IoU {last['mean']:.3f} +- {last['sd']:.3f}, "
                f"{last['min']:.3f} to {last['max']:.3f}"
            )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, scenes=True)
    parser.add_argument("--recipes", default=",".join(recipes.NAMES), help="comma-separated names")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--image-size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--output", type=Path, default=Path("runs/stability"))
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    runs = measure(arguments)
    figures = summarize(runs)
    show(figures)
    write_runs(arguments.json, figures, runs)


if __name__ == "__main__":
    main()

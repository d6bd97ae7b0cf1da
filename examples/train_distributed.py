"""Trains with several workers, here processes of this machine that communicate over loopback.

    python examples/train_distributed.py                # two workers, one thread each
    python examples/train_distributed.py --workers 4 --epochs 10

Compared with a training on one machine, it calls `connect()` at its start and passes `strategy=` to
`train`. On several machines, start one process on each with the same `--addresses`; see
docs/distributed.rst. First, one worker makes a few steps alone, for comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCENE_SIZE = (96, 128)
FIRST_STEPS = 2  # Slower, as they build graphs.


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Returns the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--epochs", type=int, default=2, help="number of epochs")
    parser.add_argument("--scenes", type=int, default=128, help="number of synthetic images")
    parser.add_argument(
        "--batch-size", type=int, default=32, help="images per step, of all workers"
    )
    parser.add_argument("--filters", type=int, default=32, help="filters of the first level")
    parser.add_argument("--output", type=Path, default=Path("runs/distributed"))
    parser.add_argument(
        "--compare-steps", type=int, default=4, help="steps of one worker; 0 skips them"
    )
    parser.add_argument("--deadline", type=float, default=3600.0, help="timeout in seconds")
    parser.add_argument("--index", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--addresses", default="", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="workers", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def work(arguments: argparse.Namespace) -> None:
    """Trains as one worker."""
    import keras
    import tensorflow as tf

    import unetv2

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    addresses = arguments.addresses.split(",")
    # Must precede all computations; waits for the other workers.
    strategy = unetv2.distributed.connect(addresses, arguments.index)

    class Clock(keras.callbacks.Callback):
        """Measures steps, and ends a comparison after so many."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []
            self._last = 0.0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            """Starts the clock."""
            self._last = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Stops it."""
            self.seconds.append(time.perf_counter() - self._last)
            enough = FIRST_STEPS + arguments.compare_steps
            if arguments.name == "alone" and len(self.seconds) >= enough:
                self.model.stop_training = True

    folder = arguments.output / "scenes"
    train, validation = (
        unetv2.make_dataset(
            folder / "CameraRGB",
            folder / "CameraMask",
            classes=unetv2.CARLA,
            image_size=SCENE_SIZE,
            batch_size=arguments.batch_size,
            subset=subset,
        )
        for subset in ("train", "validation")
    )
    recipe = unetv2.recipes.get("reference", batch_size=arguments.batch_size)
    model = recipe.build((*SCENE_SIZE, 3), len(unetv2.CARLA), filters=arguments.filters, seed=0)
    clock = Clock()
    alone = arguments.name == "alone"
    unetv2.train(
        model,
        train,
        None if alone else validation,
        recipe=recipe,
        epochs=arguments.epochs,
        output_dir=arguments.output / arguments.name,
        overwrite=True,
        callbacks=[clock],
        strategy=strategy,
        progress=True if sys.stdout.isatty() else "epoch",
    )
    if arguments.index == 0:
        steps = clock.seconds[FIRST_STEPS:] or clock.seconds
        (arguments.output / f"{arguments.name}.json").write_text(json.dumps(steps))


def steps_per_second(arguments: argparse.Namespace, name: str, n: int) -> float:
    """Trains with some workers and returns the median number of steps per second."""
    from local_workers import LocalWorkers, free_addresses

    addresses = free_addresses(n)
    command = [sys.executable, __file__, *sys.argv[1:], "--name", name]
    command += ["--addresses", ",".join(addresses)]
    commands = [[*command, "--index", str(index)] for index in range(n)]
    cores = None
    if arguments.threads == 1 and hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    with LocalWorkers(commands, arguments.output / "logs", cores=cores) as workers:
        code = workers.wait(arguments.deadline)
        if code:
            for number in range(1, n):
                print(workers.log(number).read_text(errors="replace")[-2000:], file=sys.stderr)
            sys.exit(f"error: a worker ended with code {code}")
    seconds = json.loads((arguments.output / f"{name}.json").read_text())
    return 1 / statistics.median(seconds)


def main(words: Sequence[str] | None = None) -> None:
    """Starts the workers, or trains as one of them."""
    arguments = parse_arguments(words)
    if arguments.index is not None:
        work(arguments)
        return
    import unetv2

    folder = arguments.output / "scenes"
    if not folder.exists():
        print(f"Writing {arguments.scenes} driving scenes to {folder} ...", flush=True)
        unetv2.synthetic.write_driving_scenes(folder, arguments.scenes, image_size=SCENE_SIZE)
    alone = None
    if arguments.compare_steps:
        print("One worker, to compare with:", flush=True)
        alone = steps_per_second(arguments, "alone", 1)
    print(f"{arguments.workers} workers:", flush=True)
    together = steps_per_second(arguments, "workers", arguments.workers)
    print(f"{arguments.workers} workers: {together:.2f} steps per second", end="")
    print("." if alone is None else f", one worker {alone:.2f}: {together / alone:.2f} times.")
    print(f"Model, logs and images: {arguments.output / 'workers'}")


if __name__ == "__main__":
    main()

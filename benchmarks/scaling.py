"""Speed of one worker on one core compared with several workers on one core each.

All processes run from the beginning and alternate step by step, so that other load on the machine
affects all of them; medians are compared. The bytes on the loopback interface are counted. From
both, the efficiency of 8 to 256 workers is estimated for networks with a given bandwidth and
latency: the computation of a step, followed by a ring all-reduce without overlap.

    python benchmarks/scaling.py --json scaling.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import machine

N_CLASSES, IMAGE_SIZE = 23, (96, 128)
# Gigabits per second and seconds, as in clouds and clusters.
NETWORKS = {"1 Gbit/s, 100 us": (1, 1e-4), "10 Gbit/s, 50 us": (10, 5e-5),
            "100 Gbit/s, 10 us": (100, 1e-5)}  # fmt: skip
WORKERS = (8, 16, 32, 64, 128, 256)


def work(arguments: argparse.Namespace) -> None:
    """Runs a worker that makes a step for each line of input, and prints its seconds."""
    os.sched_setaffinity(0, {arguments.core})
    import keras
    import numpy as np
    import tensorflow as tf

    import unetv2
    from unetv2.distributed.collectives import Collectives
    from unetv2.distributed.loop import Steps
    from unetv2.distributed.replication import pool, replicate

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    addresses = arguments.addresses.split(",")
    strategy = unetv2.distributed.connect(addresses, arguments.index)
    model = unetv2.build_unetv2(
        (*IMAGE_SIZE, 3), N_CLASSES, dtype=arguments.dtype, filters=arguments.filters,
        normalization=arguments.normalization, seed=0,
    )  # fmt: skip
    own = arguments.batch_size // len(addresses)
    rng = np.random.default_rng(arguments.index)
    images = rng.random((own, *IMAGE_SIZE, 3), dtype=np.float32)
    masks = rng.integers(0, N_CLASSES, (own, *IMAGE_SIZE, 1), dtype=np.int32)
    loss = unetv2.losses.CrossEntropyDice()
    if strategy is None:
        model.compile(keras.optimizers.Adam(1e-4, global_clipnorm=1.0), loss)
        batch = tf.constant(images), tf.constant(masks)

        def step() -> Any:
            return model.train_on_batch(*batch)

    else:
        model = replicate(model, Collectives(strategy), synchronize=True)
        pool(loss)
        with strategy.scope():
            model.compile(keras.optimizers.Adam(1e-4, global_clipnorm=1.0), loss)
            model.optimizer.build(model.trainable_variables)
        part = tf.data.Dataset.from_tensors((images, masks, np.int32(own))).repeat()
        iterator = iter(strategy.distribute_datasets_from_function(lambda _: part))
        steps = Steps(model, strategy, arguments.gradients)
        flags = np.zeros(2, np.float32)

        def step() -> Any:
            return np.asarray(steps.train(iterator, flags))

    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


class Group:
    """Worker processes that make steps together."""

    def __init__(self, n: int, dtype: str, gradients: str, arguments: argparse.Namespace) -> None:
        sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))
        from local_workers import free_addresses

        self.n = n
        addresses = ",".join(free_addresses(n))
        cores = sorted(os.sched_getaffinity(0))
        shape = ["--batch-size", str(arguments.batch_size), "--filters", str(arguments.filters)]
        if arguments.normalization:
            shape += ["--normalization", arguments.normalization]
        self._children = [
            subprocess.Popen(
                [sys.executable, __file__, "--index", str(index), "--addresses", addresses,
                 "--core", str(cores[index % len(cores)]), "--dtype", dtype,
                 "--gradients", gradients, *shape],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for index in range(n)
        ]  # fmt: skip

    def hear(self) -> list[str]:
        """Returns a line of output of each worker."""
        lines = []
        for child in self._children:
            assert child.stdout is not None
            line = child.stdout.readline()
            if not line:
                raise RuntimeError("A worker ended; see its traceback above.")
            lines.append(line)
        return lines

    def step(self) -> tuple[float, int]:
        """Returns the seconds of a step, the slowest worker's, and bytes on loopback."""
        before = loopback_bytes()
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        return max(map(float, self.hear())), loopback_bytes() - before

    def end(self) -> None:
        """Ends all workers."""
        for child in self._children:
            child.kill()
            child.wait()


def loopback_bytes() -> int:
    """Returns the bytes sent on the loopback interface."""
    for line in Path("/proc/net/dev").read_text(encoding="utf-8").splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[8])
    return 0


def predicted(
    seconds: float, gradient_bytes: float, n: int, bits_a_second: float, latency: float
) -> dict[str, float]:
    """Returns a step of n workers, and its efficiency: a ring all-reduce after the computation.

    A ring sends 2 (n - 1) / n times the gradients from each worker, in 2 (n - 1) turns: Patarasuk
    and Yuan, 2009, doi:10.1016/j.jpdc.2008.09.002.
    """
    sent = 2 * (n - 1) / n * gradient_bytes * 8 / bits_a_second + 2 * (n - 1) * latency
    return {"step_seconds": seconds + sent, "efficiency": seconds / (seconds + sent)}


def measure(dtype: str, gradients: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns medians of one worker's and of several workers' steps, measured alternately."""
    groups = [Group(1, dtype, gradients, arguments)]
    try:
        groups.append(Group(arguments.workers, dtype, gradients, arguments))
        for group in groups:
            group.hear()
        seconds: list[list[float]] = [[], []]
        sent: list[int] = []
        for number in range(arguments.rounds + 2):
            for place, group in enumerate(groups):
                taken, count = group.step()
                if number > 1:
                    seconds[place].append(taken)
                    sent += [count] if place else []
    finally:
        for group in groups:
            group.end()
    alone, together = map(statistics.median, seconds)
    return {
        "dtype": dtype,
        "gradients": gradients,
        "workers": arguments.workers,
        "seconds_alone": alone,
        "seconds_together": together,
        "times": alone / together,
        "efficiency": alone / together / arguments.workers,
        "images_a_second": [arguments.batch_size / alone, arguments.batch_size / together],
        "loopback_bytes_a_step": statistics.median(sent),
        "seconds": seconds,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32, help="of all workers together")
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--normalization", choices=("batch",), default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", metavar="DTYPE:GRADIENTS",
                        default=["float32:float32", "mixed_bfloat16:bfloat16"])  # fmt: skip
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    for hidden in ("--index", "--core"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    for hidden in ("--addresses", "--dtype", "--gradients"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.index is not None:
        work(arguments)
        return
    load = os.getloadavg()
    pairs = [case.split(":") for case in arguments.cases]
    found = []
    for dtype, gradients in pairs:
        case = measure(dtype, gradients, arguments)
        found.append(case)
        print(
            f"{case['dtype']}, gradients in {case['gradients']}: 1 worker "
            f"{case['seconds_alone']:.2f} s a step, {case['workers']} workers "
            f"{case['seconds_together']:.2f} s: {case['times']:.2f} times, "
            f"{case['loopback_bytes_a_step'] / 1e6:.1f} MB on loopback",
            flush=True,
        )
    # The batch grows with the number of workers: each has as many images as one of two.
    model: dict[str, Any] = {}
    for case in found:
        size = 4 if case["gradients"] == "float32" else 2
        own = case["seconds_alone"] / case["workers"]
        for network, (gigabits, latency) in NETWORKS.items():
            row = {n: predicted(own, 8_640_471 * size, n, gigabits * 1e9, latency) for n in WORKERS}
            model[f"{case['dtype']}, {network}"] = row
            shares = "  ".join(f"{n}: {100 * one['efficiency']:.0f} %" for n, one in row.items())
            print(f"estimate, {case['dtype']}, {network}: {shares}")
    if arguments.json:
        result = {"machine": machine(), "load_before": load, "measured": found, "model": model}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Batches that are computed on other machines, by ``tf.data``'s service.

``python -m unetv2.distributed --port 5050`` on a machine of many cores starts it.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from unetv2.data.dataset_info import info_of


def served(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Has a data set's batches computed by a ``tf.data`` service.

    All workers of a training get the same batches in the same order, of which each takes its part,
    so nothing else changes. What runs there is the data set's graph: it must consist of
    TensorFlow's own functions, and read files that the service sees.

    Args:
        dataset: Batches of ``(image, mask)`` that end, in an order that seeds decide.
        address: str. ``"host:port"`` of the service.

    Returns:
        tf.data.Dataset of the same batches.

    Raises:
        ValueError: If the data set is one of ``make_dataset``, which reads with Python's functions,
            or the number of its batches is not known.

    Example:
        >>> dispatcher, worker = unetv2.distributed.start_service(0)
        >>> batches = tf.data.Dataset.range(4).map(lambda number: number * number).batch(2)
        >>> address = dispatcher.target.removeprefix("grpc://")
        >>> [batch.numpy().tolist() for batch in unetv2.distributed.served(batches, address)]
        [[0, 1], [4, 9]]
    """
    if info_of(dataset) is not None:
        raise ValueError(
            "`dataset` must consist of TensorFlow's functions to be served. Received: one of "
            "`make_dataset`, which reads with Python's. Save what it prepares, "
            "`make_dataset(...).unbatch().save(folder)`, and serve `tf.data.Dataset.load(folder)`."
        )
    n_batches = int(dataset.cardinality())
    if n_batches < 0:
        raise ValueError(
            "`dataset` must say how many batches it has. Received: one that does not, or that "
            "never ends. `tf.data.experimental.assert_cardinality` says it."
        )
    there = dataset.apply(
        tf.data.experimental.service.distribute(
            # Each training worker has a job of its own there, from the first batch to the last.
            processing_mode=tf.data.experimental.service.ShardingPolicy.OFF,
            service=f"grpc://{address}",
        )
    )
    return there.apply(tf.data.experimental.assert_cardinality(n_batches))


def start_service(port: int, host: str = "localhost") -> tuple[Any, Any]:
    """Starts a ``tf.data`` service in this process: who is asked, and who computes.

    One computes, with all cores: several would each go through all of the data.

    Args:
        port: int in [0, 65535]. Where it is asked; 0 takes a free one.
        host: str. The name by which others reach this machine.

    Returns:
        tuple ``(dispatcher, worker)``; it runs as long as both are kept.

    Example:
        >>> dispatcher, worker = unetv2.distributed.start_service(0)
        >>> dispatcher.target.startswith("grpc://")
        True
    """
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
    address = dispatcher.target.split("://")[1]
    config = service.WorkerConfig(address, worker_address=f"{host}:%port%")
    return dispatcher, service.WorkerServer(config)


def main(words: Sequence[str] | None = None) -> None:
    """Runs a service until it is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m unetv2.distributed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--port", type=int, default=5050, help="default: 5050")
    parser.add_argument(
        "--host", default=socket.gethostname(), help="this machine's name (default: %(default)s)"
    )
    arguments = parser.parse_args(words)
    dispatcher, _worker = start_service(arguments.port, arguments.host)
    port = dispatcher.target.rsplit(":", 1)[1]
    print(f"Serving at {arguments.host}:{port}; private networks only.", flush=True)
    dispatcher.join()

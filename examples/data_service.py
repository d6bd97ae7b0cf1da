"""Computes the batches of a training on another machine, with the ``tf.data`` service.

    python examples/data_service.py --port 5050

starts the service, on a machine with many cores. :func:`served` is for the script of the training.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from unetv2.data.dataset_info import info_of


def served(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """Returns a data set whose batches a ``tf.data`` service computes.

    All workers of a training receive the same batches in the same order, and each uses its part.
    The service runs the graph of the data set, which must consist of TensorFlow functions and read
    files that the service can access.

    Args:
        dataset: Batches of ``(image, mask)`` that end, in an order that seeds determine.
        address: str. ``"host:port"`` of the service.

    Returns:
        tf.data.Dataset of the same batches.

    Raises:
        ValueError: If the data set is one of ``make_dataset``, which reads files in Python, or has
            an unknown cardinality.
    """
    if info_of(dataset) is not None:
        raise ValueError(
            "`dataset` must consist of TensorFlow functions. Received: a data set of "
            "`make_dataset`, which reads files in Python. Save its output by "
            "`make_dataset(...).unbatch().save(folder)`, and serve `tf.data.Dataset.load(folder)`."
        )
    n_batches = int(dataset.cardinality())
    if n_batches < 0:
        raise ValueError(
            "`dataset` must have a known cardinality. Received: a data set of unknown or infinite "
            "cardinality. Set it by `.apply(tf.data.experimental.assert_cardinality(n))`."
        )
    result = dataset.apply(
        tf.data.experimental.service.distribute(
            # Each training worker receives all batches.
            processing_mode=tf.data.experimental.service.ShardingPolicy.OFF,
            service=f"grpc://{address}",
        )
    )
    return result.apply(tf.data.experimental.assert_cardinality(n_batches))


def start_service(port: int, host: str = "localhost") -> tuple[Any, Any]:
    """Starts a ``tf.data`` service in this process.

    It has a single worker that uses all cores; each further one would compute all of the data.

    Args:
        port: int in [0, 65535]. Port of the dispatcher; 0 selects a free one.
        host: str. Name of this machine for other machines.

    Returns:
        tuple ``(dispatcher, worker)``. The service runs while both are referenced.
    """
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
    address = dispatcher.target.split("://")[1]
    config = service.WorkerConfig(address, worker_address=f"{host}:%port%")
    return dispatcher, service.WorkerServer(config)


def main(words: Sequence[str] | None = None) -> None:
    """Runs a service until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=5050, help="default: 5050")
    parser.add_argument(
        "--host", default=socket.gethostname(), help="this machine's name (default: %(default)s)"
    )
    arguments = parser.parse_args(words)
    dispatcher, _worker = start_service(arguments.port, arguments.host)
    port = dispatcher.target.rsplit(":", 1)[1]
    print(f"Serving at {arguments.host}:{port}; private networks only.", flush=True)
    dispatcher.join()


if __name__ == "__main__":
    main()

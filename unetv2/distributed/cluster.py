"""Addresses of the workers, from a list or a scheduler's environment variables."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from unetv2.arguments import require_integer

_ADDRESS = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:,/\[\]]+):([0-9]{1,5})")
_CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, and the index of this process among them.

    Worker 0 is the chief, which writes all files.

    Args:
        workers: ``"host:port"`` of each, in the same order everywhere.
        index: int, at least 0. The number of this worker.

    Raises:
        ValueError: If an address is malformed or duplicated, or the index is out of range.
        TypeError: If the index is not an integer.

    Example:
        >>> cluster = unetv2.distributed.Cluster(["10.0.0.1:2222", "10.0.0.2:2222"], index=1)
        >>> cluster.address, cluster.is_chief
        ('10.0.0.2:2222', False)
    """

    workers: Sequence[str]
    index: int

    def __post_init__(self) -> None:
        """Checks the addresses."""
        if isinstance(self.workers, str) or not self.workers:
            raise ValueError(
                "`workers` must be a list of 'host:port', one for each worker. "
                f"Received: workers={self.workers!r}."
            )
        object.__setattr__(self, "workers", tuple(self.workers))
        for number, address in enumerate(self.workers):
            match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
            if match is None or not 0 < int(match[1]) < 65536:
                raise ValueError(
                    "Each of `workers` must be 'host:port' with a port in [1, 65535]. "
                    f"Received: {address!r} for worker {number}."
                )
        for number, address in enumerate(self.workers):
            first = self.workers.index(address)
            if first < number:
                raise ValueError(
                    "`workers` must not contain duplicates. Received: "
                    f"'{address}' for worker {first} and for worker {number}. Each process of a "
                    "machine needs its own port."
                )
        index = require_integer(
            "index", self.index, 0, "It is this worker's position in `workers`."
        )
        if index >= len(self.workers):
            raise ValueError(
                f"`index` must be below the number of workers, {len(self.workers)}. "
                f"Received: index={index}. The first worker is number 0."
            )

    @property
    def address(self) -> str:
        """The address of this worker."""
        return self.workers[self.index]

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the chief."""
        return self.index == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Cluster | None:
        """Returns the cluster of a scheduler's environment variables.

        These are ``TF_CONFIG``, which Kubeflow sets, and the variables of a Slurm step of several
        tasks.

        Args:
            environment: Variables by name; None uses the process's.

        Returns:
            Cluster, or None without such variables.

        Raises:
            ValueError: If the variables are malformed.
        """
        environment = os.environ if environment is None else environment
        if environment.get("TF_CONFIG"):
            return _from_tf_config(environment["TF_CONFIG"])
        if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
            return _from_slurm(environment)
        return None

    def resolver(self) -> Any:
        """Returns the ``tf.distribute.cluster_resolver`` of the cluster."""
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.workers)}),
            task_type="worker",
            task_id=self.index,
            rpc_layer="grpc",
        )

    def listen(self) -> socket.socket:
        """Listens on this worker's port, exclusively.

        TensorFlow would share the port with another process that allows it, and each would receive
        the other's messages.

        Returns:
            socket.socket. The listening socket, to be closed by the caller.

        Raises:
            OSError: If the port is in use, or the address is not one of this machine.
        """
        host, port = split_address(self.address)
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            server = socket.socket(family, kind, protocol)
            try:
                # Reuses the port of a job that has just ended.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(address)
                server.listen(64)
            except OSError:
                server.close()
                raise
        except OSError as error:
            advice = {
                errno.EADDRINUSE: "Another program or job uses the port: choose another one",
                errno.EADDRNOTAVAIL: "This machine does not have that address: check `index`",
            }.get(error.errno or 0, "Check the host name and the port")
            raise OSError(
                error.errno,
                f"Worker {self.index} must be able to listen at '{self.address}'. "
                f"Received: {error.strerror or error}. {advice}, in the `workers` of all workers",
            ) from error
        return server

    def unreachable(self) -> list[int]:
        """Returns the indices of the other workers that do not accept connections."""
        others = [number for number in range(len(self.workers)) if number != self.index]
        if not others:
            return []
        with ThreadPoolExecutor(min(64, len(others))) as threads:
            reachable = list(threads.map(lambda number: _accepts(self.workers[number]), others))
        return [number for number, accepts in zip(others, reachable, strict=True) if not accepts]


def _accepts(address: str) -> bool:
    try:
        socket.create_connection(split_address(address), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port of an address."""
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def _from_tf_config(text: str) -> Cluster:
    message = (
        '`TF_CONFIG` must be JSON such as {"cluster": {"worker": ["host:port", ...]}, '
        f'"task": {{"type": "worker", "index": 0}}}}. Received: {text!r}'
    )
    try:
        config = json.loads(text)
        jobs = {name: list(hosts) for name, hosts in config["cluster"].items()}
        kind, index = config["task"]["type"], int(config["task"]["index"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{message} ({type(error).__name__}: {error}).") from error
    # The chief precedes the workers; evaluators and parameter servers are not supported.
    unsupported = sorted({*jobs, kind} - {"chief", "worker"})
    if unsupported or kind not in jobs or len(jobs.get("chief", ())) > 1:
        raise ValueError(
            f"{message}. The jobs must be 'worker' and at most one 'chief', and the task's type "
            "one of these."
        )
    chiefs = jobs.get("chief", [])
    number = index if kind == "chief" else len(chiefs) + index
    if not 0 <= index < len(jobs[kind]):
        raise ValueError(f"{message}. There is no {kind} {index}.")
    return Cluster([*chiefs, *jobs.get("worker", [])], number)


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    port = int(environment.get("UNETV2_PORT", "8888"))
    try:
        # One device per task: to count GPUs, TensorFlow would need nvidia-smi.
        tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        workers = resolver.cluster_spec().as_dict()["worker"]
        _, index = resolver.get_task_info()
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            "Slurm's variables must be those that `srun` sets for a step of several tasks. "
            f"Received: {error}. Start the program with `srun`, or pass `workers` and `index`."
        ) from error
    return Cluster(workers, int(index))

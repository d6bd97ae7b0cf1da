"""Who takes part in a training: from words, or from what a scheduler left in the environment."""

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

_FORM = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:,/\[\]]+):([0-9]{1,5})")
_KNOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, and which of them this process is.

    Worker 0 is the chief: it alone writes.

    Args:
        workers: ``"host:port"`` of each, in the same order everywhere.
        index: int, at least 0. The number of this one.

    Raises:
        ValueError: If an address is malformed or named twice, or the index is none of them.
        TypeError: If the index is no integer.

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
            match = _FORM.fullmatch(address) if isinstance(address, str) else None
            if match is None or not 0 < int(match[1]) < 65536:
                raise ValueError(
                    "Each of `workers` must be 'host:port', the port in [1, 65535]. "
                    f"Received: {address!r} for worker {number}."
                )
        for number, address in enumerate(self.workers):
            before = self.workers.index(address)
            if before < number:
                raise ValueError(
                    "Each of `workers` must have an address of its own. Received: "
                    f"'{address}' for worker {before} and for worker {number}. Processes on one "
                    "machine need a port each."
                )
        index = require_integer("index", self.index, 0, "It is this worker's place in `workers`.")
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
        """Whether this worker is the one that writes."""
        return self.index == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Cluster | None:
        """Returns the cluster that a scheduler described, or None.

        Looked at are ``TF_CONFIG``, which Kubeflow sets, and the variables of a Slurm step of
        several tasks.

        Args:
            environment: Variables by name; None takes the process's.

        Returns:
            Cluster, or None where nothing is described.

        Raises:
            ValueError: If the description makes no sense.
        """
        environment = os.environ if environment is None else environment
        if environment.get("TF_CONFIG"):
            return _from_tf_config(environment["TF_CONFIG"])
        if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
            return _from_slurm(environment)
        return None

    def resolver(self) -> Any:
        """Returns it as TensorFlow takes it, a ``tf.distribute.cluster_resolver``."""
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.workers)}),
            task_type="worker",
            task_id=self.index,
            rpc_layer="grpc",
        )

    def listen(self) -> socket.socket:
        """Opens this worker's port, where no other program may listen.

        TensorFlow would share a port with another process that shares it too, and each would get
        what is meant for the other.

        Returns:
            socket.socket. It listens, and is to be closed.

        Raises:
            OSError: If it is in use, or not on this machine.
        """
        host, port = split_address(self.address)
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            door = socket.socket(family, kind, protocol)
            try:
                # Connections of a job that has just ended do not count.
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind(place)
                door.listen(64)
            except OSError:
                door.close()
                raise
        except OSError as error:
            advice = {
                errno.EADDRINUSE: "Another program, or another job, has the port: take another",
                errno.EADDRNOTAVAIL: "That is no address of this machine: check `index`",
            }.get(error.errno or 0, "Check the name and the port")
            raise OSError(
                error.errno,
                f"Worker {self.index} must be able to listen at '{self.address}'. "
                f"Received: {error.strerror or error}. {advice}, in `workers` of all workers",
            ) from error
        return door

    def silent(self) -> list[int]:
        """Returns the numbers of the other workers at whose address nobody opens."""
        others = [number for number in range(len(self.workers)) if number != self.index]
        if not others:
            return []
        with ThreadPoolExecutor(min(64, len(others))) as threads:
            opens = list(threads.map(lambda number: _opens(self.workers[number]), others))
        return [number for number, there in zip(others, opens, strict=True) if not there]


def _opens(address: str) -> bool:
    try:
        socket.create_connection(split_address(address), timeout=_KNOCK_SECONDS).close()
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
        described = json.loads(text)
        jobs = {name: list(hosts) for name, hosts in described["cluster"].items()}
        kind, index = described["task"]["type"], int(described["task"]["index"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{message} ({type(error).__name__}: {error}).") from error
    # A chief comes before the workers; evaluators and parameter servers are not for this.
    foreign = sorted({*jobs, kind} - {"chief", "worker"})
    if foreign or kind not in jobs or len(jobs.get("chief", ())) > 1:
        raise ValueError(
            f"{message}. Its jobs must be 'worker', and 'chief' for one of them; the task's type "
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
        # As many devices as tasks: its own count needs nvidia-smi, also where there is no GPU.
        tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        workers = resolver.cluster_spec().as_dict()["worker"]
        _, index = resolver.get_task_info()
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            "Slurm's variables must describe a step of several tasks, as `srun` sets them. "
            f"Received: {error}. Start the program with `srun`, or pass `workers` and `index`."
        ) from error
    return Cluster(workers, int(index))

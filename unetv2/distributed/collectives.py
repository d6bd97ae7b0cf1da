"""Collective operations of workers, outside of the training steps."""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.data.pipeline import Shard

_STRATEGIES = ("MirroredStrategy", "MultiWorkerMirroredStrategy", "OneDeviceStrategy")
# 64 MiB per message.
_WORDS_AT_ONCE = 1 << 24


class Collectives:
    """Collective operations of the workers of a synchronous strategy.

    All workers must call all methods in the same order.

    Args:
        strategy: A ``tf.distribute.Strategy``.

    Raises:
        TypeError: If the strategy is not synchronous.
    """

    def __init__(self, strategy: Any) -> None:
        if type(strategy).__name__.removesuffix("V1") not in (
            *_STRATEGIES,
            "CollectiveAllReduceStrategy",
        ):
            raise TypeError(
                f"`strategy` must be one of {', '.join(_STRATEGIES)}. Received: strategy of type "
                f"{type(strategy).__name__}. Pass the result of `unetv2.distributed.connect`."
            )
        self.strategy = strategy
        self._sums: dict[Any, Any] = {}
        resolver = getattr(strategy, "cluster_resolver", None)
        jobs = {} if resolver is None else resolver.cluster_spec().as_dict()
        self.addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        self.index = 0
        if resolver is not None and len(self.addresses) > 1:
            n_chiefs = len(jobs.get("chief", [])) if resolver.task_type == "worker" else 0
            self.index = n_chiefs + int(resolver.task_id)

    @property
    def n_workers(self) -> int:
        """Number of processes."""
        return max(1, len(self.addresses))

    @property
    def n_replicas(self) -> int:
        """Number of devices of all workers."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        """Whether this is worker 0, which writes the output folder."""
        return self.index == 0

    @property
    def shard(self) -> Shard:
        """The replicas of this worker."""
        local = self.n_replicas // self.n_workers
        return Shard(self.index * local, local, self.n_replicas)

    def name(self, index: int) -> str:
        """Returns a worker's number and address, for messages."""
        return f"worker {index} ({self.addresses[index]})" if self.addresses else "this process"

    def run_per_replica(self, function: Callable[[], Any]) -> None:
        """Calls a function once per local replica."""
        # In a graph, as TensorFlow warns about eager calls.
        tf.function(lambda: self.strategy.run(function), autograph=False)()

    def reduce_sum(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of the workers' arrays, which have the same shape and dtype."""
        if self.n_workers == 1:
            return array
        if array.dtype not in self._sums:
            self._sums[array.dtype] = self._build_sum(array.dtype)
        total = self._sums[array.dtype](tf.constant(array.reshape(-1)))
        return np.asarray(total).reshape(array.shape)

    def _build_sum(self, dtype: Any) -> Any:
        strategy = self.strategy

        def replica(values: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            number = context.replica_id_in_sync_group
            # Only the first replica of a worker contributes.
            first = tf.equal(number % (self.n_replicas // self.n_workers), 0)
            return context.all_reduce("SUM", tf.where(first, values, tf.zeros_like(values)))

        @tf.function(input_signature=[tf.TensorSpec((None,), dtype)], autograph=False)
        def run(values: tf.Tensor) -> Any:
            return strategy.experimental_local_results(strategy.run(replica, args=(values,)))[0]

        return run

    def gather(self, value: Any) -> list[Any]:
        """Returns the values of all workers, which must be JSON-serializable, by worker."""
        if self.n_workers == 1:
            return [value]
        text = np.frombuffer(json.dumps(value).encode(), np.uint8).astype(np.int32)
        lengths = np.zeros(self.n_workers, np.int32)
        lengths[self.index] = len(text)
        lengths = self.reduce_sum(lengths)
        texts = np.zeros((self.n_workers, max(1, int(lengths.max()))), np.int32)
        texts[self.index, : len(text)] = text
        texts = self.reduce_sum(texts).astype(np.uint8)
        return [
            json.loads(row[:length].tobytes()) for row, length in zip(texts, lengths, strict=True)
        ]

    def broadcast(self, value: Any) -> Any:
        """Returns the chief's value, which must be picklable, on all workers."""
        if self.n_workers == 1:
            return value
        content = pickle.dumps(value) if self.is_chief else b""
        n_bytes = int(self.reduce_sum(np.array([len(content)], np.int64))[0])
        words = np.zeros(-(-n_bytes // 4), np.int32)
        words.view(np.uint8)[: len(content)] = np.frombuffer(content, np.uint8)
        for start in range(0, len(words), _WORDS_AT_ONCE):
            part = slice(start, start + _WORDS_AT_ONCE)
            words[part] = self.reduce_sum(words[part])
        return pickle.loads(words.view(np.uint8)[:n_bytes].tobytes())

    def run_everywhere(self, action: str, function: Callable[[], Any]) -> Any:
        """Calls a function on each worker; an error on one worker is raised on all.

        Args:
            action: str. Name of the action, for the message.
            function: Returns this worker's result.

        Raises:
            RuntimeError: If it failed on another worker.
            Exception: The error of this worker.
        """
        result, failure = None, None
        try:
            result = function()
        except Exception as error:
            failure = error
        errors = self.gather(None if failure is None else f"{type(failure).__name__}: {failure}")
        if failure is not None:
            raise failure
        received = [
            f"from {self.name(number)}: {error}"
            for number, error in enumerate(errors)
            if error is not None
        ]
        if received:
            raise RuntimeError(
                f"All workers must be able to {action}. Received, {'; '.join(received)}"
            )
        return result

    def run_on_chief(self, action: str, function: Callable[[], Any]) -> Any:
        """Calls a function on the chief and returns its picklable result on all workers.

        Raises:
            RuntimeError: If it failed on the chief.
        """
        return self.broadcast(
            self.run_everywhere(action, function if self.is_chief else lambda: None)
        )

    @contextlib.contextmanager
    def chief_context(self, action: str, make: Callable[[], Any]) -> Iterator[None]:
        """Enters a context on the chief, while all workers run the body.

        Raises:
            RuntimeError: If the chief cannot enter it; on all workers.
        """
        with contextlib.ExitStack() as stack:
            self.run_everywhere(
                action, lambda: stack.enter_context(make()) if self.is_chief else None
            )
            yield

"""What workers tell each other beside the steps: who differs, what the chief decided."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, TracebackType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.data.pipeline import Share
from unetv2.losses import Sum
from unetv2.losses.base import SegmentationLoss

_KINDS = ("MirroredStrategy", "MultiWorkerMirroredStrategy", "OneDeviceStrategy")


class Crew:
    """The workers of a training, seen by one of them; alone where there is no strategy.

    Every method but the properties is to be called by all workers, in the same order.

    Args:
        strategy: Of ``tf.distribute``, or None.

    Raises:
        TypeError: If it is of a kind that does not work in step.
    """

    def __init__(self, strategy: Any = None) -> None:
        if strategy is not None and type(strategy).__name__.removesuffix("V1") not in (
            *_KINDS,
            "CollectiveAllReduceStrategy",
        ):
            raise TypeError(
                f"`strategy` must be one of {', '.join(_KINDS)}. Received: "
                f"{type(strategy).__name__}. `unetv2.distributed.connect` returns the right one."
            )
        self.strategy = strategy
        self._sums: dict[Any, Any] = {}
        resolver = getattr(strategy, "cluster_resolver", None)
        jobs = {} if resolver is None else resolver.cluster_spec().as_dict()
        self.addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        self.index = 0
        if resolver is not None and len(self.addresses) > 1:
            before = len(jobs.get("chief", [])) if resolver.task_type == "worker" else 0
            self.index = before + int(resolver.task_id)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return max(1, len(self.addresses))

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the one that writes."""
        return self.index == 0

    @property
    def replicas(self) -> int:
        """How many devices all workers have."""
        return 1 if self.strategy is None else int(self.strategy.num_replicas_in_sync)

    @property
    def share(self) -> Share:
        """Which part of each batch is this worker's."""
        own = self.replicas // self.size
        return Share(self.index * own, own, self.replicas)

    def name(self, index: int) -> str:
        """Returns what a worker is called in messages."""
        return f"worker {index} ({self.addresses[index]})" if self.addresses else "this process"

    def scope(self) -> Any:
        """Returns the context in which variables are made."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def each(self, act: Callable[[], Any]) -> Any:
        """Does something once for each of this worker's replicas."""
        if self.strategy is None:
            return act()
        # In a graph, as TensorFlow warns of anything else.
        return tf.function(lambda: self.strategy.run(act), autograph=False)()

    def total(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of the workers' arrays, which have one shape and dtype."""
        if self.size == 1:
            return array
        array = np.asarray(array)
        if array.dtype not in self._sums:
            self._sums[array.dtype] = self._summing(array.dtype)
        summed = self._sums[array.dtype](tf.constant(array.reshape(-1)))
        return np.asarray(summed).reshape(array.shape)

    def _summing(self, dtype: Any) -> Any:
        strategy = self.strategy

        def replica(own: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            number = context.replica_id_in_sync_group
            # A worker counts once, however many devices it has.
            first = tf.equal(number % (self.replicas // self.size), 0)
            return context.all_reduce("SUM", tf.where(first, own, tf.zeros_like(own)))

        @tf.function(input_signature=[tf.TensorSpec((None,), dtype)], autograph=False)
        def run(own: tf.Tensor) -> Any:
            return strategy.experimental_local_results(strategy.run(replica, args=(own,)))[0]

        return run

    def exchange(self, content: Any) -> list[Any]:
        """Returns what all workers gave, in their order; anything that JSON knows."""
        if self.size == 1:
            return [content]
        text = np.frombuffer(json.dumps(content).encode(), np.uint8).astype(np.int32)
        lengths = np.zeros(self.size, np.int32)
        lengths[self.index] = len(text)
        lengths = self.total(lengths)
        texts = np.zeros((self.size, max(1, int(lengths.max()))), np.int32)
        texts[self.index, : len(text)] = text
        texts = self.total(texts).astype(np.uint8)
        return [
            json.loads(row[:length].tobytes()) for row, length in zip(texts, lengths, strict=True)
        ]

    def together(self, what: str, act: Callable[[], Any]) -> Any:
        """Does something on each worker; where it fails on one it fails on all, with its words.

        Args:
            what: str. What is done, for the message.
            act: Returns the result.

        Raises:
            RuntimeError: If it failed on another worker.
            Exception: What failed here.
        """
        result, failed = None, None
        try:
            result = act()
        except Exception as error:
            failed = error
        told = self.exchange(None if failed is None else f"{type(failed).__name__}: {failed}")
        if failed is not None:
            raise failed
        wrong = [
            f"{self.name(number)} says {text}"
            for number, text in enumerate(told)
            if text is not None
        ]
        if wrong:
            raise RuntimeError(f"All workers must be able to {what}. Received: {'; '.join(wrong)}")
        return result

    @contextlib.contextmanager
    def chief_holds(self, what: str, make: Callable[[], Any]) -> Iterator[None]:
        """Has the chief be in a context, made by a function, while all do what is within.

        Raises:
            RuntimeError: If it cannot enter; on all workers.
        """
        with contextlib.ExitStack() as held:
            self.together(what, lambda: held.enter_context(make()) if self.is_chief else None)
            yield

    def by_chief(self, what: str, act: Callable[[], Any]) -> Any:
        """Has the chief do something, and returns its result, which JSON knows, on all workers.

        Raises:
            RuntimeError: If it failed there.
        """
        result = self.together(what, act if self.is_chief else lambda: None)
        return self.exchange(result)[0]

    def from_chief(self, arrays: Sequence[np.ndarray] | None) -> list[np.ndarray]:
        """Returns the chief's arrays on all workers; what others give is not looked at."""
        if self.size == 1:
            return list(arrays or ())
        arrays = list(arrays or ()) if self.is_chief else []
        kinds = self.exchange([[str(array.dtype), list(array.shape)] for array in arrays])[0]
        found = []
        for number, (dtype, shape) in enumerate(kinds):
            # What is sent knows few types; of these the bytes arrive as they are.
            plain = dtype in ("float32", "int32", "int64")
            size = int(np.prod(shape, dtype=np.int64)) * (1 if plain else np.dtype(dtype).itemsize)
            sent = np.zeros(size, dtype if plain else np.int32)
            if self.is_chief:
                flat = np.ascontiguousarray(arrays[number]).reshape(-1)
                sent[:] = flat if plain else flat.view(np.uint8)
            sent = self.total(sent)
            whole = sent if plain else sent.astype(np.uint8).view(dtype)
            found.append(whole.reshape(shape))
        return found


def pool(loss: keras.losses.Loss) -> None:
    """Has a loss take its sums over the whole batch, not over a replica's part.

    A weighted mean over pixels, or Dice, is a ratio of sums: the mean of the replicas' ratios is
    another number. What is not made of sums, such as Lovász's sorting, stays each replica's own.

    Args:
        loss: Of this library; changed in place.
    """
    if isinstance(loss, Sum):
        for part in loss.losses:
            pool(part)
    elif isinstance(loss, SegmentationLoss):
        loss.pool = _means_over_replicas


def _means_over_replicas(sums: list[Any]) -> list[Any]:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return sums
    return list(context.all_reduce("MEAN", sums))


_STOP, _SAVE = range(2)


class PreemptedError(RuntimeError):
    """A worker was told to end by SIGTERM; all have, after saving.

    Args:
        message: str. When it was, and what to do.

    Example:
        >>> issubclass(unetv2.distributed.PreemptedError, RuntimeError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Signals:
    """Told by each worker with its part of a step, and heard by all after it.

    A worker that is told to end by SIGTERM says so, and all of them save and end after the same
    step. Only the chief's clock says when a checkpoint is due.

    Args:
        crew: The workers.
        seconds: float. Longest time between two checkpoints.
    """

    def __init__(self, crew: Crew, seconds: float) -> None:
        self._crew = crew
        self._seconds = seconds
        self._saved = time.monotonic()
        self._terminated = threading.Event()
        self._before: Any = None
        self._watched = threading.current_thread() is threading.main_thread()
        self.stop = self.save = False

    def __enter__(self) -> Signals:
        """Listens to SIGTERM."""
        if self._watched:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Has SIGTERM do what it did."""
        if self._watched:
            # None is a handler of TensorFlow's, which does nothing about it.
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._terminated.set()

    def own(self) -> np.ndarray:
        """Returns what this worker says with the next step."""
        due = self._crew.is_chief and time.monotonic() - self._saved >= self._seconds
        said = np.zeros(2, np.float32)
        said[_STOP], said[_SAVE] = self._terminated.is_set(), due
        return said

    def hear(self, total: Sequence[float]) -> None:
        """Takes what all said."""
        self.stop, self.save = total[_STOP] > 0, total[_SAVE] > 0
        if self.save:
            self._saved = time.monotonic()

"""Reads damaged files: each must be read correctly or raise an error with its name.

A valid file of each kind that the library reads is changed by bit flips, cuts, insertions and
extreme sizes, also with corrected checksums. The outcome of reading a mutant is one of:

- ``same``: the content of the valid file; ``refused``: a documented error with the file's name;
- ``other``: other content. This is a fault if a checksum covers the whole file;
- ``unnamed``: an error of another type, or without the name; ``crash``: the process died; ``hang``:
  no result in time; ``memory``: more memory than allowed. These are always faults.

The exit code is 1 if there is a fault. The same seed gives the same mutants. Readers run in
separate processes.

    python benchmarks/mutants.py --mutants 20000 --seed 0
    python benchmarks/mutants.py --mutants 2000 --only "PNG, gray" --keep faults
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mutant_files import Kind, kinds, summary
from mutations import Mutant, mutant

OUTCOMES = ("same", "refused", "other", "unnamed", "crash", "hang", "memory")
FAULTS = ("unnamed", "crash", "hang", "memory")
# Beyond what a process has once everything is loaded.
_ADDRESSES = 3 * 2**30
_RESIDENT = 2**29
_SHOWN = 3


class Task(NamedTuple):
    """A mutant to read.

    Attributes:
        kind: int. The number of its kind.
        number: int. Which one of it.
    """

    kind: int
    number: int


class Result(NamedTuple):
    """What became of a mutant.

    Attributes:
        outcome: str. One of ``OUTCOMES``.
        fault: bool. Whether it is one.
        note: str. What was changed, and what was said.
    """

    outcome: str
    fault: bool
    note: str


def mutant_of(kind: Kind, content: bytes, seed: int, number: int) -> Mutant:
    """Returns a mutant of a kind, the same for the same numbers."""
    random = np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number])
    return mutant(content, random)


def judge(kind: Kind, path: Path, changed: Mutant, expected: str) -> Result:
    """Reads a mutant in the place of the valid file.

    Args:
        kind: Its kind.
        path: Where it is written.
        changed: The mutant.
        expected: The summary of what the valid file holds.
    """
    path.write_bytes(changed.content)
    before = _resident()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = summary(kind.read(path))
    except (ValueError, OSError) as error:
        named = kind.named(path) in str(error)
        said = f"{changed.change}: {type(error).__name__}: {error}"
        outcome = "refused" if named else "unnamed"
    except Exception as error:
        said = f"{changed.change}: {type(error).__name__}: {error}"
        outcome = "unnamed"
    else:
        said = changed.change
        outcome = "same" if found == expected else "other"
    if _resident() - before > _RESIDENT:
        outcome = "memory"
    forgiven = not kind.sealed or (changed.forged and not kind.digest)
    return Result(outcome, outcome in FAULTS or (outcome == "other" and not forgiven), said[:400])


def _resident() -> int:
    """Returns the most memory that this process has had, in bytes, where the system tells."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0


def prepared(kind: Kind, folder: Path) -> Path:
    """Writes a valid file into a new folder, and returns its path there."""
    folder.mkdir(parents=True)
    return kind.write(folder).relative_to(folder)


def work(connection: Connection, names: Sequence[str], originals: Path, seed: int) -> None:
    """Reads mutants that are asked for, one after the other."""
    # What C libraries print of broken files.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    known = {kind.name: kind for kind in kinds()}
    with tempfile.TemporaryDirectory() as own:
        ready: dict[int, tuple[Kind, Path, bytes, str]] = {}
        for number, name in enumerate(names):
            folder = Path(own) / str(number)
            shutil.copytree(originals / str(number), folder)
            path = folder / (originals / f"{number}.path").read_text(encoding="utf-8")
            content = path.read_bytes()
            ready[number] = (known[name], path, content, summary(known[name].read(path)))
        _limit()
        connection.send(None)
        while True:
            task = connection.recv()
            if task is None:
                return
            kind, path, content, expected = ready[task.kind]
            changed = mutant_of(kind, content, seed, task.number)
            connection.send(judge(kind, path, changed, expected))


def _limit() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        size = pages * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + _ADDRESSES, -1))


class Workers:
    """Processes that read mutants, started again where one dies.

    Args:
        count: int. How many.
        timeout: float. Seconds that a mutant may take.
        arguments: Of :func:`work`.
    """

    def __init__(self, count: int, timeout: float, *arguments: Any) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._timeout, self._arguments = timeout, arguments
        self._running: dict[Connection, Any] = {}
        self._asked: dict[Connection, tuple[Task | None, float]] = {}
        for _ in range(count):
            self._start()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()
        self._running[ours] = process
        # To load everything takes longer than a mutant.
        self._asked[ours] = (None, time.monotonic() + 300)

    def all(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yields what became of each mutant, as it is known."""
        todo = list(reversed(tasks))
        left = len(todo)
        while left:
            for connection in wait(list(self._asked), timeout=0.5):
                assert isinstance(connection, Connection)
                task, _ = self._asked.pop(connection)
                try:
                    result = connection.recv()
                except (EOFError, OSError):
                    process = self._stopped(connection)
                    if task is None:
                        raise RuntimeError(f"A worker ended with {process.exitcode}.") from None
                    result = Result("crash", True, f"exit code {process.exitcode}")
                    self._start()
                if task is not None:
                    left -= 1
                    yield task, result
                if todo and connection in self._running:
                    self._ask(connection, todo.pop())
            for connection, (task, until) in list(self._asked.items()):
                if time.monotonic() > until:
                    del self._asked[connection]
                    self._running[connection].kill()
                    self._stopped(connection)
                    if task is None:
                        raise RuntimeError("A worker did not start in time.")
                    self._start()
                    left -= 1
                    yield task, Result("hang", True, f"no result in {self._timeout:g} s")

    def _ask(self, connection: Connection, task: Task) -> None:
        connection.send(task)
        self._asked[connection] = (task, time.monotonic() + self._timeout)

    def _stopped(self, connection: Connection) -> Any:
        process = self._running.pop(connection)
        process.join()
        connection.close()
        return process

    def close(self) -> None:
        """Ends all of them."""
        for connection, process in self._running.items():
            process.kill()
            process.join()
            connection.close()


def shares(chosen: Sequence[Kind], count: int) -> list[int]:
    """Returns the number of mutants of each kind, at least one."""
    total = sum(kind.share for kind in chosen)
    return [max(1, round(count * kind.share / total)) for kind in chosen]


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    names = [kind.name for kind in kinds()]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--mutants", type=int, default=20_000, metavar="N", help="number of mutants"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--only", nargs="+", choices=names, metavar="KIND", help=", ".join(names))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S", help="seconds each")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="folder for faulty files")
    arguments = parser.parse_args(words)
    chosen = [kind for kind in kinds() if arguments.only is None or kind.name in arguments.only]
    start = time.monotonic()
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    faults: dict[int, list[tuple[Task, Result]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        originals = Path(folder)
        for number, kind in enumerate(chosen):
            path = prepared(kind, originals / str(number))
            (originals / f"{number}.path").write_text(str(path), encoding="utf-8")
        wanted = shares(chosen, arguments.mutants)
        tasks = [Task(kind, one) for kind, count in enumerate(wanted) for one in range(count)]
        workers = Workers(
            min(arguments.workers, len(tasks)), arguments.timeout,
            [kind.name for kind in chosen], originals, arguments.seed,
        )  # fmt: skip
        try:
            for task, result in workers.all(tasks):
                counts[task.kind][result.outcome] += 1
                if result.fault:
                    faults[task.kind].append((task, result))
        finally:
            workers.close()
        if arguments.keep is not None:
            _keep(arguments.keep, chosen, originals, faults, arguments.seed)
    _print(chosen, counts, faults)
    n_faults = sum(map(len, faults.values()))
    print(f"{len(tasks)} mutants, {n_faults} faults, {time.monotonic() - start:.0f} s")
    return 1 if n_faults else 0


def _print(
    chosen: Sequence[Kind],
    counts: dict[int, Counter[str]],
    faults: dict[int, list[tuple[Task, Result]]],
) -> None:
    width = max(len(kind.name) for kind in chosen)
    print(" ".join([" " * width, *(f"{name:>8}" for name in (*OUTCOMES, "faults"))]))
    for number, kind in enumerate(chosen):
        figures = [counts[number][name] for name in OUTCOMES] + [len(faults[number])]
        print(" ".join([kind.name.ljust(width), *(f"{figure:>8}" for figure in figures)]))
    for number, kind in enumerate(chosen):
        for task, result in faults[number][:_SHOWN]:
            print(f"{kind.name}, mutant {task.number}: {result.outcome}: {result.note}")


def _keep(
    folder: Path,
    chosen: Sequence[Kind],
    originals: Path,
    faults: dict[int, list[tuple[Task, Result]]],
    seed: int,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(chosen):
        path = originals / str(number)
        path /= (originals / f"{number}.path").read_text(encoding="utf-8")
        content = path.read_bytes()
        for task, _ in faults[number]:
            name = f"{kind.name.replace(' ', '_')}_{task.number}_{path.name}"
            (folder / name).write_bytes(mutant_of(kind, content, seed, task.number).content)


if __name__ == "__main__":
    sys.exit(main())

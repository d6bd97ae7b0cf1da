"""Kills every writer of the library at random file operations, and checks the remaining files.

    python benchmarks/kills.py --kills 200

After each kill, a reader must find the old or the new content, and the next run must finish with
the new content and leave no other files. Otherwise the exit code is 1. Writers run in forks of a
process that has loaded TensorFlow but not computed anything.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from killed_writers import Writer, prepare, writers

from unetv2 import files

# Python's audit events; flushing to the disk has none.
OPERATIONS = {
    "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "fcntl.flock",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
LONGEST_SECONDS = 300
COLUMNS = ("kills", "lost", "mixed", "unreadable", "left over", "wrong end")


def run(function: Callable[[], Any], root: Path, stop: int | None = None) -> tuple[bool, int]:
    """Runs a function in a fork.

    Args:
        function: What to run.
        root: Where file operations count.
        stop: int or None. The operation that it is killed at.

    Returns:
        tuple ``(killed, count)``: whether it was, and how many operations there were if not.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            signal.alarm(LONGEST_SECONDS)
            count = _count(root, stop)
            function()
            os.write(writing, str(count()).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and status:
        raise RuntimeError(f"A writer must end well or be killed. Received: status {status}.")
    return killed, int(told or 0)


def _count(root: Path, stop: int | None) -> Callable[[], int]:
    """Counts file operations from now on, and kills this process at one of them."""
    count = 0
    flush = os.fsync

    def step() -> None:
        nonlocal count
        count += 1
        if count == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str) and path.startswith(str(root)) and flags & WRITING:
                step()
        elif event in OPERATIONS:
            step()

    def fsync(fd: Any) -> None:
        step()
        flush(fd)

    os.fsync = fsync
    sys.addaudithook(hook)
    return lambda: count


def judge(
    writer: Writer, folder: Path, old: dict[str, Any], new: dict[str, Any], *, had: bool
) -> str | None:
    """Returns the fault of a folder after a kill, or None."""
    if had and not writer.before(folder):
        return "lost"
    try:
        found = writer.read(folder)
    except Exception:
        traceback.print_exc()
        return "unreadable"
    for name in {*old, *new}:
        allowed = [part[name] for part in (old, new) if name in part] + list(writer.between)
        if name in found and found[name] not in allowed:
            return "mixed"
        if name not in found and name in old and not writer.may_lack:
            return "lost"
    return None


def leftovers(folder: Path) -> list[Path]:
    """Returns the temporary files that only a kill leaves."""
    return [path for path in folder.rglob("*") if ".unetv2-" in path.name or path.name == "lock"]


def examine(writer: Writer, root: Path, kills: int, rng: np.random.Generator) -> Counter[str]:
    """Kills one writer repeatedly.

    Args:
        writer: Which one.
        root: An empty folder.
        kills: int. How often.
        rng: Chooses the operations.

    Returns:
        Counter. By what was wrong.
    """
    # The content before and after a run without kills, with and without old content.
    old: dict[bool, dict[str, Any]] = {False: {}}
    new: dict[bool, dict[str, Any]] = {}
    counts: dict[bool, int] = {}
    before = root / "before"
    if not writer.fresh:
        before.mkdir()
        run(partial(writer.write, before, 0), before)
        old[True] = writer.read(before)
    for had in old:
        folder = _begun(root / "whole", before if had else None)
        _, counts[had] = run(partial(writer.write, folder, 1), folder)
        new[had] = writer.read(folder)
    found = Counter[str]()
    while found["kills"] < kills:
        # One in four starts without old content.
        had = True in old and bool(rng.random() < 0.75)
        folder = _begun(root / "killed", before if had else None)
        stop = int(rng.integers(1, counts[had] + 1))
        killed, _ = run(partial(writer.write, folder, 1), folder, stop)
        if not killed:
            continue
        found["kills"] += 1
        # A reader may finish what was begun, so that every other kill is left to the next run.
        read = found["kills"] % 2 == 1
        wrong = [judge(writer, folder, old[had], new[had], had=had)] if read else []
        run(partial(writer.write, folder, 1), folder)
        if writer.read(folder) != new[had]:
            wrong.append("wrong end")
        if leftovers(folder):
            wrong.append("left over")
        for one in filter(None, wrong):
            found[one] += 1
            print(f"{writer.name}: {one}, killed at {stop} of {counts[had]}", file=sys.stderr)
    return found


def _begun(folder: Path, content: Path | None) -> Path:
    """Returns a new folder with the content of another, or none."""
    shutil.rmtree(folder, ignore_errors=True)
    if content is None:
        folder.mkdir()
    else:
        shutil.copytree(content, folder)
    return folder


def main(words: list[str] | None = None) -> int:
    """Kills all writers and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="number of kills in total")
    parser.add_argument("--seed", type=int, default=0, help="seed of the operations")
    parser.add_argument("--writers", nargs="+", metavar="NAME", help="prefixes of names of writers")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        run(lambda: prepare(data), data)
        chosen = [
            writer
            for writer in writers(data)
            if not arguments.writers or writer.name.startswith(tuple(arguments.writers))
        ]
        shares = np.cumsum([0, *(writer.share for writer in chosen)]) / sum(
            writer.share for writer in chosen
        )
        kills = np.diff(np.rint(arguments.kills * shares)).astype(int)
        rng = np.random.default_rng(arguments.seed)
        total = Counter[str]()
        print(f"{'writer':24}", *(f"{column:>11}" for column in COLUMNS))
        for number, (writer, count) in enumerate(zip(chosen, kills, strict=True)):
            root = Path(folder) / str(number)
            root.mkdir()
            files._cleaned.clear()
            found = examine(writer, root, int(count), rng)
            total += found
            print(f"{writer.name:24}", *(f"{found[column]:11}" for column in COLUMNS), flush=True)
            shutil.rmtree(root)
        print(f"{'all':24}", *(f"{total[column]:11}" for column in COLUMNS))
    return int(any(total[column] for column in COLUMNS[1:]))


if __name__ == "__main__":
    sys.exit(main())

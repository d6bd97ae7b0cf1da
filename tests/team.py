"""Starts workers as processes on loopback, and terminates them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import teamwork
from local_workers import free_addresses

import unetv2

CHILD = [sys.executable, teamwork.__file__]


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a worker; a code is negative for signals, None if it was killed."""

    code: int | None
    text: str


def session(jobs: Sequence[dict[str, Any]], **options: Any) -> dict[str, Any]:
    return {"jobs": list(jobs), **options}


def team(
    jobs: Sequence[dict[str, Any]],
    n: int = 2,
    *,
    timeout: float = 60.0,
    own_jobs: dict[int, dict[str, Any]] | None = None,
    own_sessions: dict[int, dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Returns the sessions of workers that do the same jobs, but for what is a worker's own."""
    workers = free_addresses(n)
    return [
        session(
            [{**job, "who": str(index), **(own_jobs or {}).get(index, {})} for job in jobs],
            **{"workers": workers, "index": index, "timeout": timeout,
               **(own_sessions or {}).get(index, {})},
        )
        for index in range(n)
    ]  # fmt: skip


def run(folder: Path, sessions: Sequence[dict[str, Any]], deadline: float = 240.0) -> list[Ended]:
    """Runs processes to their ends, or kills them at the deadline, in seconds."""
    until = time.monotonic() + deadline
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        # What is tested here, wherever it lies.
        "PYTHONPATH": str(Path(unetv2.__file__).parent.parent),
    }
    children: list[subprocess.Popen[str]] = []
    ended = []
    try:
        for number, one in enumerate(sessions):
            with (folder / f"said{number}.txt").open("w") as said:
                command = [*CHILD, str(folder), json.dumps(one)]
                children.append(
                    subprocess.Popen(command, stdout=said, stderr=said, env=environment, text=True)
                )
        for number, child in enumerate(children):
            try:
                code: int | None = child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = None
            ended.append(Ended(code, (folder / f"said{number}.txt").read_text(errors="replace")))
    finally:
        for child in children:
            if child.poll() is None:
                os.kill(child.pid, 9)
                child.wait()
    return ended

"""Kills at file operations, by the command that tries many more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from documentation import ROOT


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_kills_lose_no_data_and_leave_no_files():
    names = ["cache", "check", "evaluate", "masks", "write", "artifact", "..."]
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "benchmarks" / "kills.py",
            *("--kills", "24", "--writers", *names),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

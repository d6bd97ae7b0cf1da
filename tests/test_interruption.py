"""Ctrl-C ends a command with a one-line message at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unetv2 import startup

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")

# Presses Ctrl-C when a module is imported, or at exit.
_PRESSING = """
import atexit, os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {moment!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
if {moment!r} == "end":
    atexit.register(os.kill, os.getpid(), signal.SIGINT)
"""

# A command without its libraries.
_STARTED = """
import importlib.util, os, signal, sys, time
sys.argv = ["unetv2"]
spec = importlib.util.spec_from_file_location("startup", {path!r})
startup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(startup)
startup.exit_when_interrupted()
def press():
    os.kill(os.getpid(), signal.SIGINT)
"""


def run(code, **options):
    code = _STARTED.format(path=startup.__file__) + code
    words = [sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("moment", ["tensorflow", "unetv2.data.validation", "end"])
def test_ctrl_c_is_one_line_and_130_before_and_after_the_work(tmp_path, write_pairs, moment):
    (tmp_path / "sitecustomize.py").write_text(_PRESSING.format(moment=moment))
    places = [str(tmp_path), str(Path(startup.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    folders = map(str, write_pairs(2))
    done = subprocess.run(
        [sys.executable, "-m", "unetv2", "check", *folders, "--quiet"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 130, done.stderr
    assert done.stderr == "\ninterrupted\n"
    assert ("0 errors" in done.stdout) == (moment == "end")


def test_ctrl_c_works_while_stderr_is_captured():
    done = run("with startup._captured_stderr(): os.write(2, b'noise'); press(); time.sleep(60)")
    assert (done.returncode, done.stderr) == (130, "\ninterrupted\n")


def test_the_first_ctrl_c_lets_a_command_clean_up_and_the_second_does_not():
    done = run(
        """
try:
    with startup.interruptible():
        try:
            press(); time.sleep(60)
        finally:
            print("cleaning up", flush=True); press(); time.sleep(60); print("cleaned up")
except KeyboardInterrupt:
    print("too late")
"""
    )
    assert (done.returncode, done.stderr) == (130, "\ninterrupted\n")
    assert done.stdout == "cleaning up\n"


def test_a_process_that_ignores_ctrl_c_continues_to_ignore_it():
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    done = run(
        "press()\nwith startup.interruptible(): press()\npress(); print('done')",
        preexec_fn=ignore,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_ctrl_c_is_pythons_in_other_programs():
    startup.exit_when_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with startup.interruptible():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

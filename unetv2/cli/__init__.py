"""The command line: words to the public API, no logic of its own."""

from unetv2.cli.main import main

__all__ = ["main"]

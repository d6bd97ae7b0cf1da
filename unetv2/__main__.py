"""``python -m unetv2`` is the command ``unetv2``."""

import sys

from unetv2.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Time and memory to pair and split a million files.

Creates the empty files in a temporary folder, which takes longer than the measurement.

    python benchmarks/pairing.py --pairs 1000000 --json pairing.json
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

from unetv2.data.pairs import split_pairs
from unetv2.data.sources.folders import FolderSource

FILES_A_FOLDER = 10_000


def make_files(root: Path, n: int) -> None:
    """Writes n empty images and masks, 10,000 to a folder."""
    for side, extension in (("images", "jpg"), ("masks", "png")):
        for number in range(n):
            folder = root / side / f"{number // FILES_A_FOLDER:04d}"
            if number % FILES_A_FOLDER == 0:
                folder.mkdir(parents=True)
            (folder / f"frame_{number:08d}.{extension}").touch()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), arguments.pairs)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        pairs = FolderSource(f"{folder}/images", f"{folder}/masks").pairs
        paired = time.perf_counter()
        train = split_pairs(pairs, "train")
        end = time.perf_counter()
        # Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "pairs": len(pairs),
        "train": len(train),
        "seconds_pairing": paired - start,
        "seconds_splitting": end - paired,
        "megabytes_peak": peak * unit / 1e6,
        "megabytes_before": before * unit / 1e6,
    }
    for name, value in figures.items():
        print(f"{name:20} {value:12.1f}")
    if arguments.json:
        result = {"machine": machine(), **figures}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

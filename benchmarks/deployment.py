"""Speed, size and accuracy of each export format, compared with Keras on the same machine.

Exports a model to every format and precision, calibrated on the training images of CamVid, for
frames of the network's size, which is the fastest case, or with `--open` for any size. Then
`unetv2.benchmark` measures all of them alternately, with the mean IoU of the validation images.
Prints its table and the expected ratios: the fastest artifact, one frame at a time, compared with
``model.predict`` (15) and a compiled ``tf.function`` (4); int8 compared with float32 of LiteRT
(3); the sizes of int8 files (0.27); the loss of mean IoU by int8 (0.005).

The model is one trained on CamVid at 96x128, as in the folder of the reference after

    python benchmarks/time_to_accuracy.py --parts reference

Then run

    python benchmarks/deployment.py --model .../model.keras --output runs/deployment
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras
from machine import machine
from training_runs import DEFAULT_DATA, write_json

import unetv2
from unetv2.exporting.formats import FORMATS
from unetv2.exporting.formats.base import get_format

PARITY = ("agreement", "max_difference", "mean_difference")


def export_all(
    model: keras.Model, arguments: argparse.Namespace
) -> dict[str, unetv2.ExportedModel]:
    """Returns the artifacts by name; those of an earlier run are reused."""
    found = {}
    frame_size = None if arguments.open else model.input_shape[1:3]
    images = sorted((arguments.data / "train" / "images").iterdir())
    for format in arguments.formats:
        for precision in get_format(format).precisions:
            if precision not in (arguments.precisions or [precision]):
                continue
            name = f"{format}-{precision}"
            path = arguments.output / name
            if not path.exists():
                unetv2.export(
                    model, path, format=format, precision=precision, calibration=images,
                    frame_size=frame_size, min_agreement=0,
                )  # fmt: skip
            found[name] = unetv2.load_exported(path)
    return found


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Returns the ratios with expected values, if both sides were measured."""
    artifacts = {name: row for name, row in rows.items() if row["format"] != "keras"}
    fastest = min(artifacts, key=lambda name: artifacts[name]["latency_ms"][0])
    found = {
        f"{fastest}: times as fast as {name}, a frame": (
            rows[name]["latency_ms"][0] / artifacts[fastest]["latency_ms"][0]
        )
        for name in ("model.predict", "tf.function")
    }
    for format in FORMATS:
        eight, full = rows.get(f"{format}-int8"), rows.get(f"{format}-float32")
        if eight is None or full is None:
            continue
        names = f"{format}, int8 against float32:"
        found[f"{names} times as fast"] = full["latency_ms"][0] / eight["latency_ms"][0]
        found[f"{names} size"] = eight["file_bytes"] / full["file_bytes"]
        found[f"{names} mean IoU"] = eight["mean_iou"] - full["mean_iou"]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as a table of the documentation."""
    heads = ("", "ms a frame, median", "95 %", "frames/s, batch 32", "MB", "memory, MB", "start, s")
    lines = [".. list-table::", "   :header-rows: 1", ""]
    cells: list[tuple[str, ...]] = [(*heads, "mean IoU")]
    for row in rows:
        keras_name = f"``{row['name']}``"
        name = keras_name if row["format"] == "keras" else f"{row['format']}, {row['precision']}"
        cells.append((
            name, *(f"{value:.1f}" for value in row["latency_ms"][:2]), f"{row['throughput']:.0f}",
            f"{row['file_bytes'] / 1e6:.1f}", f"{row['peak_bytes'] / 1e6:.0f}",
            f"{row['startup_s']:.1f}", f"{row['mean_iou']:.3f}",
        ))  # fmt: skip
    for first, *others in cells:
        lines += [f"   * - {first}".rstrip(), *(f"     - {cell}" for cell in others)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a .keras file")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--output", type=Path, default=Path("runs/deployment"))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--precisions", nargs="+", help="only these")
    parser.add_argument("--open", action="store_true", help="frames of any size")
    parser.add_argument("--runs", type=int, default=100, help="single frames of each")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    parser.add_argument("--rst", type=Path, help="also write the table of docs/ to this file")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    model = keras.models.load_model(arguments.model)
    artifacts = export_all(model, arguments)
    held = tuple(arguments.data / "val" / name for name in ("images", "masks"))
    measured = unetv2.benchmark(
        [model, *artifacts.values()], dataset=held, runs=arguments.runs, output=arguments.output,
        progress=True,
    )  # fmt: skip
    figures = measured.as_dict()
    found = ratios({row["name"]: row for row in figures["rows"]})
    print(f"\n{measured}\n")
    for name, artifact in artifacts.items():
        print(f"{name:24} {artifact.description.parity}")
    print()
    for name, value in found.items():
        print(f"{name:56} {value:8.3f}")
    if arguments.rst:
        arguments.rst.write_text(table(figures["rows"]), encoding="utf-8")
    if arguments.json:
        parity = {
            name: {one: getattr(artifact.description.parity, one) for one in PARITY}
            for name, artifact in artifacts.items()
        }
        write_json(
            arguments.json, {"machine": machine(), **figures, "parity": parity, "ratios": found}
        )


if __name__ == "__main__":
    main()

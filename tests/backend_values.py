"""A child process that prints the results of the current Keras backend for fixed inputs as JSON.

``python backend_values.py FOLDER``: writes a model there, and loads it and those of other backends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

import unetv2

N_CLASSES, VOID, SIZE = 4, 3, (19, 26)


def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, masks with ignored pixels, and logits that vary."""
    rng = np.random.default_rng(0)
    images = rng.random((2, *SIZE, 3), np.float32)
    masks = rng.integers(0, N_CLASSES, (2, *SIZE, 1)).astype(np.int32)
    logits = 3 * rng.standard_normal((2, *SIZE, N_CLASSES)).astype(np.float32)
    return images, masks, logits


def network(**options: Any) -> keras.Model:
    """A model whose weights do not depend on the backend's random numbers."""
    options = {"filters": 3, "depth": 2, "dropout": 0.0, **options}
    model = unetv2.build_unetv2((*SIZE, 3), N_CLASSES, **options)
    rng = np.random.default_rng(1)
    shapes = [weight.shape for weight in model.get_weights()]
    # Variances and scales are to be positive.
    model.set_weights([0.2 * rng.standard_normal(shape) + (len(shape) == 1) for shape in shapes])
    return model


def values(folder: Path) -> dict[str, Any]:
    images, masks, logits = batch()
    found: dict[str, Any] = {"backend": keras.backend.backend()}
    for name in unetv2.losses.__all__:
        if name == "Sum":
            continue
        loss = getattr(unetv2.losses, name)(ignore_class=VOID)
        found[f"loss {name}"] = float(loss(masks, logits))
    both = unetv2.losses.Sum([unetv2.losses.CrossEntropy(), unetv2.losses.Dice()], [1.0, 0.5])
    found["loss Sum"] = float(both(masks, logits))
    for name in unetv2.metrics.__all__:
        if name == "Scores":
            continue
        arguments = {} if name == "PixelAccuracy" else {"n_classes": N_CLASSES}
        metric = getattr(unetv2.metrics, name)(**arguments, ignore_class=VOID)
        metric.update_state(masks, logits)
        result = metric.result()
        found[f"metric {name}"] = (
            {key: float(one) for key, one in result.items()}
            if isinstance(result, dict)
            else np.asarray(result).tolist()
        )
    for name, options in {
        "reference": {},
        "all options": {
            "normalization": "batch", "normalization_start": 1, "residual": True,
            "upsampling": "bilinear", "stem": "strided", "depth": 3,
        },
        "group": {"normalization": "group"},
    }.items():  # fmt: skip
        model = network(**options)
        found[f"logits {name}"] = np.asarray(model(images)).tolist()
        # Adam divides by gradients, near zero by chance.
        model.compile(keras.optimizers.SGD(0.01), unetv2.losses.CrossEntropyDice(ignore_class=VOID))
        model.fit(images, masks, batch_size=2, epochs=2, shuffle=False, verbose=0)
        found[f"trained {name}"] = np.asarray(model(images)).tolist()
    model = network()
    model.save(folder / f"{keras.backend.backend()}.keras")
    for path in sorted(folder.glob("*.keras")):
        loaded = keras.saving.load_model(path)
        found[f"loaded {path.stem}"] = np.asarray(loaded(images)).tolist()
    return found


if __name__ == "__main__":
    json.dump(values(Path(sys.argv[1])), sys.stdout)

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import unetv2

KINDS = [(None, "float32"), ("batch", "mixed_bfloat16"), ("group", "mixed_float16")]
LOAD = """
import json, pathlib, sys
import keras, numpy as np
import unetv2
losses = {}
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    model = keras.saving.load_model(folder / "model.keras")
    data = np.load(folder / "data.npz")
    np.testing.assert_array_equal(model.predict(data["images"], verbose=0), data["logits"])
    assert type(model.optimizer).__name__ == data["optimizer"], model.optimizer
    for number, variable in enumerate(model.optimizer.variables):
        np.testing.assert_array_equal(np.asarray(variable), data[f"optimizer_{number}"])
    logs = model.train_on_batch(data["images"], data["masks"], return_dict=True)
    losses[folder.name] = float(logs["loss"])
print(json.dumps(losses))
"""


def save(folder, normalization, dtype):
    """Saves a trained model and its state, and returns the loss of one more training step."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = rng.random((2, 9, 14, 3), dtype=np.float32)
    masks = rng.integers(0, 3, (2, 9, 14, 1), dtype=np.int32)
    model = unetv2.build_unetv2(
        (9, 14, 3),
        3,
        filters=4,
        depth=2,
        dropout=0.0,
        ignore_class=255,
        normalization=normalization,
        dtype=dtype,
    )
    model.fit(images, masks, epochs=2, verbose=0)
    model.save(folder / "model.keras")
    state = {
        f"optimizer_{number}": np.asarray(variable)
        for number, variable in enumerate(model.optimizer.variables)
    }
    assert len(state) > 20
    np.savez(
        folder / "data.npz",
        optimizer=type(model.optimizer).__name__,
        images=images,
        masks=masks,
        logits=model.predict(images, verbose=0),
        **state,
    )
    name = type(model.optimizer).__name__
    assert name == ("LossScaleOptimizer" if dtype == "mixed_float16" else "Adam")
    # Keras does this itself from 3.15 on.
    model.reset_metrics()
    return float(model.train_on_batch(images, masks, return_dict=True)["loss"])


@pytest.mark.slow
def test_a_saved_model_continues_in_a_new_process(tmp_path):
    expected = {dtype: save(tmp_path / dtype, kind, dtype) for kind, dtype in KINDS}
    # One process for all, as loading TensorFlow takes seconds.
    result = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    losses = json.loads(result.stdout.splitlines()[-1])
    assert losses == pytest.approx(expected, rel=1e-6)

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import unetv2

LOAD = """
import sys
import keras, numpy as np
import unetv2
model = keras.saving.load_model(sys.argv[1])
data = np.load(sys.argv[2])
np.testing.assert_array_equal(model.predict(data["images"], verbose=0), data["logits"])
assert type(model.optimizer).__name__ == sys.argv[3], model.optimizer
for number, variable in enumerate(model.optimizer.variables):
    np.testing.assert_array_equal(np.asarray(variable), data[f"optimizer_{number}"])
figures = model.train_on_batch(data["images"], data["masks"], return_dict=True)
print(figures["loss"])
"""


@pytest.mark.parametrize(
    ("normalization", "dtype"),
    [(None, "float32"), ("batch", "mixed_bfloat16"), ("group", "mixed_float16")],
)
def test_a_saved_model_goes_on_in_a_fresh_process(tmp_path, normalization, dtype):
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
    model.save(tmp_path / "model.keras")
    state = {
        f"optimizer_{number}": np.asarray(variable)
        for number, variable in enumerate(model.optimizer.variables)
    }
    assert len(state) > 20
    np.savez(
        tmp_path / "data.npz",
        images=images,
        masks=masks,
        logits=model.predict(images, verbose=0),
        **state,
    )
    optimizer = type(model.optimizer).__name__
    assert optimizer == ("LossScaleOptimizer" if dtype == "mixed_float16" else "Adam")
    result = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "model.keras", tmp_path / "data.npz", optimizer],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # Which Keras does itself from 3.15 on.
    model.reset_metrics()
    loss = model.train_on_batch(images, masks, return_dict=True)["loss"]
    assert float(result.stdout.split()[-1]) == pytest.approx(loss, rel=1e-6)

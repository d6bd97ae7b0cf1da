"""Layers, losses and metrics have the same values on all backends of Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CHILD = Path(__file__).with_name("backend_values.py")


def on_backend(name: str, folder: Path) -> dict:
    environment = {**os.environ, "KERAS_BACKEND": name}
    done = subprocess.run(
        [sys.executable, CHILD, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.jax
def test_every_value_is_that_of_tensorflow(tmp_path):
    expected, found = (on_backend(name, tmp_path) for name in ("tensorflow", "jax"))
    assert (expected.pop("backend"), found.pop("backend")) == ("tensorflow", "jax")
    # The file of the other backend was loaded, with the same outputs.
    np.testing.assert_allclose(
        found.pop("loaded jax"), found["loaded tensorflow"], rtol=1e-6, atol=1e-6
    )
    assert found.keys() == expected.keys()
    assert len(found) > 20
    for name, values in expected.items():
        if isinstance(values, dict):
            assert found[name] == pytest.approx(values, rel=1e-5), name
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)

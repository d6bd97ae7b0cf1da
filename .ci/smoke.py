"""First steps with the installed package and no extras."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

import unetv2

assert "site-packages" in unetv2.__file__, unetv2.__file__
assert "matplotlib" not in sys.modules

with tempfile.TemporaryDirectory() as folder:
    folders = unetv2.synthetic.write_driving_scenes(
        Path(folder) / "scenes", 20, image_size=(48, 64)
    )
    train = unetv2.make_dataset(*folders, n_classes=23, image_size=(33, 47), batch_size=8)
    model = unetv2.build_unetv2((None, None, 3), 23, filters=4, depth=3)
    model.fit(train, epochs=1, shuffle=False, verbose=0)
    model.save(Path(folder) / "model.keras")
    loaded = keras.saving.load_model(Path(folder) / "model.keras")
    images, _ = next(iter(train))
    np.testing.assert_array_equal(loaded(images), model(images))
    evaluation = unetv2.evaluate(loaded, folders, report=Path(folder) / "report", progress=False)
    assert evaluation.n_images == 20
    assert "</html>" in (Path(folder) / "report" / "report.html").read_text(encoding="utf-8")
    script = str(Path(sys.executable).parent / "unetv2")
    for command in ([script], [sys.executable, "-m", "unetv2"]):
        done = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
        assert done.stdout == f"unetv2 {unetv2.__version__}\n", done.stdout
    checking = [script, "check", *map(str, folders), "--n-classes", "23", "--json", "--quiet"]
    done = subprocess.run(checking, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["ok"], done.stdout
    message = ""
    try:
        unetv2.visualization.training_curves({"loss": [1.0]})
    except ImportError as error:
        message = str(error)
    assert "pip install unetv2[viz]" in message, "matplotlib came with the package"
print(f"unetv2 {unetv2.__version__} works as installed")

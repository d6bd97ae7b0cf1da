"""Runs an OpenVINO artifact with OpenVINO only: python run_openvino.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
import openvino
from PIL import Image

artifact, image, mask = sys.argv[1:]
# The default is bfloat16 if the processor supports it.
exact = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.compile_model(f"{artifact}/model.xml", "CPU", exact)
frames = np.asarray(Image.open(image).convert("RGB"))[np.newaxis]
outputs = model({"frames": frames})
Image.fromarray(outputs["mask"][0]).save(mask)

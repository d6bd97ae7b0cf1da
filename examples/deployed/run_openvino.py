"""Runs an OpenVINO artifact by OpenVINO alone: python run_openvino.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
import openvino
from PIL import Image

artifact, image, mask = sys.argv[1:]
# Unless told, it computes in bfloat16 where the processor can.
exact = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.compile_model(f"{artifact}/model.xml", "CPU", exact)
frames = np.asarray(Image.open(image).convert("RGB"))[np.newaxis]
answer = model({"frames": frames})
Image.fromarray(answer["mask"][0]).save(mask)

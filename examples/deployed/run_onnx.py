"""Runs an ONNX artifact with ONNX Runtime only: python run_onnx.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
import onnxruntime
from PIL import Image

artifact, image, mask = sys.argv[1:]
providers = ["CPUExecutionProvider"]
session = onnxruntime.InferenceSession(f"{artifact}/model.onnx", providers=providers)
frames = np.asarray(Image.open(image).convert("RGB"))[np.newaxis]
masks, confidences = session.run(["mask", "confidence"], {"frames": frames})
Image.fromarray(masks[0]).save(mask)

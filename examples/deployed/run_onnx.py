"""Runs an ONNX artefact by ONNX Runtime alone: python run_onnx.py ARTEFACT PICTURE MASK."""

import sys

import numpy as np
import onnxruntime
from PIL import Image

artefact, picture, mask = sys.argv[1:]
providers = ["CPUExecutionProvider"]
session = onnxruntime.InferenceSession(f"{artefact}/model.onnx", providers=providers)
frames = np.asarray(Image.open(picture).convert("RGB"))[np.newaxis]
masks, confidences = session.run(["mask", "confidence"], {"frames": frames})
Image.fromarray(masks[0]).save(mask)

"""Runs a LiteRT artifact with LiteRT only: python run_litert.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

artifact, path, mask = sys.argv[1:]
interpreter = Interpreter(model_path=f"{artifact}/model.tflite", num_threads=2)
_, height, width, _ = interpreter.get_input_details()[0]["shape"]
image = Image.open(path).convert("RGB")
# The frames must have the size `frame_size` of the export, or that of the network.
frames = np.asarray(image.resize((width, height), Image.Resampling.BOX))[np.newaxis]
outputs = interpreter.get_signature_runner()(frames=frames)
Image.fromarray(outputs["mask"][0]).resize(image.size, Image.Resampling.NEAREST).save(mask)

"""Runs a LiteRT artifact by LiteRT alone: python run_litert.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

artifact, picture, mask = sys.argv[1:]
interpreter = Interpreter(model_path=f"{artifact}/model.tflite", num_threads=2)
_, height, width, _ = interpreter.get_input_details()[0]["shape"]
image = Image.open(picture).convert("RGB")
# Its frames have one size: that of `frame_size`, or the network's.
frames = np.asarray(image.resize((width, height), Image.Resampling.BOX))[np.newaxis]
answer = interpreter.get_signature_runner()(frames=frames)
Image.fromarray(answer["mask"][0]).resize(image.size, Image.Resampling.NEAREST).save(mask)

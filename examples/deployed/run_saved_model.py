"""Runs a SavedModel by TensorFlow alone: python run_saved_model.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
import tensorflow as tf
from PIL import Image

artifact, image, mask = sys.argv[1:]
serve = tf.saved_model.load(artifact).signatures["serving_default"]
frames = np.asarray(Image.open(image).convert("RGB"))[np.newaxis]
answer = serve(frames=tf.constant(frames))
Image.fromarray(answer["mask"][0].numpy()).save(mask)

"""Runs a SavedModel with TensorFlow only: python run_saved_model.py ARTIFACT IMAGE MASK."""

import sys

import numpy as np
import tensorflow as tf
from PIL import Image

artifact, image, mask = sys.argv[1:]
serve = tf.saved_model.load(artifact).signatures["serving_default"]
frames = np.asarray(Image.open(image).convert("RGB"))[np.newaxis]
outputs = serve(frames=tf.constant(frames))
Image.fromarray(outputs["mask"][0].numpy()).save(mask)

"""Runs a SavedModel by TensorFlow alone: python run_saved_model.py ARTEFACT PICTURE MASK."""

import sys

import numpy as np
import tensorflow as tf
from PIL import Image

artefact, picture, mask = sys.argv[1:]
serve = tf.saved_model.load(artefact).signatures["serving_default"]
frames = np.asarray(Image.open(picture).convert("RGB"))[np.newaxis]
answer = serve(frames=tf.constant(frames))
Image.fromarray(answer["mask"][0].numpy()).save(mask)

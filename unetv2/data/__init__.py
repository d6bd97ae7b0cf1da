"""From image and mask files to ``tf.data``."""

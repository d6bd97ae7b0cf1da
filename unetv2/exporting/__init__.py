"""From a Keras model to a file that runs without it."""

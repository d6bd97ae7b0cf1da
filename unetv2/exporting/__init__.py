"""Export of Keras models to formats that run without Keras."""

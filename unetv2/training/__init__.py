"""Training: the trainer, its backends, checkpoints and recipes."""

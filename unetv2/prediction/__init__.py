"""Predictions of images, folders and videos, with models of every kind."""

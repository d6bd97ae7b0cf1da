"""Synthetic driving scenes with the semantic tags of CARLA 0.9.11.

An endless, reproducible data set for examples and tests that needs no download.
"""

from unetv2.synthetic.scene import driving_scene, write_driving_scenes

__all__ = ["driving_scene", "write_driving_scenes"]

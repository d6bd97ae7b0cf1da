"""Random variants of pictures and their masks, to train on: one draw for both."""

from unetv2.augmentation.augmentation import Augmentation
from unetv2.augmentation.presets import PRESETS, driving, get, light

__all__ = ["PRESETS", "Augmentation", "driving", "get", "light"]

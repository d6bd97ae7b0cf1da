"""From folders of pictures to ``tf.data``."""

from unetv2.data.synthetic import driving_scene, write_driving_scenes

__all__ = ["driving_scene", "write_driving_scenes"]

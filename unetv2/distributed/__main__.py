"""``python -m unetv2.distributed``: a ``tf.data`` service."""

from unetv2.distributed.service import main

main()

"""Training on several devices and machines, on ``tf.distribute``."""

from unetv2.distributed.backend import Distribution
from unetv2.distributed.cluster import Cluster
from unetv2.distributed.loop import PreemptedError
from unetv2.distributed.rendezvous import connect
from unetv2.distributed.watchdog import WorkerLostError

__all__ = ["Cluster", "Distribution", "PreemptedError", "WorkerLostError", "connect"]

"""Training on several devices and machines, on ``tf.distribute``."""

from unetv2.distributed.cluster import Cluster
from unetv2.distributed.connecting import connect
from unetv2.distributed.distribution import Distribution
from unetv2.distributed.signals import Preempted
from unetv2.distributed.watch import WorkerLost

__all__ = ["Cluster", "Distribution", "Preempted", "WorkerLost", "connect"]

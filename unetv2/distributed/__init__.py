"""Training on several devices and machines, on ``tf.distribute``."""

from unetv2.distributed.cluster import Cluster
from unetv2.distributed.collectives import PreemptedError
from unetv2.distributed.distribution import Distribution
from unetv2.distributed.local import LocalWorkers, free_addresses
from unetv2.distributed.rendezvous import connect
from unetv2.distributed.service import served, start_service
from unetv2.distributed.watchdog import WorkerLostError

__all__ = [
    "Cluster",
    "Distribution",
    "LocalWorkers",
    "PreemptedError",
    "WorkerLostError",
    "connect",
    "free_addresses",
    "served",
    "start_service",
]

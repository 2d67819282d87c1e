"""The seeds of a training over the devices of a machine: each device learns its share of them, and none waits."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def over_devices(seeds: int) -> NamedSharding | None:
    """How arrays with a leading axis over the seeds lie on the devices: an equal number of seeds on each.

    As many devices are used as `seeds` can be divided among, and None is returned for a single one. Nothing is divided
    when JAX was told a default device. A seed learns on several devices what it learns on one, but for rounding: the
    matrix products of fewer seeds are summed in another order.
    """
    devices = jax.local_devices()
    number = max(n for n in range(1, len(devices) + 1) if seeds % n == 0)
    if number == 1 or jax.config.values["jax_default_device"] is not None:
        return None
    return NamedSharding(Mesh(np.array(devices[:number]), ("seeds",)), PartitionSpec("seeds"))

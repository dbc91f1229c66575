"""Connect to a Ray cluster, or start one here; when its processes count as lost."""

import logging
import os
import warnings
from math import ceil
from typing import Any

from glider.core.errors import ClusterLost, MissingExtra, SetupError
from glider.scale.settings import ClusterSettings

_OBJECT_STORE = 256 * 1024 * 1024
"""Bytes, of a cluster that is started here: only tasks pass through it."""


def connect(how: ClusterSettings) -> tuple[Any, bool]:
    """Connect to a cluster; (ray, whether the connection is ours to end)."""
    # Ray reports its use over the network unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtra("--on ray", "ray") from None
    if ray.is_initialized():
        return ray, False
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"configure_logging": False, "log_to_driver": False}
    here: dict[str, Any] = {
        "num_cpus": max(os.cpu_count() or 1, ceil(how.actors * how.actor_cpus)),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE,
    }
    try:
        if how.on != "ray":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it says again what it raises
                ray.init(how.on, **quiet)
        elif "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            ray.init("local", **here, **quiet)
    except Exception as exc:  # Ray raises the bare class if a node is slow to start
        where = "" if how.on == "ray" else f" at {how.on}"
        raise SetupError(
            f"no Ray cluster{where}: {exc}",
            hint="one that asks for a token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here too",
        ) from exc
    return ray, True


def lost_after(how: ClusterSettings) -> int:
    """How many processes may die without one answer in between."""
    return 2 * how.actors + 4


def cluster_lost() -> ClusterLost:
    """Say that going on is of no use."""
    return ClusterLost(
        "actors die one after the other, and nothing is judged in between",
        hint="Ray's logs say why, for example too little memory for the model",
    )

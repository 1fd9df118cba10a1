"""Which devices may this attempt use? Integer resources of a worker, and the device indices behind `gpu` (design section 4)."""

from __future__ import annotations

import os
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICE_RESOURCE = "gpu"
"""The resource whose units are devices: leased one by one, and shown to the process as CUDA_VISIBLE_DEVICES."""


def visible_devices(totals: Mapping[str, int], environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return what CUDA calls each device that this worker lends, by index.

    A worker that is itself started with CUDA_VISIBLE_DEVICES lends the devices named there, so several workers can share a
    machine without sharing a device; otherwise index and name are the same.

    Raises:
        ValueError: fewer are named than it is to lend.
    """
    count = totals.get(DEVICE_RESOURCE, 0)
    if VISIBLE not in environ:
        return tuple(map(str, range(count)))
    named = [name.strip() for name in environ[VISIBLE].split(",") if name.strip()]
    if count > len(named):
        raise ValueError(
            f"{DEVICE_RESOURCE}={count} cannot be lent: {VISIBLE} names {len(named)} ({environ[VISIBLE]!r})"
        )
    return tuple(named[:count])


class Devices:
    """Lease resources all together or not at all (R25)."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._totals = dict(totals)
        self._free = dict(totals)
        self._free_devices = list(range(totals.get(DEVICE_RESOURCE, 0)))

    @property
    def free(self) -> dict[str, int]:
        return dict(self._free)

    def lease(self, wanted: Mapping[str, int]) -> tuple[int, ...] | None:
        """Take `wanted`; return the device indices, or None when it does not fit now.

        Raises:
            ValueError: it never fits on this worker.
        """
        for name, count in wanted.items():
            if count > self._totals.get(name, 0):
                raise ValueError(f"needs {name}={count}, this worker has {self._totals.get(name, 0)}")
        if any(count > self._free[name] for name, count in wanted.items() if count):
            return None
        for name, count in wanted.items():
            if count:
                self._free[name] -= count
        # The lowest free indices, so that the same few children are used again and keep what they have loaded.
        count = wanted.get(DEVICE_RESOURCE, 0)
        taken, self._free_devices = tuple(self._free_devices[:count]), self._free_devices[count:]
        return taken

    def give_back(self, wanted: Mapping[str, int], devices: tuple[int, ...]) -> None:
        """Return what `lease` took."""
        for name, count in wanted.items():
            if count:
                self._free[name] += count
                assert self._free[name] <= self._totals[name], f"{name} was given back twice"
        self._free_devices = sorted([*self._free_devices, *devices])

"""What a program may ask of the machine: `tf.config`."""

from __future__ import annotations

from typing import Any, NamedTuple

from twinflow.core.errors import DeviceError
from twinflow.tf._function import RUNS_EAGERLY


class PhysicalDevice(NamedTuple):
    """A device of the machine."""

    name: str
    device_type: str


LogicalDevice = PhysicalDevice
_CPU = "CPU"


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices of a type: there is the processor."""
    return [PhysicalDevice("/physical_device:CPU:0", _CPU)] if device_type in (None, _CPU) else []


def list_logical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices of a type as programs name them."""
    return [PhysicalDevice("/device:CPU:0", _CPU)] if device_type in (None, _CPU) else []


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that are used."""
    return list_physical_devices(device_type)


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Raises: DeviceError for a device that is absent."""
    every = list_physical_devices()
    for d in [devices] if isinstance(devices, PhysicalDevice) else devices or []:
        if d not in every:
            raise DeviceError(f"tf.config.set_visible_devices: there is no device {d!r}; there is the processor")


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Run every `tf.function` as plain Python, to look into it.

    >>> from twinflow import tf
    >>> tf.config.run_functions_eagerly(True)
    >>> tf.config.functions_run_eagerly()
    True
    >>> tf.config.run_functions_eagerly(False)
    """
    RUNS_EAGERLY[0] = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    """Whether every `tf.function` runs as plain Python."""
    return RUNS_EAGERLY[0]

"""Messages of a program: `tf.logging`, the logger "tensorflow" of Python's logging."""

from __future__ import annotations

import logging as _logging
from typing import Any

DEBUG, INFO, WARN, ERROR, FATAL = _logging.DEBUG, _logging.INFO, _logging.WARNING, _logging.ERROR, _logging.CRITICAL
_LOGGER = _logging.getLogger("tensorflow")

debug, info, warning, error, fatal = _LOGGER.debug, _LOGGER.info, _LOGGER.warning, _LOGGER.error, _LOGGER.critical
log = _LOGGER.log
warn = warning


def set_verbosity(v: Any) -> None:
    """Show messages from this level up."""
    _LOGGER.setLevel(v)
    if not _LOGGER.handlers and not _logging.getLogger().handlers:
        _LOGGER.addHandler(_logging.StreamHandler())


def get_verbosity() -> int:
    """The level from which messages are shown."""
    return _LOGGER.getEffectiveLevel()

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Find a message class by its name."""

from __future__ import annotations

import importlib
from typing import Any

from bc_runtime.spec.errors import ConfigError, available, did_you_mean


def message_class(name: str) -> type[Any]:
    """Return the class of a message type such as `sensor_msgs/msg/Image`.

    Raises:
        ConfigError: not of that form, package not installed, or no such message in it.
    """
    parts = name.split('/')
    if len(parts) == 2:
        parts.insert(1, 'msg')
    if len(parts) != 3 or parts[1] != 'msg':
        raise ConfigError(
            f'{name!r} is no message type; expected e.g. geometry_msgs/msg/WrenchStamped'
        )
    package, _, message = parts
    try:
        module = importlib.import_module(f'{package}.msg')
    except (ImportError, TypeError, ValueError):
        raise ConfigError(
            f'the message package {package!r} of {name!r} is not installed or not sourced'
        ) from None
    found = getattr(module, message, None)
    if found is None:
        known = [each for each in dir(module) if each[0].isupper()]
        hint = did_you_mean(message, known)
        raise ConfigError(
            f'{package} has no message {message!r}; it has: {available(known)}.{hint}'
        )
    message_type: type[Any] = found
    return message_type

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Declare a node's parameters from one table: type, default, description, range, read-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from bc_runtime.spec import ConfigError
from bc_runtime.spec.errors import available, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter; `default` fixes the type."""

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    read_only: bool = False


def declare(node: Node, table: Sequence[Parameter]) -> None:
    """Declare every parameter of the table on a node."""
    for entry in table:
        descriptor = ParameterDescriptor(description=entry.description, read_only=entry.read_only)
        if entry.minimum is not None and entry.maximum is not None:
            if isinstance(entry.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(
                        from_value=float(entry.minimum), to_value=float(entry.maximum)
                    )
                ]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(entry.minimum), to_value=int(entry.maximum))
                ]
        node.declare_parameter(entry.name, entry.default, descriptor)


def refuse_unknown(node: Node) -> None:
    """Refuse parameters that were given to a node and are none of its own: misspelt ones.

    ROS would ignore them silently, and the default would hold.

    Raises:
        ConfigError: names them, and what is known.
    """
    given = [name for name in node._parameter_overrides if not name.startswith('qos_overrides.')]
    unknown = [name for name in given if not node.has_parameter(name)]
    if unknown:
        known = sorted(node._parameters)
        raise ConfigError(
            f'{node.get_name()} has no parameter {available(unknown)}; it has {available(known)}.'
            f'{did_you_mean(unknown[0], known)} What is meant for another node belongs into the '
            'section of that node (/**/<node>)'
        )

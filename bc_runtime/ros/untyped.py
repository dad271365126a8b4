# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the type checker cannot see of rclpy: its node classes and the values of parameters."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node


class PlainNode(Node):  # type: ignore[misc]
    """A node without a lifecycle."""


class LifecycleBase(LifecycleNode):  # type: ignore[misc]
    """A lifecycle node."""


def value_of(node: Node, name: str) -> Any:
    """Return the value of a declared parameter; its declaration fixes the type."""
    return node.get_parameter(name).value

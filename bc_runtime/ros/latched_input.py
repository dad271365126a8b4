# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Hear a state that its publisher may have told once, before this node was there.

A volatile subscription hears every reliable publisher, but not what was said before; a transient
local one hears that, but nothing from a volatile publisher. So there are both. A message that
comes twice says the same thing twice, which is harmless for states and only for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from bc_runtime.ros import qos


def listen_latched(
    node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None]
) -> None:
    """Subscribe to a state, also to its last value."""
    node.create_subscription(kind, topic, callback, qos.DATA)
    # That a volatile publisher cannot be heard by this one is expected, and no warning.
    quiet = SubscriptionEventCallbacks(incompatible_qos=lambda _event: None)
    node.create_subscription(kind, topic, callback, qos.LATCHED, event_callbacks=quiet)

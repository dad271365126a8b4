# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Hear a state that its publisher may have told once, before this node was there.

A volatile subscription hears every reliable publisher, but not what was said before; a transient
local one hears that, but nothing from a volatile publisher, who is warned of it. So there is the
one always, and the other as soon as somebody publishes that way. A message that comes twice says
the same thing twice, which is harmless for states and only for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy

from bc_runtime.ros import qos

SCAN_PERIOD_S = 0.5


def listen_latched(
    node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None]
) -> None:
    """Subscribe to a state, also to its last value where a publisher keeps it."""
    node.create_subscription(kind, topic, callback, qos.DATA)
    name = node.resolve_topic_name(topic)

    def scan() -> None:
        publishers = node.get_publishers_info_by_topic(name)
        if any(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers):
            timer.cancel()
            node.create_subscription(kind, topic, callback, qos.LATCHED)

    timer = node.create_timer(SCAN_PERIOD_S, scan)

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

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.subscription import Subscription

from bc_runtime.ros import qos


def listen_latched(
    node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None]
) -> None:
    """Subscribe to a state, also to its last value where a publisher keeps it."""
    name = node.resolve_topic_name(topic)
    kept: list[Subscription] = []

    def on_match(_event: object) -> None:
        publishers = node.get_publishers_info_by_topic(name)
        durable = DurabilityPolicy.TRANSIENT_LOCAL
        if not kept and any(p.qos_profile.durability == durable for p in publishers):
            kept.append(node.create_subscription(kind, topic, callback, qos.LATCHED))

    matched = SubscriptionEventCallbacks(matched=on_match)
    node.create_subscription(kind, topic, callback, qos.DATA, event_callbacks=matched)

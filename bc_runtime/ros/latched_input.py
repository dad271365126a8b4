# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Hear a state whatever QoS its publisher has, also if it was told before this node was there.

A reliable, volatile subscription hears every reliable publisher, but not what was said before, and
nothing from a best-effort one. A transient-local one hears what was said before, but nothing from
a volatile publisher. So there is the first always, and each of the others as soon as somebody
publishes that way. A message that comes twice says the same thing twice, which is harmless for
states and only for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription

from bc_runtime.ros import qos


def listen_latched(
    node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None]
) -> None:
    """Subscribe to a state, also to its last value where a publisher keeps it."""
    _subscribe_as_needed(node, kind, topic, callback, kept=True)


def listen_to_any(
    node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None]
) -> None:
    """Subscribe to what is said from now on, such as a signal that is repeated while it holds."""
    _subscribe_as_needed(node, kind, topic, callback, kept=False)


def _subscribe_as_needed(
    node: Node, kind: type[Any], topic: str, callback: Callable[[Any], None], *, kept: bool
) -> None:
    name = node.resolve_topic_name(topic)
    more: dict[str, Subscription] = {}
    # These are expected not to match everybody; the first one below says whom it does not.
    silent = SubscriptionEventCallbacks(use_default_callbacks=False)

    def add(profile: QoSProfile, why: str) -> None:
        if why not in more:
            more[why] = node.create_subscription(
                kind, topic, callback, profile, event_callbacks=silent
            )

    def on_match(_event: object) -> None:
        publishers = node.get_publishers_info_by_topic(name)
        durable = DurabilityPolicy.TRANSIENT_LOCAL
        if kept and any(p.qos_profile.durability == durable for p in publishers):
            add(qos.LATCHED, 'kept')

    def on_mismatch(_event: object) -> None:
        # Only reliability can differ: the subscription asks for nothing else.
        if 'best effort' not in more:
            node.get_logger().warning(
                f'{name} is published best effort: it is heard, but a message may get lost. '
                'Let its publisher be reliable'
            )
        add(qos.ANY, 'best effort')

    events = SubscriptionEventCallbacks(matched=on_match, incompatible_qos=on_mismatch)
    node.create_subscription(kind, topic, callback, qos.DATA, event_callbacks=events)

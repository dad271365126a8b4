# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Listen to a list of topics in serialized form, with the QoS that their publishers offer.

A subscription that asks for more than a publisher offers gets nothing, one that asks for less
loses latched messages. So each topic is subscribed when its first publisher is seen, and again
when the publishers change so that another profile fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from bc_runtime.recording.definitions import DefinitionLibrary
from bc_runtime.recording.qos import DURATION_INFINITE_NS, QosProfile
from bc_runtime.recording.topic import RecordedTopic
from bc_runtime.ros.message_types import message_class
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.spec.errors import BcError

SCAN_PERIOD_S = 0.5
#: Messages that may wait for the executor. Images are large, and a second of them is plenty.
DEPTH = 100
IMAGE_DEPTH = 30

RawCallback = Callable[['RawTopic', bytes], None]


@dataclass(slots=True)
class RawTopic:
    """One topic; `recorded` is None until a publisher has been seen."""

    name: str
    type: str | None
    recorded: RecordedTopic | None = None
    subscription: Subscription | None = None
    asked: tuple[bool, bool] = (False, False)  # reliable, transient local
    problem: str = ''

    @property
    def latched(self) -> bool:
        """True when a late subscriber gets the last message."""
        return self.asked[1]


class RawTopics:
    """Keeps one raw subscription per topic."""

    def __init__(
        self, node: Node, names: Sequence[str], callback: RawCallback, found: Callable[..., None]
    ) -> None:
        """Subscribe to topics given as `name` or `name:package/msg/Type`.

        Args:
            node: Subscribes and knows the graph.
            names: Relative names are resolved in the node's namespace.
            callback: Called for every message.
            found: Called with the `RawTopic` when its type and definition are known.
        """
        self._node = node
        self._callback = callback
        self._found = found
        self._library = DefinitionLibrary()
        self.topics: dict[str, RawTopic] = {}
        for entry in names:
            name, _, kind = entry.partition(':')
            full_name = node.resolve_topic_name(name)
            self.topics[full_name] = RawTopic(full_name, kind or None)
        self._timer = steady_timer(node, SCAN_PERIOD_S, self.scan)
        self.scan()

    def missing(self) -> list[str]:
        """Return the topics that nobody publishes, or whose type is not known."""
        return sorted(t.name for t in self.topics.values() if t.subscription is None)

    def problems(self) -> list[str]:
        """Return why topics cannot be recorded."""
        return [topic.problem for topic in self.topics.values() if topic.problem]

    def scan(self) -> None:
        """Look at the publishers of every topic and subscribe where it is due."""
        for topic in self.topics.values():
            if topic.problem:
                continue
            publishers = self._node.get_publishers_info_by_topic(topic.name)
            if publishers:
                self._adapt(topic, publishers)

    def close(self) -> None:
        """End all subscriptions."""
        self._node.destroy_timer(self._timer)
        for topic in self.topics.values():
            if topic.subscription is not None:
                self._node.destroy_subscription(topic.subscription)
                topic.subscription = None

    def _adapt(self, topic: RawTopic, publishers: Sequence[Any]) -> None:
        profiles = [info.qos_profile for info in publishers]
        asked = (
            all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles),
            all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles),
        )
        if topic.subscription is not None and asked == topic.asked:
            return
        kind = topic.type or publishers[0].topic_type
        offered = {info.topic_type for info in publishers}
        try:
            if kind not in offered:
                raise BcError(
                    f'{topic.name} is published as {", ".join(sorted(offered))}, not as {kind}'
                )
            message_type = message_class(kind)
            if topic.recorded is None:
                topic.recorded = RecordedTopic(
                    name=topic.name,
                    definition=self._library.get(kind),
                    qos=tuple(dict.fromkeys(to_qos_profile(p) for p in profiles)),
                )
        except BcError as error:
            topic.problem = f'{topic.name} is not recorded: {error}'
            self._node.get_logger().error(topic.problem)
            return
        if topic.subscription is not None:
            self._node.destroy_subscription(topic.subscription)
        topic.type, topic.asked = kind, asked
        self._found(topic)
        topic.subscription = self._subscribe(topic, message_type)

    def _subscribe(self, topic: RawTopic, message_type: type[Any]) -> Subscription:
        # No MessageInfo: with it, the EventsExecutor of rclpy 7.1 and 9.1 ends the process with
        # "SystemError: null argument to internal routine" (rmw_fastrtps has no reception counter).
        def receive(data: bytes) -> None:
            self._callback(topic, data)

        reliable, latched = topic.asked
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=IMAGE_DEPTH if topic.type == 'sensor_msgs/msg/Image' else DEPTH,
            reliability=(
                ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            ),
            durability=(
                DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
            ),
        )
        return self._node.create_subscription(message_type, topic.name, receive, profile, raw=True)


def to_qos_profile(profile: QoSProfile) -> QosProfile:
    """Turn rclpy's profile of a publisher into what a bag stores."""

    def nanoseconds(duration: Any) -> int:
        # Discovery reports 'infinite' as 0 or as the largest duration.
        return int(duration.nanoseconds) or DURATION_INFINITE_NS

    return QosProfile(
        history=profile.history.name.lower(),
        depth=profile.depth,
        reliability=profile.reliability.name.lower(),
        durability=profile.durability.name.lower(),
        deadline_ns=nanoseconds(profile.deadline),
        lifespan_ns=nanoseconds(profile.lifespan),
        liveliness=profile.liveliness.name.lower(),
        liveliness_lease_ns=nanoseconds(profile.liveliness_lease_duration),
        avoid_ros_namespace_conventions=profile.avoid_ros_namespace_conventions,
    )

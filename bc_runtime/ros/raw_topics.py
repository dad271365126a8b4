# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Listen to a list of topics in serialized form, with the QoS that their publishers offer.

A subscription that asks for more than a publisher offers gets nothing, one that asks for less
loses latched messages. So each topic is subscribed when its first publisher is seen, and again
when the publishers change so that another profile fits.

No executor knows these subscriptions. What has come waits in the middleware's queue and is
fetched every 10 ms, so much of each topic that neither services nor other topics have to wait for
one that sends without end. Each message comes with the number that its publisher gave
it, which tells what was lost, and with the time of its reception. An executor keeps both to
itself, or ends the process over them (EventsExecutor of rclpy 7.1 and 9.1, because rmw_fastrtps
has no reception counter).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from bc_runtime.recording.definitions import DefinitionLibrary
from bc_runtime.recording.qos import DURATION_INFINITE_NS, QosProfile
from bc_runtime.recording.topic import IMAGE_TYPES, RecordedTopic
from bc_runtime.recording.topic_flow import TopicFlow
from bc_runtime.ros.message_types import message_class
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.spec.errors import BcError

SCAN_PERIOD_S = 0.5
FETCH_PERIOD_S = 0.01
#: Messages that may wait to be fetched: five seconds at 200 Hz. A process that is held up longer
#: than that loses the oldest. 1000 small messages take about 1 MB for each topic.
DEPTH = 1000
#: The same for large messages: two seconds at 30 Hz; 55 MB for a raw camera of 640x480.
LARGE_DEPTH = 60
#: Most messages of a topic, small ones and large ones, that are fetched at a time: 5000 and 400
#: in a second.
SHARE = 50
LARGE_SHARE = 4
LARGE_TYPES = (*IMAGE_TYPES, 'bc_msgs/msg/Observation', 'sensor_msgs/msg/PointCloud2')

RawCallback = Callable[['RawTopic', bytes], None]
_Taken = tuple[int, 'RawTopic', bytes]  # time of reception [ns], topic, message


@dataclass(slots=True)
class RawTopic:
    """One topic.

    Attributes:
        recorded: None until a publisher has been seen.
        received_ns: When the newest message was received, ROS time [ns].
        flow: Counts what came and what was lost on the way.
    """

    name: str
    type: str | None
    recorded: RecordedTopic | None = None
    subscription: Subscription | None = None
    asked: tuple[bool, bool] = (False, False)  # reliable, transient local
    problem: str = ''
    received_ns: int = 0
    flow: TopicFlow = field(default_factory=TopicFlow)

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
            callback: Called for every message, in the order of reception.
            found: Called with the `RawTopic` when its type and definition are known.
        """
        self._node = node
        self._callback = callback
        self._found = found
        self._library = DefinitionLibrary()
        self._held: list[_Taken] = []
        self.topics: dict[str, RawTopic] = {}
        for entry in names:
            name, _, kind = entry.partition(':')
            full_name = node.resolve_topic_name(name)
            self.topics[full_name] = RawTopic(full_name, kind or None)
        self._timer = steady_timer(node, SCAN_PERIOD_S, self.scan)
        self._fetch_timer = steady_timer(node, FETCH_PERIOD_S, self.fetch)
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

    def fetch(self) -> None:
        """Take a share of what has come of each topic, and hand it on in the order of reception.

        Where a topic has more than its share, what came of others after its last message that was
        taken waits until it has its turn.
        """
        until_ns: int | None = None
        for topic in self.topics.values():
            share = LARGE_SHARE if topic.type in LARGE_TYPES else SHARE
            taken = self._take(topic, share)
            self._held += taken
            if len(taken) == share:
                until_ns = min(until_ns or taken[-1][0], taken[-1][0])
        self._hand_on(until_ns)

    def fetch_all(self) -> None:
        """Take all that has come by now, and hand it on in the order of reception."""
        for topic in self.topics.values():
            # A publisher that is faster than we are must not hold us for ever.
            self._held += self._take(topic, DEPTH)
        self._hand_on(None)

    def _hand_on(self, until_ns: int | None) -> None:
        """Hand on what is held; only what was received until then if a time is given [ns]."""
        held = sorted(self._held, key=lambda entry: entry[0])
        self._held = [entry for entry in held if until_ns is not None and entry[0] > until_ns]
        for received_ns, topic, data in held[: len(held) - len(self._held)]:
            topic.received_ns = received_ns
            self._callback(topic, data)

    def close(self) -> None:
        """End all subscriptions."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_timer(self._fetch_timer)
        for topic in self.topics.values():
            self._unsubscribe(topic)

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
        self.fetch_all()
        self._unsubscribe(topic)
        topic.type, topic.asked = kind, asked
        self._found(topic)
        topic.subscription = self._subscribe(topic, message_type)

    def _take(self, topic: RawTopic, most: int) -> list[_Taken]:
        """Return what waits in a topic's queue, the oldest first."""
        batch: list[_Taken] = []
        if topic.subscription is None:
            return batch
        clock = self._node.get_clock()
        # Reception is stamped by the system's clock, which simulated time has nothing to do with.
        stamped = not clock.ros_time_is_active
        handle, message_type = topic.subscription.handle, topic.subscription.msg_type
        with handle:
            while len(batch) < most:
                if (taken := handle.take_message(message_type, True)) is None:
                    break
                data, info = taken
                received_ns = (
                    stamped and info.get('received_timestamp')
                ) or clock.now().nanoseconds
                topic.flow.add(
                    received_ns,
                    publisher=_identity(info.get('publisher_gid')),
                    number=info.get('publication_sequence_number'),
                )
                batch.append((received_ns, topic, data))
        return batch

    def _unsubscribe(self, topic: RawTopic) -> None:
        if topic.subscription is not None:
            self._node._subscriptions.append(topic.subscription)  # see `_subscribe`
            self._node.destroy_subscription(topic.subscription)
            topic.subscription = None

    def _subscribe(self, topic: RawTopic, message_type: type[Any]) -> Subscription:
        reliable, latched = topic.asked
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=LARGE_DEPTH if topic.type in LARGE_TYPES else DEPTH,
            reliability=(
                ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            ),
            durability=(
                DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
            ),
        )

        def lost(event: Any) -> None:
            if not topic.flow.numbered:  # else the numbers tell, and of more losses
                topic.flow.add_loss(event.total_count_change)

        create = partial(
            self._node.create_subscription,
            message_type,
            topic.name,
            _never_called,
            profile,
            raw=True,
        )
        try:
            subscription = create(event_callbacks=SubscriptionEventCallbacks(message_lost=lost))
        except UnsupportedEventTypeError:
            subscription = create()
        # From here on it is ours: no executor looks at what a node does not list.
        self._node._subscriptions.remove(subscription)
        return subscription


def _never_called(_: bytes) -> None:
    """Stand where rclpy wants a callback."""


def _identity(gid: Any) -> bytes:
    """Return the bytes of a publisher's identity; Humble hands none over."""
    return bytes(gid['data']) if isinstance(gid, dict) else b''


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

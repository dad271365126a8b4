# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""SensorWatch: two publishers of one sensor make a robot of two halves; stop, or do not start.

Where a sensor topic has more than one publisher, it is listened to once more, with the ids of the
senders. The nodes' own subscriptions cannot tell them: `rclpy`'s events executor gives no message
info. So this needs a node whose executor does.
"""

from __future__ import annotations

from functools import partial
import threading
import time
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState

from bc_runtime.control import ControlLoop
from bc_runtime.control.senders import Senders
from bc_runtime.control.stamp_order import StampOrder
from bc_runtime.ros import convert, qos
from bc_runtime.ros.message_types import message_class
from bc_runtime.ros.steady_timer import steady_timer
from bc_runtime.safety import Flag
from bc_runtime.spec import RobotConfig

#: How often to look for other publishers of the sensors [s].
_LOOK_S = 0.5


class SensorWatch:
    """Tells the control loop of sensors that several nodes send.

    Args:
        node: Spun by an executor that gives message info.
        robot: Says which topics are sensors.
        loop: The control loop.
        lock: Held around every use of the loop.
    """

    def __init__(
        self, node: Node, robot: RobotConfig, loop: ControlLoop, lock: threading.Lock
    ) -> None:
        self._node, self._loop, self._lock = node, loop, lock
        self._joints = frozenset(robot.joint_names)
        self._order = StampOrder()
        self._types: dict[str, type[Any]] = {}
        if robot.joint_states.topic:
            self._types[robot.joint_states.topic] = JointState
        for camera in robot.cameras.values():
            kind = 'CompressedImage' if camera.transport == 'compressed' else 'Image'
            self._types[camera.topic] = message_class(f'sensor_msgs/msg/{kind}')
        for stream in robot.streams.values():
            self._types[stream.topic] = message_class(stream.type)
        self._heard: dict[str, tuple[Subscription[Any], Senders]] = {}
        steady_timer(node, _LOOK_S, self._look)

    def _look(self) -> None:
        for topic, kind in self._types.items():
            shared = self._node.count_publishers(topic) > 1
            if shared and topic not in self._heard:
                senders = Senders()
                joints = kind is JointState
                take = self._on_joint_state if joints else self._on_message
                subscription = self._node.create_subscription(
                    kind, topic, partial(take, senders), qos.SENSOR, raw=not joints
                )
                self._heard[topic] = (subscription, senders)
            elif not shared and topic in self._heard:
                self._node.destroy_subscription(self._heard.pop(topic)[0])
        now_ns = time.monotonic_ns()
        found = {topic: senders.several(now_ns) for topic, (_, senders) in self._heard.items()}
        text = '; '.join(self._text(topic, who) for topic, who in found.items() if who)
        with self._lock:
            self._loop.set_fact(Flag.DUPLICATE_SENSOR, text)

    def _on_joint_state(self, senders: Senders, msg: JointState, info: dict[str, Any]) -> None:
        # Others may share the topic for joints of their own, and what is repeated is dropped.
        mine = self._joints.issubset(msg.name)
        if mine and self._order.is_new(convert.to_ns(msg.header.stamp)):
            self._on_message(senders, msg, info)

    def _on_message(self, senders: Senders, _msg: Any, info: dict[str, Any]) -> None:
        senders.note(convert.sender_of(info), time.monotonic_ns())

    def _text(self, topic: str, senders: frozenset[bytes]) -> str:
        ends = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))
        names = {bytes(end.endpoint_gid): end.node_name for end in ends}
        who = sorted(names.get(sender, 'a node that has ended') for sender in senders)
        return f'{topic} is sent by {" and ".join(who)}'

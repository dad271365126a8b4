# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A human with a hold-to-run button and a leader arm, as a part of the witness."""

from __future__ import annotations

from collections.abc import Sequence

from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from bc_runtime.ros import qos
from harness.witness import Witness

RATE_HZ = 50.0
#: How long the leader is heard before a button is pressed [s].
STREAM_S = 0.2


class Human:
    """Repeats the button and the leader's joints while the witness spins.

    Attributes:
        pressed: The button; None while it is unplugged.
        leader: Where the leader's joints are; None while it is unplugged.
    """

    def __init__(self, witness: Witness, names: Sequence[str]) -> None:
        self.pressed: bool | None = False
        self.leader: list[float] | None = None
        self._names = list(names)
        self._witness = witness
        node = witness.node
        self._button = node.create_publisher(Bool, 'takeover', qos.DATA)
        self._joints = node.create_publisher(JointState, 'teleop', qos.SENSOR)
        self._timer = node.create_timer(1.0 / RATE_HZ, self._say)

    def stream(self, leader: list[float]) -> None:
        """Let the leader's joints be heard: a press while they are not ends the motion alone."""
        self.leader = leader
        w = self._witness
        publishers = self._button, self._joints
        w.until(lambda: all(p.get_subscription_count() for p in publishers), 'the controller')
        w.watch(STREAM_S)

    def press(self, pressed: bool) -> int:
        """Press or let go; return when, monotonic clock [ns]."""
        self.pressed = pressed
        at_ns = self._witness.now_ns()
        self._say()
        return at_ns

    def unplug(self) -> int:
        """Fall silent; return when, monotonic clock [ns]."""
        self.pressed = self.leader = None
        return self._witness.now_ns()

    def close(self) -> None:
        """Leave."""
        node = self._witness.node
        node.destroy_timer(self._timer)
        node.destroy_publisher(self._button)
        node.destroy_publisher(self._joints)

    def _say(self) -> None:
        if self.pressed is not None:
            self._button.publish(Bool(data=self.pressed))
        if self.leader is not None:
            msg = JointState(name=self._names, position=self.leader)
            msg.header.stamp = self._witness.node.get_clock().now().to_msg()
            self._joints.publish(msg)

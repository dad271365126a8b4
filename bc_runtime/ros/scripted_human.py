# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ScriptedHuman: takes the robot over for a moment, moves it, and gives it back.

It uses what a person would use and nothing else: the hold-to-run topic, a leader's joint states,
and the service `controller/resume`.
"""

from __future__ import annotations

from enum import Enum
import math
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from bc_runtime.ros import qos
from bc_runtime.spec import ConfigError, RobotConfig

RATE_HZ = 50.0
#: The policy works for so long before the human takes over [s].
WATCH_S = 1.5
#: The human moves the first joint by so much, there and back, in this time [rad, s].
REACH, MOVE_S = 0.12, 2.0
#: And looks at the result for so long before the policy may go on [s].
PAUSE_S = 0.4


class _Phase(Enum):
    WATCHING = 'watching'
    ALIGNING = 'aligning'
    MOVING = 'moving'
    HANDING_BACK = 'handing back'
    DONE = 'done'


def check_human(robot: RobotConfig) -> None:
    """Refuse a robot that a scripted human cannot take over.

    Raises:
        ConfigError: says what its YAML lacks.
    """
    human = robot.human
    if (human.takeover_type, human.teleop_type) != ('bool', 'joint_state') or not (
        human.takeover_topic and human.teleop_topic
    ):
        raise ConfigError(
            'a scripted takeover needs human.takeover_topic (takeover_type bool) and '
            'human.teleop_topic (teleop_type joint_state)',
            source=robot.source,
        )


class ScriptedHuman:
    """One takeover per trial; `begin` at its start.

    Args:
        node: Node that publishes and asks.
        robot: Its human topics are used.

    Raises:
        ConfigError: the robot has no takeover by a Bool topic and joint states.
    """

    def __init__(self, node: Node, robot: RobotConfig) -> None:
        check_human(robot)
        human = robot.human
        self._node = node
        self._button = node.create_publisher(Bool, human.takeover_topic, qos.DATA)
        self._leader = node.create_publisher(JointState, human.teleop_topic, qos.SENSOR)
        self._resume = node.create_client(Trigger, 'controller/resume')
        node.create_subscription(JointState, 'controller/command', self._on_command, qos.DATA)
        self._command = JointState()  # empty: none has come
        self._phase = _Phase.DONE
        self._since: float | None = None
        self._start: list[float] = []
        self._asked: Any = None
        self.takeovers = 0
        """How often the human has had the robot."""
        self._state = ''
        node.create_timer(1.0 / RATE_HZ, self._act)

    def begin(self) -> None:
        """A trial begins."""
        self._enter(_Phase.WATCHING)

    def see(self, state: str) -> None:
        """Note the controller's state."""
        self._state = state

    # Script -----------------------------------------------------------------------------------

    def _on_command(self, msg: JointState) -> None:
        self._command = msg

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds * 1e-9)

    def _enter(self, phase: _Phase) -> None:
        self._phase, self._since = phase, None

    def _lasting(self) -> float:
        """Return for how long this has been asked without a break [s]."""
        now = self._now()
        self._since = now if self._since is None else self._since
        return now - self._since

    def _act(self) -> None:
        held = self._phase in (_Phase.ALIGNING, _Phase.MOVING)
        if self._phase is _Phase.WATCHING:
            if self._state != 'AUTO' or not self._command.name:
                self._since = None
            elif self._lasting() > WATCH_S:
                self._enter(_Phase.ALIGNING)
        elif self._phase is _Phase.ALIGNING:
            self._follow_robot()
            if self._state == 'HUMAN':
                self._start = list(self._command.position)
                self._enter(_Phase.MOVING)
                self.takeovers += 1
            elif self._state not in ('AUTO', 'SLOW', 'TAKEOVER'):
                self._enter(_Phase.DONE)  # the robot was stopped meanwhile
        elif self._phase is _Phase.MOVING:
            self._move(self._lasting())
        elif self._phase is _Phase.HANDING_BACK:
            self._hand_back()
        self._button.publish(Bool(data=held and self._phase in (_Phase.ALIGNING, _Phase.MOVING)))

    def _follow_robot(self) -> None:
        self._publish(list(self._command.position))

    def _move(self, t: float) -> None:
        share = math.sin(math.pi * min(t / MOVE_S, 1.0)) ** 2
        self._publish([self._start[0] + REACH * share, *self._start[1:]])
        if t > MOVE_S + PAUSE_S or self._state not in ('HUMAN', 'TAKEOVER'):
            self._enter(_Phase.HANDING_BACK)

    def _hand_back(self) -> None:
        if self._state in ('ALIGN', 'AUTO', 'SLOW'):
            self._enter(_Phase.DONE)
        elif self._state == 'HANDBACK' and self._lasting() > PAUSE_S:
            if self._asked is None or self._asked.done():
                self._asked = self._resume.call_async(Trigger.Request())
        elif self._state not in ('HUMAN', 'HANDBACK'):
            self._enter(_Phase.DONE)

    def _publish(self, positions: list[float]) -> None:
        msg = JointState(name=self._command.name, position=positions)
        msg.header.stamp = self._node.get_clock().now().to_msg()
        self._leader.publish(msg)

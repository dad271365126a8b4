# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Turn a command into the message that the robot's driver takes.

A trajectory ends at rest: when this process is killed, the driver follows the braking tail of the
last message and stops. Set-point messages cannot do that; their driver must stop by itself when
commands cease (docs/reference/robot_yaml.md).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from bc_runtime.ros import convert, qos
from bc_runtime.safety import JointLimits, LimiterStep, braking_tail
from bc_runtime.spec import RobotConfig, SafetyError

#: Largest number of points of a braking tail in a message.
_TAIL_POINTS = 5


class CommandOutput:
    """Publishes commands in the form of the robot's YAML."""

    def __init__(self, node: Node, robot: RobotConfig, limits: tuple[JointLimits, ...]) -> None:
        self._robot = robot
        self._limits = limits
        self._names = list(robot.command.joints)
        self._dt_s = 1.0 / robot.command.rate_hz
        longest = max(limit.velocity / limit.deceleration for limit in limits)
        if longest > robot.command.tail_s:
            raise SafetyError(
                f'{robot.source}: command.tail_s: the tail may last {robot.command.tail_s:g} s, '
                f'but the slowest joint needs {longest:.2f} s to stop (velocity / deceleration)'
            )
        self._stride = max(1, round(longest / self._dt_s / _TAIL_POINTS))
        kinds: dict[str, tuple[type[Any], Callable[[LimiterStep], Any]]] = {
            'joint_trajectory': (JointTrajectory, self._trajectory),
            'float64_multi_array': (Float64MultiArray, self._array),
            'joint_state': (JointState, self._joint_state),
        }
        message, self._make = kinds[robot.command.type]
        self._publisher = node.create_publisher(message, robot.command.topic, qos.COMMAND)
        self.topic = self._publisher.topic_name

    def send(self, command: LimiterStep) -> None:
        """Publish a command."""
        self._publisher.publish(self._make(command))

    def _trajectory(self, command: LimiterStep) -> JointTrajectory:
        tail = braking_tail(
            command.position, command.velocity, self._limits, self._dt_s, stride=self._stride
        )
        # The command is for the end of this tick; a stamp of zero means: from now.
        return JointTrajectory(
            joint_names=self._names,
            points=[
                JointTrajectoryPoint(
                    positions=array('d', positions),
                    velocities=array('d', velocities),
                    time_from_start=convert.to_duration(round((self._dt_s + time_s) * 1e9)),
                )
                for time_s, positions, velocities in zip(
                    tail.times_s, tail.positions, tail.velocities, strict=True
                )
            ],
        )

    def _array(self, command: LimiterStep) -> Float64MultiArray:
        return Float64MultiArray(data=array('d', command.position))

    def _joint_state(self, command: LimiterStep) -> JointState:
        return JointState(
            name=self._names,
            position=array('d', command.position),
            velocity=array('d', command.velocity),
        )

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The adapter from commands to the message that the robot's driver takes.

A trajectory ends at rest: when this process is killed, the driver follows the braking tail of the
last message and stops. No other message can do that; their driver must stop by itself when
commands cease (docs/how-to/command_outputs.md).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
import contextlib
from functools import partial
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped, Vector3
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from bc_runtime.ros import convert, qos
from bc_runtime.safety import JointLimits, LimiterStep, driver_points
from bc_runtime.spec import RobotConfig, SafetyError
from bc_runtime.spec.joint_config import TWIST_AXES

#: Longest time for subscribers to confirm the last command [s].
_ACKED_S = 0.1


class CommandOutput:
    """Publishes commands in the form of the robot's YAML.

    Args:
        node: The controller.
        robot: The robot.
        limits: Of what is commanded.
        dry_run: Nothing is ever sent; there is no publisher that another controller would meet.
    """

    def __init__(
        self,
        node: Node,
        robot: RobotConfig,
        limits: tuple[JointLimits, ...],
        *,
        dry_run: bool = False,
    ) -> None:
        self._robot = robot
        self._limits = limits
        self._names = list(robot.command.joints)
        self._dt_s = 1.0 / robot.command.rate_hz
        self._velocities = robot.command.takes_velocities
        self._clock = node.get_clock()
        if robot.command.kind.ends_at_rest:
            self._check_tail()
        message, make = FORMS[robot.command.type]
        self._make: Callable[[LimiterStep], Any] = partial(make, self)
        self.topic = node.resolve_topic_name(robot.command.topic)
        self._publisher = (
            None if dry_run else node.create_publisher(message, self.topic, qos.COMMAND)
        )

    def make(self, command: LimiterStep) -> Any:
        """Return a command as a message."""
        return self._make(command)

    def send(self, message: Any) -> None:
        """Publish a message."""
        if self._publisher is not None:
            self._publisher.publish(message)

    def flush(self) -> None:
        """Wait a moment until the driver has the last command: the one at rest."""
        if self._publisher is None:
            return
        # Not every middleware can tell; that must not keep the node from cleaning up.
        with contextlib.suppress(RuntimeError):
            self._publisher.wait_for_all_acked(Duration(seconds=_ACKED_S))

    def _check_tail(self) -> None:
        robot = self._robot
        longest = max(limit.velocity / limit.deceleration for limit in self._limits)
        if longest > robot.command.tail_s:
            raise SafetyError(
                f'{robot.source}: command.tail_s: the tail may last {robot.command.tail_s:g} s, '
                f'but the slowest joint needs {longest:.2f} s to stop (velocity / deceleration)'
            )

    def _trajectory(self, command: LimiterStep) -> JointTrajectory:
        points = driver_points(command.position, command.velocity, self._limits, self._dt_s)
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
                    points.times_s, points.positions, points.velocities, strict=True
                )
            ],
        )

    def _array(self, command: LimiterStep) -> Float64MultiArray:
        values = command.velocity if self._velocities else command.position
        return Float64MultiArray(data=array('d', values))

    def _joint_state(self, command: LimiterStep) -> JointState:
        msg = JointState(name=self._names, velocity=array('d', command.velocity))
        msg.header.stamp = self._clock.now().to_msg()
        if not self._velocities:
            msg.position = array('d', command.position)
        return msg

    def _twist(self, command: LimiterStep) -> Twist:
        wanted = dict(zip(self._names, command.velocity, strict=True))
        x, y, z, roll, pitch, yaw = (wanted.get(axis, 0.0) for axis in TWIST_AXES)
        return Twist(linear=Vector3(x=x, y=y, z=z), angular=Vector3(x=roll, y=pitch, z=yaw))

    def _twist_stamped(self, command: LimiterStep) -> TwistStamped:
        msg = TwistStamped(twist=self._twist(command))
        msg.header.stamp = self._clock.now().to_msg()
        msg.header.frame_id = self._robot.command.frame_id
        return msg


#: Kind of command -> its message, and what makes it of a command.
FORMS: dict[str, tuple[type[Any], Callable[[CommandOutput, LimiterStep], Any]]] = {
    'joint_trajectory': (JointTrajectory, CommandOutput._trajectory),
    'float64_multi_array': (Float64MultiArray, CommandOutput._array),
    'joint_state': (JointState, CommandOutput._joint_state),
    'twist': (Twist, CommandOutput._twist),
    'twist_stamped': (TwistStamped, CommandOutput._twist_stamped),
}

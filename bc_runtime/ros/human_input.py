# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The human's button and leader, in every message that the robot's YAML may name.

What comes out is always the same: a hold-to-run signal, and names with values. The values are
positions, or velocities where the robot is commanded by velocities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState, Joy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from bc_runtime.ros import qos
from bc_runtime.ros.latched_input import listen_latched, listen_to_any
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.joint_config import TWIST_AXES

OnTeleop = Callable[[Sequence[str], Sequence[float]], None]


class HumanInput:
    """Subscribes to, and serves, what the section `human` of the robot's YAML says.

    Args:
        node: Node that the subscriptions belong to.
        robot: The robot.
        on_takeover: Takes the hold-to-run signal, each time that it is repeated.
        on_teleop: Takes names and values of joints or axes.
        on_estop: Takes the emergency stop.
        ask_takeover: Like `on_takeover`, but returns what became of it, for the service.
    """

    def __init__(
        self,
        node: Node,
        robot: RobotConfig,
        *,
        on_takeover: Callable[[bool], None],
        on_teleop: OnTeleop,
        on_estop: Callable[[bool], None],
        ask_takeover: Callable[[bool], tuple[bool, str]],
    ) -> None:
        self._node = node
        self._robot = robot
        self._on_takeover = on_takeover
        self._on_teleop = on_teleop
        self._on_estop = on_estop
        self._ask_takeover = ask_takeover
        self._velocities = robot.command.takes_velocities
        self._button = robot.human.takeover_button
        human = robot.human
        if human.estop_topic:
            listen_latched(node, Bool, robot.human.estop_topic, self._estop)
        if not human.can_take_over:
            return
        if human.takeover_type == 'joy':
            # Drivers of joysticks differ in their reliability, and repeat what they say.
            node.create_subscription(Joy, robot.human.takeover_topic, self._joy, qos.SENSOR)
        elif human.takeover_type == 'bool':
            listen_to_any(node, Bool, robot.human.takeover_topic, self._bool)
        else:
            node.create_service(SetBool, '~/takeover', self._serve)
        message, callback = self._leaders()[human.teleop_type]
        node.create_subscription(message, robot.human.teleop_topic, callback, qos.SENSOR)

    def _leaders(self) -> dict[str, tuple[type[Any], Callable[[Any], None]]]:
        return {
            'joint_state': (JointState, self._joint_state),
            'joint_trajectory': (JointTrajectory, self._joint_trajectory),
            'twist': (Twist, self._twist),
            'twist_stamped': (TwistStamped, lambda msg: self._twist(msg.twist)),
        }

    # E-stop and takeover ------------------------------------------------------------------------

    def _estop(self, msg: Bool) -> None:
        self._on_estop(msg.data)

    def _bool(self, msg: Bool) -> None:
        self._on_takeover(msg.data)

    def _joy(self, msg: Joy) -> None:
        if self._button < len(msg.buttons):
            self._on_takeover(msg.buttons[self._button] == 1)
            return
        # Not a release: a joystick without this button is no dead man's switch at all.
        self._node.get_logger().error(
            f'{self._robot.human.takeover_topic}: the joystick has {len(msg.buttons)} buttons, '
            f'human.takeover_button is {self._button} (they count from 0)',
            throttle_duration_sec=5.0,
        )

    def _serve(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._ask_takeover(request.data)
        return response

    # Leader -------------------------------------------------------------------------------------

    def _joint_state(self, msg: JointState) -> None:
        self._on_teleop(msg.name, msg.velocity if self._velocities else msg.position)

    def _joint_trajectory(self, msg: JointTrajectory) -> None:
        if msg.points:
            first = msg.points[0]
            values = first.velocities if self._velocities else first.positions
            self._on_teleop(msg.joint_names, values)

    def _twist(self, msg: Twist) -> None:
        linear, angular = msg.linear, msg.angular
        self._on_teleop(
            tuple(TWIST_AXES),
            (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z),
        )

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DriverInput: subscriptions to what the robot's driver says about itself."""

from __future__ import annotations

from collections.abc import Callable
import threading

from rclpy.node import Node
from std_msgs.msg import Bool, Float64

from bc_runtime.control.surroundings import Surroundings
from bc_runtime.ros import qos
from bc_runtime.spec import RobotConfig


class DriverInput:
    """Tells the surroundings of the control loop when the robot has stopped itself."""

    def __init__(
        self, node: Node, robot: RobotConfig, surroundings: Surroundings, lock: threading.Lock
    ) -> None:
        self._lock = lock
        listen = self._locked
        if robot.driver.stopped_topic:
            node.create_subscription(
                Bool,
                robot.driver.stopped_topic,
                listen(lambda msg: surroundings.on_robot_stopped(msg.data)),
                qos.DATA,
            )
        if robot.driver.running_topic:
            node.create_subscription(
                Bool,
                robot.driver.running_topic,
                listen(lambda msg: surroundings.on_robot_stopped(not msg.data)),
                qos.DATA,
            )
        if robot.driver.speed_scaling_topic:
            node.create_subscription(
                Float64,
                robot.driver.speed_scaling_topic,
                listen(lambda msg: surroundings.on_speed_scaling(msg.data)),
                qos.DATA,
            )

    def _locked(self, take: Callable[[object], None]) -> Callable[[object], None]:
        def callback(msg: object) -> None:
            with self._lock:
                take(msg)

        return callback

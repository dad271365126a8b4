# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""DriverInput: subscriptions to what the robot's driver says about itself."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Bool, Float64

from bc_runtime.control.surroundings import Surroundings
from bc_runtime.ros.latched_input import listen_latched
from bc_runtime.spec import RobotConfig


class DriverInput:
    """Tells the surroundings of the control loop when the robot has stopped itself."""

    def __init__(
        self, node: Node, robot: RobotConfig, surroundings: Surroundings, lock: threading.Lock
    ) -> None:
        self._lock = lock
        stopped = surroundings.on_robot_stopped
        for kind, topic, take in (
            (Bool, robot.driver.stopped_topic, lambda msg: stopped(msg.data, 'stopped')),
            (Bool, robot.driver.running_topic, lambda msg: stopped(not msg.data, 'running')),
            (
                Float64,
                robot.driver.speed_scaling_topic,
                lambda msg: surroundings.on_speed_scaling(msg.data),
            ),
        ):
            if topic:
                listen_latched(node, kind, topic, self._locked(take))

    def _locked(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def callback(msg: Any) -> None:
            with self._lock:
                take(msg)

        return callback

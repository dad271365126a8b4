# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The steering policy drives the simulated car through the whole stack: camera in, Twist out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

from geometry_msgs.msg import Twist
from harness.command import BcCommand
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger

from bc_msgs.msg import ControllerStatus, StateEvent, TaskState
from bc_runtime.resources import robot_file
from bc_runtime.ros import qos
from bc_runtime.spec import RobotConfig

READY_S = 60.0
#: A round takes the expert 24 s; a busy machine may stop the car now and then.
ROUND_S = 120.0


class Watcher:
    """Sees what the controller and the car say."""

    def __init__(self, domain: int, command: BcCommand) -> None:
        self._command = command
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = rclpy.create_node('watcher', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.newest: dict[str, Any] = {}
        self.commands: list[tuple[int, float, float]] = []
        for kind, topic, profile in (
            (ControllerStatus, 'controller/status', qos.DATA),
            (StateEvent, 'controller/state', qos.LATCHED),
            (TaskState, 'task_state', qos.DATA),
        ):
            self._node.create_subscription(kind, topic, self._keep(topic), profile)
        self._node.create_subscription(Twist, 'cmd_vel', self._on_command, qos.COMMAND)
        self._start = self._node.create_client(Trigger, 'controller/start')

    def _keep(self, topic: str) -> Callable[[Any], None]:
        return lambda message: self.newest.__setitem__(topic, message)

    def _on_command(self, msg: Twist) -> None:
        self.commands.append((time.monotonic_ns(), msg.linear.x, msg.angular.z))

    @property
    def state(self) -> str:
        message = self.newest.get('controller/state')
        return message.state if message else ''

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            self._command.check_alive()
            event = self.newest.get('controller/state')
            assert time.monotonic() < deadline, f'waited in vain for {what}; last event: {event}'
            self._executor.spin_once(timeout_sec=0.05)

    def look(self) -> None:
        self._command.check_alive()
        self._executor.spin_once(timeout_sec=0.1)

    def start(self) -> str:
        self.until(self._start.service_is_ready, 'the service', READY_S)
        future = self._start.call_async(Trigger.Request())
        self.until(future.done, 'the answer', 10.0)
        return '' if future.result().success else str(future.result().message)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def car(domain: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, '-m', 'bc_runtime.ros.car_node', '--ros-args', '-p', 'seed:=10001'],
        env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
        start_new_session=True,
    )
    yield
    process.kill()
    process.wait()


def test_steering_policy_drives_a_round_inside_the_lane(
    car: None, domain: int, tmp_path: Path
) -> None:
    command = BcCommand(
        ['deploy', '--robot', 'lane_car', '--model', 'lane_car_steering', '--record', 'none'],
        folder=tmp_path,
        domain=domain,
    )
    watcher = Watcher(domain, command)
    try:
        watcher.until(lambda: watcher.state == 'READY', 'READY', READY_S)
        deadline = time.monotonic() + ROUND_S
        said = ''
        while time.monotonic() < deadline:
            # Starts again where a busy machine has stopped the car.
            if watcher.state in ('READY', 'HELD'):
                said = watcher.start() or said
            watcher.look()
            task = watcher.newest.get('task_state')
            if task is not None and (task.success or task.wrong_object):
                break
        task = watcher.newest['task_state']
        assert not task.wrong_object, f'the car left the lane; {said}'
        assert task.success, f'the round was not finished; {watcher.state}; {said}'
    finally:
        command.close()
        watcher.close()
    robot = RobotConfig.from_file(robot_file('lane_car'))
    for axis, column in (('linear.x', 1), ('angular.z', 2)):
        limit = robot.joint(axis).velocity
        assert max(abs(sent[column]) for sent in watcher.commands) <= limit + 1e-9
    assert max(sent[1] for sent in watcher.commands) > 0.3

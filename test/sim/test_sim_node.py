# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated robot as a process, seen through its topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
import signal
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest

from bc_runtime.sim.arm import ArmSim
from bc_runtime.sim.painter import Painter
from bc_runtime.sim.task import INSTRUCTIONS, JOINT_NAMES

pytestmark = [pytest.mark.ros, pytest.mark.slow]

DEADLINE_S = 30.0


class Robot:
    """A client of the node: keeps the newest message of each topic."""

    def __init__(self) -> None:
        from rcl_interfaces.srv import SetParameters
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import CompressedImage, Image, JointState
        from std_msgs.msg import Float64MultiArray, String
        from trajectory_msgs.msg import JointTrajectory

        from bc_msgs.msg import TaskState
        from bc_msgs.srv import ResetScene
        from bc_runtime.ros import qos

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('robot_client', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.newest: dict[str, Any] = {}
        self.count: dict[str, int] = {}
        for kind, topic, profile in (
            (JointState, 'joint_states', qos.SENSOR),
            (Image, 'front/image_raw', qos.SENSOR),
            (Image, 'wrist/image_raw', qos.SENSOR),
            (CompressedImage, 'front/image_raw/compressed', qos.SENSOR),
            (String, 'instruction', qos.LATCHED),
            (TaskState, 'task_state', qos.DATA),
        ):
            self.node.create_subscription(kind, topic, self._keep(topic), profile)
        self.trajectory = self.node.create_publisher(
            JointTrajectory, 'joint_trajectory', qos.COMMAND
        )
        self.positions = self.node.create_publisher(
            Float64MultiArray, 'position_commands', qos.COMMAND
        )
        self._reset = self.node.create_client(ResetScene, 'sim_robot/reset')
        self._set = self.node.create_client(SetParameters, 'sim_robot/set_parameters')

    def _keep(self, topic: str) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            self.newest[topic] = message
            self.count[topic] = self.count.get(topic, 0) + 1

        return keep

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f'waited in vain for {what}'
            self.executor.spin_once(timeout_sec=0.05)

    def fresh(self, topic: str, messages: int = 2) -> Any:
        """Return a message that came after now."""
        wanted = self.count.get(topic, 0) + messages
        self.until(lambda: self.count.get(topic, 0) >= wanted, topic)
        return self.newest[topic]

    def call(self, client: Any, request: Any) -> Any:
        self.until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.until(future.done, client.srv_name)
        return future.result()

    def reset(self, seed: int, instruction: str = '') -> Any:
        from bc_msgs.srv import ResetScene

        return self.call(self._reset, ResetScene.Request(seed=seed, instruction=instruction))

    def set(self, name: str, value: Any) -> Any:
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        return self.call(self._set, request).results[0]

    def send(self, names: list[str], rows: list[list[float]], times_s: list[float]) -> None:
        from builtin_interfaces.msg import Duration
        from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

        message = JointTrajectory(joint_names=names)
        for row, at in zip(rows, times_s, strict=True):
            when = Duration(sec=int(at), nanosec=round(at % 1 * 1e9))
            message.points.append(JointTrajectoryPoint(positions=row, time_from_start=when))
        self.trajectory.publish(message)

    def joints(self) -> dict[str, float]:
        message = self.fresh('joint_states')
        return dict(zip(message.name, message.position, strict=True))

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def process(ros_domain: int) -> Iterator[subprocess.Popen[str]]:
    command = ['env', '--default-signal=INT', sys.executable, '-m', 'bc_runtime.ros.sim_node']
    node = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield node
    node.kill()
    node.communicate()


@pytest.fixture
def robot(process: subprocess.Popen[str]) -> Iterator[Robot]:
    client = Robot()
    client.until(
        lambda: {'joint_states', 'front/image_raw', 'instruction'} <= set(client.newest),
        'the first messages',
    )
    client.until(
        lambda: (
            client.trajectory.get_subscription_count()
            and client.positions.get_subscription_count()
        ),
        'the command topics',
    )
    yield client
    client.close()


def test_sim_node_robot_interface(robot: Robot, process: subprocess.Popen[str]) -> None:
    """One process for all of it: starting a node takes longer than any of these checks."""
    check_reset_and_images(robot)
    check_trajectory(robot)
    check_position_commands(robot)
    check_bad_commands_are_ignored(robot)
    check_faults(robot)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    assert 'Traceback' not in output
    assert 'a command on joint_trajectory is ignored: expected each of the joints' in output
    assert 'a command on position_commands is ignored: expected finite positions' in output


def check_reset_and_images(robot: Robot) -> None:
    answer = robot.reset(5, INSTRUCTIONS['blue'])
    assert answer.success
    assert answer.instruction == INSTRUCTIONS['blue']
    robot.until(
        lambda: robot.newest['instruction'].data == INSTRUCTIONS['blue'], 'the instruction'
    )
    state = robot.fresh('task_state')
    assert (state.seed, state.instruction) == (5, INSTRUCTIONS['blue'])
    assert not state.success
    assert not state.wrong_object

    sim = ArmSim()
    scene = sim.reset(5)
    assert [robot.joints()[name] for name in JOINT_NAMES[:6]] == pytest.approx(
        scene.arm_start, abs=0.01
    )
    painter = Painter(sim.model)
    for camera in ('front', 'wrist'):
        message = robot.fresh(f'{camera}/image_raw', 3)
        assert (message.height, message.width, message.encoding) == (480, 640, 'rgb8')
        assert message.header.frame_id == f'{camera}_optical_frame'
        image = np.frombuffer(message.data, dtype=np.uint8).reshape(480, 640, 3)
        expected = painter.render(sim.data, camera)
        assert np.abs(image.astype(int) - expected).mean() < 1.5
    message = robot.fresh('front/image_raw/compressed', 3)
    decoded = cv2.imdecode(np.frombuffer(message.data, dtype=np.uint8), cv2.IMREAD_COLOR)
    expected = painter.render(sim.data, 'front')
    assert np.abs(decoded[..., ::-1].astype(int) - expected).mean() < 3.0

    refused = robot.reset(5, 'dance')
    assert not refused.success
    assert 'put the red cube in the tray' in refused.message
    refused = robot.reset(-1)
    assert not refused.success


def check_trajectory(robot: Robot) -> None:
    """Joints are matched by name; the last point is held."""
    goal = dict(robot.joints(), joint_1=0.4, gripper=0.03)
    names = list(reversed(JOINT_NAMES))
    target = [goal[name] for name in names]
    robot.send(names, [target, target], [0.3, 0.4])
    robot.until(lambda: abs(robot.joints()['joint_1'] - 0.4) < 0.01, 'joint_1 at 0.4')
    robot.until(lambda: abs(robot.joints()['gripper'] - 0.03) < 0.004, 'the gripper at 0.03')
    assert robot.joints()['joint_2'] == pytest.approx(goal['joint_2'], abs=0.02)


def check_position_commands(robot: Robot) -> None:
    from std_msgs.msg import Float64MultiArray

    joints = robot.joints()
    goal = [joints[name] for name in JOINT_NAMES]
    goal[0] = 0.2
    robot.positions.publish(Float64MultiArray(data=goal))
    robot.until(lambda: abs(robot.joints()['joint_1'] - 0.2) < 0.01, 'joint_1 at 0.2')


def check_bad_commands_are_ignored(robot: Robot) -> None:
    from std_msgs.msg import Float64MultiArray

    before = robot.joints()
    robot.send(['joint_1', 'elbow'], [[1.0, 1.0]], [0.1])
    # The queue holds one message, and a busy node may miss one.
    for _ in range(5):
        robot.positions.publish(Float64MultiArray(data=[math.nan] * 7))
        robot.fresh('joint_states', 10)
    robot.positions.publish(Float64MultiArray(data=[1.0] * 6))
    robot.fresh('joint_states', 40)
    after = robot.joints()
    assert after['joint_1'] == pytest.approx(before['joint_1'], abs=0.01)


def check_faults(robot: Robot) -> None:
    refused = robot.set('faults.camera', 'broken')
    assert not refused.successful
    assert 'none, stop, freeze, black' in refused.reason

    assert robot.set('faults.cameras', ['front']).successful
    assert robot.set('faults.camera', 'black').successful
    robot.until(lambda: not any(robot.fresh('front/image_raw').data), 'black images')
    assert any(robot.fresh('wrist/image_raw').data)

    assert robot.set('faults.camera', 'stop').successful
    robot.fresh('wrist/image_raw', 3)
    seen = robot.count['front/image_raw']
    robot.fresh('wrist/image_raw', 10)
    assert robot.count['front/image_raw'] == seen

    assert robot.set('faults.camera', 'none').successful
    assert any(robot.fresh('front/image_raw', 3).data)

    assert robot.set('faults.joints', 'stop').successful
    robot.fresh('wrist/image_raw', 3)
    seen = robot.count['joint_states']
    robot.fresh('wrist/image_raw', 10)
    assert robot.count['joint_states'] == seen

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Outputs other than trajectories, on the wire: a base's Twist, and position set-points."""

from __future__ import annotations

import json
from pathlib import Path
import threading

from geometry_msgs.msg import Twist
from harness import robots
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

WANTED = (0.4, -0.8)  # m/s, rad/s
CHUNK = 8


def steering(path: Path) -> Path:
    """Write a policy that sees the front camera and always wants the same velocities."""
    spec = {
        'schema_version': 1, 'name': 'steering', 'family': 'mlp', 'control_hz': 10.0,
        'chunk_size': CHUNK,
        'inputs': [{
            'kind': 'image', 'name': 'image', 'shape': [1, 48, 64, 3], 'camera': 'front',
            'height': 48, 'width': 64, 'layout': 'HWC', 'dtype': 'uint8', 'color': 'rgb',
            'resize': {'mode': 'stretch', 'interpolation': 'area'},
        }],
        'output': {'name': 'action', 'groups': [
            {'kind': 'linear_velocity', 'names': ['linear.x'], 'units': ['m/s']},
            {'kind': 'angular_velocity', 'names': ['angular.z'], 'units': ['rad/s']},
        ]},
    }  # fmt: skip
    node = helper.make_node
    constants = {
        'wanted': np.tile(np.array(WANTED, np.float32), (1, CHUNK, 1)),
        'nothing': np.array([0.0], np.float32),
    }
    nodes = [
        node('Cast', ['image'], ['pixels'], to=TensorProto.FLOAT),
        node('ReduceMean', ['pixels'], ['mean'], keepdims=0),
        node('Mul', ['mean', 'nothing'], ['zero']),
        node('Add', ['wanted', 'zero'], ['action']),
    ]
    graph = helper.make_graph(
        nodes,
        'steering',
        [helper.make_tensor_value_info('image', TensorProto.UINT8, [1, 48, 64, 3])],
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, [1, CHUNK, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 9
    entry = model.metadata_props.add()
    entry.key, entry.value = 'bc_policy', json.dumps(spec)
    onnx.save(model, str(path))
    return path


def base(path: Path) -> Path:
    return robots.write(
        path,
        {
            'schema_version': 1,
            'name': 'base',
            'joint_states': {'topic': 'joint_states'},  # of the wheels; nothing asks for them
            'cameras': {'front': {'topic': 'front/image_raw', 'max_age_s': 0.4, 'frozen_s': 0.0}},
            'command': {
                'type': 'twist',
                'topic': 'cmd_vel',
                'rate_hz': 50.0,
                'axes': {
                    'linear.x': {'velocity': 1.0, 'acceleration': 1.0, 'deceleration': 2.0},
                    'angular.z': {'velocity': 2.0, 'acceleration': 4.0},
                },
            },
        },
    )


def test_a_base_without_joints_is_driven_by_a_camera(deploy, listen, tmp_path):
    deployment = deploy(
        robot=base(tmp_path / 'base.yaml'), model=steering(tmp_path / 'steering.onnx')
    )
    w = deployment.witness
    twists = listen(Twist, 'cmd_vel')

    def driving():
        return bool(twists) and twists[-1].linear.x == pytest.approx(WANTED[0])

    for _ in range(4):
        if w.call('controller/start', start()).success:
            w.until(lambda: driving() or w.state in ('HELD', 'READY'), 'the base to drive')
        if driving():
            break
        w.ticks(50)
    assert twists[-1].angular.z == pytest.approx(WANTED[1])
    deployment.expect_end('inference')
    deployment.kill('inference')  # starvation
    w.until_state('HELD')
    w.until(lambda: twists[-1].linear.x == 0.0 and twists[-1].angular.z == 0.0, 'rest')
    forward = np.array([t.linear.x for t in twists])
    turning = np.array([t.angular.z for t in twists])
    assert not any(t.linear.y or t.linear.z or t.angular.x or t.angular.y for t in twists)
    for speeds, up, down in ((forward, 1.0, 2.0), (turning, 4.0, 4.0)):
        change = np.diff(np.abs(speeds)) * 50.0
        assert change.max() <= up * 1.001 + 1e-9
        assert change.min() >= -down * 1.001 - 1e-9


class Listener:
    """Hears one topic in a participant of its own: the witness expects trajectories."""

    def __init__(self, kind, topic, domain) -> None:
        self.messages = []
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node('listener', context=self._context)
        self._node.create_subscription(kind, topic, self.messages.append, 200)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)


@pytest.fixture
def listen(domain):
    listeners = []

    def make(kind, topic):
        listeners.append(Listener(kind, topic, domain))
        return listeners[-1].messages

    yield make
    for one in listeners:
        one.close()


def start():
    from std_srvs.srv import Trigger

    return Trigger.Request()


def test_position_set_points_drive_the_arm(deploy, listen, tmp_path, orbit):
    robot = robots.gentle()
    robot['command'] |= {'type': 'float64_multi_array', 'topic': 'position_commands'}
    deployment = deploy(robot=robots.write(tmp_path / 'points.yaml', robot), model=orbit)
    w = deployment.witness
    points = listen(Float64MultiArray, 'position_commands')
    for _ in range(4):
        if w.call('controller/start', start()).success:
            w.until(lambda: w.state in ('AUTO', 'HELD'), 'AUTO')
        seen = len(points)
        w.ticks(100)
        if w.state == 'AUTO' and len(points) > seen + 50:
            break
    assert w.state == 'AUTO', w.tell()
    newest, measured = points[-1].data, w.joint_states[-1][1]
    at = dict(zip(measured.name, measured.position, strict=True))
    gaps = [abs(at[n] - q) for n, q in zip(deployment.joints, newest, strict=True)]
    assert max(gaps) < 0.25

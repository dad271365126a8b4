# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Latency through the real nodes: sensor stamp -> first command that uses it.

Three cameras 640x480 at 30 Hz and joint states at 100 Hz from one process; observation,
inference and controller each in its own; a policy input of three pictures 224x224. The policy is a
formula in ONNX whose own time is measured and taken off. Budgets (design §10): overhead median
10 ms, p99 25 ms. Needs `onnx` (dev requirement).
"""

from __future__ import annotations

import argparse
from array import array
import json
import math
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import numpy as np

CAMERAS = ('left', 'right', 'wrist')
JOINTS = tuple(f'joint_{i}' for i in range(1, 8))
SIZE = 224
CHUNK = 20
HZ = 15.0

ROBOT = (
    'schema_version: 1\nname: bench\njoints:\n'
    + ''.join(
        f'  - {{name: {name}, unit: rad, position: [-3, 3], velocity: 2.0, acceleration: 20.0}}\n'
        for name in JOINTS
    )
    + 'joint_states: {topic: joint_states}\ncameras:\n'
    + ''.join(
        f'  {name}: {{topic: {name}/image_raw, rate_hz: 30.0, frozen_s: 0.0}}\n'
        for name in CAMERAS
    )
    + 'command: {type: joint_trajectory, topic: joint_trajectory, rate_hz: %s, '
    + f'joints: [{", ".join(JOINTS)}]}}\n'
)


def make_model(path: Path) -> None:
    """Write a policy that looks at every pixel and keeps the robot where it is."""
    import onnx
    from onnx import TensorProto, helper

    units = ['rad'] * len(JOINTS)
    inputs: list[dict[str, Any]] = [
        {
            'kind': 'state',
            'name': 'state',
            'shape': [1, len(JOINTS)],
            'joints': list(JOINTS),
            'units': units,
        }
    ]
    for name in CAMERAS:
        inputs.append(
            {
                'kind': 'image',
                'name': name,
                'shape': [1, SIZE, SIZE, 3],
                'camera': name,
                'height': SIZE,
                'width': SIZE,
                'layout': 'HWC',
                'dtype': 'uint8',
                'color': 'rgb',
                'resize': {'mode': 'stretch', 'interpolation': 'area'},
            }
        )
    spec = {
        'schema_version': 1,
        'name': 'bench',
        'family': 'mlp',
        'control_hz': HZ,
        'chunk_size': CHUNK,
        'inputs': inputs,
        'output': {
            'name': 'action',
            'groups': [{'kind': 'joint_position', 'names': list(JOINTS), 'units': units}],
        },
    }
    nodes = [helper.make_node('Unsqueeze', ['state', 'axis'], ['row'])]
    terms = ['row', 'zeros']
    for name in CAMERAS:
        nodes += [
            helper.make_node('Cast', [name], [f'{name}_f'], to=TensorProto.FLOAT),
            helper.make_node('ReduceMean', [f'{name}_f'], [f'{name}_m'], keepdims=0),
            helper.make_node('Mul', [f'{name}_m', 'none'], [f'{name}_z']),
        ]
        terms.append(f'{name}_z')
    nodes.append(helper.make_node('Sum', terms, ['action']))
    picture = [1, SIZE, SIZE, 3]
    graph = helper.make_graph(
        nodes,
        'bench',
        [helper.make_tensor_value_info('state', TensorProto.FLOAT, [1, len(JOINTS)])]
        + [helper.make_tensor_value_info(name, TensorProto.UINT8, picture) for name in CAMERAS],
        [helper.make_tensor_value_info('action', TensorProto.FLOAT, [1, CHUNK, len(JOINTS)])],
        [
            helper.make_tensor('axis', TensorProto.INT64, [1], [1]),
            helper.make_tensor('none', TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor(
                'zeros',
                TensorProto.FLOAT,
                [1, CHUNK, len(JOINTS)],
                np.zeros(CHUNK * len(JOINTS), np.float32),
            ),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 9
    entry = model.metadata_props.add()
    entry.key, entry.value = 'bc_policy', json.dumps(spec)
    onnx.save(model, path)


def run_sensors() -> int:
    """Publish three cameras and joint states, as drivers would."""
    import rclpy
    from rclpy.node import Node
    from sensor_msgs.msg import Image, JointState

    from bc_runtime.ros import qos
    from bc_runtime.ros.runtime import tune_memory, use_dds_profile

    tune_memory()
    use_dds_profile()
    rclpy.init()
    node = Node('sensors')
    joints = node.create_publisher(JointState, 'joint_states', qos.SENSOR)
    cameras = [node.create_publisher(Image, f'{name}/image_raw', qos.SENSOR) for name in CAMERAS]
    noise = np.random.default_rng(0).integers(0, 256, (4, 480 * 640 * 3), dtype=np.uint8)
    pixels = [array('B', frame.tobytes()) for frame in noise]
    start, tick = time.monotonic(), 0
    while rclpy.ok():
        stamp = node.get_clock().now().to_msg()
        msg = JointState(name=list(JOINTS), position=[0.1 * math.sin(tick / 100.0)] * len(JOINTS))
        msg.header.stamp = stamp
        joints.publish(msg)
        for index, publisher in enumerate(cameras):
            if (tick + index) % 10 in (0, 3, 7):
                image = Image(
                    height=480, width=640, encoding='rgb8', step=1920, data=pixels[tick % 4]
                )
                image.header.stamp = stamp
                publisher.publish(image)
        tick += 1
        time.sleep(max(0.0, start + tick / 100.0 - time.monotonic()))
    return 0


def measure(seconds: float, rate_hz: float) -> dict[str, Any]:
    """Run the graph and return what the controller and the chunks report."""
    import threading

    from std_srvs.srv import Trigger

    from bc_msgs import msg as bc_msg
    from bc_runtime.cli.deploy import prepare
    from bc_runtime.cli.processes import ProcessGroup
    from bc_runtime.ros import qos
    from bc_runtime.ros.demo_client import DemoClient

    with tempfile.TemporaryDirectory() as folder:
        model, robot = Path(folder, 'bench.onnx'), Path(folder, 'bench.yaml')
        make_model(model)
        robot.write_text(ROBOT % rate_hz)
        nodes = prepare({'model': str(model), 'robot': str(robot), 'record': 'none'}).nodes
        group = ProcessGroup(log_directory=Path(folder, 'logs'))
        latencies, lateness, ticks, inference, assembly = [], [], [], {}, []
        try:
            group.start_command('sensors', [sys.executable, __file__, '--sensors'])
            group.start(nodes)
            client = DemoClient(stop=threading.Event(), alive=lambda: None)

            def on_status(msg: Any) -> None:
                if msg.state == 'AUTO':
                    lateness.append(msg.lateness)
                    ticks.append(msg.tick_duration)
                    if not math.isnan(msg.latency):
                        latencies.append((msg.chunk_sequence, msg.latency))

            client.listen(bc_msg.ControllerStatus, 'controller/status', on_status, qos.DATA)
            client.listen(
                bc_msg.ActionChunk,
                'action_chunk',
                lambda msg: inference.__setitem__(msg.sequence, msg.inference),
                qos.DATA,
            )
            client.listen(
                bc_msg.ObservationStatus,
                'observation_status',
                lambda msg: assembly.append(msg.assembly),
                qos.DATA,
            )
            client.wait_until_ready(30.0)
            client.call('controller/start', Trigger.Request())
            client.wait_for(lambda: client.status.state == 'AUTO', 'AUTO', timeout_s=10.0)
            latencies.clear()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                client.spin()
            missed = client.status.missed_ticks
            client.call('controller/stop', Trigger.Request())
            client.close()
        finally:
            group.stop()
    overhead = [value - inference[key] for key, value in latencies if key in inference]
    return {
        'rate_hz': rate_hz,
        'chunks': len(latencies),
        'latency_ms': spread([value for _, value in latencies]),
        'inference_ms': spread(list(inference.values())),
        'overhead_ms': spread(overhead),
        'assembly_ms': spread(assembly),
        'tick_ms': spread(ticks),
        'jitter_ms': spread(lateness),
        'missed_ticks': missed,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    p50, p99 = np.percentile(np.array(values) * 1e3, [50, 99])
    return {'p50': round(float(p50), 2), 'p99': round(float(p99), 2)}


def main() -> int:
    """Measure, print a table and write out/bench/graph.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sensors', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('--seconds', type=float, default=15.0)
    parser.add_argument('--rates', type=float, nargs='+', default=[100.0, 250.0])
    arguments = parser.parse_args()
    if arguments.sensors:
        return run_sensors()
    os.environ.setdefault('ROS_DOMAIN_ID', str(101 - os.getpid() % 50))
    results = [measure(arguments.seconds, rate) for rate in arguments.rates]
    print('three cameras 640x480@30 -> 224x224, joints 100 Hz; milliseconds, p50 / p99')
    for result in results:
        print(f'control {result["rate_hz"]:g} Hz, {result["chunks"]} chunks:')
        for name, value in result.items():
            if isinstance(value, dict):
                print(f'  {name[:-3]:<10} {value["p50"]:8.2f} {value["p99"]:8.2f}')
        print(f'  missed ticks {result["missed_ticks"]}')
    out = Path('out/bench/graph.json')
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({'load_average': os.getloadavg(), 'runs': results}, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())

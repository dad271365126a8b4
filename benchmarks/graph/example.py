# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A robot and a policy for benchmarks: three cameras, seven joints, a formula for a network."""

from __future__ import annotations

import json
from pathlib import Path
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

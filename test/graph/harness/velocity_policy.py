# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The orbit of `harness.policies` for a robot that is commanded by joint velocities.

The velocities are those of the circle, and a share of the way back to it: nothing measures where a
chain of velocities has led. What misbehaves on command misbehaves here too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness import policies

#: Share of the distance from the circle that is made up for per second [1/s].
RETURN = 0.5


def orbit(path: Path) -> Path:
    """Write the policy."""
    model = onnx.load(str(policies.orbit(path, with_spec=False)))
    graph, steps, dims = model.graph, policies.CHUNK, len(policies.JOINTS)
    slopes = np.zeros((steps, steps), np.float32)
    for k in range(steps):
        at = min(k, steps - 2)
        slopes[k, at + 1] += policies.CONTROL_HZ
        slopes[k, at] -= policies.CONTROL_HZ
    slopes[:, 0] += RETURN
    graph.initializer.extend(
        [
            numpy_helper.from_array(slopes, 'slopes'),
            numpy_helper.from_array(np.array([RETURN], np.float32), 'return'),
        ]
    )
    graph.node.extend(
        [
            helper.make_node('MatMul', ['slopes', 'action'], ['along']),
            helper.make_node('Unsqueeze', ['state', 'axis_1'], ['state_3d']),
            helper.make_node('Mul', ['state_3d', 'return'], ['present']),
            helper.make_node('Sub', ['along', 'present'], ['rates']),
        ]
    )
    output = helper.make_tensor_value_info('rates', TensorProto.FLOAT, [1, steps, dims])
    graph.output[0].CopyFrom(output)
    spec = policies.spec_dict()
    spec['name'] = 'orbit_by_velocities'
    spec['output'] = {
        'name': 'rates',
        'groups': [
            {
                'kind': 'joint_velocity',
                'names': list(policies.JOINTS),
                'units': ['m/s' if name == 'gripper' else 'rad/s' for name in policies.JOINTS],
            }
        ],
    }
    entry = model.metadata_props.add()
    entry.key, entry.value = 'bc_policy', json.dumps(spec)
    onnx.save(model, str(path))
    return path

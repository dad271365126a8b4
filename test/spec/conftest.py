# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A policy spec that has every kind of input, and a robot that has every kind of stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest


def full_spec() -> dict[str, Any]:
    """Return the JSON of a spec with every kind of input."""
    return {
        'schema_version': 1,
        'name': 'arm',
        'version': '3',
        'family': 'act',
        'license': 'Apache-2.0',
        'control_hz': 15.0,
        'n_obs_steps': 2,
        'chunk_size': 4,
        'n_action_steps': 3,
        'stamp_index': 1,
        'inputs': [
            {
                'kind': 'state',
                'name': 'state',
                'shape': [1, 2, 2],
                'joints': ['lift', 'grip'],
                'quantity': 'position',
                'units': ['rad', 'm'],
            },
            {
                'kind': 'vector',
                'name': 'force',
                'shape': [1, 2, 1],
                'stream': 'wrench',
                'names': ['force_z'],
                'units': ['N'],
            },
            {
                'kind': 'image',
                'name': 'front',
                'shape': [1, 2, 3, 72, 96],
                'camera': 'front',
                'height': 72,
                'width': 96,
                'layout': 'CHW',
                'dtype': 'float32',
                'value_range': [0.0, 1.0],
                'color': 'rgb',
                'resize': {
                    'mode': 'letterbox',
                    'interpolation': 'area',
                    'pad_value': 114,
                    'crop': [0, 80, 480, 480],
                },
            },
            {
                'kind': 'embedding',
                'name': 'task',
                'shape': [1, 2],
                'dtype': 'float32',
                'table': {'lift the cube': [1.0, 0.0], 'drop the cube': [0.0, 1.0]},
            },
            {'kind': 'text', 'name': 'words', 'shape': [1], 'dtype': 'utf8'},
            {
                'kind': 'tokens',
                'name': 'tokens',
                'shape': [1, 3],
                'dtype': 'int64',
                'table': {'lift the cube': [5.0, 7.0, 0.0]},
            },
            {'kind': 'noise', 'name': 'noise', 'shape': [1, 4, 3], 'distribution': 'normal'},
            {
                'kind': 'recurrent',
                'name': 'hidden',
                'shape': [2, 1, 8],
                'dtype': 'float32',
                'output': 'hidden_next',
                'reset_value': 0.0,
            },
            {
                'kind': 'prefix',
                'name': 'committed',
                'shape': [1, 4, 3],
                'role': 'actions',
                'dtype': 'float32',
            },
            {'kind': 'prefix', 'name': 'delay', 'shape': [], 'role': 'delay', 'dtype': 'int64'},
        ],
        'output': {
            'name': 'action',
            'groups': [
                {
                    'kind': 'joint_position',
                    'names': ['lift'],
                    'units': ['rad'],
                    'reference': 'observation_state',
                },
                {'kind': 'gripper', 'names': ['grip'], 'units': ['m'], 'reference': 'absolute'},
                {'kind': 'binary', 'names': ['suction'], 'units': ['1'], 'reference': 'absolute'},
            ],
        },
        'training_ranges': {
            'state.lift': {'min': -1.0, 'max': 2.0, 'mean': 0.5, 'std': 0.3},
            'state.force_z': {'min': -20.0, 'max': 5.0, 'mean': -1.0, 'std': 3.0},
            'action.grip': {'min': 0.0, 'max': 0.09, 'mean': 0.05, 'std': 0.02},
        },
        'self_test': {'seed': 11, 'expected': [0.25] * 12, 'tolerance': 0.0001},
        'source': {'framework': 'torch 2.13', 'command': 'bc train', 'parity': {'max_abs': 1e-6}},
    }


def full_robot() -> dict[str, Any]:
    """Return the YAML of a robot with every kind of stream."""
    return {
        'schema_version': 1,
        'name': 'arm',
        'joints': [
            {
                'name': 'lift',
                'unit': 'rad',
                'position': [-1.5, 1.5],
                'velocity': 2.0,
                'acceleration': 10.0,
                'margin': 0.05,
                'jerk': 200.0,
            },
            {
                'name': 'wheel',
                'unit': 'rad',
                'continuous': True,
                'velocity': 4.0,
                'acceleration': 20.0,
                'deceleration': 30.0,
            },
            {
                'name': 'grip',
                'unit': 'm',
                'position': [0.0, 0.09],
                'velocity': 0.5,
                'acceleration': 8.0,
                'gripper': True,
            },
        ],
        'joint_states': {'topic': 'joint_states', 'max_age_s': 0.1, 'latency_s': 0.002},
        'cameras': {
            'front': {'topic': 'front/image_raw', 'transport': 'raw', 'rate_hz': 30.0},
            'wrist': {'topic': 'wrist/compressed', 'transport': 'compressed', 'clock': 'arrival'},
        },
        'streams': {
            'wrench': {
                'topic': 'wrench',
                'type': 'geometry_msgs/msg/WrenchStamped',
                'fields': {'force_z': 'wrench.force.z'},
            },
        },
        'command': {
            'type': 'joint_trajectory',
            'topic': 'joint_trajectory',
            'joints': ['grip', 'lift', 'wheel'],
            'rate_hz': 100.0,
        },
    }


@pytest.fixture
def spec() -> dict[str, Any]:
    return full_spec()


@pytest.fixture
def robot() -> dict[str, Any]:
    return full_robot()


@pytest.fixture(scope='session')
def validator(repository: Path) -> jsonschema.Draft202012Validator:
    """Return the validator of the shipped JSON Schema of robots."""
    schema = json.loads((repository / 'config' / 'robot.schema.json').read_text(encoding='utf-8'))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)

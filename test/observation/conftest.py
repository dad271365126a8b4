# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Builders of policies, robots and pictures for the tests of the observation station."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bc_runtime.observation import ObservationAssembler, PushResult, RawImage
from bc_runtime.spec import PolicySpec, RobotConfig

ROBOT = """
schema_version: 1
name: arm
joints:
  - {name: shoulder, unit: rad, position: [-3, 3], velocity: 1, acceleration: 1}
  - {name: wrist, unit: rad, continuous: true, velocity: 1, acceleration: 1}
  - {name: gripper, unit: m, position: [0, 0.1], velocity: 1, acceleration: 1, gripper: true}
joint_states: {topic: joint_states, max_age_s: 0.1}
cameras:
  front: {topic: front/image_raw, rate_hz: 30.0, max_age_s: 0.25}
  side: {topic: side/image/compressed, transport: compressed, rate_hz: 30.0, max_age_s: 0.25}
streams:
  wrench:
    topic: wrench
    type: geometry_msgs/msg/WrenchStamped
    fields: {force_x: wrench.force.x, force_z: wrench.force.z}
command: {type: joint_trajectory, topic: t, joints: [shoulder, wrist, gripper], rate_hz: 100.0}
"""
JOINTS = ('shoulder', 'wrist', 'gripper')
UNITS = ('rad', 'rad', 'm')


@pytest.fixture(scope='session')
def make_robot() -> Callable[..., RobotConfig]:
    """Return a function that makes the robot, with text replaced in its YAML."""

    def make(*replacements: tuple[str, str]) -> RobotConfig:
        text = ROBOT
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        return RobotConfig.from_yaml(text)

    return make


def state_input(n_obs_steps: int = 1, **changes: Any) -> dict[str, Any]:
    joints = changes.get('joints', list(JOINTS))
    steps = [n_obs_steps] if n_obs_steps > 1 else []
    return {
        'kind': 'state',
        'name': 'state',
        'shape': [1, *steps, len(joints)],
        'joints': joints,
        'units': [UNITS[JOINTS.index(j)] if j in JOINTS else 'rad' for j in joints],
        **changes,
    }


def image_input(camera: str = 'front', n_obs_steps: int = 1, **changes: Any) -> dict[str, Any]:
    height, width = changes.get('height', 6), changes.get('width', 8)
    channels = 3 if changes.get('color', 'rgb') in ('rgb', 'bgr') else 1
    chw = changes.get('layout') == 'CHW'
    feature = [channels, height, width] if chw else [height, width, channels]
    steps = [n_obs_steps] if n_obs_steps > 1 else []
    return {
        'kind': 'image',
        'name': camera,
        'shape': [1, *steps, *feature],
        'camera': camera,
        'height': height,
        'width': width,
        'layout': 'HWC',
        'dtype': 'uint8',
        'color': 'rgb',
        'resize': {'mode': 'stretch', 'interpolation': 'area'},
        **changes,
    }


def vector_input(n_obs_steps: int = 1, **changes: Any) -> dict[str, Any]:
    names = changes.get('names', ['force_z'])
    steps = [n_obs_steps] if n_obs_steps > 1 else []
    return {
        'kind': 'vector',
        'name': 'wrench',
        'shape': [1, *steps, len(names)],
        'stream': 'wrench',
        'names': names,
        'units': ['N'] * len(names),
        **changes,
    }


def task_input(**changes: Any) -> dict[str, Any]:
    return {
        'kind': 'embedding',
        'name': 'task',
        'shape': [1, 2],
        'table': {'take the cup': [1, 0], 'leave the cup': [0, 1]},
        **changes,
    }


@pytest.fixture(scope='session')
def inputs() -> Any:
    """Return the makers of policy inputs."""

    class Inputs:
        state = staticmethod(state_input)
        image = staticmethod(image_input)
        vector = staticmethod(vector_input)
        task = staticmethod(task_input)

    return Inputs


@pytest.fixture(scope='session')
def make_spec() -> Callable[..., PolicySpec]:
    """Return a function that makes a policy with the given inputs."""

    def make(
        *inputs: dict[str, Any],
        n_obs_steps: int = 1,
        control_hz: float = 10.0,
        reference: str = 'absolute',
        action_names: tuple[str, ...] = JOINTS,
    ) -> PolicySpec:
        return PolicySpec.from_dict(
            {
                'schema_version': 1,
                'name': 'policy',
                'family': 'act',
                'control_hz': control_hz,
                'n_obs_steps': n_obs_steps,
                'chunk_size': 4,
                'inputs': list(inputs),
                'output': {
                    'name': 'action',
                    'groups': [
                        {
                            'kind': 'joint_position',
                            'names': list(action_names),
                            'units': ['rad'] * len(action_names),
                            'reference': reference,
                        }
                    ],
                },
            }
        )

    return make


def raw(array: np.ndarray, encoding: str = 'rgb8', **changes: Any) -> RawImage:
    data = np.ascontiguousarray(array)
    fields = {
        'height': array.shape[0],
        'width': array.shape[1],
        'encoding': encoding,
        'step': data.nbytes // array.shape[0],
        'is_bigendian': False,
        'data': data.tobytes(),
    }
    return RawImage(**{**fields, **changes})


@pytest.fixture(scope='session')
def raw_image() -> Callable[..., RawImage]:
    """Return a function that makes a raw picture of an array."""
    return raw


@pytest.fixture(scope='session')
def noise_image() -> Callable[[int], RawImage]:
    """Return a function that makes a different noise picture for every seed."""

    def make(seed: int, height: int = 12, width: int = 16) -> RawImage:
        rng = np.random.default_rng(seed)
        return raw(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    return make


@pytest.fixture(scope='session')
def push_joints() -> Callable[..., PushResult]:
    """Return a function that pushes one joint state."""

    def push(
        assembler: ObservationAssembler, stamp_ns: int, *position: float, **changes: Any
    ) -> PushResult:
        values: dict[str, Any] = {
            'stamp_ns': stamp_ns,
            'arrival_ns': None,
            'names': JOINTS,
            'position': position or (0.0, 0.0, 0.0),
        }
        return assembler.push_joint_state(**{**values, **changes})

    return push

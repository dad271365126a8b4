# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The policy in models/: no torch needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bc_runtime.policy import load_policy
from bc_runtime.resources import robot_file, share_directory
from bc_runtime.sim import task
from bc_runtime.spec import RobotConfig
from bc_runtime.spec.self_test import make_inputs

MODEL = 'sim_arm_act'


@pytest.fixture(scope='module')
def path() -> Path:
    return share_directory() / 'models' / f'{MODEL}.onnx'


@pytest.fixture(scope='module')
def policy(path: Path):
    return load_policy(path, threads=1)


def test_shipped_model_passes_its_self_test(policy):
    test = policy.spec.self_test
    assert test is not None
    assert test.tolerance <= 1e-3
    values = policy.infer(make_inputs(policy.spec, test.seed)).values
    np.testing.assert_allclose(values.ravel(), test.expected, rtol=0, atol=test.tolerance)


def test_shipped_model_is_small(path):
    assert path.stat().st_size < 3_000_000


def test_shipped_model_predicts_two_seconds_at_50_hz(policy):
    assert (policy.spec.chunk_size, policy.spec.control_hz) == (100, 50.0)
    assert policy.infer(make_inputs(policy.spec, 1)).values.shape == (100, 7)


def test_shipped_model_fits_the_simulated_robot(policy):
    spec = policy.spec
    robot = RobotConfig.from_file(robot_file('sim_arm'))
    names = [joint.name for joint in robot.joints]
    assert set(spec.action_names) == set(names)
    for state in spec.state_inputs:
        assert set(state.joints) <= set(names)
    assert {image.camera for image in spec.image_inputs} <= set(robot.cameras)
    for words in task.INSTRUCTIONS.values():
        for item in spec.instruction_inputs:
            assert len(item.encode(words)) == 3
    units = dict(zip(spec.action_names, spec.action_units, strict=True))
    assert units == {joint.name: joint.unit for joint in robot.joints}


def test_shipped_model_was_trained_inside_the_robots_limits(policy):
    robot = RobotConfig.from_file(robot_file('sim_arm'))
    for joint in robot.joints:
        found = policy.spec.training_ranges[f'action.{joint.name}']
        assert joint.lower - 1e-6 <= found.minimum < found.maximum <= joint.upper + 1e-6


def test_shipped_model_acts_on_the_instruction(policy):
    spec = policy.spec
    inputs = dict(make_inputs(spec, 1))
    (words,) = spec.instruction_inputs
    chunks = []
    for row in words.table.values():
        inputs[words.name] = np.array(row, dtype=np.float32).reshape(words.shape)
        chunks.append(policy.infer(inputs).values)
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(chunks[one] - chunks[two]).max() > 1e-3


def test_shipped_model_tells_where_it_comes_from(policy):
    source = policy.spec.source
    assert policy.spec.license == 'Apache-2.0'
    assert str(source['command']).startswith('bc train --family act --seed ')
    assert source['parity']['max_abs_error'] <= 1e-4
    assert source['parity']['inputs'] >= 8

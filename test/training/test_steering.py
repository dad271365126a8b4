# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The steering policy of the lane car, from a tiny training to a driven stretch of road."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('torch', reason='training needs torch (requirements/train.txt)')
pytest.importorskip('onnx', reason='export needs onnx (requirements/train.txt)')

from bc_runtime.binding import check_binding
from bc_runtime.cli.trials import summary_of_rounds
from bc_runtime.policy import load_policy
from bc_runtime.resources import robot_file
from bc_runtime.sim.car import CarSim
from bc_runtime.sim.car_painter import CarPainter
from bc_runtime.spec import RobotConfig
from bc_runtime.training.steering.run import SteeringRecipe, train_steering
from bc_runtime.training.steering.trials import drive_round


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    lines: list[str] = []
    path = tmp_path_factory.mktemp('steering') / 'steering.onnx'
    recipe = SteeringRecipe(drives=2, steps_per_drive=100, steps=120, batch=32)
    report = train_steering(recipe, out=path, command='test', say=lines.append)
    return report, lines


def test_steering_policy_exports_with_parity_and_fits_the_car(trained):
    report, _ = trained
    assert report.max_abs_error <= 1e-4
    policy = load_policy(report.path, threads=1)
    robot = RobotConfig.from_file(robot_file('lane_car'))
    check_binding(policy.spec, robot)
    assert policy.spec.action_names == ('linear.x', 'angular.z')


def test_steering_training_lowers_the_loss(trained):
    _, lines = trained
    losses = [float(line.split('loss ')[1].split(',')[0]) for line in lines if 'loss' in line]
    assert losses[-1] < 0.5 * losses[0]


def test_steering_policy_gives_one_answer_that_is_held(trained):
    policy = load_policy(trained[0].path, threads=1)
    (camera,) = policy.spec.image_inputs
    picture = np.full(camera.shape, 90, dtype=np.uint8)
    values = policy.infer({camera.name: picture}).values
    np.testing.assert_array_equal(values, np.repeat(values[:1], 3, axis=0))


def test_round_reports_how_far_the_car_came(trained):
    policy = load_policy(trained[0].path, threads=1)
    robot = RobotConfig.from_file(robot_file('lane_car'))
    one = drive_round(policy, 10_000, robot=robot, timeout_s=3.0)
    two = drive_round(policy, 10_000, robot=robot, timeout_s=3.0)
    assert one == two
    assert not one.success
    assert 0.0 < one.laps < 0.5
    assert '0/1 (0% to 79%) rounds inside the lane' in summary_of_rounds([one])


def test_painter_and_robot_yaml_speak_of_the_same_camera():
    robot = RobotConfig.from_file(robot_file('lane_car'))
    assert list(robot.cameras) == ['front']
    sim = CarSim()
    assert CarPainter(sim.track).render(sim.pose).dtype == np.uint8

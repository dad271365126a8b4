# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Trials without ROS: no torch needed."""

from __future__ import annotations

import pytest

pytest.importorskip('mujoco')

from bc_runtime.cli.main import main
from bc_runtime.cli.trials import summary_of_trials
from bc_runtime.policy import load_policy
from bc_runtime.resources import robot_file, share_directory
from bc_runtime.spec import BcError, RobotConfig
from bc_runtime.training.trials import CONDITIONS, CONDITIONS_OF, run_trials


@pytest.fixture(scope='module')
def policy():
    return load_policy(share_directory() / 'models' / 'sim_arm_act.onnx', threads=1)


def test_conditions_of_every_family_exist():
    assert {name for names in CONDITIONS_OF.values() for name in names} <= set(CONDITIONS)


def test_trials_give_the_same_for_the_same_scenes_and_say_their_interval(policy):
    robot = RobotConfig.from_file(robot_file('sim_arm'))
    one = run_trials(policy, robot=robot, conditions='receding_20', scenes=[10_000])
    two = run_trials(policy, robot=robot, conditions='receding_20', scenes=[10_000])
    assert one == two
    assert f'receding_20: {one.successes}/1 (' in summary_of_trials(one)


def test_trials_refuse_unknown_conditions(policy):
    robot = RobotConfig.from_file(robot_file('sim_arm'))
    with pytest.raises(BcError, match=r"unknown conditions 'fast'; available: ensemble, .*newest"):
        run_trials(policy, robot=robot, conditions='fast', scenes=[10_000])


def test_verb_refuses_impossible_numbers(capsys):
    assert main(['trials', 'sim_arm_act', '--episodes', '0']) == 2
    assert '--episodes of at least 1' in capsys.readouterr().err

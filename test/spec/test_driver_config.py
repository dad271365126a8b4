# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from bc_runtime.spec import RobotConfig, RobotConfigError

ROBOT = """
schema_version: 1
name: one
joints:
  - {name: a, unit: rad, position: [-1, 1], velocity: 1.0, acceleration: 10.0}
joint_states: {topic: joint_states}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [a], rate_hz: 100.0}
"""


def test_the_driver_is_not_connected_unless_its_topics_are_given():
    assert RobotConfig.from_yaml(ROBOT).driver.stopped_topic == ''
    driver = RobotConfig.from_yaml(
        ROBOT + 'driver: {running_topic: running, speed_scaling_topic: speed}'
    ).driver
    assert (driver.running_topic, driver.speed_scaling_topic) == ('running', 'speed')


def test_an_unknown_key_of_the_driver_is_named():
    with pytest.raises(RobotConfigError, match=r'driver.*stoped_topic'):
        RobotConfig.from_yaml(ROBOT + 'driver: {stoped_topic: stopped}')

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A kind of command is one row: the robot's YAML, its schema, the bag and the timing read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bc_runtime.deployment import recorded_topics
from bc_runtime.spec import RobotConfig, RobotConfigError
from bc_runtime.spec.command_kinds import COMMAND_KINDS, CommandKind
from bc_runtime.spec.schema import entries
from bc_runtime.spec.schema_pages import json_schema

ROBOT = """
schema_version: 1
name: one
joints:
  - {name: a, unit: rad, position: [-1, 1], velocity: 1.0, acceleration: 10.0}
joint_states: {topic: joint_states}
command: {type: fake, topic: fakes, joints: [a], rate_hz: 100.0}
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandKind]:
    kind = CommandKind(message='fake_msgs/msg/Fake', interfaces=('position',), acts_after=0.5)
    monkeypatch.setitem(COMMAND_KINDS, 'fake', kind)
    entries.cache_clear()
    yield kind
    entries.cache_clear()


def test_a_new_row_is_read_recorded_and_timed(fake: CommandKind) -> None:
    robot = RobotConfig.from_yaml(ROBOT)
    assert robot.command.kind is fake
    assert robot.command.acts_after_s == 0.005
    assert ('fakes', 'fake_msgs/msg/Fake') in recorded_topics(robot, 'raw')
    schema = json_schema(RobotConfig)['properties']['command']
    assert 'fake' in schema['properties']['type']['enum']
    with pytest.raises(RobotConfigError, match='a fake carries positions'):
        RobotConfig.from_yaml(ROBOT.replace('fake,', 'fake, interface: velocity,'))


def test_without_its_row_a_kind_is_refused() -> None:
    with pytest.raises(RobotConfigError, match=r"command\.type: expected one of .*got 'fake'"):
        RobotConfig.from_yaml(ROBOT)


def test_every_row_has_its_message_in_the_node() -> None:
    pytest.importorskip('rclpy')
    from bc_runtime.ros.command_output import FORMS

    for name, kind in COMMAND_KINDS.items():
        package, _, message = kind.message.split('/')
        made = FORMS[name][0]
        assert (made.__module__.split('.')[0], made.__name__) == (package, message)
    assert set(FORMS) == set(COMMAND_KINDS)

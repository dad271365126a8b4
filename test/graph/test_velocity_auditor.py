# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The auditor of velocity commands: what a limiter sends passes, what breaks a limit does not."""

from __future__ import annotations

from dataclasses import replace

from harness import robots
from harness.velocity_wire import VelocityAuditor, VelocityCommand
from harness.wire import NS
import numpy as np
import pytest
import yaml

from bc_runtime.spec import RobotConfig

N = 7


@pytest.fixture(scope='module')
def robot():
    return RobotConfig.from_yaml(yaml.safe_dump(robots.by_velocities()))


@pytest.fixture
def commands(robot):
    """Return commands that speed joint_1 up, go on, and brake to rest, as hard as is allowed."""
    rate_hz = robot.command.rate_hz
    step = robot.joint('joint_1').acceleration / rate_hz
    speeds = [*np.arange(1, 21) * step, *[20 * step] * 30, *np.arange(19, -1, -1) * step]
    return [
        VelocityCommand(
            sequence=k + 1,
            sent_ns=round(k / rate_hz * NS),
            velocities=np.array([[speed] + [0.0] * (N - 1)]),
        )
        for k, speed in enumerate(speeds)
    ]


def audit(robot, commands, **what):
    auditor = VelocityAuditor(robot)
    auditor.commands = list(commands)
    for name, value in what.items():
        setattr(auditor, name, value)
    return auditor.report()


def test_what_a_limiter_sends_passes(robot, commands):
    report = audit(robot, commands)
    assert report.violations == []
    assert report.acceleration_ratio == pytest.approx(1.0, abs=1e-6)
    assert (report.commands, report.streams, report.lost) == (len(commands), 1, 0)


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        (lambda v: v + 0.0301, 'needs'),
        (lambda v: v * np.nan, 'nan'),
        (lambda v: -v, 'needs'),
        (lambda v: v * 10.0, 'needs'),
        (lambda v: v[:, :6], 'command 26'),
    ],
)
def test_each_violation_is_found(robot, commands, change, word):
    bad = replace(commands[25], velocities=change(commands[25].velocities))
    found = audit(robot, [*commands[:25], bad, *commands[26:]]).violations
    assert any(word in each for each in found), found


def test_a_robot_that_is_left_moving_is_found(robot, commands):
    later = [replace(c, sent_ns=c.sent_ns + NS) for c in commands[40:]]
    (left, jump) = audit(robot, [*commands[:40], *later]).violations
    assert 'left moving' in left and 'command 40' in left
    assert 'from command 41' in jump, 'the driver has stopped meanwhile'
    # While the process was suspended it could not say anything; then it begins from rest.
    begun = [replace(c, sent_ns=c.sent_ns + 2 * NS, sequence=c.sequence + 40) for c in commands]
    assert audit(robot, [*commands[:40], *begun], excused=[(0, 10 * NS)]).violations == []


def test_lost_messages_and_another_process_are_no_violation(robot, commands):
    assert audit(robot, commands[:30] + commands[35:]).violations == []
    after = [replace(c, sent_ns=c.sent_ns + 3 * NS) for c in commands]
    assert audit(robot, [*commands[:30], *after]).violations == []


def test_a_joint_that_is_measured_outside_is_found(robot, commands):
    high = robot.joint('joint_1').upper - robot.joint('joint_1').margin
    inside = np.zeros(N)
    outside = inside.copy()
    inside[0], outside[0] = high + 0.01, high + 0.03
    assert audit(robot, commands, measured=[(0, inside)]).violations == []
    (found,) = audit(robot, commands, measured=[(0, inside), (NS, outside)]).violations
    assert 'outside' in found

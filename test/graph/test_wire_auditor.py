# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The auditor itself: what a limiter sends passes, and each kind of violation is found."""

from __future__ import annotations

from dataclasses import replace

from harness import robots
from harness.wire import NS, WireAuditor, WireCommand
import numpy as np
import pytest
import yaml

from bc_runtime.safety import Limiter, braking_tail, limits_of
from bc_runtime.spec import RobotConfig

DT_S = 0.01
START = (0.0, -0.3, 1.5, 0.0, 1.9, 0.0, 0.05)


@pytest.fixture(scope='module')
def robot():
    return RobotConfig.from_yaml(yaml.safe_dump(robots.gentle()))


@pytest.fixture
def commands(robot):
    """Return 140 commands of a limiter that goes somewhere."""
    limits = limits_of([robot.joint(name) for name in robot.command.joints])
    limiter = Limiter(limits, DT_S)
    limiter.seed(START)
    target = [q + 0.5 for q in START[:6]] + [0.02]
    sent = []
    for k in range(140):
        step = limiter.step(target)
        tail = braking_tail(step.position, step.velocity, limits, DT_S, stride=4)
        sent.append(
            WireCommand(
                sequence=k + 1,
                sent_ns=k * NS // 100,
                names=robot.command.joints,
                times_s=np.array(tail.times_s) + DT_S,
                positions=np.array(tail.positions),
                velocities=np.array(tail.velocities),
            )
        )
    return sent


def audit(robot, commands):
    auditor = WireAuditor(robot)
    auditor.commands = list(commands)
    return auditor.report()


def test_what_the_limiter_sends_passes(robot, commands):
    report = audit(robot, commands)
    assert report.violations == []
    assert 0.99 < report.acceleration_ratio <= 1.0 + 1e-6
    assert (report.commands, report.streams, report.missed) == (140, 1, 0)


def test_ticks_in_which_the_driver_followed_the_tail_pass(robot, commands):
    limits = limits_of([robot.joint(name) for name in robot.command.joints])
    stopped = commands[30]
    tail = braking_tail(stopped.positions[0], stopped.velocities[0], limits, DT_S)
    limiter = Limiter(limits, DT_S)
    limiter.seed(tail.positions[5], tail.velocities[5])
    step = limiter.brake()
    rest = braking_tail(step.position, step.velocity, limits, DT_S)
    late = WireCommand(
        sequence=stopped.sequence + 1,
        sent_ns=stopped.sent_ns + 6 * NS // 100,
        names=stopped.names,
        times_s=np.array(rest.times_s) + DT_S,
        positions=np.array(rest.positions),
        velocities=np.array(rest.velocities),
    )
    report = audit(robot, [*commands[:31], late])
    assert report.violations == []
    assert report.missed == 5
    # The same command without the time for it is a jump.
    early = replace(late, sent_ns=stopped.sent_ns + NS // 100)
    assert audit(robot, [*commands[:31], early]).violations


def test_going_back_to_the_last_command_after_a_stall_is_found(robot, commands):
    late = [replace(c, sent_ns=c.sent_ns + NS // 2) for c in commands[31:]]
    assert any('driver' in each for each in audit(robot, [*commands[:31], *late]).violations)


def test_a_lost_message_is_no_violation(robot, commands):
    report = audit(robot, commands[:40] + commands[45:])
    assert report.violations == []
    assert report.lost == 5


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        (lambda c: {'positions': c.positions + 0.01}, 'velocity'),
        (lambda c: {'positions': c.positions * np.nan}, 'finite'),
        (lambda c: {'positions': c.positions + 10.0}, 'outside'),
        (lambda c: {'velocities': c.velocities + 0.1}, 'rest'),
        (lambda c: {'names': c.names[::-1]}, 'joints'),
        (lambda c: {'times_s': c.times_s + 1.0}, 'times'),
        (lambda c: {'positions': c.positions[:, :6]}, 'shape'),
        (lambda c: {'times_s': c.times_s * 10.0 - 9 * DT_S}, 'tail lasts'),
    ],
)
def test_each_violation_is_found(robot, commands, change, word):
    bad = commands[50]
    report = audit(robot, [*commands[:50], replace(bad, **change(bad)), *commands[51:]])
    assert any(word in each for each in report.violations), report.violations


def test_a_start_that_is_not_at_rest_is_found(robot, commands):
    report = audit(robot, [replace(c, sequence=k + 1) for k, c in enumerate(commands[20:])])
    assert any('not from rest' in each for each in report.violations)


def test_a_jump_at_rest_is_a_new_stream(robot, commands):
    rest = commands[-1]
    assert not rest.moving
    moved = replace(rest, sequence=rest.sequence + 1, positions=rest.positions - 0.01)
    report = audit(robot, [*commands, moved])
    assert report.violations == []
    assert report.streams == 2

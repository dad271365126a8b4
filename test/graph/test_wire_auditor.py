# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The auditor itself: what a limiter sends passes, and each kind of violation is found."""

from __future__ import annotations

from dataclasses import replace

from harness import robots
from harness.wire import NS, WireAuditor, WireCommand
import numpy as np
import pytest
from sensor_msgs.msg import JointState
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


@pytest.mark.parametrize(('periods', 'missed'), [(2, 1), (1, 0)])
def test_a_tail_that_ends_within_the_next_tick_has_rested_in_a_missed_one(robot, periods, missed):
    """The place alone does not tell whether a tick was missed there; the time does."""
    limits = limits_of([robot.joint(name) for name in robot.command.joints])
    limiter = Limiter(limits, DT_S)
    limiter.seed(START)
    lost = limits[0].deceleration * DT_S
    slow = START[0] - 0.5 * lost * DT_S
    sent = []
    for k, target in enumerate((slow, START[0] + 0.5)):
        if k and missed:
            limiter.brake()
        step = limiter.step((target, *START[1:]))
        tail = braking_tail(step.position, step.velocity, limits, DT_S)
        sent.append(
            WireCommand(
                sequence=k + 1,
                sent_ns=k * periods * NS // 100,
                names=robot.command.joints,
                times_s=np.array(tail.times_s) + DT_S,
                positions=np.array(tail.positions),
                velocities=np.array(tail.velocities),
            )
        )
    assert sent[0].velocities[0][0] == pytest.approx(-0.5 * lost)
    report = audit(robot, sent)
    assert report.violations == []
    assert report.missed == missed
    if missed:
        # Without the time for it, the same command turns around too fast.
        hasty = replace(sent[1], sent_ns=NS // 100)
        (found,) = audit(robot, [sent[0], hasty]).violations
        assert 'needs 1.5 periods' in found


def test_a_tick_that_is_only_late_has_not_rested(robot):
    """The next one is on time again: no tick was missed between them, and none is made up."""
    limits = limits_of([robot.joint(name) for name in robot.command.joints])
    limiter = Limiter(limits, DT_S)
    limiter.seed(START)
    sent = []
    for k, sent_periods in enumerate((0.0, 1.7, 2.0, 3.0)):
        step = limiter.step((START[0] + 0.5, *START[1:]))
        tail = braking_tail(step.position, step.velocity, limits, DT_S)
        sent.append(
            WireCommand(
                sequence=k + 1,
                sent_ns=round(sent_periods * DT_S * NS),
                names=robot.command.joints,
                times_s=np.array(tail.times_s) + DT_S,
                positions=np.array(tail.positions),
                velocities=np.array(tail.velocities),
            )
        )
    assert 0.0 < sent[0].velocities[0][0] <= limits[0].deceleration * DT_S + 1e-12
    report = audit(robot, sent)
    assert report.violations == []
    assert report.missed == 0
    # Had a tick been missed, the robot would have rested, and the second command were a jump.
    missed = [replace(c, sent_ns=c.sent_ns + NS // 100) for c in sent[1:]]
    assert audit(robot, [sent[0], *missed]).violations


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


def test_a_driver_that_rests_on_its_tail_may_be_taken_up_elsewhere(robot, commands):
    """A stalled controller is silent; the driver follows the tail, the next run starts at rest."""
    moving = commands[30]
    assert moving.moving
    rest = commands[-1]
    later = replace(
        rest,
        sequence=moving.sequence + 1,
        sent_ns=moving.rest_ns + NS,
        positions=np.repeat(moving.rest[None] + 0.002, len(rest.positions), axis=0),
    )
    report = audit(robot, [*commands[:31], later])
    assert report.violations == []
    assert report.streams == 2
    # Before the tail has ended the same command is a jump.
    soon = replace(later, sent_ns=moving.sent_ns + NS // 50)
    assert audit(robot, [*commands[:31], soon]).violations


@pytest.mark.parametrize(
    ('off', 'speed', 'word'),
    [(0.0, 0.0, ''), (0.02, 0.0, 'not there'), (0.0, 0.3, 'moving robot')],
)
def test_a_run_begins_elsewhere_only_where_the_robot_stands_still(
    robot, commands, off, speed, word
):
    rest = commands[-1]
    at_ns = rest.sent_ns + NS
    moved = replace(
        rest, sequence=rest.sequence + 1, sent_ns=at_ns, positions=rest.positions - 0.015
    )
    auditor = WireAuditor(robot)
    auditor.commands = [*commands, moved]
    place = moved.positions[0] + off
    auditor.measured = [
        (at_ns - k * NS // 100, place + speed * k / 100) for k in range(20, -1, -1)
    ]
    violations = auditor.report().violations
    found = [word for each in violations if word and word in each]
    assert found if word else violations == [], violations


@pytest.mark.parametrize(('off', 'word'), [(0.0, ''), (-0.011, 'not there')])
def test_a_driver_that_is_heard_late_stands_where_the_first_one_did(robot, commands, off, word):
    """Those who are judged may have heard it before; where it began does not depend on that."""
    rest = commands[-1]
    began_ns, at_ns, heard_ns = (rest.sent_ns + k * NS for k in (1, 2, 3))
    home = rest.positions[0] - 0.005
    moved = replace(
        rest,
        sequence=rest.sequence + 1,
        sent_ns=at_ns,
        positions=np.repeat((home + off)[None], len(rest.positions), axis=0),
    )

    def report(*, began: bool):
        auditor = WireAuditor(robot)
        auditor.commands = [*commands, moved]
        for when_ns in (commands[0].sent_ns - NS, heard_ns):
            state = JointState(name=list(robot.command.joints), position=home.tolist())
            auditor.measure(when_ns, state)
        if began:
            auditor.driver_began(began_ns)
        return auditor.report().violations

    found = report(began=True)
    assert len(found) == bool(word) and all(word in each for each in found), found
    (unheard,) = report(began=False)
    assert 'not heard' in unheard


def pressed_in_motion(robot, rate_hz, *, share, beside, quiet_s=1.74, jitter_s=0.0):
    """Return commands of an arm that speeds up, is stopped by silence, and holds where it rests.

    Args:
        share: What is left of the speed for the last step of the tail, in steps of braking.
        beside: How far from the tail's end the robot is measured [rad].
        jitter_s: How much later than its tick every second message is sent [s].
    """
    limits = limits_of([robot.joint(name) for name in robot.command.joints])
    dt_s = 1.0 / rate_hz
    lost = limits[0].deceleration * dt_s
    fastest = (int(0.55 / lost) + share) * lost
    rest = np.array(START)
    places, speed, at_s = [(rest, 0.0, 0.0)], 0.0, 0.0
    while speed < fastest:
        speed = min(fastest, speed + lost)
        rest = rest + np.eye(len(START))[0] * speed * dt_s
        at_s += dt_s
        places.append((rest, speed, at_s))
    v = np.zeros(len(START))
    v[0] = speed
    end = np.array(braking_tail(rest, v, limits, dt_s).positions[-1])
    for k in range(3):
        places.append((end + beside, 0.0, at_s + quiet_s + k * dt_s))
    sent = []
    for k, (q, speed, t) in enumerate(places):
        v = np.zeros(len(START))
        v[0] = speed
        tail = braking_tail(q, v, limits, dt_s)
        sent.append(
            WireCommand(
                sequence=k + 1,
                sent_ns=round((t + jitter_s * (k % 2)) * NS),
                names=robot.command.joints,
                times_s=np.array(tail.times_s) + dt_s,
                positions=np.array(tail.positions),
                velocities=np.array(tail.velocities),
            )
        )
    return sent


def at_rate(rate_hz):
    document = robots.gentle()
    document['command']['rate_hz'] = rate_hz
    return RobotConfig.from_yaml(yaml.safe_dump(document))


@pytest.mark.parametrize('rate_hz', [20.0, 100.0, 200.0, 500.0])
@pytest.mark.parametrize('beside', [0.0, 1e-13, -1e-10, 3e-9, -9e-7, 5e-3])
def test_a_robot_that_is_measured_beside_the_end_of_its_tail_begins_anew(rate_hz, beside):
    """Regressions pinned: the distance was added to the last braking step, however small both."""
    robot = at_rate(rate_hz)
    for share in (1e-12, 1e-9, 1e-6, 1e-3, 0.3, 0.5, 1.0 - 1e-6, 1.0 - 1e-12):
        sent = pressed_in_motion(robot, rate_hz, share=share, beside=beside)
        assert audit(robot, sent).violations == [], f'{share} of a step is left'


@pytest.mark.parametrize('rate_hz', [100.0, 200.0, 500.0])
def test_a_jump_that_needs_the_robot_at_rest_is_found_while_it_moves(rate_hz):
    robot = at_rate(rate_hz)
    hasty = pressed_in_motion(robot, rate_hz, share=0.3, beside=1e-4, quiet_s=2.0 / rate_hz)
    assert audit(robot, hasty).violations


@pytest.mark.parametrize('rate_hz', [100.0, 200.0])
@pytest.mark.parametrize('late', [0.0, 0.3, 0.9])
def test_a_message_that_is_late_within_its_period_is_not_a_missed_tick(rate_hz, late):
    """Regressions pinned: waits were counted in periods, so 200 Hz allowed half the lateness."""
    robot = at_rate(rate_hz)
    sent = pressed_in_motion(robot, rate_hz, share=0.3, beside=0.0, jitter_s=late / rate_hz)
    moving = [c for c in sent if c.moving]
    report = audit(robot, [replace(c, sequence=k + 1) for k, c in enumerate(moving)])
    assert report.violations == []
    assert report.missed == 0


@pytest.mark.parametrize('rate_hz', [100.0, 200.0])
@pytest.mark.parametrize('periods', [1.1, 1.5, 1.9])
def test_a_turn_that_one_missed_tick_explains_is_inside_the_limits(rate_hz, periods):
    """The tail rests within a tick; the message after it was early or late by part of a period."""
    robot = at_rate(rate_hz)
    limits = limits_of([robot.joint(name) for name in robot.command.joints])
    dt_s = 1.0 / rate_hz
    step = 0.9 * limits[0].deceleration * dt_s * dt_s
    sent = []
    for k, way in enumerate((-step, step)):
        q = np.array(START)
        q[0] += -step + (way if k else 0.0)
        v = np.zeros(len(START))
        v[0] = way / dt_s
        tail = braking_tail(q, v, limits, dt_s)
        sent.append(
            WireCommand(
                sequence=k + 1,
                sent_ns=round(k * periods * dt_s * NS),
                names=robot.command.joints,
                times_s=np.array(tail.times_s) + dt_s,
                positions=np.array(tail.positions),
                velocities=np.array(tail.velocities),
            )
        )
    assert audit(robot, sent).violations == []
    hasty = [sent[0], replace(sent[1], sent_ns=round(0.9 * dt_s * NS))]
    assert audit(robot, hasty).violations

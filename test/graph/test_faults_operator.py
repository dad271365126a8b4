# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about operators, parameters and other commanders."""

from __future__ import annotations

from harness.reaction import clock_offset_ns, goes_on, stands_still, stop_after, undisturbed
from harness.wire import NS
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory


@undisturbed
def test_row_22_emergency_stop(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = w.now_ns()
    w.estop.publish(Bool(data=True))
    stop = w.until_event('ESTOP', start=events)
    w.until_state('ESTOP')  # a witness that is behind has not heard of it
    w.watch(2.0)  # chunks were queued, and more could come
    w.drain()
    last = w.wire.commands[-1]
    silence_s = (last.sent_ns - clock_offset_ns() - at_ns) / NS
    assert w.state == 'ESTOP'
    # The driver follows the tail of the last message; it ends at rest.
    assert (last.velocities[-1] == 0.0).all()
    w.estop.publish(Bool(data=False))
    assert stands_still(moving, 1.0).state == 'ESTOP'
    assert w.wire.commands[-1] is last, 'the release alone must not start to send'
    refused = w.call('controller/start', _trigger())
    assert not refused.success
    w.ask('controller/reset')
    w.until_event('READY', start=events)
    stands_still(moving, 0.3)
    moving.auto()
    faults.add(
        22,
        'pressed in motion, released, reset, started',
        measured=f'{stop.code}, last command {silence_s * 1e3:.0f} ms after the message',
        measured_s=max(0.0, silence_s),
        code=stop.code,
        state='ESTOP',
        report=moving.audit(),
    )


@undisturbed
def test_row_34_second_commander(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = w.now_ns()
    other = w.node.create_publisher(JointTrajectory, 'joint_trajectory', 1)
    try:
        reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(34))
        refused = w.call('controller/resume', _trigger())
        assert not refused.success
        assert 'publisher' in refused.message, refused.message
    finally:
        w.node.destroy_publisher(other)
    state = w.state
    moving.auto()
    faults.add(
        34,
        'another node publishes on the command topic; resume once it is gone',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_35_parameters_in_motion(moving, faults):
    w = moving.witness
    events = w.mark()
    answers = {
        name: w.try_parameters('controller', {name: value})
        for name, value in (
            ('robot', 'another.yaml'),
            ('dry_run', True),
            ('strategy', 'latest'),
            ('temporal_ensemble_coeff', 1000.0),
            ('interpolation', 'cubic'),
        )
    }
    answers['robot of inference'] = w.try_parameters('inference', {'robot': 'another.yaml'})
    answers['robot of observation'] = w.try_parameters('observation', {'robot': 'another.yaml'})
    w.watch(0.5)
    goes_on(moving, events)
    accepted = [name for name, answer in answers.items() if not answer]
    assert accepted == [], f'changed in motion: {accepted}'
    assert w.try_parameters('observation', {'rate_hz': -1.0})
    assert w.try_parameters('sim_robot', {'faults.camera': 'nonsense'})
    faults.add(
        35,
        f'{", ".join(answers)} while the robot moves',
        measured='each refused with the reason',
        state=w.state,
        report=moving.audit(),
    )


def _trigger():
    from std_srvs.srv import Trigger

    return Trigger.Request()

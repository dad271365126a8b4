# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about the controller's own process."""

from __future__ import annotations

import signal

from harness.reaction import (
    DT_S,
    clock_offset_ns,
    goes_on,
    robot_rest_ns,
    stands_still,
    undisturbed,
)
from harness.wire import NS
import numpy as np
import pytest


def hold_up(moving, seconds):
    """Suspend the controller until the robot has sent that much time of joint states."""
    w = moving.witness
    moving.suspend('controller')
    begin = w.joint_states[-1][0]
    w.until(lambda: w.joint_states[-1][0] - begin > seconds * NS, 'joint states')
    return moving.resume('controller')


@undisturbed
def test_row_27_controller_is_late_for_a_moment(moving, faults):
    w = moving.witness
    events, missed = w.mark(), w.status.missed_ticks
    sent = len(w.wire.commands)
    # Shorter than the joint states may be old: they wait in the queue meanwhile.
    on_ns = hold_up(moving, 0.05) + clock_offset_ns()
    w.watch(0.5)
    goes_on(moving, events)
    report = moving.audit()
    late = w.status.missed_ticks - missed
    assert late >= 3
    after = [c for c in w.wire.commands[sent:] if on_ns <= c.sent_ns < on_ns + 0.1 * NS]
    assert len(after) <= 0.1 / DT_S + 2, f'{len(after)} commands in 0.1 s: a burst'
    faults.add(
        27,
        'suspended for 50 ms',
        measured=f'{late} ticks missed and not made up for; the motion goes on',
        state=w.state,
        report=report,
    )


@undisturbed
def test_row_27_controller_stalls(moving, faults):
    w = moving.witness
    events = w.mark()
    on_ns = hold_up(moving, 0.3)
    stop = w.until(lambda: w.events[events:], 'a stop')[0]
    stands_still(moving, 0.5)
    faults.add(
        27,
        'suspended for 300 ms; time counts from SIGCONT on',
        measured=f'{stop.code}',
        measured_s=max(0.0, (stop.monotonic_ns - on_ns) / NS),
        bound_s=2 * DT_S,
        code=stop.code,
        state=w.state,
        report=moving.audit(),
    )
    moving.auto()


@undisturbed
def test_row_29_controller_goes_on_after_five_seconds(moving, faults):
    w = moving.witness
    events = w.mark()
    on_ns = hold_up(moving, 5.0)
    end = w.until(
        lambda: next((e for e in w.events[events:] if e.state != 'BRAKING'), None), 'a stop'
    )
    w.watch(1.0)
    w.drain()
    # What was sent before is known only now: the witness may have been behind.
    on_system_ns = on_ns + clock_offset_ns()
    before = [c for c in w.wire.commands if c.sent_ns < on_system_ns][-1]
    after = [c for c in w.wire.commands if c.sent_ns >= on_system_ns]
    moved = max((float(np.abs(c.positions[0] - before.rest).max()) for c in after), default=0.0)
    assert moved < 0.02, f'the old plan was executed for {moved:.3f} rad'
    faults.add(
        29,
        'SIGSTOP, 5 s, SIGCONT; time counts from SIGCONT on',
        measured=f'{end.code}, no motion',
        measured_s=max(0.0, (w.events[events].monotonic_ns - on_ns) / NS),
        code=end.code,
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_28_controller_dies_in_motion(moving, faults):
    w = moving.witness
    at_ns = moving.kill('controller')
    w.drain()
    w.until(lambda: robot_rest_ns(w), 'the robot to come to rest')
    last = w.wire.commands[-1]
    assert last.moving, 'the robot did not move, so nothing was tested'
    rest_s = (robot_rest_ns(w) - clock_offset_ns() - at_ns) / NS
    position = dict(zip(w.joint_states[-1][1].name, w.joint_states[-1][1].position, strict=True))
    off = max(abs(position[n] - q) for n, q in zip(last.names, last.rest, strict=True))
    assert off < 0.05, f'the robot rests {off:.3f} rad from the end of the tail'
    sent = len(w.wire.commands)
    report = moving.audit()
    moving.restart('controller')
    w.until(lambda: w.state == 'READY', 'the new controller')
    assert len(w.wire.commands) == sent
    moving.auto()
    moving.audit()
    faults.add(
        28,
        'kill -9; the robot follows the tail; another controller starts',
        measured=f'at rest {rest_s * 1e3:.0f} ms after the kill, {off:.3f} rad from the tail',
        measured_s=rest_s,
        report=report,
    )


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@undisturbed
def test_row_38_signal_in_motion(moving, faults, number):
    w = moving.witness
    events = w.mark()
    at_ns = moving.signal('controller', number)
    code, ended_ns = moving.wait_for_end('controller')
    w.until_event('FINALIZING', start=events)
    w.drain()
    last = w.wire.commands[-1]
    assert not last.moving, 'it left before the robot was at rest'
    assert code == 0
    assert 'Traceback' not in moving.log('controller')
    report = moving.audit()
    moving.restart('controller')
    w.until(lambda: w.state == 'READY', 'the new controller')
    faults.add(
        38,
        f'{number.name} to the controller',
        measured=f'braked to rest, exit code {code}, {(ended_ns - at_ns) / NS:.2f} s later',
        measured_s=(last.sent_ns - clock_offset_ns() - at_ns) / NS,
        state='FINALIZING',
        report=report,
    )


@undisturbed
def test_row_39_two_signals_in_motion(moving, faults):
    w = moving.witness
    at_ns = moving.signal('controller', signal.SIGINT)
    moving.signal('controller', signal.SIGINT)
    code, ended_ns = moving.wait_for_end('controller')
    w.until(lambda: robot_rest_ns(w), 'the robot to come to rest')
    report = moving.audit()
    moving.restart('controller')
    w.until(lambda: w.state == 'READY', 'the new controller')
    rest_s = (w.wire.commands[-1].sent_ns - clock_offset_ns() - at_ns) / NS
    faults.add(
        39,
        'SIGINT twice within a second: a terminal and a launcher send one each, so it counts once',
        measured=f'exit code {code} after {(ended_ns - at_ns) / NS:.2f} s, last command at rest '
        f'{rest_s:.2f} s',
        measured_s=rest_s,
        state='FINALIZING',
        report=report,
    )

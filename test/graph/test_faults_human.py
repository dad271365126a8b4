# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about a human who takes over."""

from __future__ import annotations

import copy

from harness import policies
from harness.human import Human
from harness.reaction import DT_S, disturbed_if, stands_still, stop_after, undisturbed
from harness.wire import NS
import pytest


@pytest.fixture
def human(live):
    one = Human(live.witness, live.joints)
    yield one
    one.press(False)
    one.close()


def command(moving):
    return moving.witness.wire.commands[-1].positions[0].tolist()


def until(w, state, events):
    """Wait for a state; a stop by a busy machine counts as a disturbance."""

    def there():
        for event in w.events[events:]:
            disturbed_if(event)
        return w.state == state

    w.until(there, state)


def engage(moving, human):
    """Take over and put the leader where the robot is."""
    w = moving.witness
    human.stream([q + 0.5 for q in command(moving)[:6]] + [0.05])
    events = w.mark()
    at_ns = human.press(True)
    until(w, 'TAKEOVER', events)
    takeover = w.until_event('TAKEOVER', start=events)
    w.watch(0.6)
    assert w.state == 'TAKEOVER', 'engaged although the leader lies elsewhere'
    stands_still(moving, 0.2)
    human.leader = command(moving)
    until(w, 'HUMAN', events)
    return takeover, (takeover.monotonic_ns - at_ns) / NS


@undisturbed
def test_row_23_takeover_in_motion(moving, faults, human):
    w = moving.witness
    takeover, after_s = engage(moving, human)
    human.leader[0] += 0.1
    w.watch(1.0)
    assert command(moving)[0] == pytest.approx(human.leader[0], abs=0.01)
    assert w.status.control_source == w.status.SOURCE_HUMAN
    faults.add(
        23,
        'button pressed in AUTO, leader brought to the robot, then moved',
        measured=f'{takeover.code} after {after_s * 1e3:.0f} ms, engaged once aligned, followed',
        # The message's way to the controller comes on top of the two ticks.
        measured_s=max(0.0, after_s - DT_S),
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_24_release_with_old_chunks_pending(moving, faults, human):
    w = moving.witness
    old = copy.deepcopy(w.chunks[-1])
    engage(moving, human)
    events = w.mark()
    human.press(False)
    until(w, 'HANDBACK', events)
    for k in range(10):
        old.sequence += 1000 + k
        old.header.stamp = w.node.get_clock().now().to_msg()
        w.chunk_publisher.publish(old)
        w.ticks(3)
    assert stands_still(moving, 0.5).state == 'HANDBACK'
    w.ask('controller/resume')
    until(w, 'AUTO', events)
    faults.add(
        24,
        'released with chunks of the old epoch coming, then resumed',
        measured='held; through ALIGN after the resume',
        state='HANDBACK',
        report=moving.audit(),
    )


@undisturbed
def test_row_25_device_is_unplugged(moving, faults, human):
    w = moving.witness
    engage(moving, human)
    # Across the middle of the policy's circle: beyond it the next test could not start.
    human.leader[0] += 1.0 if human.leader[0] < policies.POSE[0] else -1.0
    w.until(lambda: moving.speed() > 0.5, 'motion')
    events = w.mark()
    at_ns = human.unplug()
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(25))
    faults.add(
        25,
        'button and leader fall silent in motion',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_26_leader_jumps(moving, faults, human):
    w = moving.witness
    engage(moving, human)
    events = w.mark()
    for jump, seconds in ((1.0, 0.4), (-1.5, 0.6), (100.0, 0.4), (float('nan'), 0.08), (0.0, 0.4)):
        human.leader[0] = jump
        w.watch(seconds)
    until(w, 'HUMAN', events)
    assert w.transitions(events) == [], w.tell()
    report = moving.audit()
    assert report.velocity_ratio > 0.8, 'nothing was fast enough to be limited'
    faults.add(
        26,
        'no engagement while the leader lies elsewhere; engaged, it jumps by 1 to 100 rad and NaN',
        measured=f'at most {report.velocity_ratio:.3f} of the velocity limit',
        state=w.state,
        report=report,
    )

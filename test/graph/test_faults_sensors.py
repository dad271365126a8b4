# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about sensors and the robot's driver."""

from __future__ import annotations

from array import array

from harness import robots
from harness.reaction import (
    DT_S,
    disturbed_if,
    goes_on,
    last_joint_state_ns,
    newest_sample_ns,
    stands_still,
    stop_after,
    undisturbed,
)
import pytest
from sensor_msgs.msg import Image, JointState
from std_srvs.srv import Trigger

from bc_runtime.ros import qos

BOTH = ['front', 'wrist']


@undisturbed
def test_row_01_camera_stops(moving, faults):
    w = moving.witness
    events, seen = w.mark(), len(w.statuses)
    at_ns = moving.fault(camera='stop', cameras=['front'])
    w.until_event('HELD', start=events)
    # A picture may still have been taken after the request.
    at_ns = max(at_ns, newest_sample_ns(moving, 'cameras/front'))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(1))
    assert 'front' in w.events[events].text
    reasons = [status.reason for status in w.statuses[seen:]]
    assert any('CAMERA_LATE' in each for each in reasons), 'it warned before it stopped'
    # The camera comes back, and nothing moves until an operator says so.
    moving.fault(camera='none', cameras=BOTH)
    w.until(lambda: w.observations[-1].valid, 'a valid observation')
    state = stands_still(moving, 0.5).state
    moving.auto()
    faults.add(
        1,
        'one of two cameras stops, comes back, resume',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_02_camera_freezes(moving, faults):
    events = moving.witness.mark()
    at_ns = moving.fault(camera='freeze', cameras=BOTH)
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(2))
    faults.add(
        2,
        'both cameras repeat a picture under new stamps',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=moving.witness.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_03_camera_stamps_stand_still(moving, faults):
    w = moving.witness
    pictures = []
    listener = w.node.create_subscription(Image, 'front/image_raw', pictures.append, qos.SENSOR)
    speaker = w.node.create_publisher(Image, 'front/image_raw', qos.SENSOR)
    w.until(lambda: pictures, 'a picture')
    w.node.destroy_subscription(listener)
    frozen = pictures[-1]
    events = w.mark()
    at_ns = moving.fault(camera='stop', cameras=['front'])
    # From here on the witness is the camera: new pixels under one stamp.
    timer = w.node.create_timer(1 / 30, lambda: _flicker_and_publish(frozen, speaker))
    w.until_event('HELD', start=events)
    # A picture may still have been taken after the request.
    at_ns = max(at_ns, newest_sample_ns(moving, 'cameras/front'))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(3))
    w.node.destroy_timer(timer)
    w.node.destroy_publisher(speaker)
    assert reaction.code in ('CAMERA_STAMPS', 'OBSERVATION_STALE'), w.tell()
    faults.add(
        3,
        'pictures change under one stamp that stands still',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=w.state,
        report=moving.audit(),
    )


def _flicker_and_publish(picture, speaker):
    picture.data[::997] = array('B', [255 - value for value in picture.data[::997]])
    speaker.publish(picture)


@undisturbed
def test_row_05_joint_states_stop(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.fault(joints='stop')
    w.until_event('HELD', start=events)
    at_ns = max(at_ns, last_joint_state_ns(moving))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(5))
    moving.fault(joints='none')
    w.until(lambda: w.observations[-1].valid, 'a valid observation')
    state = stands_still(moving, 0.5).state
    moving.auto()
    faults.add(
        5,
        'joint states stop, come back, resume',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_06_joint_states_freeze(moving, faults):
    events = moving.witness.mark()
    at_ns = moving.fault(joints='freeze')
    flags = faults.flags(6)
    reaction = stop_after(moving, at_ns, events=events, flags=flags, then=('FAULT',))
    faults.add(
        6,
        'joint states repeat one value while the command moves',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=moving.witness.state,
        report=moving.audit(),
    )


@pytest.mark.parametrize('copies', [1, 5])
@undisturbed
def test_row_07_old_joint_states_are_dropped(moving, faults, copies):
    w = moving.witness
    events = w.mark()
    old = w.joint_states[0][1]
    old.position = [value + 0.4 for value in old.position]
    worst = max(status.tracking_error for status in w.statuses[-round(0.5 / DT_S) :])
    seen = len(w.statuses)
    for _ in range(copies):
        w.joint_state_publisher.publish(old)
    w.watch(0.6)
    goes_on(moving, events)
    assert max(status.tracking_error for status in w.statuses[seen:]) < worst + 0.1
    faults.add(
        7,
        f'{copies} joint states with an old stamp and other values',
        measured='dropped, the motion goes on',
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_08_joint_order_changes(moving, faults):
    w = moving.witness
    events = w.mark()
    moving.fault_without_waiting(joints='stop')
    moving.drive_joint_states(lambda names: names[::-1], ticks=60)
    for event in w.events[events:]:
        disturbed_if(event)
    assert w.transitions(events) == [], w.tell()
    # At once: nobody else says where the joints are.
    reaction_to = len(w.events)
    at_ns = moving.drive_joint_states(lambda names: names[:-1], ticks=20)
    reaction = stop_after(moving, at_ns, events=reaction_to, flags=faults.flags(8))
    assert 'gripper' in w.events[reaction_to].text
    faults.add(
        8,
        'joints in reverse order, then one of them missing',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_30_driver_hangs_and_goes_on(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = max(moving.suspend('sim_robot'), last_joint_state_ns(moving))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(30))
    moving.resume('sim_robot')
    w.until(lambda: w.observations[-1].valid, 'a valid observation')
    state = stands_still(moving, 0.5).state
    moving.auto()
    faults.add(
        30,
        'driver suspended, goes on, resume',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_30_driver_dies_and_comes_back_elsewhere(moving, faults):
    w = moving.witness
    events = w.mark()
    moving.kill('sim_robot')
    at_ns = last_joint_state_ns(moving)
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(30))
    w.until_state('HELD')
    held = dict(zip(w.wire.commands[-1].names, w.wire.commands[-1].positions[0], strict=True))
    seen, observed = len(w.joint_states), len(w.observations)
    moving.restart('sim_robot')
    # The newest may be of before: the driver can be gone and the robot at rest within its period.
    w.until(lambda: any(o.valid for o in w.observations[observed:]), 'a new valid observation')
    # The controller may hear the new driver later than others do; nothing is held before.
    w.until(lambda: w.wire.commands[-1].sent_ns > w.joint_states[seen][0], 'what is held there')
    state = stands_still(moving, 0.5).state
    at = [dict(zip(m.name, m.position, strict=True)) for _, m in w.joint_states[seen:]]
    off = max(abs(at[0][name] - held[name]) for name in held)
    assert off > 0.05, 'the driver came back where it was, so nothing was tested'
    moved = max(abs(at[-1][name] - at[0][name]) for name in held)
    assert moved < 0.02, f'the robot was pulled by {moved:.3f} rad although nobody resumed'
    now = dict(zip(w.wire.commands[-1].names, w.wire.commands[-1].positions[0], strict=True))
    jump = max(abs(at[-1][name] - now[name]) for name in held)
    assert jump < 0.02, f'what is held is {jump:.3f} rad from the measured pose'
    moving.auto()
    faults.add(
        30,
        f'kill -9 of the driver; another one starts {off:.2f} rad away; resume',
        measured=f'{reaction}; nothing pulls it, the resume begins where it is',
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@undisturbed
def test_row_31_blocked_drives(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.fault(actuation='stuck')
    stop = w.until_event('FAULT', start=events)
    assert stop.code in faults.flags(31), w.tell()
    behind_ns = moving.behind_since_ns(at_ns, robots.STALL_RAD)
    reaction = stop_after(
        moving, behind_ns, events=events, flags=faults.flags(31), then=('FAULT',)
    )
    moving.fault(actuation='none')
    stands_still(moving, 0.5)
    faults.add(
        31,
        'all drives blocked, the policy plans from where they are; time counts from '
        f'{robots.STALL_RAD:g} rad behind on',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        bound_s=robots.STALL_S + 2 * DT_S,
        code=reaction.code,
        state=w.state,
        report=moving.audit(),
    )


def _speak(moving, names, positions, *, hz=0.0):
    """Publish joint states beside the driver: one, or at a rate until the timer is destroyed."""
    w = moving.witness
    other = w.node.create_publisher(JointState, 'joint_states', qos.SENSOR)
    w.until(lambda: other.get_subscription_count() >= 2, 'those who listen')

    def say():
        msg = JointState(name=list(names), position=list(positions))
        msg.header.stamp = w.node.get_clock().now().to_msg()
        other.publish(msg)

    if hz:
        return other, w.node.create_timer(1.0 / hz, say)
    say()
    return other, None


@undisturbed
def test_row_46_wheels_share_the_topic_of_the_joint_states(moving, faults):
    w = moving.witness
    events = w.mark()
    other, timer = _speak(moving, ['wheel_left', 'wheel_right'], [1.0, 2.0], hz=50.0)
    w.watch(0.6)
    goes_on(moving, events)
    w.node.destroy_timer(timer)
    w.node.destroy_publisher(other)
    faults.add(
        46,
        'wheels at 50 Hz on joint_states',
        measured='passed over, the motion goes on',
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_46_one_joint_state_of_zeros(moving, faults):
    w = moving.witness
    events = w.mark()
    names = list(w.joint_states[-1][1].name)
    other, _ = _speak(moving, names, [0.0] * len(names))
    w.watch(0.6)
    goes_on(moving, events)
    w.node.destroy_publisher(other)
    faults.add(
        46,
        'one joint state of zeros',
        measured='passed over, the motion goes on',
        state=w.state,
        report=moving.audit(),
    )


@undisturbed
def test_row_46_a_second_publisher_of_the_same_joints(moving, faults):
    w = moving.witness
    events = w.mark()
    names = list(w.joint_states[-1][1].name)
    other, timer = _speak(moving, names, [0.0] * len(names), hz=150.0)
    at_ns = w.now_ns()
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(46))
    for service in ('controller/resume', 'controller/start'):
        refused = w.call(service, Trigger.Request())
        assert not refused.success
        assert 'JOINT_STATES_IMPLAUSIBLE' in refused.message, refused.message
    w.node.destroy_timer(timer)
    w.node.destroy_publisher(other)
    state = stands_still(moving, 0.5).state
    w.until(lambda: w.call('controller/resume', Trigger.Request()).success, 'a resume')
    faults.add(
        46,
        'zeros at 150 Hz beside the driver; resume once they end',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )

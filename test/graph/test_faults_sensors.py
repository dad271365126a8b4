# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about sensors and the robot's driver."""

from __future__ import annotations

from array import array

from harness.reaction import (
    goes_on,
    last_joint_state_ns,
    newest_sample_ns,
    stands_still,
    stop_after,
    undisturbed,
)
import pytest
from sensor_msgs.msg import Image

from bc_runtime.ros import qos

BOTH = ['front', 'wrist']


@undisturbed
def test_row_01_camera_stops(moving, faults):
    w = moving.witness
    events = len(w.events)
    at_ns = moving.fault(camera='stop', cameras=['front'])
    w.until_event('HELD', start=events)
    # A picture may still have been taken after the request.
    at_ns = max(at_ns, newest_sample_ns(moving, 'cameras/front'))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(1))
    assert 'front' in w.events[events].text
    # The camera comes back, and nothing moves until an operator says so.
    moving.fault(camera='none', cameras=BOTH)
    w.until(lambda: w.observations[-1].valid, 'a valid observation')
    state = stands_still(moving, 50).state
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
    events = len(moving.witness.events)
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
    events = len(w.events)
    at_ns = moving.fault(camera='stop', cameras=['front'])
    # From here on the witness is the camera: new pixels under one stamp.
    timer = w.node.create_timer(1 / 30, lambda: _flicker_and_publish(frozen, speaker))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(3))
    w.node.destroy_timer(timer)
    w.node.destroy_publisher(speaker)
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
    events = len(w.events)
    at_ns = moving.fault(joints='stop')
    w.until_event('HELD', start=events)
    at_ns = max(at_ns, last_joint_state_ns(moving))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(5))
    moving.fault(joints='none')
    w.until(lambda: w.observations[-1].valid, 'a valid observation')
    state = stands_still(moving, 50).state
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
    events = len(moving.witness.events)
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
    events = len(w.events)
    old = w.joint_states[0][1]
    old.position = [value + 0.4 for value in old.position]
    worst = max(status.tracking_error for status in w.statuses[-50:])
    seen = len(w.statuses)
    for _ in range(copies):
        w.joint_state_publisher.publish(old)
    w.ticks(60)
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
    events = len(w.events)
    moving.fault_without_waiting(joints='stop')
    at_ns = moving.drive_joint_states(lambda names: names[::-1], ticks=60)
    goes_on(moving, events)
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
def test_row_30_driver_hangs_and_comes_back_elsewhere(moving, faults):
    w = moving.witness
    events = len(w.events)
    at_ns = max(moving.suspend('sim_robot'), last_joint_state_ns(moving))
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(30))
    moving.resume('sim_robot')
    w.until(lambda: w.observations[-1].valid, 'a valid observation')
    state = stands_still(moving, 50).state
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
def test_row_31_blocked_drives(moving, faults):
    w = moving.witness
    events = len(w.events)
    moving.fault(actuation='stuck')
    w.until_event('FAULT', start=events)
    beyond_ns = moving.tracking_lost_ns()
    reaction = stop_after(
        moving, beyond_ns, events=events, flags=faults.flags(31), then=('FAULT',)
    )
    moving.fault(actuation='none')
    stands_still(moving, 50)
    faults.add(
        31,
        'all drives blocked; time counts from the tolerance on',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=w.state,
        report=moving.audit(),
    )

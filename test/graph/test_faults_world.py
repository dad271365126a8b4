# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault matrix about the world: light, clocks, limits, and the robot's own stops."""

from __future__ import annotations

from harness import policies, robots
from harness.deployment import ATTEMPTS
from harness.reaction import (
    DT_S,
    clock_offset_ns,
    disturbed_if,
    stands_still,
    stop_after,
    undisturbed,
)
from harness.wire import NS
from harness.witness import stamp_ns
import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64
from std_srvs.srv import Trigger

from bc_runtime.ros import qos

BOTH = ['front', 'wrist']
SKEW_S = 0.2


@undisturbed
def test_row_04_cameras_see_nothing(moving, faults):
    w = moving.witness
    events = w.mark()
    at_ns = moving.fault(camera='black', cameras=BOTH)
    slow = w.until(lambda: w.events[events:], 'the slow-down')[0]
    disturbed_if(slow)
    assert (slow.state, slow.code) == ('SLOW', 'CAMERA_DARK'), w.tell()
    slow_s = (slow.monotonic_ns - at_ns) / NS
    reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(4))
    report = moving.audit()
    faults.add(
        4,
        'both cameras turn black: slow',
        measured=f'half speed after {slow_s * 1e3:.0f} ms',
        measured_s=slow_s,
        bound_s=0.3,
        code=slow.code,
        state='SLOW',
    )
    faults.add(
        4,
        'both cameras turn black and stay so: stop',
        measured=str(reaction),
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=w.state,
        report=report,
    )


def test_row_10_simulated_time_jumps_back(deploy, faults):
    deployment = deploy(arguments={'use_sim_time': 'true'}).auto()
    w = deployment.witness
    events, epoch = w.mark(), w.status.epoch
    at_ns = deployment.clock.jump(-5.0)
    stop = w.until(lambda: w.events[events:], 'the reaction')[0]
    assert (stop.state, stop.code) == ('BRAKING', 'TIME_JUMP'), w.tell()
    w.until_state('READY')
    assert w.status.epoch > epoch
    sent = len(w.wire.commands)
    w.watch(0.5)
    assert len(w.wire.commands) == sent, 'something is sent in READY'
    measured_s = (stop.monotonic_ns - at_ns) / NS
    deployment.auto()
    faults.add(
        10,
        '/clock steps back by 5 s in motion; then started again',
        measured=f'new epoch and braking {measured_s * 1e3:.0f} ms after the older /clock was '
        'sent, READY; goes on at the new time',
        measured_s=measured_s,
        state='READY',
        report=deployment.audit(),
    )


class SkewedDriver:
    """Says where the joints are, under stamps of another machine's clock."""

    def __init__(self, deployment, shift_s):
        w = deployment.witness
        self._w, self._shift_s = w, shift_s
        self._names = list(deployment.joints)
        moving = w.state == 'AUTO'
        newest = w.joint_states[-1][1]
        self._rest = None if moving else dict(zip(newest.name, newest.position, strict=True))
        self.begin_ns = w.now_ns()
        deployment.joints_disturbed = True
        self._say()
        self._timer = w.node.create_timer(0.01, self._say)

    def close(self):
        self._w.node.destroy_timer(self._timer)

    def _say(self):
        w = self._w
        if self._rest is None:
            positions = w.wire.commands[-1].positions[0].tolist()
        else:
            positions = [self._rest[name] for name in self._names]
        msg = JointState(name=self._names, position=positions)
        now_ns = w.node.get_clock().now().nanoseconds + round(self._shift_s * NS)
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(now_ns, NS)
        w.joint_state_publisher.publish(msg)


@pytest.mark.parametrize('state', ['READY', 'AUTO'])
@undisturbed
def test_row_11_another_clock(moving, faults, state):
    w = moving.witness
    if state == 'READY':
        w.ask('controller/stop')
        w.until_state('READY')
    events = w.mark()
    moving.fault(joints='stop')
    driver = SkewedDriver(moving, SKEW_S)
    try:
        seen = len(w.statuses)
        warned = w.until(
            lambda: next((s for s in w.statuses[seen:] if 'CLOCK_SKEW' in s.reason), None),
            'CLOCK_SKEW',
        )
        measured_s = (stamp_ns(warned.header.stamp) - clock_offset_ns() - driver.begin_ns) / NS
        if state == 'READY':
            w.watch(1.5)
            refused = w.call('controller/start', Trigger.Request())
            assert not refused.success
            assert 'clock' in refused.message, refused.message
        else:
            w.watch(1.0)
            for event in w.events[events:]:
                disturbed_if(event, ['OBSERVATION_STALE'])
        end = w.state
    finally:
        driver.close()
    faults.add(
        11,
        f'joint states stamped {SKEW_S:g} s ahead, in {state}',
        measured=f'CLOCK_SKEW after {measured_s:.2f} s'
        + ('; the start is refused' if state == 'READY' else f'; {end}'),
        measured_s=measured_s,
        code='CLOCK_SKEW',
        state=end,
        report=moving.audit(),
    )


def ask_to_start(w):
    """Ask for a start, again while the controller has not heard enough of observation and joints.

    Returns:
        When (system clock), after which status, and what it answered.
    """
    for _ in range(ATTEMPTS):
        w.until(lambda: w.observations[-1].valid, 'a valid observation')
        begin_ns, seen = w.now_ns() + clock_offset_ns(), len(w.statuses)
        answer = w.call('controller/start', Trigger.Request())
        early = 'observation' in answer.message or 'it is not certain where' in answer.message
        if answer.success or not early:
            break
        w.watch(0.5)
    return begin_ns, seen, answer


def test_row_21_first_inference_is_slow(deploy, faults, tmp_path):
    think_s = 0.6
    model = policies.orbit(tmp_path / 'slow.onnx', think_s=think_s)
    deployment = deploy(model=model)
    w = deployment.witness
    deployment.say(policies.THINK_LONG)
    w.until(lambda: w.observations[-1].instruction == policies.THINK_LONG, 'the instruction')
    sent = len(w.wire.commands)
    begin_ns, seen, answer = ask_to_start(w)
    assert answer.success, answer.message
    w.watch(0.1)
    deployment.say(policies.SCENES[0])
    w.until(lambda: w.state == 'AUTO' and deployment.speed() > 0.3, 'motion')
    first = next(c for c in w.wire.commands[sent:] if c.moving)
    waited_s = (first.sent_ns - begin_ns) / NS
    latencies = [s.latency for s in w.statuses[seen:] if s.latency > 0.0]
    slow_s = next(c.inference for c in w.chunks if c.epoch == w.status.epoch)
    assert slow_s > 0.3, 'the first inference was fast, so nothing was tested'
    assert waited_s > slow_s, f'it moved after {waited_s:.2f} s, before there was a plan'
    early = w.statuses[seen : seen + round(0.2 / DT_S)]
    assert all(s.control_source != s.SOURCE_POLICY for s in early)
    assert not latencies or latencies[0] < slow_s, 'the warm-up was counted as latency'
    faults.add(
        21,
        'the first inference after the start is slow',
        measured=f'it takes {slow_s:.2f} s; first motion {waited_s:.2f} s after the start, in '
        'ALIGN; not counted as latency',
        state='AUTO',
        report=deployment.audit(),
    )


@pytest.mark.parametrize('how', ['protective stop', 'speed scaling'])
@undisturbed
def test_row_32_the_robot_stops_itself(moving, faults, how):
    w = moving.witness
    kind, topic, stop, go = {
        'protective stop': (Bool, 'robot_stopped', Bool(data=True), Bool(data=False)),
        'speed scaling': (Float64, 'speed_scaling', Float64(data=0.0), Float64(data=1.0)),
    }[how]
    publisher = w.node.create_publisher(kind, topic, qos.DATA)
    w.until(lambda: publisher.get_subscription_count() > 0, 'the controller to listen')
    events = w.mark()
    try:
        at_ns = w.now_ns()
        publisher.publish(stop)
        reaction = stop_after(moving, at_ns, events=events, flags=faults.flags(32))
        refused = w.call('controller/resume', Trigger.Request())
        assert not refused.success
        publisher.publish(go)
        state = stands_still(moving, 0.5).state
        begin = w.mark()
        moving.auto()
    finally:
        publisher.publish(go)
        w.ticks(5)
        w.node.destroy_publisher(publisher)
    assert w.events[begin].state == 'ALIGN', w.tell()
    faults.add(
        32,
        f'{how}; refused while it lasts, resumed afterwards',
        measured=f'{reaction}; resumed through ALIGN',
        # The message's way to the controller comes on top of the tick.
        measured_s=reaction.detect_s,
        code=reaction.code,
        state=state,
        report=moving.audit(),
    )


@pytest.mark.parametrize('recover', [False, True])
def test_row_37_the_robot_starts_outside_its_limits(deploy, faults, tmp_path, recover):
    robot = robots.gentle()
    joint = next(one for one in robot['joints'] if one['name'] == 'joint_3')
    joint['position'] = [-0.2, 1.4]
    deployment = deploy(
        robot=robots.write(tmp_path / 'narrow.yaml', robot),
        parameters={'controller': {'recover': recover}},
    )
    w = deployment.witness
    at = dict(zip(w.joint_states[-1][1].name, w.joint_states[-1][1].position, strict=True))
    assert at['joint_3'] > 1.45, 'the robot is inside its limits, so nothing is tested'
    _, _, answer = ask_to_start(w)
    if not recover:
        assert not answer.success
        assert 'joint_3' in answer.message and 'outside' in answer.message, answer.message
        sent = len(w.wire.commands)
        w.watch(1.0)
        assert len(w.wire.commands) == sent == 0
        faults.add(
            37,
            'start with a joint 0.1 rad outside',
            measured='refused with the joint, the value and what to do; nothing is sent',
            code='OUTSIDE_LIMITS',
            state=w.state,
        )
        return
    assert answer.success, answer.message
    index = deployment.joints.index('joint_3')
    w.until(
        lambda: w.wire.commands and w.wire.commands[-1].positions[0][index] <= 1.4, 'the way back'
    )
    path = np.array([c.positions[0][index] for c in w.wire.commands])
    steps = np.diff(path)
    assert steps.max() <= 1e-9, 'the excess has grown'
    fastest = float(np.abs(steps).max() / DT_S)
    assert fastest <= 0.25 * joint['velocity'] + 1e-6, 'not slowly'
    w.ask('controller/stop')
    w.until_state('READY')
    faults.add(
        37,
        'start with recover:=true, a joint 0.1 rad outside',
        measured=f'inwards only, at most {fastest:.2f} rad/s',
        state=w.state,
    )


def test_row_44_the_state_leaves_the_training_range(deploy, faults, tmp_path):
    # The robot starts inside, and its circle leads out of it on one side.
    low, high = policies.POSE[0] - 0.25, policies.POSE[0] + 1.0
    model = policies.orbit(tmp_path / 'narrow.onnx', ranges={'state.joint_1': (low, high)})
    deployment = deploy(model=model)
    w = deployment.witness
    events = w.mark()
    w.ask('controller/start')
    slow = w.until_event('SLOW', start=events)
    room = 0.05 * (high - low)
    since_ns = None
    for sent_ns, msg in w.joint_states:
        q = dict(zip(msg.name, msg.position, strict=True))['joint_1']
        if sent_ns >= stamp_ns(slow.stamp):
            break
        if low - room <= q <= high + room:
            since_ns = None
        elif since_ns is None:
            since_ns = sent_ns
    assert since_ns is not None
    measured_s = (stamp_ns(slow.stamp) - since_ns) / NS
    w.until(lambda: 0.0 < w.status.speed_scale < 0.7, 'the slower pace')
    state = w.state
    faults.add(
        44,
        'joint_1 moves beyond what the policy was trained on',
        measured=f'{slow.code}; pace down to {w.status.speed_scale:.2f}',
        measured_s=measured_s,
        code=slow.code,
        state=state,
        report=deployment.audit(),
    )

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What a preflight concludes from its facts, and that each failure says what to do."""

from __future__ import annotations

from dataclasses import replace
import math

import pytest
import yaml

from bc_runtime.control import ControlLoop
from bc_runtime.control.preflight import (
    PolicyFacts,
    PreflightFacts,
    Rehearsal,
    StreamFacts,
    judge,
    refusals,
)
from bc_runtime.safety import Event, State
from bc_runtime.spec import PolicySpec, RobotConfig

ROBOT = {
    'schema_version': 1,
    'name': 'arm',
    'joints': [
        {'name': 'a', 'unit': 'rad', 'position': [-1, 1], 'velocity': 1.0, 'acceleration': 4.0}
    ],
    'joint_states': {'topic': 'joint_states'},
    'command': {'type': 'joint_state', 'topic': 'command', 'joints': ['a'], 'rate_hz': 50.0},
    'tolerances': {'start': 0.5},
}
ARM = RobotConfig.from_yaml(yaml.safe_dump(ROBOT))
SPEC = PolicySpec.from_dict(
    {
        'schema_version': 1,
        'name': 'one',
        'family': 'mlp',
        'control_hz': 10.0,
        'chunk_size': 10,
        'inputs': [{'kind': 'state', 'name': 's', 'shape': [1, 1], 'joints': ['a'],
                    'units': ['rad']}],
        'output': {
            'name': 'action',
            'groups': [{'kind': 'joint_position', 'names': ['a'], 'units': ['rad']}],
        },
        'training_ranges': {'state.a': {'min': -0.8, 'max': 0.8, 'mean': 0.0, 'std': 0.3}},
    }
)  # fmt: skip
POLICY = PolicyFacts(
    name='one', policy_id='c' * 64, provider='CPUExecutionProvider', self_test_error=0.0, spec=SPEC
)
JOINTS = StreamFacts(
    name='joint_states', topic='joint_states', expected_hz=20.0, rate_hz=100.0, offset_s=-0.002
)
CAMERA = StreamFacts(
    name='cameras/front', topic='front', expected_hz=21.0, rate_hz=30.0, offset_s=-0.02,
    content='640x480 rgb8',
)  # fmt: skip
GOOD = PreflightFacts(
    state=State.READY,
    refusals=(),
    measured={'a': 0.1},
    streams=(JOINTS, CAMERA),
    qos={'joint_states': '', 'command': ''},
    listeners=1,
    policy=POLICY,
    rehearsal=Rehearsal(first={'a': 0.15}, latency_s=0.05),
)


def test_a_good_robot_is_ready():
    items = judge(GOOD, ARM, dry_run=False)
    assert all(item.ok for item in items), [str(item) for item in items if not item.ok]
    assert {'joints', 'limits', 'training range', 'clocks', 'QoS', 'commander', 'command',
            'policy', 'self-test', 'provider', 'inference', 'first action', 'cameras/front'} <= {
        item.name for item in items
    }  # fmt: skip


@pytest.mark.parametrize(
    ('change', 'name', 'words'),
    [
        ({'state': State.FAULT}, 'state', 'controller/reset'),
        ({'refusals': ('CAMERA_STALE: a camera',)}, 'start', 'CAMERA_STALE'),
        ({'measured': None}, 'joints', 'start the driver'),
        ({'measured': {'a': 1.5}}, 'limits', 'a at 1.500 rad, allowed [-1, 1]'),
        (
            {'measured': {'a': 0.95}, 'rehearsal': None},
            'training range',
            'trained [-0.800, 0.800]',
        ),
        ({'streams': (replace(CAMERA, rate_hz=9.0),)}, 'cameras/front', 'needed 21.0 Hz'),
        ({'streams': (replace(CAMERA, problem='encoding x'),)}, 'cameras/front', 'encoding x'),
        ({'streams': (replace(JOINTS, offset_s=-3.0),)}, 'clocks', 'chrony'),
        ({'streams': (replace(JOINTS, offset_s=0.5),)}, 'clocks', 'chrony'),
        ({'qos': {'estop': 'panel: best effort'}}, 'QoS', 'estop: panel'),
        ({'commanders': ('other',)}, 'commander', 'other also publishes'),
        ({'listeners': 0}, 'command', 'nobody listens'),
        ({'listeners': 0, 'onlookers': ['recorder']}, 'command', 'nobody but recorder listens'),
        ({'policy': None}, 'policy', 'none is loaded'),
        ({'policy': replace(POLICY, refused='other joints')}, 'policy', 'other joints'),
        ({'rehearsal': Rehearsal(rejection='E7_SPLICE')}, 'inference', 'E7_SPLICE'),
        ({'rehearsal': Rehearsal()}, 'inference', 'no chunk came'),
        ({'rehearsal': Rehearsal(first={'a': 0.1}, latency_s=0.7)}, 'inference', '700 ms'),
        ({'rehearsal': Rehearsal(first={'a': 0.9}, latency_s=0.1)}, 'first action', 'a by 0.80'),
    ],
)
def test_each_failure_is_named_and_says_what_to_do(change, name, words):
    items = judge(replace(GOOD, **change), ARM, dry_run=False)
    failed = [item for item in items if not item.ok]
    assert [item.name for item in failed] == [name] or name in ('policy', 'limits')
    assert any(item.name == name and words in item.text for item in failed)


def test_a_dry_run_needs_no_listener():
    items = judge(replace(GOOD, listeners=0), ARM, dry_run=True)
    assert all(item.ok for item in items)


def test_a_base_has_no_joints_to_look_at():
    base = RobotConfig.from_yaml(
        'schema_version: 1\nname: b\ncommand: {type: twist, topic: c, rate_hz: 50.0, axes: '
        '{linear.x: {velocity: 1, acceleration: 1}}}\n'
    )
    facts = replace(GOOD, measured=None, streams=(), policy=None, rehearsal=None)
    names = {item.name for item in judge(facts, base, dry_run=False)}
    assert not names & {'joints', 'limits', 'clocks'}


def test_the_controller_s_own_reasons_are_those_of_a_start():
    loop = ControlLoop(ARM)
    assert refusals(loop)
    loop.post(Event.CONFIGURED)
    loop.on_estop(True)
    loop.tick(mono_ns=10**9, ros_ns=10**9)
    text = ' '.join(refusals(loop))
    assert 'ESTOP' in text
    assert 'no policy is loaded' in text


def test_rehearsing_asks_for_chunks_and_moves_nothing():
    loop = ControlLoop(ARM)
    t = 10**9

    def tick():
        nonlocal t
        t += 20_000_000
        loop.on_joint_state(['a'], [0.0], arrival_ns=t)
        return loop.tick(mono_ns=t, ros_ns=t)

    tick()
    loop.post(Event.CONFIGURED)
    loop.post(Event.ACTIVATE)
    tick()
    assert tick().state is State.READY
    assert not tick().accepting
    loop.rehearsing = True
    result = tick()
    assert result.accepting
    assert result.command is None
    loop.rehearsing = False
    assert not tick().accepting
    assert math.isnan(loop.plan.newest_latency_s)


def test_two_nodes_that_send_the_same_joints_are_named():
    """Regressions pinned: a joint_state_publisher beside the driver passed the preflight."""
    twice = {'joint_states': ['driver', 'joint_state_publisher'], 'front/image_raw': ['camera']}
    facts = PreflightFacts(state=State.READY, refusals=(), measured=None, senders=twice)
    item = next(i for i in judge(facts, ARM, dry_run=False) if i.name == 'sensors')
    assert not item.ok
    assert 'driver and joint_state_publisher send the same on joint_states' in item.text
    good = replace(facts, senders={'joint_states': ['driver']})
    assert next(i for i in judge(good, ARM, dry_run=False) if i.name == 'sensors').ok

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Velocity-type commands: a base that takes a Twist, joints that take velocities, and a human."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import yaml

from bc_runtime.control import ControlLoop, ControlOptions, TickResult
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Event, Source, State
from bc_runtime.spec import ActionKind, BindingError, PolicySpec, RobotConfig, SafetyError

POLICY = 'b' * 64
S = 1_000_000_000
DT = 20_000_000
HZ = 50

CAR = {
    'schema_version': 1,
    'name': 'car',
    'command': {
        'type': 'twist',
        'topic': 'cmd_vel',
        'rate_hz': HZ,
        'axes': {
            'linear.x': {'velocity': 1.0, 'acceleration': 2.0, 'deceleration': 4.0},
            'angular.z': {'velocity': 2.0, 'acceleration': 6.0},
        },
    },
    'human': {'takeover_topic': 'takeover', 'teleop_topic': 'teleop', 'heartbeat_s': 0.2},
}
ARM = {
    'schema_version': 1,
    'name': 'arm',
    'joints': [
        {'name': name, 'unit': 'rad', 'position': [-1, 1], 'velocity': 1.0, 'acceleration': 4.0}
        for name in ('a', 'b')
    ],
    'joint_states': {'topic': 'joint_states'},
    'command': {
        'type': 'float64_multi_array',
        'interface': 'velocity',
        'topic': 'velocities',
        'joints': ['a', 'b'],
        'rate_hz': HZ,
    },
}
KINDS = {
    'linear.x': ('linear_velocity', 'm/s'),
    'angular.z': ('angular_velocity', 'rad/s'),
    'a': ('joint_velocity', 'rad/s'),
    'b': ('joint_velocity', 'rad/s'),
}


PLACES = dict.fromkeys(('a', 'b'), ('joint_position', 'rad'))


def spec_of(names: Sequence[str], kinds: dict[str, tuple[str, str]]) -> PolicySpec:
    groups = [{'kind': kinds[n][0], 'names': [n], 'units': [kinds[n][1]]} for n in names]
    noise = {'kind': 'noise', 'name': 'noise', 'shape': [1, 2], 'distribution': 'normal'}
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'rates',
            'family': 'mlp',
            'control_hz': 10.0,
            'chunk_size': 8,
            'inputs': [noise],
            'output': {'name': 'action', 'groups': groups},
        }
    )


@dataclass
class Rig:
    """A robot whose joints (if it has any) go as fast as they were last told."""

    robot: dict[str, Any]
    options: ControlOptions | None = None
    wanted: tuple[float, float] = (0.5, -0.5)
    kinds: dict[str, tuple[str, str]] = field(default_factory=lambda: KINDS)
    policy: bool = True
    t: int = 1000 * S
    position: list[float] = field(default_factory=lambda: [0.0, 0.0])
    speed: tuple[float, ...] = (0.0, 0.0)
    sequence: int = 0
    results: list[TickResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = RobotConfig.from_yaml(yaml.safe_dump(self.robot, sort_keys=False))
        self.loop = ControlLoop(self.config, self.options)
        self.names = self.config.command.joints
        self.loop.set_policy(POLICY, spec_of(self.names, self.kinds))

    def chunk(self) -> ActionChunk:
        self.sequence += 1
        values = np.tile(np.array(self.wanted, np.float32), (8, 1))
        if self.kinds is PLACES:
            values = np.array(self.position, np.float32) + values * np.arange(8)[:, None] * 0.1
        return ActionChunk(
            stamp_ns=self.t - DT,
            dt_ns=S // 10,
            stamp_index=0,
            values=values.astype(np.float32),
            names=self.names,
            kinds=tuple(ActionKind(self.kinds[n][0]) for n in self.names),
            policy_id=POLICY,
            sequence=self.sequence,
            epoch=self.loop.epoch,
            received_ns=self.t,
        )

    def run(self, seconds: float, human: Sequence[float] | None = None) -> TickResult:
        for _ in range(round(seconds * HZ)):
            self.t += DT
            if self.config.joints:
                self.loop.on_joint_state(self.names, self.position, arrival_ns=self.t)
            if human is not None:
                self.loop.on_takeover(True, arrival_ns=self.t)
                self.loop.on_teleop(self.names, human, arrival_ns=self.t)
            self.loop.on_observation(valid=True, reasons=(), arrival_ns=self.t)
            if self.policy and self.results and self.results[-1].accepting:
                self.loop.on_chunk(self.chunk())
            result = self.loop.tick(mono_ns=self.t, ros_ns=self.t)
            if result.command is not None:
                self.speed = result.command.velocity
            for j, v in enumerate(self.speed):  # also when nothing is sent: the last one stands
                self.position[j] += v * DT / S
            self.results.append(result)
        return self.results[-1]

    def auto(self) -> Rig:
        self.run(0.1)
        self.loop.post(Event.CONFIGURED)
        self.loop.post(Event.ACTIVATE)
        assert self.run(0.06).state is State.READY
        self.loop.post(Event.START)
        assert self.run(1.0).state is State.AUTO
        return self

    def audit(self) -> None:
        limits = self.loop.limits
        sent = [r.command.velocity for r in self.results if r.command is not None]
        for before, after in pairwise(sent):
            for v, w, one in zip(before, after, limits, strict=True):
                assert abs(w) <= one.velocity * (1 + 1e-9)
                most = one.deceleration if abs(w) < abs(v) else one.acceleration
                assert abs(w - v) <= most * DT / S * (1 + 1e-6)


ROBOTS = pytest.mark.parametrize('robot', [CAR, ARM], ids=['twist', 'joint velocities'])


@ROBOTS
def test_it_ramps_up_to_what_the_policy_wants(robot):
    rig = Rig(robot).auto()
    assert rig.results[-1].command.velocity == pytest.approx((0.5, -0.5))
    assert rig.results[-1].setpoint == pytest.approx((0.5, -0.5))
    assert rig.results[-1].deviation == pytest.approx(0.0)
    rig.wanted = (50.0, -50.0)
    rig.run(0.5)
    rig.audit()


@ROBOTS
def test_starvation_decelerates_to_zero_and_says_so(robot):
    rig = Rig(robot, wanted=(0.2, -0.2)).auto()
    rig.policy = False
    assert rig.run(4.0).state is State.HELD
    assert rig.results[-1].stop_code == 'COVERAGE_HOLE'
    assert rig.speed == (0.0, 0.0)
    rig.audit()


@ROBOTS
@pytest.mark.parametrize('way', ['stop', 'estop', 'deactivate', 'shutdown'])
def test_whatever_ends_it_the_last_velocity_is_zero(robot, way):
    rig = Rig(robot).auto()
    if way == 'estop':
        rig.loop.on_estop(True)
    else:
        rig.loop.post(Event(way.upper()))
    end = rig.run(1.0)
    assert end.state in (State.READY, State.ESTOP, State.INACTIVE, State.FINALIZING)
    assert rig.speed == (0.0, 0.0)
    if end.state is not State.FINALIZING:
        assert end.command is None  # and then silence
    rig.audit()


@ROBOTS
@pytest.mark.parametrize(
    'way', ['shutdown after estop', 'estop after shutdown', 'deactivate after estop']
)
def test_an_emergency_stop_does_not_end_the_process_while_the_robot_rolls(robot, way):
    rig = Rig(robot).auto()
    first, second = way.split(' after ')[::-1]
    for each in (first, second):
        if each == 'estop':
            rig.loop.on_estop(True)
        else:
            rig.loop.post(Event(each.upper()))
        rig.run(0.02)
    assert rig.loop.rolls
    assert not rig.results[-1].finished
    while rig.loop.rolls and len(rig.results) < 500:
        rig.run(0.02)
    assert rig.speed == (0.0, 0.0)
    assert rig.run(0.02).finished == ('shutdown' in way)
    rig.audit()


@ROBOTS
def test_a_tick_that_cannot_be_decided_brakes(robot):
    rig = Rig(robot).auto()
    before = max(map(abs, rig.speed))
    command = rig.loop.brake()
    assert max(map(abs, command.velocity)) < before
    rig.loop.on_estop(True)
    rig.run(1.0)
    assert rig.loop.brake() is None  # nothing rolls


def test_joints_brake_before_their_limit_from_where_they_are_measured():
    rig = Rig(ARM, wanted=(1.0, -1.0)).auto()
    rig.run(3.0)
    assert max(map(abs, rig.position)) <= 1.0 + 1e-9
    assert rig.position[0] == pytest.approx(1.0, abs=0.05)
    rig.audit()


def test_a_human_steers_a_base_and_lets_go():
    rig = Rig(CAR).auto()
    rig.run(0.5, human=(0.0, 0.0))
    assert rig.loop.state is State.HUMAN
    end = rig.run(1.0, human=(-0.4, 1.5))
    assert end.source is Source.HUMAN
    assert end.command.velocity == pytest.approx((-0.4, 1.5))
    rig.loop.on_takeover(False, arrival_ns=rig.t)
    rig.run(1.0)
    assert rig.loop.state is State.HANDBACK
    assert rig.speed == (0.0, 0.0)
    rig.loop.post(Event.RESUME)
    assert rig.run(1.0).state is State.AUTO
    rig.audit()


def test_a_base_whose_human_falls_silent_stops():
    rig = Rig(CAR).auto()
    rig.run(1.0, human=(0.9, 0.0))
    assert rig.run(1.0).state is State.HELD
    assert rig.results[-1].stop_code in ('HUMAN_HEARTBEAT_LOST', 'HUMAN_STREAM_STALE')
    assert rig.speed == (0.0, 0.0)


def test_velocity_actions_on_a_robot_that_takes_positions_are_integrated():
    robot = ARM | {'command': ARM['command'] | {'interface': 'position'}}
    rig = Rig(robot, wanted=(0.2, -0.2))
    rig.auto()
    start = rig.results[-1].command.position
    end = rig.run(1.0)
    assert end.command.position == pytest.approx((start[0] + 0.2, start[1] - 0.2), abs=1e-3)
    rig.wanted = (2.0, 0.0)
    rig.run(3.0)
    assert rig.results[-1].command.position[0] == pytest.approx(1.0)
    assert max(r.command.position[0] for r in rig.results if r.command) <= 1.0


def test_options_that_make_no_sense_for_velocities_are_refused():
    with pytest.raises(SafetyError, match='positions only'):
        Rig(CAR, options=ControlOptions(jerk=True))
    robot = ARM | {'command': ARM['command'] | {'interface': 'position'}}
    with pytest.raises(SafetyError, match='human_mode velocity'):
        Rig(robot, options=ControlOptions(human_mode='velocity'))
    with pytest.raises(SafetyError, match='jerk limit for every joint'):
        Rig(robot, options=ControlOptions(jerk=True))


def test_the_jerk_stage_bounds_the_jerk_of_an_approach_and_stops_at_full_deceleration():
    pytest.importorskip('ruckig')
    joints = [joint | {'jerk': 50.0} for joint in ARM['joints']]
    robot = ARM | {'joints': joints, 'command': ARM['command'] | {'interface': 'position'}}
    rig = Rig(robot, options=ControlOptions(jerk=True), wanted=(0.4, -0.4), kinds=PLACES).auto()
    speeds = np.array([r.command.velocity for r in rig.results if r.command is not None])
    jerks = np.diff(speeds, n=2, axis=0) / (DT / S) ** 2
    assert np.abs(jerks).max() <= 50.0 * 1.01
    assert np.abs(speeds[-1]).max() > 0.2
    rig.loop.post(Event.STOP)
    rig.run(DT / S)
    step = 4.0 * DT / S
    assert rig.results[-1].command.velocity == pytest.approx(
        (speeds[-1][0] - step, speeds[-1][1] + step)
    )
    assert rig.run(1.0).state is State.READY


def test_the_jerk_stage_takes_no_velocity_actions():
    joints = [joint | {'jerk': 50.0} for joint in ARM['joints']]
    robot = ARM | {'joints': joints, 'command': ARM['command'] | {'interface': 'position'}}
    pytest.importorskip('ruckig')
    with pytest.raises(BindingError, match=r"'a' by velocity.*parameter jerk"):
        Rig(robot, options=ControlOptions(jerk=True))


@pytest.mark.parametrize('period', [1, 2, 4])
@pytest.mark.parametrize('latency_s', [0.0, 0.04])
@pytest.mark.parametrize('deceleration', [4.0, 12.0])
def test_a_limit_is_kept_however_old_the_joint_states_are(period, latency_s, deceleration):
    """Regressions pinned: joint states every 80 ms, and the joint went 0.035 rad too far."""
    fast = {'velocity': 2.0, 'acceleration': 4.0, 'deceleration': deceleration}
    robot = {
        **ARM,
        'joints': [{**joint, **fast} for joint in ARM['joints']],
        'joint_states': {'topic': 'joint_states', 'latency_s': latency_s},
    }
    rig = Rig(robot, wanted=(1.9, -1.7))
    # Measurements are as old as the latency, and come in every so many ticks only.
    past: list[tuple[float, ...]] = []
    take = rig.loop.on_joint_state

    def late(names: Sequence[str], positions: Sequence[float], **times: int) -> None:
        past.append(tuple(positions))
        if len(past) % period == 0:
            take(names, past[max(0, len(past) - 1 - round(latency_s * HZ))], **times)

    rig.loop.on_joint_state = late  # type: ignore[method-assign]
    reached = 0.0
    rig.run(0.5)
    rig.auto()
    for _ in range(200):
        rig.run(1 / HZ)
        reached = max(reached, *map(abs, rig.position))
    assert 0.9 < reached <= 1.0 + 1e-9

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Each check against each type of joint; the table is in docs/explanation/safety.md.

A gripper holds something: it was told to close, stands half open and does not move. A continuous
joint has turned: the driver and the leader say one turn less than the command.
"""

from __future__ import annotations

import math

from loop_rig import DT, S
import numpy as np
import pytest

from bc_runtime.control import ControlLoop
from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.control.motion import PositionMotion
from bc_runtime.control.options import ControlOptions
from bc_runtime.control.plan import PlanPoint
from bc_runtime.control.preflight import PolicyFacts, PreflightFacts, Rehearsal, judge
from bc_runtime.control.surroundings import Surroundings
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Flag, HumanTarget, Source, State, limits_of
from bc_runtime.safety.ingress import ChunkIngress
from bc_runtime.safety.ingress_types import IngressContext
from bc_runtime.spec import PolicySpec, RobotConfig

TURN = 2.0 * math.pi
COMMAND = 0.8
HELD = 0.4
TYPES = ('revolute', 'continuous', 'declared gripper', 'gripper of the policy')
GRIPPERS = TYPES[2:]


def robot_of(kind: str) -> RobotConfig:
    where = {
        'continuous': 'continuous: true',
        'declared gripper': 'position: [0, 1], gripper: true',
    }.get(kind, 'position: [0, 1]')
    return RobotConfig.from_yaml(f"""
schema_version: 1
name: one
joints:
  - {{name: a, unit: rad, position: [-1, 1], velocity: 1.0, acceleration: 10.0}}
  - {{name: x, unit: rad, {where}, velocity: 1.0, acceleration: 10.0}}
joint_states: {{topic: joint_states}}
command: {{type: joint_trajectory, topic: c, joints: [a, x], rate_hz: 100.0}}
""")


def spec_of(kind: str) -> PolicySpec:
    action = 'gripper' if kind == 'gripper of the policy' else 'joint_position'
    groups = [
        {'kind': 'joint_position', 'names': ['a'], 'units': ['rad']},
        {'kind': action, 'names': ['x'], 'units': ['rad']},
    ]
    state = {'kind': 'state', 'name': 's', 'shape': [1, 2], 'joints': ['a', 'x']}
    spread = {'min': 0.7, 'max': 0.9, 'mean': 0.8, 'std': 0.1}
    return PolicySpec.from_dict(
        {
            'schema_version': 1,
            'name': 'p',
            'family': 'mlp',
            'control_hz': 10.0,
            'chunk_size': 8,
            'inputs': [{**state, 'units': ['rad', 'rad']}],
            'output': {'name': 'action', 'groups': groups},
            'training_ranges': {'state.x': spread},
        }
    )


def loop_of(kind: str) -> ControlLoop:
    loop = ControlLoop(robot_of(kind))
    loop.set_policy('a' * 64, spec_of(kind))
    return loop


def monitor_of(kind: str) -> JointMonitor:
    monitor = loop_of(kind)._robot_says
    assert isinstance(monitor, JointMonitor)
    return monitor


def raised(
    monitor: JointMonitor, x, command, *, ticks: int = 120, speed: float = 0.0
) -> set[Flag]:
    """Let a joint state and a command come for a while; return what was raised ever."""
    found: set[Flag] = set()
    for k in range(1, ticks):
        at = (0.0, command(k))
        monitor.commanded(at, (0.0, 0.0), k * DT)
        # The other joint trembles, as encoders do.
        monitor.update(
            ['a', 'x'], [1e-4 * (k % 2), x(k)], [0.0, speed], arrival_ns=k * DT, command=at
        )
        found |= set(monitor.flags(k * DT))
    return found


@pytest.mark.parametrize('kind', TYPES)
def test_a_joint_that_does_not_come_to_its_command(kind):
    """Regressions pinned: a gripper that holds something was a tracking error."""
    found = raised(monitor_of(kind), lambda k: HELD, lambda k: COMMAND)
    follows = {Flag.TRACKING_ERROR, Flag.TRACKING_WARN, Flag.JOINT_BLOCKED}
    assert found == (set() if kind in GRIPPERS else follows)


@pytest.mark.parametrize('kind', TYPES)
def test_a_joint_that_stands_still_while_it_closes(kind):
    """Regressions pinned: an arm at rest whose gripper closed on something was frozen."""
    monitor = monitor_of(kind)
    for k in range(1, 100):
        at = (0.0, HELD + 0.001 * k)
        monitor.update(['a', 'x'], [0.0, HELD], (), arrival_ns=k * DT, command=at)
    assert (Flag.JOINT_STATES_FROZEN in monitor.flags(99 * DT)) is (kind not in GRIPPERS)


@pytest.mark.parametrize('kind', TYPES)
def test_a_gripper_does_not_hide_that_the_joint_states_are_frozen(kind):
    monitor = monitor_of(kind)
    for k in range(1, 100):
        at = (0.001 * k, HELD)
        monitor.update(['a', 'x'], [0.0, HELD], (), arrival_ns=k * DT, command=at)
    assert Flag.JOINT_STATES_FROZEN in monitor.flags(99 * DT)


@pytest.mark.parametrize('kind', TYPES)
def test_a_joint_that_snaps(kind):
    found = raised(monitor_of(kind), lambda k: COMMAND, lambda k: COMMAND, speed=3.0)
    assert found == (set() if kind in GRIPPERS else {Flag.OVERSPEED})


@pytest.mark.parametrize('kind', TYPES)
def test_a_joint_that_is_pressed_past_its_end(kind):
    found = raised(monitor_of(kind), lambda k: -0.05, lambda k: -0.02, ticks=10)
    assert found == ({Flag.OUTSIDE_LIMITS} if kind == 'revolute' else set())


@pytest.mark.parametrize('kind', TYPES)
def test_a_start_with_a_joint_past_its_end(kind):
    loop = loop_of(kind)
    loop.surroundings.on_joint_state(['a', 'x'], [0.0, -0.05], mono_ns=0, ros_ns=0, stamp_ns=0)
    assert bool(loop.surroundings.blockers()) is (kind == 'revolute')


@pytest.mark.parametrize('kind', TYPES)
def test_a_joint_that_has_turned_is_where_it_was_told_to_be(kind):
    monitor = monitor_of(kind)
    found = raised(monitor, lambda k: 0.5 - TURN, lambda k: 0.5, ticks=10)
    assert bool(found & {Flag.TRACKING_WARN}) is (kind == 'revolute')
    far = monitor.distance((0.0, 0.5)) > 1.0
    assert far is (kind == 'revolute')


@pytest.mark.parametrize('kind', TYPES)
def test_where_a_command_begins_anew(kind):
    """Regressions pinned: after a pause the gripper was told to let go of what it held."""
    monitor = monitor_of(kind)
    raised(monitor, lambda k: HELD, lambda k: COMMAND, ticks=5)
    holds = kind in GRIPPERS
    assert monitor.distance((0.0, COMMAND)) == pytest.approx(0.0 if holds else 0.4, abs=1e-3)
    assert monitor.beginning((0.0, COMMAND))[1] == (COMMAND if holds else HELD)
    # Opened by hand meanwhile: nothing is held any more.
    monitor.update(['a', 'x'], [0.0, 0.1], (), arrival_ns=6 * DT, command=None)
    for k in range(7, 60):
        monitor.update(['a', 'x'], [0.0, 0.1], (), arrival_ns=k * DT, command=None)
    assert monitor.beginning((0.0, COMMAND))[1] == 0.1


@pytest.mark.parametrize('kind', TYPES)
def test_how_far_a_command_may_run_ahead_of_the_robot(kind):
    motion = loop_of(kind)._motion
    assert isinstance(motion, PositionMotion)
    motion.seed((0.0, COMMAND))
    point = _point((0.0, 0.9))
    command = motion.command(Source.POLICY, point, None, (0.0, HELD))
    assert (command.position[1] > COMMAND) is (kind in GRIPPERS)
    # Of a continuous joint, a place one turn away is the same place.
    command = motion.command(Source.POLICY, _point((0.0, 0.9 - TURN)), None, (0.0, COMMAND))
    assert (command.position[1] >= COMMAND) is (kind == 'continuous' or kind in GRIPPERS)


def _point(position: tuple[float, float]) -> PlanPoint:
    return PlanPoint(
        position=position,
        velocity=(0.0, 0.0),
        rates=(False, False),
        sequence=1,
        age_s=0.0,
        chunks=1,
    )


@pytest.mark.parametrize('kind', TYPES)
def test_how_far_the_first_action_may_be_away(kind):
    loop = loop_of(kind)
    motion = loop._motion
    motion.seed((0.0, 0.1))
    motion.command(Source.ALIGN, _point((0.0, COMMAND)), None, (0.0, 0.1))
    assert bool(motion.too_far) is (kind not in GRIPPERS)
    facts = PreflightFacts(
        state=State.READY,
        refusals=(),
        measured={'a': 0.0, 'x': 0.1},
        policy=PolicyFacts(
            name='p', policy_id='a' * 64, provider='cpu', self_test_error=0.0, spec=spec_of(kind)
        ),
        rehearsal=Rehearsal(first={'a': 0.0, 'x': COMMAND}, latency_s=0.0),
    )
    items = {item.name: item.ok for item in judge(facts, loop.robot, dry_run=False)}
    assert items['first action'] is (kind in GRIPPERS)
    assert items['training range'] is (kind in GRIPPERS)


@pytest.mark.parametrize('kind', TYPES)
def test_a_first_action_one_turn_away(kind):
    motion = loop_of(kind)._motion
    motion.seed((0.0, 0.9))
    motion.command(Source.ALIGN, _point((0.0, 0.9 - TURN)), None, (0.0, 0.9))
    assert bool(motion.too_far) is (kind == 'revolute')


@pytest.mark.parametrize('kind', TYPES)
def test_a_chunk_that_jumps(kind):
    spec, robot = spec_of(kind), robot_of(kind)
    for jump, fine in ((0.7, GRIPPERS), (TURN, (*GRIPPERS, 'continuous'))):
        ingress = ChunkIngress(spec, 'a' * 64, limits_of(robot.commanded))
        chunk = ActionChunk(
            stamp_ns=S,
            dt_ns=spec.dt_ns,
            values=np.tile(np.array([0.0, 0.1 + jump], np.float32), (8, 1)),
            names=spec.action_names,
            kinds=spec.action_kinds,
            references=spec.action_references,
            policy_id='a' * 64,
            sequence=1,
            epoch=1,
            received_ns=S,
        )
        context = IngressContext(
            now_ns=S, epoch=1, epoch_start_ns=0, command={'a': 0.0, 'x': 0.1}, executing=True
        )
        assert ('jumps' not in ingress.check(chunk, context).text) is (kind in fine)


@pytest.mark.parametrize('kind', TYPES)
def test_a_leader_that_stands_one_turn_away(kind):
    """Regressions pinned: no takeover was possible once a continuous joint had turned."""
    human = ControlLoop(robot_of(kind))._human
    human.on_teleop(['a', 'x'], [0.0, 0.5 - TURN], arrival_ns=0)
    assert human.aligned((0.0, 0.5)) is (kind == 'continuous')
    target = HumanTarget(turning=[joint.continuous for joint in robot_of(kind).commanded])
    index, gap = target.farthest((0.01, 0.5 - TURN), (0.0, 0.5))
    assert (index, abs(gap) < 0.1) == ((0, True) if kind == 'continuous' else (1, False))


@pytest.mark.parametrize('kind', TYPES)
def test_the_deviation_of_command_and_plan(kind):
    motion = loop_of(kind)._motion
    motion.seed((0.0, 0.5))
    command = motion.command(Source.HOLD, None, None, (0.0, 0.5))
    gap = motion.deviation(_point((0.0, 0.5 + TURN)), command)
    assert gap == pytest.approx(0.0 if kind == 'continuous' else TURN)


def test_a_policy_says_which_joints_are_grippers_until_the_next_one():
    loop = loop_of('gripper of the policy')
    loop.set_policy('b' * 64, spec_of('revolute'))
    assert Flag.TRACKING_ERROR in raised(loop._robot_says, lambda k: HELD, lambda k: COMMAND)
    surroundings = Surroundings.of(
        loop.robot, limits_of(loop.robot.commanded), recover=ControlOptions().recover
    )
    surroundings.on_joint_state(['x'], [-0.05], mono_ns=0, ros_ns=0, stamp_ns=0)
    assert surroundings.blockers()

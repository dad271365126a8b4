# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A driver of velocities goes on with the last one: it is never left with one that is not zero.

Regressions pinned: a reset in ESTOP before the brake had ended made the limiter believe that the
robot rests, READY fell silent, and 0.88 rad/s stood in the driver.
"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from loop_rig import DT as POSITION_DT
from loop_rig import Rig as PositionRig
import pytest
from test_velocity_motion import ARM, CAR, DT, Rig, spec_of
import yaml

from bc_runtime.control import ControlLoop
from bc_runtime.safety import Event, Flag, Source, State
from bc_runtime.safety.limiter_step import LimiterStep
from bc_runtime.spec import RobotConfig

SLOW_ARM = ARM | {'joints': [{**joint, 'acceleration': 2.0} for joint in ARM['joints']]}


def rig_of(robot: dict[str, object]) -> Rig:
    return Rig(robot, wanted=(0.9, -0.9)).auto()


def quiet(rig: Rig, ticks: int) -> None:
    """Let ticks pass in which no joint state comes."""
    for _ in range(ticks):
        rig.t += DT
        result = rig.loop.tick(mono_ns=rig.t, ros_ns=rig.t)
        if result.command is not None:
            rig.speed = result.command.velocity
        rig.position = [q + v * DT * 1e-9 for q, v in zip(rig.position, rig.speed, strict=True)]
        rig.results.append(result)


ROBOTS = pytest.mark.parametrize(
    'robot', [CAR, ARM, SLOW_ARM], ids=['twist', 'joint velocities', 'long brake']
)


@ROBOTS
@pytest.mark.parametrize('pause', [0, 1, 3])
@pytest.mark.parametrize('event', [Event.RESET, Event.DEACTIVATE, Event.ACTIVATE, Event.START])
def test_nothing_asked_while_an_emergency_stop_brakes_leaves_a_velocity_behind(
    robot, pause, event
):
    rig = rig_of(robot)
    rig.loop.on_estop(True)
    quiet(rig, 1)
    rig.loop.on_estop(False)
    quiet(rig, pause)
    rig.loop.post(event)
    rig.loop.post(Event.ACTIVATE)
    rig.run(0.06)
    rig.loop.post(Event.RESET)
    rig.run(2.0)
    assert rig.speed == (0.0, 0.0)
    assert rig.results[-1].command is None or not any(rig.results[-1].command.velocity)
    rig.audit()


@ROBOTS
def test_a_reset_waits_until_the_robot_rests(robot):
    rig = rig_of(robot)
    answers: list[tuple[bool, str]] = []
    rig.loop.on_estop(True)
    rig.run(0.02)
    rig.loop.on_estop(False)
    while rig.loop.state is State.ESTOP:
        rolls = rig.loop.rolls
        rig.loop.post(Event.RESET, lambda ok, text: answers.append((ok, text)))
        rig.run(0.02)
        assert answers[-1][0] is not rolls
    assert 'still braking' in answers[0][1]
    assert rig.loop.state is State.READY
    assert rig.speed == (0.0, 0.0)


def test_a_seed_keeps_the_velocity_that_was_sent_last():
    rig = rig_of(ARM)
    rig.loop._motion.seed((0.3, 0.3))
    assert rig.loop.rolls
    rig.loop.post(Event.STOP)
    rig.run(1.0)
    assert rig.speed == (0.0, 0.0)
    rig.audit()


def test_another_policy_changes_nothing_about_the_velocity_that_stands_in_the_driver():
    rig = rig_of(ARM)
    rig.loop.set_policy('c' * 64, spec_of(rig.names, rig.kinds))
    rig.policy = False
    rig.run(4.0)
    assert rig.speed == (0.0, 0.0)
    rig.audit()


@ROBOTS
def test_a_deactivation_in_a_fault_brakes_before_it_is_inactive(robot):
    rig = rig_of(robot)
    rig.loop.fail(Flag.INTERNAL_ERROR, 'x')
    rig.run(0.02)
    rig.loop.post(Event.DEACTIVATE)
    rig.loop.post(Event.ACTIVATE)
    rig.run(0.02)
    assert rig.loop.rolls
    rig.run(1.0)
    assert rig.loop.state is State.INACTIVE
    assert rig.speed == (0.0, 0.0)
    rig.audit()


def test_zero_is_sent_more_than_once_before_silence():
    rig = rig_of(CAR)
    rig.loop.post(Event.STOP)
    rig.run(1.0)
    sent = [r.command.velocity for r in rig.results if r.command is not None]
    assert sent[-5:] == [(0.0, 0.0)] * 5
    assert rig.results[-1].command is None


def test_a_brake_that_the_checker_refuses_slows_nothing_down(monkeypatch):
    rig = rig_of(CAR)
    speed = rig.speed
    motion = rig.loop._motion

    class Refused:
        ok, text = False, 'refused'

    monkeypatch.setattr(motion, '_judge', lambda _command: Refused())
    for _ in range(5):
        assert motion.command(Source.BRAKE, None, None, None) is None
    assert rig.loop.rolls
    monkeypatch.undo()
    command = motion.command(Source.BRAKE, None, None, None)
    assert isinstance(command, LimiterStep)
    assert max(map(abs, command.velocity)) < max(map(abs, speed))


STEPS = st.one_of(
    st.tuples(st.just('run'), st.integers(1, 30)),
    st.tuples(st.just('quiet'), st.integers(1, 12)),
    st.tuples(st.just('estop'), st.booleans()),
    st.tuples(st.just('human'), st.integers(1, 20)),
    st.tuples(st.just('policy'), st.booleans()),
    st.tuples(
        st.sampled_from([event for event in Event if event is not Event.SHUTDOWN]), st.just(0)
    ),
)


@ROBOTS
@settings(deadline=None, max_examples=40)
@given(steps=st.lists(STEPS, min_size=2, max_size=14))
@example(steps=[('estop', True), ('quiet', 1), ('estop', False), (Event.RESET, 0), ('quiet', 2)])
@example(steps=[('estop', True), ('run', 1), (Event.DEACTIVATE, 0), (Event.ACTIVATE, 0)])
@example(steps=[(Event.DEACTIVATE, 0), ('run', 1), ('estop', True), (Event.ACTIVATE, 0)])
def test_property_no_sequence_leaves_a_velocity_in_the_driver(robot, steps):
    rig = rig_of(robot)
    for what, value in steps:
        if what == 'run':
            rig.run(value * DT * 1e-9)
        elif what == 'quiet':
            quiet(rig, value)
        elif what == 'estop':
            rig.loop.on_estop(value)
        elif what == 'human':
            rig.run(value * DT * 1e-9, human=(0.5, 0.5))
        elif what == 'policy':
            rig.policy = value
        else:
            rig.loop.post(what)
        if not any(rig.speed):
            continue
        quiet(rig, 1)
        assert rig.results[-1].command is not None, 'it is silent while the driver rolls'
    rig.loop.post(Event.STOP)
    rig.loop.on_takeover(False, arrival_ns=rig.t)
    rig.policy = False
    rig.run(4.0)
    assert rig.speed == (0.0, 0.0)
    rig.audit()


def test_a_driver_of_set_points_rests_as_soon_as_nothing_is_sent():
    robot = {
        'schema_version': 1,
        'name': 'two',
        'joints': [{**joint, 'margin': 0.02} for joint in ARM['joints']],
        'joint_states': {'topic': 'joint_states'},
        'command': {
            'type': 'float64_multi_array',
            'topic': 'positions',
            'joints': ['a', 'b'],
            'rate_hz': 1e9 / POSITION_DT,
        },
    }
    config = RobotConfig.from_yaml(yaml.safe_dump(robot))
    rig = PositionRig(loop=ControlLoop(config), speed=0.8).auto()
    rig.run(0.4)
    rig.loop.on_estop(True)
    rig.run(0.02)
    rig.loop.on_estop(False)
    rig.post(Event.RESET)
    rig.run(0.02)
    assert rig.replies[-1] == (True, 'reset')
    assert rig.loop.state is State.READY

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What must not move the robot: a short press, a stepped clock, a plan that went elsewhere."""

from __future__ import annotations

from dataclasses import replace
import math

from loop_rig import DT, ROBOT, SPEC, Rig
import numpy as np
import pytest

from bc_runtime.control import ControlLoop
from bc_runtime.control.joint_monitor import JointMonitor
from bc_runtime.safety import Event, State, limits_of
from bc_runtime.spec import RobotConfig

S = 1_000_000_000


def fastest(rig: Rig, since: int) -> float:
    sent = [r.command for r in rig.results[since:] if r.command is not None]
    return max((abs(v) for c in sent for v in c.velocity), default=0.0)


def test_an_emergency_stop_that_is_released_before_the_next_tick_stops():
    rig = Rig().auto()
    rig.loop.on_estop(True)
    rig.loop.on_estop(False)
    assert rig.run(0.01).state is State.ESTOP
    assert rig.run(1.0).state is State.ESTOP
    assert rig.results[-1].command is None


@pytest.mark.parametrize('step_s', [0.2, -0.2, 5.0, -5.0])
def test_a_stepped_clock_stops_the_robot_before_it_follows_the_plan_elsewhere(step_s):
    rig = Rig(speed=0.3).auto()
    rig.run(0.5)
    since = len(rig.results)
    usual = fastest(rig, since - 20)
    ros_ns = round(step_s * S)
    for _ in range(100):
        rig.t += DT
        rig.loop.on_joint_state(['a', 'b'], rig.position, arrival_ns=rig.t)
        rig.loop.on_observation(valid=True, reasons=(), arrival_ns=rig.t)
        result = rig.loop.tick(mono_ns=rig.t, ros_ns=rig.t + ros_ns)
        if result.command is not None:
            rig.position = list(result.command.position)
        rig.results.append(result)
    assert rig.results[since].state is State.BRAKING
    assert rig.results[since].stop_code == 'CLOCK_STEP'
    assert rig.results[-1].state is State.HELD
    assert fastest(rig, since) <= usual + 1e-9


def test_a_late_tick_is_no_step_of_the_clock():
    rig = Rig().auto()
    for late_ns in (0, 60_000_000, 0, 90_000_000, 0):
        rig.t += DT + late_ns
        result = rig.loop.tick(mono_ns=rig.t, ros_ns=rig.t - late_ns, wall_ns=rig.t)
        assert 'CLOCK_STEP' not in [each.flag for each in result.reasons]


def test_a_plan_that_went_far_away_during_the_approach_is_not_followed():
    rig = Rig(policy=False).ready()
    rig.post(Event.START)
    rig.run(0.02)
    places = np.zeros((12, 2), np.float32)
    for tick in range(400):
        if tick % 10 == 0:
            place = np.float32(0.4 if tick < 50 else -0.9)
            rig.loop.on_chunk(rig.chunk(values=places + place, stamp_ns=rig.t - DT))
        result = rig.run(0.01)
        if result.state is State.READY:
            break
    assert result.state is State.READY
    assert 'ALIGN_TOO_FAR' in [t.code for r in rig.results for t in r.transitions]
    assert rig.position == pytest.approx([0.4, 0.4], abs=0.02)
    assert fastest(rig, 0) <= 0.25 + 1e-9  # ALIGN only


def test_the_command_does_not_run_away_from_a_blocked_joint():
    robot = replace(ROBOT, tolerances=replace(ROBOT.tolerances, tracking_s=0.6, stall=9.0))
    rig = Rig(ControlLoop(robot), speed=1.0, position=[-0.9, -0.9]).auto()
    rig.driver = False
    held, ahead = list(rig.position), 0.0
    for k in range(150):
        trembling = [q + 1e-4 * (k % 2) for q in held]
        rig.loop.on_joint_state(['a', 'b'], trembling, arrival_ns=rig.t + DT)
        if (command := rig.run(0.01).command) is not None:
            ahead = max(ahead, *np.abs(np.array(command.position) - held))
    assert rig.results[-1].state is State.FAULT
    assert rig.results[-1].stop_code == 'TRACKING_ERROR'
    # One and a half tolerances, and the way that braking from full speed takes.
    assert 0.2 < ahead <= 1.5 * 0.2 + 0.05 + 0.01


TURNING = """
schema_version: 1
name: wheel
joints:
  - {name: a, unit: rad, continuous: true, velocity: 1.0, acceleration: 10.0}
joint_states: {topic: joint_states}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [a], rate_hz: 100.0}
"""


def test_turns_of_a_continuous_joint_are_counted_as_the_command_does():
    robot = RobotConfig.from_yaml(TURNING)
    monitor = JointMonitor(robot, limits_of(robot.commanded))
    command = 3.0
    for k in range(400):
        command += 0.01
        wrapped = math.remainder(command - 0.02, 2.0 * math.pi)  # as most drivers report
        monitor.update(['a'], [wrapped], (), arrival_ns=k * DT, command=(command,))
        assert monitor.measured == pytest.approx((command - 0.02,))
    assert monitor.error == pytest.approx(0.02, abs=0.02)
    assert monitor.distance((command,)) == pytest.approx(0.02)


def test_the_loop_gives_no_prefix_to_a_policy_that_takes_none():
    loop = ControlLoop(ROBOT)
    loop.set_policy('a' * 64, SPEC)
    assert loop.plan.prefix(0) is None

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The control loop with an injected clock: states, plans, faults, and what is sent."""

from __future__ import annotations

import math

from loop_rig import DT, ROBOT, Rig, S
import numpy as np
import pytest

from bc_runtime.control import ControlLoop, ControlOptions
from bc_runtime.safety import Event, Flag, Source, State


def test_nothing_is_sent_before_the_start():
    rig = Rig().ready()
    assert rig.run(0.5).state is State.READY
    assert all(result.command is None for result in rig.results)


def test_it_does_not_become_ready_without_joint_states():
    rig = Rig(driver=False)
    rig.post(Event.CONFIGURED)
    rig.post(Event.ACTIVATE)
    assert rig.run(0.05).state is State.INACTIVE
    assert rig.replies[-1][0] is False
    assert "'joint_states'" in rig.replies[-1][1]


def test_a_start_without_policy_or_observation_says_what_is_missing():
    rig = Rig(camera=False)
    rig.run(0.05)
    rig.post(Event.CONFIGURED)
    rig.post(Event.ACTIVATE)
    rig.run(0.02)
    rig.loop.on_observation(valid=False, reasons=['MISSING cameras/front: none'], arrival_ns=rig.t)
    rig.post(Event.START)
    assert rig.run(0.02).state is State.READY
    accepted, text = rig.replies[-1]
    assert not accepted
    assert 'no policy' in text
    assert 'MISSING cameras/front' in text


def test_start_goes_through_align_with_a_new_epoch_and_then_follows_the_plan():
    rig = Rig().ready()
    epoch = rig.loop.epoch
    rig.post(Event.START)
    assert rig.run(0.01).state is State.ALIGN
    assert rig.loop.epoch == epoch + 1
    assert rig.run(0.5).state is State.AUTO
    start = rig.position[0]
    rig.run(1.0)
    assert rig.position[0] - start == pytest.approx(rig.speed, rel=0.15)
    assert rig.results[-1].source is Source.POLICY


def test_a_chunk_of_an_older_epoch_or_another_policy_is_not_executed():
    rig = Rig(policy=False).ready()
    rig.post(Event.START)
    rig.run(0.01)
    assert rig.loop.on_chunk(rig.chunk(epoch=rig.loop.epoch - 1)).startswith('E4_EPOCH')
    assert 'E1_POLICY' in rig.loop.on_chunk(rig.chunk(policy_id='b' * 64))
    assert rig.loop.plan.rejected == 0
    assert "expected the actions ['a', 'b']" in rig.loop.on_chunk(rig.chunk(names=('a', 'c')))
    assert rig.loop.plan.rejected == 1
    assert rig.run(0.1).setpoint is None
    assert rig.position == [0.0, 0.0]


def test_observations_from_before_the_start_are_void():
    rig = Rig(policy=False).ready()
    stale = rig.t
    rig.run(0.1)
    rig.post(Event.START)
    rig.run(0.01)
    assert 'older than the resume' in rig.loop.on_chunk(rig.chunk(stamp_ns=stale))


def test_a_silent_policy_stops_the_robot_and_nothing_moves_again_by_itself():
    rig = Rig().auto()
    rig.policy = False
    assert rig.run(1.5).state in (State.BRAKING, State.HELD)
    rig.run(3.0)
    assert rig.results[-1].state is State.HELD
    held = list(rig.position)
    rig.policy = True
    rig.run(2.0)
    assert rig.results[-1].state is State.HELD
    assert rig.position == held
    rig.post(Event.START)
    assert rig.run(0.6).state is State.AUTO


def test_invalid_observations_stop_the_robot_with_their_reason():
    rig = Rig().auto()
    rig.camera = False
    before = rig.t
    while rig.results[-1].state is State.AUTO:
        rig.loop.on_observation(
            valid=False, reasons=['STALE cameras/front: 0.3 s old'], arrival_ns=rig.t
        )
        rig.run(0.01)
    assert (rig.t - before) / S <= 0.35
    assert rig.results[-1].stop_code in (Flag.CAMERA_STALE, Flag.OBSERVATION_STALE)
    assert 'cameras/front' in rig.results[-1].stop_text


def test_stale_joint_states_stop_the_robot():
    rig = Rig().auto()
    rig.driver = False
    before = rig.t
    while rig.results[-1].state is State.AUTO:
        rig.run(0.01)
    assert (rig.t - before) / S <= ROBOT.joint_states.max_age_s + 0.02


def test_a_driver_that_comes_back_elsewhere_is_not_pulled_to_where_it_was():
    rig = Rig().auto()
    rig.driver = False
    assert rig.run(1.0).state is State.HELD
    assert rig.results[-1].command is None, 'nobody is there to hold'
    rig.position = [q + 0.4 for q in rig.position]
    back = list(rig.position)
    rig.driver = True
    assert rig.run(0.5).state is State.HELD
    assert rig.results[-1].command.position == pytest.approx(back)
    rig.post(Event.RESUME)
    assert rig.run(0.02).state is State.ALIGN
    assert rig.position == pytest.approx(back, abs=0.01)


def test_a_driver_that_falls_silent_for_a_moment_holds_its_last_command():
    rig = Rig().auto()
    rig.driver = False
    rig.run(1.0)
    held = [r.command.position for r in rig.results if r.command is not None][-1]
    rig.position = [q - 0.02 for q in held]  # it sags
    rig.driver = True
    assert rig.run(0.05).command is None, 'it may still be moving'
    rig.run(0.1)
    assert rig.results[-1].command.position == pytest.approx(held)


def test_a_robot_that_does_not_follow_faults():
    rig = Rig(speed=0.5).auto()
    stuck = list(rig.position)
    for _ in range(150):
        rig.position = stuck
        rig.run(0.01)
    assert rig.results[-1].state is State.FAULT
    rig.post(Event.START)
    rig.run(0.02)
    assert rig.replies[-1][0] is False


def test_a_blocked_robot_faults_although_its_policy_plans_from_where_it_is():
    rig = Rig(speed=0.4).auto()
    stuck = list(rig.position)
    for k in range(150):
        # An encoder's last digit moves: the joint states are not frozen.
        rig.position = [q + 1e-6 * (k % 2) for q in stuck]
        result = rig.run(0.01)
        if result.state is State.FAULT:
            break
    codes = [t.code for each in rig.results for t in each.transitions]
    assert codes[-1] == 'JOINT_BLOCKED', codes
    assert max(each.tracking_error for each in rig.results) < 0.2, 'tracking alone saw it'


def test_a_tracking_fault_can_be_reset_and_starts_from_where_the_robot_is():
    rig = Rig(speed=0.5).auto()
    stuck = list(rig.position)
    for _ in range(150):
        rig.position = stuck
        rig.run(0.01)
    assert rig.results[-1].state is State.FAULT
    rig.position = stuck
    rig.post(Event.RESET)
    rig.run(0.02)
    assert rig.replies[-1] == (True, 'reset')
    assert rig.results[-1].state is State.READY


def test_malformed_chunks_can_be_reset_at_once():
    rig = Rig().auto()
    rig.policy = False
    for _ in range(3):
        rig.loop.on_chunk(rig.chunk(values=np.zeros((5, 2), np.float32)))
    rig.run(0.3)
    assert rig.results[-1].state is State.FAULT
    rig.post(Event.RESET)
    rig.run(0.02)
    assert rig.replies[-1] == (True, 'reset')


def test_estop_sends_nothing_and_release_alone_moves_nothing():
    rig = Rig().auto()
    rig.loop.on_estop(True)
    result = rig.run(0.01)
    assert result.state is State.ESTOP
    assert result.command is None
    rig.loop.on_estop(False)
    assert rig.run(1.0).state is State.ESTOP
    rig.post(Event.RESET)
    assert rig.run(0.5).state is State.READY
    assert rig.results[-1].command is None


def test_commands_stay_inside_the_limits_when_the_plan_does_not():
    rig = Rig().auto()
    rig.speed = 30.0
    rig.run(4.0)
    sent = np.array([r.command.position for r in rig.results if r.command is not None])
    velocity = np.diff(sent, axis=0) * 100.0
    assert np.abs(sent).max() <= 0.98 + 1e-9
    assert np.abs(velocity).max() <= 1.0 + 1e-6
    assert np.abs(np.diff(velocity, axis=0)).max() * 100.0 <= 10.0 + 1e-3


def test_a_chunk_with_a_number_that_is_not_finite_cannot_be_made():
    rig = Rig().auto()
    values = np.zeros((12, 2), np.float32)
    values[3, 1] = math.nan
    with pytest.raises(Exception, match='finite'):
        rig.chunk(values=values)


def test_shutdown_brakes_before_it_is_finished():
    rig = Rig(speed=0.8).auto()
    rig.run(0.3)
    assert any(abs(v) > 0.5 for v in rig.results[-1].command.velocity)
    rig.post(Event.SHUTDOWN)
    result = rig.run(0.01)
    assert result.state is State.FINALIZING
    assert not result.finished
    while not rig.results[-1].finished:
        rig.run(0.01)
    moving = [r for r in rig.results if r.command is not None][-1]
    assert max(abs(v) for v in moving.command.velocity) <= 0.1


def test_a_robot_that_was_moved_by_hand_starts_from_where_it_is():
    rig = Rig().auto()
    rig.post(Event.STOP)
    rig.run(0.5)
    rig.position = [0.6, -0.4]  # more quickly than a joint can go: believed once it lasts
    rig.run(0.5)
    rig.post(Event.START)
    rig.run(0.02)
    first = next(r for r in rig.results[-2:] if r.command is not None)
    assert first.command.position == pytest.approx((0.6, -0.4), abs=1e-3)


def test_a_robot_that_sags_starts_from_its_last_command():
    rig = Rig().auto()
    rig.post(Event.STOP)
    rig.run(0.5)
    told = list(rig.position)
    rig.position = [told[0] - 0.02, told[1] - 0.02]
    rig.run(0.1)
    rig.post(Event.START)
    rig.run(0.02)
    first = next(r for r in rig.results[-2:] if r.command is not None)
    assert first.command.position == pytest.approx(told, abs=1e-3)


def test_latency_is_told_once_per_chunk():
    rig = Rig().auto()
    rig.run(0.5)
    told = [r.latency_s for r in rig.results if not math.isnan(r.latency_s)]
    assert len(told) == len({r.chunk_sequence for r in rig.results if r.chunk_sequence}) - 1
    assert all(0.0 <= value <= 0.05 for value in told)


def test_a_first_action_too_far_away_is_refused_before_anything_moves():
    rig = Rig(policy=False).ready()
    rig.post(Event.START)
    rig.run(0.02)
    far = np.full((12, 2), 0.9, np.float32)
    assert rig.loop.on_chunk(rig.chunk(values=far, stamp_ns=rig.t - DT // 2)) == ''
    rig.run(0.2)
    assert rig.results[-1].state is State.READY
    assert rig.position == [0.0, 0.0]
    assert any(t.code == Flag.ALIGN_TOO_FAR for r in rig.results for t in r.transitions)


def test_three_malformed_chunks_in_a_row_are_a_fault():
    rig = Rig().auto()
    rig.policy = False
    for _ in range(3):
        rig.loop.on_chunk(rig.chunk(values=np.zeros((5, 2), np.float32)))
    rig.run(0.5)
    assert rig.results[-1].state is State.FAULT
    assert rig.results[-1].stop_code == Flag.CHUNKS_MALFORMED


def human(rig: Rig, seconds: float, *, leader: list[float] | None, pressed: bool = True) -> None:
    for _ in range(round(seconds * 100)):
        rig.loop.on_takeover(pressed, arrival_ns=rig.t)
        if leader is not None:
            rig.loop.on_teleop(['a', 'b'], leader, arrival_ns=rig.t)
        rig.run(0.01)


def test_a_human_takes_over_only_where_the_robot_is_and_hands_back_without_old_chunks():
    rig = Rig().auto()
    human(rig, 0.2, leader=[0.9, 0.9])
    assert rig.results[-1].state is State.TAKEOVER
    human(rig, 0.2, leader=list(rig.position))
    assert rig.results[-1].state is State.HUMAN
    goal = [rig.position[0] - 0.1, rig.position[1] + 0.1]
    human(rig, 1.0, leader=goal)
    assert rig.results[-1].source is Source.HUMAN
    assert rig.position == pytest.approx(goal, abs=1e-3)
    epoch = rig.loop.epoch
    human(rig, 0.5, leader=goal, pressed=False)
    assert rig.results[-1].state is State.HANDBACK
    assert rig.loop.epoch == epoch + 1
    assert rig.position == pytest.approx(goal, abs=1e-3)
    rig.post(Event.RESUME)
    human(rig, 0.6, leader=None, pressed=False)
    assert rig.results[-1].state is State.AUTO


def test_a_silent_human_stops_the_robot():
    rig = Rig().auto()
    human(rig, 0.3, leader=list(rig.position))
    human(rig, 0.3, leader=list(rig.position))
    assert rig.results[-1].state is State.HUMAN
    rig.run(0.7)
    assert rig.results[-1].state is State.HELD


def test_a_press_counts_also_where_the_release_before_it_was_never_heard():
    """Regressions pinned: unplugged while held, and plugged in again, a button did nothing.

    The controller still believed it held, so that a press in AUTO was no change.
    """
    rig = Rig().auto()
    human(rig, 0.3, leader=list(rig.position))
    human(rig, 0.3, leader=list(rig.position))
    assert rig.results[-1].state is State.HUMAN
    rig.run(0.7)
    assert rig.results[-1].state is State.HELD
    rig.post(Event.RESUME)
    assert rig.run(0.6).state is State.AUTO
    human(rig, 0.05, leader=[0.9, 0.9])
    assert rig.results[-1].state is State.TAKEOVER


def test_a_heartbeat_that_comes_back_moves_nothing_out_of_a_hold():
    rig = Rig().auto()
    human(rig, 0.3, leader=list(rig.position))
    human(rig, 0.3, leader=list(rig.position))
    rig.run(0.7)
    human(rig, 0.5, leader=list(rig.position))
    assert rig.results[-1].state is State.HELD


def test_slow_scales_the_pace_of_the_plan_without_a_jump():
    rig = Rig(speed=0.4).auto()
    point = rig.loop.plan.at(rig.t, ahead_ns=DT)
    for _ in range(50):
        rig.loop.plan.advance(0.5, DT)
        rig.t += DT
    slow = rig.loop.plan.at(rig.t, ahead_ns=DT)
    assert point is not None
    assert slow is not None
    moved = slow.position[0] - point.position[0]
    assert 0.5 * 0.4 * 0.5 * 0.8 <= moved <= 0.5 * 0.4 * 0.75


def test_a_long_slow_phase_goes_on_with_fresh_chunks():
    rig = Rig(speed=0.2).auto()
    for _ in range(400):
        rig.loop.plan.advance(0.5, DT)
        rig.run(0.01)
    assert rig.results[-1].state is State.AUTO
    assert rig.results[-1].setpoint is not None
    assert rig.results[-1].observation_age_s < 0.1


def test_a_dry_run_does_not_expect_the_robot_to_follow():
    rig = Rig(loop=ControlLoop(ROBOT, ControlOptions(dry_run=True)), speed=0.5).auto()
    stays = list(rig.position)
    plan = list(rig.position)
    for _ in range(200):
        rig.position = plan
        chunk = rig.chunk(stamp_ns=rig.t)
        rig.position = stays
        rig.policy = False
        rig.loop.on_chunk(chunk)
        rig.run(0.01)
        plan = list(rig.results[-1].command.position)
    assert rig.results[-1].state is State.AUTO
    assert abs(plan[0]) > 0.5


def test_unknown_strategy_names_the_known_ones():
    with pytest.raises(Exception, match='temporal_ensemble'):
        ControlLoop(ROBOT, ControlOptions(strategy='temporal_ensembl'))
    with pytest.raises(Exception, match='cubic'):
        ControlLoop(ROBOT, ControlOptions(interpolation='quadratic'))


def test_after_a_hole_in_the_plan_chunks_are_wanted_and_bring_the_motion_back():
    rig = Rig().auto()
    rig.policy = False
    while rig.run(0.01).state is not State.BRAKING:
        pass
    assert rig.results[-1].accepting, 'nobody would make the chunk that fills the hole'
    rig.policy = True
    rig.run(0.1)
    assert rig.run(1.0).state is State.AUTO
    assert 'RECOVERED' in [t.code for result in rig.results for t in result.transitions]


def test_a_new_inference_process_does_not_bring_the_motion_back():
    rig = Rig().auto()
    rig.policy = False
    rig.run(0.8)  # into the hole, well before its time is up
    rig.policy, rig.sequence = True, 0
    assert rig.run(0.5).state is State.HELD
    codes = [t.code for result in rig.results for t in result.transitions]
    assert 'RECOVERED' not in codes
    assert Flag.INFERENCE_DOWN in codes
    still = rig.position
    assert rig.run(0.5).state is State.HELD
    assert rig.position == still
    rig.post(Event.RESUME)
    assert rig.run(0.5).state is State.AUTO


def test_a_new_inference_process_stops_a_motion_that_the_old_plan_still_covers():
    rig = Rig().auto()
    rig.sequence = 0
    assert rig.run(0.5).state is State.HELD
    assert Flag.INFERENCE_DOWN in [t.code for r in rig.results for t in r.transitions]


def test_a_hole_that_lasts_needs_the_operator():
    rig = Rig().auto()
    rig.policy = False
    assert rig.run(4.0).state is State.HELD
    assert not rig.results[-1].accepting
    rig.policy = True
    assert rig.run(1.0).state is State.HELD


def test_a_stall_is_named_first_and_does_not_slow_what_comes_after_it():
    rig = Rig().auto()
    rig.t += 5 * S
    result = rig.loop.tick(mono_ns=rig.t, ros_ns=rig.t, missed=499)
    assert [t.code for t in result.transitions] == ['TICK_STALLED']
    rig.results.append(result)
    rig.run(0.2)
    rig.post(Event.RESUME)
    assert rig.run(1.5).state is State.AUTO


def test_missed_ticks_follow_the_tail_only_as_far_as_the_driver_had_time_for():
    """A message that was sent late leaves the driver less time than the deadlines say."""
    rigs = [Rig(speed=0.8).auto() for _ in range(3)]
    steps = []
    for rig, late in zip(rigs, (0, 1, 2), strict=True):
        before = rig.results[-1].command.position
        rig.loop.sent(rig.t + late * DT, rig.t + late * DT)
        rig.t += 3 * rig.loop.dt_ns
        result = rig.loop.tick(mono_ns=rig.t, ros_ns=rig.t, missed=2)
        steps.append(max(abs(a - b) for a, b in zip(before, result.command.position, strict=True)))
    assert steps[0] > steps[1] > steps[2] > 0.0
    assert steps[2] <= 0.01 + 1e-9, 'more than one step at full speed'


def test_a_chunk_of_an_older_epoch_is_no_sign_of_another_process():
    rig = Rig().auto()
    strange = {'sequence': rig.sequence + 1000, 'epoch': rig.loop.epoch - 1}
    rig.loop.on_chunk(rig.chunk(**strange, stamp_ns=rig.t - DT))
    assert rig.run(0.5).state is State.AUTO

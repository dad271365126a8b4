# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor with injected time: slowing, holes in the plan, ALIGN, humans, leaving."""

from __future__ import annotations

import pytest
from supervisor_desk import Desk

from bc_runtime.safety import DEFAULT_RULES, Action, Event, Flag, Severity, Source, State
from bc_runtime.safety.states import MOVING_STATES


def test_slow_clears_after_its_hysteresis_or_stops_when_it_lasts() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.TICKS_MISSED] = ''
    step = desk.tick()
    assert step.state is State.SLOW
    assert step.speed_scale == 0.5
    del desk.flags[Flag.TICKS_MISSED]
    assert desk.wait(0.9).state is State.SLOW
    assert desk.wait(0.2).state is State.AUTO
    desk.flags[Flag.TICKS_MISSED] = ''
    assert desk.wait(2.9).state is State.SLOW
    assert desk.wait(0.2).state is State.BRAKING
    assert desk.tick(at_rest=True).state is State.HELD


def test_out_of_distribution_only_slows_unless_configured() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.OUT_OF_DISTRIBUTION] = 'joint_2'
    assert desk.wait(30.0).state is State.SLOW


def test_a_plan_that_comes_back_soon_goes_on_through_align_without_the_operator() -> None:
    desk = Desk().to(State.AUTO)
    epoch = desk.supervisor.epoch
    desk.flags[Flag.COVERAGE_HOLE] = ''
    step = desk.tick(plan_ready=False, aligned=False)
    assert step.source is Source.BRAKE
    del desk.flags[Flag.COVERAGE_HOLE]
    desk.wait(0.5, at_rest=True)
    assert desk.state is State.BRAKING
    step = desk.tick(plan_ready=True)
    assert step.state is State.ALIGN
    assert step.memory.epoch == epoch
    desk.tick()
    assert desk.tick(aligned=True).state is State.AUTO


def test_a_plan_that_stays_away_needs_the_operator() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.COVERAGE_HOLE] = ''
    desk.tick(plan_ready=False, at_rest=False)
    desk.flags.clear()
    desk.wait(2.1, at_rest=True)
    assert desk.state is State.HELD
    desk.wait(10.0, plan_ready=True, aligned=True)
    assert desk.state is State.HELD


def test_a_hold_during_a_coverage_hole_takes_the_automatic_return_away() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.COVERAGE_HOLE] = ''
    desk.tick(plan_ready=False, at_rest=False)
    desk.flags = {Flag.CAMERA_STALE: ''}
    desk.tick()
    desk.flags = {}
    desk.tick(plan_ready=True, at_rest=True)
    assert desk.state is State.HELD
    assert desk.last is not None
    assert desk.last.memory.reason == Flag.CAMERA_STALE


def test_align_gives_up_after_ten_seconds() -> None:
    desk = Desk().to(State.ALIGN)
    desk.wait(10.1)
    assert desk.state is State.READY
    assert desk.codes[-1] == 'ALIGN_TIMEOUT'


def test_align_refuses_a_first_action_that_is_too_far() -> None:
    desk = Desk().to(State.ALIGN)
    desk.flags[Flag.ALIGN_TOO_FAR] = 'joint_1: 1.4 rad'
    desk.tick(plan_ready=True)
    assert desk.state is State.READY
    assert desk.codes[-1] == 'ALIGN_TOO_FAR'


def test_takeover_and_handback() -> None:
    desk = Desk().to(State.AUTO)
    press = desk.tick(Event.TAKEOVER_PRESS, human_aligned=True)
    assert press.state is State.TAKEOVER
    assert press.source is Source.BRAKE
    assert desk.tick().source is Source.HUMAN
    epoch = desk.supervisor.epoch
    release = desk.tick(Event.TAKEOVER_RELEASE, plan_ready=True)
    assert release.state is State.HANDBACK
    assert release.source is Source.HOLD
    assert release.memory.epoch == epoch + 1
    assert Action.NEW_EPOCH in release.actions
    desk.wait(5.0, plan_ready=True, at_rest=True)
    assert desk.state is State.HANDBACK  # nothing moves without an operator command
    resume = desk.tick(Event.RESUME, plan_ready=False)
    assert Action.NEW_EPOCH in resume.actions
    desk.wait(0.5)
    assert desk.state is State.HANDBACK  # no plan of the new epoch yet
    step = desk.tick(plan_ready=True)
    assert step.state is State.ALIGN
    assert step.memory.epoch == resume.memory.epoch == epoch + 2


def test_a_human_gets_a_robot_that_stopped_itself_where_it_is_measured() -> None:
    """Regressions pinned: pressed while it braked, he got it where it had been told to be."""
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.ROBOT_STOPPED] = 'for a tick'
    desk.tick()
    desk.flags.clear()
    assert desk.tick(Event.TAKEOVER_PRESS, human_aligned=True).state is State.TAKEOVER
    assert desk.wait(0.1).state is State.TAKEOVER, 'the command is not where the robot is'
    seeded = desk.tick(at_rest=True)
    assert seeded.actions == (Action.SEED_MEASURED,)
    assert desk.tick().state is State.HUMAN


def test_handback_resumes_by_itself_only_by_choice() -> None:
    desk = Desk(auto_resume=True).to(State.HANDBACK)
    desk.tick(at_rest=True)
    assert desk.state is State.HANDBACK
    assert desk.tick(plan_ready=True).state is State.ALIGN


def test_handback_gives_up_waiting_for_a_plan() -> None:
    desk = Desk().to(State.HANDBACK)
    desk.tick(Event.RESUME, at_rest=True, plan_ready=False)
    desk.wait(10.1)
    assert desk.codes[-1] == 'RESUME_TIMEOUT'
    desk.wait(1.0, plan_ready=True)
    assert desk.state is State.HANDBACK


def test_released_before_engaging_is_ready() -> None:
    desk = Desk().to(State.TAKEOVER)
    desk.tick(Event.TAKEOVER_RELEASE)
    assert desk.tick(at_rest=True).state is State.READY


@pytest.mark.parametrize('flag', [Flag.HUMAN_HEARTBEAT_LOST, Flag.HUMAN_STREAM_STALE])
def test_a_lost_human_stops_the_robot(flag: Flag) -> None:
    desk = Desk().to(State.HUMAN)
    desk.flags[flag] = ''
    assert desk.tick().source is Source.BRAKE
    desk.flags.clear()
    assert desk.tick(at_rest=True).state is State.HELD
    desk.wait(5.0, human_aligned=True)
    assert desk.state is State.HELD


def test_the_policy_s_troubles_do_not_disturb_the_human() -> None:
    desk = Desk().to(State.HUMAN)
    desk.flags = {
        flag: ''
        for flag, rule in DEFAULT_RULES.items()
        if rule.severity >= Severity.HOLD and not rule.states & {State.HUMAN}
    }
    assert Flag.CAMERA_STALE in desk.flags
    assert desk.wait(1.0).source is Source.HUMAN


def test_a_human_may_take_over_from_a_stop_that_concerns_the_policy_only() -> None:
    desk = Desk().to(State.BRAKING)
    assert desk.tick(Event.TAKEOVER_PRESS).state is State.TAKEOVER
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.JOINT_STATES_STALE] = ''
    step = desk.tick(Event.TAKEOVER_PRESS)
    assert step.state is State.BRAKING
    assert not step.replies[0].accepted
    assert 'JOINT_STATES_STALE' in step.replies[0].text


@pytest.mark.parametrize('state', sorted(MOVING_STATES))
def test_shutdown_brakes_before_it_finishes(state: State) -> None:
    desk = Desk().to(state)
    step = desk.tick(Event.SHUTDOWN, at_rest=False)
    assert step.state is State.FINALIZING
    assert step.source is Source.BRAKE
    assert not step.memory.finished
    assert not desk.tick().memory.finished
    assert desk.tick(at_rest=True).memory.finished


def test_a_second_shutdown_is_immediate() -> None:
    desk = Desk().to(State.AUTO)
    desk.tick(Event.SHUTDOWN)
    step = desk.tick(Event.SHUTDOWN)
    assert step.memory.finished
    assert step.source is Source.NONE


def test_estop_while_shutting_down_is_silent() -> None:
    desk = Desk().to(State.AUTO)
    desk.tick(Event.SHUTDOWN)
    desk.flags[Flag.ESTOP] = ''
    step = desk.tick()
    assert step.source is Source.NONE
    assert step.memory.finished


def test_deactivation_brakes_first_and_keeps_a_fault() -> None:
    desk = Desk().to(State.AUTO)
    assert desk.tick(Event.DEACTIVATE).state is State.BRAKING
    desk.flags[Flag.TRACKING_ERROR] = ''
    desk.tick()
    desk.flags.clear()
    assert desk.tick(at_rest=True).state is State.INACTIVE
    desk.tick(Event.ACTIVATE)
    assert desk.state is State.FAULT


def test_a_deactivation_outlasts_an_emergency_stop_that_comes_while_it_brakes() -> None:
    """Regressions pinned: it was forgotten, and after the reset the controller was READY."""
    desk = Desk().to(State.AUTO)
    assert desk.tick(Event.DEACTIVATE).state is State.BRAKING
    desk.flags[Flag.ESTOP] = 'pressed'
    step = desk.tick()
    assert step.state is State.INACTIVE
    assert step.source is Source.NONE
    assert step.transitions[-1].code == Flag.ESTOP
    desk.flags.clear()
    refused = desk.tick(Event.ACTIVATE, at_rest=False).replies[0]
    assert not refused.accepted
    assert 'still braking' in refused.text
    assert desk.tick(Event.ACTIVATE, at_rest=True).state is State.ESTOP, 'it meets the activation'
    assert desk.tick(Event.DEACTIVATE).state is State.INACTIVE
    assert desk.tick(Event.RESET).state is State.INACTIVE


def test_a_deactivation_outlasts_a_brake_that_does_not_end() -> None:
    desk = Desk().to(State.AUTO)
    desk.tick(Event.DEACTIVATE)
    desk.wait(5.2, at_rest=False)
    assert desk.state is State.INACTIVE
    assert desk.codes[-1] == Flag.BRAKE_TIMEOUT
    assert desk.tick(Event.ACTIVATE, at_rest=True).state is State.FAULT


@pytest.mark.parametrize('state', [State.FAULT, State.ESTOP])
def test_a_reset_waits_for_rest(state: State) -> None:
    desk = Desk().to(state)
    desk.flags.clear()
    refused = desk.tick(Event.RESET, at_rest=False).replies[0]
    assert not refused.accepted
    assert 'still braking' in refused.text
    assert desk.state is state
    assert desk.tick(Event.RESET, at_rest=True).state is State.READY


def test_a_deactivation_in_a_fault_brakes_first() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.TRACKING_ERROR] = ''
    desk.tick(at_rest=True)
    assert desk.state is State.FAULT
    assert desk.tick(Event.DEACTIVATE, at_rest=False).source is Source.BRAKE
    assert desk.tick(at_rest=True).state is State.INACTIVE


def test_time_going_backwards_is_a_new_epoch_and_ready() -> None:
    desk = Desk().to(State.AUTO)
    epoch = desk.supervisor.epoch
    step = desk.tick(Event.TIME_JUMP)
    assert step.memory.epoch == epoch + 1
    assert step.source is Source.BRAKE
    assert desk.tick(at_rest=True).state is State.READY


def test_braking_that_does_not_end_is_a_fault() -> None:
    desk = Desk().to(State.BRAKING)
    desk.flags.clear()
    desk.wait(5.2, at_rest=False)
    assert desk.state is State.FAULT
    assert desk.last is not None
    assert desk.last.source is Source.BRAKE
    assert desk.codes[-1] == Flag.BRAKE_TIMEOUT


@pytest.mark.parametrize(
    'flag', [Flag.INFERENCE_RESTARTS, Flag.POLICY_FAILED, Flag.POLICY_CHANGED]
)
@pytest.mark.parametrize('state', [State.AUTO, State.BRAKING, State.HELD])
def test_what_was_lost_with_inference_is_a_fault_also_once_the_robot_has_stopped(
    flag: Flag, state: State
) -> None:
    desk = Desk().to(state)
    desk.flags = {flag: 'why'}
    desk.tick()
    desk.flags = {}
    desk.tick(at_rest=True)
    assert desk.state is State.FAULT
    assert not desk.tick(Event.RESUME).replies[0].accepted
    assert desk.wait(1.0, plan_ready=True).source is Source.HOLD
    assert desk.tick(Event.RESET).replies[0].accepted
    assert desk.state is State.READY


@pytest.mark.parametrize(
    'flag', [Flag.INFERENCE_RESTARTS, Flag.POLICY_FAILED, Flag.POLICY_CHANGED]
)
@pytest.mark.parametrize('state', [State.READY, State.HUMAN, State.HANDBACK])
def test_a_robot_that_needs_no_inference_is_left_alone_but_does_not_start(
    flag: Flag, state: State
) -> None:
    desk = Desk().to(state)
    desk.flags = {flag: 'why'}
    desk.wait(0.1)
    assert desk.state is state
    event = Event.START if state is State.READY else Event.RESUME
    reply = desk.tick(event).replies[0]
    assert not reply.accepted
    assert desk.state is state
    desk.flags = {}
    desk.wait(0.1)
    assert desk.state is state, 'it is not latched where it does not count'

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor with injected time: the ordinary way, flags, faults and the emergency stop."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from supervisor_desk import Desk

from bc_runtime.safety import (
    DEFAULT_RULES,
    Action,
    Clear,
    Event,
    Flag,
    Severity,
    Source,
    State,
)
from bc_runtime.safety.states import ACTIVE_STATES, MOVING_STATES


@pytest.mark.parametrize('state', list(State))
def test_every_state_is_reached(state: State) -> None:
    desk = Desk().to(state)
    assert desk.state is state


def test_the_ordinary_way_from_start_to_the_policy_and_back() -> None:
    desk = Desk()
    desk.tick(Event.CONFIGURED)
    activated = desk.tick(Event.ACTIVATE)
    assert Action.SEED_MEASURED in activated.actions
    assert activated.source is Source.HOLD
    started = desk.tick(Event.START)
    assert Action.NEW_EPOCH in started.actions
    assert started.source is Source.HOLD  # there is no plan yet
    assert desk.tick(plan_ready=True).source is Source.ALIGN
    assert desk.tick(aligned=True).source is Source.POLICY
    assert desk.state is State.AUTO
    assert desk.tick(Event.STOP, at_rest=False).source is Source.BRAKE
    stopped = desk.tick(at_rest=True)
    assert stopped.state is State.READY
    assert stopped.source is Source.HOLD
    assert desk.codes == [
        'CONFIGURED', 'ACTIVATED', 'STARTED', 'ALIGNED', 'OPERATOR_STOP', 'OPERATOR_STOP',
    ]  # fmt: skip


def test_facts_of_before_the_start_do_not_count_for_the_new_epoch() -> None:
    desk = Desk().to(State.READY)
    step = desk.tick(Event.START, plan_ready=True, aligned=True)
    assert step.state is State.ALIGN
    assert step.source is Source.HOLD


def test_start_is_refused_with_every_reason() -> None:
    desk = Desk().to(State.READY)
    desk.flags[Flag.JOINT_STATES_STALE] = '0.3 s'
    step = desk.tick(Event.START, start_blockers=('the recorder is not running: start it',))
    assert desk.state is State.READY
    (reply,) = step.replies
    assert not reply.accepted
    assert 'JOINT_STATES_STALE' in reply.text
    assert '0.3 s' in reply.text
    assert 'start it' in reply.text


def test_activation_is_refused_by_preflight() -> None:
    desk = Desk().to(State.INACTIVE)
    step = desk.tick(Event.ACTIVATE, activate_blockers=('no joint states: start the driver',))
    assert desk.state is State.INACTIVE
    assert 'start the driver' in step.replies[0].text


HOLD_FLAGS = [f for f, r in DEFAULT_RULES.items() if r.severity is Severity.HOLD]
FAULT_FLAGS = [f for f, r in DEFAULT_RULES.items() if r.severity is Severity.FAULT]


@pytest.mark.parametrize('flag', HOLD_FLAGS)
def test_a_hold_brakes_at_once_and_never_moves_again_by_itself(flag: Flag) -> None:
    rule = DEFAULT_RULES[flag]
    state = sorted(rule.states & MOVING_STATES)[0]
    desk = Desk().to(state)
    desk.flags[flag] = 'detail'
    step = desk.tick(at_rest=False)
    assert step.state is State.BRAKING
    assert step.source is Source.BRAKE
    assert step.transitions[0].code == flag
    assert step.transitions[0].text
    del desk.flags[flag]
    if rule.clear is Clear.RECOVERY:
        return
    desk.tick(at_rest=True)
    desk.wait(20.0, plan_ready=True, aligned=True)
    assert desk.state is rule.then


@pytest.mark.parametrize('flag', FAULT_FLAGS)
@pytest.mark.parametrize('state', sorted(ACTIVE_STATES))
def test_a_fault_stops_every_state_in_which_it_counts_and_needs_a_reset(
    flag: Flag, state: State
) -> None:
    if state not in DEFAULT_RULES[flag].states:
        return
    desk = Desk().to(state)
    desk.flags[flag] = 'detail'
    desk.tick()
    desk.tick(at_rest=True)
    assert desk.state is State.FAULT
    assert desk.last is not None
    assert desk.last.memory.reason == flag
    for event in (Event.START, Event.RESUME, Event.TAKEOVER_PRESS, Event.STOP):
        desk.tick(event, plan_ready=True, aligned=True, human_aligned=True)
        assert desk.state is State.FAULT
    refused = desk.tick(Event.RESET)
    assert not refused.replies[0].accepted
    assert desk.state is State.FAULT
    desk.flags.clear()
    desk.wait(1.0)
    assert desk.state is State.FAULT
    reset = desk.tick(Event.RESET)
    assert reset.state is State.READY
    assert Action.SEED_MEASURED in reset.actions
    assert Action.NEW_EPOCH in reset.actions


@pytest.mark.parametrize('state', [s for s in State if s not in (State.FINALIZING,)])
def test_estop_silences_every_active_state_in_the_same_tick(state: State) -> None:
    desk = Desk().to(state)
    desk.flags[Flag.ESTOP] = 'button'
    step = desk.tick()
    assert step.source is Source.NONE
    if state in (State.UNCONFIGURED, State.INACTIVE):
        return
    assert desk.state is State.ESTOP


def test_estop_release_alone_moves_nothing_for_thirty_seconds() -> None:
    desk = Desk().to(State.ESTOP)
    desk.flags.clear()
    step = desk.wait(30.0, plan_ready=True, aligned=True, human_aligned=True)
    assert step.state is State.ESTOP
    for event in set(Event) - {Event.RESET, Event.SHUTDOWN, Event.DEACTIVATE}:
        step = desk.tick(event)
        assert step.state is State.ESTOP, event
        assert step.source is Source.NONE
    reset = desk.tick(Event.RESET)
    assert reset.state is State.READY
    assert reset.source is Source.HOLD
    desk.wait(5.0)
    assert desk.state is State.READY


def test_estop_that_was_pressed_while_inactive_meets_the_activation() -> None:
    desk = Desk().to(State.INACTIVE)
    desk.flags[Flag.ESTOP] = ''
    desk.tick()
    desk.flags.clear()
    desk.tick(Event.ACTIVATE)
    assert desk.state is State.ESTOP


def test_an_event_does_not_outrun_an_estop_of_the_same_tick() -> None:
    desk = Desk().to(State.READY)
    desk.flags[Flag.ESTOP] = ''
    step = desk.tick(Event.START)
    assert step.state is State.ESTOP
    assert not step.replies[0].accepted


def test_the_most_severe_flag_wins_and_ties_go_to_the_first() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags.update({
        Flag.CAMERA_LATE: '', Flag.CAMERA_STALE: '', Flag.OBSERVATION_STALE: '',
    })  # fmt: skip
    step = desk.tick()
    assert step.memory.reason == Flag.CAMERA_STALE
    desk.flags[Flag.TRACKING_ERROR] = ''
    step = desk.tick()
    assert step.memory.then is State.FAULT
    desk.tick(at_rest=True)
    assert desk.state is State.FAULT


def test_held_resumes_only_when_clear_and_with_a_new_epoch() -> None:
    desk = Desk().to(State.HELD)
    epoch = desk.supervisor.epoch
    assert not desk.tick(Event.RESUME).replies[0].accepted
    desk.flags.clear()
    desk.wait(5.0)
    assert desk.state is State.HELD
    step = desk.tick(Event.RESUME)
    assert step.state is State.ALIGN
    assert step.memory.epoch == epoch + 1
    assert Action.NEW_EPOCH in step.actions


def test_after_lost_joint_states_the_resume_starts_from_the_measured_pose() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.JOINT_STATES_STALE] = ''
    desk.tick()
    desk.flags.clear()
    desk.tick(at_rest=True)
    assert desk.state is State.HELD
    assert Action.SEED_MEASURED in desk.tick(Event.RESUME).actions
    # ... and only the first one after it.
    desk.tick(Event.STOP)
    assert Action.SEED_MEASURED not in desk.tick(Event.START).actions


def test_warn_changes_nothing_but_is_reported() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags[Flag.CLOCK_SKEW] = '+5.0 s'
    step = desk.tick()
    assert step.source is Source.POLICY
    assert step.severity is Severity.WARN
    assert '+5.0 s' in step.reasons[0].text
    assert not step.transitions


def test_every_flag_has_a_row_with_a_text() -> None:
    assert set(DEFAULT_RULES) == set(Flag)
    for flag, rule in DEFAULT_RULES.items():
        assert rule.text, flag
        latched = rule.severity >= Severity.FAULT
        assert latched == (rule.clear is Clear.RESET), flag


def test_overrides_replace_single_rows(
    rules: Mapping[Flag, object] = DEFAULT_RULES,
) -> None:
    from dataclasses import replace

    table = {
        **DEFAULT_RULES,
        Flag.RECORDER_LOST: replace(
            DEFAULT_RULES[Flag.CAMERA_STALE], text='the recorder is required'
        ),
    }
    desk = Desk(rules=table).to(State.AUTO)
    desk.flags[Flag.RECORDER_LOST] = ''
    assert desk.tick().state is State.BRAKING
    assert rules[Flag.RECORDER_LOST] is not table[Flag.RECORDER_LOST]


@pytest.mark.parametrize('flag', [Flag.HUMAN_HEARTBEAT_LOST, Flag.HUMAN_STREAM_STALE])
def test_a_human_who_goes_away_before_engaging_never_gets_the_robot(flag: Flag) -> None:
    desk = Desk().to(State.AUTO)
    desk.tick(Event.TAKEOVER_PRESS, human_aligned=False)
    assert desk.state is State.TAKEOVER
    desk.flags[flag] = 'silent'
    steps = [desk.tick(human_aligned=True, at_rest=True) for _ in range(3)]
    assert all(step.source is not Source.HUMAN for step in steps)
    assert desk.state is State.HELD

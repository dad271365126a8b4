# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor with injected time, fact by fact and event by event."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bc_runtime.safety import (
    DEFAULT_RULES,
    Action,
    Clear,
    Conditions,
    Event,
    Flag,
    Severity,
    Source,
    State,
    Supervisor,
    SupervisorConfig,
    SupervisorStep,
)
from bc_runtime.safety.states import ACTIVE_STATES, MOVING_STATES

TICK_NS = 10_000_000


class Desk:
    """A supervisor, a clock and the facts, with a word for each thing a test does."""

    def __init__(self, **config: object) -> None:
        self.supervisor = Supervisor(SupervisorConfig(**config))
        self.now_ns = 1_000_000_000
        self.facts: dict[str, object] = {'at_rest': True}
        self.flags: dict[Flag, str] = {}
        self.codes: list[str] = []
        self.last: SupervisorStep | None = None

    def tick(self, *events: Event, **facts: object) -> SupervisorStep:
        self.now_ns += TICK_NS
        self.facts.update(facts)
        conditions = Conditions(flags=dict(self.flags), **self.facts)
        step = self.supervisor.step(conditions, events, now_ns=self.now_ns)
        self.codes += [one.code for one in step.transitions]
        self.last = step
        return step

    def wait(self, seconds: float, **facts: object) -> SupervisorStep:
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            step = self.tick(**facts)
        return step

    @property
    def state(self) -> State:
        return self.supervisor.state

    def to(self, state: State) -> Desk:
        """Drive the machine to a state along its ordinary way."""
        if state is State.UNCONFIGURED:
            return self
        self.tick(Event.CONFIGURED)
        if state is State.INACTIVE:
            return self
        self.tick(Event.ACTIVATE)
        if state is State.READY:
            return self
        self.tick(Event.START)
        if state is State.ALIGN:
            return self
        self.tick(plan_ready=True)
        self.tick(aligned=True, at_rest=False)
        if state is State.AUTO:
            return self
        if state is State.SLOW:
            self.flags[Flag.TICKS_MISSED] = ''
            self.tick()
            return self
        if state in (State.TAKEOVER, State.HUMAN, State.HANDBACK):
            self.tick(Event.TAKEOVER_PRESS)
            if state is not State.TAKEOVER:
                self.tick(human_aligned=True)
            if state is State.HANDBACK:
                self.tick(Event.TAKEOVER_RELEASE, plan_ready=False)
            return self
        flag = {
            State.BRAKING: Flag.CAMERA_STALE,
            State.HELD: Flag.CAMERA_STALE,
            State.FAULT: Flag.TRACKING_ERROR,
            State.ESTOP: Flag.ESTOP,
        }.get(state)
        if flag is None:
            self.tick(Event.SHUTDOWN)
            return self
        self.flags[flag] = 'detail'
        self.tick()
        if state in (State.HELD, State.FAULT):
            self.tick(at_rest=True)
        if state is State.ESTOP:
            self.facts['at_rest'] = True
        return self


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
    desk.flags[Flag.CLOCK_STEP] = '+5.0 s'
    step = desk.tick()
    assert step.source is Source.POLICY
    assert step.severity is Severity.WARN
    assert '+5.0 s' in step.reasons[0].text
    assert not step.transitions


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
    assert desk.state is State.HANDBACK  # nothing moves without a word
    desk.tick(Event.RESUME, plan_ready=False)
    desk.wait(0.5)
    assert desk.state is State.HANDBACK  # no plan of the new epoch yet
    step = desk.tick(plan_ready=True)
    assert step.state is State.ALIGN
    assert step.memory.epoch == epoch + 1


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


def test_every_flag_has_a_row_with_a_text() -> None:
    assert set(DEFAULT_RULES) == set(Flag)
    for flag, rule in DEFAULT_RULES.items():
        assert rule.text, flag
        latched = rule.severity >= Severity.FAULT
        assert latched == (rule.clear is Clear.RESET), flag


def random_run(seed: int, ticks: int) -> list[tuple[object, ...]]:
    import random

    rng = random.Random(seed)
    desk = Desk(auto_resume=rng.random() < 0.5)
    trace: list[tuple[object, ...]] = []
    at_rest = True
    for _ in range(ticks):
        if rng.random() < 0.05:
            flag = rng.choice(list(Flag))
            if flag in desk.flags:
                del desk.flags[flag]
            else:
                desk.flags[flag] = 'x'
        if rng.random() < 0.1:
            desk.flags.clear()
        events = [rng.choice(list(Event))] if rng.random() < 0.2 else []
        if desk.state is State.FINALIZING:
            desk = Desk()
        before, flags, epoch = desk.state, dict(desk.flags), desk.supervisor.epoch
        step = desk.tick(
            *events,
            at_rest=at_rest,
            plan_ready=rng.random() < 0.5,
            aligned=rng.random() < 0.5,
            human_aligned=rng.random() < 0.5,
        )
        at_rest = step.source not in (Source.POLICY, Source.HUMAN, Source.ALIGN) and (
            at_rest or rng.random() < 0.3
        )
        trace.append((before, flags, tuple(events), epoch, step))
    return trace


def test_property_no_history_lets_the_robot_move_by_itself_or_past_a_flag() -> None:
    moves = {Source.POLICY, Source.HUMAN, Source.ALIGN}
    stopped = {State.HELD, State.FAULT, State.ESTOP, State.READY, State.INACTIVE}
    words = {Event.START, Event.RESUME, Event.TAKEOVER_PRESS}
    visited = set()
    for seed in range(60):
        for before, flags, events, epoch, step in random_run(seed, 500):
            visited.add(step.state)
            if before in stopped and step.state in MOVING_STATES:
                assert set(events) & words, (before, step.state, events)
            if before in (State.FAULT, State.ESTOP) and step.state is not before:
                assert set(events) & {Event.RESET, Event.SHUTDOWN, Event.DEACTIVATE} or (
                    step.state is State.ESTOP
                )
            if Flag.ESTOP in flags:
                assert step.source is Source.NONE or step.state in (
                    State.UNCONFIGURED,
                    State.INACTIVE,
                )
            for flag in flags:
                rule = DEFAULT_RULES[flag]
                if rule.severity >= Severity.HOLD and step.state in rule.states:
                    assert step.source not in moves, (flag, step.state)
            if before is State.HELD and step.state is State.ALIGN:
                assert step.memory.epoch > epoch
            assert step.memory.epoch >= epoch
            for one in step.transitions:
                assert one.code
                assert one.text
    assert visited == set(State)


def test_property_the_same_history_gives_the_same_decisions() -> None:
    assert random_run(7, 400) == random_run(7, 400)


def test_overrides_replace_single_rows(
    rules: Mapping[Flag, object] = DEFAULT_RULES,
) -> None:
    from dataclasses import replace

    from bc_runtime.safety import with_overrides

    table = with_overrides(
        {
            Flag.RECORDER_LOST: replace(
                DEFAULT_RULES[Flag.CAMERA_STALE], text='the recorder is required'
            )
        }
    )
    desk = Desk(rules=table).to(State.AUTO)
    desk.flags[Flag.RECORDER_LOST] = ''
    assert desk.tick().state is State.BRAKING
    assert rules[Flag.RECORDER_LOST] is not table[Flag.RECORDER_LOST]

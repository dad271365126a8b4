# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Two flags in one tick: both count, whichever is written first.

Regressions pinned: a protective stop shorter than a tick fell into the tick in which the plan ran
out. Of the two equally severe flags the first one won, and the next chunk brought AUTO back.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from supervisor_desk import Desk

from bc_runtime.safety import DEFAULT_RULES, Event, Flag, Severity, Source, State
from bc_runtime.safety.states import POLICY_STATES

#: What is needed until the robot moves again: nothing, a start, a resume, a reset, and so on.
NEEDED = {
    State.AUTO: 0,
    State.SLOW: 0,
    State.HUMAN: 0,
    State.READY: 1,
    State.HELD: 2,
    State.FAULT: 3,
    State.ESTOP: 4,
}
#: Ticks that a brake takes here; slow flags are forgiven after as long.
BRAKE = 5


def pulse(state: State, flags: list[Flag], event: Event | None = None) -> State:
    """Raise flags for one tick, let all be well again, and return where it ends."""
    desk = Desk().to(state)
    if state is State.HANDBACK:
        desk.tick(Event.RESUME, at_rest=True, plan_ready=False)
    if state is State.SLOW:
        desk.flags.clear()
    desk.flags = dict.fromkeys(flags, 'for a tick')
    hole = Flag.COVERAGE_HOLE in flags
    step = desk.tick(*([event] if event else []), at_rest=False, plan_ready=not hole)
    desk.flags = {}
    braking = 0
    for _ in range(3 * BRAKE):
        desk.now_ns += 100_000_000
        still = step.source in (Source.BRAKE, Source.HOLD, Source.NONE)
        braking = braking + 1 if still else 0
        step = desk.tick(
            at_rest=braking >= BRAKE, plan_ready=True, aligned=True, human_aligned=True
        )
    return desk.state


STATES = [
    State.ALIGN,
    State.AUTO,
    State.SLOW,
    State.TAKEOVER,
    State.HUMAN,
    State.HANDBACK,
]


@pytest.mark.parametrize('state', STATES)
def test_all_pairs_of_flags_end_where_the_stricter_one_does(state: State) -> None:
    alone = {flag: pulse(state, [flag]) for flag in Flag}
    assert set(alone.values()) <= set(NEEDED)
    for one, other in combinations(Flag, 2):
        stricter = max(alone[one], alone[other], key=NEEDED.__getitem__)
        found = [pulse(state, [one, other]), pulse(state, [other, one])]
        assert NEEDED[found[0]] == NEEDED[stricter], (one, other, found, alone[one], alone[other])
        assert found[0] is found[1], (one, other, found)


@pytest.mark.parametrize('flag', [f for f in Flag if DEFAULT_RULES[f].needs_a_person])
def test_a_flag_that_needs_a_person_takes_the_return_from_a_hole_away(flag: Flag) -> None:
    """Wherever it comes: with the hole, while it brakes, or when the plan is back."""
    if not DEFAULT_RULES[flag].states & POLICY_STATES:
        return
    for late in range(BRAKE + 2):
        desk = Desk().to(State.AUTO)
        desk.flags = {Flag.COVERAGE_HOLE: ''}
        desk.tick(plan_ready=False)
        for tick in range(late):
            desk.tick(at_rest=tick >= BRAKE - 1)
        desk.flags = {Flag.COVERAGE_HOLE: '', flag: 'for a tick'}
        desk.tick()
        desk.flags = {}
        desk.wait(2.5, plan_ready=True, aligned=True, at_rest=True)
        assert desk.state not in (State.AUTO, State.SLOW, State.ALIGN), late


def test_a_stop_names_every_flag_that_was_raised_with_it() -> None:
    desk = Desk().to(State.AUTO)
    desk.flags = {Flag.COVERAGE_HOLE: '', Flag.ROBOT_STOPPED: '', Flag.CAMERA_STALE: 'front'}
    step = desk.tick(plan_ready=False, at_rest=False)
    assert step.transitions[-1].code in (Flag.ROBOT_STOPPED, Flag.CAMERA_STALE)
    for flag in (Flag.COVERAGE_HOLE, Flag.ROBOT_STOPPED, Flag.CAMERA_STALE):
        assert flag in step.transitions[-1].code + step.transitions[-1].text


@pytest.mark.parametrize('auto_resume', [False, True])
def test_a_flag_between_a_resume_and_its_plan_takes_the_resume_back(auto_resume: bool) -> None:
    """Inference that was started again meanwhile says so in one tick only."""
    desk = Desk(auto_resume=auto_resume).to(State.HANDBACK)
    if not auto_resume:
        desk.tick(Event.RESUME, at_rest=True, plan_ready=False)
    desk.tick(at_rest=True, plan_ready=False)
    desk.flags = {Flag.INFERENCE_DOWN: 'started again'}
    assert desk.tick().state is State.HELD
    desk.flags = {}
    desk.wait(2.0, plan_ready=True, aligned=True)
    assert desk.state is State.HELD
    epoch = desk.supervisor.epoch
    assert desk.tick(Event.RESUME).state is State.ALIGN
    assert desk.supervisor.epoch > epoch


def test_severity_goes_before_what_is_needed() -> None:
    rules = sorted(DEFAULT_RULES.values(), key=lambda rule: rule.urgency)
    assert [rule.severity for rule in rules] == sorted(rule.severity for rule in rules)
    assert rules[-1].severity is Severity.ESTOP

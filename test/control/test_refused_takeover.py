# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A hand at the hold-to-run button ends the policy, also where the human cannot have the robot.

Regressions pinned: a takeover that was held while the leader was silent was refused, and the
policy went on at full speed.
"""

from __future__ import annotations

import pytest
from test_clock_changes import ClockRig

from bc_runtime.control import ControlLoop
from bc_runtime.safety import Event, Flag, State
from bc_runtime.safety.states import POLICY_STATES

__all__ = ['ClockRig']


def hold(rig: ClockRig, seconds: float, *, leader: bool = False) -> list[tuple[bool, str]]:
    """Hold the button; with a leader that is at the robot, or with a silent one."""
    answers: list[tuple[bool, str]] = []
    for _ in range(round(seconds * 100)):
        rig.loop.on_takeover(
            True, arrival_ns=rig.t, reply=lambda ok, text: answers.append((ok, text))
        )
        if leader:
            rig.loop.on_teleop(['a', 'b'], rig.position, arrival_ns=rig.t)
        rig.run(0.01)
    return answers


def test_a_press_with_a_silent_leader_stops_the_policy_and_says_why():
    rig = ClockRig(speed=0.5).auto()
    answers = hold(rig, 0.01)
    assert rig.loop.state is State.BRAKING
    assert answers[0][0] is False
    assert 'HUMAN_STREAM_STALE' in answers[0][1]
    assert 'press again' in answers[0][1]
    hold(rig, 1.0)
    assert rig.loop.state is State.HELD
    assert rig.results[-1].stop_code == Flag.HUMAN_STREAM_STALE
    hold(rig, 0.5, leader=True)
    assert rig.loop.state is State.HELD, 'a leader that comes back moves nothing'
    rig.loop.on_takeover(False, arrival_ns=rig.t)
    rig.run(0.1)
    hold(rig, 0.5, leader=True)
    assert rig.loop.state is State.HUMAN


def test_it_is_stopped_again_when_somebody_resumes_with_the_button_held():
    rig = ClockRig().auto()
    hold(rig, 0.5)
    assert rig.loop.state is State.HELD
    rig.post(Event.RESUME)
    hold(rig, 0.5)
    assert rig.replies[-1][0]
    assert rig.loop.state is State.HELD


@pytest.mark.parametrize('auto_resume', [False, True])
def test_a_press_takes_a_resume_back_that_waits_for_its_plan(auto_resume):
    from loop_rig import ROBOT

    from bc_runtime.control import ControlOptions

    options = ControlOptions(auto_resume=auto_resume)
    rig = ClockRig(loop=ControlLoop(ROBOT, options)).auto()
    hold(rig, 0.5, leader=True)
    assert rig.loop.state is State.HUMAN
    rig.policy = False
    rig.loop.on_takeover(False, arrival_ns=rig.t)
    rig.run(1.0)
    if not auto_resume:
        rig.post(Event.RESUME)
    rig.run(0.1)
    assert rig.loop.state is State.HANDBACK
    answers = hold(rig, 0.1)
    assert not answers[0][0]
    rig.policy = True
    hold(rig, 1.0)
    assert rig.loop.state is State.HELD


def test_a_press_while_a_hole_brakes_takes_the_return_away():
    rig = ClockRig(speed=0.5).auto()
    rig.policy = False
    while rig.loop.state is not State.BRAKING:
        rig.run(0.01)
    hold(rig, 0.01)
    rig.policy = True
    rig.run(2.0)
    assert rig.loop.state is State.HELD


@pytest.mark.parametrize('state', [State.READY, State.HELD, State.FAULT, State.ESTOP])
def test_where_nothing_moves_a_refused_press_changes_nothing(state):
    rig = ClockRig().to(state)
    answers = hold(rig, 0.3)
    assert not answers[0][0]
    assert rig.loop.state is state
    assert rig.loop.state not in POLICY_STATES

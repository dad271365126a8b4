# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Joint states that cannot be true: they move nothing, and many of them stop the robot."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from loop_rig import DT, Rig
import pytest

from bc_runtime.safety import Event, Flag, State

WRONG = [[-0.9, -0.9], [0.0, -0.9], [-0.9, 0.3]]


def parked() -> Rig:
    """A robot that rests away from zero."""
    rig = Rig(position=[0.7, 0.6])
    return rig.ready()


def say(rig: Rig, positions) -> bool:
    return rig.loop.on_joint_state(['a', 'b'], positions, arrival_ns=rig.t + DT // 2)


def flags(rig: Rig) -> set[Flag]:
    assert rig.loop.conditions is not None
    return set(rig.loop.conditions.flags)


def starts_where_it_is(rig: Rig, since: int) -> None:
    sent = [r.command.position for r in rig.results[since:] if r.command is not None]
    before = (0.7, 0.6)
    for command in sent:
        assert max(abs(c - b) for c, b in zip(command, before, strict=True)) < 0.02
        before = command


@pytest.mark.parametrize('wrong', WRONG)
@pytest.mark.parametrize('count', [1, 2, 4])
def test_a_wrong_joint_state_as_a_start_is_asked_for_moves_nothing(wrong, count):
    """Regressions pinned: one state of zeros made the first command 1.98 rad off."""
    rig = parked()
    since = len(rig.results)
    for _ in range(count):
        assert not say(rig, wrong)
    rig.post(Event.START)
    rig.run(0.01)
    assert rig.loop.measured == (0.7, 0.6)
    ok, text = rig.replies[-1]
    assert not ok
    assert 'it is not certain where the robot is' in text
    assert 'moved by' in text
    rig.run(0.2)
    rig.post(Event.START)
    rig.run(0.5)
    starts_where_it_is(rig, since)


def test_two_publishers_of_the_same_joints_keep_the_robot_from_starting():
    """Regressions pinned: the start after a reset went 1.65 rad in one step."""
    rig = parked()
    since = len(rig.results)
    for k in range(100):
        say(rig, [0.0, 0.01])
        if k % 20 == 19:
            rig.post(Event.START)
        rig.run(0.01)
    assert [ok for ok, _ in rig.replies[2:]] == [False] * 5
    assert {Flag.JOINT_STATES_IMPLAUSIBLE} <= flags(rig)
    assert all(r.command is None for r in rig.results[since:])


@pytest.mark.parametrize('wrong', WRONG)
def test_one_wrong_joint_state_in_auto_is_passed_over_and_reported(wrong):
    rig = Rig().auto()
    before = rig.loop.measured
    assert not say(rig, wrong)
    assert rig.loop.measured == before
    assert rig.run(0.01).state is State.AUTO
    assert flags(rig) & {Flag.JOINT_STATE_REFUSED, Flag.JOINT_STATES_IMPLAUSIBLE} == {
        Flag.JOINT_STATE_REFUSED
    }
    assert rig.run(1.2).state is State.AUTO
    assert Flag.JOINT_STATE_REFUSED not in flags(rig)


def test_a_burst_of_wrong_joint_states_in_auto_stops_the_robot():
    rig = Rig().auto()
    for _ in range(3):
        say(rig, [-0.9, -0.9])
    assert rig.run(0.01).stop_code == 'JOINT_STATES_IMPLAUSIBLE'
    assert rig.run(1.5).state is State.HELD
    rig.post(Event.RESUME)
    rig.run(0.02)
    assert rig.replies[-1][0]


def test_a_robot_that_is_put_elsewhere_in_auto_stops_and_goes_on_from_there_when_asked():
    rig = Rig().auto()
    rig.speed = 0.0
    rig.run(0.5)
    there = [-0.8, 0.9]
    for _ in range(100):  # the robot stands there whatever is sent
        rig.position = list(there)
        rig.run(0.01)
    assert rig.results[-1].state is State.HELD
    sent = [r.command.position for r in rig.results[-50:] if r.command is not None]
    assert all(abs(c[0] - there[0]) < 0.01 for c in sent), 'nothing is pulled back'
    epoch = rig.loop.epoch
    rig.post(Event.RESUME)
    result = rig.run(0.5)
    assert rig.replies[-1][0]
    assert result.epoch == epoch + 1
    assert result.command is not None
    assert result.command.position == pytest.approx(there, abs=0.05)


def test_a_simulator_that_was_reset_starts_where_the_robot_is_now():
    rig = parked()
    rig.position = [-0.5, 0.0]
    rig.post(Event.START)
    rig.run(0.1)
    assert not rig.replies[-1][0], 'not yet'
    rig.run(0.4)
    rig.post(Event.START)
    rig.run(0.02)
    assert rig.replies[-1][0]
    first = next(r.command for r in reversed(rig.results) if r.command is not None)
    assert first.position == pytest.approx((-0.5, 0.0), abs=1e-3)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(['right', 'wrong', 'gone', 'start', 'stop', 'resume', 'reset']),
            st.floats(-0.95, 0.0),
            st.integers(1, 8),
        ),
        min_size=5,
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_property_what_cannot_be_never_moves_the_robot(steps):
    """Commands stay in reach of the robot, whatever a second voice says about it."""
    rig = parked()
    rig.speed = 0.0
    events = {
        'start': Event.START,
        'stop': Event.STOP,
        'resume': Event.RESUME,
        'reset': Event.RESET,
    }
    for what, value, count in steps:
        if what in events:
            rig.post(events[what])
            rig.run(0.01)
        for _ in range(count):
            if what == 'wrong':
                say(rig, [value, value])
            rig.driver = what != 'gone'
            before = list(rig.position)
            command = rig.run(0.01).command
            if command is not None:
                off = max(abs(c - q) for c, q in zip(command.position, before, strict=True))
                assert off < 0.05

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Which joint states can be true, one after the other."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from bc_runtime.observation.plausibility import JointPlausibility, Verdict
from bc_runtime.spec import RobotConfig

MS = 1_000_000
ROBOT = RobotConfig.from_yaml("""
schema_version: 1
name: r
joints:
  - {name: arm, unit: rad, position: [-3, 3], velocity: 2.0, acceleration: 10.0}
  - {name: wheel, unit: rad, continuous: true, velocity: 2.0, acceleration: 10.0}
  - {name: hand, unit: m, position: [0, 1], velocity: 0.2, acceleration: 1.0, gripper: true}
joint_states: {topic: joint_states, max_age_s: 0.1}
command: {type: joint_trajectory, topic: c, joints: [arm, wheel, hand], rate_hz: 100.0}
""")
JOINTS = ROBOT.command.joints
HERE = (1.5, 3.0, 0.5)


class Stream:
    """Joint states every 10 ms."""

    def __init__(self) -> None:
        self.rule = JointPlausibility(ROBOT, JOINTS)
        self.t = 1000 * MS

    def give(self, values=HERE, *, after_ms: float = 10, stamped: bool = True, **kw) -> Verdict:
        self.t += round(after_ms * MS)
        stamp = self.t if stamped else 0
        return self.rule.judge(values, stamp_ns=stamp, arrival_ns=self.t, **kw)

    def steady(self, count: int = 20) -> Stream:
        for _ in range(count):
            assert self.give() is Verdict.BELIEVED
        return self


def test_a_first_sample_is_believed_and_five_must_agree():
    stream = Stream()
    for k in range(1, 10):
        assert stream.give() is Verdict.BELIEVED
        assert stream.rule.agreed is (k >= 5)


def test_five_samples_within_an_instant_do_not_agree_yet():
    stream = Stream()
    for _ in range(20):
        stream.give(after_ms=1)
    assert not stream.rule.agreed
    for _ in range(25):
        stream.give(after_ms=1)
    assert stream.rule.agreed


@pytest.mark.parametrize('wrong', [(0.0, 0.0, 0.0), (1.5, 1.0, 0.5), (-2.9, 3.0, 0.5)])
@pytest.mark.parametrize('may_jump', [True, False])
def test_one_wrong_sample_is_refused_and_the_next_right_one_believed(wrong, may_jump):
    stream = Stream().steady()
    assert stream.give(wrong, may_jump=may_jump) is Verdict.REFUSED
    assert 'moved by' in stream.rule.why
    assert not stream.rule.agreed
    assert stream.rule.settled
    for _ in range(5):
        assert stream.give(may_jump=may_jump) is Verdict.BELIEVED
    assert stream.rule.agreed
    assert stream.rule.refused == 1


def test_a_wheel_may_turn_past_the_ends_and_a_gripper_may_snap():
    stream = Stream().steady()
    assert stream.give((1.5, 3.13, 0.5)) is Verdict.BELIEVED
    assert stream.give((1.5, -3.13, 0.0)) is Verdict.BELIEVED


def test_two_publishers_that_take_turns_never_agree():
    stream = Stream().steady()
    for _ in range(200):
        assert stream.give() is Verdict.BELIEVED
        assert stream.give((0.0, 0.0, 0.0), after_ms=3) is Verdict.REFUSED
        assert not stream.rule.agreed
    assert stream.rule.recent(stream.t) > 50


def test_where_the_robot_was_put_is_believed_once_it_lasts():
    stream = Stream().steady()
    there = (-1.0, 0.0, 0.5)
    verdicts = [stream.give(there) for _ in range(40)]
    first = verdicts.index(Verdict.JUMPED)
    assert 24 <= first <= 27
    assert verdicts[:first] == [Verdict.REFUSED] * first
    assert set(verdicts[first + 1 :]) == {Verdict.BELIEVED}
    assert stream.rule.agreed
    assert stream.rule.recent(stream.t) == 0


def test_a_robot_that_is_being_moved_is_never_put_anywhere():
    stream = Stream().steady()
    there = (-1.0, 0.0, 0.5)
    verdicts = {stream.give(there, may_jump=False) for _ in range(300)}
    assert verdicts == {Verdict.REFUSED}
    assert stream.give(there) is Verdict.JUMPED


def test_a_hand_that_is_quicker_than_the_limits_is_believed_when_it_slows_down():
    stream = Stream().steady()
    for k in range(30):
        stream.give((1.5 - 0.1 * k, 3.0, 0.5))
    for _ in range(40):
        stream.give((-1.4, 3.0, 0.5))
    assert stream.rule.agreed
    assert stream.give((-1.4, 3.0, 0.5)) is Verdict.BELIEVED


def test_after_a_pause_a_robot_that_rests_may_be_anywhere_but_must_agree_anew():
    stream = Stream().steady()
    assert stream.give((-1.0, 0.0, 0.0), after_ms=150) is Verdict.BELIEVED
    assert not stream.rule.agreed
    assert not stream.rule.settled


def test_a_short_pause_while_moving_permits_what_the_time_permits():
    stream = Stream().steady()
    assert stream.give((1.5 - 2.0 * 0.3, 3.0, 0.5), after_ms=300, may_jump=False) is (
        Verdict.BELIEVED
    )
    assert stream.give((-1.5, 3.0, 0.5), after_ms=100, may_jump=False) is Verdict.REFUSED


@pytest.mark.parametrize('stamped', [True, False])
def test_samples_that_waited_are_believed(stamped):
    stream = Stream().steady()
    stream.t += 90 * MS
    values = (1.5 - 0.18, 3.0, 0.5)
    assert stream.give(values, after_ms=0, stamped=stamped) is Verdict.BELIEVED


@given(
    st.lists(
        st.tuples(
            st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.sampled_from([2, 5, 10, 20, 50, 90])
        ),
        min_size=5,
        max_size=200,
    ),
    st.floats(-0.01, 0.01),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_property_motion_within_the_limits_is_never_refused(steps, noise, wraps, moved):
    stream = Stream()
    arm, wheel = 0.0, 3.0
    for k, (u, w, after_ms) in enumerate(steps):
        arm = min(max(arm + 2.0 * u * after_ms * 1e-3, -3.0), 3.0)
        wheel += 2.0 * w * after_ms * 1e-3
        said = math.remainder(wheel, 2.0 * math.pi) if wraps else wheel
        values = (arm + noise * (-1) ** k, said, 0.0)
        assert stream.give(values, after_ms=after_ms, may_jump=not moved) is Verdict.BELIEVED


@given(st.lists(st.tuples(st.booleans(), st.floats(0.6, 3.0)), min_size=1, max_size=150))
@settings(max_examples=200, deadline=None)
def test_property_what_cannot_be_is_never_believed_while_the_robot_is_moved(samples):
    stream = Stream().steady()
    for right, gap in samples:
        values = HERE if right else (HERE[0] - gap, HERE[1], HERE[2])
        verdict = stream.give(values, may_jump=False)
        assert (verdict is Verdict.BELIEVED) is right

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Gaps in the commands, judged by a driver that follows what was sent, tails and all.

Whatever happens while nothing is sent (missed ticks, an emergency stop, old joint states, a
restart), the driver must never be sent anywhere faster than the limits allow. The only exception
is a robot that stands still and is taken up where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st
from loop_rig import DT, POLICY, SPEC, Rig, S
import numpy as np
import pytest

from bc_runtime.control import ControlLoop, TickResult
from bc_runtime.safety import Event, State, braking_tail, limits_of
from bc_runtime.safety.audit import audit_commands
from bc_runtime.spec import RobotConfig

#: Brakes for up to half a second, and follows with a lag.
SLOW = RobotConfig.from_yaml("""
schema_version: 1
name: slow
joints:
  - {name: a, unit: rad, position: [-3, 3], velocity: 1.0, acceleration: 2.0, margin: 0.02}
  - {name: b, unit: rad, position: [-3, 3], velocity: 1.0, acceleration: 2.0, margin: 0.02}
joint_states: {topic: joint_states, max_age_s: 0.1}
command: {type: joint_trajectory, topic: joint_trajectory, joints: [a, b], rate_hz: 100.0}
tolerances: {tracking: 0.6, tracking_s: 0.5, max_observation_age_s: 0.5}
""")
LIMITS = limits_of(SLOW.commanded)
LAG_S = 0.08
#: Messages that the middleware keeps for a process that stands still.
QUEUE = 5


@dataclass
class GapRig(Rig):
    """A rig whose robot lags behind a driver that follows every message to the end of its tail."""

    loop: ControlLoop = field(default_factory=lambda: ControlLoop(SLOW))
    speed: float = 0.9
    fresh: bool = True
    moved: list[tuple[int, np.ndarray]] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    waiting: list[tuple[float, ...]] = field(default_factory=list)
    missed: int = 0
    late: int = 0
    human: bool = False
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = []
        self.origin = np.array(self.position)

    # The world --------------------------------------------------------------------------------

    def reference(self, t: int) -> np.ndarray:
        """Where the driver is."""
        if not self.messages:
            return self.origin
        sent, start, times, points = self.messages[-1]
        path = np.vstack([start, points])
        at = np.concatenate([[0.0], times])
        return np.array([np.interp((t - sent) / S, at, path[:, j]) for j in range(2)])

    def rests(self, t: int) -> bool:
        return not self.messages or t - self.messages[-1][0] >= self.messages[-1][2][-1] * S

    def pass_time(self) -> None:
        """Let the world go on for one period."""
        self.t += DT
        before = np.array(self.position)
        after = before + (self.reference(self.t) - before) * (1.0 - np.exp(-0.01 / LAG_S))
        self.position = after.tolist()
        self.speeds.append(float(np.abs(after - before).max()) * 100.0)
        self.moved.append((self.t, self.reference(self.t)))
        if self.fresh:
            self.waiting = [*self.waiting, tuple(self.position)][-QUEUE:]

    def take(self, command: object, sent_ns: int) -> None:
        tail = braking_tail(command.position, command.velocity, LIMITS, 0.01)
        here = self.reference(sent_ns)
        c, v = np.array(command.position), np.array(command.velocity)
        start = c - v * 0.01
        from_rest = np.abs(v).max() <= 2.0 * 0.01 + 1e-9
        if np.abs(start - here).max() > 1e-9 and from_rest and self.still(sent_ns, start):
            # The robot is taken up where it stands; the driver is told so.
            self.moved.append((-1, start))
            self.moved.append((sent_ns, start))
            here = start
        times = np.array(tail.times_s) + 0.01
        self.messages.append((sent_ns, here, times, np.array(tail.positions)))

    def still(self, t: int, wanted: np.ndarray) -> bool:
        near = float(np.abs(wanted - self.position).max()) < 0.01
        return self.rests(t) and near and max(self.speeds[-5:]) < 0.05

    # The controller ---------------------------------------------------------------------------

    def skip(self, ticks: int) -> None:
        for _ in range(ticks):
            self.pass_time()
            self.missed += 1

    def step(self) -> TickResult:
        self.pass_time()
        late, self.late = self.late, max(0, self.late - 1)
        while self.waiting and not late:
            self.loop.on_joint_state(['a', 'b'], self.waiting.pop(0), arrival_ns=self.t)
        self.loop.on_observation(valid=True, reasons=(), arrival_ns=self.t)
        if self.human:
            self.loop.on_takeover(True, arrival_ns=self.t)
            goal = [q + 0.02 for q in self.position]
            self.loop.on_teleop(['a', 'b'], goal, arrival_ns=self.t)
        if self.policy and self.results and self.results[-1].accepting:
            if abs(self.position[0]) > 2.0:
                self.speed = -np.sign(self.position[0]) * abs(self.speed)
            self.loop.on_chunk(self.chunk(stamp_ns=self.t - DT))
        result = self.loop.tick(mono_ns=self.t, ros_ns=self.t, missed=self.missed)
        self.missed = 0
        if result.command is not None:
            self.take(result.command, self.t)
        self.results.append(result)
        return result

    def run(self, seconds: float) -> TickResult:
        for _ in range(round(seconds * 100)):
            self.step()
        return self.results[-1]

    def judge(self) -> None:
        """Audit where the driver was sent, in parts between which it stood still."""
        parts: list[list[np.ndarray]] = [[]]
        for t, place in self.moved:
            if t < 0:
                parts.append([])
            else:
                parts[-1].append(place)
        for part in filter(None, parts):
            report = audit_commands(np.array(part), LIMITS, 0.01)
            assert report.ok, report.first


def moving(**fields: object) -> GapRig:
    return in_motion(GapRig(**fields))


def in_motion(rig: GapRig) -> GapRig:
    """Bring a new rig into fast motion by its policy."""
    rig.loop.set_policy(POLICY, SPEC)
    rig.run(0.2)
    rig.post(Event.CONFIGURED)
    rig.post(Event.ACTIVATE)
    rig.run(0.2)
    rig.post(Event.START)
    rig.run(1.5)
    assert rig.results[-1].state is State.AUTO
    assert max(abs(v) for v in rig.results[-1].command.velocity) > 0.5
    rig.judge()
    return rig


def finish(rig: GapRig) -> None:
    rig.run(0.8)
    rig.judge()


@pytest.mark.parametrize('ticks', [1, 3, 8, 15, 30, 60])
def test_a_reset_and_a_start_while_the_robot_follows_its_tail_do_not_pull_it_back(ticks):
    """An emergency stop is silent; the driver brakes by the tail for half a second."""
    rig = moving()
    rig.loop.on_estop(True)
    rig.run(0.02)
    assert rig.results[-1].state is State.ESTOP
    rig.loop.on_estop(False)
    while rig.results[-1].state is State.ESTOP:
        assert len(rig.replies) < 100
        rig.post(Event.RESET)
        rig.post(Event.START)
        rig.run(ticks / 100)
    rig.run(3.0)
    assert rig.results[-1].state is State.AUTO
    rig.judge()


@pytest.mark.parametrize('ticks', [1, 2, 5, 10, 16, 25, 50])
@pytest.mark.parametrize('late', [0, 2])
def test_a_gap_in_motion_is_taken_up_where_the_driver_is(ticks, late):
    rig = moving()
    rig.skip(ticks)
    rig.late = late
    finish(rig)
    rig.post(Event.RESUME)
    finish(rig)


def test_what_was_measured_before_a_stall_is_not_held_after_it():
    """Joint states that waited in the queue look fresh; the robot is elsewhere by now."""
    rig = moving()
    rig.run(0.05)
    old = [tuple(rig.position)]
    rig.skip(30)
    rig.late, rig.waiting = 3, old
    rig.step()
    rig.waiting = old
    finish(rig)


def test_a_stop_and_a_start_at_once_do_not_take_a_robot_that_lags_for_one_that_rests():
    rig = moving()
    rig.post(Event.STOP)
    while rig.results[-1].state is not State.READY:
        rig.step()
    rig.post(Event.START)
    finish(rig)


def test_a_command_that_was_made_and_is_too_late_was_never_sent():
    """The process was stopped in the middle of a tick: the driver has gone on meanwhile."""
    rig = moving()
    before = rig.messages[-1]
    rig.step()
    rig.messages[-1] = before
    assert rig.loop.in_time(rig.t + DT // 2)
    assert not rig.loop.in_time(rig.t + 15 * DT)
    rig.moved[-1] = (rig.t, rig.reference(rig.t))
    rig.skip(15)
    finish(rig)


def test_a_message_that_left_nobody_knows_when_is_met_at_the_end_of_its_tail():
    for left in (0, 15):
        rig = moving()
        rig.step()
        sent, _start, times, points = rig.messages[-1]
        at = sent + left * DT
        rig.loop.sent(sent, sent + 15 * DT)
        before = rig.messages.pop(-1)
        assert before[0] == sent
        if not left:
            rig.messages.append(before)
            rig.skip(15)
        else:
            rig.skip(15)
            # What the driver gets so late is a jump of its own; what comes after it is judged.
            rig.messages.append((at, points[0], times, points))
            rig.moved.append((-1, points[0]))
            rig.moved.clear()
        began = len(rig.results)
        rig.run(0.2)
        assert all(result.command is None for result in rig.results[began:])
        rig.run(1.0)
        if left:
            moved = np.diff([place for t, place in rig.moved if t > 0], axis=0)
            assert np.abs(moved).max() <= 0.01 + 1e-9
        else:
            rig.judge()
        assert rig.results[-1].command is not None


STEPS = st.one_of(
    st.tuples(st.just('run'), st.integers(1, 60)),
    st.tuples(st.just('skip'), st.integers(1, 60)),
    st.tuples(st.just('late'), st.integers(1, 15)),
    st.tuples(st.just('fresh'), st.booleans()),
    st.tuples(st.just('estop'), st.booleans()),
    st.tuples(st.just('policy'), st.booleans()),
    st.tuples(st.just('human'), st.booleans()),
    st.tuples(
        st.sampled_from([Event.START, Event.STOP, Event.RESUME, Event.RESET, Event.ACTIVATE,
                         Event.DEACTIVATE, Event.TIME_JUMP]),
        st.just(0),
    ),
)  # fmt: skip


def take_step(rig: GapRig, what: object, value: object) -> None:
    """Do one of `STEPS`."""
    if what == 'run':
        rig.run(value / 100)
    elif what == 'skip':
        rig.skip(value)
        rig.step()
    elif what == 'late':
        rig.late = value
        rig.step()
    elif what == 'estop':
        rig.loop.on_estop(value)
        rig.step()
    elif what == 'human':
        rig.human = value
        if not value:
            rig.loop.on_takeover(False, arrival_ns=rig.t)
        rig.step()
    elif what in ('fresh', 'policy'):
        setattr(rig, what, value)
    else:
        rig.post(what)
        rig.step()


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, min_size=2, max_size=14))
@example([('estop', True), ('run', 1), ('estop', False), (Event.RESET, 0), (Event.START, 0)])
@example([('fresh', False), ('run', 30), ('fresh', True), ('run', 3), (Event.RESUME, 0)])
@example([('skip', 25), ('late', 2), ('run', 1), (Event.RESUME, 0), ('run', 40), ('skip', 9)])
def test_property_no_gap_sends_the_driver_anywhere_faster_than_the_limits_allow(steps):
    rig = moving()
    for what, value in steps:
        take_step(rig, what, value)
    finish(rig)

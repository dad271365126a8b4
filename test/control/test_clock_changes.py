# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""ROS time is stepped or stands still, in every state; the plan lies on it.

Regressions pinned: a clock stepped back in HANDBACK left the controller stuck until the clock
caught up, and then a plan from before the step was executed as a new one. With a paused /clock the
command went past the set-point.
"""

from __future__ import annotations

from dataclasses import dataclass

from loop_rig import DT, ROBOT, Rig, S
import numpy as np
import pytest

from bc_runtime.control import ControlLoop, ControlOptions, TickResult
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Event, Flag, State


@dataclass
class ClockRig(Rig):
    """A rig whose ROS time is not its monotonic time."""

    offset: int = 0
    stands: int | None = None
    leap: int = 1
    human: bool = False
    rejected: str = ''

    @property
    def ros(self) -> int:
        if self.stands is not None:
            return self.stands
        return (self.t + self.offset) // (self.leap * DT) * (self.leap * DT)

    def chunk(self, **changes: object) -> ActionChunk:
        times = {'stamp_ns': self.ros - DT, 'received_ns': self.ros}
        return super().chunk(**{**times, **changes})

    def run(self, seconds: float) -> TickResult:
        for _ in range(round(seconds * S / DT)):
            self.t += DT
            self.loop.on_joint_state(['a', 'b'], self.position, arrival_ns=self.t)
            self.loop.on_observation(valid=True, reasons=(), arrival_ns=self.t)
            if self.human:
                self.loop.on_takeover(True, arrival_ns=self.t)
                self.loop.on_teleop(['a', 'b'], self.position, arrival_ns=self.t)
            wanted = self.results and self.results[-1].accepting
            if self.policy and (wanted or self.loop.rehearsing):
                self.rejected = self.loop.on_chunk(self.chunk())
            wall_ns = self.t if self.leap > 1 else self.ros  # simulated time never steps
            self.results.append(self.loop.tick(mono_ns=self.t, ros_ns=self.ros, wall_ns=wall_ns))
            if self.results[-1].command is not None:
                self.position = list(self.results[-1].command.position)
        return self.results[-1]

    def to(self, state: State) -> ClockRig:
        if state is State.READY:
            return self.ready()
        self.auto()
        if state in (State.TAKEOVER, State.HUMAN, State.HANDBACK):
            self.human = True
            self.run(0.5)
            if state is State.HANDBACK:
                self.human = False
                self.loop.on_takeover(False, arrival_ns=self.t)
                self.run(0.2)
        elif state is State.HELD:
            self.loop.fail(Flag.CAMERA_STALE, 'front')
            self.run(0.5)
        elif state in (State.FAULT, State.ESTOP):
            self.loop.fail(Flag.INTERNAL_ERROR if state is State.FAULT else Flag.ESTOP, 'x')
            self.run(0.5)
        assert self.loop.state is state
        return self

    def back_to_auto(self) -> None:
        """Do what a person does in this state until the policy has the robot again."""
        self.human = False
        self.loop.on_takeover(False, arrival_ns=self.t)
        self.run(0.1)
        for event in (Event.RESET, Event.START, Event.RESUME):
            self.post(event)
        assert self.run(2.0).state is State.AUTO, self.replies


STATES = [
    State.READY,
    State.AUTO,
    State.HUMAN,
    State.HANDBACK,
    State.HELD,
    State.FAULT,
    State.ESTOP,
]


@pytest.mark.parametrize('step', [-30 * S, 30 * S, -S // 2], ids=['back', 'forth', 'a bit back'])
@pytest.mark.parametrize('state', STATES)
def test_after_a_step_in_any_state_a_person_brings_the_policy_back(state, step):
    rig = ClockRig().to(state)
    rig.offset += step
    rig.run(1.5)
    assert rig.loop.state is not State.AUTO
    rig.back_to_auto()


@pytest.mark.parametrize('state', STATES)
def test_a_chunk_from_before_a_step_is_never_executed_after_it(state):
    rig = ClockRig().to(state)
    rig.offset -= 30 * S
    rig.run(0.02)
    rig.policy = False
    # It lies in the future of the stepped clock, and covers the time of the next start.
    old = {'stamp_ns': rig.ros + 2 * S, 'received_ns': rig.ros + 2 * S}
    epoch = rig.loop.epoch
    values = np.full((12, 2), 0.9, np.float32)
    rig.loop.on_chunk(rig.chunk(**old, epoch=epoch, values=values))
    rig.run(1.2)
    rig.loop.on_takeover(False, arrival_ns=rig.t)
    for event in (Event.RESET, Event.START, Event.RESUME):
        rig.post(event)
    place = list(rig.position)
    rig.run(3.0)
    assert rig.loop.epoch > epoch
    assert rig.position == pytest.approx(place, abs=0.05)


def test_every_resume_begins_an_epoch_but_not_twice():
    rig = ClockRig().to(State.HANDBACK)
    rig.policy = False
    epoch = rig.loop.epoch
    rig.post(Event.RESUME)
    rig.run(0.02)
    rig.post(Event.RESUME)
    rig.run(0.02)
    assert rig.loop.epoch == epoch + 1
    rig.policy = True
    assert rig.run(1.0).state is State.AUTO
    assert rig.loop.epoch == epoch + 1


def test_a_step_takes_a_resume_back_that_waits_for_its_plan():
    rig = ClockRig().to(State.HANDBACK)
    rig.policy = False
    rig.post(Event.RESUME)
    rig.run(0.1)
    rig.offset -= 30 * S
    assert rig.run(0.1).state is State.HELD
    rig.policy = True
    assert rig.run(2.0).state is State.HELD
    rig.back_to_auto()


def test_a_step_ends_a_resume_without_a_word_too():
    loop = ControlLoop(ROBOT, ControlOptions(auto_resume=True))
    rig = ClockRig(loop=loop).to(State.HUMAN)
    rig.policy = False
    rig.human = False
    rig.loop.on_takeover(False, arrival_ns=rig.t)
    rig.run(0.1)
    rig.offset -= 30 * S
    assert rig.run(0.1).state is State.HELD
    rig.policy = True
    assert rig.run(2.0).state is State.HELD


def test_a_rehearsal_after_a_step_back_is_heard():
    rig = ClockRig().to(State.READY)
    rig.offset -= 30 * S
    rig.run(0.1)
    rig.loop.rehearsing = True
    rig.run(0.1)
    assert rig.rejected == ''


# A clock that stands ---------------------------------------------------------------------------


def test_with_a_paused_clock_the_command_ends_at_the_set_point():
    rig = ClockRig(speed=0.5).auto()
    rig.run(0.5)
    rig.policy = False
    rig.stands = rig.ros
    rig.run(0.19)
    wanted = rig.results[-1].setpoint
    assert rig.loop.state is State.AUTO
    assert rig.results[-1].command.position == pytest.approx(wanted, abs=1e-6)
    assert rig.run(0.2).state is State.HELD
    assert rig.results[-1].stop_code == Flag.CLOCK_STOPPED
    rig.post(Event.RESUME)
    rig.run(0.1)
    assert not rig.replies[-1][0]
    assert '/clock' in rig.replies[-1][1]
    rig.stands, rig.policy = None, True
    rig.run(1.2)
    assert rig.loop.state is State.HELD, 'nothing moves without an operator command'
    rig.back_to_auto()


@pytest.mark.parametrize('leap', [2, 10, 15])
def test_a_clock_that_goes_on_in_leaps_does_not_stop_the_robot(leap):
    rig = ClockRig(speed=0.1, leap=leap).auto()
    assert rig.run(3.0).state is State.AUTO
    codes = {one.code for result in rig.results for one in result.transitions}
    assert Flag.CLOCK_STOPPED not in codes

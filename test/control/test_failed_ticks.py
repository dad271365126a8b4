# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Ticks that raise: what the driver did not get has not happened, and it went on meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field

from loop_rig import DT, POLICY, SPEC
import numpy as np
import pytest
from test_silence import GapRig, finish, moving

from bc_runtime.control import ControlLoop
from bc_runtime.safety import Event, Flag, State
from bc_runtime.spec import RobotConfig


class Broken(Exception):
    """Raised on purpose."""


def broken(*_args: object, **_fields: object) -> None:
    raise Broken


#: Where a tick breaks: before the decision, in it, after the limiter has gone on, at the end.
STAGES = {
    'plan': lambda loop: (loop.plan, 'at'),
    'supervisor': lambda loop: (loop._supervisor, 'step'),
    'checker': lambda loop: (loop._motion._checker, 'check'),
    'command': lambda loop: (loop._motion, 'sent'),
    'note': lambda loop: (loop._robot_says, 'commanded'),
    'result': lambda loop: (loop._results, 'make'),
    'limiter share': lambda loop: (loop._limiter_share, 'note'),
}


def fail(rig: GapRig, monkeypatch: pytest.MonkeyPatch, stage: str, *, told: bool = True) -> None:
    """One tick that raises where it comes to this stage, as the node deals with it."""
    with monkeypatch.context() as patch:
        patch.setattr(*STAGES[stage](rig.loop), broken)
        missed = rig.missed
        try:
            rig.step()
        except Broken:
            rig.missed = missed
            if told:
                rig.loop.fail(Flag.INTERNAL_ERROR, 'Broken')
                assert rig.loop.abandon() is None
                rig.missed += 1


@pytest.mark.parametrize('stage', STAGES)
@pytest.mark.parametrize('ticks', [1, 2, 5, 16, 40])
def test_a_driver_is_not_pulled_back_after_ticks_that_raised(monkeypatch, stage, ticks):
    """Regressions pinned: failed ticks counted neither as missed nor as silent.

    The driver followed the braking tail of the last message; the next command went on from before
    the failed ticks and pulled it back at a multiple of the velocity limit.
    """
    rig = moving()
    for _ in range(ticks):
        fail(rig, monkeypatch, stage)
    finish(rig)
    assert State.FAULT in [result.state for result in rig.results]
    assert rig.results[-1].stop_code == 'INTERNAL_ERROR'


@pytest.mark.parametrize('stage', ['plan', 'checker', 'supervisor'])
@pytest.mark.parametrize('ticks', [1, 4, 12])
def test_time_tells_of_failed_ticks_that_nobody_counted(monkeypatch, stage, ticks):
    rig = moving()
    for _ in range(ticks):
        fail(rig, monkeypatch, stage, told=False)
    finish(rig)


@pytest.mark.parametrize('ticks', [1, 3, 10])
def test_a_command_that_could_not_become_a_message_was_never_sent(ticks):
    """Regressions pinned: the limiter went on although making the message had raised."""
    rig = moving()
    for _ in range(ticks):
        sent, path = rig.messages[-1], len(rig.moved)
        rig.step()
        rig.messages[-1:] = [] if rig.messages[-1] is not sent else [sent]
        del rig.moved[path:]
        rig.moved.append((rig.t, rig.reference(rig.t)))
        rig.loop.fail(Flag.INTERNAL_ERROR, 'Broken')
        rig.loop.abandon()
    finish(rig)


@pytest.mark.parametrize('left', [True, False])
def test_where_publishing_raises_the_driver_is_met_at_rest_whether_the_message_left_or_not(left):
    rig = moving()
    before = rig.messages[-1]
    rig.step()
    if not left:
        rig.messages[-1] = before
    assert rig.loop.in_time(rig.t)
    rig.loop.fail(Flag.INTERNAL_ERROR, 'Broken')
    assert rig.loop.abandon() is None
    began = len(rig.results)
    rig.run(0.3)
    assert all(result.command is None for result in rig.results[began:])
    finish(rig)
    rig.run(1.0)
    rig.judge()
    assert rig.results[-1].state is State.FAULT
    assert rig.results[-1].command is not None
    assert np.allclose(rig.results[-1].command.position, rig.position, atol=0.01)


def test_a_press_of_the_emergency_stop_in_a_tick_that_raised_is_not_lost(monkeypatch):
    """Regressions pinned: a short press was taken by the tick that then raised."""
    rig = moving()
    rig.loop.on_estop(True)
    rig.loop.on_estop(False)
    fail(rig, monkeypatch, 'supervisor')
    rig.step()
    assert rig.results[-1].state is State.ESTOP


def test_a_failed_tick_leaves_the_command_as_it_was(monkeypatch):
    rig = moving()
    before = rig.loop._motion.place()
    fail(rig, monkeypatch, 'command')
    assert rig.loop._motion.place() == before


WHEELS = RobotConfig.from_yaml("""
schema_version: 1
name: wheels
joints:
  - {name: a, unit: rad, position: [-3, 3], velocity: 1.0, acceleration: 2.0}
  - {name: b, unit: rad, position: [-3, 3], velocity: 1.0, acceleration: 2.0}
joint_states: {topic: joint_states, max_age_s: 0.1}
command: {type: float64_multi_array, interface: velocity, topic: v, joints: [a, b], rate_hz: 100.0}
tolerances: {tracking: 0.6, tracking_s: 0.5, max_observation_age_s: 0.5}
""")


@dataclass
class WheelRig(GapRig):
    """A rig whose driver moves with the last velocity that it got."""

    loop: ControlLoop = field(default_factory=lambda: ControlLoop(WHEELS))
    velocities: list[tuple[float, ...]] = field(default_factory=lambda: [(0.0, 0.0)])

    def pass_time(self) -> None:
        self.t += DT
        self.position = (np.array(self.position) + 0.01 * np.array(self.velocities[-1])).tolist()
        self.waiting = [tuple(self.position)]

    def take(self, command: object, sent_ns: int) -> None:
        self.velocities.append(command.velocity)


@pytest.mark.parametrize('sent', [True, False])
@pytest.mark.parametrize('stage', ['plan', 'result'])
def test_a_velocity_is_braked_from_what_the_driver_has(monkeypatch, stage, sent):
    """Regressions pinned: a brake that could not be sent was taken for sent.

    The driver kept its velocity, and the next command was several steps of braking away.
    """
    rig = WheelRig()
    rig.loop.set_policy(POLICY, SPEC)
    rig.run(0.2)
    rig.post(Event.CONFIGURED)
    rig.post(Event.ACTIVATE)
    rig.run(0.2)
    rig.post(Event.START)
    rig.run(1.0)
    assert rig.results[-1].state is State.AUTO
    assert max(map(abs, rig.velocities[-1])) > 0.5
    with monkeypatch.context() as patch:
        patch.setattr(*STAGES[stage](rig.loop), broken)
        for _ in range(5):
            missed = rig.missed
            with pytest.raises(Broken):
                rig.step()
            rig.missed = missed + 1
            rig.loop.fail(Flag.INTERNAL_ERROR, 'Broken')
            command = rig.loop.abandon()
            assert command is not None
            if sent:
                rig.velocities.append(command.velocity)
            else:
                rig.loop.withdraw()
    rig.run(1.0)
    assert np.abs(np.diff(rig.velocities, axis=0)).max() <= 2.0 * 0.01 + 1e-9
    assert not any(rig.velocities[-1])

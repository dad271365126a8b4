# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks on their way into the plan: stamps, the order of checks, swaps, and slow policies."""

from __future__ import annotations

from loop_rig import DT, POLICY, ROBOT, SPEC, Rig, S
import numpy as np
import pytest

from bc_runtime.control import ControlLoop, ControlOptions
from bc_runtime.control.observation_monitor import ObservationMonitor
from bc_runtime.safety import Check, Event, Flag, IngressConfig, OnFailure, State
from bc_runtime.spec import ActionKind, PolicySpec

NARROW = 'b' * 64


def far(value: float) -> np.ndarray:
    return np.full((12, 2), value, np.float32)


def spec(**changes: object) -> PolicySpec:
    return PolicySpec.from_dict({**SPEC.to_dict(), **changes})


@pytest.mark.parametrize('ahead_s', [0.11, 0.9, 5.0, 1e6])
def test_a_chunk_from_the_future_neither_moves_the_robot_nor_closes_the_door(ahead_s):
    """Regressions pinned: one future stamp made every right chunk after it an old one.

    They were dropped silently, and when its time came the robot went to its target.
    """
    rig = Rig(speed=0.2).auto()
    before, accepted = rig.position[0], rig.loop.plan.accepted
    rig.loop.plan.dropped.clear()
    refused = rig.loop.on_chunk(rig.chunk(stamp_ns=rig.t + round(ahead_s * S), values=far(-0.9)))
    assert 'ahead of now' in refused
    assert rig.loop.plan.last_rejection == refused
    rig.run(1.5)
    assert rig.results[-1].state is State.AUTO
    assert rig.position[0] > before
    assert rig.loop.plan.accepted == accepted + 150
    assert not rig.loop.plan.dropped
    flags = {reason.flag for result in rig.results for reason in result.reasons}
    assert Flag.CHUNK_REJECTED in flags
    assert Flag.INFERENCE_DOWN not in flags


def test_a_stamp_that_is_ahead_by_what_clocks_differ_costs_two_chunks_that_are_counted():
    rig = Rig(speed=0.2).auto()
    accepted = rig.loop.plan.accepted
    rig.loop.plan.dropped.clear()
    assert not rig.loop.on_chunk(rig.chunk(stamp_ns=rig.t + round(0.09 * S)))
    rig.run(0.2)
    assert rig.loop.plan.dropped == {Check.ORDER.value: 2}
    assert rig.loop.plan.accepted == accepted + 1 + 18
    assert rig.results[-1].state is State.AUTO


def test_what_is_dropped_is_counted_by_name():
    rig = Rig().auto()
    plan = rig.loop.plan
    plan.dropped.clear()
    rejected = plan.rejected
    one = rig.chunk(stamp_ns=rig.t - DT + 1)
    assert not rig.loop.on_chunk(one)
    assert 'twice' in rig.loop.on_chunk(one)
    assert 'epoch' in rig.loop.on_chunk(rig.chunk(epoch=rig.loop.epoch - 1))
    assert 'older' in rig.loop.on_chunk(rig.chunk(stamp_ns=rig.t - 20 * DT))
    assert 'active' in rig.loop.on_chunk(rig.chunk(policy_id=NARROW))
    assert plan.dropped == {
        Check.ORDER.value: 2,
        Check.EPOCH.value: 1,
        Check.POLICY.value: 1,
    }
    assert plan.rejected == rejected


# What is judged is what will be executed -------------------------------------------------------


def swap(rig: Rig, to: PolicySpec) -> None:
    rig.loop.set_policy(NARROW, to)


def test_a_jump_that_clipping_makes_is_refused():
    """Regressions pinned: chunks were compared with the command before they were clipped.

    A swap to a policy of a narrower range went from 0.9 to its limit at once.
    """
    narrow = {'min': -0.2, 'max': 0.2, 'mean': 0.0, 'std': 0.1}
    rig = Rig(speed=0.0, position=[0.9, 0.9]).auto()
    swap(rig, spec(training_ranges={'action.a': narrow}))
    refused = rig.loop.on_chunk(rig.chunk(policy_id=NARROW, stamp_ns=rig.t - DT, values=far(0.9)))
    assert Check.RANGE.value in refused
    assert 'a jumps by -0.6' in refused


def test_a_jump_that_clipping_takes_away_is_none():
    narrow = {'min': -0.2, 'max': 0.2, 'mean': 0.0, 'std': 0.1}
    rig = Rig(speed=0.0, position=[0.1, 0.1]).auto()
    swap(rig, spec(training_ranges={'action.a': narrow}))
    values = far(0.1)
    values[:, 0] = 0.9
    chunk = rig.chunk(policy_id=NARROW, stamp_ns=rig.t - DT, values=values)
    assert not rig.loop.on_chunk(chunk)


@pytest.mark.parametrize(('choice', 'jumps'), [('warn', True), ('off', True), ('clip', False)])
def test_a_range_that_is_not_clipped_is_judged_as_it_is(choice, jumps):
    narrow = {'min': -0.2, 'max': 0.2, 'mean': 0.0, 'std': 0.1}
    options = ControlOptions(ingress=IngressConfig(on_failure={Check.RANGE: OnFailure(choice)}))
    rig = Rig(loop=ControlLoop(ROBOT, options), speed=0.0, position=[0.1, 0.1]).auto()
    swap(rig, spec(training_ranges={'action.a': narrow}))
    values = far(0.1)
    values[:, 0] = 0.9
    refused = rig.loop.on_chunk(rig.chunk(policy_id=NARROW, stamp_ns=rig.t - DT, values=values))
    assert bool(refused) is jumps


def test_held_actions_are_judged_as_they_are_held():
    """With `hold` the command goes to the action before now, not to a mean of two."""
    options = ControlOptions(interpolation='hold')
    rig = Rig(loop=ControlLoop(ROBOT, options), speed=0.0).auto()
    values = far(0.0)
    values[:6] = 0.9  # until 0.4 s after the stamp
    refused = rig.loop.on_chunk(rig.chunk(values=values, stamp_ns=rig.t - round(0.36 * S)))
    assert 'older' in refused
    stamp_ns = rig.t - DT + 1
    values[:1], values[1:] = 0.6, 0.0
    refused = rig.loop.on_chunk(
        rig.chunk(values=values, stamp_ns=stamp_ns, received_ns=stamp_ns + round(0.05 * S))
    )
    assert 'jumps by 0.6' in refused


def test_a_chunk_that_begins_late_is_judged_where_it_begins():
    """The first chunk of an epoch begins when it comes; one that was seen before it does, too."""
    rig = Rig(speed=0.0, policy=False).ready()
    rig.post(Event.START)
    rig.run(0.01)
    early = rig.t
    rig.run(0.3)
    assert not rig.loop.on_chunk(rig.chunk(stamp_ns=early + DT, values=far(0.0)))
    rig.run(0.3)
    assert rig.results[-1].state is State.AUTO
    values = far(0.0)
    values[:2] = 0.9  # in the past by the stamp, and now where the plan begins it
    refused = rig.loop.on_chunk(
        rig.chunk(stamp_ns=early + 2 * DT, values=values, received_ns=early + 31 * DT)
    )
    assert 'jumps by 0.9' in refused


# Swaps to other kinds ----------------------------------------------------------------------------


@pytest.mark.parametrize('rollback', [True, False])
@pytest.mark.parametrize(
    ('kind', 'units'),
    [
        (ActionKind.GRIPPER, 'rad'),
        (ActionKind.CONTINUOUS_JOINT, 'rad'),
        (ActionKind.JOINT_VELOCITY, 'rad/s'),
    ],
)
def test_a_policy_of_other_action_kinds_takes_over_at_once(kind, units, rollback):
    """Regressions pinned: its chunks were incompatible with the old ones for the whole epoch."""
    rig = Rig(loop=ControlLoop(ROBOT, ControlOptions(rollback=rollback)), speed=0.1).auto()
    rig.run(0.5)
    groups = [
        {'kind': 'joint_position', 'names': ['a'], 'units': ['rad']},
        {'kind': kind.value, 'names': ['b'], 'units': [units]},
    ]
    swap(rig, spec(output={'name': 'action', 'groups': groups}))
    rig.policy = False
    accepted = rig.loop.plan.accepted
    for _ in range(60):
        values = np.full((12, 2), rig.position[0], np.float32)
        values[:, 1] = 0.1 if kind is ActionKind.JOINT_VELOCITY else rig.position[1]
        chunk = rig.chunk(
            policy_id=NARROW,
            stamp_ns=rig.t - DT + 1,
            values=values,
            kinds=(ActionKind.JOINT_POSITION, kind),
        )
        assert not rig.loop.on_chunk(chunk)
        assert rig.run(0.01).state is State.AUTO
    assert rig.loop.plan.accepted == accepted + 60
    assert rig.loop.plan.rollback is None
    assert rig.loop.plan.policy_id == NARROW


# Slow policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize('hz', [3.0, 1.0, 30.0])
def test_patience_follows_from_the_rate_of_the_policy(hz):
    """Regressions pinned: a policy of 3 Hz never reached AUTO, its observations were too rare."""
    rig = Rig(speed=0.0, camera=False)
    rig.loop.set_policy(POLICY, spec(control_hz=hz))
    period = round(S / hz)
    due = rig.t

    def run(seconds: float) -> set[State]:
        nonlocal due
        seen = set()
        for _ in range(round(seconds * 100)):
            if rig.t >= due:
                due += period
                rig.loop.on_observation(valid=True, reasons=(), arrival_ns=rig.t + DT)
                if rig.results and rig.results[-1].accepting:
                    rig.loop.on_chunk(rig.chunk(dt_ns=period, stamp_ns=rig.t))
            seen.add(rig.run(0.01).state)
        return seen

    run(1.5)
    rig.post(Event.CONFIGURED)
    rig.post(Event.ACTIVATE)
    run(0.1)
    rig.post(Event.START)
    run(2.0)
    assert rig.results[-1].state is State.AUTO
    assert run(4.0) == {State.AUTO}
    due += 100 * S
    assert State.HELD in run(2.5 * period / S + 1.0)


def test_patience_that_is_given_counts():
    monitor = ObservationMonitor(max_age_s=1.0, patience_s=0.2)
    monitor.expect_every(1.0)
    monitor.update(valid=True, reasons=(), arrival_ns=0)
    assert Flag.OBSERVATION_STALE in monitor.flags(round(0.21 * S), 0.0)
    assert not monitor.flags(round(0.19 * S), 0.0)

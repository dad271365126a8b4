# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A new policy whose first chunks are rejected gives way to the one before, and only then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bc_runtime.control import ControlOptions
from bc_runtime.control.plan import Plan
from bc_runtime.control.probation import TRIALS
from bc_runtime.execution import ActionChunk
from bc_runtime.safety import Flag, JointLimits
from bc_runtime.spec import ActionKind, PolicySpec

OLD, NEW = 'a' * 64, 'b' * 64
LIMITS = (JointLimits(name='a', lower=-3.0, upper=3.0, velocity=1.0, acceleration=5.0,
                      deceleration=5.0),)  # fmt: skip
S = 1_000_000_000
SPEC = PolicySpec.from_dict(
    {
        'schema_version': 1,
        'name': 'one',
        'family': 'mlp',
        'control_hz': 10.0,
        'chunk_size': 10,
        'inputs': [{'kind': 'state', 'name': 's', 'shape': [1, 1], 'joints': ['a'],
                    'units': ['rad']}],
        'output': {
            'name': 'action',
            'groups': [{'kind': 'joint_position', 'names': ['a'], 'units': ['rad']}],
        },
    }
)  # fmt: skip


class Desk:
    """A plan in execution, and chunks for it."""

    def __init__(self, options: ControlOptions | None = None) -> None:
        self.plan = Plan(('a',), LIMITS, options or ControlOptions())
        self.plan.set_policy(OLD, SPEC)
        self.now = 100 * S
        self.sequence = 0

    def chunk(self, policy: str, value: float = 0.0) -> str:
        self.now += S // 10
        self.sequence += 1
        chunk = ActionChunk(
            stamp_ns=self.now - 10_000_000,
            dt_ns=S // 10,
            values=np.full((10, 1), value, np.float32),
            names=('a',),
            kinds=(ActionKind.JOINT_POSITION,),
            policy_id=policy,
            sequence=self.sequence,
            epoch=0,
            received_ns=self.now,
        )
        return self.plan.add(chunk, command={'a': 0.0}, executing=True)


@pytest.fixture
def desk() -> Desk:
    one = Desk()
    assert one.chunk(OLD) == ''
    return one


def test_rejected_first_chunks_bring_the_old_policy_back(desk):
    desk.plan.set_policy(NEW, SPEC)
    for k in range(TRIALS):
        assert desk.plan.rollback is None, k
        assert 'jumps' in desk.chunk(NEW, 2.0)
    back = desk.plan.rollback
    assert (back.policy_id, back.back_to) == (NEW, OLD)
    assert 'jumps' in back.reason
    assert desk.plan.policy_id == OLD
    # The plan goes on, nothing is raised that would stop the robot, the bad one counts no more.
    assert desk.plan.at(desk.now, ahead_ns=0) is not None
    assert Flag.CHUNKS_REJECTED not in desk.plan.flags(desk.now)
    rejected = desk.plan.rejected
    for _ in range(5):
        assert 'active is' in desk.chunk(NEW, 2.0)
    assert desk.plan.rejected == rejected
    assert desk.chunk(OLD) == ''


def test_one_accepted_chunk_is_enough_to_stay(desk):
    desk.plan.set_policy(NEW, SPEC)
    desk.chunk(NEW, 2.0)
    assert desk.chunk(NEW) == ''
    for _ in range(3):
        desk.chunk(NEW, 2.0)
    assert desk.plan.rollback is None
    assert desk.plan.policy_id == NEW
    assert Flag.CHUNKS_REJECTED in desk.plan.flags(desk.now)


def test_malformed_chunks_count_too(desk):
    desk.plan.set_policy(NEW, SPEC)
    for _ in range(TRIALS):
        desk.plan.malformed('no chunk at all', now_ns=desk.now)
    assert desk.plan.policy_id == OLD


def test_the_first_policy_has_nobody_to_give_way_to():
    desk = Desk()
    for _ in range(TRIALS + 1):
        desk.chunk(OLD, 2.0)
    assert desk.plan.rollback is None
    assert desk.plan.policy_id == OLD


def test_the_same_policy_told_again_is_no_swap(desk):
    desk.plan.set_policy(OLD, SPEC)
    for _ in range(TRIALS):
        desk.chunk(OLD, 2.0)
    assert desk.plan.rollback is None


def test_it_can_be_switched_off():
    desk = Desk(replace(ControlOptions(), rollback=False))
    desk.chunk(OLD)
    desk.plan.set_policy(NEW, SPEC)
    for _ in range(TRIALS):
        desk.chunk(NEW, 2.0)
    assert desk.plan.rollback is None
    assert desk.plan.policy_id == NEW


@pytest.mark.parametrize('limit', [1, 2])
def test_a_strict_limit_does_not_outrun_the_rollback(limit):
    options = ControlOptions()
    options = replace(options, ingress=replace(options.ingress, in_a_row=limit))
    desk = Desk(options)
    desk.chunk(OLD)
    desk.plan.set_policy(NEW, SPEC)
    for _ in range(TRIALS):
        desk.chunk(NEW, 2.0)
    assert desk.plan.policy_id == OLD
    assert Flag.CHUNKS_REJECTED not in desk.plan.flags(desk.now)

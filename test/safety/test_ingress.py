# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Chunks as they come, and every way in which they can be wrong."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import pytest

from bc_runtime.execution import ActionChunk
from bc_runtime.safety import (
    Check,
    ChunkIngress,
    Flag,
    IngressConfig,
    IngressContext,
    JointLimits,
    OnFailure,
    Verdict,
)
from bc_runtime.spec.actions import ActionGroup, ActionKind, Reference
from bc_runtime.spec.errors import SafetyError
from bc_runtime.spec.policy_spec import PolicySpec, TrainingRange

S = 1_000_000_000
NAMES = ('a', 'b', 'grip')
LIMITS = [
    JointLimits(name=name, lower=-2.0, upper=2.0, velocity=1.0, acceleration=9.0, deceleration=9.0)
    for name in NAMES
]


def spec(reference: Reference = Reference.ABSOLUTE) -> PolicySpec:
    return PolicySpec(
        name='test', version='1', family='mlp', license='Apache-2.0', control_hz=10.0,
        n_obs_steps=1, chunk_size=8, n_action_steps=8, stamp_index=0, inputs=(), output='action',
        actions=(
            ActionGroup(kind=ActionKind.JOINT_POSITION, names=('a', 'b'), units=('rad', 'rad'),
                        reference=reference),
            ActionGroup(kind=ActionKind.GRIPPER, names=('grip',), units=('m',),
                        reference=Reference.ABSOLUTE),
        ),
        training_ranges={
            'action.a': TrainingRange(minimum=-1.0, maximum=1.0, mean=0.0, std=0.5),
            'action.grip': TrainingRange(minimum=0.0, maximum=0.1, mean=0.05, std=0.05),
        },
    )  # fmt: skip


def chunk(values: object = None, **changes: object) -> ActionChunk:
    given: dict[str, object] = {
        'stamp_ns': 100 * S, 'dt_ns': S // 10, 'names': NAMES, 'policy_id': 'p' * 64,
        'kinds': spec().action_kinds, 'sequence': 1, 'received_ns': 100 * S, 'epoch': 3,
        'values': np.zeros((8, 3)) if values is None else values,
    }  # fmt: skip
    return ActionChunk(**{**given, **changes})  # type: ignore[arg-type]


class Raw:
    """A chunk that was not validated on construction, as another reader might give it."""

    def __init__(self, good: ActionChunk, **changes: object) -> None:
        for key in (
            'stamp_ns', 'dt_ns', 'stamp_index', 'values', 'names', 'kinds', 'references',
            'policy_id', 'sequence', 'epoch', 'anchor',
        ):  # fmt: skip
            setattr(self, key, changes.get(key, getattr(good, key)))


def context(**changes: object) -> IngressContext:
    given: dict[str, object] = {
        'now_ns': 100 * S + S // 5, 'epoch': 3, 'epoch_start_ns': 99 * S,
        'command': {'a': 0.0, 'b': 0.0, 'grip': 0.0}, 'executing': True,
    }  # fmt: skip
    return IngressContext(**{**given, **changes})  # type: ignore[arg-type]


def ingress(**changes: object) -> ChunkIngress:
    return ChunkIngress(spec(), 'p' * 64, LIMITS, IngressConfig(**changes))  # type: ignore[arg-type]


def test_a_clean_chunk_passes_untouched() -> None:
    gate = ingress()
    result = gate.check(chunk(), context())
    assert result.verdict is Verdict.ACCEPT
    assert result.values is None
    assert not result.findings
    assert not gate.flags(100 * S)
    assert (gate.accepted, gate.rejected) == (1, 0)


@pytest.mark.parametrize(
    ('changes', 'check', 'says'),
    [
        ({'policy_id': 'q' * 64}, Check.POLICY, 'active is'),
        ({'names': ('b', 'a', 'grip')}, Check.FORMAT, "expected the actions ['a', 'b', 'grip']"),
        ({'values': np.zeros((7, 3), np.float32)}, Check.FORMAT, 'expected shape (8, 3)'),
        ({'values': np.zeros((8, 4), np.float32)}, Check.FORMAT, 'expected shape (8, 3)'),
        ({'dt_ns': S // 20}, Check.FORMAT, 'step'),
        ({'stamp_index': 1}, Check.FORMAT, 'stamp_index'),
        ({'kinds': (ActionKind.JOINT_POSITION,) * 3}, Check.FORMAT, 'kinds'),
        ({'references': (Reference.OBSERVATION_STATE,) * 3}, Check.FORMAT, 'references'),
        ({'epoch': 2}, Check.EPOCH, 'epoch 2, present is 3'),
        ({'stamp_ns': 98 * S}, Check.ORDER, 'older than the resume'),
        ({'stamp_ns': 99 * S + S // 3}, Check.AGE, 'last action'),
        ({'values': np.full((8, 3), math.nan, np.float32)}, Check.FINITE, 'nan for a at step 0'),
        ({'values': np.full((8, 3), 0.9, np.float32)}, Check.SPLICE, 'jumps by 0.9'),
    ],
)
def test_what_is_rejected_and_why(changes: dict[str, object], check: Check, says: str) -> None:
    gate = ingress()
    result = gate.check(Raw(chunk(), **changes), context())  # type: ignore[arg-type]
    assert result.verdict is Verdict.REJECT
    assert result.code == check
    assert says in result.text
    assert gate.counts[check] == 1
    assert gate.rejected == 1


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('place', [(0, 0), (7, 2), (3, 1)])
def test_one_bad_element_rejects_the_whole_chunk(bad: float, place: tuple[int, int]) -> None:
    values = np.zeros((8, 3), np.float32)
    values[place] = bad
    assert ingress().check(Raw(chunk(), values=values), context()).code == Check.FINITE  # type: ignore[arg-type]


def test_late_and_repeated_chunks_are_dropped_without_an_alarm() -> None:
    gate = ingress()
    assert gate.check(chunk(stamp_ns=100 * S, sequence=5), context()).verdict is Verdict.ACCEPT
    assert 'twice' in gate.check(chunk(stamp_ns=100 * S, sequence=5), context()).text
    older = chunk(stamp_ns=100 * S - S // 20, sequence=4)
    assert gate.check(older, context()).code == Check.ORDER
    for _ in range(5):
        gate.check(chunk(epoch=1), context())
    assert not gate.flags(100 * S + S // 5)
    # A second sample from the same observation is a chunk of its own.
    assert gate.check(chunk(stamp_ns=100 * S, sequence=6), context()).verdict is Verdict.ACCEPT
    gate.reset()
    assert gate.check(older, context()).verdict is Verdict.ACCEPT


def test_three_in_a_row_raise_a_flag_and_one_good_chunk_starts_again() -> None:
    gate = ingress()
    bad = Raw(chunk(), values=np.full((8, 3), math.nan, np.float32))
    now = context().now_ns
    gate.check(bad, context())  # type: ignore[arg-type]
    gate.check(bad, context())  # type: ignore[arg-type]
    assert set(gate.flags(now)) == {Flag.CHUNK_REJECTED}
    gate.check(chunk(), context())
    gate.check(bad, context())  # type: ignore[arg-type]
    gate.check(bad, context())  # type: ignore[arg-type]
    assert Flag.CHUNKS_REJECTED not in gate.flags(now)
    gate.check(bad, context())  # type: ignore[arg-type]
    assert Flag.CHUNKS_REJECTED in gate.flags(now)
    assert Flag.CHUNKS_REJECTED not in gate.flags(now + S)
    assert not gate.flags(now - 100 * S)


def test_three_malformed_ones_are_a_fault() -> None:
    gate = ingress()
    for _ in range(2):
        gate.check(chunk(dt_ns=S // 20), context())
    gate.malformed('expected 24 values, got 23', context().now_ns)
    flags = gate.flags(context().now_ns)
    assert Flag.CHUNKS_MALFORMED in flags
    assert '23' in flags[Flag.CHUNKS_MALFORMED]


def test_training_range_clips_warns_or_rejects() -> None:
    values = np.zeros((8, 3), np.float32)
    values[:, 0] = np.linspace(0.0, 1.5, 8)
    values[:, 1] = np.linspace(0.0, 1.5, 8)  # has no known range
    wild = chunk(values)
    clipped = ingress().check(wild, context())
    assert clipped.verdict is Verdict.ACCEPT_CLIPPED
    assert clipped.values is not None
    assert clipped.values[:, 0].max() == pytest.approx(1.1, abs=1e-5)
    assert np.array_equal(clipped.values[:, 1], values[:, 1])
    assert not clipped.values.flags.writeable
    assert 'trained [-1.1, 1.1]' in clipped.text
    warned = ingress(on_failure={Check.RANGE: OnFailure.WARN}).check(wild, context())
    assert warned.verdict is Verdict.ACCEPT
    assert warned.findings
    off = ingress(on_failure={Check.RANGE: OnFailure.OFF}).check(wild, context())
    assert not off.findings
    rejected = ingress(on_failure={Check.RANGE: OnFailure.REJECT}).check(wild, context())
    assert rejected.verdict is Verdict.REJECT


def test_a_little_outside_the_training_range_is_clean() -> None:
    values = np.zeros((8, 3), np.float32)
    values[:, 0] = np.linspace(0.0, 1.09, 8)
    values[:, 2] = 0.104
    assert ingress().check(chunk(values), context()).verdict is Verdict.ACCEPT


def test_splice_compares_with_the_action_for_now() -> None:
    values = np.zeros((8, 3), np.float32)
    values[:, 0] = 0.3 * np.arange(8)
    ramp = chunk(values)
    gate = ingress(on_failure={Check.RANGE: OnFailure.OFF})
    here = {'a': 0.75, 'b': 0.0, 'grip': 0.0}
    assert gate.check(ramp, context(command=here, now_ns=100 * S + S // 4)).verdict is (
        Verdict.ACCEPT
    )
    gate.reset()
    there = {'a': 0.1, 'b': 0.0, 'grip': 0.0}
    assert gate.check(ramp, context(command=there, now_ns=100 * S + S // 4)).code == Check.SPLICE
    # A start from rest goes through ALIGN, which has its own bound.
    idle = context(command=there, now_ns=100 * S + S // 4, executing=False)
    assert gate.check(ramp, idle).verdict is Verdict.ACCEPT


def test_splice_leaves_grippers_to_the_limiter() -> None:
    values = np.zeros((8, 3), np.float32)
    values[:, 2] = 5.0
    gate = ingress(on_failure={Check.RANGE: OnFailure.OFF})
    assert gate.check(chunk(values), context()).verdict is Verdict.ACCEPT


def test_relative_actions_are_compared_at_their_anchor() -> None:
    relative = spec(Reference.OBSERVATION_STATE)
    gate = ChunkIngress(relative, 'p' * 64, LIMITS)
    one = chunk(references=relative.action_references, anchor={'a': 1.4, 'b': 0.0})
    near = context(command={'a': 1.3, 'b': 0.0, 'grip': 0.0})
    assert gate.check(one, near).verdict is Verdict.ACCEPT
    gate.reset()
    assert gate.check(one, context()).code == Check.SPLICE
    without = Raw(one, anchor=None)
    assert 'no anchor' in gate.check(without, near).text  # type: ignore[arg-type]


def test_a_policy_swap_changes_what_is_expected() -> None:
    gate = ingress()
    gate.set_policy(replace(spec(), chunk_size=4), 'q' * 64)
    new = chunk(np.zeros((4, 3)), policy_id='q' * 64)
    assert gate.check(new, context()).verdict is Verdict.ACCEPT
    assert gate.check(chunk(), context()).code == Check.POLICY


@pytest.mark.parametrize(
    ('check', 'choice'),
    [
        (Check.FINITE, OnFailure.WARN),
        (Check.SPLICE, OnFailure.CLIP),
        (Check.FORMAT, OnFailure.OFF),
    ],
)
def test_checks_that_must_reject_cannot_be_switched_off(check: Check, choice: OnFailure) -> None:
    with pytest.raises(SafetyError, match='choices: '):
        IngressConfig(on_failure={check: choice})


def test_property_clean_chunks_of_a_moving_policy_are_never_rejected() -> None:
    rng = np.random.default_rng(0)
    gate = ingress()
    for k in range(2000):
        now = 100 * S + k * S // 10
        at = (now - np.arange(8)[::-1] * 0) / S + np.arange(8) * 0.1
        values = np.stack([0.9 * np.sin(at), 0.5 * np.cos(at), 0.05 + 0 * at], axis=1)
        values += rng.normal(0.0, 0.01, values.shape)
        here = {'a': 0.9 * math.sin(now / S), 'b': 0.5 * math.cos(now / S), 'grip': 0.0}
        result = gate.check(
            chunk(values, stamp_ns=now, sequence=k), context(now_ns=now + S // 20, command=here)
        )
        assert result.verdict is not Verdict.REJECT, result.text

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

from bc_runtime.control.limiter_share import LimiterShare
from bc_runtime.safety import LimitFlag, Source

DT_NS = 10_000_000


def run(share, flags, *, source=Source.POLICY, start=0):
    """Return what is said after these ticks, each with its limiter flags."""
    said = ''
    for k, flag in enumerate(flags):
        result = SimpleNamespace(source=source, command=SimpleNamespace(active=flag))
        said = share.note(result, (start + k) * DT_NS)
    return said


def test_a_plan_that_is_limited_most_of_the_time_is_told_and_forgotten():
    share = LimiterShare(0.01)
    assert run(share, [LimitFlag.VELOCITY] * 100) == ''
    said = run(share, [LimitFlag.VELOCITY, LimitFlag.ACCELERATION], start=100)
    assert said == '51% of the commands of the last 2 s'
    assert run(share, [0] * 210, start=102) == ''


def test_now_and_then_is_normal():
    assert run(LimiterShare(0.01), [LimitFlag.VELOCITY, 0, 0] * 200) == ''


def test_what_brakes_in_time_approaches_or_follows_a_human_does_not_count():
    normal = LimitFlag.STOPPING_DISTANCE | LimitFlag.APPROACH
    assert run(LimiterShare(0.01), [normal] * 300) == ''
    for source in (Source.ALIGN, Source.HUMAN, Source.BRAKE):
        assert run(LimiterShare(0.01), [LimitFlag.VELOCITY] * 300, source=source) == ''


def test_nothing_sent_is_nothing_limited():
    result = SimpleNamespace(source=Source.POLICY, command=None)
    share = LimiterShare(0.01)
    assert not any(share.note(result, k * DT_NS) for k in range(300))

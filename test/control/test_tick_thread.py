# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The tick's thread; no test here judges how fast the machine is."""

from __future__ import annotations

import itertools
import os
import threading

import pytest

from bc_runtime.ros import tick_thread
from bc_runtime.ros.scheduling import prefer_this_thread
from bc_runtime.ros.tick_thread import Tick, TickThread

MS = 1_000_000


def in_a_thread(work) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(timeout=10.0)
    return found[0]


def test_ticks_count_up_and_deadlines_stay_on_their_grid() -> None:
    ticks: list[Tick] = []
    enough = threading.Event()

    def work(tick: Tick) -> None:
        ticks.append(tick)
        if len(ticks) == 20:
            enough.set()

    thread = TickThread(work, period_ns=2 * MS)
    thread.start()
    assert enough.wait(timeout=20.0)
    thread.stop()
    assert [tick.index for tick in ticks] == list(range(len(ticks)))
    for before, after in itertools.pairwise(ticks):
        skipped = after.missed - before.missed
        assert after.due_ns - before.due_ns == (1 + skipped) * 2 * MS, 'missed ticks are skipped'


def test_priority_is_of_the_calling_thread_alone() -> None:
    before = os.sched_getscheduler(0)

    def ask() -> tuple[bool, int]:
        return prefer_this_thread(5), os.sched_getscheduler(0)

    granted, policy = in_a_thread(ask)
    if not granted:
        pytest.skip('no permission for SCHED_FIFO')
    assert policy == os.SCHED_FIFO
    assert os.sched_getscheduler(0) == before


def test_a_refused_priority_is_said_and_the_tick_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, 'sched_setscheduler', refuse)
    ticked = threading.Event()
    thread = TickThread(lambda _: ticked.set(), period_ns=2 * MS, priority=40)
    remarks = thread.start()
    assert ticked.wait(timeout=20.0)
    thread.stop()
    assert len(remarks) == 1
    assert 'rtprio' in remarks[0]


def test_messages_make_way_for_a_tick_that_comes_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regressions pinned: a flood held the interpreter at the deadline, so the tick came late."""
    slept: list[float] = []
    now_ns = [0]
    monkeypatch.setattr(tick_thread.time, 'monotonic_ns', lambda: now_ns[0])
    monkeypatch.setattr(tick_thread.time, 'sleep', slept.append)
    thread = TickThread(lambda _: None, period_ns=10 * MS)
    thread._due_ns = 100 * MS
    for at_ns in (0, 90 * MS, 99 * MS, 100 * MS, 101 * MS, 500 * MS):
        now_ns[0] = at_ns
        thread.make_way()
    assert slept == [], 'there is time for a message, or the tick has begun, or it hangs'
    now_ns[0] = 100 * MS - 300_000
    thread.make_way()
    (wait_s,) = slept
    assert 300e-6 <= wait_s < 500e-6


def test_the_deadline_that_messages_look_at_is_the_next_one() -> None:
    seen: list[tuple[int, int]] = []
    enough = threading.Event()

    def work(tick: Tick) -> None:
        seen.append((tick.due_ns, thread._due_ns))
        if len(seen) == 5:
            enough.set()

    thread = TickThread(work, period_ns=2 * MS)
    thread.start()
    assert enough.wait(timeout=20.0)
    thread.stop()
    for (due_ns, told_ns), (after_ns, _) in itertools.pairwise(seen):
        assert told_ns <= due_ns < after_ns, 'within a tick its own deadline, or one before'
    assert thread._due_ns > seen[-1][0]

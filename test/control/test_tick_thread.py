# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The tick's thread; no test here judges how fast the machine is."""

from __future__ import annotations

import itertools
import os
import threading

import pytest

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


def test_messages_make_way_for_a_tick_that_comes_now() -> None:
    """Regressions pinned: a flood held the interpreter at the deadline, so the tick came late."""
    over, within = threading.Event(), threading.Event()
    seen: list[bool] = []

    def work(_: Tick) -> None:
        within.set()
        # The other thread asks meanwhile, and is let in before the period is over.
        over.wait(timeout=0.02)
        seen.append(over.is_set())
        over.set()

    thread = TickThread(work, period_ns=1_000 * MS)
    thread.start()
    assert within.wait(timeout=20.0)
    thread.make_way()
    assert over.is_set(), 'it returned while the tick was working'
    assert seen == [False]
    thread.make_way()  # the next deadline is far: a message has time
    thread.stop()


def test_messages_do_not_wait_for_a_tick_that_hangs() -> None:
    go_on, within = threading.Event(), threading.Event()

    def work(_: Tick) -> None:
        within.set()
        go_on.wait(timeout=60.0)

    thread = TickThread(work, period_ns=20 * MS)
    thread.start()
    assert within.wait(timeout=20.0)
    thread.make_way()
    assert not go_on.is_set()
    go_on.set()
    thread.stop()

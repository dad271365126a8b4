# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Any order of requests, loads, failures, rollbacks and restarts, against an oracle of its own."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
import pytest

from bc_runtime.policy import NoPolicy, SlotBusy, SlotState
from bc_runtime.policy.exchange import Job, PolicyExchange, Purpose
from bc_runtime.policy.retry import ENOUGH

NAMES = ('a', 'b', 'c')
FIRST = 'a'
#: What ends everything happens seldom, so that long stories come about.
DICE = st.integers(0, 9)
SELDOM = 7
#: What may follow LOADING, by what is loaded.
OUTCOMES = {
    Purpose.SWAP: {SlotState.READY, SlotState.FAILED},
    Purpose.ROLLBACK: {SlotState.READY, SlotState.FAILED},
    Purpose.REBUILD: {SlotState.READY, SlotState.BROKEN},
}


class ExchangeMachine(RuleBasedStateMachine):
    """A process with files, sessions, an operator, a controller, and a supervisor behind it."""

    @initialize(keep_before=st.booleans())
    def start(self, keep_before: bool) -> None:
        self.keep_before = keep_before
        self.files = {name: f'{name}0' for name in NAMES}
        self.kept = ''
        """What a process after this one begins with; empty: what the command line says."""
        self.restart()

    def restart(self) -> None:
        self.exchange = PolicyExchange(keep_before=self.keep_before)
        self.sessions: set[int] = set()
        self.jobs: list[tuple[Job, str]] = []  # all there ever were, with the id of their file
        self.waiting: Job | None = None
        self.unusable: set[int] = set()
        self.away: set[str] = set()
        self.chunks = 0
        self.rebuilds = self.given_up = 0
        self.generation = 0
        self.active: tuple[str, str] | None = None  # requested, policy id
        self.next: tuple[Purpose, str] | None = None  # purpose and id of what takes over next
        self.settle()
        self.begin(self.exchange.request(self.kept or FIRST))

    # The caller's duties -------------------------------------------------------------------

    def begin(self, job: Job) -> None:
        self.next = None
        self.waiting = job
        self.jobs.append((job, self.files[job.requested]))
        assert self.exchange.status.state is SlotState.LOADING
        self.settle()

    def settle(self) -> None:
        """Drop what is not held; what is held must not have been dropped before."""
        assert self.exchange.held <= self.sessions, 'a session is needed that was dropped'
        self.sessions &= self.exchange.held
        while self.exchange.changes:
            change = self.exchange.changes.popleft()
            if change.state is SlotState.BROKEN:
                self.given_up += 1
            if change.state is SlotState.IDLE:
                assert change.active is not None
                self.kept = change.active.requested

    def unchanged(self, call: Any) -> None:
        before = (self.exchange.status, self.exchange.held, self.exchange.before)
        call()
        assert (self.exchange.status, self.exchange.held, self.exchange.before) == before
        assert not self.exchange.changes

    # Events ----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES))
    def request(self, name: str) -> None:
        if self.waiting is not None:
            with pytest.raises(SlotBusy):
                self.exchange.request(name)
            return
        self.rebuilds = self.given_up = 0
        self.begin(self.exchange.request(name))

    @rule(name=st.sampled_from(NAMES))
    def swap_in(self, name: str) -> None:
        """Everything goes well, so that there is an active policy most of the time."""
        if self.waiting is None:
            self.request(name)
        self.outcome(good=True)
        self.take()

    @precondition(lambda self: self.waiting is not None)
    @rule()
    def load_ends_well(self) -> None:
        self.outcome(good=True)
        self.take()

    @rule(name=st.sampled_from(NAMES))
    def change_file(self, name: str) -> None:
        self.files[name] = f'{name}{int(self.files[name][1:]) + 1}'

    @rule(data=st.data(), good=st.booleans())
    def late_outcome(self, data: st.DataObject, good: bool) -> None:
        """A load of before ends, or one ends twice."""
        job, policy_id = data.draw(st.sampled_from(self.jobs))
        if job is not self.waiting:
            self.unchanged(
                (lambda: self.exchange.loaded(job.ticket, policy_id))
                if good
                else (lambda: self.exchange.failed(job.ticket, 'late'))
            )

    @precondition(lambda self: self.waiting is not None)
    @rule(good=st.sampled_from((True, True, True, False)))
    def outcome(self, good: bool) -> None:
        job, policy_id = self.jobs[-1]
        assert job is self.waiting
        self.waiting = None
        changed = job.purpose is not Purpose.SWAP and policy_id != job.expected_id
        if good:
            needed = self.exchange.loaded(job.ticket, policy_id)
            assert needed == (not changed)
        else:
            self.exchange.failed(job.ticket, 'damaged')
        if good and not changed:
            self.sessions.add(job.ticket)
            self.next = job.purpose, policy_id
            assert self.exchange.status.state is SlotState.READY
        else:
            self.unusable.add(job.ticket)
            assert self.exchange.status.state in OUTCOMES[job.purpose] - {SlotState.READY}
            assert self.exchange.status.reason
        self.settle()

    @rule()
    def take(self) -> None:
        taken = self.exchange.take(chunks=self.chunks)
        assert (taken is None) == (self.next is None)
        if taken is None or self.next is None:
            return
        (purpose, policy_id), self.next = self.next, None
        old, self.active = self.active, (taken.requested, policy_id)
        self.generation += 1
        assert taken.policy_id == policy_id
        assert taken.ticket in self.sessions
        assert taken.ticket not in self.unusable, 'a policy that was refused is active'
        if purpose is Purpose.SWAP:
            self.away.discard(policy_id)
        elif purpose is Purpose.REBUILD:
            assert old is not None and old[1] == policy_id, 'a new session is of the same policy'
        else:
            assert policy_id not in self.away, 'a policy that was sent away is active'
            if old is not None:
                self.away.add(old[1])
        self.settle()

    @rule()
    def rollback(self) -> None:
        before = self.exchange.before
        if self.waiting is not None or before is None:
            with pytest.raises(SlotBusy if self.waiting is not None else NoPolicy):
                self.exchange.rollback('it')
            return
        assert self.active is not None
        if self.next is not None and self.next[0] is Purpose.ROLLBACK:
            self.unchanged(lambda: self.exchange.rollback('it'))
            return
        there = before.ticket in self.sessions
        job = self.exchange.rollback('it')
        assert (job is None) == there
        if job is not None:
            self.begin(job)
        else:
            self.next = Purpose.ROLLBACK, before.policy_id
            self.settle()

    @precondition(lambda self: self.active is not None)
    @rule(execute=st.booleans())
    def chunk(self, execute: bool) -> None:
        assert self.active is not None
        self.chunks += 1
        self.exchange.succeeded(self.generation)
        if execute:
            self.exchange.executed(self.active[1], self.chunks)
        self.settle()

    @precondition(lambda self: self.active is not None)
    @rule()
    def many_chunks(self) -> None:
        for _ in range(ENOUGH):
            self.exchange.succeeded(self.generation)
        if self.rebuilds:
            self.rebuilds = self.given_up = 0

    @rule(age=st.integers(0, 2))
    def raises(self, age: int) -> None:
        generation = self.generation - age
        job = self.exchange.raised(generation, 'out of memory')
        if job is not None:
            assert age == 0, 'the policy that raised is not active any more'
            assert self.next is None and self.waiting is None
            assert self.active is not None
            assert (job.purpose, job.expected_id) == (Purpose.REBUILD, self.active[1])
            self.rebuilds += 1
            self.begin(job)
        self.settle()

    @rule()
    def robot_is_started(self) -> None:
        self.exchange.begin_anew()
        self.rebuilds = self.given_up = 0

    @rule(dice=DICE)
    def process_is_replaced(self, dice: int) -> None:
        """The next process comes back with what was active in this one."""
        if dice != SELDOM:
            return
        active = self.active
        self.restart()
        assert self.waiting is not None
        wanted = active[0] if active is not None else self.kept or FIRST
        assert self.waiting.requested == wanted

    @rule(dice=DICE)
    def close(self, dice: int) -> None:
        if dice != SELDOM:
            return
        self.exchange.close()
        assert not self.exchange.held
        assert self.exchange.take(chunks=self.chunks) is None
        for job, policy_id in self.jobs:
            self.unchanged(lambda job=job, policy_id=policy_id: self.exchange.loaded(
                job.ticket, policy_id))  # fmt: skip
        self.restart()

    # What always holds -------------------------------------------------------------------------

    @invariant()
    def one_policy_is_active(self) -> None:
        status = self.exchange.status
        active = status.active
        assert (None if active is None else (active.requested, active.policy_id)) == self.active
        assert status.generation == self.generation
        assert (status.state is SlotState.LOADING) == (self.waiting is not None)
        assert (self.exchange.candidate is not None) == (self.next is not None)
        assert len(self.exchange.held) <= 3

    @invariant()
    def a_rollback_goes_somewhere_else(self) -> None:
        before = self.exchange.before
        if before is not None:
            assert self.active is not None and before.policy_id != self.active[1]
            assert before.policy_id not in self.away
            assert before.ticket not in self.unusable

    @invariant()
    def nothing_is_tried_for_ever(self) -> None:
        assert self.rebuilds <= 1
        assert self.given_up <= 1


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)

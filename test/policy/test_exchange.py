# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of the policy exchange; every order of events is in `test_exchange_machine`."""

from __future__ import annotations

import pytest

from bc_runtime.policy import NoPolicy, SlotBusy, SlotState
from bc_runtime.policy.exchange import PolicyExchange


@pytest.fixture
def exchange() -> PolicyExchange:
    return PolicyExchange(keep_before=True)


def take(exchange: PolicyExchange, name: str, *, chunks: int = 0, as_name: str = '') -> int:
    ticket = exchange.request(as_name or name).ticket
    assert exchange.loaded(ticket, name)
    assert exchange.take(chunks=chunks) is not None
    return ticket


def back(exchange: PolicyExchange) -> str:
    return '' if exchange.before is None else exchange.before.requested


def test_a_rollback_goes_to_the_policy_before(exchange: PolicyExchange) -> None:
    take(exchange, 'a')
    assert exchange.before is None
    take(exchange, 'b')
    assert back(exchange) == 'a'


def test_the_same_policy_once_more_has_the_same_one_before_it(exchange: PolicyExchange) -> None:
    """Regressions pinned: a model that was set twice was rolled back to itself."""
    take(exchange, 'a')
    first = take(exchange, 'a', as_name='a/other/path')
    assert exchange.before is None, 'there was no other policy'
    take(exchange, 'b')
    take(exchange, 'b')
    assert back(exchange) == 'a/other/path'
    assert first in exchange.held
    exchange.executed('b', 1)
    assert back(exchange) == 'a/other/path'
    assert first not in exchange.held, 'it has proven itself'
    take(exchange, 'b', chunks=5)
    assert back(exchange) == 'a/other/path'


def test_a_policy_that_acted_is_gone_back_to_although_it_was_set_again(
    exchange: PolicyExchange,
) -> None:
    """Regressions pinned: set once more, it counted as one that had never acted."""
    for number, name in enumerate(('z', 'a')):
        take(exchange, name, chunks=number)
        exchange.executed(name, number + 1)
    again = take(exchange, 'a', chunks=2)
    take(exchange, 'b', chunks=2)
    assert back(exchange) == 'a'
    assert again in exchange.held


def test_a_session_that_is_still_there_takes_over_without_a_load(exchange: PolicyExchange) -> None:
    first = take(exchange, 'a')
    take(exchange, 'b')
    assert exchange.rollback('b') is None
    session = exchange.take(chunks=0)
    assert session is not None
    assert session.ticket == first
    assert exchange.status.remark == 'rolled back to a: b was sent away'


def test_a_second_rollback_does_not_bring_back_what_was_sent_away(
    exchange: PolicyExchange,
) -> None:
    """Regressions pinned: two senders of a rollback made the rejected policy active again."""
    take(exchange, 'a')
    take(exchange, 'b')
    exchange.rollback('b')
    exchange.take(chunks=0)
    with pytest.raises(NoPolicy, match='no other policy'):
        exchange.rollback('a')


def test_a_rollback_that_is_asked_for_twice_keeps_the_session_that_is_there(
    exchange: PolicyExchange,
) -> None:
    """Regressions pinned: a chunk executed meanwhile made the second one load the file again."""
    first = take(exchange, 'a')
    take(exchange, 'b')
    assert exchange.rollback('b') is None
    exchange.executed('b', 1)
    assert exchange.rollback('b') is None
    session = exchange.take(chunks=1)
    assert session is not None
    assert session.ticket == first


def test_a_late_rollback_does_not_bring_back_what_had_no_chunk_executed(
    exchange: PolicyExchange,
) -> None:
    """Regressions pinned: a swap just before the rollback made it end at the rejected policy."""
    take(exchange, 'a')
    exchange.executed('a', 1)
    take(exchange, 'b', chunks=3)
    take(exchange, 'c', chunks=3)
    assert back(exchange) == 'a'


def test_a_policy_that_was_set_back_by_hand_is_not_rolled_back_to_the_one_it_replaced(
    exchange: PolicyExchange,
) -> None:
    take(exchange, 'a')
    take(exchange, 'b')
    take(exchange, 'a')
    assert exchange.before is None


def test_a_rollback_to_a_file_that_has_changed_is_refused(exchange: PolicyExchange) -> None:
    take(exchange, 'a')
    take(exchange, 'b')
    exchange.executed('b', 1)
    job = exchange.rollback('b')
    assert job is not None
    assert not exchange.loaded(job.ticket, 'another a')
    assert exchange.status.state is SlotState.FAILED
    assert 'a has changed; set the parameter model' in exchange.status.reason
    assert exchange.take(chunks=9) is None


def test_a_rollback_waits_for_a_load(exchange: PolicyExchange) -> None:
    take(exchange, 'a')
    take(exchange, 'b')
    exchange.request('c')
    with pytest.raises(SlotBusy, match="'c' is still being loaded"):
        exchange.rollback('b')


def test_a_session_that_cannot_be_made_anew_is_told_once(exchange: PolicyExchange) -> None:
    take(exchange, 'a')
    job = exchange.raised(1, 'out of memory')
    assert job is not None
    assert job.expected_id == 'a'
    assert exchange.status.remark == 'the session is made anew: out of memory'
    exchange.failed(job.ticket, 'gone')
    assert (exchange.status.state, exchange.status.reason) == (
        SlotState.BROKEN,
        'no new session: gone',
    )
    told = len(exchange.changes)
    assert exchange.raised(1, 'out of memory') is None
    assert len(exchange.changes) == told


def test_a_failed_inference_of_an_older_policy_says_nothing_about_this_one(
    exchange: PolicyExchange,
) -> None:
    take(exchange, 'a')
    take(exchange, 'b')
    assert exchange.raised(1, 'late') is None
    assert exchange.status.state is SlotState.IDLE

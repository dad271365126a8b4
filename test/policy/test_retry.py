# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from bc_runtime.policy.retry import ENOUGH, OneRetry, Remedy


def test_the_session_is_made_anew_once_and_then_given_up_once() -> None:
    retry = OneRetry()
    assert retry.failed(1, loading=False) is Remedy.REBUILD
    assert retry.failed(1, loading=True) is Remedy.WAIT
    assert retry.failed(1, loading=False) is Remedy.WAIT, 'the new one has not taken over yet'
    assert retry.failed(2, loading=False) is Remedy.GIVE_UP
    assert retry.failed(2, loading=False) is Remedy.WAIT


def test_while_something_else_is_loaded_that_comes_next() -> None:
    assert OneRetry().failed(1, loading=True) is Remedy.WAIT


def test_a_session_that_cannot_be_made_is_the_end_of_it() -> None:
    retry = OneRetry()
    retry.failed(1, loading=False)
    assert retry.cannot_rebuild() is Remedy.GIVE_UP
    assert retry.failed(1, loading=False) is Remedy.WAIT


def test_whoever_starts_again_gets_another_retry() -> None:
    retry = OneRetry()
    retry.failed(1, loading=False)
    retry.failed(2, loading=False)
    retry.begin_anew()
    assert retry.failed(2, loading=False) is Remedy.REBUILD


def test_one_that_raises_now_and_then_is_not_made_anew_for_ever() -> None:
    retry = OneRetry()
    retry.failed(1, loading=False)
    for _ in range(ENOUGH - 1):
        retry.succeeded(2)
    assert retry.failed(2, loading=False) is Remedy.GIVE_UP


def test_after_many_good_ones_the_retry_is_forgotten() -> None:
    retry = OneRetry()
    retry.failed(1, loading=False)
    for _ in range(ENOUGH):
        retry.succeeded(1)  # the old session, still
    assert retry.failed(1, loading=False) is Remedy.WAIT
    for _ in range(ENOUGH):
        retry.succeeded(2)
    assert retry.failed(2, loading=False) is Remedy.REBUILD

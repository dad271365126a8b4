# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from bc_runtime.safety import RestartCount


def count() -> RestartCount:
    return RestartCount(most=3, window_s=60.0)


def test_the_first_process_is_no_restart_and_neither_is_the_same_one() -> None:
    one = count()
    assert not one.see([], 0.0)
    for at_s in range(10):
        assert not one.see([b'a'], float(at_s))
    assert one.text == ''


def test_the_third_restart_within_the_window_is_too_many() -> None:
    one = count()
    seen = [one.see([name], 10.0 * k) for k, name in enumerate([b'a', b'b', b'c', b'd'])]
    assert seen == ['', '', '', '3 restarts within 60 s']
    assert one.text == '3 restarts within 60 s'
    assert not one.see([b'd'], 40.0), 'it is told once'
    assert one.text, 'but lasts until a policy is ready'
    one.ready()
    assert one.text == ''


def test_the_dead_may_linger() -> None:
    one = count()
    one.see([b'a'], 0.0)
    assert not one.see([b'a', b'b'], 1.0)
    assert not one.see([b'b', b'c'], 2.0)
    assert one.see([b'a', b'b', b'c', b'd'], 3.0)


def test_restarts_that_lie_far_apart_do_not_count_together() -> None:
    one = count()
    assert not any(one.see([bytes([k])], 31.0 * k) for k in range(20))


def test_several_that_came_between_two_looks_are_all_counted() -> None:
    one = count()
    one.see([b'a'], 0.0)
    assert one.see([b'b', b'c', b'd'], 1.0)


def test_a_process_that_says_so_itself_is_believed_once() -> None:
    one = count()
    assert not one.hear(100, 0)
    assert not one.hear(101, 2)
    assert one.hear(102, 3)
    assert one.text == '3 restarts within 60 s'
    one.ready()
    assert not one.hear(102, 3), 'a swap of its policy is no restart'
    assert one.text == ''
    assert one.hear(103, 3)


def test_what_the_supervisor_has_told_is_not_counted_again() -> None:
    """Regressions pinned: seen after it was ready, the third process forbade every reset."""
    one = count()
    one.see([b'a'], 0.0)
    one.hear(100, 0)
    for restarts in (1, 2):
        assert not one.see([b'a', bytes([restarts])], float(restarts))
        assert not one.hear(100 + restarts, restarts)
        one.ready()
    assert one.hear(103, 3)
    one.ready()
    assert not one.see([b'a', b'd'], 3.5)
    assert one.text == ''


def test_a_process_that_is_heard_before_it_is_seen_forbids_no_reset() -> None:
    """Regressions pinned: what the middleware told late came after the policy had been proven."""
    one = count()
    for k in range(4):
        assert not one.hear(100 + k, 0)
        one.ready()
        seen = one.see([bytes([k])], float(k))
    assert seen == '3 restarts within 60 s', 'it is a fault all the same'
    assert one.text == ''
    # One that died before it could say anything was not it.
    unheard = count()
    unheard.hear(100, 0)
    unheard.ready()
    for k in range(4):
        unheard.see([bytes([k])], float(k))
    assert unheard.text


def test_after_a_reset_the_next_death_within_the_window_is_too_many_again() -> None:
    one = count()
    for k in range(4):
        one.see([bytes([k])], float(k))
    one.ready()
    assert one.see([b'e'], 30.0)

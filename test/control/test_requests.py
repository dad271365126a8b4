# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that nobody waits for any more start nothing; what a person must end is never lost.

Regressions pinned: a start that the tick did not answer in time was refused, and acted when the
tick went on. Cleanup and configure dropped a latched emergency stop.
"""

from __future__ import annotations

import threading

from loop_rig import POLICY, SPEC, Rig
import pytest

from bc_runtime.ros import asking
from bc_runtime.safety import Event, Flag, State


def ask(rig: Rig, event: Event, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str]:
    """Ask while the tick stands still."""
    monkeypatch.setattr(asking, 'ANSWER_TIMEOUT_S', 0.01)
    return asking.answer_of(
        lambda reply: rig.loop.post(event, reply), threading.Lock(), take_back=rig.loop.take_back
    )


def test_a_start_that_was_not_answered_in_time_does_not_start_later(monkeypatch):
    rig = Rig().ready()
    accepted, text = ask(rig, Event.START, monkeypatch)
    assert not accepted
    assert 'did not answer' in text
    assert rig.run(0.5).state is State.READY


def test_a_stop_that_was_not_answered_in_time_stops_later(monkeypatch):
    rig = Rig().auto()
    assert not ask(rig, Event.STOP, monkeypatch)[0]
    assert rig.run(0.5).state is State.READY


def test_only_the_request_of_who_has_left_is_taken_back():
    rig = Rig().ready()
    answers: list[tuple[bool, str]] = []

    def gone(accepted: bool, text: str) -> None:
        answers.append((accepted, text))

    rig.loop.post(Event.RESET, gone)
    rig.post(Event.START)
    rig.loop.take_back(gone)
    assert rig.run(0.5).state is State.AUTO
    assert answers == []


def again(rig: Rig) -> Rig:
    """Do what cleanup, configure and activate do to the loop."""
    new = Rig(t=rig.t, position=rig.position)
    new.loop.inherit(rig.loop)
    new.loop.set_policy(POLICY, SPEC)
    new.run(0.05)
    new.post(Event.CONFIGURED)
    new.post(Event.ACTIVATE)
    new.run(0.05)
    return new


@pytest.mark.parametrize('flag', [Flag.ESTOP, Flag.TRACKING_ERROR])
@pytest.mark.parametrize('held', [False, True])
def test_cleanup_and_configure_keep_what_only_a_reset_ends(flag, held):
    rig = Rig().auto()
    epoch = rig.loop.epoch
    if flag is Flag.ESTOP:
        rig.loop.on_estop(True)
    else:
        rig.loop.fail(flag, 'x')
    rig.run(1.0)
    state = rig.loop.state
    assert state in (State.ESTOP, State.FAULT)
    if flag is Flag.ESTOP and not held:
        rig.loop.on_estop(False)
    rig.post(Event.DEACTIVATE)
    assert rig.run(0.1).state is State.INACTIVE
    rig = again(rig)
    assert rig.loop.state is state
    assert rig.loop.epoch > epoch, 'a chunk of the old life is of an old epoch'
    rig.post(Event.RESET)
    rig.run(0.02)
    still = flag is Flag.ESTOP and held
    assert rig.loop.state is (state if still else State.READY)
    rig.loop.on_estop(False)
    rig.post(Event.RESET)
    rig.post(Event.START)
    assert rig.run(2.0).state is State.AUTO

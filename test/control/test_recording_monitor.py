# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from bc_runtime.control.recording_monitor import RecordingMonitor
from bc_runtime.safety import DEFAULT_RULES, Flag, Severity

S = 1_000_000_000


def raised(one: RecordingMonitor, at_s: float) -> set[Flag]:
    return {flag for flag, text in one.flags(round(at_s * S)).items() if text}


def say(one: RecordingMonitor, at_s: float, **what: object) -> None:
    fields = {'over': False, 'recording': True, 'problem': '', **what}
    one.update(arrival_ns=round(at_s * S), **fields)


def test_without_an_episode_nothing_is_missed() -> None:
    assert raised(RecordingMonitor(), 1000.0) == set()


def test_a_recorder_that_falls_silent_is_lost_and_found() -> None:
    one = RecordingMonitor()
    say(one, 10.0)
    assert raised(one, 13.0) == set()
    assert raised(one, 13.6) == {Flag.RECORDER_LOST}
    say(one, 14.0)
    assert raised(one, 14.1) == set()


def test_after_the_end_of_an_episode_silence_is_normal() -> None:
    one = RecordingMonitor()
    say(one, 10.0, problem='12 messages dropped')
    assert one.flags(10 * S)[Flag.RECORDER_DEGRADED] == '12 messages dropped'
    say(one, 11.0, over=True, recording=False, problem='12 messages dropped')
    assert raised(one, 100.0) == set()


def test_a_bag_that_ended_by_itself_is_told_until_somebody_ends_the_episode() -> None:
    one = RecordingMonitor()
    say(one, 10.0, recording=False, problem='the disk is full')
    assert raised(one, 100.0) == {Flag.RECORDER_DEGRADED}
    say(one, 101.0, over=True, recording=False, problem='the disk is full')
    assert raised(one, 102.0) == set()


def test_no_recording_is_worth_a_stop() -> None:
    for flag in (Flag.RECORDER_DEGRADED, Flag.RECORDER_LOST):
        assert DEFAULT_RULES[flag].severity is Severity.WARN

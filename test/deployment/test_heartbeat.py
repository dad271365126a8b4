# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
import os

import pytest

from bc_runtime.heartbeat import (
    FOR_EVER,
    Heartbeat,
    HeartbeatWatch,
    Patience,
    heartbeat_of_process,
)


class Desk:
    """A heart and who listens to it, at times that the test chooses."""

    def __init__(self) -> None:
        self.wanted, self.loading = True, False
        ours, self.its = os.pipe()
        self.heart = Heartbeat(self.its, wanted=lambda: self.wanted, loading=lambda: self.loading)
        self.now_s = 100.0
        self.watch = HeartbeatWatch(ours, now_s=self.now_s)

    def silence(self, seconds: float = 0.0) -> float:
        """Let the supervisor look ten times a second for so long; return what it says then."""
        silence_s = self.watch.silence_s(self.now_s)
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            silence_s = self.watch.silence_s(self.now_s)
        return silence_s


@pytest.fixture
def desk() -> Iterator[Desk]:
    one = Desk()
    yield one
    one.watch.close()
    os.close(one.its)


def test_who_has_not_begun_is_waited_for(desk: Desk) -> None:
    assert desk.silence(1000.0) == 0.0


def test_an_idle_process_that_is_wanted_must_beat(desk: Desk) -> None:
    desk.heart.beat()
    assert desk.silence(1.9) == 0.0
    desk.heart.beat()
    assert desk.silence(1.9) == 0.0
    assert desk.silence(0.2) == pytest.approx(2.1)


@pytest.mark.parametrize('why', ['not wanted', 'loading'])
def test_nobody_is_hurried_who_is_not_wanted_or_loads(desk: Desk, why: str) -> None:
    desk.wanted, desk.loading = why != 'not wanted', why == 'loading'
    desk.heart.beat()
    assert desk.silence(100.0) == 0.0


def test_an_inference_has_its_own_time_and_no_beats(desk: Desk) -> None:
    desk.heart.begin(3.0)
    desk.silence(0.1)
    for _ in range(28):
        desk.heart.beat()
        assert desk.silence(0.1) == 0.0
    assert desk.silence(0.2) > 3.0


def test_an_inference_that_hangs_is_seen_although_the_robot_has_stopped_since(desk: Desk) -> None:
    desk.heart.begin(2.0)
    desk.silence(0.1)
    desk.wanted = False
    desk.heart.beat()
    assert desk.silence(2.1) > 2.0


def test_the_time_of_an_inference_begins_again_after_a_load(desk: Desk) -> None:
    desk.heart.begin(2.0)
    desk.loading = True
    desk.heart.beat()
    assert desk.silence(100.0) == 0.0
    desk.loading = False
    desk.heart.beat()
    assert desk.silence(1.9) == 0.0
    assert desk.silence(0.3) > 2.0


def test_a_supervisor_that_slept_itself_knows_nothing(desk: Desk) -> None:
    desk.heart.beat()
    desk.silence()
    desk.now_s += 60.0
    assert desk.silence() == 0.0
    assert desk.silence(2.1) > 2.0


def test_a_pipe_that_nobody_reads_holds_nobody_up(desk: Desk) -> None:
    for _ in range(30_000):
        desk.heart.beat()
    desk.heart.stop()
    assert desk.silence(3.0) in (0.0, pytest.approx(3.0, abs=0.2))


def test_the_end_of_work_is_no_silence(desk: Desk) -> None:
    desk.heart.start()
    desk.heart.stop()
    assert desk.silence(10.0) == 0.0


def test_half_a_line_waits_for_its_other_half(desk: Desk) -> None:
    os.write(desk.its, b'0.000\n2.0')
    assert desk.silence(5.0) == 0.0
    os.write(desk.its, b'00\n')
    assert desk.silence(2.1) > 2.0


def test_without_a_supervisor_a_heart_beats_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('BC_HEARTBEAT', raising=False)
    heart = heartbeat_of_process(wanted=lambda: True, loading=lambda: False)
    heart.begin(-1.0)
    heart.beat()
    heart.finish()


def test_patience_is_two_seconds_or_five_times_the_slowest_but_one_in_a_hundred() -> None:
    patience = Patience()
    assert patience.limit_s == 2.0
    patience.restart(float('nan'))
    assert patience.limit_s == 2.0
    patience.restart(1.0)
    assert patience.limit_s == 5.0
    for _ in range(199):
        patience.note(0.6)
    assert patience.limit_s == pytest.approx(3.0)
    patience.restart(0.1)
    assert patience.limit_s == 2.0
    assert FOR_EVER == 0.0

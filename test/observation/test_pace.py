# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""When the next observation is made, whatever a stamp says."""

from __future__ import annotations

import pytest

from bc_runtime.observation.pace import Pace

S = 1_000_000_000
PERIOD = S // 10


class Camera:
    """Frames as a camera stamps them; `offer` is what the node does with each."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.now = 1000 * S
        self.published: list[int] = []

    def offer(self, stamp: int) -> None:
        if self.pace.take(stamp, period_ns=PERIOD, now_ns=self.now):
            self.published.append(stamp)

    def frames(self, number: int, *, every_ns: int = S // 30) -> int:
        """Take frames of a camera as they come; return how many observations that gave."""
        before = len(self.published)
        for _ in range(number):
            self.now += every_ns
            self.offer(self.now - 10_000_000)
        return len(self.published) - before


@pytest.mark.parametrize('ahead_s', [0.2, 0.9, 0.99, 5.0])
def test_one_stamp_of_the_future_delays_no_other_observation(ahead_s):
    """Regressions pinned: nothing was observed until the time of that stamp had come."""
    camera = Camera()
    usual = camera.frames(30)
    assert usual in (10, 11)
    camera.offer(camera.now + round(ahead_s * S))
    assert camera.frames(30) >= 9


def test_frames_that_are_not_in_step_give_observations_at_the_rate_on_average():
    camera = Camera()
    assert camera.frames(300) in range(98, 103)

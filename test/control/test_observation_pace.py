# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""When the observation node makes the next observation, whatever a stamp says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bc_runtime.ros.observation_node import ObservationNode

S = 1_000_000_000
PERIOD = S // 10


class Node(ObservationNode):
    """The node's pace without a node; stamps come from the test."""

    def __init__(self) -> None:
        self.now = 1000 * S
        self.stamp: int | None = None
        self.published: list[int] = []
        self._working = True
        self._due_ns = 0
        self._assembler = SimpleNamespace(reference_time=lambda: self.stamp)

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.now))

    def _period_ns(self) -> int:
        return PERIOD

    def _assemble(self, stamp_ns: int) -> int:
        return stamp_ns

    def _publish(self, observation: int) -> None:
        self.published.append(observation)

    def frames(self, number: int, *, every_ns: int = S // 30) -> int:
        """Take frames of a camera as they come; return how many observations that gave."""
        before = len(self.published)
        for _ in range(number):
            self.now += every_ns
            self.stamp = self.now - 10_000_000
            self._publish_if_due()
        return len(self.published) - before


@pytest.mark.parametrize('ahead_s', [0.2, 0.9, 0.99, 5.0])
def test_one_stamp_of_the_future_delays_no_other_observation(ahead_s):
    """Regressions pinned: nothing was observed until the time of that stamp had come."""
    node = Node()
    usual = node.frames(30)
    assert usual in (10, 11)
    node.stamp = node.now + round(ahead_s * S)
    node._publish_if_due()
    assert node.frames(30) >= 9


def test_frames_that_are_not_in_step_give_observations_at_the_rate_on_average():
    node = Node()
    assert node.frames(300) in range(98, 103)

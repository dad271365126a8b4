# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from bc_runtime.observation.stamp_clock import foreign_clock

S = 1_000_000_000
NOW, UPTIME = 1_790_000_000 * S, 5_000 * S


@pytest.mark.parametrize('off_s', [0, -1, 1, 5, -600, 1700])
def test_a_clock_that_was_set_once_is_no_other_clock(off_s: int) -> None:
    assert foreign_clock(NOW + off_s * S, NOW, UPTIME) == ''
    assert foreign_clock(100 * S + off_s * S, 100 * S, UPTIME) == ''


@pytest.mark.parametrize(
    ('stamp_ns', 'now_ns', 'said'),
    [
        (UPTIME - 3 * S, NOW, 'stamps with the uptime of this machine'),
        (9_000_000 * S, NOW, 'are no date'),
        (12 * S, NOW, 'are no date'),
        (0, NOW, 'leaves the stamp empty'),
        (NOW, 30 * S, 'stamps with the system clock, and this node follows /clock'),
        (NOW - 7200 * S, NOW, '2.0 hours off'),
        (NOW + 7200 * S, NOW, '2.0 hours off'),
    ],
)
def test_stamps_of_another_clock_are_named(stamp_ns: int, now_ns: int, said: str) -> None:
    """Regressions pinned: only an age of decades was said."""
    text = foreign_clock(stamp_ns, now_ns, UPTIME)
    assert said in text
    assert '`clock: arrival`' in text

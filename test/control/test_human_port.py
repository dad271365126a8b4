# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What the leader sends and cannot be used is counted, and named where the stream is missed."""

from __future__ import annotations

import math

from loop_rig import ROBOT, S
import pytest

from bc_runtime.control.human_port import HumanPort
from bc_runtime.safety import Flag


@pytest.mark.parametrize(
    ('names', 'values', 'says'),
    [
        (['a'], [0.1], 'without b'),
        (['b', 'c'], [0.1, 0.2], 'without a'),
        (['a', 'b'], [0.1], 'without b'),
        (['a', 'b'], [0.1, math.nan], 'b is nan'),
    ],
)
def test_messages_that_cannot_be_used_are_counted_and_named(names, values, says):
    """Regressions pinned: the stream was called silent while such messages came."""
    port = HumanPort(ROBOT, 'absolute')
    assert port.flags(0)[Flag.HUMAN_STREAM_STALE] == 'the teleoperation stream is silent'
    port.on_teleop(names, values, arrival_ns=S)
    assert says in port.flags(S)[Flag.HUMAN_STREAM_STALE]
    assert port.dropped == 1
    assert port.target() is None
    port.on_teleop(['a', 'b'], [0.1, 0.2], arrival_ns=S)
    assert Flag.HUMAN_STREAM_STALE not in port.flags(S)

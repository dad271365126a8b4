# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The soak's own judgement: motion that nobody asked for is found, what was asked for is not."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest
from soak import Soak, seconds

NS = 1_000_000_000


def event(at_s, previous, state, code):
    stamp = SimpleNamespace(sec=int(at_s), nanosec=round(at_s % 1 * NS))
    return SimpleNamespace(stamp=stamp, previous_state=previous, state=state, code=code)


def command(at_s, moving):
    return SimpleNamespace(sequence=round(at_s * 100), sent_ns=round(at_s * NS), moving=moving)


def explained(events, commands):
    wire = SimpleNamespace(commands=commands)
    soak = Soak(SimpleNamespace(witness=SimpleNamespace(events=events, wire=wire)), seed=1)
    soak._explain()
    return soak.unexplained


RUN = [
    event(1.0, 'READY', 'ALIGN', 'STARTED'),
    event(2.0, 'ALIGN', 'AUTO', 'ALIGNED'),
    event(3.0, 'AUTO', 'BRAKING', 'CAMERA_STALE'),
    event(3.2, 'BRAKING', 'HELD', 'CAMERA_STALE'),
    event(5.0, 'HELD', 'READY', 'OPERATOR_STOP'),
]


def test_motion_that_was_asked_for_is_explained():
    assert explained(RUN, [command(t, True) for t in (1.5, 2.5, 3.1)]) == []
    assert explained(RUN, [command(t, False) for t in (3.5, 4.5)]) == []


def test_motion_in_a_state_that_stands_still_is_found():
    assert explained(RUN, [command(4.0, True)]) == ['command 400 moves in HELD']


def test_a_state_that_moves_without_a_word_is_found():
    events = [*RUN[:4], event(4.0, 'HELD', 'ALIGN', 'RECOVERED')]
    assert explained(events, []) == ['HELD to ALIGN [RECOVERED]']


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [('10min', 600.0), ('1h', 3600.0), ('90s', 90.0), ('90', 90.0), ('2m', 120.0)],
)
def test_durations(text, wanted):
    assert seconds(text) == wanted


def test_a_duration_that_cannot_be_read_is_named():
    with pytest.raises(argparse.ArgumentTypeError, match='ten minutes'):
        seconds('ten minutes')

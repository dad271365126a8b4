# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Who sends a stream: one, one after another, or several in turns."""

from __future__ import annotations

from bc_runtime.control.senders import Senders

MS = 1_000_000


def test_publishers_that_take_turns_are_seen_and_a_restarted_one_is_not():
    senders = Senders()
    for k in range(10):
        senders.note(b'driver', k)
        senders.note(None, k)
    for k in range(10, 20):
        senders.note(b'driver, started again', k)
    assert not senders.several(20)
    for k in range(20, 24):
        senders.note(b'driver, started again' if k % 2 else b'joint_state_publisher', k)
    assert senders.several(24) == {b'driver, started again', b'joint_state_publisher'}
    assert not senders.several(24 + 4_000 * MS)

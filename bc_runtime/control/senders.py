# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Senders: does more than one publisher send the same thing on a topic?

Counting the publishers of a topic is not enough: wheels and arms share `joint_states`, and a
publisher may be there and silent. Two that take turns with the same content are one too many. One
that takes the place of another, as a driver that was started again does, is not.
"""

from __future__ import annotations

from collections import deque

#: Changes of the sender count for this long [ns].
_WINDOW_NS = 3_000_000_000
#: So many changes within that time: A, B, A, B.
_CHANGES = 3


class Senders:
    """Watches who sends one stream; give it only messages that are about that stream."""

    def __init__(self) -> None:
        self._sender: bytes | None = None
        self._changes: deque[tuple[int, bytes]] = deque()

    def note(self, sender: bytes | None, t_ns: int) -> None:
        """Take the sender of a message; None where the middleware does not tell it."""
        if sender is None:
            return
        if self._sender is not None and sender != self._sender:
            self._changes.append((t_ns, sender))
        self._sender = sender

    def several(self, now_ns: int) -> frozenset[bytes]:
        """Return those who have been taking turns lately; none where there is only one."""
        while self._changes and now_ns - self._changes[0][0] > _WINDOW_NS:
            self._changes.popleft()
        if len(self._changes) < _CHANGES:
            return frozenset()
        return frozenset(sender for _, sender in self._changes)

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Requests: what was asked for since the last tick, and who waits for the answer."""

from __future__ import annotations

from collections.abc import Callable

from bc_runtime.safety import Event

Reply = Callable[[bool, str], None]

#: Requests after which the robot may move.
_MAY_BEGIN = frozenset(
    {Event.ACTIVATE, Event.START, Event.RESUME, Event.RESET, Event.TAKEOVER_PRESS}
)


class Requests:
    """A queue from one tick to the next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Event, Reply]] = []

    def post(self, event: Event, reply: Reply = lambda _ok, _text: None) -> None:
        """Ask for something."""
        self._waiting.append((event, reply))

    def take_back(self, reply: Reply) -> None:
        """Drop the request of somebody who has left, unless it is one to stop."""
        self._waiting = [
            (event, each)
            for event, each in self._waiting
            if each is not reply or event not in _MAY_BEGIN
        ]

    def __contains__(self, event: Event) -> bool:
        """Return whether this is asked for."""
        return any(each is event for each, _ in self._waiting)

    def take(self) -> list[tuple[Event, Reply]]:
        """Return all requests in their order, and forget them."""
        taken, self._waiting = self._waiting, []
        return taken

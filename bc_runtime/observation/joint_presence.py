# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""JointPresence: which joints still come on a topic that several publishers share.

Wheels, grippers and arms of one robot often publish on one `joint_states`, each its own joints at
its own rate. A message about other joints says nothing about ours, and one that lacks a joint is
no proof that the joint is gone. A joint is missing when none of the messages has held it for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bc_runtime.spec.errors import available


class JointPresence:
    """Remembers when each joint was in a message last.

    Args:
        joints: The joints that are waited for.
        max_age_ns: A joint that was in no message for longer is missing [ns].
    """

    def __init__(self, joints: Iterable[str], max_age_ns: int) -> None:
        self._joints = tuple(dict.fromkeys(joints))
        self._known = frozenset(self._joints)
        self._max_age_ns = max_age_ns
        self._seen_ns: dict[str, int] = {}
        self._first_ns: int | None = None
        self._newest_ns = 0
        self._lacked: tuple[str, ...] = ()

    def is_foreign(self, names: Sequence[str]) -> bool:
        """Return whether a message is about other joints only; one without names is not."""
        return bool(names) and self._known.isdisjoint(names)

    def see(self, names: Sequence[str], t_ns: int) -> bool:
        """Take the names of a message and its time; return whether it holds every joint."""
        held = self._known.intersection(names)
        self._first_ns = t_ns if self._first_ns is None else self._first_ns
        self._newest_ns = t_ns
        self._seen_ns.update(dict.fromkeys(held, t_ns))
        complete = len(held) == len(self._joints)
        self._lacked = () if complete else tuple(j for j in self._joints if j not in held)
        return complete

    def missing(self, t_ns: int) -> tuple[str, ...]:
        """Return the joints that are missing at a time although others have come since."""
        first_ns = self._first_ns
        if first_ns is None:
            return ()
        last_ns = {joint: self._seen_ns.get(joint, first_ns) for joint in self._joints}
        return tuple(
            joint
            for joint, seen_ns in last_ns.items()
            if t_ns - seen_ns > self._max_age_ns and seen_ns < self._newest_ns
        )

    def why_incomplete(self) -> str:
        """Return what the messages since the last complete one lack; empty if nothing."""
        if not self._lacked:
            return ''
        missing = self.missing(self._newest_ns)
        if missing:
            return f'messages come, and none holds {available(missing)}'
        return (
            f'no message holds all of {available(self._joints)}; '
            f'the last one lacks {available(self._lacked)}'
        )

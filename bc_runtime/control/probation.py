# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Probation: a policy that takes over from another is believed once a chunk of it was accepted."""

from __future__ import annotations

from dataclasses import dataclass

from bc_runtime.spec import PolicySpec

#: So many rejected chunks before the first accepted one, and the policy before takes over again.
TRIALS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A policy that was sent away.

    Attributes:
        policy_id: Of the policy that was rejected.
        reason: What was wrong with its last chunk.
        back_to: The policy that takes over again.
        spec: Its spec.
    """

    policy_id: str
    reason: str
    back_to: str
    spec: PolicySpec


class Probation:
    """Watches the first chunks of a policy that has just taken over from another one."""

    def __init__(self) -> None:
        self._before: tuple[str, PolicySpec] | None = None
        self._rejected = 0

    def begin(self, before_id: str, before: PolicySpec) -> None:
        """A policy takes over from this one."""
        self._before = (before_id, before)
        self._rejected = 0

    def passed(self) -> None:
        """A chunk of the new policy was accepted: it stays."""
        self._before = None

    def failed(self, policy_id: str, reason: str) -> Rollback | None:
        """A chunk of the new policy was rejected; return what to go back to, if it is time."""
        if self._before is None:
            return None
        self._rejected += 1
        if self._rejected < TRIALS:
            return None
        (back_to, spec), self._before = self._before, None
        return Rollback(policy_id=policy_id, reason=reason, back_to=back_to, spec=spec)

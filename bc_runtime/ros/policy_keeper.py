# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""PolicyKeeper: keeps the policy before the present one until the present one has proven itself.

Going back is then a swap between two inferences and no load. Once the controller executes a chunk
of the new policy, the old one is dropped and only its name stays known.
"""

from __future__ import annotations

from dataclasses import dataclass
import threading

from bc_runtime.policy import Policy


@dataclass(slots=True)
class Kept:
    """A policy and what was asked for to get it; the policy is None once it was dropped."""

    requested: str
    policy: Policy | None


class PolicyKeeper:
    """Remembers what was loaded, what is in charge, and what was before. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: Kept | None = None
        self._present: Kept | None = None
        self._before: Kept | None = None
        self._first_sequence = 0

    def loaded(self, requested: str, policy: Policy) -> None:
        """A policy was loaded; it may or may not take over."""
        with self._lock:
            self._loaded = Kept(requested, policy)

    def forget_loaded(self) -> None:
        """What was loaded last will not take over."""
        with self._lock:
            self._loaded = None

    def rebuilt(self, policy: Policy) -> None:
        """The present policy has a new session; what was before it stays that."""
        with self._lock:
            self._loaded = None
            if self._present is not None:
                self._present.policy = policy

    def took_over(self, policy_id: str, *, chunks: int) -> None:
        """The loaded policy is in charge from now on; so many chunks were made before it."""
        with self._lock:
            new, self._loaded = self._loaded, None
            if new is None or new.policy is None or new.policy.policy_id != policy_id:
                return
            present = self._present
            if present is None or present.policy is None or present.policy.policy_id != policy_id:
                # The same policy once more has no other policy before it than it had.
                self._before = present
            self._present = new
            self._first_sequence = chunks + 1

    def executed(self, policy_id: str, sequence: int) -> None:
        """The controller executes this chunk."""
        with self._lock:
            present, before = self._present, self._before
            if before is None or before.policy is None or present is None:
                return
            mine = present.policy is not None and present.policy.policy_id == policy_id
            if mine and sequence >= self._first_sequence:
                box = [before.policy]
                before.policy = None
                # The last reference may take long to let go: not in the caller's thread.
                del present
                threading.Thread(target=box.clear, name='policy-drop', daemon=True).start()

    @property
    def before(self) -> Kept | None:
        """The policy before the present one, if there was one."""
        with self._lock:
            return (
                None if self._before is None else Kept(self._before.requested, self._before.policy)
            )

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._loaded = self._present = self._before = None

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""OneRetry: what to do when the policy in charge raises. Its session is made anew once."""

from __future__ import annotations

from enum import Enum

#: So many inferences after a retry it is forgotten.
ENOUGH = 100


class Remedy(Enum):
    """What to do about a failed inference."""

    WAIT = 'wait'  # the new session is being made, or nothing would come of it
    REBUILD = 'rebuild'
    GIVE_UP = 'give up'  # told once


class OneRetry:
    """Decides by generations of the slot: a new session is a new generation.

    Another retry is allowed after many inferences that gave a chunk, and once somebody has started
    again (a new epoch) or has chosen another policy.
    """

    def __init__(self) -> None:
        self._rebuilt_from: int | None = None
        self._given_up = False
        self._successes = 0

    def failed(self, generation: int, *, loading: bool) -> Remedy:
        """Take a failed inference of this generation.

        Args:
            generation: Of the policy that failed.
            loading: A candidate is being loaded; whatever it is, it comes next.
        """
        if loading or self._given_up:
            return Remedy.WAIT
        if self._rebuilt_from is None:
            self._rebuilt_from, self._successes = generation, 0
            return Remedy.REBUILD
        if generation == self._rebuilt_from:
            return Remedy.WAIT
        return self.cannot_rebuild()

    def cannot_rebuild(self) -> Remedy:
        """Take that no new session could be made."""
        self._given_up = True
        return Remedy.GIVE_UP

    def succeeded(self, generation: int) -> None:
        """Take an inference that gave a chunk."""
        if self._rebuilt_from is not None and generation != self._rebuilt_from:
            self._successes += 1
            if self._successes >= ENOUGH:
                self.begin_anew()

    def begin_anew(self) -> None:
        """Somebody has started again, or chosen another policy."""
        self._rebuilt_from, self._given_up, self._successes = None, False, 0

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""StampOrder: which messages of a stream are old, and when the sender's clock was set back."""

from __future__ import annotations

#: After this many messages in a row that are older than the newest one, but in order among
#: themselves, the sender's clock was set back (as in `bc_runtime.observation.StreamBuffer`).
STEPPED_BACK_AFTER = 3


class StampOrder:
    """Lets a stream only go forward in its own time."""

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._late_ns: int | None = None
        self._late = 0
        self.dropped = 0
        """Messages that were repeated or came out of order."""

    def is_new(self, stamp_ns: int) -> bool:
        """Take the stamp of the next message; return whether the message counts.

        Args:
            stamp_ns: Of the sender [ns]; 0 means that it gives none, and always counts.
        """
        if stamp_ns == 0 or self._newest_ns is None or stamp_ns > self._newest_ns:
            self._accept(stamp_ns)
            return True
        in_order = self._late_ns is not None and stamp_ns > self._late_ns
        self._late = self._late + 1 if in_order else 1
        self._late_ns = stamp_ns
        if stamp_ns < self._newest_ns and self._late >= STEPPED_BACK_AFTER:
            self._accept(stamp_ns)
            return True
        self.dropped += 1
        return False

    def _accept(self, stamp_ns: int) -> None:
        self._newest_ns = stamp_ns
        self._late_ns, self._late = None, 0

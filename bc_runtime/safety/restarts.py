# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""RestartCount: has the inference process been started again too often?

Counted in two ways. A supervisor that counts (`bc deploy`) tells the new process, which tells the
controller: one that lived for a second only may never have been discovered. What nobody tells (a
person who starts it again) the controller counts itself, from who offers a policy; the middleware
may know a process later than its messages come. The count never stops a motion by itself (what
runs out of plan brakes, whatever is known of processes); it decides whether one may go on.
"""

from __future__ import annotations

from collections.abc import Iterable


class RestartCount:
    """Counts new processes within a window.

    Args:
        most: So many restarts within the window are too many.
        window_s: The window [s].
    """

    def __init__(self, *, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._known: set[bytes] = set()
        self._restarts_s: list[float] = []
        self._pids: set[int] = set()
        self._pid = 0
        self._told = False
        self._proven = False
        self.text = ''
        """Why the policy must not go on; empty if it may."""

    def see(self, processes: Iterable[bytes], now_s: float) -> str:
        """Take who is there now; return what was too much if it has just become so.

        Args:
            processes: Ids, each of one process only. Of the dead some may still be there.
            now_s: Monotonic time [s].
        """
        new = set(processes) - self._known
        restarted = bool(new and self._known)
        self._known |= new
        if not restarted or self._told:
            return ''
        self._restarts_s = [at for at in self._restarts_s if now_s - at < self._window_s]
        self._restarts_s += [now_s] * len(new)
        count = len(self._restarts_s)
        if count < self._most:
            return ''
        # Every process that was seen has been heard, and the newest has its policy: it was heard
        # before it was seen, and says nothing more.
        return self._too_many(count, lasts=not self._proven or len(self._known) > len(self._pids))

    def hear(self, pid: int, restarts: int) -> str:
        """Take what a process says of itself; return what was too much if it has just become so.

        Args:
            pid: Its process id; what it says later is nothing new.
            restarts: How often its supervisor has restarted such a process within the window.
        """
        if pid == self._pid:
            return ''
        self._pid = pid
        self._pids.add(pid)
        self._told |= restarts > 0
        self._proven = False
        if restarts < self._most:
            return ''
        return self._too_many(restarts, lasts=True)

    def _too_many(self, count: int, *, lasts: bool) -> str:
        text = f'{count} restarts within {self._window_s:g} s'
        self.text = text if lasts else ''
        return text

    def ready(self) -> None:
        """The newest process has a policy that is loaded and proven: the cause is gone."""
        self._proven = True
        self.text = ''

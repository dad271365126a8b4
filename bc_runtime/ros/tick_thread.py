# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that ticks on absolute deadlines of the monotonic clock.

A late tick is one late tick: missed deadlines are counted and skipped, never made up for in a
burst. Where the system permits it the thread runs under SCHED_FIFO, which on a busy machine is
what keeps it on time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import os
import sys
import threading
import time

from bc_runtime.ros.scheduling import prefer_this_thread

NS = 1_000_000_000

#: Python lets another thread in after this time; the default of 5 ms is a whole tick at 200 Hz.
_SWITCH_INTERVAL_S = 0.0005
#: So long before a deadline nothing else is begun in this process [ns]: what a message takes.
_WAY_NS = 500_000
#: What the tick's thread takes to wake up [ns].
_BEGIN_NS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One tick.

    Attributes:
        due_ns: Deadline [ns, monotonic].
        late_ns: Start - deadline.
        index: Ticks since the start.
        missed: Deadlines without a tick since the start.
    """

    due_ns: int
    late_ns: int
    index: int
    missed: int


class TickThread:
    """Calls `work(tick)` every period until stopped.

    Args:
        priority: SCHED_FIFO priority 1..99; 0 keeps the normal scheduler.
        cpu: Core to stay on; negative: any.
    """

    def __init__(
        self, work: Callable[[Tick], None], *, period_ns: int, priority: int = 0, cpu: int = -1
    ) -> None:
        self._work = work
        self._period_ns = period_ns
        self._priority = priority
        self._cpu = cpu
        self._due_ns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='tick', daemon=True)
        self.remarks: list[str] = []
        self._begun = threading.Event()

    def start(self) -> list[str]:
        """Start ticking; return what could not be had (real-time priority, CPU)."""
        self._thread.start()
        self._begun.wait(timeout=1.0)
        return self.remarks

    def stop(self) -> None:
        """Stop after the present tick."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def make_way(self) -> None:
        """Wait for the next tick to begin if it comes now; to be called between two messages.

        The tick needs the interpreter, and real-time priority does not give it that: a thread
        that has it may just have lost its core to another process. Where messages come without
        a pause, one of them would be in hand at most deadlines.
        """
        left_ns = self._due_ns - time.monotonic_ns()
        if 0 < left_ns < _WAY_NS:
            time.sleep((left_ns + _BEGIN_NS) / NS)

    def _run(self) -> None:
        self._prepare()
        self._begun.set()
        due_ns = self._due_ns = time.monotonic_ns() + self._period_ns
        index = missed = 0
        while not self._stop.is_set():
            wait_ns = due_ns - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / NS)
            late_ns = max(0, time.monotonic_ns() - due_ns)
            if late_ns >= self._period_ns:
                skipped = late_ns // self._period_ns
                missed += skipped
                due_ns += skipped * self._period_ns
                late_ns -= skipped * self._period_ns
            self._work(Tick(due_ns=due_ns, late_ns=late_ns, index=index, missed=missed))
            index += 1
            due_ns += self._period_ns
            self._due_ns = due_ns

    def _prepare(self) -> None:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        if self._cpu >= 0:
            try:
                os.sched_setaffinity(0, {self._cpu})
            except OSError as error:
                self.remarks.append(f'cannot stay on CPU {self._cpu}: {error}')
        if self._priority > 0 and not prefer_this_thread(self._priority):
            self.remarks.append(
                f'no permission for real-time priority {self._priority}: ticks may be late on '
                'a busy machine; allow it with rtprio in /etc/security/limits.conf'
            )

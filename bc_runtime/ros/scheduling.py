# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How the scheduler is asked to treat processes and threads.

What moves the robot comes first, what stands between its sensors and the command second, what only
watches or records last. To ask for less is always permitted; to ask for more is where the system
says so (docs/how-to/realtime.md), and where it does not everything goes on without.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import threading

#: Of what stands between sensors and command, and of the messages of what commands.
FORWARD_NICENESS = -10
#: Of the recorder: its queues hold what comes while control has its turn.
BACK_NICENESS = 5
#: Of a thread that infers for comparison only.
WATCHER_NICENESS = 15


def prefer_this_thread(priority: int) -> bool:
    """Put the calling thread under SCHED_FIFO; return whether that is permitted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    return True


def hold_back_this_thread() -> None:
    """Let everything else come before the calling thread, in this process too."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WATCHER_NICENESS)


def step_back() -> None:
    """Let the scheduler prefer other processes to this one: for what must never delay control."""
    os.nice(BACK_NICENESS)
    _set_autogroup(BACK_NICENESS)


def step_forward(*, threads: int = 1) -> bool:
    """Let the scheduler prefer this process to others; return whether it does.

    Not real-time priority: that would leave others nothing at all where pictures or inferences
    take more time than there is.

    Args:
        threads: Most cores that this process keeps busy, 0 if that is not known. Nothing is asked
            for where no core would be left: what is recorded must not be lost to what infers.
    """
    if not 0 < threads < len(os.sched_getaffinity(0)):
        return False
    try:
        for thread in Path('/proc/self/task').iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.setpriority(os.PRIO_PROCESS, int(thread.name), FORWARD_NICENESS)
    except OSError:
        return False
    _set_autogroup(FORWARD_NICENESS)
    return True


def _set_autogroup(niceness: int) -> None:
    """Say it of the session, too, if this process has it for itself.

    Linux shares the processor between sessions first (autogroups), where niceness alone says
    nothing; a session that is shared with other nodes is left as it is.
    """
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # no autogroups here
            Path('/proc/self/autogroup').write_text(str(niceness))

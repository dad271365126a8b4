# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a deployment, found by the ROS domain that they were born into."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
import time


def processes_in(domain: int) -> dict[int, str]:
    """Return pid -> command line of every living bc_runtime process of a ROS domain."""
    wanted = f'ROS_DOMAIN_ID={domain}'.encode()
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            variables = (folder / 'environ').read_bytes().split(b'\0')
            command = (folder / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
            state = _state(int(folder.name))
        except (OSError, UnicodeDecodeError):
            continue
        if wanted in variables and 'bc_runtime' in command and state not in 'ZX':
            found[int(folder.name)] = command.strip()
    return found


def is_suspended(pid: int) -> bool:
    """Return whether a process is stopped, e.g. by SIGSTOP."""
    try:
        return _state(pid) == 'T'
    except OSError:
        return False


def _state(pid: int) -> str:
    return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]


def wait_until_none(domain: int, *, timeout_s: float, ignore: str = '') -> dict[int, str]:
    """Return the processes of a domain that are still there after a time; empty if all ended.

    Args:
        domain: ROS domain.
        timeout_s: How long to wait for their end [s].
        ignore: Processes with this in their command line may stay.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = {
            pid: command
            for pid, command in processes_in(domain).items()
            if not ignore or ignore not in command
        }
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.01)  # /proc has no events


def favour(pid: int, *, niceness: int = -10) -> None:
    """Prefer a process and its session to the rest of the machine, where that is permitted.

    Reaction times must not depend on what else the machine does. Linux shares its cores between
    sessions first (sched_autogroup), so that the niceness of a process alone says nothing.
    """
    with contextlib.suppress(OSError):
        Path(f'/proc/{pid}/autogroup').write_text(str(2 * niceness))
        os.setpriority(os.PRIO_PROCESS, pid, niceness)

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Find processes of a deployment that outlived it, by the ROS domain that they were born into."""

from __future__ import annotations

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
            state = (folder / 'stat').read_text().rpartition(')')[2].split()[0]
        except (OSError, UnicodeDecodeError):
            continue
        if wanted in variables and 'bc_runtime' in command and state not in 'ZX':
            found[int(folder.name)] = command.strip()
    return found


def wait_until_none(domain: int, *, timeout_s: float) -> dict[int, str]:
    """Return the processes of a domain that are still there after a time; empty if all ended."""
    deadline = time.monotonic() + timeout_s
    while (left := processes_in(domain)) and time.monotonic() < deadline:
        time.sleep(0.01)  # /proc has no events
    return left

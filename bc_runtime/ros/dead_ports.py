# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Keep a new process off the shared-memory ports of processes that were killed.

Fast DDS gives each process a port in /dev/shm by number, and its number is free again once the
process is dead. A new process then makes the port anew, under the same name. Who sent to the dead
one still has the old memory, and learns that it is dead only where the dead process was waiting,
or was reading a message, when it was killed; between the two it stays deaf for good, to everybody
who was there before. And where they learn it, that takes them one to three seconds.

A port of which the lock file `<port>_el` is not locked has lost its owner. While a new participant
looks for its port we hold these locks: Fast DDS then takes the port for one in use and tries the
next number. Only ports that a living process has mapped are shunned; the others are harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import re

#: Where Fast DDS has its segments.
FOLDER = Path('/dev/shm')
#: Ports of one ROS domain (DDSI-RTPS 2.2, 9.6.1.3: port base and domain gain).
_BASE, _GAIN = 7400, 250
#: Fast DDS tries a hundred numbers; the oldest dead ports are the least dangerous.
MOST = 60

_LOCK_FILE = re.compile(r'(fast(?:dds|rtps)_port(\d+))_el')


@contextlib.contextmanager
def shun_dead_ports(domain_id: int, *, folder: Path = FOLDER) -> Iterator[list[int]]:
    """Hold the locks of dead ports that others still send to; give their numbers.

    Args:
        domain_id: ROS domain of the participant that is made meanwhile.
        folder: Where Fast DDS has its segments.
    """
    held: dict[int, int] = {}
    try:
        for port, lock_file in _newest_first(domain_id, folder):
            if len(held) == MOST:
                break
            descriptor = _lock(lock_file)
            if descriptor is not None:
                held[port] = descriptor
        if held:
            for port in held.keys() - _mapped_ports(folder):
                os.close(held.pop(port))
        yield sorted(held)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def _newest_first(domain_id: int, folder: Path) -> list[tuple[int, Path]]:
    first = _BASE + _GAIN * domain_id
    found = []
    with contextlib.suppress(OSError):  # no shared memory here
        for entry in os.scandir(folder):
            match = _LOCK_FILE.fullmatch(entry.name)
            if match and first <= int(match[2]) < first + _GAIN:
                with contextlib.suppress(OSError):  # it has just been removed
                    found.append((entry.stat().st_mtime, int(match[2]), Path(entry.path)))
    return [(port, path) for _, port, path in sorted(found, reverse=True)]


def _lock(lock_file: Path) -> int | None:
    """Return the descriptor of a lock that nobody had; None if somebody has it."""
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # removed, or another user's
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _mapped_ports(folder: Path) -> set[int]:
    """Return the ports that living processes have mapped, also where the file was deleted."""
    segment = re.compile(re.escape(f'{folder}/') + r'fast(?:dds|rtps)_port(\d+)( \(deleted\))?$')
    ports = set()
    for maps in Path('/proc').glob('[0-9]*/maps'):
        with contextlib.suppress(OSError, UnicodeDecodeError):  # ended, or another user's
            for line in maps.read_text().splitlines():
                if match := segment.search(line):
                    ports.add(int(match[1]))
    return ports

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Keep a new process off the shared-memory ports of processes that were killed.

Fast DDS gives each process a port in /dev/shm by number, and its number is free again once the
process is dead. A new process then makes the port anew, under the same name. Who sent to the dead
one still has the old memory, and learns that it is dead only where the dead process was waiting,
or was reading a message, when it was killed; between the two it stays deaf for good, to everybody
who was there before. And where they learn it, that takes them one to three seconds.

A process that is killed while it makes a port leaves a segment that is not ready yet. Whoever
opens that waits until it is, which is for ever: the first 4 bytes of a segment of
boost.interprocess say how far it is, and only 3 (corrupted) lets those who wait give up.

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
import struct
import time

#: Where Fast DDS has its segments.
FOLDER = Path('/dev/shm')
#: Ports of one ROS domain (DDSI-RTPS 2.2, 9.6.1.3: port base and domain gain).
_BASE, _GAIN = 7400, 250
#: Fast DDS tries a hundred numbers; the oldest dead ports are the least dangerous.
MOST = 60

#: A segment that is not ready after this time lost its maker [s]; making one takes a millisecond.
UNBORN_S = 1.0
#: States of a segment (boost/interprocess/detail/managed_open_or_create_impl.hpp).
_STATE = struct.Struct('=I')
_MAKING = (0, 1)
_CORRUPTED = 3

_SEGMENT = re.compile(r'fast(?:dds|rtps)_port(\d+)')
_LOCK_FILE = re.compile(r'(fast(?:dds|rtps)_port(\d+))_el')


@contextlib.contextmanager
def shun_dead_ports(domain_id: int, *, folder: Path = FOLDER) -> Iterator[list[int]]:
    """Hold the locks of dead ports that others still send to; give their numbers.

    Args:
        domain_id: ROS domain of the participant that is made meanwhile.
        folder: Where Fast DDS has its segments.
    """
    bury_unborn_ports(domain_id, folder=folder)
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


def bury_unborn_ports(domain_id: int, *, folder: Path = FOLDER) -> list[int]:
    """Remove ports whose makers were killed at it, and free those who wait; return their numbers.

    Args:
        domain_id: ROS domain.
        folder: Where Fast DDS has its segments.
    """
    buried = []
    youngest = time.time() - UNBORN_S
    with contextlib.suppress(OSError):  # no shared memory here
        for entry in os.scandir(folder):
            match = _SEGMENT.fullmatch(entry.name)
            if match and _of_domain(int(match[1]), domain_id):
                with contextlib.suppress(OSError):  # just removed, or another user's
                    if entry.stat().st_mtime <= youngest and _bury(Path(entry.path)):
                        buried.append(int(match[1]))
    return sorted(buried)


def _bury(segment: Path) -> bool:
    descriptor = os.open(segment, os.O_RDWR | os.O_CLOEXEC)
    try:
        state = os.pread(descriptor, _STATE.size, 0)
        if len(state) == _STATE.size and _STATE.unpack(state)[0] not in _MAKING:
            return False
        segment.unlink()  # first, so that nobody who is freed opens it again
        os.pwrite(descriptor, _STATE.pack(_CORRUPTED), 0)
        return True
    finally:
        os.close(descriptor)


def _of_domain(port: int, domain_id: int) -> bool:
    first = _BASE + _GAIN * domain_id
    return first <= port < first + _GAIN


def _newest_first(domain_id: int, folder: Path) -> list[tuple[int, Path]]:
    found = []
    with contextlib.suppress(OSError):  # no shared memory here
        for entry in os.scandir(folder):
            match = _LOCK_FILE.fullmatch(entry.name)
            if match and _of_domain(int(match[2]), domain_id):
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

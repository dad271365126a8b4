# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory that killed processes left behind.

Fast DDS gives each participant segments in /dev/shm (18 MB each with our profile). A process that
is killed cannot remove its own, nobody else does, and memory is what they are made of: a machine
on which processes are killed all day runs out of it.

The owner of a segment holds a lock on the file `<segment>_el` for as long as it lives. The same
rule is behind the command `fastdds shm clean`
(https://fast-dds.docs.eprosima.com, "fastdds CLI", shm).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
import re
import time

FOLDER = Path('/dev/shm')
#: A participant that is just starting makes its lock file a moment before it takes the lock.
MIN_AGE_S = 10.0

_LOCK_FILE = re.compile(r'fastdds_[0-9a-f]{16}_el')


def sweep_dead_segments(folder: Path = FOLDER, *, min_age_s: float = MIN_AGE_S) -> int:
    """Remove the segments of Fast DDS participants that are no more; return the bytes given back.

    Segments in use, young ones and those of other users are left alone.

    Args:
        folder: Where segments lie.
        min_age_s: Leave alone what is younger [s].
    """
    freed = 0
    youngest = time.time() - min_age_s
    with contextlib.suppress(OSError):  # no such folder: nothing to sweep
        for entry in os.scandir(folder):
            if _LOCK_FILE.fullmatch(entry.name):
                with contextlib.suppress(OSError):  # another user's, or just removed
                    if entry.stat().st_mtime <= youngest:
                        freed += _remove_if_dead(Path(entry.path))
    return freed


def _remove_if_dead(lock_file: Path) -> int:
    segment = lock_file.with_name(lock_file.name.removesuffix('_el'))
    descriptor = os.open(lock_file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = segment.stat().st_size if segment.exists() else 0
        segment.unlink(missing_ok=True)
        lock_file.unlink(missing_ok=True)
        return size
    finally:
        os.close(descriptor)

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""How much room is left for recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import enum
import os
from pathlib import Path
import tempfile
from typing import Protocol

from bc_runtime.recording.errors import DirectoryUnusable
from bc_runtime.spec.errors import RecordingError

GIGABYTE = 1_000_000_000


class FileSystemStatus(Protocol):
    """The two fields of `os.statvfs_result` that are needed."""

    @property
    def f_bavail(self) -> int:
        """Free blocks for unprivileged users."""

    @property
    def f_frsize(self) -> int:
        """Size of a block [bytes]."""


def check_writable(directory: Path) -> None:
    """See that a directory can be made, or files in it; nothing is left behind.

    Raises:
        DirectoryUnusable: says why not.
    """
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(directory)):
            pass
    except OSError as error:
        raise DirectoryUnusable(
            f'nothing can be written to {directory}: {error.strerror or error}; choose another '
            'directory, or correct its permissions'
        ) from None


def _nearest_existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


Statvfs = Callable[[Path], FileSystemStatus]


class DiskLevel(enum.Enum):
    """What the free space means for a recording."""

    OK = 'ok'
    LOW = 'low'  # worth a warning
    FULL = 'full'  # recording stops while there is still room to close the bag


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpace:
    """A measurement."""

    free_bytes: int
    level: DiskLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLimits:
    """Free space below which to warn and to stop [bytes]."""

    warn_bytes: int = 10 * GIGABYTE
    stop_bytes: int = 2 * GIGABYTE

    def __post_init__(self) -> None:
        if not 0 <= self.stop_bytes <= self.warn_bytes:
            raise RecordingError(
                f'disk limits: expected 0 <= stop <= warn, got stop {self.stop_bytes} bytes and '
                f'warn {self.warn_bytes} bytes'
            )

    def check(self, path: Path, statvfs: Statvfs = os.statvfs) -> DiskSpace:
        """Measure the file system that holds `path` (or its nearest existing parent)."""
        status = statvfs(_nearest_existing(path))
        free = status.f_bavail * status.f_frsize
        if free < self.stop_bytes:
            level = DiskLevel.FULL
        elif free < self.warn_bytes:
            level = DiskLevel.LOW
        else:
            level = DiskLevel.OK
        return DiskSpace(free_bytes=free, level=level)

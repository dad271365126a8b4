# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a recording, in words."""

from __future__ import annotations

from bc_runtime.recording.disk import GIGABYTE, DiskLevel
from bc_runtime.recording.episode_writer import WriterStatus


def problem_of(status: WriterStatus) -> str:
    """Return what a person should know of a recording that does not go well, empty if it does."""
    if status.error:
        return status.error
    found = []
    if status.dropped:
        found.append(f'{status.dropped} messages dropped: the disk is too slow')
    if status.disk.level is not DiskLevel.OK:
        found.append(f'only {status.disk.free_bytes / GIGABYTE:.1f} GB of the disk are left')
    return '; '.join(found)

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with a bag."""

from __future__ import annotations

from pathlib import Path

from bc_runtime.spec.errors import RecordingError


class DefinitionNotFound(RecordingError):
    """No definition file for a message type in any installed package."""


class BagExists(RecordingError):
    """The directory of the new bag is already there; recordings are never overwritten."""


class BagNotFound(RecordingError):
    """There is no bag at the path."""


class BagTruncated(RecordingError):
    """The recording process ended before it could close the bag.

    Attributes:
        path: The MCAP file that has no end.
    """

    def __init__(self, path: Path, *, detail: str) -> None:
        bag = path.parent if (path.parent / 'metadata.yaml').exists() else path
        super().__init__(
            f'{path} was never closed ({detail}): the recording process was killed or the machine '
            f'lost power. Nothing is lost up to the last chunk; rebuild it with: bc recover {bag}'
        )
        self.path = path


class BagDamaged(RecordingError):
    """The bytes are there, but they are not what a bag holds."""


class DiskSpaceLow(RecordingError):
    """Too little room on the disk to start a recording."""


class DirectoryUnusable(RecordingError):
    """No bag can be written to the directory."""

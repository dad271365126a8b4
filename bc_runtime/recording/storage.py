# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""One storage file of a bag, whatever its format.

The first bytes of a file say what it is; names and metadata.yaml may be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
import enum
from pathlib import Path
from typing import Protocol

from bc_runtime.recording.compression import ZSTD_MAGIC
from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.mcap_file import MAGIC
from bc_runtime.recording.qos import QosProfile

_SQLITE_MAGIC = b'SQLite format 3\0'


class FileKind(enum.Enum):
    """What a file is by its first bytes."""

    MCAP = 'MCAP'
    SQLITE = 'SQLite'
    ZSTD = 'Zstandard'
    OTHER = 'other'


def kind_of(path: Path) -> FileKind:
    """Look at the first bytes of a file."""
    with path.open('rb') as stream:
        start = stream.read(len(_SQLITE_MAGIC))
    if start.startswith(MAGIC):
        return FileKind.MCAP
    if start == _SQLITE_MAGIC:
        return FileKind.SQLITE
    return FileKind.ZSTD if start.startswith(ZSTD_MAGIC) else FileKind.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTopic:
    """A topic as a storage file lists it.

    Attributes:
        serialization: `cdr` in every bag of ROS 2.
        definition: Its text is empty if the file holds none.
        qos: Profiles that its publishers offered, as far as they are stored.
    """

    name: str
    definition: MessageDefinition
    qos: tuple[QosProfile, ...]
    message_count: int
    serialization: str = 'cdr'

    @property
    def type(self) -> str:
        """Full type name."""
        return self.definition.type


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as a storage file holds it; `data` may be compressed."""

    log_time_ns: int
    topic: StoredTopic
    data: bytes


class Storage(Protocol):
    """A storage file that is open.

    Attributes:
        topics: One for each entry of the file; a name may come twice.
        start_ns: Log time of the first message, 0 if there is none [ns].
        end_ns: Log time of the last message, 0 if there is none [ns].
        metadata: Bag metadata that the file itself holds, YAML; empty if it holds none.
        ros_distro: Distribution that wrote the file; empty if it does not say so.
    """

    path: Path
    topics: tuple[StoredTopic, ...]
    start_ns: int
    end_ns: int
    metadata: str
    ros_distro: str

    def messages(
        self, names: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """Yield messages in the order of their log time, from `start_ns` to before `stop_ns`."""

    def close(self) -> None:
        """Close the file."""

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read bags, ours and those of `ros2 bag record`, without a ROS installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
import heapq
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bc_runtime.recording.bag_files import (
    BagFiles,
    find_bag_files,
    find_bags,
    kind_of_bag_file,
)
from bc_runtime.recording.compression import decompress_file, decompress_message
from bc_runtime.recording.decoder import MessageDecoder
from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.errors import BagDamaged
from bc_runtime.recording.known_definitions import find_definition
from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.mcap_storage import McapStorage
from bc_runtime.recording.metadata import FILE_NAME, BagMetadata, parse_record
from bc_runtime.recording.qos import QosProfile
from bc_runtime.recording.sqlite_storage import SqliteStorage
from bc_runtime.recording.storage import FileKind, Storage, StoredMessage, StoredTopic
from bc_runtime.spec.errors import RecordingError, available

__all__ = ['BagMessage', 'BagReader', 'BagTopic', 'find_bags']


@dataclass(frozen=True, slots=True, kw_only=True)
class BagTopic:
    """A topic of a bag."""

    name: str
    type: str
    message_count: int
    type_hash: str
    qos: tuple[QosProfile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BagMessage:
    """A message as the bag holds it.

    Attributes:
        log_time_ns: Time of reception [ns].
        data: CDR bytes. They may hold uninitialised padding: equal messages can differ in bytes,
            so compare decoded messages.
    """

    topic: str
    type: str
    log_time_ns: int
    data: bytes
    decoder: MessageDecoder

    def decode(self) -> Any:
        """Return the message object; see `MessageDecoder`."""
        return self.decoder.decode(self.type, self.data)


class BagReader:
    """A bag opened for reading; a context manager.

    Takes what rosbag2 of Humble to Kilted writes: a bag directory or one of its files, MCAP or
    SQLite, split, compressed by file, message or chunk. Topics, counts and formats are those of
    the storage files; metadata.yaml adds what only it knows (labels, the order of the files).

    Attributes:
        notes: Where metadata.yaml contradicts the files, in words. The files are right.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the bag.

        Raises:
            BagNotFound: There is no bag; the message lists those beside it.
            BagTruncated: The recorder was killed; the message names `bc recover`.
            BagDamaged: The bag is not what it should be.
        """
        self.path = Path(path)
        self._files = find_bag_files(self.path)
        _refuse_incomplete(self._files)
        self._stack = ExitStack()
        try:
            self._storages = [self._open(file) for file in self._files.files]
            metadata = self._files.metadata or self._stored_metadata()
            self.custom_data: Mapping[str, str] = {} if metadata is None else metadata.custom_data
            self._ros_distro = _distribution(metadata, self._storages)
            self.labels = EpisodeLabels.from_custom_data(
                self.custom_data, default_id=self.path.stem
            )
            self.topics: Mapping[str, BagTopic] = self._list_topics(metadata)
            self.notes = self._compare(self._files.metadata)
        except OSError as error:
            self._stack.close()
            raise BagDamaged(f'{self.path} cannot be opened: {error}') from error
        except BaseException:
            self._stack.close()
            raise
        self.decoder = MessageDecoder(self._definition)

    @property
    def message_count(self) -> int:
        """Messages in all topics."""
        return sum(topic.message_count for topic in self.topics.values())

    @property
    def start_ns(self) -> int:
        """Log time of the first message, 0 for an empty bag [ns]."""
        return min((s.start_ns for s in self._storages if _count(s)), default=0)

    @property
    def end_ns(self) -> int:
        """Log time of the last message, 0 for an empty bag [ns]."""
        return max((s.end_ns for s in self._storages if _count(s)), default=0)

    def topics_of_type(self, type_name: str) -> list[str]:
        """Return the names of all topics of a type, sorted."""
        return sorted(topic.name for topic in self.topics.values() if topic.type == type_name)

    def messages(
        self,
        topics: Iterable[str] | None = None,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> Iterator[BagMessage]:
        """Yield messages in the order of their log time.

        Args:
            topics: Topics to read; all if None.
            start_ns: First log time to read [ns].
            end_ns: Last log time to read [ns].

        Raises:
            RecordingError: A topic is not in the bag; the message lists those that are.
            BagDamaged: The file is damaged at a place that was to be read.
        """
        names = None if topics is None else set(topics)
        for name in sorted(names or ()):
            if name not in self.topics:
                raise RecordingError(
                    f'{self.path} has no topic {name!r}; it has: {available(self.topics)}'
                )
        stop = None if end_ns is None else end_ns + 1
        sources = [storage.messages(names, start_ns, stop) for storage in self._storages]
        for stored in heapq.merge(*sources, key=_log_time):
            try:
                data = decompress_message(stored.data)
            except BagDamaged as error:
                raise BagDamaged(
                    f'{self.path} is damaged: {error}. What is whole can be saved with: '
                    f'bc recover {self.path}'
                ) from error
            yield BagMessage(
                topic=stored.topic.name,
                type=stored.topic.type,
                log_time_ns=stored.log_time_ns,
                data=data,
                decoder=self.decoder,
            )

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, file: Path) -> Storage:
        kind = kind_of_bag_file(file)
        if kind is FileKind.ZSTD:
            file = self._decompress(file)
            kind = kind_of_bag_file(file)
        storage: Storage = McapStorage(file) if kind is FileKind.MCAP else SqliteStorage(file)
        self._stack.callback(storage.close)
        for topic in storage.topics:
            if topic.serialization != 'cdr':
                raise RecordingError(
                    f'{file} holds {topic.name} in the format {topic.serialization!r}; only '
                    "'cdr', that of ROS 2, is read. Convert the bag with: ros2 bag convert"
                )
        return storage

    def _decompress(self, file: Path) -> Path:
        """Return a decompressed copy; such a file cannot be read at a place of choice."""
        folder = self._stack.enter_context(TemporaryDirectory(prefix='bc_bag_'))
        target = Path(folder, file.stem)
        try:
            problem = decompress_file(file, target)
        except OSError as error:
            raise BagDamaged(
                f'{file} is compressed as a whole and cannot be decompressed into {folder}: '
                f'{error}. Set TMPDIR to a folder with more room'
            ) from error
        if problem:
            raise BagDamaged(f'{problem}. What is whole can be saved with: bc recover {file}')
        return target

    def _stored_metadata(self) -> BagMetadata | None:
        """Return the newest metadata that the files themselves hold."""
        for storage in reversed(self._storages):
            if storage.metadata:
                try:
                    return parse_record(storage.metadata, source=str(storage.path))
                except BagDamaged:
                    continue  # it is only a copy; topics and counts come from the file
        return None

    def _list_topics(self, metadata: BagMetadata | None) -> dict[str, BagTopic]:
        described = {topic.name: topic for topic in metadata.topics} if metadata else {}
        topics: dict[str, BagTopic] = {}
        for stored in self._stored_topics():
            known, before = described.get(stored.name), topics.get(stored.name)
            topics[stored.name] = BagTopic(
                name=stored.name,
                type=stored.type,
                message_count=stored.message_count + (before.message_count if before else 0),
                type_hash=stored.definition.type_hash or (known.type_hash if known else ''),
                qos=stored.qos or (known.qos if known else ()),
            )
        return topics

    def _compare(self, metadata: BagMetadata | None) -> tuple[str, ...]:
        if metadata is None:
            return ()
        counted = {topic.name: topic.message_count for topic in metadata.topics}
        return tuple(
            f'{FILE_NAME} counts {counted.get(name, 0)} messages of {name}, the files hold '
            f'{topic.message_count}'
            for name, topic in self.topics.items()
            if counted.get(name, 0) != topic.message_count
        )

    def _stored_topics(self) -> Iterator[StoredTopic]:
        for storage in self._storages:
            yield from storage.topics

    def _definition(self, type_name: str) -> MessageDefinition:
        type_hash = ''
        for topic in self._stored_topics():
            if topic.type == type_name:
                if topic.definition.text:
                    return topic.definition
                type_hash = type_hash or topic.definition.type_hash
        return find_definition(type_name, ros_distro=self._ros_distro, type_hash=type_hash)


def _refuse_incomplete(bag: BagFiles) -> None:
    if bag.problem:
        raise BagDamaged(f'{bag.problem}. A new one is written by: bc recover {bag.path}')
    if bag.missing:
        raise BagDamaged(
            f'{bag.path} lacks {", ".join(bag.missing)}, which its {FILE_NAME} lists. Copy what '
            f'is missing, or make a bag of the rest with: bc recover {bag.path}'
        )
    if bag.unlisted:
        raise BagDamaged(
            f'{bag.path} holds {", ".join(file.name for file in bag.unlisted)}, which its '
            f'{FILE_NAME} does not list. Take it away if it does not belong to the bag, or make '
            f'one bag of all files with: bc recover {bag.path}'
        )


def _distribution(metadata: BagMetadata | None, storages: Iterable[Storage]) -> str:
    named = [metadata.ros_distro] if metadata else []
    return next((name for name in (*named, *(s.ros_distro for s in storages)) if name), '')


def _count(storage: Storage) -> int:
    return sum(topic.message_count for topic in storage.topics)


def _log_time(message: StoredMessage) -> int:
    return message.log_time_ns

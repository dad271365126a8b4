# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read bags, ours and those of `ros2 bag record`, without a ROS installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader, ReaderError

from bc_runtime.recording.bag_writer import METADATA_RECORD
from bc_runtime.recording.decoder import MessageDecoder
from bc_runtime.recording.errors import BagDamaged, BagNotFound, BagTruncated
from bc_runtime.recording.labels import EpisodeLabels
from bc_runtime.recording.mcap_scan import has_end
from bc_runtime.recording.metadata import FILE_NAME, parse_record, read_metadata
from bc_runtime.recording.qos import QosProfile
from bc_runtime.spec.errors import RecordingError, available


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

    Takes a bag directory (MCAP or SQLite, also split or compressed) or a single .mcap file.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the bag.

        Raises:
            BagNotFound: There is no bag; the message lists those beside it.
            BagTruncated: The recorder was killed; the message names `bc recover`.
            BagDamaged: The bag is not what it should be.
        """
        self.path = Path(path)
        storage = _storage(self.path)
        for file in _mcap_files(storage):
            if not has_end(file):
                raise BagTruncated(file, detail='the MCAP end magic is missing')
        self._reader = Reader(storage)
        try:
            self._reader.open()
        except (ReaderError, OSError) as error:
            raise BagDamaged(f'{self.path} cannot be opened: {error}') from error
        try:
            self._connections = list(self._reader.connections)
            self.custom_data: Mapping[str, str] = _custom_data(storage)
            self.labels = EpisodeLabels.from_custom_data(
                self.custom_data, default_id=self.path.stem
            )
            self.topics: Mapping[str, BagTopic] = self._list_topics()
        except BaseException:
            self._reader.close()
            raise
        self._decoder: MessageDecoder | None = None

    @property
    def message_count(self) -> int:
        """Messages in all topics."""
        return int(self._reader.message_count)

    @property
    def start_ns(self) -> int:
        """Log time of the first message, 0 for an empty bag [ns]."""
        return int(self._reader.start_time) if self.message_count else 0

    @property
    def end_ns(self) -> int:
        """Log time of the last message, 0 for an empty bag [ns]."""
        # rosbags counts the end as the first nanosecond after the last message.
        return int(self._reader.end_time) - 1 if self.message_count else 0

    @property
    def decoder(self) -> MessageDecoder:
        """The decoder of this bag's messages."""
        if self._decoder is None:
            self._decoder = MessageDecoder()
            for connection in self._connections:
                encoding = 'ros2idl' if connection.msgdef.format.name == 'IDL' else 'ros2msg'
                if connection.msgdef.data:
                    self._decoder.add(
                        type_name=connection.msgtype,
                        encoding=encoding,
                        text=connection.msgdef.data,
                    )
        return self._decoder

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
        connections = self._connections
        if topics is not None:
            wanted = list(topics)
            for name in wanted:
                if name not in self.topics:
                    raise RecordingError(
                        f'{self.path} has no topic {name!r}; it has: {available(self.topics)}'
                    )
            connections = [c for c in connections if c.topic in wanted]
        if not connections:
            return
        stop = None if end_ns is None else end_ns + 1
        try:
            for connection, log_time_ns, data in self._reader.messages(
                connections, start_ns, stop
            ):
                yield BagMessage(
                    topic=connection.topic,
                    type=connection.msgtype,
                    log_time_ns=log_time_ns,
                    data=data,
                    decoder=self.decoder,
                )
        except ReaderError as error:
            raise BagDamaged(
                f'{self.path} is damaged: {error}. What is whole can be saved with: '
                f'bc recover {self.path}'
            ) from error

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _list_topics(self) -> dict[str, BagTopic]:
        return {
            c.topic: BagTopic(
                name=c.topic,
                type=c.msgtype,
                message_count=sum(o.msgcount for o in self._connections if o.topic == c.topic),
                type_hash=c.digest,
                qos=tuple(_profile(qos) for qos in getattr(c.ext, 'offered_qos_profiles', ())),
            )
            for c in self._connections
        }


def find_bags(directory: Path) -> list[Path]:
    """Return the bag directories directly below a directory, in the order of their names."""
    if not directory.is_dir():
        return []
    return sorted(path.parent for path in directory.glob(f'*/{FILE_NAME}'))


def _storage(path: Path) -> Path:
    """Return the directory or file that holds the bag."""
    if path.is_file() or (path / FILE_NAME).is_file():
        return path
    files = sorted(path.glob('*.mcap'))
    if len(files) == 1:
        return files[0]  # the file alone says all but the labels that were changed later
    if len(files) > 1:
        raise BagDamaged(
            f'{path} holds {len(files)} MCAP files and no {FILE_NAME} that orders them; '
            f'rebuild it with: bc recover {path}'
        )
    parent = path if path.is_dir() else path.parent
    raise BagNotFound(
        f'no bag at {path}: expected a directory with {FILE_NAME} or an .mcap file. Bags in '
        f'{parent}: {available(bag.name for bag in find_bags(parent))}'
    )


def _mcap_files(storage: Path) -> list[Path]:
    return sorted(storage.glob('*.mcap')) if storage.is_dir() else [storage]


def _custom_data(storage: Path) -> Mapping[str, str]:
    if storage.is_dir():
        return read_metadata(storage).custom_data
    with storage.open('rb') as stream:
        try:
            records = [
                record.metadata.get('serialized_metadata', '')
                for record in make_reader(stream).iter_metadata()
                if record.name == METADATA_RECORD
            ]
        except McapError as error:
            raise BagDamaged(f'{storage} cannot be read: {error}') from error
    return parse_record(records[-1], source=str(storage)).custom_data if records else {}


def _profile(qos: Any) -> QosProfile:
    def nanoseconds(duration: Any) -> int:
        return int(duration.sec) * 1_000_000_000 + int(duration.nsec)

    return QosProfile(
        history=qos.history.name.lower(),
        depth=qos.depth,
        reliability=qos.reliability.name.lower(),
        durability=qos.durability.name.lower(),
        deadline_ns=nanoseconds(qos.deadline),
        lifespan_ns=nanoseconds(qos.lifespan),
        liveliness=qos.liveliness.name.lower(),
        liveliness_lease_ns=nanoseconds(qos.liveliness_lease_duration),
        avoid_ros_namespace_conventions=qos.avoid_ros_namespace_conventions,
    )

# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 directory in the making: one MCAP file and its metadata.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bc_runtime.recording.definitions import MessageDefinition
from bc_runtime.recording.errors import BagExists
from bc_runtime.recording.mcap_file import DEFAULT_CHUNK_BYTES, McapFile
from bc_runtime.recording.mcap_records import METADATA_RECORD
from bc_runtime.recording.metadata import BagMetadata, TopicMetadata, write_metadata
from bc_runtime.recording.qos import dump_profiles
from bc_runtime.recording.topic import RecordedTopic
from bc_runtime.spec.errors import RecordingError, available


class BagWriter:
    """Writes a bag in the calling thread. `EpisodeWriter` runs one in a thread of its own.

    metadata.yaml is there from the start (without counts), so that a bag whose recorder was
    killed still says what it is.
    """

    def __init__(
        self,
        bag: Path,
        *,
        custom_data: Mapping[str, str],
        ros_distro: str = '',
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    ) -> None:
        """Create the directory and the file in it.

        Raises:
            BagExists: The directory is already there.
        """
        try:
            bag.mkdir(parents=True)
        except FileExistsError:
            raise BagExists(
                f'{bag} exists already and recordings are never overwritten; choose another '
                'episode id or directory'
            ) from None
        self.path = bag
        self.custom_data = dict(custom_data)
        self._ros_distro = ros_distro
        self._topics: dict[str, tuple[int, RecordedTopic]] = {}
        self._schemas: dict[str, int] = {}
        self._file = McapFile(bag / f'{bag.name}_0.mcap', chunk_bytes=chunk_bytes)
        self._closed = False
        self._metadata_outdated = False
        self._file.add_metadata(METADATA_RECORD, self.metadata().to_record())
        write_metadata(self.path, self.metadata().to_yaml())

    @property
    def message_count(self) -> int:
        """Messages on the file."""
        return self._file.message_count

    @property
    def size(self) -> int:
        """Bytes on the file."""
        return self._file.size

    @property
    def lost(self) -> int:
        """Messages that the file system refused."""
        return self._file.lost

    def add_topic(self, topic: RecordedTopic) -> None:
        """Declare a topic; declaring it again changes nothing.

        Raises:
            RecordingError: The topic is already there with another type.
        """
        if topic.name in self._topics:
            present = self._topics[topic.name][1]
            if present.type != topic.type:
                raise RecordingError(
                    f'topic {topic.name} is recorded as {present.type} and came again as '
                    f'{topic.type}; a topic of a bag has one type'
                )
            return
        schema_id = self._schema_id(topic.definition)
        channel_id = self._file.add_channel(
            topic=topic.name,
            schema_id=schema_id,
            metadata={
                'offered_qos_profiles': dump_profiles(topic.qos),
                'topic_type_hash': topic.definition.type_hash,
            },
        )
        self._topics[topic.name] = (channel_id, topic)
        self._metadata_outdated = True

    def write(
        self,
        topic: str,
        data: bytes | memoryview,
        *,
        log_time_ns: int,
        publish_time_ns: int,
        sequence: int = 0,
    ) -> None:
        """Add a message of a declared topic; see `McapFile.write`."""
        try:
            channel_id = self._topics[topic][0]
        except KeyError:
            raise RecordingError(
                f'topic {topic!r} was not declared with add_topic; declared are: '
                f'{available(self._topics)}'
            ) from None
        self._file.write(
            channel_id,
            data,
            log_time_ns=log_time_ns,
            publish_time_ns=publish_time_ns,
            sequence=sequence,
        )

    def flush(self) -> None:
        """Put the unfinished chunk on the file, and new topics into metadata.yaml."""
        self._file.flush()
        if self._metadata_outdated:
            self._metadata_outdated = False
            write_metadata(self.path, self.metadata().to_yaml())

    def close(self, custom_data: Mapping[str, str] | None = None) -> None:
        """Write summary and final metadata. A second call does nothing.

        Each part is tried even when another fails, so that a full disk leaves as much as it can.

        Args:
            custom_data: Replaces the custom data given at the start.

        Raises:
            OSError: The file system refused a part.
        """
        if self._closed:
            return
        self._closed = True
        if custom_data is not None:
            self.custom_data = dict(custom_data)
        problem: OSError | None = None
        for step in (self._file.flush, self._add_final_record, self._file.close):
            try:
                step()
            except OSError as error:
                problem = problem or error
        write_metadata(self.path, self.metadata().to_yaml())
        if problem is not None:
            raise problem

    def metadata(self) -> BagMetadata:
        """Return what is known now."""
        start = self._file.start_ns or 0
        return BagMetadata(
            files=(self._file.path.name,),
            start_ns=start,
            duration_ns=(self._file.end_ns or start) - start,
            topics=tuple(
                TopicMetadata(
                    name=topic.name,
                    type=topic.type,
                    type_hash=topic.definition.type_hash,
                    qos=topic.qos,
                    message_count=self._file.counts[channel_id],
                )
                for channel_id, topic in self._topics.values()
            ),
            custom_data=self.custom_data,
            ros_distro=self._ros_distro,
        )

    def _add_final_record(self) -> None:
        self._file.add_metadata(METADATA_RECORD, self.metadata().to_record())

    def _schema_id(self, definition: MessageDefinition) -> int:
        if definition.type not in self._schemas:
            self._schemas[definition.type] = self._file.add_schema(
                name=definition.type,
                encoding=definition.encoding,
                data=definition.text.encode('utf-8'),
            )
        return self._schemas[definition.type]

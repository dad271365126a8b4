# SPDX-FileCopyrightText: 2026 The bc_runtime authors
# SPDX-License-Identifier: Apache-2.0
"""Read a whole MCAP file, by its index where it has one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
import zlib

from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, Schema, Statistics

from bc_runtime.recording.compression import decompress_chunk
from bc_runtime.recording.errors import BagDamaged, BagTruncated
from bc_runtime.recording.mcap_file import MAGIC
from bc_runtime.recording.mcap_records import (
    FOOTER_LENGTH,
    HEAD,
    MESSAGE,
    MESSAGE_FIELDS,
    METADATA_RECORD,
    ChunkHead,
    McapSummary,
    definition_of,
    has_end,
    parse,
    qos_of,
    read_summary,
    split_records,
)
from bc_runtime.recording.storage import StoredMessage, StoredTopic

#: Unchunked messages that are read at once [bytes].
_RUN_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Block:
    """A chunk, or a run of records outside chunks."""

    start_ns: int
    end_ns: int
    offset: int
    length: int
    chunk: bool
    channels: frozenset[int] | None  # those in it, None if not known


class McapStorage:
    """See `Storage`."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            BagTruncated: The file has no end.
            BagDamaged: Its index is damaged.
        """
        self.path = path
        if not has_end(path):
            raise BagTruncated(path, detail='the MCAP end magic is missing')
        self._stream = path.open('rb')
        try:
            summary = read_summary(self._stream)
            counts = summary.statistics if summary is not None and summary.indexed else None
            if summary is not None and counts is not None:
                self._take(summary, counts)
            else:
                self._scan()
        except (ValueError, BagDamaged) as error:
            self._stream.close()
            raise self._damaged(error) from error

    def messages(
        self, names: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """See `Storage`."""
        wanted = {k: t for k, t in self._by_id.items() if names is None or t.name in names}
        first = 0 if start_ns is None else start_ns
        stop = 2**64 if stop_ns is None else stop_ns
        blocks = [
            block
            for block in self._blocks
            if block.end_ns >= first
            and block.start_ns < stop
            and (block.channels is None or block.channels & wanted.keys())
        ]
        found = 0
        waiting: list[tuple[int, int, int, int, bytes]] = []  # log time, block, place, channel
        try:
            for number, block in enumerate(blocks):
                ready = [entry for entry in waiting if entry[0] < block.start_ns]
                waiting = waiting[len(ready) :]
                for entry in ready:
                    yield StoredMessage(entry[0], wanted[entry[3]], entry[4])
                for place, (time_ns, channel, data) in enumerate(self._load(block)):
                    if channel in wanted and first <= time_ns < stop:
                        waiting.append((time_ns, number, place, channel, data))
                        found += 1
                    elif channel not in self._by_id:
                        raise ValueError(f'a message belongs to channel {channel}, which is lost')
                waiting.sort(key=lambda entry: entry[:3])
            for entry in waiting:
                yield StoredMessage(entry[0], wanted[entry[3]], entry[4])
        except (ValueError, BagDamaged) as error:
            raise self._damaged(error) from error
        expected = sum(topic.message_count for topic in wanted.values())
        if start_ns is None and stop_ns is None and found != expected:
            raise self._damaged(ValueError(f'it counts {expected} messages and holds {found}'))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _damaged(self, error: Exception) -> BagDamaged:
        return BagDamaged(
            f'{self.path} is damaged: {error}. What is whole can be saved with: '
            f'bc recover {self.path}'
        )

    def _take(self, summary: McapSummary, counts: Statistics) -> None:
        """Use the index at the end of the file."""
        self._blocks = sorted(
            (
                _Block(
                    chunk.message_start_time,
                    chunk.message_end_time,
                    chunk.chunk_start_offset,
                    chunk.chunk_length,
                    chunk=True,
                    channels=frozenset(chunk.message_index_offsets) or None,
                )
                for chunk in summary.chunks
            ),
            key=lambda block: (block.start_ns, block.offset),
        )
        self._set_topics(summary.schemas, summary.channels, counts.channel_message_counts)
        self.start_ns, self.end_ns = counts.message_start_time, counts.message_end_time
        texts = []
        for index in summary.metadata:
            if index.name == METADATA_RECORD:
                self._stream.seek(index.offset)
                ((opcode, body),) = split_records(self._stream.read(index.length))
                texts.append(parse(opcode, body))
        self._set_metadata([record for record in texts if isinstance(record, Metadata)])

    def _scan(self) -> None:
        """Make an index of a file that was written without one."""
        self._blocks = []
        schemas: dict[int, Schema] = {}
        channels: dict[int, Channel] = {}
        metadata: list[Metadata] = []
        counts: dict[int, int] = {}

        def learn(opcode: int, body: bytes) -> None:
            record = parse(opcode, body)
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Metadata) and record.name == METADATA_RECORD:
                metadata.append(record)

        size = self.path.stat().st_size
        end = size - len(MAGIC)
        position = run_start = len(MAGIC)
        while True:
            self._stream.seek(position)
            head = self._stream.read(HEAD.size)
            if len(head) < HEAD.size:
                raise ValueError('it breaks off')
            opcode, length = HEAD.unpack(head)
            last = opcode in {Opcode.DATA_END, Opcode.FOOTER}
            if last or opcode == Opcode.CHUNK or position - run_start > _RUN_BYTES:
                self._add_block(_Block(0, 0, run_start, position - run_start, False, None), counts)
                run_start = position
            if last:
                break
            if position + HEAD.size + length > end - FOOTER_LENGTH - HEAD.size:
                raise ValueError(f'the record at byte {position} is longer than the file')
            if opcode == Opcode.CHUNK:
                block = _Block(0, 0, position, HEAD.size + length, True, None)
                for inner, body in split_records(self._records(block)):
                    learn(inner, body)
                self._add_block(block, counts)
                run_start = position + HEAD.size + length
            elif opcode != Opcode.MESSAGE:
                learn(opcode, self._stream.read(length))
            position += HEAD.size + length
        self._blocks.sort(key=lambda block: (block.start_ns, block.offset))
        self._set_topics(schemas, channels, counts)
        self.start_ns = min((block.start_ns for block in self._blocks), default=0)
        self.end_ns = max((block.end_ns for block in self._blocks), default=0)
        self._set_metadata(metadata)

    def _add_block(self, block: _Block, counts: dict[int, int]) -> None:
        messages = self._load(block)
        if messages:
            times = [time_ns for time_ns, _, _ in messages]
            for _, channel, _ in messages:
                counts[channel] = counts.get(channel, 0) + 1
            self._blocks.append(
                _Block(
                    min(times),
                    max(times),
                    block.offset,
                    block.length,
                    block.chunk,
                    frozenset(channel for _, channel, _ in messages),
                )
            )

    def _set_topics(
        self,
        schemas: dict[int, Schema],
        channels: dict[int, Channel],
        counts: dict[int, int],
    ) -> None:
        self._by_id = {
            channel.id: StoredTopic(
                name=channel.topic,
                definition=definition_of(channel, schemas.get(channel.schema_id)),
                qos=qos_of(channel),
                message_count=counts.get(channel.id, 0),
                serialization=channel.message_encoding,
            )
            for channel in channels.values()
        }
        self.topics = tuple(self._by_id.values())

    def _set_metadata(self, records: list[Metadata]) -> None:
        self.metadata = records[-1].metadata.get('serialized_metadata', '') if records else ''
        self.ros_distro = ''
        for record in records:
            self.ros_distro = record.metadata.get('ROS_DISTRO', self.ros_distro)

    def _records(self, block: _Block) -> bytes:
        """Return the records of a block, decompressed and checked."""
        self._stream.seek(block.offset)
        data = self._stream.read(block.length)
        if len(data) < block.length:
            raise ValueError(f'the block at byte {block.offset} breaks off')
        if not block.chunk:
            return data
        try:
            if HEAD.unpack_from(data) != (Opcode.CHUNK, block.length - HEAD.size):
                raise ValueError('its head is damaged')
            body = memoryview(data)[HEAD.size :]
            head = ChunkHead.read(body)
            if head.length + head.stored_size != len(body):
                raise ValueError('its lengths contradict each other')
            records = decompress_chunk(head.compression, bytes(body[head.length :]), head.size)
            if head.check_sum and zlib.crc32(records) != head.check_sum:
                raise ValueError('its check sum is wrong')
        except (ValueError, BagDamaged) as error:
            raise ValueError(f'the chunk at byte {block.offset}: {error}') from error
        return records

    def _load(self, block: _Block) -> list[tuple[int, int, bytes]]:
        """Return (log time, channel, data) of the messages of a block."""
        records = self._records(block)
        found: list[tuple[int, int, bytes]] = []
        position, end = 0, len(records)
        while position < end:
            if position + HEAD.size > end:
                raise ValueError(f'a record in the block at byte {block.offset} breaks off')
            opcode, length = HEAD.unpack_from(records, position)
            stop = position + HEAD.size + length
            if stop > end or (opcode == Opcode.MESSAGE and length < MESSAGE_FIELDS):
                raise ValueError(f'a record in the block at byte {block.offset} has a bad length')
            if opcode == Opcode.MESSAGE:
                _, _, channel, _, log_time, _ = MESSAGE.unpack_from(records, position)
                found.append((log_time, channel, records[position + MESSAGE.size : stop]))
            position = stop
        return found
